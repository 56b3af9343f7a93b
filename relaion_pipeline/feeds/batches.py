"""Entries to Arrow batches: whole columns at once for big lists, row by row for structured formats."""

import itertools
from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from relaion_pipeline.feeds.declaration import Encoding
from relaion_pipeline.feeds.digests import Bytes, Mask, Positions, decode
from relaion_pipeline.feeds.entries import ENTRIES, Kind

BATCH_ROWS = 262_144
_ROWS_OF_PYTHON = 65_536

_KINDS = pa.array([kind.value for kind in Kind], pa.string())
_INDEX = {kind: index for index, kind in enumerate(Kind)}


def of_digests(numbers: npt.NDArray[np.uint64], kind: Kind, digests: Bytes, good: Mask) -> pa.RecordBatch:
    """A batch of one hashed kind: row i is malformed where `good[i]` is false; `digests` are those of the good rows."""
    size = digests.shape[1]
    offsets = np.zeros(len(good) + 1, dtype=np.int32)
    np.cumsum(good, out=offsets[1:])
    offsets *= size
    column = pa.Array.from_buffers(
        pa.binary(), len(good), [_validity(good), pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(digests))]
    )
    return _batch(numbers, kind, good, digest=column)


def of_texts(numbers: npt.NDArray[np.uint64], kind: Kind, texts: pa.StringArray) -> pa.RecordBatch:
    """A batch of one plain kind: null texts are malformed entries."""
    good = np.asarray(texts.is_valid())
    return _batch(numbers, kind, good, text=texts)


def fields(data: Bytes, starts: Positions, ends: Positions) -> pa.BinaryArray:
    """The fields `data[starts[i]:ends[i]]` as one Arrow array."""
    lengths = ends - starts
    offsets = np.zeros(len(starts) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    gather = np.arange(offsets[-1], dtype=np.int32) + np.repeat((starts - offsets[:-1]).astype(np.int32), lengths)
    return pa.Array.from_buffers(pa.binary(), len(starts), [None, pa.py_buffer(offsets), pa.py_buffer(data[gather])])


def as_text(raw: bytes, kind: Kind) -> str | None:
    """Bytes as the text of an entry, or None: malformed.

    A link or prefix in an old encoding stays matchable and loses nothing: each byte that is not UTF-8 becomes its
    percent-escape, as in the link that a browser would send. A domain has no such spelling.
    """
    try:
        return raw.decode()
    except UnicodeDecodeError:
        if kind is Kind.DOMAIN:
            return None
    return "".join(
        f"%{ord(c) - 0xDC00:02X}" if "\udc80" <= c <= "\udcff" else c for c in raw.decode(errors="surrogateescape")
    )


def texts(raw: pa.BinaryArray, kind: Kind) -> pa.StringArray:
    """`as_text` over a whole array; a null stays null."""
    try:
        return raw.cast(pa.string())
    except pa.ArrowInvalid:
        pass
    return pa.array([None if value is None else as_text(value, kind) for value in raw.to_pylist()], pa.string())


class Rows:
    """Collects entries one by one. Feed it, and take the batches that `full` and `rest` hand out."""

    def __init__(self) -> None:
        self._numbers: list[int] = []
        self._kinds: list[int | None] = []
        self._digests: list[bytes | None] = []
        self._texts: list[str | None] = []
        self._withdrawn: list[bool] = []

    def hash(self, number: int, kind: Kind, written: object, encoding: Encoding, *, withdrawn: bool = False) -> None:
        """A written digest; anything but a well-formed string is a malformed entry."""
        digest = decode(written.strip(), kind, encoding) if isinstance(written, str) else None
        self._add(number, kind if digest is not None else None, digest, None, withdrawn)

    def text(self, number: int, kind: Kind, written: object, *, withdrawn: bool = False) -> None:
        """A plain link, domain or prefix; blank, overlong or unencodable (a lone surrogate) is malformed."""
        text = written.strip() if isinstance(written, str) else ""
        good = bool(text) and not any("\ud800" <= c <= "\udfff" for c in text)
        self._add(number, kind if good else None, None, text if good else None, withdrawn)

    def unmatchable(self, number: int, *, withdrawn: bool = False) -> None:
        """An entry that metadata cannot answer."""
        self._add(number, Kind.UNMATCHABLE, None, None, withdrawn)

    def malformed(self, number: int) -> None:
        """An entry that does not say what it should."""
        self._add(number, None, None, None, withdrawn=False)

    def full(self) -> Iterator[pa.RecordBatch]:
        """A batch, if enough has been collected for one."""
        if len(self._numbers) >= _ROWS_OF_PYTHON:
            yield from self.rest()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """Everything collected since the last batch."""
        if self._numbers:
            columns = [
                pa.array(self._numbers, pa.uint64()),
                pa.DictionaryArray.from_arrays(pa.array(self._kinds, pa.int8()), _KINDS),
                pa.array(self._digests, pa.binary()),
                pa.array(self._texts, pa.string()),
                pa.array(self._withdrawn, pa.bool_()),
            ]
            self.__init__()  # type: ignore[misc]
            batch = pa.RecordBatch.from_arrays(columns, schema=ENTRIES)
            for first in range(0, batch.num_rows, BATCH_ROWS):
                yield batch.slice(first, BATCH_ROWS)

    def _add(self, number: int, kind: Kind | None, digest: bytes | None, text: str | None, withdrawn: bool) -> None:
        self._numbers.append(number)
        self._kinds.append(None if kind is None else _INDEX[kind])
        self._digests.append(digest)
        self._texts.append(text)
        self._withdrawn.append(withdrawn)


def collected(rows: Rows, steps: Iterable[object]) -> Iterator[pa.RecordBatch]:
    """Batches of `rows` while `steps`, a generator that fills it, runs."""
    for _ in steps:
        yield from rows.full()
    yield from rows.rest()


def pieces(count: int) -> Iterator[slice]:
    """Slices of at most BATCH_ROWS that cover `count` rows."""
    for first in itertools.takewhile(lambda n: n < count, itertools.count(0, BATCH_ROWS)):
        yield slice(first, first + BATCH_ROWS)


def _validity(good: Mask) -> pa.Buffer | None:
    return None if good.all() else pa.py_buffer(np.packbits(good, bitorder="little"))


def _batch(
    numbers: npt.NDArray[np.uint64], kind: Kind, good: Mask, *, digest: pa.Array = None, text: pa.Array = None
) -> pa.RecordBatch:
    rows = len(numbers)
    index = pa.Array.from_buffers(
        pa.int8(), rows, [_validity(good), pa.py_buffer(np.full(rows, _INDEX[kind], dtype=np.int8))]
    )
    columns = [
        pa.array(numbers, pa.uint64()),
        pa.DictionaryArray.from_arrays(index, _KINDS),
        pa.nulls(rows, pa.binary()) if digest is None else digest,
        pa.nulls(rows, pa.string()) if text is None else text,
        pa.array(np.zeros(rows, dtype=np.bool_)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ENTRIES)
