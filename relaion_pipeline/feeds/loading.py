"""Finding a feed's files and reading them with the reader of its format."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from relaion_pipeline.feeds.declaration import Feed
from relaion_pipeline.feeds.errors import FeedError, Place
from relaion_pipeline.feeds.formats import READERS
from relaion_pipeline.feeds.streams import Source, open_sources


@dataclass(frozen=True)
class FeedBatch:
    """Some entries of one file of a feed."""

    file: str
    """The file relative to the data root; `archive.zip!member` for a member of an archive."""

    entries: pa.RecordBatch
    """Rows of `ENTRIES`; `entry` counts lines or records of this file."""

    before: int
    """The last entry number of the feed's earlier files: `before + entry` is the entry's number in the feed."""


def files(feed: Feed, data_root: Path) -> list[Path]:
    """The files of a feed, sorted; of a folder, those that its format knows.

    Raises:
        FeedError: there is none, or `files` is no pattern relative to the data root.
    """
    remedy = f"put the partner's list under {data_root}, or correct the feed's `files`"
    found, problem = [], ""
    try:
        found = sorted(p for p in data_root.glob(feed.files) if not p.name.startswith("."))
    except (NotImplementedError, ValueError, OSError, IndexError) as error:
        problem = f"'{feed.files}' is no pattern relative to the data root ({type(error).__name__})"
    if problem:
        raise FeedError(f"feed of {feed.partner}: {problem}", remedy=remedy)
    names = READERS[feed.format].folder_files
    if names:
        found = sorted({inner for path in found for inner in _unfolded(path, names)})
    if not found:
        raise FeedError(f"feed of {feed.partner}: no file matches '{feed.files}'", remedy=remedy)
    return found


def load(feed_name: str, feed: Feed, data_root: Path) -> Iterator[FeedBatch]:
    """Read a feed, file by file in sorted order, in batches of bounded size.

    Malformed entries come as rows without kind, so nothing is dropped; `guards` judge how many are too many.

    Raises:
        FeedError: the feed cannot be read. It names feed, file, line and remedy, and holds nothing of the content.
    """
    reader = READERS[feed.format](feed)
    paths = files(feed, data_root)
    if reader.surveys:
        for source in _sources(feed_name, paths, data_root):
            _shielded(source, partial(reader.survey, source))
    before = 0
    for source in _sources(feed_name, paths, data_root):
        last = 0
        entries = reader.read(source)
        while (batch := _shielded(source, partial(next, entries, None))) is not None:
            if batch.num_rows:
                last = batch.column("entry")[-1].as_py()
                yield FeedBatch(source.place.file, batch, before)
        before += last


def _unfolded(path: Path, names: frozenset[str]) -> Iterator[Path]:
    if path.is_dir():
        yield from (p for p in path.rglob("*") if p.name.partition(".")[0] in names and p.is_file())
    else:
        yield path


def _sources(feed_name: str, paths: list[Path], data_root: Path) -> Iterator[Source]:
    for path in paths:
        file = path.relative_to(data_root).as_posix() if path.is_relative_to(data_root) else path.name
        yield from open_sources(path, Place(feed_name, file))


def _shielded(source: Source, step: Callable[[], Any]) -> Any:
    """Run a step of a reader; whatever goes wrong in it leaves as a FeedError that quotes nothing."""
    result, problem = None, ""
    try:
        result = step()
    except FeedError:
        raise
    except Exception as error:  # noqa: BLE001  (any other message might hold an entry)
        problem = type(error).__name__
    if problem:
        raise source.error(f"the reader failed ({problem}), which is a defect of it", remedy="report it")
    return result
