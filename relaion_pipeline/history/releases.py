"""All releases of a data root, those included that retention removed: what each held, and why it came to be."""

from dataclasses import dataclass
from typing import Any

from relaion_pipeline.history import changes
from relaion_pipeline.history.changes import Change
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.publish import state
from relaion_pipeline.release import manifest, records, versions
from relaion_pipeline.release.manifest import Manifest, ManifestError
from relaion_pipeline.release.records import ReleaseRecord

FIRST = "first release"
UNKNOWN = "unknown: its record or the one before it does not say what went in"


@dataclass(frozen=True)
class PastRelease:
    """One release as the data root remembers it."""

    version: str
    there: bool  # False: removed by retention
    current: bool
    described: Manifest | None  # None: cannot be read
    record: ReleaseRecord | None
    first: bool
    changes: tuple[Change, ...] | None  # of inputs since the release before; None: not known
    published: dict[str, str | None]  # destination -> when, None: not whole

    @property
    def why(self) -> list[str]:
        """Why it came to be, in words."""
        if self.first:
            return [FIRST]
        return [change.text for change in self.changes] if self.changes is not None else [UNKNOWN]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        counts = self.described.total.model_dump() if self.described else None
        return {
            "version": self.version,
            "made_at": self.record.made_at if self.record else None,
            "run_id": self.record.run_id if self.record else None,
            "parts": [part.model_dump() for part in self.record.parts] if self.record else [],
            "current": self.current,
            "removed_by_retention": not self.there,
            "counts": counts,
            "feeds": {feed.name: feed.version for feed in self.described.feeds} if self.described else None,
            "waivers": [waiver.model_dump() for waiver in self.described.waivers] if self.described else None,
            "code_version": self.described.code_version if self.described else None,
            "why": self.why,
            "changes": [change.as_json() for change in self.changes] if self.changes is not None else None,
            "published": self.published,
        }


def all_of(root: DataRoot) -> list[PastRelease]:
    """Every release there is or was, oldest first.

    Raises:
        PublishError: a record of what was published cannot be read.
    """
    there = versions.released(root)
    published = state.published(root)
    current = versions.current(root)
    found: list[PastRelease] = []
    for version in known_versions(root):
        record = records.read(root, version)
        before = found[-1].record if found else None
        found.append(
            PastRelease(
                version=version,
                there=version in there,
                current=current is not None and current.name == version,
                described=_described(root, version),
                record=record,
                first=not found,
                changes=_changes(before, record),
                published=published.get(version, {}),
            )
        )
    return found


def known_versions(root: DataRoot) -> list[str]:
    """Versions of releases that are there or were removed by retention, oldest first."""
    removed = root.kept_manifest("*")
    names = {path.name.removesuffix(removed.name.removeprefix("*")) for path in removed.parent.glob(removed.name)}
    return sorted({*versions.released(root), *(name for name in names if versions.VERSION.fullmatch(name))})


def manifest_of(root: DataRoot, version: str) -> Manifest:
    """The manifest of a release that is there or was removed by retention.

    Raises:
        ManifestError: there is none that can be read.
    """
    if root.release(version).is_dir():
        return manifest.read(root.release(version))
    return manifest.read_file(root.kept_manifest(version))


def _described(root: DataRoot, version: str) -> Manifest | None:
    try:
        return manifest_of(root, version)
    except ManifestError:
        return None


def _changes(before: ReleaseRecord | None, record: ReleaseRecord | None) -> tuple[Change, ...] | None:
    if before is None or record is None or before.inputs is None or record.inputs is None:
        return None
    return changes.between(before.inputs, record.inputs)
