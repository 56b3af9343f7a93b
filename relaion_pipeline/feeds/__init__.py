"""Partners' lists: one reader per format, and the guards that judge what was read."""

from relaion_pipeline.feeds.entries import DIGEST_BYTES, ENTRIES, TEXT_KINDS, Kind
from relaion_pipeline.feeds.errors import FeedError, Place
from relaion_pipeline.feeds.formats import READERS
from relaion_pipeline.feeds.loading import FeedBatch, files, load

__all__ = [
    "DIGEST_BYTES",
    "ENTRIES",
    "READERS",
    "TEXT_KINDS",
    "FeedBatch",
    "FeedError",
    "Kind",
    "Place",
    "files",
    "load",
]
