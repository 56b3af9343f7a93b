"""How a feed is declared in `relaion.toml`: the vocabulary that settings and readers share."""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from relaion_pipeline.links import FORMS
from relaion_pipeline.links.vectorised import SAFE_BROWSING

Share = Annotated[float, Field(ge=0, le=1)]


class FeedKind(StrEnum):
    """What a feed lists. `declared` is for formats whose entries say it themselves."""

    IMAGE = "image"
    LINK_HASH = "link-hash"
    LINK = "link"
    DOMAIN = "domain"
    PREFIX = "prefix"
    DECLARED = "declared"


class HashName(StrEnum):
    """Hash functions that lists use. Declared, never guessed: base32 SHA-1 is as long as hex MD5."""

    MD5 = "md5"
    SHA1 = "sha1"
    SHA256 = "sha256"


class Encoding(StrEnum):
    """How a list writes a digest."""

    HEX = "hex"
    BASE32 = "base32"
    BASE64 = "base64"


HASHED = frozenset({FeedKind.IMAGE, FeedKind.LINK_HASH})
PLAIN = frozenset({FeedKind.LINK, FeedKind.DOMAIN, FeedKind.PREFIX})
DOMAINS = frozenset({FeedKind.DOMAIN})
DECLARED = frozenset({FeedKind.DECLARED})

KINDS_OF_FORMAT = {
    "adguard": DOMAINS | DECLARED,
    "c3p": DECLARED,
    "csv": HASHED | PLAIN,
    "dnsmasq": DOMAINS,
    "hosts": DOMAINS,
    "jsonl": HASHED | PLAIN,
    "misp": DECLARED,
    "ncmec": DECLARED,
    "squid": DOMAINS,
    "stix": DECLARED,
    "stopncii": DECLARED,
    "tat": DECLARED,
    "text": HASHED | PLAIN,
    "threatexchange": DECLARED,
    "tsv": HASHED | PLAIN,
    "ut1": PLAIN | DECLARED,
    "wildcard": DOMAINS,
}
"""Which kinds go with which list format; `formats.READERS` has the reader of each."""


class Feed(BaseModel):
    """One partner's list."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    partner: str = Field(min_length=1, description="who sends the list, as reports name them")
    version: str = Field(min_length=1, description="the partner's own version or date of the list")
    files: str = Field(description="glob of the list's files, relative to the data root")
    format: str = Field("text", description="text, csv, tsv, ... : see docs/feeds.md")
    kind: FeedKind = Field(description="what an entry lists")
    hash: HashName | None = Field(None, description="hash function, for kinds image and link-hash")
    encoding: Encoding = Field(Encoding.HEX, description="how digests are written")
    column: str | None = Field(
        None, description="CSV, TSV and JSONL: the column, its number, or the dotted key that holds the entry"
    )
    link_form: str | None = Field(
        None, description="the one spelling whose hash the partner lists; undeclared, every spelling is tried"
    )
    min_entries: int = Field(1, ge=1, description="fewer usable entries than this stop the release")
    max_malformed_share: Share = Field(0.0, description="a larger share of malformed entries stops the release")
    max_shrink_share: Share = Field(0.2, description="losing more than this share since the last version stops it")
    max_rows_per_entry: int = Field(
        100_000, ge=1, description="an entry that matches more rows than this is quarantined until waived"
    )

    @model_validator(mode="after")
    def _kind_goes_with_format(self) -> Self:
        kinds = KINDS_OF_FORMAT.get(self.format)
        if kinds is None:
            raise ValueError(f"there is no format '{self.format}'; use one of {', '.join(sorted(KINDS_OF_FORMAT))}")
        if self.kind not in kinds:
            raise ValueError(
                f"format '{self.format}' does not go with kind '{self.kind}'; use one of {', '.join(sorted(kinds))}"
            )
        return self

    @model_validator(mode="after")
    def _form_is_known(self) -> Self:
        if self.link_form is not None and self.link_form not in {*FORMS, SAFE_BROWSING}:
            raise ValueError(f"there is no link form '{self.link_form}'; docs/links.md has the table of forms")
        if self.link_form is not None and self.kind not in {FeedKind.LINK_HASH, FeedKind.DECLARED}:
            raise ValueError(f"`link_form` goes with hashed links, not with kind '{self.kind}'")
        return self

    @model_validator(mode="after")
    def _hash_goes_with_kind(self) -> Self:
        hashed = self.kind in HASHED
        if hashed and self.hash is None:
            raise ValueError(f"kind '{self.kind}' needs `hash` (md5, sha1 or sha256): it is never guessed")
        if not hashed and self.hash is not None:
            raise ValueError(f"`hash` does not go with kind '{self.kind}'")
        return self
