"""Writing Parquet: the same rows give the same bytes, whatever batches they came in and however many threads ran.

What belongs here: how a published or rendered file is encoded. What does not: which rows go into it.
"""

from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.settings import Columns, Output
from relaion_pipeline.shards.errors import ShardError
from relaion_pipeline.shards.presets import parts

# Parts whose values hardly repeat: looking for repeats in them costs time and finds none.
_UNIQUE_PARTS = frozenset({"link", "text", "md5", "sha1", "sha256"})
# A dictionary that outgrows this is dropped for plain values, so that a unique column wastes little on trying.
_DICTIONARY_BYTES = 128 * 1024
_PAGE_BYTES = 1 << 20


class EditionWriter:
    """Writes record batches to one Parquet file in row groups of exactly `output.row_group_rows` rows.

    `columns` tells which columns hold values that hardly repeat. Use it in a `with`; an exception inside leaves an
    unfinished file for the caller to remove (`layout.written_whole` does). What the disk refuses is an OSError.
    """

    def __init__(self, path: Path, schema: pa.Schema, output: Output, columns: Columns | None = None) -> None:
        self.rows = 0
        self._schema = schema
        self._group_rows = output.row_group_rows
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._dictionaries = _dictionary_columns(schema)
        self._writer = pq.ParquetWriter(path, schema, **_options(schema, output, columns))

    def write(self, batch: pa.RecordBatch) -> None:
        """Add rows; they reach the file when a row group is full."""
        start = 0
        while start < batch.num_rows:
            take = min(batch.num_rows - start, self._group_rows - self._waiting_rows)
            self._waiting.append(batch.slice(start, take))
            self._waiting_rows += take
            start += take
            if self._waiting_rows == self._group_rows:
                self._flush()

    def close(self) -> None:
        """Write what is waiting, and the footer."""
        if self._waiting_rows:
            self._flush()
        self._writer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._waiting.clear()
            with suppress(OSError, pa.ArrowException):  # the first error is the one to tell
                self._writer.close()

    def _flush(self) -> None:
        # One chunk a column: pages would else break where the incoming batches did.
        table = pa.Table.from_batches(self._waiting, schema=self._schema)
        for number in self._dictionaries:
            table = table.set_column(number, self._schema.field(number), _compact(table.column(number)))
        self._writer.write_table(table.combine_chunks(), row_group_size=self._group_rows)
        self.rows += self._waiting_rows
        self._waiting.clear()
        self._waiting_rows = 0


def _options(schema: pa.Schema, output: Output, columns: Columns | None) -> dict[str, Any]:
    """Every option that shapes the bytes, spelt out: a new pyarrow's other default must not change a release."""
    unique = {name for part, name in parts(columns).items() if part in _UNIQUE_PARTS} if columns else set()
    return {
        "version": "2.6",
        "data_page_version": "1.0",
        "compression": output.compression,
        "compression_level": output.compression_level if output.compression == "zstd" else None,
        "use_dictionary": [field.name for field in schema if field.name not in unique and _may_repeat(field.type)],
        "dictionary_pagesize_limit": _DICTIONARY_BYTES,
        "data_page_size": _PAGE_BYTES,
        "write_batch_size": 1024,
        "write_statistics": True,
        "write_page_index": False,
        "write_page_checksum": True,
        "store_schema": True,
        "store_decimal_as_integer": False,
        "use_compliant_nested_type": False,  # keeps the source's names of list items
        "coerce_timestamps": None,
    }


def _may_repeat(kind: Any) -> bool:
    """Whether a dictionary may pay: judged by type, not by trying, so that the bytes follow from the schema."""
    return not (pa.types.is_floating(kind) or pa.types.is_nested(kind) or pa.types.is_boolean(kind))


def _dictionary_columns(schema: pa.Schema) -> list[int]:
    """Columns of a dictionary type.

    Raises:
        ShardError: one lies inside a nested column, where its unused values cannot be dropped.
    """
    for field in schema:
        if _hides_dictionary(field.type):
            raise ShardError(
                f"column '{field.name}' holds a dictionary type inside a nested one, and values of removed rows could "
                "stay in it; cast it to plain text in the source"
            )
    return [number for number, field in enumerate(schema) if pa.types.is_dictionary(field.type)]


def _hides_dictionary(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        return False
    inside = [kind.field(number).type for number in range(kind.num_fields)]
    return any(pa.types.is_dictionary(each) or _hides_dictionary(each) for each in inside)


def _compact(column: pa.ChunkedArray) -> pa.Array:
    """The same values behind a dictionary of only those that occur, in order of appearance.

    Filtering keeps a dictionary whole, and Parquet would store it so: the links of removed rows would be published.
    """
    kind = column.type
    plain = column.cast(kind.value_type).combine_chunks()
    if isinstance(plain, pa.ChunkedArray):
        plain = pa.concat_arrays(plain.chunks)
    encoded = plain.dictionary_encode()
    return pa.DictionaryArray.from_arrays(
        encoded.indices.cast(kind.index_type), encoded.dictionary, ordered=kind.ordered
    )
