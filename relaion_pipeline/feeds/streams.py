"""Opening a partner's file: decompressing, decoding UTF-16, and refusing what would fill the machine.

What belongs here: bytes as they lie on disk to a stream of plain bytes. What does not: what the bytes mean.
Compression is found by magic bytes, because partners rename files.
"""

import codecs
import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa

from relaion_pipeline.feeds.errors import FeedError, Place

MAX_RATIO = 200
"""Decompressed over compressed size. Hash lists reach 2, domain lists 5, partners' XML and JSON 40; bombs 1,000."""
RATIO_APPLIES_FROM = 64 << 20
"""Decompressed bytes before the ratio counts: a short list of one repeated line is no bomb."""
MAX_BYTES = 64 << 30
"""Decompressed size of one file, whatever its ratio: sixty times the largest list known."""
MAX_LAYERS = 2
"""A gzip in a zip is a partner's habit, a third layer somebody's joke."""
MAX_MEMBERS = 10_000

_PEEK = 512
_TAR_MAGIC_AT = 257
_UNSUPPORTED = {
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"7z\xbc\xaf\x27\x1c": "7-Zip",
    b"Rar!": "RAR",
    b"%PDF": "PDF",
    b"PAR1": "Parquet",
    b"SQLite format 3": "SQLite",
    b"\xd0\xcf\x11\xe0": "an old Office document",
}
_LIBRARY_ERRORS = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, zipfile.BadZipFile)


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Source:
    """One plain stream of a feed: a file, or a member of an archive. Reading raises nothing but FeedError."""

    def __init__(self, place: Place, stream: _Readable) -> None:
        self.place = place
        self.name = Path(place.file.rpartition("!")[2]).name
        self._stream = stream
        self._ahead = b""

    def read(self, size: int = 1 << 20) -> bytes:
        """Up to `size` bytes, at least one unless the stream has ended."""
        if self._ahead:
            data, self._ahead = self._ahead[:size], self._ahead[size:]
            return data
        return self._stream.read(size)

    def peek(self, size: int) -> bytes:
        """The next `size` bytes, or all there are, without consuming them."""
        while len(self._ahead) < size:
            more = self._stream.read(size - len(self._ahead))
            if not more:
                break
            self._ahead += more
        return self._ahead[:size]

    def at(self, number: int, unit: str = "line") -> Place:
        """The place of a line or record of this source."""
        return Place(self.place.feed, self.place.file, number, unit)

    def error(self, what: str, *, remedy: str, number: int | None = None, unit: str = "line") -> FeedError:
        """A FeedError about this source."""
        return FeedError(what, place=self.place if number is None else self.at(number, unit), remedy=remedy)


def open_sources(path: Path, place: Place) -> Iterator[Source]:
    """The plain streams of a file: itself, or the members of an archive. Each is to be read before the next.

    Raises:
        FeedError: the file cannot be opened, is damaged, or decompresses beyond bounds.
    """
    with ExitStack() as stack:
        raw, problem = None, ""
        try:
            if path.is_dir():
                problem = "is a folder, not a file"
            else:
                raw = stack.enter_context(path.open("rb"))
                size = path.stat().st_size
        except OSError as error:
            problem = f"cannot be opened ({error.strerror})"
        if raw is None:
            raise FeedError(problem, place=place, remedy="name readable files in the feed's `files`")
        yield from _unwrapped(Source(place, _Shielded(raw, place)), raw, _Budget(size, place), stack, layer=0)


class _Budget:
    """How much one file on disk may still decompress to."""

    def __init__(self, compressed: int, place: Place) -> None:
        self._limit = min(MAX_BYTES, max(RATIO_APPLIES_FROM, MAX_RATIO * compressed))
        self._spent = 0
        self._place = place

    def spend(self, size: int) -> None:
        self._spent += size
        if self._spent > self._limit:
            raise FeedError(
                f"decompresses to more than {self._limit:,} bytes, as only a decompression bomb does",
                place=self._place,
                remedy="ask the partner for the list anew, or put it in the folder unpacked",
            )


class _Shielded:
    """Reads, and turns a library's exception into a FeedError that holds none of the content."""

    def __init__(self, stream: _Readable, place: Place, budget: _Budget | None = None) -> None:
        self._stream = stream
        self._place = place
        self._budget = budget

    def read(self, size: int, /) -> bytes:
        data, problem = b"", ""
        try:
            data = self._stream.read(size)
        except _LIBRARY_ERRORS as error:
            problem = type(error).__name__
        if problem:
            raise FeedError(
                f"is damaged or cut short ({problem})", place=self._place, remedy="copy or fetch the file again"
            )
        if self._budget is not None:
            self._budget.spend(len(data))
        return data


class _Utf8FromUtf16:
    """UTF-16 text, as spreadsheets export it, re-encoded in passing."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder("utf-16")()

    def read(self, size: int, /) -> bytes:
        while True:
            data = self._source.read(max(size // 2, 2))
            text = self._decoder.decode(data, final=not data)
            if text or not data:
                return text.encode()


def _unwrapped(source: Source, raw: Any, budget: _Budget, stack: ExitStack, *, layer: int) -> Iterator[Source]:
    head = source.peek(_PEEK)
    place = source.place
    if layer <= MAX_LAYERS and head.startswith(b"PK\x03\x04"):
        if raw is None:
            raise source.error("is a zip inside a compressed file", remedy="unpack the outer layer first")
        yield from _members(raw, place, budget, stack, layer=layer)
        return
    unpack = _single_stream(head)
    if unpack is not None:
        if layer >= MAX_LAYERS:
            raise source.error(f"is compressed more than {MAX_LAYERS} times over", remedy="unpack it first")
        inner = _opened(lambda: unpack(_RawView(source)), place)
        yield from _unwrapped(Source(place, _Shielded(inner, place, budget)), None, budget, stack, layer=layer + 1)
        return
    for magic, name in _UNSUPPORTED.items():
        if head.startswith(magic):
            raise source.error(
                f"is {name}, which no reader takes", remedy="unpack or export it as text, gzip, zstd or zip"
            )
    if head[_TAR_MAGIC_AT : _TAR_MAGIC_AT + 5] == b"ustar":
        raise source.error("is a tar archive", remedy="unpack it into the feed's folder")
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        yield Source(place, _Shielded(_Utf8FromUtf16(source), place))
        return
    if head.startswith(codecs.BOM_UTF8):
        source.read(len(codecs.BOM_UTF8))
    yield source


def _single_stream(head: bytes) -> Callable[[Any], Any] | None:
    if head.startswith(b"\x1f\x8b"):
        return lambda file: gzip.GzipFile(fileobj=file)
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        return lambda file: pa.CompressedInputStream(pa.PythonFile(file, mode="r"), "zstd")
    return None


def _opened(make: Callable[[], Any], place: Place) -> Any:
    made, problem = None, ""
    try:
        made = make()
    except _LIBRARY_ERRORS as error:
        problem = type(error).__name__
    if problem:
        raise FeedError(f"is damaged ({problem})", place=place, remedy="copy or fetch the file again")
    return made


def _members(raw: Any, place: Place, budget: _Budget, stack: ExitStack, *, layer: int) -> Iterator[Source]:
    raw.seek(0)
    archive = stack.enter_context(_opened(lambda: zipfile.ZipFile(raw), place))
    infos = [i for i in archive.infolist() if not i.is_dir() and not i.filename.startswith("__MACOSX/")]
    if any(i.filename == "[Content_Types].xml" for i in infos):
        raise FeedError("is an Office document", place=place, remedy="export the sheet as CSV")
    if len(infos) > MAX_MEMBERS:
        raise FeedError(f"holds more than {MAX_MEMBERS:,} files", place=place, remedy="unpack it first")
    for info in sorted(infos, key=lambda i: i.filename):
        shown = "".join(c if c.isprintable() else "?" for c in info.filename)
        inner_place = Place(place.feed, f"{place.file}!{shown}")
        with ExitStack() as inner_stack:
            member = inner_stack.enter_context(_opened(partial(archive.open, info), inner_place))
            source = Source(inner_place, _Shielded(member, inner_place, budget))
            yield from _unwrapped(source, None, budget, inner_stack, layer=layer + 1)


class _RawView(io.RawIOBase):
    """A Source as the file object that decompressors want."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        return self._source.read(size if size > 0 else 1 << 20)

    def readinto(self, buffer: Any) -> int:
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
