"""A chain of releases of a dataset that changes at random, and what an outsider who keeps all of them can see.

Lists grow and shrink, feeds come and go, shards are added and grow, thresholds and keywords change.
"""

import random
import shutil
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow.parquet as pq

from relaion_pipeline_tests.ledger.dataset import SCHEMA, Dataset, Row

Kept = dict[str, Counter[Row]]
"""Shard -> its rows in an edition."""

_DOMAINS = ("com", "com", "com", "org", "net", "co.uk")
_TEXTS = ("", "short", "a text of middling length", "a much longer text " * 6)


@dataclass(frozen=True)
class Released:
    """One release of the chain: what is public of it, and the truth."""

    version: str
    folder: Path
    source: dict[str, tuple[Row, ...]]
    research: Kept
    safe: Kept
    above: float  # research's threshold
    keywords: tuple[str, ...]
    links: frozenset[str]  # that any list named, so far
    images: frozenset[str]

    def explains(self, row: Row) -> bool:
        """Whether the rules of this release remove a row from research."""
        return (row.punsafe or 0) > self.above and any(word in row.text.split() for word in self.keywords)

    def lists(self, row: Row) -> bool:
        """Whether a list has named the row's link or image, or the image of a row with its link."""
        return row.url in self.links or row.md5 in self.images


@dataclass
class Chain:
    """A dataset with its releases so far, newest last."""

    root: Path
    seed: int
    share: float
    dataset: Dataset = field(init=False)
    releases: list[Released] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self._numbers = 0
        self.links: set[str] = set()
        self.images: set[str] = set()
        shards = {name: self._rows(900) for name in ("x/a", "x/b", "y/a")}
        self.dataset = Dataset(self.root, shards, share=self.share)
        (self.root / "private").mkdir(parents=True, mode=0o700)
        (self.root / "private" / "salt").write_bytes(self.random.randbytes(32))
        self.dataset.list_images("images", *self._some(6))
        self.dataset.list_links("links", *self._some(5))

    def step(self) -> Released:
        """Change something, unless nothing is released yet, and release."""
        if self.releases:
            self._change(len(self.releases))
        version = f"2026-01-{len(self.releases) + 1:02}.001"
        self._note_lists()
        folder = self.dataset.release(version)
        self.releases.append(self._released(version, folder))
        return self.releases[-1]

    def from_scratch(self, root: Path, ledger: Path) -> Path:
        """The newest release made again: from the same inputs, keys and ledger, and nothing else. Returns its folder.

        `ledger` is the folder as it was before.
        """
        again = replace(self.dataset, root=root)
        (root / "private").mkdir(parents=True, mode=0o700)
        for name in ("salt", "signing.key"):
            shutil.copy2(self.root / "private" / name, root / "private" / name)
        if ledger.exists():
            shutil.copytree(ledger, root / "private" / "ledger")
        return again.release(self.releases[-1].version)

    def _change(self, number: int) -> None:
        dataset, draw = self.dataset, self.random
        dataset.feeds["images"]["entries"] = self._kept(dataset.feeds["images"]["entries"])
        dataset.feeds["images"]["entries"] += [row.md5 for row in self._some(draw.randint(1, 6))]
        dataset.feeds["links"]["entries"] = self._kept(dataset.feeds["links"]["entries"])
        dataset.feeds["links"]["entries"] += [row.url for row in self._some(draw.randint(0, 4))]
        if number % 5 == 1:  # a shard of its own, in the middle of the others
            dataset.shards[f"x/a{number}"] = self._rows(500)
        if number % 5 == 2:
            above = [(0.8, 0.3), (0.99, 0.6), (0.95, 0.45)][number // 5 % 3]
            dataset.nsfw = {"research_above": above[0], "research_safe_above": above[1]}
        if number % 5 == 3:
            dataset.feeds.pop("more", None) or dataset.list_links("more", *self._some(3))
        if number % 5 == 4:
            dataset.keywords = draw.choice([("nsfw",), ("nsfw", "naked"), ("naked",)])
            name = draw.choice(sorted(dataset.shards))
            rows = [*dataset.shards[name], *self._rows(60)]
            draw.shuffle(rows)
            dataset.shards[name] = rows

    def _kept(self, entries: list[str]) -> list[str]:
        """What a list has still: now and then it drops a few."""
        return entries if self.random.random() < 0.5 else [each for each in entries if self.random.random() < 0.7]

    def _some(self, count: int) -> list[Row]:
        rows = [row for rows in self.dataset.shards.values() for row in rows]
        return self.random.sample(rows, count)

    def _note_lists(self) -> None:
        for feed in self.dataset.feeds.values():
            (self.images if feed["kind"] == "image" else self.links).update(feed["entries"])
        self.links |= {row.url for rows in self.dataset.shards.values() for row in rows if row.md5 in self.images}

    def _rows(self, count: int) -> list[Row]:
        draw, rows = self.random, []
        for _ in range(count):
            self._numbers += 1
            host = f"h{min(draw.randint(0, 40), draw.randint(0, 40))}.{draw.choice(_DOMAINS)}"
            unsafe = draw.random()
            score = draw.uniform(0.95, 1) if unsafe < 0.02 else draw.random() ** (1 if unsafe < 0.1 else 6)
            word = draw.choice(["nsfw", "naked"]) if draw.random() < (0.6 if unsafe < 0.02 else 0.01) else ""
            text = f"{draw.choice(_TEXTS)} {word} {self._numbers}".strip()
            rows.append(Row(f"https://{host}/{self._numbers}.jpg", text, None if draw.random() < 0.003 else score))
        for place in draw.sample(range(1, count), count // 100):  # links that occur twice
            rows[place] = replace(rows[place], url=rows[place - 1].url, image=rows[place].url)
        return rows

    def _released(self, version: str, folder: Path) -> Released:
        by_md5 = {row.md5: row.image for rows in self.dataset.shards.values() for row in rows}

        def read(edition: str, part: str) -> Kept:
            kept = {}
            for name in self.dataset.shards:
                table = pq.read_table(folder / edition / f"{name}{part}.parquet", partitioning=None)
                assert table.schema.equals(SCHEMA)
                kept[name] = Counter(
                    Row(each["url"], each["text"], each["punsafe"], by_md5[each["md5"]]) for each in table.to_pylist()
                )
            return kept

        safe, extra = read("research-safe", ""), read("research", ".extra")
        assert read("research", "") == safe
        return Released(
            version,
            folder,
            {name: tuple(rows) for name, rows in self.dataset.shards.items()},
            {name: safe[name] + extra[name] for name in safe},
            safe,
            self.dataset.nsfw.get("research_above", 0.95),
            self.dataset.keywords,
            frozenset(self.links),
            frozenset(self.images),
        )
