"""Any shard as Parquet: text formats are rendered, a sidecar's scores are joined, plain Parquet is left where it is."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from relaion_pipeline import layout
from relaion_pipeline.settings import Columns, Output
from relaion_pipeline.shards.delimited import delimited
from relaion_pipeline.shards.errors import ShardError
from relaion_pipeline.shards.finding import Format, Shard
from relaion_pipeline.shards.jsonl import jsonl
from relaion_pipeline.shards.presets import shown
from relaion_pipeline.shards.reading import batches, open_parquet
from relaion_pipeline.shards.writing import EditionWriter

SCORE = "punsafe"

# Rendered shards are private working files: their form follows from nothing in relaion.toml.
_RENDERED = Output()

Rows = tuple[pa.Schema, Iterator[pa.RecordBatch]]


def as_parquet(shard: Shard, has_header: bool | None, columns: str | Columns, destination: Path) -> Path:
    """The shard as a Parquet file: its own, or a rendering written to `destination` (mode 0600).

    Row n of the rendering is row n of the source; the same source gives the same bytes.

    Args:
        shard: the shard.
        has_header: `Subset.has_header`.
        columns: `Subset.columns`, which names the columns of a file without header.
        destination: where a rendering goes (`layout.DataRoot.converted`); written whole or not at all.

    Raises:
        ShardError: the shard or its scores cannot be read, or do not belong together; names the line, not the content.
    """
    if shard.format is Format.PARQUET and shard.scores is None:
        return shard.path
    schema, rows = _source(shard, has_header, columns)
    if shard.scores is not None:
        schema, rows = _scored(shard, shard.scores, schema, rows)
    if len(set(schema.names)) < len(schema.names):
        twins = sorted({name for name in schema.names if schema.names.count(name) > 1})
        raise ShardError(f"{shard.name}: more than one column is called {shown(twins)}; rename all but one")
    try:
        layout.make_private(destination.parent)
        with (
            layout.written_whole(destination) as temporary,
            EditionWriter(temporary, schema, _RENDERED) as writer,
        ):
            for batch in rows:
                writer.write(batch)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ShardError(
            f"{shard.name}: its rendering {destination} cannot be written: {reason}; "
            "check space and permissions, then run again"
        ) from None
    return destination


def _source(shard: Shard, has_header: bool | None, columns: str | Columns) -> Rows:
    if shard.format is Format.PARQUET:
        with open_parquet(shard.path, shard.name) as file:
            schema = file.schema_arrow
        return schema, batches(shard.path, shard_name=shard.name)
    if shard.format is Format.JSONL:
        return jsonl(shard)
    return delimited(shard, has_header, columns)


def _scored(shard: Shard, scores: Path, schema: pa.Schema, rows: Iterator[pa.RecordBatch]) -> Rows:
    """Append the sidecar's scores as the last column."""
    if SCORE in (name.casefold() for name in schema.names):
        raise ShardError(
            f"{shard.name}: has a column '{SCORE}' already, so {scores} would be a second one; "
            "remove `scores` from relaion.toml"
        )
    with open_parquet(scores, str(scores)) as file:
        if file.schema_arrow.names.count(SCORE) != 1:
            raise ShardError(f"{scores}: needs one column '{SCORE}'; columns found: {shown(file.schema_arrow.names)}")
        field = file.schema_arrow.field(SCORE)
    if not (pa.types.is_floating(field.type) or pa.types.is_integer(field.type) or pa.types.is_null(field.type)):
        raise ShardError(f"{scores}: column '{SCORE}' holds {field.type}, but scores are numbers")
    return schema.append(field), _zipped(rows, batches(scores, columns=[SCORE]), schema.append(field), shard, scores)


def _zipped(
    rows: Iterator[pa.RecordBatch], scores: Iterator[pa.RecordBatch], schema: pa.Schema, shard: Shard, path: Path
) -> Iterator[pa.RecordBatch]:
    waiting: list[Any] = []
    for batch in rows:
        have = sum(len(each) for each in waiting)
        for more in scores:
            waiting.append(more.column(0))
            have += more.num_rows
            if have >= batch.num_rows:
                break
        if have < batch.num_rows:
            raise _uneven(shard, path)
        joined = pa.concat_arrays(waiting)
        waiting = [joined.slice(batch.num_rows)]
        yield pa.record_batch([*batch.columns, joined.slice(0, batch.num_rows)], schema=schema)
    if any(len(each) for each in chain(waiting, scores)):
        raise _uneven(shard, path)


def _uneven(shard: Shard, scores: Path) -> ShardError:
    return ShardError(
        f"{shard.name}: has another number of rows than its scores {scores}; make the scores anew from this shard"
    )
