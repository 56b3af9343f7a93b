"""CSV and TSV shards: every column is text, every field exactly the bytes between its delimiters.

CSV follows RFC 4180. TSV has no quoting, as in Conceptual Captions: tabs split, quotes are part of the text.
"""

import csv
import re
from collections.abc import Iterator
from itertools import chain, islice

import pyarrow as pa

from relaion_pipeline.settings import Columns
from relaion_pipeline.shards.errors import ShardError
from relaion_pipeline.shards.finding import Format, Shard
from relaion_pipeline.shards.lines import MAX_LINE_BYTES, decoded, lines
from relaion_pipeline.shards.presets import AUTO, PRESETS, resolve, shown

_ROWS_PER_BATCH = 16_384
_LINK = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*://\S", re.ASCII)
# Rows looked at to tell which field of a headerless file is the link, and the share that has to look like one.
_SAMPLE_ROWS = 1_000
_MOST = 0.9
_FEW = 0.5
_HEADERLESS_FIELDS = 2

Record = tuple[int, list[str]]


def delimited(
    shard: Shard, has_header: bool | None, setting: str | Columns
) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    """Schema and rows of a CSV or TSV shard.

    Args:
        shard: the shard.
        has_header: whether the first line names the columns; None: told from its content.
        setting: `Subset.columns`, which names the columns of a file without header.

    Raises:
        ShardError: also while iterating: a line with the wrong number of fields or not UTF-8, by its number.
    """
    records = _records(shard)
    first = next(records, None)
    if first is None:
        raise ShardError(f"{shard.name}: the file is empty; fetch it again from where it came")
    if _is_header(first[1], has_header, setting, shard):
        names = first[1]
    else:
        sample = [first, *islice(records, _SAMPLE_ROWS - 1)]
        names = _headerless_names(sample, setting, shard)
        records = chain(sample, records)
    schema = pa.schema([(name, pa.string()) for name in names])
    return schema, _batches(records, schema, shard)


def _records(shard: Shard) -> Iterator[Record]:
    """Number of the first line and fields of each record."""
    return _tsv(shard) if shard.format is Format.TSV else _csv(shard)


def _tsv(shard: Shard) -> Iterator[Record]:
    windows: bool | None = None
    for number, line in lines(shard.path, shard.name):
        if windows is None:
            windows = line.endswith(b"\r")
        text = decoded(number, line.removesuffix(b"\r") if windows else line, shard.name)
        yield number, text.split("\t")


def _csv(shard: Shard) -> Iterator[Record]:
    csv.field_size_limit(MAX_LINE_BYTES)
    # The reader wants line ends to tell a newline inside quotes from the end of a record.
    source = (decoded(number, line, shard.name) + "\n" for number, line in lines(shard.path, shard.name))
    reader = csv.reader(source, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            record = next(reader, None)
        except csv.Error:
            raise ShardError(
                f"{shard.name}, line {number}: not valid CSV (a quote not closed or out of place, or a stray carriage "
                "return); correct the line or convert the file to Parquet"
            ) from None
        if record is None:
            return
        yield number, record


def _is_header(fields: list[str], has_header: bool | None, setting: str | Columns, shard: Shard) -> bool:
    holds_link = any(_LINK.match(field) for field in fields)
    if has_header and holds_link:
        raise ShardError(
            f"{shard.name}, line 1: relaion.toml says `has_header = true`, but the line holds a link; "
            "set `has_header = false`"
        )
    if has_header is not None or holds_link:
        return bool(has_header)
    try:
        resolve(setting, pa.schema([(field, pa.string()) for field in fields]))
    except ShardError:
        # Not told on: the line may be a row, and what a row says goes into no message.
        raise ShardError(
            f"{shard.name}, line 1: neither a row with a link nor a header with the columns that relaion.toml asks "
            "for; set `has_header`, and `columns` to what the header says"
        ) from None
    return True


def _headerless_names(sample: list[Record], setting: str | Columns, shard: Shard) -> list[str]:
    """Names for the fields of a file without header; which one is the link is seen from the rows."""
    width = len(sample[0][1])
    if width != _HEADERLESS_FIELDS:
        raise ShardError(
            f"{shard.name}: no header, and {width} fields in line 1; only a caption and a link can be told apart: "
            "add a header line to the file"
        )
    link, text = _wanted_names(setting, shard)
    shares = [
        sum(len(fields) > place and _LINK.match(fields[place]) is not None for _, fields in sample) / len(sample)
        for place in range(width)
    ]
    for place in range(width):
        if shares[place] >= _MOST and shares[1 - place] < _FEW:
            return [link, text] if place == 0 else [text, link]
    raise ShardError(
        f"{shard.name}: no header, and neither field is a link throughout the first {len(sample)} lines; "
        "add a header line to the file, or convert it to Parquet"
    )


def _wanted_names(setting: str | Columns, shard: Shard) -> tuple[str, str]:
    if isinstance(setting, Columns):
        link, text = setting.link, setting.text
    else:
        preset = PRESETS.get("cc3m" if setting == AUTO else setting)
        link, text = (preset.link, preset.text) if preset else ("", None)
    if not link or not text:
        raise ShardError(
            f"{shard.name}: no header, so relaion.toml has to say what the two fields are called: "
            '`columns = { link = "url", text = "caption" }`'
        )
    return link, text


def _batches(records: Iterator[Record], schema: pa.Schema, shard: Shard) -> Iterator[pa.RecordBatch]:
    width = len(schema)
    while rows := list(islice(records, _ROWS_PER_BATCH)):
        for number, fields in rows:
            if len(fields) != width:
                raise ShardError(
                    f"{shard.name}, line {number}: {len(fields)} fields, but {width} columns "
                    f"({shown(schema.names)}); correct the line or fetch the file again"
                )
        columns = zip(*(fields for _, fields in rows), strict=True)
        yield pa.record_batch([pa.array(column, pa.string()) for column in columns], schema=schema)
