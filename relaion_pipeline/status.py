"""Where a data root stands: its lists, its shards, its release, and what an operator should look at."""

import stat
from dataclasses import dataclass

from relaion_pipeline import settings
from relaion_pipeline.feeds import compiling, loading
from relaion_pipeline.feeds.guards import FeedCounts
from relaion_pipeline.history import changes, retention
from relaion_pipeline.history.changes import Change, Stage
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import records, versions
from relaion_pipeline.release.inputs import Inputs

_READABLE_BY_OTHERS = stat.S_IRGRP | stat.S_IROTH


@dataclass(frozen=True)
class FeedStatus:
    """One list: what it held when it was read last, and whether its files changed since."""

    name: str
    partner: str
    version: str
    counts: FeedCounts | None  # None: not read yet
    changed: bool


@dataclass(frozen=True)
class SubsetStatus:
    """One subset's shards as they lie there."""

    name: str
    shards: int
    bytes: int
    slices: int


@dataclass(frozen=True)
class Status:
    """A whole data root."""

    current: str | None  # version of the current release
    unchanged: bool  # whether the newest release was made from just these inputs
    newest: str | None  # version of the newest release: another than the current one after a rollback
    why: tuple[Change, ...] | None  # what changed since the newest release; None: its record does not say what went in
    stale: dict[Stage, int]  # what the next run does again, for how many shards
    surplus: tuple[str, ...]  # releases that retention removes with the next release
    feeds: tuple[FeedStatus, ...]
    subsets: tuple[SubsetStatus, ...]
    warnings: tuple[str, ...]


def of(root: DataRoot) -> Status:
    """Look at a data root; nothing is compiled, screened or written but digests of files.

    Raises:
        SettingsError, FeedError, ShardError, KeywordError: an input is missing or cannot be read.
    """
    inputs = Inputs(root, settings.load(root.path))
    feeds, warnings = [], []
    for name, feed in inputs.settings.feeds.items():
        paths = loading.files(feed, root.path)
        compiled = compiling.read_header(root.compiled_feed(name))
        digests = {inputs.digests.sha256(path) for path in paths}
        changed = compiled is None or set(compiled.files.values()) != digests
        feeds.append(FeedStatus(name, feed.partner, feed.version, compiled.counts if compiled else None, changed))
        warnings += [
            f"{path}: others may read this list (mode {stat.S_IMODE(path.stat().st_mode):04o}); run: chmod 600 {path}"
            for path in paths
            if path.stat().st_mode & _READABLE_BY_OTHERS
        ]
        if compiled is not None and compiled.counts.quarantined:
            numbers = ", ".join(map(str, compiled.counts.quarantined_entries))
            warnings.append(
                f"feed '{name}': {compiled.counts.quarantined:,} suspect entries are not used (first: number "
                f"{numbers}); waive those that are meant, in [[waivers]] of relaion.toml"
            )
        if compiled is not None and compiled.counts.unmatchable:
            warnings.append(
                f"feed '{name}': {compiled.counts.unmatchable:,} entries are of kinds (PhotoDNA, PDQ) that no column "
                f"of metadata answers"
            )
    subsets = []
    for name, subset in inputs.settings.subsets.items():
        shards = inputs.find(name)
        subsets.append(SubsetStatus(name, len(shards), sum(s.path.stat().st_size for s in shards), subset.slices))
    current = versions.current(root)
    newest = max(versions.released(root), default=None)
    why = _changes(inputs, newest)
    surplus = retention.surplus(root, inputs.settings.retention.keep_last)
    return Status(
        current=current.name if current else None,
        unchanged=newest is not None and inputs.unchanged_release() == newest,
        newest=newest,
        why=why,
        stale={stage: len(shards) for stage, shards in changes.stale(why or (), inputs.used.shards).items()},
        surplus=tuple(surplus),
        feeds=tuple(feeds),
        subsets=tuple(subsets),
        warnings=tuple(warnings),
    )


def _changes(inputs: Inputs, newest: str | None) -> tuple[Change, ...] | None:
    record = records.read(inputs.root, newest) if newest else None
    return changes.between(record.inputs, inputs.used) if record and record.inputs else None
