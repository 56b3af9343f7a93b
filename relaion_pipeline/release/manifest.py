"""`manifest.json`: what a release is, in numbers and digests. Its JSON Schema is published beside it.

Public: nothing here tells which rows were listed, or how many in one shard.
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relaion_pipeline.layout import EDITIONS

MANIFEST = "manifest.json"
MANIFEST_SCHEMA = "manifest.schema.json"
CHECKSUMS = "SHA256SUMS"

_SHA256 = r"^[0-9a-f]{64}$"


class ManifestError(Exception):
    """A release's manifest is missing or is none; the message says which file."""


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class SourceShard(_Model):
    """One input file."""

    subset: str
    name: str = Field(description="file name")
    sha256: str = Field(pattern=_SHA256)
    scores_sha256: str | None = Field(pattern=_SHA256, description="of the sidecar that its scores come from")
    bytes: int = Field(ge=0)
    rows: int = Field(ge=0)


class FeedInput(_Model):
    """One partner's list, in counts; no entry of it. Which rows it named is told by subset only."""

    name: str
    partner: str
    version: str
    entries: int = Field(ge=0, description="usable entries")
    malformed: int = Field(ge=0)
    unmatchable: int = Field(ge=0, description="entries of kinds that metadata cannot answer, PhotoDNA say")
    withdrawn: int = Field(ge=0, description="entries that the partner takes back; they are not matched")
    quarantined: int = Field(ge=0, description="suspect entries held back until an operator decides")
    sha256: str | None = Field(
        pattern=_SHA256,
        description="digest over the digests of the list's files; left out of short lists, which it would let guess",
    )


class Rule(_Model):
    """The NSFW rules that were applied."""

    research_above: float
    research_safe_above: float
    missing_score: str
    keywords: int = Field(ge=1, description="how many keywords")
    keywords_sha256: str = Field(pattern=_SHA256)


class WaiverRecord(_Model):
    """An exception that an operator answers for."""

    kind: str
    feed: str | None
    subset: str | None
    entry: int | None
    release: str | None = None
    reason: str
    by: str
    rows: int | None = None  # removed-before: removals of earlier releases that it lifts


class SubsetCounts(_Model):
    """Rows of one subset. Feeds overlap: `listed_by_feed` may add up to more than `listed`, their union."""

    rows: int = Field(ge=0)
    kept: dict[str, int] = Field(description="edition -> rows")
    removed: dict[str, int] = Field(description="reason -> rows, each row by its first reason")
    listed: int = Field(ge=0)
    listed_by_feed: dict[str, int]
    not_screened_by_image: int = Field(ge=0, description="rows whose image no list could be compared with")


class PublishedFile(_Model):
    """One Parquet file of an edition."""

    path: str = Field(description="relative to the release")
    edition: str
    subset: str
    shard: str = Field(description="stem of the source shard")
    sha256: str = Field(pattern=_SHA256)
    bytes: int = Field(ge=0)
    uncompressed_bytes: int = Field(ge=0, description="of its pages, as its footer has it")
    rows: int = Field(ge=0)


class Column(_Model):
    """One column of the published files."""

    name: str
    type: str = Field(description="Arrow's name of the type")
    part: str | None = Field(
        None,
        pattern="^(link|text|punsafe|nsfw|md5|sha1|sha256)$",
        description="what the release takes the column for, if for anything",
    )


class Scores(_Model):
    """Rows by score, in bins of equal width from 0 to 1, open below and closed above. The lists have no part in it.

    A row that is listed, and that no other rule removes, counts as passing.
    """

    source: list[int] = Field(description="rows of the source")
    passing: dict[str, list[int]] = Field(description="edition -> rows that no rule apart from lists removes")
    unscored: int = Field(ge=0, description="rows of the source without a score")


class HostRows(_Model):
    """A host and the rows of `research` whose link is there."""

    host: str
    rows: int = Field(ge=0, description="rounded down to two digits, at least to ten")


class Statistics(_Model):
    """What the report draws."""

    scores: Scores
    hosts: list[HostRows] = Field(description="hosts with most rows in research")
    hosts_min_rows: int = Field(ge=1, description="hosts with fewer rows are not told")


class Gate(_Model):
    """What who asks for access is shown and asked."""

    prompt: str
    fields: dict[str, str] = Field(description="question -> kind of field")


class RemovalList(_Model):
    """What one edition lacks, in counts; see docs/removal-lists.md."""

    edition: str
    rows: int = Field(ge=0, description="rows that the source has and the edition lacks")
    row_keys: int = Field(ge=0, description="distinct keys of their links and texts: the list of rows")
    link_keys: int = Field(ge=0, description="links that no row of the edition has any more: the list of links")
    kept_alike: int = Field(
        ge=0, description="rows of the edition with the link and text of a removed row, so with a listed key"
    )


class Removals(_Model):
    """The removal lists, below `removals/`."""

    salt: str = Field(description="what every key is salted with; public")
    max_listed_share: float = Field(ge=0, le=1, description="listed rows are at most this share of each list")
    lists: list[RemovalList]


class Proof(_Model):
    """What was checked before the release appeared."""

    checks: list[str] = Field(min_length=1, description="names of the gate's checks, all passed")
    expectations: int = Field(ge=1, description="expectations that were evaluated, all met")


class Manifest(_Model):
    """A whole manifest."""

    format: Literal["relaion-manifest/1"] = "relaion-manifest/1"
    dataset: str
    title: str
    licence: str
    description: str | None
    homepage: str | None
    contact: str | None = Field(description="where to report a link that should not be here")
    languages: list[str]
    tags: list[str]
    gate: Gate | None
    release: str = Field(pattern=r"^\d{4}-\d{2}-\d{2}\.\d{3}$")
    code_version: str
    canonicaliser_version: str
    libraries: dict[str, str] = Field(
        default_factory=dict, description="library -> version, of those whose version may decide bytes"
    )
    shards: list[SourceShard]
    feeds: list[FeedInput]
    nsfw: Rule
    waivers: list[WaiverRecord]
    subsets: dict[str, SubsetCounts]
    total: SubsetCounts
    columns: dict[str, list[Column]] = Field(description="subset -> columns of its files; a file may lack some")
    files: list[PublishedFile]
    statistics: Statistics
    removals: Removals
    proof: Proof


def goes_with(name: str, editions: tuple[str, ...]) -> bool:
    """Whether a file of a release belongs to one of `editions`, or to all: by the name of its folder."""
    folder, _, rest = name.partition("/")
    edition = rest.partition("/")[0] if folder == "removals" else folder
    return edition not in EDITIONS or edition in editions


def schema_text() -> str:
    """The JSON Schema of manifests, as published."""
    schema: dict[str, Any] = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Manifest.model_json_schema()}
    return json.dumps(schema, indent=1, sort_keys=True) + "\n"


def text(manifest: Manifest) -> str:
    """A manifest as published: the same content gives the same bytes."""
    return json.dumps(manifest.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def read(release: Path) -> Manifest:
    """The manifest of the release in the folder `release`.

    Raises:
        ManifestError: there is none, or it does not say what a manifest must.
    """
    return read_file(release / MANIFEST)


def read_file(path: Path) -> Manifest:
    """The manifest in the file `path`; errors as of `read`."""
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise ManifestError(f"{path}: cannot be read ({error.strerror}); is {path.parent} a release?") from None
    except ValidationError as error:
        places = ", ".join(".".join(str(part) for part in e["loc"]) or "the file" for e in error.errors()[:5])
        raise ManifestError(f"{path}: not a manifest of format relaion-manifest/1; wrong at {places}") from None
