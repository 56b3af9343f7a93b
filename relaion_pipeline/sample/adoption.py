"""A data root around real shards: generated scores, lists of the shards' own links, and their answer sheet.

What belongs here: reading just enough of TSV and JSONL to know every row's link. It is written apart from
`relaion_pipeline.shards` on purpose: an answer sheet made by the code it judges would share its mistakes.
"""

import glob
import hashlib
import html
import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.layout import PUBLIC_FILE_MODE, make_private, write_text, written_whole
from relaion_pipeline.sample import settings_text
from relaion_pipeline.sample.generation import SampleSummary, prepare, stream
from relaion_pipeline.sample.rows import some_scores
from relaion_pipeline.sample.truth import Match, write_truth
from relaion_pipeline.sample.words import KEYWORD_FILE
from relaion_pipeline.settings import SETTINGS_FILE

_FEWEST_LISTED = 3
_LINK_COLUMNS = ("image_url", "url", "URL")
_TEXT_COLUMNS = ("caption_reference_description", "caption", "text", "TEXT")
_BEFORE_HOST = re.compile(r"^[a-z]+:/*(www\.)?")
# Ordinary words that captions do hold, so that the keyword rule has something to find in them.
_CAPTION_KEYWORDS = "bikini\nsexy\nmodel\nfashion\ndress\n"


@dataclass(frozen=True)
class _ListOf:
    """One generated list of the shards' own links; it holds the stretch `start` to `end` of what is picked."""

    name: str
    partner: str
    file: str
    kind: str
    start: float
    end: float


# Neighbours overlap, and each list has links of its own.
_LISTS = (
    _ListOf("own-links", "Sample partner A", "feeds/partner-a/links.txt", "link", 0.0, 0.45),
    _ListOf("own-links-md5", "Sample partner B", "feeds/partner-b/links.md5.txt", "link_md5", 0.3, 0.75),
    _ListOf("own-links-sha1", "Sample partner C", "feeds/partner-c/links.sha1.txt", "link_sha1", 0.6, 1.0),
)


@dataclass(frozen=True)
class _Row:
    subset: str
    shard: str
    row: int
    link: str


def adopt(data_root: Path, *, sources: list[Path], listed: int, seed: int) -> SampleSummary:
    """Make a data root around `sources`, which are read where they lie, and its answer sheet beside it.

    Args:
        data_root: a folder that does not exist yet, or is empty.
        sources: TSV files of caption and link without a header, and JSONL files. Files of one format whose names
            start with the same word become a subset of that name.
        listed: links that the lists name, all in all.
        seed: what scores and listed links are drawn from.

    Raises:
        ValueError: a source is of another format, or has too few links, or no glob matches just the sources.
        FileExistsError: `data_root` holds something already.
    """
    groups = _groups(sources)
    rows: list[_Row] = []
    sizes: dict[str, dict[str, int]] = {}
    for subset, paths in groups.items():
        sizes[subset] = {}
        for path in paths:
            links = list(_links(path))
            sizes[subset][path.stem] = len(links)
            rows += [_Row(subset, path.stem, number, link) for number, link in enumerate(links) if link]
    random = stream(seed, 0)
    picked = _pick(random, rows, listed)
    tables = [_subset_table(subset, paths) for subset, paths in groups.items()]

    prepare(data_root)
    for subset, shards in sizes.items():
        for stem, count in shards.items():
            _write_scores(random, data_root / "raw" / "scores" / subset / f"{stem}.parquet", count)
    matches = [match for each in _LISTS for match in _write_list(random, data_root, each, picked)]
    feeds = [
        settings_text.feed_table(
            each.name, each.partner, each.file, each.kind, least=max(1, len(_part(each, picked)) // 2)
        )
        for each in _LISTS
    ]
    write_text(data_root / "keywords.txt", KEYWORD_FILE + _CAPTION_KEYWORDS, mode=PUBLIC_FILE_MODE)
    write_text(data_root / SETTINGS_FILE, settings_text.adopted(tables, feeds), mode=PUBLIC_FILE_MODE)
    return SampleSummary(
        data_root=data_root,
        truth=write_truth(data_root, matches),
        rows={subset: sum(shards.values()) for subset, shards in sizes.items()},
        shards=len(sources),
        entries={each.name: len(_part(each, picked)) for each in _LISTS},
        matches={
            each.name: {subset: sum(m[0] == subset and m[3] == each.name for m in matches) for subset in groups}
            for each in _LISTS
        },
        listed=len(picked),
    )


def _groups(sources: list[Path]) -> dict[str, list[Path]]:
    groups: dict[str, list[Path]] = {}
    for path in sorted(source.absolute() for source in sources):
        if path.suffix not in {".tsv", ".jsonl"}:
            raise ValueError(f"{path}: only .tsv and .jsonl files can be adopted")
        groups.setdefault(path.stem.partition("_")[0], []).append(path)
    for subset, paths in groups.items():
        if len({(path.parent, path.suffix) for path in paths}) > 1:
            raise ValueError(f"subset '{subset}': its files must be of one format, in one folder")
    if not groups:
        raise ValueError("no sources: name at least one .tsv or .jsonl file")
    return groups


def _links(path: Path) -> Iterator[str | None]:
    """The link of each row, in order."""
    # Not text mode: captions may hold characters that Python, unlike the formats, takes for line ends.
    lines = path.read_bytes().removesuffix(b"\n").split(b"\n")
    if path.suffix == ".tsv":
        yield from (line.decode().split("\t")[1] for line in lines)
    else:
        column = _column(path, _LINK_COLUMNS)
        yield from (json.loads(line)[column] for line in lines)


def _column(path: Path, names: tuple[str, ...]) -> str:
    with path.open("rb") as file:
        keys = json.loads(file.readline()).keys()
    for name in names:
        if name in keys:
            return name
    raise ValueError(f"{path}: none of the columns {', '.join(names)} is there")


def _pick(random: np.random.Generator, rows: list[_Row], count: int) -> list[_Row]:
    """Rows whose link is no other row's in any spelling, so that what must be found does not depend on spelling."""
    folded = Counter(_folded(row.link) for row in rows)
    unique = [row for row in rows if folded[_folded(row.link)] == 1 and _fits_a_line(row.link)]
    if not _FEWEST_LISTED <= count <= len(unique):
        raise ValueError(f"listed must be {_FEWEST_LISTED} to {len(unique)} for these sources, not {count}")
    return [unique[at] for at in random.choice(len(unique), count, replace=False).tolist()]


def _folded(link: str) -> str:
    """Far coarser than any canonical form: links that differ here are different links to everyone."""
    plain = unquote(html.unescape(link)).lower().partition("#")[0].rstrip("/")
    return _BEFORE_HOST.sub("", plain)


def _fits_a_line(link: str) -> bool:
    return link.isprintable() and link == link.strip() and "://" in link


def _part(one: _ListOf, picked: list[_Row]) -> list[_Row]:
    return picked[int(one.start * len(picked)) : max(int(one.end * len(picked)), 1)]


def _write_list(random: np.random.Generator, data_root: Path, one: _ListOf, picked: list[_Row]) -> list[Match]:
    part = _part(one, picked)
    algorithm = one.kind.partition("_")[2]
    lines = [
        hashlib.new(algorithm, row.link.encode(), usedforsecurity=False).hexdigest() if algorithm else row.link
        for row in (part[at] for at in random.permutation(len(part)).tolist())
    ]
    path = data_root / one.file
    make_private(path.parent)
    write_text(path, "".join(f"{line}\n" for line in lines))
    return [(row.subset, row.shard, row.row, one.name, one.kind) for row in part]


def _write_scores(random: np.random.Generator, path: Path, rows: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_whole(path, mode=PUBLIC_FILE_MODE) as temporary:
        pq.write_table(pa.table({"punsafe": some_scores(random, rows)}), temporary, compression="zstd")


def _subset_table(subset: str, paths: list[Path]) -> str:
    lines = [f"\n[subsets.{subset}]", f"shards = {json.dumps(_glob(paths), ensure_ascii=False)}"]
    if paths[0].suffix == ".tsv":
        lines += ['columns = "cc3m"', "has_header = false  # caption, tab, link"]
    else:
        lines.append(
            f'columns = {{ link = "{_column(paths[0], _LINK_COLUMNS)}", text = "{_column(paths[0], _TEXT_COLUMNS)}" }}'
        )
    lines.append(f'scores = "raw/scores/{subset}/*.parquet"  # generated, not measured: the shards come without scores')
    return "\n".join(lines) + "\n"


def _glob(paths: list[Path]) -> str:
    """A pattern that matches `paths` and nothing else."""
    pattern = glob.escape(str(paths[0]))
    if len(paths) > 1:
        common = os.path.commonprefix([str(path) for path in paths])  # noqa: RUF071 - letters are meant, not folders
        pattern = f"{glob.escape(common)}*{paths[0].suffix}"
    if sorted(glob.glob(pattern)) != [str(path) for path in paths]:  # noqa: PTH207 - the pattern is absolute
        raise ValueError(f"'{pattern}' matches other files than the sources: adopt all of them, or move them apart")
    return pattern
