"""Which rows of a copy go: by the keys of a removal list, or because no edition holds them.

What belongs here: keys of many rows at once, and looking them up. What does not: reading copies.
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from relaion_pipeline.release import removal_lists
from relaion_pipeline.release.removal_lists import LINKS, ROWS, Keys

Mask = npt.NDArray[np.bool_]


class By(StrEnum):
    """What of a row is compared."""

    EITHER = "either"
    ROW = "row"
    LINK = "link"


@dataclass(frozen=True)
class Judge:
    """Says which rows go. It is handed to worker processes, which share the keys through the disk's cache.

    Attributes:
        salt: of the keys.
        by: what is compared.
        keys: kind of key (`rows`, `links`) to a file of ascending numbers, 64 bits each in this machine's order.
        keeps: whether `keys` are those of rows to keep (an edition's) and not of rows to remove.
        digest: of the keys and of how they are used.
    """

    salt: str
    by: By
    keys: dict[str, Path]
    keeps: bool
    digest: str

    @property
    def wants_text(self) -> bool:
        """Whether a row is judged by its text, too."""
        return self.by is not By.LINK

    def goes(self, links: Any, texts: Any) -> Mask:
        """For each row, whether it goes. `links` and `texts` are Arrow arrays of text or bytes."""
        found = np.zeros(len(links), dtype=bool)
        if len(links):
            for kind, keys in self.keys_of(links, texts).items():
                found |= _contains(self._sorted[kind], keys)
        return ~found if self.keeps else found

    def keys_of(self, links: Any, texts: Any) -> dict[str, Keys]:
        """For each kind of key that is compared, the key of each row."""
        kinds = {By.EITHER: (ROWS, LINKS), By.ROW: (ROWS,), By.LINK: (LINKS,)}[self.by]
        columns = {"link": _plain(links), "text": _plain(texts)}
        if len({pa.types.is_binary(each.type) or pa.types.is_large_binary(each.type) for each in columns.values()}) > 1:
            columns = {name: each.cast(pa.large_binary()) for name, each in columns.items()}
        return dict(zip(kinds, self._hashed(columns, kinds), strict=True))

    @cached_property
    def _sorted(self) -> dict[str, Keys]:
        return {kind: _mapped(path) for kind, path in self.keys.items()}

    def _hashed(self, columns: dict[str, Any], kinds: Iterable[str]) -> list[Keys]:
        plain = all(pa.types.is_string(each.type) or pa.types.is_large_string(each.type) for each in columns.values())
        key_sql = removal_lists.text_key_sql if plain else removal_lists.key_sql
        link, text = ("coalesce({}, {})".format(name, "''" if plain else "''::BLOB") for name in ("link", "text"))
        selected = ", ".join(f"{key_sql(self.salt, kind, link, text)} AS {kind}" for kind in kinds)
        connection = _connection()
        connection.register("given", pa.table(columns))
        answer: Any = connection.sql(f"SELECT {selected} FROM given")
        return [column.to_numpy() for column in answer.to_arrow_table().columns]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_sorted"}


_LOCAL = threading.local()


def _connection() -> duckdb.DuckDBPyConnection:
    """This thread's DuckDB, of one thread: files are cleaned side by side."""
    if not hasattr(_LOCAL, "connection"):
        _LOCAL.connection = duckdb.connect(
            config={"threads": 1, "autoinstall_known_extensions": False, "autoload_known_extensions": False}
        )
    connection: duckdb.DuckDBPyConnection = _LOCAL.connection
    return connection


def _plain(column: Any) -> Any:
    """A column of text or bytes, without chunks, dictionaries or views."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    if pa.types.is_binary_view(column.type):
        return column.cast(pa.large_binary())
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return column
    return column if pa.types.is_large_string(column.type) else column.cast(pa.string())


def _mapped(path: Path) -> Keys:
    if path.stat().st_size == 0:
        return np.zeros(0, dtype=np.uint64)
    mapped: Keys = np.memmap(path, dtype=np.uint64, mode="r")
    return mapped


def _contains(ascending: Keys, keys: Keys) -> Mask:
    if len(ascending) == 0:
        return np.zeros(len(keys), dtype=bool)
    order = np.argsort(keys)  # neighbours are looked up together: a list of millions does not fit the CPU's cache
    sought = keys[order]
    places = np.searchsorted(ascending, sought)
    found = np.empty(len(keys), dtype=bool)
    found[order] = ascending[np.minimum(places, len(ascending) - 1)] == sought
    return found
