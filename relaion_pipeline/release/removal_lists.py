"""Removal lists as files: the key of a row and of a link, and how sorted keys are written and read.

What belongs here: the format that `docs/removal-lists.md` promises to everyone. What does not: which rows are
listed (`removals`), and what a holder of a copy does with a list (`clean`).
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.database import literal, quoted

REMOVALS = "removals"
FORMAT = "relaion-removals/1"
ROWS = "rows"
LINKS = "links"
KINDS = (ROWS, LINKS)

Keys = npt.NDArray[np.uint64]
"""Keys, shape (keys,); ascending and distinct where they are a list's."""

_MARK = {ROWS: "52", LINKS: "4C"}  # R and L: a row without text never has the key of its link
_METADATA_KEY = b"relaion.removals"
_KEYS_PER_ROW_GROUP = 1 << 20
_SCHEMA = pa.schema([pa.field("key", pa.uint64(), nullable=False)])


class RemovalListError(Exception):
    """A removal list is missing or is none; the message names the file and what to do."""


@dataclass(frozen=True)
class Head:
    """What a list says of itself."""

    dataset: str
    edition: str
    kind: str  # rows or links
    salt: str
    format: str = FORMAT


def key_sql(salt: str, kind: str, link: str, text: str = "''::BLOB") -> str:
    """SQL for a key: the first 8 bytes, as a big-endian number, of a SHA-256. `link` and `text` are BLOBs, not null."""
    prefix = f"unhex('{salt.encode().hex()}{_MARK[kind]}')"
    return _number_sql(f"{prefix} || {link}" + (f" || '\\x00'::BLOB || {text}" if kind == ROWS else ""))


def text_key_sql(salt: str, kind: str, link: str, text: str) -> str:
    """The same key, where `link` and `text` are VARCHARs, not null: faster by a quarter."""
    prefix = literal(salt + bytes.fromhex(_MARK[kind]).decode())
    return _number_sql(f"{prefix} || {link}" + (f" || chr(0) || {text}" if kind == ROWS else ""))


def _number_sql(content: str) -> str:
    return f"('0x' || left(sha256({content}), 16))::UBIGINT"


def bytes_sql(column: str | None, schema: pa.Schema) -> str:
    """SQL for the bytes of a column of text or bytes; null, like a column that is not there, is empty."""
    if column is None:
        return "''::BLOB"
    bytes_of = quoted(column) if is_bytes(column, schema) else f"encode({quoted(column)}::VARCHAR)"
    return f"coalesce({bytes_of}, ''::BLOB)"


def is_bytes(column: str, schema: pa.Schema) -> bool:
    """Whether a column of text or bytes holds bytes."""
    kind = schema.field(column).type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind))


class ListWriter:
    """Writes one list's keys, which come ascending and distinct, so that the same keys give the same bytes."""

    def __init__(self, path: Path, head: Head) -> None:
        self.keys = 0
        self._waiting: list[Keys] = []
        self._writer = pq.ParquetWriter(
            path,
            _SCHEMA,
            version="2.6",
            data_page_version="1.0",
            # Differences of neighbours, packed to as many bits as they need: about 45 for a million keys.
            column_encoding={"key": "DELTA_BINARY_PACKED"},
            use_dictionary=False,
            compression="none",
            data_page_size=1 << 20,
            write_batch_size=1024,
            write_statistics=True,
            write_page_index=False,
            write_page_checksum=True,
            store_schema=False,
        )
        self._writer.add_key_value_metadata({_METADATA_KEY.decode(): json.dumps(asdict(head), sort_keys=True)})

    def write(self, keys: Keys) -> None:
        """Add keys; they reach the file in row groups of a fixed size."""
        self._waiting.append(keys)
        if sum(map(len, self._waiting)) >= _KEYS_PER_ROW_GROUP:
            joined = np.concatenate(self._waiting)
            whole = len(joined) // _KEYS_PER_ROW_GROUP * _KEYS_PER_ROW_GROUP
            self._flush(joined[:whole])
            self._waiting = [joined[whole:]]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._waiting:
            self._flush(np.concatenate(self._waiting))
        self._writer.close()

    def _flush(self, keys: Keys) -> None:
        if len(keys):
            table = pa.table([pa.array(keys, pa.uint64())], schema=_SCHEMA)
            self._writer.write_table(table, row_group_size=_KEYS_PER_ROW_GROUP)
        self.keys += len(keys)


def path_of(folder: Path, edition: str, kind: str) -> Path:
    """Where a list lies in `folder`, a release's `removals/`."""
    return folder / edition / f"{kind}.parquet"


def read_head(path: Path) -> Head:
    """What the list at `path` says of itself.

    Raises:
        RemovalListError: there is none, or it is of another format.
    """
    with _opened(path) as file:
        try:
            head = Head(**json.loads((file.metadata.metadata or {})[_METADATA_KEY]))
        except (KeyError, TypeError, ValueError):
            raise RemovalListError(f"{path}: not a removal list of format {FORMAT}") from None
    if head.format != FORMAT or head.kind not in KINDS:
        raise RemovalListError(f"{path}: its format is not {FORMAT}; a newer relaion may read it")
    return head


def read_keys(path: Path) -> Iterable[Keys]:
    """The keys of the list at `path`, in pieces.

    Raises:
        RemovalListError: the file is damaged, or its keys are not ascending and distinct.
    """
    last = -1
    with _opened(path) as file:
        for number in range(file.num_row_groups):
            try:
                keys: Keys = file.read_row_group(number, columns=["key"]).column("key").to_numpy()
            except (pa.ArrowException, OSError, KeyError):
                raise RemovalListError(f"{path}: damaged or cut short; fetch it again") from None
            if len(keys) and (int(keys[0]) <= last or not bool(np.all(keys[1:] > keys[:-1]))):
                raise RemovalListError(f"{path}: its keys are not in order; fetch it again")
            last = int(keys[-1]) if len(keys) else last
            yield keys


def _opened(path: Path) -> Any:
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise RemovalListError(f"{path}: no removal list can be read there ({reason})") from None
