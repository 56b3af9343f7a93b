"""What is kept privately of every release: from which inputs it was made, when, by which run, and what proved it.

What belongs here: what an auditor of the data root needs and the public must not have. Digests that cover partners'
lists: who holds the source could try every link of it against the digest of a short list. Counts of one shard: they
would tell where listed rows were. What differs between two builds of the same inputs: time and run.
What does not: what is published (`manifest`), and comparing releases (`history`).
"""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.provenance import key_of
from relaion_pipeline.screening.verdicts import Counts


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True)  # unknown fields are passed over: a later version wrote them


class UsedFeed(_Model):
    """One partner's list as it was read."""

    partner: str
    version: str
    files: dict[str, str] = Field(description="file relative to the data root -> SHA-256, in the order of reading")
    entries: int | None = Field(description="usable entries; None where these very files were not compiled yet")


class UsedShard(_Model):
    """One input file. Its rows stand in the record's counts."""

    source_sha256: str
    scores_sha256: str | None


class UsedInputs(_Model):
    """Everything that decides what a release holds."""

    settings: dict[str, Any] = Field(description="as `Settings.deciding` gives them")
    settings_sha256: str
    keywords_sha256: str
    feeds: dict[str, UsedFeed]
    shards: dict[str, UsedShard] = Field(description="`subset/stem` -> its files")
    code_version: str

    @property
    def sha256(self) -> str:
        """One digest of all, names of lists' files apart: releases with the same one hold the same files."""
        feeds = {name: list(feed.files.values()) for name, feed in self.feeds.items()}
        shards = [[name, shard.source_sha256, shard.scores_sha256] for name, shard in self.shards.items()]
        return key_of(self.settings_sha256, feeds, self.keywords_sha256, shards, self.code_version)

    @property
    def waivers(self) -> list[dict[str, Any]]:
        """The waivers in force: who let what pass, and why."""
        return list(self.settings["waivers"])


class MadePart(_Model):
    """What a release was put together from, and the run that made it as it stands."""

    stage: str = Field(description="`screened`, `ledger`, `feeds` ...")
    part: str | None = Field(description="the slice or feed; None: there is one for the whole dataset")
    run_id: str = Field(description="the first run that gave just this content; later ones found or made the same")


class ReleaseRecord(_Model):
    """The private side of one release. What records of earlier versions of this package lack is None or empty."""

    version: str
    inputs_sha256: str
    evidence_sha256: str
    made_at: str | None = Field(None, description="UTC, ISO 8601, to the second")
    run_id: str | None = Field(None, description="the Dagster run that made it; None: made without Dagster")
    parts: tuple[MadePart, ...] = Field((), description="by which runs its parts were made; empty: not known")
    inputs: UsedInputs | None = None
    ledger_sha256: str | None = Field(None, description="digest of the ledger's newest segment")
    libraries: dict[str, str] = Field(default_factory=dict, description="distribution (and python) -> version")
    counts: dict[str, Counts] = Field(default_factory=dict, description="`subset/stem` -> what screening counted")


def write(record: ReleaseRecord, root: DataRoot) -> None:
    """Keep the record of a release, mode 0600."""
    path = root.release_record(record.version)
    make_private(path.parent)
    write_text(path, record.model_dump_json(indent=1))


def read(root: DataRoot, version: str) -> ReleaseRecord | None:
    """The record of a release, or None where there is none that can be read."""
    try:
        return ReleaseRecord.model_validate_json(root.release_record(version).read_bytes())
    except (OSError, ValidationError):
        return None
