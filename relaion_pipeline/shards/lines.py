"""Lines of text files, plain or compressed, with their numbers and in bounded memory."""

import gzip
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa

from relaion_pipeline.shards.errors import ShardError

# No row of metadata is nearly so long: past this the file is not lines of text, or a quote was never closed.
MAX_LINE_BYTES = 32 << 20
_CHUNK_BYTES = 1 << 20
_BOM = b"\xef\xbb\xbf"


def lines(path: Path, shard_name: str) -> Iterator[tuple[int, bytes]]:
    """Number (from 1) and bytes of each line, without its newline; one blank line at the end is left out.

    Raises:
        ShardError: the file cannot be read or unpacked, is cut short, or holds an endless line.
    """
    number = 0
    rest = b""
    held: tuple[int, bytes] | None = None
    for chunk in _chunks(path, shard_name):
        pieces = (rest + chunk).split(b"\n")
        rest = pieces.pop()
        for piece in pieces:
            number += 1
            if held:
                yield held
                held = None
            if piece in {b"", b"\r"}:
                held = number, piece  # it may be the last
            else:
                yield number, piece
        if len(rest) > MAX_LINE_BYTES:
            raise ShardError(
                f"{shard_name}, line {number + 1}: longer than {MAX_LINE_BYTES} bytes, so not a row; check the file"
            )
    if rest:
        if held:
            yield held
        yield number + 1, rest


def decoded(number: int, line: bytes, shard_name: str) -> str:
    """The line as text.

    Raises:
        ShardError: it is not UTF-8.
    """
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        raise ShardError(
            f"{shard_name}, line {number}: not valid UTF-8; convert the file to UTF-8 or fetch it again"
        ) from None


def _chunks(path: Path, shard_name: str) -> Iterator[bytes]:
    try:
        with closing(_opened(path)) as file:
            chunk = file.read(_CHUNK_BYTES)
            chunk = chunk.removeprefix(_BOM)
            while chunk:
                yield chunk
                chunk = file.read(_CHUNK_BYTES)
    except FileNotFoundError:
        raise ShardError(f"{shard_name}: the file is missing; fetch it again") from None
    except PermissionError:
        raise ShardError(f"{shard_name}: no permission to read the file; `chmod u+r` it") from None
    except (OSError, EOFError, zlib.error, pa.ArrowException) as error:
        raise ShardError(
            f"{shard_name}: cannot be read, damaged or cut short ({type(error).__name__}); fetch it again"
        ) from None


def _opened(path: Path) -> Any:
    suffix = path.suffix.lower()
    if suffix == ".gz":
        return gzip.open(path, "rb")
    if suffix == ".zst":
        return pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd")
    return path.open("rb")
