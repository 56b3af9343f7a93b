"""The settings file, `relaion.toml` in the data root: what a dataset is and how it is to be released.

What belongs here: every key a user may write, its default, its check and its one-line meaning.
What does not: reading shards or feeds, and anything that looks inside the files named here.
"""

import hashlib
import json
import re
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from relaion_pipeline.feeds.declaration import Feed
from relaion_pipeline.publish.declaration import Destination

SETTINGS_FILE = "relaion.toml"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")
_DAGSTER_NAME = re.compile(r"[^A-Za-z0-9_]")


class SettingsError(Exception):
    """The settings file is missing or wrong; the message names file, place and remedy, one line a mistake."""


def _is_name(value: str) -> str:
    if not _NAME.fullmatch(value):
        raise ValueError("use letters, digits, '_' and '-' (at most 63, starting with a letter or digit)")
    return value


def _is_timezone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError("no time zone of that name; write it as Europe/Berlin") from None
    return value


Name = Annotated[str, AfterValidator(_is_name)]
Share = Annotated[float, Field(ge=0, le=1)]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Columns(_Model):
    """Which column of a shard plays which part; a part left out is one the shards do not have."""

    link: str = Field(description="the image link")
    text: str | None = Field(None, description="alt text or caption")
    punsafe: str | None = Field(None, description="probability that the image is unsafe, 0 to 1")
    nsfw: str | None = Field(None, description="LAION's tag: UNLIKELY, UNSURE or NSFW")
    md5: str | None = Field(None, description="MD5 of the image bytes, hex")
    sha1: str | None = Field(None, description="SHA-1 of the image bytes, hex")
    sha256: str | None = Field(None, description="SHA-256 of the image bytes, hex")


class Subset(_Model):
    """A named set of shards."""

    shards: str = Field(description="glob of the subset's shards, relative to the data root")
    columns: str | Columns = Field("auto", description="a preset's name, 'auto', or a table of column names")
    scores: str | None = Field(
        None,
        description="glob of Parquet files with a `punsafe` column, one per shard with the shard's stem, "
        "row for row; joined to shards that carry no score",
    )
    slices: int = Field(1, ge=1, le=512, description="how many slices the subset is cut into")
    has_header: bool | None = Field(None, description="CSV and TSV: whether the first line names the columns")


class MissingScore(StrEnum):
    """What happens to rows without any score. None of the choices lets one into research-safe."""

    REMOVE = "remove"
    STOP = "stop"


class Nsfw(_Model):
    """The NSFW rules of LAION's note on Re-LAION-5B."""

    keywords: str = Field("keywords.txt", description="keyword file, one word or phrase a line")
    research_above: Share = Field(0.95, description="research loses rows above this that also hold a keyword")
    research_safe_above: Share = Field(0.45, description="research-safe loses every row above this")
    missing_score: MissingScore = Field(
        MissingScore.REMOVE, description="rows without a score: 'remove' from research-safe, or 'stop'"
    )

    @model_validator(mode="after")
    def _safe_is_stricter(self) -> Self:
        if self.research_safe_above > self.research_above:
            raise ValueError("research_safe_above must not exceed research_above: research-safe is the stricter")
        return self


class Waiver(_Model):
    """A named exception that an operator answers for."""

    kind: Literal["unanswerable-feed", "quarantined-entry", "removed-before"] = Field(description="what is waived")
    feed: Name | None = Field(None, description="the feed it concerns; removed-before: left out for what rules removed")
    subset: Name | None = Field(None, description="one subset; left out: all")
    entry: int | None = Field(None, ge=1, description="quarantined-entry: the entry's number in the feed")
    release: str | None = Field(None, description="removed-before: the release that removed the rows; left out: any")
    reason: str = Field(min_length=1, description="why, for the record")
    by: str = Field(min_length=1, description="who decided it")

    @model_validator(mode="after")
    def _entry_goes_with_kind(self) -> Self:
        if (self.kind == "quarantined-entry") != (self.entry is not None):
            raise ValueError("`entry` goes with kind 'quarantined-entry', and only with it")
        if self.kind != "removed-before" and self.feed is None:
            raise ValueError("`feed` may be left out with kind 'removed-before' only")
        if self.kind != "removed-before" and self.release is not None:
            raise ValueError("`release` goes with kind 'removed-before' only")
        return self


class GateField(StrEnum):
    """Kinds of field that Hugging Face's access form knows."""

    TEXT = "text"
    CHECKBOX = "checkbox"
    COUNTRY = "country"
    DATE = "date_picker"


_GATE_FIELDS = {
    "Name": GateField.TEXT,
    "Affiliation": GateField.TEXT,
    "Country": GateField.COUNTRY,
    "Intended use": GateField.TEXT,
    "I will use this data for research only, and will replace my copy when a newer release appears": GateField.CHECKBOX,
}


class Dataset(_Model):
    """What the release is called, and what its card says of it."""

    name: Name = Field(description="short name, used in manifests and file headers")
    title: str | None = Field(None, description="name for people")
    licence: str = Field("Apache-2.0", description="SPDX identifier")
    description: str | None = Field(None, description="what the dataset is, for its card")
    homepage: str | None = Field(None, pattern=r"^https?://\S+$", description="page about the dataset")
    contact: str | None = Field(None, description="address to report a link to that should not be in the dataset")
    languages: list[str] = Field(default_factory=list, description="ISO 639 codes, for search on Hugging Face")
    tags: list[str] = Field(default_factory=list, description="more words to find it by on Hugging Face")
    gated: bool = Field(True, description="whether the card asks who wants access; Hugging Face enforces it")
    gate_prompt: str = Field(
        "This dataset is released for research. It holds links to images on the web, no images; some of what they "
        "show is disturbing. Please say who you are and what you will use it for.",
        description="what who asks for access is told",
    )
    gate_fields: dict[str, GateField] = Field(
        default_factory=_GATE_FIELDS.copy, min_length=1, description="what they are asked: question to kind of field"
    )


class Output(_Model):
    """How the editions' files are written."""

    row_group_rows: int = Field(131_072, ge=1_024, le=4_194_304, description="rows in a row group")
    compression: Literal["zstd", "snappy"] = Field("zstd", description="Parquet compression")
    compression_level: int = Field(1, ge=1, le=19, description="zstd level; higher is smaller and slower")


class Removal(_Model):
    """The removal lists that travel with a release."""

    salt: str | None = Field(
        None, min_length=1, description="public salt of the lists' keys; left out: `relaion:` and the dataset's name"
    )
    max_listed_share: Share = Field(
        0.001, description="listed rows may be this share of a removal list at most; more stop the release"
    )

    def salt_of(self, dataset: "Dataset") -> str:
        """The salt in force."""
        return self.salt or f"relaion:{dataset.name}"


class Limits(_Model):
    """What the work may take."""

    memory: str = Field("2GiB", pattern=r"^\d+(\.\d+)?\s?(MB|GB|MiB|GiB)$", description="DuckDB's memory limit")
    threads: int = Field(0, ge=0, description="worker threads; 0 means one per core")


class Retention(_Model):
    """How long releases are kept."""

    keep_last: int | None = Field(
        None,
        ge=1,
        description="releases to keep, the newest ones; left out: all. What is current or was published stays anyway",
    )


class Automation(_Model):
    """When releases are made without anyone asking, while the daemon runs (`relaion ui`)."""

    sensor: bool = Field(False, description="whether a changed list, shard, keyword file or setting leads to a release")
    quiet_seconds: int = Field(
        300, ge=1, description="the sensor waits until no input changed for so long: files may still be coming"
    )
    poll_seconds: int = Field(30, ge=5, description="how often the sensor looks")
    cron: str | None = Field(
        None, pattern=r"^\s*\S+(\s+\S+){4}\s*$", description="when to make a release if anything changed: a cron line"
    )
    timezone: Annotated[str, AfterValidator(_is_timezone)] = Field("UTC", description="time zone of the cron line")
    max_release_age_days: int | None = Field(
        None, ge=1, description="the UI shows the release as overdue when it is older than this"
    )


class Notify(_Model):
    """Who is told when a run fails. Secrets stay in the environment; here stand the variables' names."""

    webhook_variable: str | None = Field(None, description="variable with the address that JSON is posted to")
    email_to: list[str] = Field(default_factory=list, description="who gets an e-mail")
    email_from: str | None = Field(None, description="its sender")
    smtp_server: str = Field("localhost", description="the mail server")
    smtp_port: int = Field(587, ge=1, le=65_535, description="its port")
    smtp_security: Literal["starttls", "tls", "none"] = Field("starttls", description="how the connection is encrypted")
    smtp_user: str | None = Field(None, description="who logs in; left out: nobody")
    smtp_password_variable: str | None = Field(None, description="variable with the password")

    @model_validator(mode="after")
    def _email_is_whole(self) -> Self:
        if self.email_to and self.email_from is None:
            raise ValueError("email_to needs email_from")
        if (self.smtp_user is None) != (self.smtp_password_variable is None):
            raise ValueError("smtp_user and smtp_password_variable go together")
        return self


class Settings(_Model):
    """A whole settings file."""

    dataset: Dataset
    subsets: dict[Name, Subset] = Field(min_length=1)
    feeds: dict[Name, Feed] = Field(min_length=1)
    nsfw: Nsfw = Nsfw()
    output: Output = Output()
    removals: Removal = Removal()
    retention: Retention = Retention()
    limits: Limits = Limits()
    automation: Automation = Automation()
    notify: Notify = Notify()
    waivers: list[Waiver] = Field(default_factory=list)
    publish: dict[Name, Destination] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _names_meet(self) -> Self:
        for number, waiver in enumerate(self.waivers):
            # What a feed removed may return after the feed itself is gone from the settings.
            if waiver.kind != "removed-before" and waiver.feed not in self.feeds:
                raise ValueError(f"waivers[{number}].feed: no feed is called '{waiver.feed}'")
            if waiver.subset is not None and waiver.subset not in self.subsets:
                raise ValueError(f"waivers[{number}].subset: no subset is called '{waiver.subset}'")
        for section, names in (("subsets", self.subsets), ("feeds", self.feeds)):
            seen: dict[str, str] = {}
            for name in names:
                twin = seen.setdefault(dagster_name(name).lower(), name)
                if twin != name:
                    raise ValueError(f"{section}: '{twin}' and '{name}' differ only in punctuation or case")
        return self

    def waived(self, feed: str, subset: str) -> bool:
        """Whether the operator lets `subset` be released although it cannot answer `feed`."""
        return any(
            w.kind == "unanswerable-feed" and w.feed == feed and w.subset in {None, subset} for w in self.waivers
        )

    def waived_entries(self, feed: str) -> list[int]:
        """Numbers of the entries of `feed` that the operator lets through although a guard holds them back."""
        return [w.entry for w in self.waivers if w.kind == "quarantined-entry" and w.feed == feed and w.entry]

    def returning(self) -> list[Waiver]:
        """The waivers that let rows back which an earlier release removed."""
        return [waiver for waiver in self.waivers if waiver.kind == "removed-before"]

    def deciding(self) -> dict[str, Any]:
        """What the settings say that can change a release: comments, limits, destinations, retention do not."""
        return self.model_dump(mode="json", exclude={"automation", "limits", "notify", "publish", "retention"})

    def digest(self) -> str:
        """SHA-256 of `deciding`, whatever the order of keys."""
        return hashlib.sha256(json.dumps(self.deciding(), sort_keys=True).encode()).hexdigest()


def dagster_name(name: str) -> str:
    """`name` in the alphabet that Dagster allows in asset keys and step names."""
    return _DAGSTER_NAME.sub("_", name)


def load(data_root: Path) -> Settings:
    """Read and check `relaion.toml` in `data_root`.

    Raises:
        SettingsError: the file is missing, is not TOML, or holds wrong keys or values; every one is named.
    """
    path = data_root / SETTINGS_FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(
            f"{path}: no settings file; `relaion init {data_root}` writes a commented one, "
            f"`relaion sample {data_root}` a whole sample"
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None
    try:
        return Settings.model_validate(content)
    except ValidationError as error:
        lines = [f"{path}: {_place(e['loc'])}: {_remedy(dict(e))}" for e in error.errors(include_url=False)]
        raise SettingsError("\n".join(lines)) from None


def _place(location: tuple[int | str, ...]) -> str:
    """A place in the file as TOML writes it: `feeds.iwf.hash`, `waivers[0].reason`."""
    text = ""
    for part in location:
        if isinstance(part, int):
            text += f"[{part}]"
        elif part not in {"str", "Columns"}:  # the arms of the union in Subset.columns
            text += f".{part}" if text else part
    return text or "(top level)"


def _remedy(error: dict[str, Any]) -> str:
    if error["type"] == "extra_forbidden":
        return "unknown key; see `relaion init` for every key"
    if error["type"] == "missing":
        return "required, but missing"
    given = error.get("input")
    shown = f" (got {given!r})" if isinstance(given, str | int | float | bool) else ""
    return str(error["msg"]).removeprefix("Value error, ") + shown
