"""What screening says of a row, why, and how it is kept: a private Parquet file for each shard.

A verdict never holds a link or a text: a row number, reasons, feeds and the spellings that matched.
"""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import RESEARCH, RESEARCH_SAFE, make_private, written_whole


class Reason(StrEnum):
    """Why a row goes. The order is that in which a row with several reasons is counted: once, by its first."""

    LISTED_IMAGE = "listed_image"
    LISTED_LINK = "listed_link"
    LISTED_DOMAIN = "listed_domain"
    LISTED_PREFIX = "listed_prefix"
    SAME_LINK = "same_link"  # another row with this link has a listed image
    REMOVED_BEFORE = "removed_before"  # an earlier release removed it for a list's sake
    COVER = "cover"  # an ordinary row, removed so that listed ones do not stand out
    NO_LINK = "no_link"  # a row that cannot be compared with link lists
    UNREADABLE_HASH = "unreadable_hash"  # an image hash is given but is none
    UNSAFE_KEYWORD = "unsafe_keyword"  # score above the research threshold and a keyword in the text
    RULED_OUT_BEFORE = "ruled_out_before"  # an earlier release removed it by a rule
    UNSAFE = "unsafe"  # score above the research-safe threshold
    NO_SCORE = "no_score"  # nothing says that it is safe
    UNSAFE_BEFORE = "unsafe_before"  # an earlier release removed it from research-safe


LISTED = (Reason.LISTED_IMAGE, Reason.LISTED_LINK, Reason.LISTED_DOMAIN, Reason.LISTED_PREFIX)
HIDDEN = (*LISTED, Reason.SAME_LINK, Reason.REMOVED_BEFORE, Reason.COVER)
"""Reasons that nobody outside may tell apart: what lists name, what goes with it, and what covers it."""

ONLY_FROM_SAFE = (Reason.UNSAFE, Reason.NO_SCORE, Reason.UNSAFE_BEFORE)
"""Reasons that remove a row from research-safe and leave it in research; every other removes it from both."""

BIT = {reason: 1 << place for place, reason in enumerate(Reason)}
RESEARCH_BITS = sum(BIT[reason] for reason in Reason if reason not in ONLY_FROM_SAFE)
LISTED_BITS = sum(BIT[reason] for reason in LISTED)
HIDDEN_BITS = sum(BIT[reason] for reason in HIDDEN)
RULE_BITS = sum(BIT.values()) - HIDDEN_BITS

REASON_OF_KIND = {
    Kind.IMAGE_MD5: Reason.LISTED_IMAGE,
    Kind.IMAGE_SHA1: Reason.LISTED_IMAGE,
    Kind.IMAGE_SHA256: Reason.LISTED_IMAGE,
    Kind.LINK_MD5: Reason.LISTED_LINK,
    Kind.LINK_SHA1: Reason.LISTED_LINK,
    Kind.LINK_SHA256: Reason.LISTED_LINK,
    Kind.LINK: Reason.LISTED_LINK,
    Kind.DOMAIN: Reason.LISTED_DOMAIN,
    Kind.PREFIX: Reason.LISTED_PREFIX,
}

VERDICTS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # 0-based position in the shard, ascending
        pa.field("reasons", pa.uint16(), nullable=False),  # bits of `BIT`
        pa.field("feeds", pa.list_(pa.string()), nullable=False),  # that list it, or a row with its link; sorted
        pa.field("forms", pa.list_(pa.string()), nullable=False),  # spellings in which its link matched, sorted
        pa.field("link_key", pa.uint64()),  # private key of its link as it is written; null without one
        pa.field("row_key", pa.uint64(), nullable=False),  # private key of its link and text
    ]
)

_METADATA_KEY = b"relaion.verdicts"


@dataclass(frozen=True)
class Counts:
    """What screening counted in one or more shards. Public by subset, private by shard."""

    rows: int = 0
    kept: dict[str, int] = field(default_factory=dict)  # edition -> rows
    removed: dict[str, int] = field(default_factory=dict)  # reason -> rows, each row by its first reason
    listed: int = 0  # rows that any feed lists: the union
    listed_by_feed: dict[str, int] = field(default_factory=dict)  # feed -> rows; feeds overlap
    not_screened_by_image: int = 0  # rows that an image list could not be compared with

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(
            rows=self.rows + other.rows,
            kept=_sum(self.kept, other.kept),
            removed=_sum(self.removed, other.removed),
            listed=self.listed + other.listed,
            listed_by_feed=_sum(self.listed_by_feed, other.listed_by_feed),
            not_screened_by_image=self.not_screened_by_image + other.not_screened_by_image,
        )

    @classmethod
    def from_json(cls, content: dict[str, object]) -> "Counts":
        """The counterpart of `dataclasses.asdict`."""
        return cls(**content)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Header:
    """What a verdict file says of itself: which inputs it answers for, and its counts."""

    key: str  # digest of what was found of the shard's rows, and of the code; see `ledger.settling`
    source_sha256: str
    rows_sha256: str  # of the rows, and how keys name them; see `ledger.settling`
    hidden_sha256: str  # of which links it removes for a hidden reason; see `ledger.settling`
    effect_sha256: str  # of which rows go from which edition; what the editions depend on
    counts: Counts


def count(verdicts: pa.Table, rows: int, not_screened_by_image: int) -> Counts:
    """Count `verdicts` of a shard of `rows` rows; every reason is named, and each feed that lists a row."""
    bits = verdicts.column("reasons").to_numpy()
    removed = {}
    uncounted = np.ones(len(bits), dtype=bool)
    for reason in Reason:
        first = uncounted & ((bits & BIT[reason]) != 0)
        removed[str(reason)] = int(first.sum())
        uncounted &= ~first
    named, counts = np.unique(
        verdicts.filter(pa.array((bits & LISTED_BITS) != 0))
        .column("feeds")
        .combine_chunks()
        .flatten()
        .to_numpy(zero_copy_only=False)
        .astype(str),
        return_counts=True,
    )
    listed_by_feed = {str(feed): int(number) for feed, number in zip(named, counts, strict=True)}
    return Counts(
        rows=rows,
        kept={
            RESEARCH: rows - int(((bits & RESEARCH_BITS) != 0).sum()),
            RESEARCH_SAFE: rows - len(bits),
        },
        removed=removed,
        listed=int(((bits & LISTED_BITS) != 0).sum()),
        listed_by_feed=listed_by_feed,
        not_screened_by_image=not_screened_by_image,
    )


def no_rows(feeds: Iterable[str]) -> Counts:
    """Counts of nothing, in which every feed is named: a shard's name those that list a row of it."""
    return Counts(listed_by_feed=dict.fromkeys(sorted(feeds), 0))


def write(path: Path, verdicts: pa.Table, header: Header) -> None:
    """Write a shard's verdicts whole, mode 0600."""
    make_private(path.parent)
    metadata = {_METADATA_KEY: json.dumps(asdict(header), sort_keys=True).encode()}
    with written_whole(path) as temporary:
        pq.write_table(verdicts.replace_schema_metadata(metadata), temporary, compression="zstd")


def read_header(path: Path) -> Header | None:
    """The header of a verdict file, or None where there is no readable one: then the shard is to be screened."""
    try:
        metadata = pq.read_schema(path).metadata or {}
        content = json.loads(metadata[_METADATA_KEY])
        return Header(**{**content, "counts": Counts.from_json(content["counts"])})
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None


def read_rows(path: Path) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint16]]:
    """Row numbers, ascending, and reason bits of a shard's verdicts; shape (verdicts,) each."""
    table = pq.read_table(path, columns=["row", "reasons"])
    return table.column("row").to_numpy(), table.column("reasons").to_numpy()


def _sum(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {key: left.get(key, 0) + right.get(key, 0) for key in [*left, *(k for k in right if k not in left)]}
