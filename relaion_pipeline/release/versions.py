"""Release versions: what they are called, which there are, which is current."""

import re
from datetime import date
from pathlib import Path

from relaion_pipeline.layout import DataRoot

VERSION = re.compile(r"\d{4}-\d{2}-\d{2}\.\d{3}")
"""Date (UTC) and number of the day; three digits, so that versions sort as text."""


def released(root: DataRoot) -> list[str]:
    """Versions of whole releases, oldest first."""
    if not root.releases.is_dir():
        return []
    return sorted(path.name for path in root.releases.iterdir() if VERSION.fullmatch(path.name) and path.is_dir())


def next_version(root: DataRoot, today: date) -> str:
    """The version that a release made today gets; never one that sorts before an older release."""
    last = (released(root) or [""])[-1]
    day = max(today.isoformat(), last[:10])
    number = int(last[11:]) + 1 if last[:10] == day else 1
    return f"{day}.{number:03d}"


def current(root: DataRoot) -> Path | None:
    """The folder of the release that `current` points to, or None."""
    target = root.current
    return target.resolve() if target.is_symlink() and target.exists() else None


def make_current(root: DataRoot, version: str) -> None:
    """Point `current` to a release, in one step."""
    temporary = root.releases / ".current"
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(version, target_is_directory=True)
    temporary.replace(root.current)
