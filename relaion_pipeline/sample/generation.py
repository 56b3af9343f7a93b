"""Making a whole data root of LAION-like rows and lists from a seed.

What belongs here: the order of the work and the files it leaves.
What does not: what rows, links, texts and lists look like.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from relaion_pipeline.layout import PUBLIC_FILE_MODE, write_text, written_whole
from relaion_pipeline.sample import settings_text
from relaion_pipeline.sample.lists import write_lists
from relaion_pipeline.sample.plan import FEEDS, Plan, Planted, make_plan
from relaion_pipeline.sample.rows import RowMaker, make_row_makers, schema
from relaion_pipeline.sample.truth import Match, write_truth
from relaion_pipeline.sample.words import KEYWORD_FILE
from relaion_pipeline.settings import SETTINGS_FILE

BATCH_ROWS = 100_000


@dataclass(frozen=True)
class SampleSummary:
    """What was made. The counts are public facts; none of them says where a listed row is."""

    data_root: Path
    truth: Path
    rows: dict[str, int]  # by subset
    shards: int
    entries: dict[str, int]  # by feed: lines in its list
    matches: dict[str, dict[str, int]]  # by feed and subset: rows it lists
    listed: int  # rows that at least one feed lists


def generate(
    data_root: Path,
    *,
    rows: int,
    seed: int,
    shards: int | None = None,
    hashes: int | None = None,
    planted: int | None = None,
    respelled: float = 0.0,
    marks: bool = False,
    progress: Callable[[int], None] | None = None,
) -> SampleSummary:
    """Make a data root at `data_root` and its answer sheet beside it. The same arguments give the same bytes.

    Args:
        data_root: a folder that does not exist yet, or is empty.
        rows: rows in all three subsets together.
        seed: what the sample is drawn from.
        shards: files per subset; by default three, and more from half a million rows a file on.
        hashes: entries of the IWF's and C3P's lists together; by default as many as rows, at most 16.2 million.
        planted: rows that at least one list names; by default one in 300, at least 60 and at most 2,236.
        respelled: share of listed links that the list writes, or hashes, in another spelling than the row's. By
            default none: each is found by its exact bytes.
        marks: let every listed link, and its text, hold `zqx7canary` and eight hex digits.
        progress: called with the number of rows just written.

    Raises:
        ValueError: a number is out of range.
        FileExistsError: `data_root` holds something already.
    """
    random = stream(seed, 0)
    plan = make_plan(random, rows=rows, shards=shards, hashes=hashes, planted=planted, marks=marks)
    prepare(data_root)
    makers = make_row_makers(random, list(plan.shards), marks=marks)
    links: dict[str, str] = {}  # by token
    for at, (subset, sizes) in enumerate(plan.shards.items()):
        folder = data_root / "raw" / subset
        folder.mkdir(parents=True)
        for number, size in enumerate(sizes):
            # A stream of its own for each shard: one shard's bytes do not depend on how another was made.
            own = stream(seed, 1, at, number)
            listed = {each.row: each for each in plan.planted if (each.subset, each.shard) == (subset, number)}
            path = folder / f"{shard_stem(number)}.parquet"
            links |= _write_shard(
                own, path, size, maker=makers[subset], listed=dict(sorted(listed.items())), progress=progress
            )
    ordered = [links[each.token] for each in plan.planted]
    write_lists(random, data_root, plan, ordered, respelled=respelled, marks=marks)
    write_text(data_root / "keywords.txt", KEYWORD_FILE, mode=PUBLIC_FILE_MODE)
    write_text(data_root / SETTINGS_FILE, settings_text.generated(plan), mode=PUBLIC_FILE_MODE)
    return _summary(data_root, plan)


def stream(seed: int, *place: int) -> np.random.Generator:
    """The random numbers for one place in a sample, independent of those for every other place."""
    # Not SeedSequence([seed, *place]): that pads with zeros, so [7] and [7, 0, 0] are one and the same stream.
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=place)))


def shard_stem(number: int) -> str:
    """A name like those of LAION-5B's parts; the middle is the same for all, as a Spark job's is."""
    return f"part-{number:05}-5a3c0de1-0000-4000-8000-5a3b1e5a3b1e-c000"


def prepare(data_root: Path) -> None:
    """Make the folder, or raise when something lies there: a sample never mixes with other files."""
    if data_root.exists() and any(data_root.iterdir()):
        raise FileExistsError(f"{data_root}: not empty; a sample goes into a new folder")
    data_root.mkdir(parents=True, exist_ok=True)


def _write_shard(
    random: np.random.Generator,
    path: Path,
    rows: int,
    *,
    maker: RowMaker,
    listed: dict[int, Planted],
    progress: Callable[[int], None] | None = None,
) -> dict[str, str]:
    """Write one shard batch by batch; return the links of its listed rows by token."""
    links: dict[str, str] = {}
    with (
        written_whole(path, mode=PUBLIC_FILE_MODE) as temporary,
        pq.ParquetWriter(temporary, schema(maker.subset), compression="zstd", compression_level=1) as writer,
    ):
        for start in range(0, rows, BATCH_ROWS):
            size = min(BATCH_ROWS, rows - start)
            here = {row - start: each for row, each in listed.items() if start <= row < start + size}
            table, found = maker.batch(random, size, here)
            writer.write_table(table)
            links |= {each.token: link for each, link in zip(here.values(), found, strict=True)}
            if progress is not None:
                progress(size)
    return links


def _summary(data_root: Path, plan: Plan) -> SampleSummary:
    matches: list[Match] = [
        (each.subset, shard_stem(each.shard), each.row, FEEDS[feed].name, FEEDS[feed].kind)
        for each in plan.planted
        for feed in each.feeds
    ]
    counts = {feed.name: dict.fromkeys(plan.shards, 0) for feed in FEEDS}
    for subset, _, _, feed, _ in matches:
        counts[feed][subset] += 1
    return SampleSummary(
        data_root=data_root,
        truth=write_truth(data_root, matches),
        rows={subset: sum(sizes) for subset, sizes in plan.shards.items()},
        shards=sum(len(sizes) for sizes in plan.shards.values()),
        entries={feed.name: entries for feed, entries in zip(FEEDS, plan.entries, strict=True)},
        matches=counts,
        listed=len(plan.planted),
    )
