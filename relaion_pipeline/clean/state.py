"""What a run leaves on the disk so that a crash at any moment harms nothing, and the next run goes on.

A unit's new files are made in `.relaion-clean/`, reach the disk, and take their places together: a journal says
which, and a run that finds one finishes what it says. A marker then says that the unit is done, and from what.
"""

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.units import STATE, Unit
from relaion_pipeline.layout import write_text

Content = dict[str, Any]

_NEW = "new"
_KEYS = "keys"


@dataclass(frozen=True)
class State:
    """The state of cleaning into the folder `target`."""

    target: Path

    @property
    def folder(self) -> Path:
        return self.target / STATE

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only run on the folder, with what an earlier one left put right.

        Raises:
            CleanError: another run is at work there.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise CleanError(f"{self.target}: another `relaion clean` is at work there; wait for it") from None
            for journal in sorted(self.folder.glob("*.journal")):
                self._finish(journal, json.loads(journal.read_text(encoding="utf-8")))
            for name in (_NEW, _KEYS):
                shutil.rmtree(self.folder / name, ignore_errors=True)
                (self.folder / name).mkdir()
            try:
                yield
            finally:
                shutil.rmtree(self.folder / _KEYS, ignore_errors=True)
                if not any(self.folder.glob("*.journal")):  # else the next run wants what is new
                    shutil.rmtree(self.folder / _NEW, ignore_errors=True)

    @property
    def keys(self) -> Path:
        """Where keys are kept while a run lasts: where there is space for a copy there is space for them, too."""
        return self.folder / _KEYS

    def temporary(self, unit: Unit, name: str) -> Path:
        """Where a new file of a unit is made."""
        return self.folder / _NEW / f"{_id(unit)}-{name}"

    def done(self, unit: Unit, key: str) -> Content | None:
        """What was counted of a unit that was done with `key`, if what it left still lies there; else None."""
        try:
            marker = json.loads((self.folder / f"{_id(unit)}.json").read_text(encoding="utf-8"))
            if marker["key"] != key or marker["left"] != self._seen(unit):
                return None
            counts: Content = marker["counts"]
        except (OSError, ValueError, KeyError):
            return None
        return counts

    def commit(self, unit: Unit, key: str, counts: Content, moves: dict[Path, Path], leave: list[Path]) -> None:
        """Put new files in their places, and take `leave` away; from here on the unit is done, whatever happens."""
        for new in moves:
            _sync(new)
        journal = self.folder / f"{_id(unit)}.journal"
        content = {
            "unit": [None if path is None else str(path) for path in (unit.path, unit.table, unit.stats)],
            "kind": unit.kind,
            "key": key,
            "counts": counts,
            "moves": [
                [str(new.relative_to(self.target)), str(to.relative_to(self.target))] for new, to in moves.items()
            ],
            "leave": [str(path.relative_to(self.target)) for path in leave],
        }
        write_text(journal, json.dumps(content))
        _sync(self.folder)
        self._finish(journal, content)

    def _finish(self, journal: Path, content: Content) -> None:
        folders = set()
        for new, to in ((self.target / new, self.target / to) for new, to in content["moves"]):
            to.parent.mkdir(parents=True, exist_ok=True)
            folders.add(to.parent)
            if new.is_dir() and to.is_dir():
                shutil.rmtree(to)
            if new.exists():
                new.replace(to)
        for path in (self.target / each for each in content["leave"]):
            path.unlink(missing_ok=True)
            folders.add(path.parent)
        for folder in folders:
            if folder.is_dir():
                _sync(folder)
        path, table, stats = (None if each is None else Path(each) for each in content["unit"])
        assert path is not None
        unit = Unit(content["kind"], path, table, stats)
        marker = {"key": content["key"], "counts": content["counts"], "left": self._seen(unit)}
        write_text(self.folder / f"{_id(unit)}.json", json.dumps(marker))
        journal.unlink()

    def _seen(self, unit: Unit) -> list[list[int]]:
        return [[found.st_size, found.st_mtime_ns] for found in ((self.target / path).stat() for path in unit.files)]


def key_of(source: Path, unit: Unit | None, *parts: str) -> str:
    """Digest of what a unit is cleaned with, and of the looks of its files where it is given."""
    found = [(path, (source / path).stat()) for path in (unit.files if unit else [])]
    seen = [[str(path), stat.st_size, stat.st_mtime_ns] for path, stat in found]
    return hashlib.sha256(json.dumps([seen, parts]).encode()).hexdigest()


def _id(unit: Unit) -> str:
    return hashlib.sha256(os.fsencode(unit.path)).hexdigest()[:24]


def _sync(path: Path) -> None:
    """Make a file or folder durable; a folder of thousands of files is synced with all else, at once."""
    if path.is_dir() and path.parent.name == _NEW:
        os.sync()
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
