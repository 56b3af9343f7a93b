"""A stream cut into lines, millions at a time, each with its exact number in the file.

What belongs here: newlines, blank lines, surrounding space, comment lines. What does not: what a line says.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from relaion_pipeline.feeds.digests import Bytes, Positions
from relaion_pipeline.feeds.streams import Source

BLOCK_BYTES = 4 << 20
MAX_LINE = 1 << 20
"""Bytes of the longest line that can be an entry; browsers give up on longer links, and digests end at 64."""

NEWLINE = 0x0A
_SPACES = b" \t\r\x0b\x0c"
_SPACE = np.zeros(256, dtype=np.bool_)
_SPACE[list(_SPACES)] = True


@dataclass(frozen=True)
class Lines:
    """Some consecutive lines that are neither blank nor comments: `data[starts[i]:ends[i]]` is line `numbers[i]`."""

    data: Bytes
    starts: Positions
    ends: Positions
    numbers: npt.NDArray[np.uint64]

    @property
    def overlong(self) -> npt.NDArray[np.bool_]:
        """Which lines are too long to be entries."""
        return np.asarray(self.ends - self.starts > MAX_LINE, dtype=np.bool_)

    def line(self, index: int) -> bytes:
        return self.data[self.starts[index] : self.ends[index]].tobytes()


def blocks(source: Source) -> Iterator[bytes]:
    """Whole lines in blocks of some 4 MiB, each ending in a newline; an endless line is cut, never piled up."""
    carry = b""
    skipping = False
    while chunk := source.read(BLOCK_BYTES):
        if skipping:
            cut = chunk.find(b"\n")
            if cut < 0:
                continue
            chunk = chunk[cut:]
            skipping = False
        end = chunk.rfind(b"\n") + 1
        if end:
            yield carry + chunk[:end]
            carry = chunk[end:]
        else:
            carry += chunk
        if len(carry) > MAX_LINE:
            # What is kept stays overlong and starts as the line did, so that a comment remains one.
            carry = (carry.lstrip(_SPACES)[:1] or b"x") * (MAX_LINE + 1)
            skipping = True
    if carry:
        yield carry + b"\n"


def read_lines(source: Source, *, comment: bytes = b"#") -> Iterator[Lines]:
    """The lines of a stream without blank and comment lines; numbers count from 1 and include both."""
    before = 0
    for block in blocks(source):
        data = np.frombuffer(block, dtype=np.uint8)
        newlines = np.flatnonzero(data == NEWLINE)
        starts = np.empty_like(newlines)
        starts[0] = 0
        starts[1:] = newlines[:-1] + 1
        starts, ends = trimmed(data, starts, newlines)
        kept = ends > starts
        first = data[np.minimum(starts, len(data) - 1)]
        for character in comment:
            kept &= first != character
        if kept.all():
            numbers = np.arange(before + 1, before + 1 + len(newlines), dtype=np.uint64)
        else:
            numbers = np.flatnonzero(kept).astype(np.uint64) + np.uint64(before + 1)
            starts, ends = starts[kept], ends[kept]
        before += len(newlines)
        if len(numbers):
            yield Lines(data, starts, ends, numbers)


def each_line(source: Source, *, comment: bytes = b"#") -> Iterator[tuple[int, bytes | None]]:
    """Line by line, for formats that need Python per line; None where a line is too long to be an entry."""
    for lines in read_lines(source, comment=comment):
        raw = lines.data.tobytes()
        for number, start, end in zip(lines.numbers.tolist(), lines.starts.tolist(), lines.ends.tolist(), strict=True):
            yield number, raw[start:end] if end - start <= MAX_LINE else None


def trimmed(data: Bytes, starts: Positions, ends: Positions) -> tuple[Positions, Positions]:
    """The fields without space at either end; all-space fields become empty."""
    if not len(starts):
        return starts, ends
    full = ends > starts
    ends = ends - (full & (data[ends - 1] == ord("\r")))  # the one common case, at a fraction of the cost below
    full = ends > starts
    last = len(data) - 1
    if not (full & (_SPACE[data[np.minimum(starts, last)]] | _SPACE[data[ends - 1]])).any():
        return starts, ends
    solid = ~_SPACE[data]
    at = np.arange(len(data), dtype=np.int64)
    following = np.minimum.accumulate(np.where(solid, at, len(data))[::-1])[::-1]
    preceding = np.maximum.accumulate(np.where(solid, at, -1))
    new_starts = np.minimum(following[np.minimum(starts, last)], ends)
    new_ends = np.maximum(preceding[ends - 1] + 1, new_starts)
    return np.where(full, new_starts, starts), np.where(full, new_ends, ends)
