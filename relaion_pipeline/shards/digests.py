"""SHA-256 of files and schemas, and the cache that spares hashing an unchanged file again."""

import hashlib
import json
import threading
from pathlib import Path
from typing import Any

import pyarrow as pa

from relaion_pipeline import layout
from relaion_pipeline.shards.errors import ShardError

# Parquet readers invent this on reading; it says nothing about the data.
_FIELD_ID = b"PARQUET:field_id"


def schema_digest(schema: pa.Schema) -> str:
    """SHA-256 of names, order, types, nullability and field metadata, nested ones included."""
    content = json.dumps([_described(field) for field in schema], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file, in bounded memory.

    Raises:
        ShardError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ShardError(f"{path}: cannot be read: {error.strerror}; check that it is there and readable") from None


class DigestCache:
    """SHA-256 of files by path, size, inode and times, kept in a JSON file. Safe to share between threads.

    The change time is part of the key: unlike the modification time no tool sets it, so a file that was replaced
    with its old size and date is hashed again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known = _entries(path)

    def sha256(self, path: Path) -> str:
        """The SHA-256 of the file at `path`, read only if it is new or has changed.

        Raises:
            ShardError: it cannot be read, or changed while it was.
        """
        name = str(path.absolute())
        before = _fingerprint(path)
        with self._lock:
            known = self._known.get(name)
        if known is not None and known[:-1] == before:
            return str(known[-1])
        digest = sha256_file(path)
        if _fingerprint(path) != before:
            raise ShardError(f"{path}: changed while it was read; wait until it is complete and run again")
        with self._lock:
            self._known[name] = [*before, digest]
            layout.make_private(self._path.parent)
            layout.write_text(self._path, json.dumps(self._known, sort_keys=True, indent=0))
        return digest


def _described(field: pa.Field) -> list[Any]:
    kind = field.type
    inside = [_described(kind.field(number)) for number in range(kind.num_fields)]
    metadata = field.metadata or {}
    notes = sorted([k.hex(), v.hex()] for k, v in metadata.items() if k != _FIELD_ID)
    # A nested type's own name repeats its children, whose names and nullability stand in `inside`.
    return [field.name, str(kind), field.nullable, notes, inside]


def _fingerprint(path: Path) -> list[int]:
    try:
        status = path.stat()
    except OSError as error:
        raise ShardError(f"{path}: cannot be read: {error.strerror}; check that it is there and readable") from None
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino, status.st_dev]


def _entries(path: Path) -> dict[str, list[Any]]:
    """What the cache file holds; a lost or broken cache only costs time."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    if not isinstance(content, dict):
        return {}
    return {name: entry for name, entry in content.items() if isinstance(entry, list) and len(entry) == 6}  # noqa: PLR2004
