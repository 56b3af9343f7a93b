"""What makes a feed, or an entry of one, too suspect to use.

What belongs here: judgements on counts and on single entries, made without showing an entry. What does not: reading,
and the limit on rows an entry may match, which screening knows.

A feed is *refused*, and the release stops: it is empty, has too few usable entries, too many malformed ones, or shrank.
An entry is *quarantined*, and not used until a waiver names its number: it is the digest of nothing or of a placeholder
that would remove masses, or a link, domain or prefix that lists nothing (a public suffix, an unparseable host).
"""

import base64
import hashlib
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relaion_pipeline.feeds.declaration import Feed
from relaion_pipeline.feeds.digests import Mask
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.feeds.errors import FeedError, Place
from relaion_pipeline.feeds.loading import FeedBatch

SHOWN = 5
"""How many entries an error or a report points to."""


@dataclass(frozen=True)
class FeedCounts:
    """What a feed holds, in numbers that may be published."""

    entries: int = 0
    usable: int = 0  # what rows are compared with
    malformed: int = 0
    unmatchable: int = 0  # PhotoDNA and the like
    withdrawn: int = 0  # taken back by the partner; recorded, not matched
    quarantined: int = 0
    files: int = 0
    by_kind: dict[str, int] = field(default_factory=dict)  # usable entries by Kind
    quarantined_entries: tuple[int, ...] = ()  # the first few, as numbers in the feed: what a waiver names

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, content: dict[str, Any]) -> Self:
        return cls(**(content | {"quarantined_entries": tuple(content["quarantined_entries"])}))


class Guard:
    """Watches a feed go by, batch by batch, and judges it at the end."""

    def __init__(self, name: str, feed: Feed, previous: FeedCounts | None = None, waived: Collection[int] = ()) -> None:
        """`previous` are the counts of the feed's last version; `waived` the entry numbers an operator lets through."""
        self._name = name
        self._feed = feed
        self._previous = previous
        self._waived = np.array(sorted(waived), dtype=np.uint64)
        self._files: set[str] = set()
        self._totals = dict.fromkeys(("entries", "usable", "malformed", "unmatchable", "withdrawn", "quarantined"), 0)
        self._by_kind: dict[str, int] = {}
        self._first_malformed: list[Place] = []
        self._first_quarantined: list[int] = []

    def see(self, batch: FeedBatch, refused: Mask | None = None) -> Mask:
        """Count a batch, and say which of its rows may be used.

        Args:
            batch: rows as `load` gives them.
            refused: rows whose text lists nothing, as the links package says.
        """
        entries = batch.entries
        numbers = entries.column("entry").to_numpy()
        in_feed = numbers + np.uint64(batch.before)
        kinds = entries.column("kind")
        codes = kinds.indices.fill_null(-1).to_numpy(zero_copy_only=False)
        names = kinds.dictionary.to_pylist()
        malformed = codes == -1
        withdrawn = entries.column("withdrawn").to_numpy(zero_copy_only=False)
        unmatchable = (codes == names.index(Kind.UNMATCHABLE.value)) & ~withdrawn
        suspect = placeholders(entries) & ~np.isin(in_feed, self._waived)
        if refused is not None:
            suspect |= refused  # no waiver gives these a spelling to match
        suspect &= ~malformed & ~withdrawn
        usable: Mask = ~(malformed | withdrawn | unmatchable | suspect)

        self._files.add(batch.file)
        self._totals["entries"] += len(numbers)
        for name, mask in (
            ("usable", usable),
            ("malformed", malformed),
            ("unmatchable", unmatchable),
            ("withdrawn", withdrawn),
            ("quarantined", suspect),
        ):
            self._totals[name] += int(mask.sum())
        for code, count in zip(*np.unique(codes[usable], return_counts=True), strict=True):
            self._by_kind[names[code]] = self._by_kind.get(names[code], 0) + int(count)
        for number in numbers[malformed][: SHOWN - len(self._first_malformed)].tolist():
            self._first_malformed.append(Place(self._name, batch.file, number))
        self._first_quarantined += in_feed[suspect][: SHOWN - len(self._first_quarantined)].tolist()
        return usable

    def finish(self) -> FeedCounts:
        """The counts of the whole feed.

        Raises:
            FeedError: the feed is refused.
        """
        counts = FeedCounts(
            **self._totals,
            files=len(self._files),
            by_kind=dict(sorted(self._by_kind.items())),
            quarantined_entries=tuple(self._first_quarantined),
        )
        check(self._name, self._feed, counts, self._previous, self._first_malformed)
        return counts


def check(
    name: str, feed: Feed, counts: FeedCounts, previous: FeedCounts | None = None, malformed: Collection[Place] = ()
) -> None:
    """Judge a feed's counts against its settings and its last version.

    Raises:
        FeedError: the feed is refused; the message says why, where and what to do.
    """
    feed_text = f"feed '{name}' ({feed.files})"
    if not counts.entries:
        raise FeedError(f"{feed_text} is empty", remedy="fetch the partner's list again")
    if counts.malformed > feed.max_malformed_share * counts.entries:
        places = "; ".join(f"{place.file}, {place.unit} {place.number}" for place in malformed)
        raise FeedError(
            f"{feed_text}: {counts.malformed:,} of {counts.entries:,} entries are malformed, more than "
            f"max_malformed_share = {feed.max_malformed_share:g} allows" + (f" (first: {places})" if places else ""),
            remedy="check the feed's `format`, `kind`, `hash`, `encoding` and `column`, or mend those lines",
        )
    if counts.usable < feed.min_entries:
        raise FeedError(
            f"{feed_text}: {counts.usable:,} usable entries, fewer than min_entries = {feed.min_entries:,} "
            f"({counts.unmatchable:,} unmatchable, {counts.withdrawn:,} withdrawn, {counts.quarantined:,} quarantined)",
            remedy="fetch the partner's list again, or lower the feed's `min_entries` if it is meant to be this short",
        )
    if previous is not None and counts.usable < previous.usable * (1 - feed.max_shrink_share):
        raise FeedError(
            f"{feed_text}: {counts.usable:,} usable entries, down from {previous.usable:,}: a larger loss than "
            f"max_shrink_share = {feed.max_shrink_share:g} allows",
            remedy="ask the partner whether the list is whole, and raise `max_shrink_share` for this version if it is",
        )


def placeholders(entries: pa.RecordBatch) -> Mask:
    """Which rows are digests of no content, of a well-known placeholder, or of a missing value."""
    return np.asarray(pc.is_in(entries.column("digest"), value_set=_PLACEHOLDERS, skip_nulls=True))


EMPTY_CONTENT = (b"", b"\n", b"\r\n", b" ", b"\x00")
"""Nothing, or what an empty download, line or field leaves."""

MISSING_VALUES = (b"null", b"NULL", b"None", b"none", b"nan", b"NaN", b"undefined", b"N/A", b"http://", b"https://")
"""What programs hash when a link or file was missing."""

PLACEHOLDER_IMAGES = tuple(
    base64.b64decode(content)
    for content in (
        "R0lGODlhAQABAIABAAAAAP///yH5BAEAAAEALAAAAAABAAEAAAICTAEAOw==",  # 1x1 GIF of nginx's empty_gif
        "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7",  # 1x1 GIFs of trackers and lazy loaders
        "R0lGODlhAQABAIAAAP///wAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==",
        "R0lGODlhAQABAIAAAAAAAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==",
        "R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw==",
        "R0lGODlhAQABAAAAACwAAAAAAQABAAA=",
        "R0lGODlhAQABAAD/ACwAAAAAAQABAAACADs=",
        "R0lGODlhAQABAID/AP///wAAACwAAAAAAQABAAACAkQBADs=",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg==",  # 1x1 PNGs
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=",
        "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=",
    )
)
"""Images that stand on millions of pages."""


def _placeholder_digests() -> pa.Array:
    contents = EMPTY_CONTENT + MISSING_VALUES + PLACEHOLDER_IMAGES
    digests = {hashlib.new(name, content).digest() for content in contents for name in ("md5", "sha1", "sha256")}
    digests |= {bytes([fill]) * size for fill in (0x00, 0xFF) for size in (16, 20, 32)}  # databases' idea of "none"
    return pa.array(sorted(digests), pa.binary())


_PLACEHOLDERS = _placeholder_digests()
