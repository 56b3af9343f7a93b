"""What a reader of one list format is, and what all of them share."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from relaion_pipeline.feeds import batches
from relaion_pipeline.feeds.declaration import HASHED, Feed, FeedKind
from relaion_pipeline.feeds.digests import Bytes, Positions, Spelling, decode_fields
from relaion_pipeline.feeds.entries import DIGEST_BYTES, Kind
from relaion_pipeline.feeds.streams import Source


class Reader(ABC):
    """Reads one format. One instance reads one feed, its files in sorted order."""

    surveys: ClassVar[bool] = False
    """Whether every file goes through `survey` before the first is read."""

    folder_files: ClassVar[frozenset[str]] = frozenset()
    """Names of the files that a folder of this format consists of; empty: the format has no folders."""

    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def survey(self, source: Source) -> None:  # noqa: B027  (most formats have nothing to look ahead for)
        """Look at a file before any is read."""

    @abstractmethod
    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        """The entries of one stream, numbered by line or record from 1, in batches of at most `batches.BATCH_ROWS`."""


def kind_of(feed: Feed) -> Kind:
    """The one kind of a feed whose settings declare it."""
    if feed.kind in HASHED:
        assert feed.hash is not None  # settings see to it
        return Kind(f"{'image' if feed.kind is FeedKind.IMAGE else 'link'}_{feed.hash.value}")
    return Kind(feed.kind.value)


def field_batches(
    data: Bytes, starts: Positions, ends: Positions, numbers: npt.NDArray[np.uint64], feed: Feed, *, max_length: int
) -> Iterator[pa.RecordBatch]:
    """Batches from the fields `data[starts[i]:ends[i]]`, all of the feed's one kind."""
    kind = kind_of(feed)
    for part in batches.pieces(len(numbers)):
        if kind in DIGEST_BYTES:
            digests, good = decode_fields(data, starts[part], ends[part], Spelling(kind, feed.encoding))
            yield batches.of_digests(numbers[part], kind, digests, good)
        else:
            lengths = ends[part] - starts[part]
            usable = (lengths > 0) & (lengths <= max_length)
            raw = batches.fields(data, starts[part], np.where(usable, ends[part], starts[part]))
            texts = batches.texts(raw, kind)
            if not usable.all():
                texts = pa.array(np.where(usable, texts.to_numpy(zero_copy_only=False), None), pa.string())
            yield batches.of_texts(numbers[part], kind, texts)
