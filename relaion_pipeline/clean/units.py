"""What a copy consists of: units of work, each a file or a few that belong together.

What belongs here: names of files. What does not: opening them.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatch
from pathlib import Path

from relaion_pipeline.clean.errors import CleanError

STATE = ".relaion-clean"
REPORT = "clean-report.json"

_TEXT = (".csv", ".tsv", ".jsonl", ".ndjson", ".json")
_PACKED = ("", ".gz", ".zst")
_METADATA = (".parquet", *(kind + packed for kind in _TEXT for packed in _PACKED))
_IMAGES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".avif", ".jxl", ".tif", ".tiff"})
_STATS = "_stats.json"


class Kind(StrEnum):
    """What a unit is."""

    METADATA = "metadata"
    TAR = "webdataset tar"
    FILES = "image files"
    UNREAD = "copied unread"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Unit:
    """One thing to clean. Paths are relative to the copy."""

    kind: Kind
    path: Path
    """The metadata file, the tar, or the folder of image files."""
    table: Path | None = None
    """img2dataset's `.parquet` beside a tar or a folder."""
    stats: Path | None = None
    """img2dataset's `_stats.json`."""

    @property
    def files(self) -> list[Path]:
        """All its files, but those in a folder of image files."""
        return [path for path in (self.path, self.table, self.stats) if path is not None]


def find(copy: Path, unread: tuple[str, ...]) -> tuple[Path, list[Unit]]:
    """The folder that units' paths are relative to, and the units of `copy`, a folder or one file.

    `unread` are patterns of names of files that are to be copied without a look inside.

    Raises:
        CleanError: there is nothing.
    """
    if copy.is_file():
        root = copy.parent
        names = {path.name for path in root.iterdir()}
        return root, [unit for unit in _in_folder(Path(), names, set(), unread) if unit.path.name == copy.name]
    if not copy.is_dir():
        raise CleanError(f"{copy}: there is no such file or folder")
    units: list[Unit] = []
    taken: set[Path] = set()
    for place, folders, files in os.walk(copy):
        folder = Path(place).relative_to(copy)
        folders[:] = sorted(each for each in folders if each != STATE)
        if folder in taken:
            folders.clear()
            continue
        images = {each for each in folders if _holds_images(Path(place) / each)}
        taken |= {folder / each for each in images}
        units += _in_folder(folder, set(files) - {REPORT}, images, unread)
    if copy.is_dir() and _holds_images(copy):
        raise CleanError(f"{copy}: a folder of image files; name the folder that it lies in, with its .parquet")
    if not units:
        raise CleanError(f"{copy}: holds no files")
    return copy, units


def _in_folder(folder: Path, names: set[str], images: set[str], unread: tuple[str, ...]) -> Iterator[Unit]:
    left = set(names)

    def take(name: str) -> Path | None:
        if name not in left:
            return None
        left.remove(name)
        return folder / name

    tars = sorted(name for name in names if name.endswith(".tar"))
    for kind, name, stem in (
        *((Kind.TAR, name, name.removesuffix(".tar")) for name in tars),
        *((Kind.FILES, name, name) for name in sorted(images)),
    ):
        left.discard(name)
        yield Unit(kind, folder / name, take(f"{stem}.parquet"), take(f"{stem}{_STATS}"))
    for name in sorted(left):
        if name in left and name.endswith(_METADATA) and not name.endswith(_STATS) and not name.startswith("."):
            left.remove(name)
            yield Unit(Kind.METADATA, folder / name, None, take(f"{name.removesuffix('.parquet')}{_STATS}"))
    for name in sorted(left):
        known = any(fnmatch(name, pattern) for pattern in unread)
        yield Unit(Kind.UNREAD if known else Kind.UNKNOWN, folder / name)


def _holds_images(folder: Path) -> bool:
    with os.scandir(folder) as entries:
        return any(os.path.splitext(entry.name)[1].lower() in _IMAGES for entry in entries)  # noqa: PTH122
