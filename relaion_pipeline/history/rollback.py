"""Moving `current` by hand, and remembering it.

A rollback holds as long as no newer release is made: a run that finds nothing changed leaves `current` where it was
put. Changed inputs make a new release, and that becomes current as any does.
"""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

from relaion_pipeline.audit import published
from relaion_pipeline.audit.published import NoReleaseError
from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.release import versions

_NAMED = 5


class RollbackError(Exception):
    """`current` is not moved; the message says what is wrong with the release."""


@dataclass(frozen=True)
class Rollback:
    """One move of `current`."""

    at: str  # UTC, ISO 8601
    was: str | None  # what was current; None: nothing
    to: str
    newest: str  # the newest release at that time


def roll_back(root: DataRoot, version: str) -> Rollback:
    """Make `version` current, in one step; the caller holds the data root's lock.

    Raises:
        NoReleaseError: there is no such release.
        RollbackError: its files are not whole.
        ManifestError: it has no manifest.
    """
    there = versions.released(root)
    if version not in there:
        gone = "; it was removed by [retention]" if root.kept_manifest(version).exists() else ""
        known = ", ".join(there) or "none yet"
        raise NoReleaseError(f"{root.releases}: there is no release {version}{gone}; there are: {known}")
    wrong = published.differences(root.release(version))
    if wrong:
        told = "\n".join(wrong[:_NAMED]) + (f"\nand {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else "")
        raise RollbackError(f"release {version} is not whole, so current was not moved:\n{told}")
    current = versions.current(root)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    made = Rollback(now, current.name if current else None, version, there[-1])
    make_private(root.private)
    text = "".join(json.dumps(asdict(each)) + "\n" for each in [*read(root), made])
    write_text(root.rollbacks, text)
    versions.make_current(root, version)
    return made


def read(root: DataRoot) -> list[Rollback]:
    """Every move there was, oldest first."""
    try:
        lines = root.rollbacks.read_text(encoding="utf-8").splitlines()
        return [Rollback(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError):
        return []


def in_force(root: DataRoot) -> Rollback | None:
    """The rollback by which an older release than the newest is current, or None."""
    moves, there, current = read(root), versions.released(root), versions.current(root)
    if not moves or not there or current is None:
        return None
    last = moves[-1]
    return last if (last.newest, last.to) == (there[-1], current.name) and last.to != last.newest else None


def settle(root: DataRoot, newest: str) -> None:
    """Make the newest release current, which a crash may have left undone, unless a rollback holds."""
    if in_force(root) is None:
        versions.make_current(root, newest)
