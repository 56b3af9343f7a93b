"""Two releases side by side: counts by subset and reason, inputs that changed, files that are the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from relaion_pipeline.audit.published import NoReleaseError
from relaion_pipeline.history import changes, releases
from relaion_pipeline.history.changes import Change
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import records, versions
from relaion_pipeline.release.manifest import Manifest, SubsetCounts

CURRENT = "current"
ALL = "all"
_ORDER = list(SubsetCounts.model_fields)


@dataclass(frozen=True)
class Line:
    """One count of one subset (or of `all`) in both releases. A subset that a release lacks counts 0."""

    what: str  # `rows`, `kept.<edition>`, `removed.<reason>`, `listed`, `listed_by_feed.<feed>`, ...
    subset: str
    before: int
    after: int

    @property
    def difference(self) -> int:
        return self.after - self.before


@dataclass(frozen=True)
class Comparison:
    """What differs between two releases."""

    before: Manifest
    after: Manifest
    lines: tuple[Line, ...]
    changes: tuple[Change, ...] | None  # None: a record does not say what went in
    files: dict[str, int]  # files of editions: `same`, `other`, `new`, `gone`

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "before": self.before.release,
            "after": self.after.release,
            "counts": [
                {
                    "what": line.what,
                    "subset": line.subset,
                    "before": line.before,
                    "after": line.after,
                    "difference": line.difference,
                }
                for line in self.lines
            ],
            "changes": [change.as_json() for change in self.changes] if self.changes is not None else None,
            "waivers": [waiver.model_dump() for waiver in self.after.waivers],
            "files": self.files,
        }


def compare(root: DataRoot, before: str | None, after: str) -> Comparison:
    """Compare two releases by version or `current`; `before` left out is the one before `after`.

    Raises:
        NoReleaseError: there is no such release, or none before it.
        ManifestError: the manifest of one cannot be read.
    """
    known = releases.known_versions(root)
    second = _version(root, after, known)
    if before is None:
        earlier = known[: known.index(second)]
        if not earlier:
            raise NoReleaseError(f"{root.releases}: {second} is the first release; there is none before it")
        first = earlier[-1]
    else:
        first = _version(root, before, known)
    old, new = releases.manifest_of(root, first), releases.manifest_of(root, second)
    old_record, new_record = records.read(root, first), records.read(root, second)
    changed = None
    if old_record and new_record and old_record.inputs and new_record.inputs:
        changed = changes.between(old_record.inputs, new_record.inputs)
    return Comparison(old, new, tuple(_lines(old, new)), changed, _files(old, new))


def _version(root: DataRoot, name: str, known: list[str]) -> str:
    current = versions.current(root)
    found = current.name if name == CURRENT and current else name
    if found not in known:
        raise NoReleaseError(
            f"{root.releases}: there is no release {name}; there are: {', '.join(known) or 'none yet'}"
        )
    return found


def _lines(old: Manifest, new: Manifest) -> Iterator[Line]:
    subsets = [*old.subsets, *(name for name in new.subsets if name not in old.subsets)]
    pairs = [(name, _counts(old.subsets.get(name)), _counts(new.subsets.get(name))) for name in subsets]
    pairs.append((ALL, _counts(old.total), _counts(new.total)))
    names = dict.fromkeys(name for _, *both in pairs for counts in both for name in counts)
    for what in sorted(names, key=lambda name: _ORDER.index(name.partition(".")[0])):
        for subset, before, after in pairs:
            yield Line(what, subset, before.get(what, 0), after.get(what, 0))


def _counts(counts: SubsetCounts | None) -> dict[str, int]:
    """Every count by a flat name, as the manifest has them; whatever reasons there are."""
    flat: dict[str, int] = {}
    for name, value in (counts.model_dump() if counts else {}).items():
        if isinstance(value, dict):
            flat |= {f"{name}.{key}": number for key, number in value.items()}
        else:
            flat[name] = value
    return flat


def _files(old: Manifest, new: Manifest) -> dict[str, int]:
    before = {file.path: file.sha256 for file in old.files}
    after = {file.path: file.sha256 for file in new.files}
    both = before.keys() & after.keys()
    same = sum(before[path] == after[path] for path in both)
    return {
        "same": same,
        "other": len(both) - same,
        "new": len(after.keys() - before.keys()),
        "gone": len(before.keys() - after.keys()),
    }
