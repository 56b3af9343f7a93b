"""Cutting samples out of a tar: what stays is copied in blocks as it lies there, headers and padding too.

A sample is, as for webdataset, the members that share a name up to the first dot after the last slash. Its link and
text stand in its `.json`, or in the table beside the tar.
"""

import mmap
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, islice
from operator import attrgetter
from pathlib import Path
from typing import IO, Final, NamedTuple, Self

import numpy as np

from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.samples import MAX_JSON, JsonJudge, key_of
from relaion_pipeline.clean.work import Work

_BLOCK: Final = 512
_ZEROS: Final = bytes(_BLOCK)
_RECORD: Final = 20 * _BLOCK
_SAMPLES_AT_ONCE = 2048
_MAX_HEADER = 1 << 20
_COPY_BYTES = 64 << 20
_STRETCHES_AHEAD = 1024  # that the reader may be ahead of the copying thread
_SWITCH_SECONDS = 0.0005

# One for the next member: pax records and GNU's long names. Others stand for themselves.
_FOR_NEXT = frozenset(b"xLK")
_GLOBAL = ord("g")
_REFUSED = frozenset(b"12S")  # links may point to what goes
_WITHOUT_CONTENT = frozenset(b"3456")


class Member(NamedTuple):
    """One member with the headers that belong to it."""

    start: int
    content: int
    size: int
    end: int
    name: str
    key: str | None
    """Of the sample it belongs to; None for folders and global headers, which always stay."""


@dataclass(frozen=True)
class Cut:
    """What became of a tar."""

    samples: int
    removed: int
    removed_keys: frozenset[str]


def clean(source: Path, target: Path | None, work: Work, beside: "Beside | None") -> Cut:
    """Copy the samples of `source` that stay to `target`, or only count them where it is None.

    `beside` is what the table beside the tar says; None: there is none.

    Raises:
        CleanError: the tar is damaged or cut short, or a sample's link cannot be told. Names the place in the tar.
    """
    try:
        with source.open("rb") as file, _Writer(file.fileno(), target) as writer, _mapped(file, source) as content:
            size = len(content)
            samples, gone, end = 0, [], 0
            for members, goes in _Samples(source, content, work, beside).judged():
                key = members[0].key
                samples += key is not None
                if goes and key is not None:
                    gone.append(key)
                else:
                    writer.keep(members[0].start, members[-1].end)
                work.progress(members[-1].end - end)
                end = members[-1].end
            writer.finish(pad=size % _RECORD == 0)
            work.progress(size - end)
            return Cut(samples, len(gone), frozenset(gone))
    except OSError as error:
        raise CleanError(f"{source}: cannot be read or written ({error.strerror})") from None


@dataclass(frozen=True)
class Beside:
    """What the table beside a tar says of samples."""

    going: frozenset[str]
    """Keys of those that go."""
    known: Callable[[], frozenset[str]]
    """Keys of all; read only if some sample has no JSON."""


class _Samples:
    """Runs of members of one sample, and whether they go."""

    def __init__(self, source: Path, content: mmap.mmap, work: Work, beside: Beside | None) -> None:
        self._source, self._content, self._beside = source, content, beside
        self._by_json = JsonJudge(work, source)
        self._elsewhere: dict[str, bool] | None = None

    def judged(self) -> Iterator[tuple[list[Member], bool]]:
        """All of them, in order. Runs without a key are folders and global headers, which stay."""
        waiting: list[list[Member]] = []
        for _, group in groupby(_members(self._source, self._content), key=attrgetter("key")):
            waiting.append(list(group))
            if len(waiting) == _SAMPLES_AT_ONCE:
                yield from self._decide(waiting)
                _drop(self._content, waiting[0][0].start, waiting[-1][-1].end)
                waiting = []
        yield from self._decide(waiting)

    def _decide(self, waiting: list[list[Member]]) -> Iterator[tuple[list[Member], bool]]:
        jsons = [(place, member) for place, run in enumerate(waiting) for member in run if _is_json(member)]
        going: dict[int, bool] = {}
        for (place, _), goes in zip(jsons, self._judge([member for _, member in jsons]), strict=True):
            going[place] = going.get(place, False) or goes
        for place, members in enumerate(waiting):
            key = members[0].key
            if key is None:
                yield members, False
            else:
                by_json = going[place] if place in going else self._without_json(key, members[0].start)
                yield members, by_json or (self._beside is not None and key in self._beside.going)

    def _without_json(self, key: str, start: int) -> bool:
        """Judge a sample whose JSON does not lie beside it: by the table, or by a JSON elsewhere in the tar."""
        if self._elsewhere is None:
            self._elsewhere = {}
            members = _members(self._source, self._content)
            while together := list(islice(members, _SAMPLES_AT_ONCE)):
                self._note([each for each in together if _is_json(each)])
                _drop(self._content, together[0].start, together[-1].end)
        if key in self._elsewhere:
            return self._elsewhere[key]
        if self._beside is not None and key in self._beside.known():
            return False  # or the table says that it goes
        raise CleanError(
            f"{self._source}: the sample at byte {start} has no .json with its link, and no row in a .parquet beside"
        )

    def _note(self, jsons: list[Member]) -> None:
        assert self._elsewhere is not None
        for member, goes in zip(jsons, self._judge(jsons), strict=True):
            assert member.key is not None
            self._elsewhere[member.key] = self._elsewhere.get(member.key, False) or goes

    def _judge(self, jsons: list[Member]) -> list[bool]:
        return self._by_json.goes(
            (f"the .json at byte {each.start}", self._content[each.content : each.content + min(each.size, MAX_JSON)])
            for each in jsons
        )


def _is_json(member: Member) -> bool:
    return member.name.endswith(".json") and member.key is not None and member.name == f"{member.key}.json"


def _members(source: Path, tar: mmap.mmap) -> Iterator[Member]:
    """The members of a tar in order, each with the headers before it that speak of it."""
    place = start = 0
    name: str | None = None
    real_size: int | None = None
    headers: list[bytes] = []
    size = len(tar)
    while True:
        header = tar[place : place + _BLOCK]
        if len(header) < _BLOCK:
            raise CleanError(f"{source}: cut short at byte {place}; fetch it again")
        if not header[0] and header == _ZEROS:
            break
        headers.append(header)
        kind = header[156]
        try:
            length = _number(header[124:136])
        except ValueError:
            raise _damaged(source, place) from None
        content = place + _BLOCK
        if kind in _FOR_NEXT:
            end = content + -(-length // _BLOCK) * _BLOCK
            extra_name, extra_size = _extension(source, tar, kind, content, length)
            name = extra_name if extra_name is not None else name
            real_size = extra_size if extra_size is not None else real_size
            place = end
            continue
        if kind in _REFUSED:
            raise CleanError(f"{source}: a link or a sparse file at byte {place}; unpack and pack the tar without any")
        length = real_size if real_size is not None else 0 if kind in _WITHOUT_CONTENT else length
        end = content + -(-length // _BLOCK) * _BLOCK
        if end > size:
            raise CleanError(f"{source}: cut short in the member at byte {place}; fetch it again")
        name = name if name is not None else _name(header)
        key = None if kind in (_GLOBAL, ord("5")) else key_of(name)
        if len(headers) >= _SAMPLES_AT_ONCE:
            _check(source, headers)
            headers.clear()
        yield Member(start, content, length, end, name, key)
        place = start = end
        name = real_size = None
    if start != place:
        raise _damaged(source, start)
    _check(source, headers)
    _refuse_more(source, tar, place)


def _name(header: bytes) -> str:
    name = header[:100].partition(b"\0")[0]
    if header[345] and header[257:263] == b"ustar\0":
        prefix = header[345:500].partition(b"\0")[0]
        name = prefix + b"/" + name if prefix else name
    return name.decode("utf-8", "surrogateescape")


def _number(field: bytes) -> int:
    """A number as tar writes it: octal, or GNU's binary for large ones."""
    if field[0] == 0x80:  # noqa: PLR2004 - GNU's mark
        return int.from_bytes(field[1:], "big")
    return int(field.strip(b" \0") or b"0", 8)


def _extension(source: Path, tar: mmap.mmap, kind: int, content: int, length: int) -> tuple[str | None, int | None]:
    """Name and size that a header of kind x or L gives the next member, where it does."""
    if length > _MAX_HEADER:
        raise _damaged(source, content)
    body = tar[content : content + length]
    if kind == ord("L"):
        return body.rstrip(b"\0").decode("utf-8", "surrogateescape"), None
    if kind == ord("K"):
        return None, None
    records: dict[bytes, bytes] = {}
    try:
        while body:
            digits, _, _ = body.partition(b" ")
            record, body = body[len(digits) + 1 : int(digits)], body[int(digits) :]
            keyword, _, value = record.removesuffix(b"\n").partition(b"=")
            records[keyword] = value
        path = records.get(b"GNU.sparse.name", records.get(b"path"))
        size = int(records[b"size"]) if b"size" in records else None
    except ValueError:
        raise _damaged(source, content) from None
    return path.decode("utf-8", "surrogateescape") if path is not None else None, size


def _check(source: Path, headers: list[bytes]) -> None:
    """Hold headers against their checksums, many at once."""
    if not headers:
        return
    blocks = np.frombuffer(b"".join(headers), dtype=np.uint8).reshape(-1, _BLOCK)
    sums = blocks.sum(axis=1, dtype=np.int64) - blocks[:, 148:156].sum(axis=1, dtype=np.int64) + 8 * ord(" ")
    for header, total in zip(headers, sums.tolist(), strict=True):
        try:
            given = _number(header[148:156])
        except ValueError:
            given = -1
        if given != total:
            raise CleanError(f"{source}: a header is damaged; fetch it again")


def _refuse_more(source: Path, tar: mmap.mmap, place: int) -> None:
    """After the end nothing may stand but zeros: a second tar hung on would be copied unread, or lost."""
    while place < len(tar):
        piece = tar[place : place + (1 << 20)]
        if piece.count(0) != len(piece):
            raise CleanError(f"{source}: holds more after its end, at byte {place}; split it into whole tars")
        place += len(piece)


def _damaged(source: Path, place: int) -> CleanError:
    return CleanError(f"{source}: not a tar, or damaged at byte {place}; fetch it again")


@contextmanager
def _mapped(file: IO[bytes], source: Path) -> Iterator[mmap.mmap]:
    """The file as bytes. Only headers and JSON are touched, so only their pages are read into memory."""
    if os.fstat(file.fileno()).st_size == 0:
        raise CleanError(f"{source}: empty; fetch it again")
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content


def _drop(tar: mmap.mmap, start: int, end: int) -> None:
    """Unmap pages that were read: else memory would grow with the tar."""
    start -= start % mmap.PAGESIZE
    if hasattr(mmap, "MADV_DONTNEED"):  # not on every system
        tar.madvise(mmap.MADV_DONTNEED, start, end - start)


class _Writer:
    """Copies stretches of one file to another in a thread of its own, while the reader goes on."""

    def __init__(self, source: int, target: Path | None) -> None:
        self._source = source
        self._file = target.open("wb") if target is not None else None
        self._pool, self._syncing = ThreadPoolExecutor(1), ThreadPoolExecutor(1)
        self._synced: Future[None] | None = None
        self._running: list[Future[None]] = []
        self._start = self._end = 0

    def keep(self, start: int, end: int) -> None:
        if start == self._end and end - self._start <= _COPY_BYTES:
            self._end = end
            return
        self._flush()
        self._start, self._end = start, end

    def finish(self, *, pad: bool) -> None:
        """Copy the rest, and end the tar: two blocks of zeros, padded to whole records if the source was."""
        self._flush()
        for each in self._running:
            each.result()
        if self._file is not None:
            end = self._file.seek(0, os.SEEK_END) + 2 * _BLOCK
            self._file.truncate(-(-end // _RECORD) * _RECORD if pad else end)

    def __enter__(self) -> Self:
        # Between two stretches the copying thread needs the interpreter, and would wait 5 ms for the reader to let go.
        self._switching = sys.getswitchinterval()
        sys.setswitchinterval(_SWITCH_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setswitchinterval(self._switching)
        self._pool.shutdown(cancel_futures=True)
        self._syncing.shutdown(cancel_futures=True)
        if self._file is not None:
            self._file.close()

    def _flush(self) -> None:
        if self._file is not None and self._end > self._start:
            self._running.append(self._pool.submit(_copy, self._source, self._file.fileno(), self._start, self._end))
            if self._synced is None or self._synced.done():  # the disk works while we do; the end then waits less
                self._synced = self._syncing.submit(os.fdatasync, self._file.fileno())
        if len(self._running) > _STRETCHES_AHEAD:
            self._running.pop(0).result()


def _copy(source: int, target: int, start: int, end: int) -> None:
    """Append a stretch of one file to another, in the kernel where it can."""
    while start < end:
        try:
            copied = os.copy_file_range(source, target, end - start, start)
        except (OSError, AttributeError):  # other file systems, other systems
            copied = os.write(target, os.pread(source, min(end - start, 1 << 22), start))
        if copied == 0:
            raise OSError(0, "the file became shorter")
        start += copied
