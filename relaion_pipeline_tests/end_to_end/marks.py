"""Looking for listed things in whatever a run leaves behind: bytes, databases, decoded columns."""

import base64
import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow.parquet as pq

SHORTEST = 8
"""Bytes that a needle must have at least; the scan looks for its first ones, then for all of it."""


def of_digest(digest: bytes) -> Iterator[bytes]:
    """A digest as it might be written: raw, hex of either case, base64, base32, as Python shows raw bytes."""
    yield digest
    yield digest.hex().encode()
    yield digest.hex().upper().encode()
    yield base64.b64encode(digest).rstrip(b"=")
    yield base64.urlsafe_b64encode(digest).rstrip(b"=")
    yield base64.b32encode(digest).rstrip(b"=")
    yield str(int.from_bytes(digest[:16], "big")).encode()
    yield str(int.from_bytes(digest[:16], "little")).encode()


def of_link(link: str) -> Iterator[bytes]:
    """A link, and every digest by which a list might name it."""
    yield link.encode()
    for name in ("md5", "sha1", "sha256"):
        yield from of_digest(hashlib.new(name, link.encode(), usedforsecurity=False).digest())


class Scan:
    """Finds any of many needles in bytes."""

    def __init__(self, needles: Iterable[bytes]) -> None:
        self.needles = sorted({needle for needle in needles if len(needle) >= SHORTEST})
        heads: dict[int, list[bytes]] = {}
        for needle in self.needles:
            heads.setdefault(int.from_bytes(needle[:SHORTEST], "little"), []).append(needle)
        self._heads = heads
        self._sorted = np.array(sorted(heads), dtype=np.uint64)

    def found(self, content: bytes) -> set[bytes]:
        hits: set[bytes] = set()
        for shift in range(SHORTEST):
            words = np.frombuffer(content[shift : shift + (len(content) - shift) // SHORTEST * SHORTEST], "<u8")
            nearest = np.searchsorted(self._sorted, words).clip(max=len(self._sorted) - 1)
            for at in np.flatnonzero(self._sorted[nearest] == words).tolist():
                place = shift + at * SHORTEST
                hits |= {n for n in self._heads[int(words[at])] if content.startswith(n, place)}
        return hits

    def in_folder(self, folder: Path, skip: Iterable[Path] = ()) -> dict[str, int]:
        """Files below `folder` that hold a needle, in their bytes, name or decoded content, and how many."""
        skipped = tuple(skip)
        wrong = {}
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not any(path.is_relative_to(each) for each in skipped):
                hits = self.found(str(path.relative_to(folder)).encode()) | self.found(path.read_bytes())
                hits |= self.found(b"\n".join(decoded(path)))
                if hits:
                    wrong[path.relative_to(folder).as_posix()] = len(hits)
        return wrong


def decoded(path: Path) -> Iterator[bytes]:
    """What stands in a file that its bytes do not show: pages of databases, compressed columns."""
    head = path.read_bytes()[:16]
    if head[:4] == b"PAR1":
        file = pq.ParquetFile(path)
        yield str(file.schema_arrow.metadata).encode() + str(file.metadata.metadata).encode()
        for batch in file.iter_batches():
            for column in batch.columns:
                yield "\n".join(map(str, column.to_pylist())).encode("utf-8", "surrogatepass")
    elif head.startswith(b"SQLite format 3"):
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                for row in database.execute(f'SELECT * FROM "{table}"'):
                    yield "\n".join(map(str, row)).encode("utf-8", "surrogatepass")
    elif head[8:12] == b"DUCK":
        with duckdb.connect(str(path), read_only=True) as database:
            for (table,) in database.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                for row in database.execute(f'SELECT * FROM "{table}"').fetchall():
                    yield "\n".join(map(str, row)).encode()
