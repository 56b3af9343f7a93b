"""JSONL shards: one object a line, one row a line.

Numbers keep their kind, objects and arrays travel as JSON text, a key that a line lacks is null. The file is read
twice, so that the columns and their types hold for all of it.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import Any, NoReturn

import pyarrow as pa

from relaion_pipeline.shards.errors import ShardError
from relaion_pipeline.shards.finding import Shard
from relaion_pipeline.shards.lines import decoded, lines
from relaion_pipeline.shards.presets import JSON_MARK, shown

_ROWS_PER_BATCH = 16_384
_MAX_COLUMNS = 2_000
_INT64 = 2**63
# Beyond this a double cannot hold every whole number, so whole numbers may not join a column of fractions.
_EXACT = 2**53

Object = dict[str, Any]


class _Kind(Enum):
    BOOL = "true or false"
    INT = "a whole number"
    FLOAT = "a fraction"
    TEXT = "text"
    NESTED = "an object or array"


_ARROW = {_Kind.BOOL: pa.bool_(), _Kind.INT: pa.int64(), _Kind.FLOAT: pa.float64()}


@dataclass
class _Column:
    kind: _Kind | None = None
    large: bool = False
    """Whether a whole number came that a double cannot hold."""


def jsonl(shard: Shard) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and rows of a JSONL shard.

    Raises:
        ShardError: also while iterating: a line that is no JSON object, or disagrees with the lines before it.
    """
    columns: dict[str, _Column] = {}
    for number, row in _rows(shard):
        for key, value in row.items():
            _see(columns.setdefault(key, _Column()), key, value, f"{shard.name}, line {number}")
        if len(columns) > _MAX_COLUMNS:
            raise ShardError(
                f"{shard.name}, line {number}: more than {_MAX_COLUMNS} keys so far; not rows of one table"
            )
    if not columns:
        raise ShardError(f"{shard.name}: holds no row; fetch it again from where it came")
    schema = pa.schema([_field(name, column) for name, column in columns.items()])
    return schema, _batches(shard, schema, [column.kind is _Kind.NESTED for column in columns.values()])


def _rows(shard: Shard) -> Iterator[tuple[int, Object]]:
    for number, line in lines(shard.path, shard.name):
        text = decoded(number, line, shard.name)
        try:
            row = json.loads(text, object_pairs_hook=_object, parse_constant=_refuse)
        except (ValueError, RecursionError):
            raise ShardError(
                f"{shard.name}, line {number}: not valid JSON (one object a line, no key twice, no NaN); "
                "correct the line or fetch the file again"
            ) from None
        if not isinstance(row, dict):
            raise ShardError(f"{shard.name}, line {number}: not a JSON object; one object a line is read, not arrays")
        yield number, row


def _object(pairs: list[tuple[str, Any]]) -> Object:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError
    return made


def _refuse(_: str) -> NoReturn:
    raise ValueError


def _kind(value: Any, place: str) -> _Kind:
    if isinstance(value, bool):
        return _Kind.BOOL
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise ShardError(f"{place} is too large for 64 bits; write it as text in the source")
        return _Kind.INT
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ShardError(f"{place} is too large for a double; write it as text in the source")
        return _Kind.FLOAT
    return _Kind.TEXT if isinstance(value, str) else _Kind.NESTED


def _see(column: _Column, key: str, value: Any, line: str) -> None:
    """Widen the column's kind to take `value`, or refuse: a link must not turn up as JSON text here and there."""
    if value is None:
        return
    place = f"{line}: '{shown([key])}'"
    kind = _kind(value, place)
    column.large |= kind is _Kind.INT and abs(value) > _EXACT
    before = column.kind or kind
    if before is not kind:
        if {before, kind} != {_Kind.INT, _Kind.FLOAT}:
            raise ShardError(f"{place} is {kind.value}, but {before.value} in lines before; make them agree")
        kind = _Kind.FLOAT
    if kind is _Kind.FLOAT and column.large:
        raise ShardError(f"{place} has fractions in some lines and large whole numbers in others; make them text")
    column.kind = kind


def _field(name: str, column: _Column) -> pa.Field:
    if column.kind is _Kind.NESTED:
        return pa.field(name, pa.string(), metadata=JSON_MARK)
    return pa.field(name, pa.string() if column.kind is None else _ARROW.get(column.kind, pa.string()))


def _batches(shard: Shard, schema: pa.Schema, nested: list[bool]) -> Iterator[pa.RecordBatch]:
    rows = _rows(shard)
    while chunk := list(islice(rows, _ROWS_PER_BATCH)):
        arrays = []
        for field, is_nested in zip(schema, nested, strict=True):
            values = [row.get(field.name) for _, row in chunk]
            if is_nested:
                values = [
                    None if v is None else json.dumps(v, ensure_ascii=False, separators=(",", ":")) for v in values
                ]
            arrays.append(_array(values, field.type, shard, chunk))
        yield pa.record_batch(arrays, schema=schema)


def _array(values: list[Any], kind: Any, shard: Shard, chunk: list[tuple[int, Object]]) -> pa.Array:
    try:
        return pa.array(values, kind)
    except (UnicodeEncodeError, pa.ArrowException, TypeError, OverflowError):
        pass
    for (number, _), value in zip(chunk, values, strict=True):
        try:
            pa.array([value], kind)
        except (UnicodeEncodeError, pa.ArrowException, TypeError, OverflowError):
            raise ShardError(
                f"{shard.name}, line {number}: a text that is not Unicode (half a surrogate pair), or a value that "
                "changed while the file was read; correct the line"
            ) from None
    raise ShardError(f"{shard.name}: changed while it was read; run again when it is complete")
