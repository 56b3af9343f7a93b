"""Cleaning one unit: its new files are made, then take their places together."""

import os
import shutil
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

from relaion_pipeline.clean import folder, lines, stats, table, tar
from relaion_pipeline.clean.state import State, key_of
from relaion_pipeline.clean.tar import Beside
from relaion_pipeline.clean.units import Kind, Unit
from relaion_pipeline.clean.work import Work


@dataclass(frozen=True)
class Counted:
    """What became of a unit. Samples are those with files; rows are a table's, failed downloads among them."""

    rows: int = 0
    rows_removed: int = 0
    samples: int = 0
    samples_removed: int = 0

    def __add__(self, other: "Counted") -> "Counted":
        pairs = zip(asdict(self).items(), asdict(other).values(), strict=True)
        return Counted(**{name: mine + theirs for (name, mine), theirs in pairs})


@dataclass(frozen=True)
class Places:
    """Where units are read, and where their clean forms go; `state` is None where nothing is to be written."""

    source: Path
    state: State | None

    @property
    def in_place(self) -> bool:
        """Whether the copy itself is changed."""
        return self.state is not None and self.state.target == self.source


def clean(unit: Unit, places: Places, work: Work) -> Counted:
    """Clean one unit, unless it was done before.

    Raises:
        CleanError: a file of it cannot be read or written; none of it is changed.
        OSError: likewise.
    """
    state = places.state
    # In place a cleaned file is another file: what is done shows in what was left.
    how = (work.judge.digest, repr(work.choice))
    key = key_of(places.source, None if places.in_place else unit, *how)
    known = state.done(unit, key) if state is not None else None
    if known is not None:
        work.progress(size(unit, places.source))
        return Counted(**known)
    made = _Making(unit, places, work)
    counted = made.clean()
    if state is not None:
        state.commit(unit, key, asdict(counted), made.moves, made.leave)
    return counted


def size(unit: Unit, source: Path) -> int:
    """Bytes of a unit, for the progress bar."""
    path = source / unit.path
    if unit.kind is not Kind.FILES:
        return path.stat().st_size
    with os.scandir(path) as entries:
        return sum(entry.stat(follow_symlinks=False).st_size for entry in entries)


class _Making:
    """The new files of one unit, and what is to go."""

    def __init__(self, unit: Unit, places: Places, work: Work) -> None:
        self.moves: dict[Path, Path] = {}
        self.leave: list[Path] = []
        self._unit, self._places, self._work = unit, places, work

    def clean(self) -> Counted:
        """Make them."""
        return {
            Kind.METADATA: self._metadata,
            Kind.TAR: self._tar,
            Kind.FILES: self._files,
            Kind.UNREAD: self._unread,
        }[self._unit.kind]()

    def _metadata(self) -> Counted:
        path = self._unit.path
        if path.suffix != ".parquet":
            rows, removed = lines.clean(self._at(path), self._new(path), self._work)
            return Counted(rows, removed)
        told = table.clean(self._at(path), self._new(path), self._work)
        self._stats(told)
        return Counted(told.rows, told.removed)

    def _tar(self) -> Counted:
        path = self._unit.path
        cut = tar.clean(self._at(path), self._new(path), self._work, self._beside())
        told = self._table(cut.removed_keys)
        if told is None:
            self._stats(table.Removed.of_samples(cut.samples, cut.removed))
        return Counted(told.rows if told else 0, told.removed if told else 0, cut.samples, cut.removed)

    def _files(self) -> Counted:
        path = self._unit.path
        found = folder.judge(self._at(path), self._work, self._beside())
        if self._places.in_place:
            self.leave = [self._at(path) / name for name in found.go]
        else:
            new = self._new(path)
            if new is not None:
                folder.copy(self._at(path), new, found.stay, self._work)
        told = self._table(found.removed_keys)
        if told is None:
            self._stats(table.Removed.of_samples(found.samples, len(found.removed_keys)))
        return Counted(told.rows if told else 0, told.removed if told else 0, found.samples, len(found.removed_keys))

    def _unread(self) -> Counted:
        new = None if self._places.in_place else self._new(self._unit.path)
        if new is not None:
            shutil.copy2(self._at(self._unit.path), new)
        return Counted()

    def _beside(self) -> Beside | None:
        """What the table beside a tar or a folder says."""
        if self._unit.table is None:
            return None
        path = self._at(self._unit.table)
        return Beside(table.keys(path, self._work), cache(partial(table.keys, path)))

    def _table(self, also: frozenset[str]) -> table.Removed | None:
        """Clean the table beside, and the statistics with it."""
        if self._unit.table is None:
            return None
        told = table.clean(self._at(self._unit.table), self._new(self._unit.table), self._work.silent(), also)
        self._stats(told)
        return told

    def _stats(self, told: table.Removed) -> None:
        if self._unit.stats is not None:
            content = stats.corrected(self._at(self._unit.stats), told.statuses, told.removed)
            new = self._new(self._unit.stats)
            if new is not None:
                new.write_bytes(content)

    def _at(self, path: Path) -> Path:
        return self._places.source / path

    def _new(self, path: Path) -> Path | None:
        """Where the new form of a file is made; None where nothing is written."""
        if self._places.state is None:
            return None
        new = self._places.state.temporary(self._unit, path.name)
        self.moves[new] = self._places.state.target / path
        return new
