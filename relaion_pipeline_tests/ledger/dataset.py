"""A small dataset that changes between releases: rows, lists and settings as Python values, written when needed.

It is settled, remembered and released by the inner packages, without orchestration: a release takes a second or two.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline import settings
from relaion_pipeline.feeds import blocklist
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger.settling import Settler
from relaion_pipeline.release import assemble, editions, readiness
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.screening.screen import Screener
from relaion_pipeline.screening.verdicts import BIT, Reason
from relaion_pipeline.verification import evidence, gate, listed
from relaion_pipeline.verification.verifier import Published, Verifier
from relaion_pipeline_tests.screening.screened import settings_text

SCHEMA = pa.schema(
    [
        pa.field("url", pa.string()),
        pa.field("text", pa.string()),
        pa.field("punsafe", pa.float64()),
        pa.field("md5", pa.string()),
    ]
)

Place = tuple[str, int]
"""Shard (`subset/stem`) and row number."""


@dataclass(frozen=True)
class Row:
    """One row of a shard. By default its image is its link's own."""

    url: str
    text: str = "a text"
    punsafe: float | None = 0.01
    image: str | None = None

    @property
    def md5(self) -> str:
        return md5(self.image or self.url)

    def as_json(self) -> dict[str, Any]:
        return {"url": self.url, "text": self.text, "punsafe": self.punsafe, "md5": self.md5}


def md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()


def ordinary(count: int, of: str = "ordinary") -> list[Row]:
    """Rows that nothing speaks against, each with a link of its own, and alike."""
    return [Row(f"https://h{number % 7}.example/{of}/{number}.jpg") for number in range(count)]


@dataclass
class Dataset:
    """What a data root holds. Change it, then settle or release it."""

    root: Path
    shards: dict[str, list[Row]]  # `subset/stem`
    feeds: dict[str, dict[str, Any]] = field(default_factory=dict)  # name -> kind, hash, ... and entries
    share: float = 1.0
    nsfw: dict[str, float] = field(default_factory=dict)
    keywords: tuple[str, ...] = ("nsfw",)
    waivers: list[dict[str, str]] = field(default_factory=list)

    def list_images(self, feed: str, *images: Row | str) -> None:
        """Let `feed` list the images of just these rows."""
        digests = [each if isinstance(each, str) else each.md5 for each in images]
        self.feeds[feed] = {"kind": "image", "hash": "md5", "entries": digests}

    def list_links(self, feed: str, *rows: Row, **declared: Any) -> None:
        """Let `feed` list the links of just these rows, in plain."""
        self.feeds[feed] = {"kind": "link", "entries": [row.url for row in rows], **declared}

    def write(self) -> None:
        """Bring the files up to date; those that hold the same already are left alone."""
        wanted = {self.root / "raw" / f"{name}.parquet": rows for name, rows in self.shards.items()}
        for path in (self.root / "raw").rglob("*.parquet"):
            if path not in wanted:
                path.unlink()
        for path, rows in wanted.items():
            table = pa.Table.from_pylist([row.as_json() for row in rows], SCHEMA)
            if not path.exists() or not pq.read_table(path).equals(table):
                path.parent.mkdir(parents=True, exist_ok=True)
                pq.write_table(table, path)
        subsets = {name: {"shards": f"raw/{name}/*.parquet"} for name in sorted({s.split("/")[0] for s in self.shards})}
        feeds = {}
        for name, feed in self.feeds.items():
            declared = {key: value for key, value in feed.items() if key != "entries"}
            filler = "https://filler.example/not/there"
            if "hash" in feed:
                filler = hashlib.new(feed["hash"], name.encode()).hexdigest()
            if feed["kind"] == "domain":
                filler = "filler.example"
            text = "\n".join([filler, *feed["entries"]]) + "\n"
            path = self.root / "feeds" / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text(encoding="utf-8") != text:
                path.write_text(text, encoding="utf-8")
            feeds[name] = {
                "partner": "P",
                "version": "1",
                "files": f"feeds/{name}.txt",
                "max_shrink_share": 1.0,
                **declared,
            }
        more = "[nsfw]\n" + "".join(f"{key} = {value}\n" for key, value in self.nsfw.items())
        more += f"[removals]\nmax_listed_share = {self.share}\n[limits]\nthreads = 2\n"
        for waiver in self.waivers:
            more += "[[waivers]]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in waiver.items())
        (self.root / "relaion.toml").write_text(settings_text(subsets, feeds, more), encoding="utf-8")
        (self.root / "keywords.txt").write_text("\n".join(self.keywords) + "\n", encoding="utf-8")

    def inputs(self) -> Inputs:
        return Inputs(DataRoot.at(self.root), settings.load(self.root))

    def settle(self) -> Settler:
        """Write, compile, screen, settle."""
        self.write()
        inputs = self.inputs()
        built = blocklist.build([inputs.compile_feed(name) for name in self.feeds], inputs.settings, inputs.root)
        screener = Screener(inputs.root, inputs.settings, built, inputs.keywords)
        screener.screen(inputs.shards)
        settler = Settler(inputs.root, inputs.settings, screener, inputs.ledger)
        settler.settle(inputs.shards)
        return settler

    def remembered(self, release: str) -> "Dataset":
        """Settle, and write the ledger as `release` would."""
        self.settle().remember(release, self.inputs().shards)
        return self

    def verifier(self) -> Verifier:
        inputs = self.inputs()
        sha256 = inputs.verified_digests.sha256
        lists = listed.read_lists(inputs.settings, inputs.root, sha256)
        return Verifier(inputs.root, inputs.settings, lists, inputs.keywords, inputs.ledger, sha256)

    def staged(self) -> list[Published]:
        """Write the editions that the verdicts call for."""
        inputs = self.inputs()
        editions.write(inputs.shards, inputs.settings, inputs.root)
        return [
            Published(shard, *(inputs.root.staged(shard.subset, shard.stem, part) for part in editions.PARTS))
            for shard in inputs.shards
        ]

    def release(self, version: str) -> Path:
        """Make a whole release; its evidence must be clean. Returns its folder."""
        settler = self.settle()
        inputs = self.inputs()
        verifier = self.verifier()
        self._judge(verifier.keep(self.staged()), inputs.root)
        return assemble.assemble(inputs.root, inputs, readiness.check(inputs, settler, verifier), version)

    def _judge(self, found: list[evidence.Evidence], root: DataRoot) -> None:
        """What the gate judges, without Great Expectations, which takes seconds to import."""
        for check in gate.CHECKS:
            assert not any(getattr(each, check.column) for each in found), check.name
        record = gate.GateRecord(evidence.digest(found), passed=True, expectations=2 * len(gate.ALL_CHECKS), failed=())
        root.gate.write_text(json.dumps(record.__dict__), encoding="utf-8")

    # What verdicts and ledger say

    def reasons(self) -> dict[Place, set[Reason]]:
        """All reasons of every row that a verdict names."""
        found = {}
        for name in self.shards:
            for each in pq.read_table(self.root / "private" / "verdicts" / f"{name}.parquet").to_pylist():
                found[name, each["row"]] = {reason for reason in Reason if each["reasons"] & BIT[reason]}
        return found

    def with_reason(self, reason: Reason) -> set[Place]:
        return {place for place, reasons in self.reasons().items() if reason in reasons}

    def ledger(self) -> list[dict[str, Any]]:
        """All entries of the ledger, oldest first."""
        files = sorted((self.root / "private" / "ledger").glob("*.parquet"))
        return [entry for file in files for entry in pq.read_table(file).to_pylist()]

    def rows(self) -> Iterator[tuple[Place, Row]]:
        for name, rows in self.shards.items():
            for number, row in enumerate(rows):
                yield (name, number), row

    def places(self, rows: Iterable[Row]) -> set[Place]:
        """Where just these rows stand."""
        wanted = set(rows)
        return {place for place, row in self.rows() if row in wanted}
