"""Writing editions: every kept row is encoded once, into a `safe` or an `extra` file.

research-safe is the safe files; research is the safe and the extra files. That research-safe is a subset of research
therefore holds by construction: both hold hard links to the same bytes.
"""

import errno
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from relaion_pipeline import database
from relaion_pipeline.layout import PUBLIC_FILE_MODE, DataRoot, make_private, write_text, written_whole
from relaion_pipeline.provenance import WRITING, code_version, key_of
from relaion_pipeline.screening import verdicts
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards import EditionWriter, ShardError, batches, open_parquet, sha256_file
from relaion_pipeline.shards.stock import StockedShard

SAFE = "safe"
EXTRA = "extra"
PARTS = (SAFE, EXTRA)


class EditionError(Exception):
    """An edition cannot be written; the message names the shard and what to do."""


@dataclass(frozen=True)
class StagedFile:
    """A written, not yet released file."""

    rows: int
    bytes: int
    sha256: str
    modified_ns: int  # a file changed since is written anew


@dataclass(frozen=True)
class StagedShard:
    """What one shard became. `key` says from what; it marks the files as complete."""

    key: str
    subset: str
    stem: str
    source_sha256: str
    source_rows: int
    safe: StagedFile
    extra: StagedFile


def write(
    shards: Sequence[StockedShard], settings: Settings, root: DataRoot, progress: Callable[[int], None] = lambda _: None
) -> list[StagedShard]:
    """Stage the edition files of `shards`, several at a time; files that stand for the same inputs are left alone.

    `progress` is told the rows of each shard that is done.

    Raises:
        EditionError: one or more shards could not be written; all others are.
    """

    def one(shard: StockedShard) -> StagedShard | str:
        try:
            staged = _write_one(shard, settings, root)
        except (ShardError, EditionError) as error:
            return str(error)
        progress(shard.rows)
        return staged

    with ThreadPoolExecutor(database.threads(settings.limits)) as pool:
        results = list(pool.map(one, shards))
    failures = [result for result in results if isinstance(result, str)]
    if failures:
        raise EditionError("\n".join(failures))
    return [result for result in results if isinstance(result, StagedShard)]


def key(shard: StockedShard, header: verdicts.Header, settings: Settings) -> str:
    """Digest of all that a shard's edition files depend on. Which list named a row is not part of it."""
    return key_of(
        shard.source_sha256,
        shard.scores_sha256,
        shard.columns.model_dump(),
        header.effect_sha256,
        settings.output.model_dump(mode="json"),
        code_version(WRITING),
    )


def read_record(root: DataRoot, subset: str, stem: str) -> StagedShard | None:
    """What was staged for a shard, or None."""
    try:
        content = json.loads(root.edition_record(subset, stem).read_text(encoding="utf-8"))
        return StagedShard(**(content | {part: StagedFile(**content[part]) for part in PARTS}))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_one(shard: StockedShard, settings: Settings, root: DataRoot) -> StagedShard:
    verdict_file = root.verdicts(shard.subset, shard.stem)
    header = verdicts.read_header(verdict_file)
    if header is None or header.source_sha256 != shard.source_sha256:
        raise EditionError(
            f"{shard.name}: no verdicts for the shard as it is now; materialise its screened slice first"
        )
    known = read_record(root, shard.subset, shard.stem)
    if known is not None and known.key == key(shard, header, settings) and _stands(known, root):
        return known
    record = root.edition_record(shard.subset, shard.stem)
    make_private(record.parent)
    record.unlink(missing_ok=True)
    paths = [root.staged(shard.subset, shard.stem, part) for part in PARTS]
    safe_path, extra_path = paths
    with (
        _disk_errors(shard),
        written_whole(safe_path, mode=PUBLIC_FILE_MODE) as safe_file,
        written_whole(extra_path, mode=PUBLIC_FILE_MODE) as extra_file,
    ):
        _divide(shard, settings, verdict_file, safe_file, extra_file)
    staged = StagedShard(
        key=key(shard, header, settings),
        subset=shard.subset,
        stem=shard.stem,
        source_sha256=shard.source_sha256,
        source_rows=shard.rows,
        safe=_describe(safe_path, shard),
        extra=_describe(extra_path, shard),
    )
    write_text(record, json.dumps(asdict(staged), indent=1))
    return staged


def _divide(shard: StockedShard, settings: Settings, verdict_file: Path, safe_file: Path, extra_file: Path) -> None:
    """Send every row of a shard into the safe file, the extra file or nowhere, in order."""
    removed_rows, bits = verdicts.read_rows(verdict_file)
    leaves_research = (bits & verdicts.RESEARCH_BITS) != 0
    with open_parquet(shard.parquet, shard.name) as file:
        schema = file.schema_arrow
    with (
        EditionWriter(safe_file, schema, settings.output, shard.columns) as safe,
        EditionWriter(extra_file, schema, settings.output, shard.columns) as extra,
    ):
        start = 0
        for batch in batches(shard.parquet, shard_name=shard.name):
            end = start + len(batch)
            here = slice(*np.searchsorted(removed_rows, [start, end]))
            at = removed_rows[here] - start
            if len(at) == 0:
                safe.write(batch)
            else:
                keep = np.ones(len(batch), dtype=bool)
                keep[at] = False
                safe.write(batch.filter(pa.array(keep)))
                extra.write(batch.take(pa.array(at[~leaves_research[here]])))
            start = end


def _describe(path: Path, shard: StockedShard) -> StagedFile:
    with open_parquet(path, shard.name) as file:
        rows = file.metadata.num_rows
    found = path.stat()
    return StagedFile(rows=rows, bytes=found.st_size, sha256=sha256_file(path), modified_ns=found.st_mtime_ns)


def _stands(known: StagedShard, root: DataRoot) -> bool:
    """Whether the staged files are there, untouched since they were written; the gate reads every byte of them."""
    for part, staged in ((SAFE, known.safe), (EXTRA, known.extra)):
        try:
            found = root.staged(known.subset, known.stem, part).stat()
            if (found.st_size, found.st_mtime_ns) != (staged.bytes, staged.modified_ns):
                return False
        except OSError:
            return False
    return True


@contextmanager
def _disk_errors(shard: StockedShard) -> Iterator[None]:
    """Turn the system's errors about the files being written into an EditionError."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise EditionError(f"{shard.name}: no space left to write its editions; free some and run again") from None
        what = os.strerror(error.errno) if error.errno else type(error).__name__
        raise EditionError(f"{shard.name}: its editions cannot be written ({what})") from None
