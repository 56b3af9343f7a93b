"""How long releases are kept: the oldest go, beyond as many as the settings keep.

The newest, the current and whatever was sent anywhere stay always. Of one that goes, record and manifest are kept in
`private/`, so that history stays whole. Releases share files by hard links: what another one holds too stays on disk.
"""

import os
import shutil
from dataclasses import dataclass

from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.publish import state
from relaion_pipeline.publish.errors import PublishError
from relaion_pipeline.release import manifest, records, versions


@dataclass(frozen=True)
class Retained:
    """What came of it. A problem is no reason to hold a new release back: it is told, and tried again next time."""

    removed: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def surplus(root: DataRoot, keep_last: int | None) -> list[str]:
    """Releases that are to go, oldest first.

    Raises:
        PublishError: what was published is not known.
    """
    if keep_last is None:
        return []
    there = versions.released(root)
    current = versions.current(root)
    kept = {*there[-keep_last:], *state.published(root), *([current.name] if current else [])}
    return [version for version in there if version not in kept]


def apply(root: DataRoot, keep_last: int | None) -> Retained:
    """Remove the oldest releases, so that `keep_last` and those that always stay are left."""
    try:
        going = surplus(root, keep_last)
    except PublishError as error:
        return Retained(problems=(f"no release is removed: {error}",))
    problems = {version: _remove(root, version) for version in going}
    removed = tuple(version for version, problem in problems.items() if problem is None)
    return Retained(removed, tuple(problem for problem in problems.values() if problem is not None))


def _remove(root: DataRoot, version: str) -> str | None:
    """First its manifest is kept, then it disappears with one rename, then its files go. Returns what hindered it."""
    folder = root.release(version)
    if records.read(root, version) is None:
        return (
            f"{folder}: not removed, though [retention] says so: its record {root.release_record(version)} cannot be "
            "read; restore it, or remove the folder by hand"
        )
    try:
        text = (folder / manifest.MANIFEST).read_text(encoding="utf-8")
        make_private(root.kept_manifest(version).parent)
        write_text(root.kept_manifest(version), text)
        folder.rename(root.removing(version))
        shutil.rmtree(root.removing(version))
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else type(error).__name__
        return f"{folder}: could not be removed, though [retention] says so ({what}); mend its permissions"
    return None
