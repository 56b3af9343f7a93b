"""The one place that names files: what lies where in a data root.

What belongs here: paths, and the modes that keep private things private.
What does not: what the files hold.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PRIVATE_FOLDER_MODE = 0o700
PRIVATE_FILE_MODE = 0o600
PUBLIC_FILE_MODE = 0o644

RESEARCH = "research"
RESEARCH_SAFE = "research-safe"
EDITIONS = (RESEARCH, RESEARCH_SAFE)

BUILDING = ".building-"
REMOVING = ".removing-"

TAKEDOWNS = "feeds/takedowns/requests.jsonl"
"""The list of takedown requests, relative to the data root: what its feed names as its file."""


@dataclass(frozen=True)
class DataRoot:
    """Names every file of one dataset. `path` is absolute."""

    path: Path

    @classmethod
    def at(cls, path: Path | str) -> "DataRoot":
        """The data root at `path`, which need not exist yet."""
        return cls(Path(path).expanduser().absolute())

    @property
    def private(self) -> Path:
        return self.path / "private"

    @property
    def takedowns(self) -> Path:
        return self.path / TAKEDOWNS

    @property
    def releases(self) -> Path:
        return self.path / "releases"

    @property
    def current(self) -> Path:
        return self.releases / "current"

    @property
    def dagster_home(self) -> Path:
        return self.path / "dagster_home"

    @property
    def lock(self) -> Path:
        return self.private / "release.lock"

    @property
    def digest_cache(self) -> Path:
        return self.private / "digests.json"

    @property
    def verified_digests(self) -> Path:
        """Digests that verification found out, apart from those that releases are built by."""
        return self.private / "verified_digests.json"

    @property
    def temporary(self) -> Path:
        """Scratch space of DuckDB, a folder for each process."""
        return self.private / "temporary"

    def compiled_feed(self, feed: str) -> Path:
        return self.private / "feeds" / f"{feed}.parquet"

    @property
    def salt(self) -> Path:
        """Key of the hashes under which plain links, domains and prefixes of feeds are stored."""
        return self.private / "salt"

    @property
    def blocklist_record(self) -> Path:
        return self.private / "blocklist.json"

    def converted(self, subset: str, stem: str) -> Path:
        """The Parquet rendering of a CSV, TSV or JSONL shard, or of one that has scores joined."""
        return self.private / "converted" / subset / f"{stem}.parquet"

    def shard_record(self, subset: str, stem: str) -> Path:
        return self.private / "shards" / subset / f"{stem}.json"

    def images_index(self, subset: str, stem: str) -> Path:
        """Fingerprints of a shard's image hashes."""
        return self.private / "index" / subset / f"{stem}.images.parquet"

    def spellings_index(self, subset: str, stem: str) -> Path:
        """Fingerprints of all that lists can compare of a shard's links."""
        return self.private / "index" / subset / f"{stem}.spellings.parquet"

    def links_index(self, subset: str, stem: str) -> Path:
        """Private keys of a shard's links."""
        return self.private / "index" / subset / f"{stem}.links.parquet"

    def index_record(self, subset: str, stem: str) -> Path:
        return self.private / "index" / subset / f"{stem}.json"

    def findings(self, subset: str, stem: str) -> Path:
        """What lists and rules say of a shard's rows."""
        return self.private / "findings" / subset / f"{stem}.parquet"

    def findings_record(self, subset: str, stem: str) -> Path:
        return self.private / "findings" / subset / f"{stem}.json"

    def verdicts(self, subset: str, stem: str) -> Path:
        """Which rows of a shard go, and why: findings, and what the ledger adds."""
        return self.private / "verdicts" / subset / f"{stem}.parquet"

    @property
    def settlement(self) -> Path:
        """From what the verdicts were settled last."""
        return self.private / "settlement.json"

    @property
    def ledger(self) -> Path:
        """A folder for each release, with what it was the first to remove."""
        return self.private / "ledger"

    def entry_counts(self, subset: str, stem: str) -> Path:
        """How many rows of a shard each key of each feed matched."""
        return self.private / "entry_counts" / subset / f"{stem}.parquet"

    def staged(self, subset: str, stem: str, part: str) -> Path:
        """A built, not yet released file of an edition; `part` is `safe` or `extra`."""
        return self.private / "staged" / subset / f"{stem}.{part}.parquet"

    def edition_record(self, subset: str, stem: str) -> Path:
        return self.private / "staged" / subset / f"{stem}.json"

    def score_counts(self, subset: str, stem: str) -> Path:
        """Rows of a shard by score, for the report."""
        return self.private / "statistics" / subset / f"{stem}.json"

    def host_counts(self, subset: str, stem: str) -> Path:
        """Kept rows of a shard by host, for the report."""
        return self.private / "statistics" / subset / f"{stem}.hosts.parquet"

    def public_keys(self, subset: str, stem: str) -> Path:
        """Keys, as removal lists have them, of rows of a shard; see `release.public_keys`."""
        return self.private / "public_keys" / subset / f"{stem}.parquet"

    def verifier_list(self, feed: str) -> Path:
        """The verifier's own reading of a feed; see `verification.listed`."""
        return self.private / "verifier_lists" / f"{feed}.parquet"

    def evidence(self, subset: str, stem: str) -> Path:
        return self.private / "evidence" / subset / f"{stem}.json"

    def removed_rows(self, subset: str, stem: str) -> Path:
        """Which rows of a shard its files lacked when they were proved; see `verification.removed`."""
        return self.private / "evidence" / subset / f"{stem}.removed.parquet"

    @property
    def gate(self) -> Path:
        """The gate's last record: which evidence it judged, and whether that passed."""
        return self.private / "gate.json"

    @property
    def access_log(self) -> Path:
        """Who asked what became of which link."""
        return self.private / "access.jsonl"

    def release_record(self, version: str) -> Path:
        return self.private / "releases" / f"{version}.json"

    def kept_manifest(self, version: str) -> Path:
        """Copy of the manifest of a release that retention removed."""
        return self.private / "releases" / f"{version}.manifest.json"

    @property
    def rollbacks(self) -> Path:
        """Each time that `current` was moved by hand, a line each."""
        return self.private / "rollbacks.jsonl"

    def audit_page(self, version: str) -> Path:
        """An auditor's report on a release."""
        return self.private / "audit" / f"{version}.html"

    @property
    def signing_key(self) -> Path:
        """The key that releases are signed with."""
        return self.private / "signing.key"

    def publication(self, destination: str) -> Path:
        """What was published to a destination."""
        return self.private / "publish" / f"{destination}.json"

    def partial(self, version: str, checksums_sha256: str, edition: str) -> Path:
        """What stands in place of a release's own documents where one edition of it goes alone."""
        return self.private / "partial" / f"{version}-{checksums_sha256[:16]}" / edition

    def parcel(self, destination: str) -> Path:
        """Hard links to just the files that are being sent to a destination."""
        return self.private / "publish" / destination

    @property
    def data_docs(self) -> Path:
        return self.private / "data_docs"

    def release(self, version: str) -> Path:
        return self.releases / version

    def building(self, version: str) -> Path:
        """Where a release is put together before the one rename that makes it appear."""
        return self.releases / f"{BUILDING}{version}"

    def removing(self, version: str) -> Path:
        """A release on its way out: it disappears with one rename, before its files go."""
        return self.releases / f"{REMOVING}{version}"


def make_private(folder: Path) -> Path:
    """Create `folder` and its missing parents with mode 0700, and return it."""
    missing = []
    probe = folder
    while not probe.exists():
        missing.append(probe)
        probe = probe.parent
    for each in reversed(missing):
        each.mkdir(mode=PRIVATE_FOLDER_MODE, exist_ok=True)
        each.chmod(PRIVATE_FOLDER_MODE)
    return folder


@contextmanager
def written_whole(path: Path, *, mode: int = PRIVATE_FILE_MODE) -> Iterator[Path]:
    """Give a temporary path beside `path`; on success fsync it, set `mode` and rename it over `path`.

    A crash or an exception leaves `path` as it was; the temporary file is removed on an exception.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        # Created with the final mode, so that a private file is never readable by others, not even half-written.
        os.close(os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, mode))
        temporary.chmod(mode)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, mode: int = PRIVATE_FILE_MODE) -> None:
    """Write a whole text file atomically."""
    with written_whole(path, mode=mode) as temporary:
        temporary.write_text(text, encoding="utf-8")
