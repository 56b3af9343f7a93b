"""Cleaning a Parquet file: metadata, or images with their metadata in one file.

Rows that stay keep their values, order, columns, types and the file's own metadata; row groups are cut anew.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from relaion_pipeline.clean.columns import Pair
from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.judging import Mask
from relaion_pipeline.clean.work import Work
from relaion_pipeline.settings import Columns, Output
from relaion_pipeline.shards import EditionWriter, ShardError, batches, open_parquet

_BATCH_BYTES = 16 << 20
_GROUP_BYTES = 64 << 20
_MOST_ROWS = 131_072
_KEY = "key"
_STATUS = ("status", "error_message")


@dataclass
class Removed:
    """What went from a table, as far as img2dataset's statistics need to know."""

    rows: int = 0
    removed: int = 0
    statuses: Counter[tuple[str | None, str | None]] = field(default_factory=Counter)
    """(status, error message) of removed rows, where the table says them."""

    @classmethod
    def of_samples(cls, samples: int, removed: int) -> "Removed":
        """Of samples without a table: all of them were downloaded."""
        return cls(samples, removed, Counter({("success", None): removed}))

    def add(self, batch: pa.RecordBatch, goes: Mask) -> None:
        """Count a batch."""
        self.rows += len(batch)
        self.removed += int(goes.sum())
        if goes.any() and _STATUS[0] in batch.schema.names:
            self.statuses.update(zip(*(_values(batch, name, goes) for name in _STATUS), strict=True))


def clean(source: Path, target: Path | None, work: Work, also: frozenset[str] = frozenset()) -> Removed:
    """Write the rows of `source` that stay to `target`, or only count them where it is None.

    `also` are values of the column `key` whose rows go whatever the judge says.

    Raises:
        CleanError: the file cannot be read, or its columns cannot be told.
    """
    try:
        with open_parquet(source, str(source)) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
            per_row = max(1, _bytes(file.metadata) // max(rows, 1))
            codec = _codec(file.metadata)
        pair = work.choice.find(schema, source)
        told = Removed()
        if target is None:
            names = [name for name in (pair.link, pair.text, _KEY, *_STATUS) if name and name in schema.names]
            for batch, goes in _judged(_Table(source, pair, names, 1), work, also):
                told.add(batch, goes)
            work.progress(source.stat().st_size)
            return told
        output = Output.model_construct(
            row_group_rows=max(1, min(_MOST_ROWS, _GROUP_BYTES // per_row)), compression=codec, compression_level=1
        )
        columns = Columns.model_validate({"link": pair.link, "text": pair.text})
        with EditionWriter(target, schema, output, columns) as writer:
            for batch, goes in _judged(_Table(source, pair, None, per_row), work, also):
                writer.write(batch.filter(pa.array(~goes)) if goes.any() else batch)
                told.add(batch, goes)
                work.progress(source.stat().st_size * len(batch) // max(rows, 1))
    except ShardError as error:
        raise CleanError(str(error)) from None
    except OSError as error:
        raise CleanError(f"{source}: its clean copy cannot be written ({error.strerror})") from None
    return told


def keys(source: Path, work: Work | None = None) -> frozenset[str]:
    """Values of the column `key`: of all rows, or of those that go where someone is given to judge.

    Raises:
        CleanError: as `clean`, or there is no such column.
    """
    found: set[str] = set()
    try:
        with open_parquet(source, str(source)) as file:
            schema = file.schema_arrow
        if _KEY not in schema.names:
            raise CleanError(f"{source}: has no column '{_KEY}' to tell samples by; is it img2dataset's own?")
        if work is None:
            for batch in batches(source, columns=[_KEY], shard_name=str(source)):
                found.update(batch.column(0).cast(pa.string()).to_pylist())
            return frozenset(found)
        pair = work.choice.find(schema, source)
        names = [name for name in (pair.link, pair.text, _KEY) if name is not None]
        for batch, goes in _judged(_Table(source, pair, names, 1), work, frozenset()):
            found.update(batch.column(_KEY).filter(pa.array(goes)).cast(pa.string()).to_pylist())
    except ShardError as error:
        raise CleanError(str(error)) from None
    return frozenset(found)


@dataclass(frozen=True)
class _Table:
    """What is to be read of a file."""

    source: Path
    pair: Pair
    names: list[str] | None
    bytes_per_row: int


def _judged(table: _Table, work: Work, also: frozenset[str]) -> Iterator[tuple[pa.RecordBatch, Mask]]:
    """Batches, and which of their rows go."""
    rows = max(1, min(_MOST_ROWS, _BATCH_BYTES // table.bytes_per_row))
    for batch in batches(table.source, rows, table.names, shard_name=str(table.source)):
        links = batch.column(table.pair.link)
        texts = batch.column(table.pair.text) if table.pair.text else pa.nulls(len(batch), pa.string())
        goes = work.judge.goes(links, texts)
        if also and _KEY in batch.schema.names:
            goes |= np.isin(batch.column(_KEY).cast(pa.string()).to_numpy(zero_copy_only=False), list(also))
        yield batch, goes


def _values(batch: pa.RecordBatch, name: str, goes: Mask) -> list[str | None]:
    if name not in batch.schema.names:
        return [None] * int(goes.sum())
    values: list[str | None] = batch.column(name).filter(pa.array(goes)).to_pylist()
    return values


def _bytes(metadata: Any) -> int:
    return sum(metadata.row_group(number).total_byte_size for number in range(metadata.num_row_groups))


def _codec(metadata: Any) -> Literal["snappy", "zstd"]:
    """The file's own codec where it is one that we write, else zstd."""
    if metadata.num_row_groups and metadata.num_columns:
        return "snappy" if metadata.row_group(0).column(0).compression == "SNAPPY" else "zstd"
    return "zstd"
