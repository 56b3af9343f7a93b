"""Putting a release together: all or nothing.

What the slices staged is linked into a folder beside the releases, described, made durable, and renamed into place
in one step; `current` moves last. A crash leaves the last release as it was, and what it left behind is cleared by
the next run.
"""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from relaion_pipeline import links
from relaion_pipeline.layout import BUILDING, PUBLIC_FILE_MODE, REMOVING, RESEARCH, RESEARCH_SAFE, DataRoot, write_text
from relaion_pipeline.ledger.segments import Ledger
from relaion_pipeline.ledger.settling import read_settlement
from relaion_pipeline.provenance import DECIDING_LIBRARIES, code_version, key_of, library_versions
from relaion_pipeline.release import (
    documents,
    editions,
    manifest,
    records,
    removal_lists,
    removals,
    signature,
    statistics,
    versions,
)
from relaion_pipeline.release.editions import StagedFile, StagedShard
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.manifest import (
    FeedInput,
    Gate,
    Manifest,
    Proof,
    PublishedFile,
    Removals,
    Rule,
    SourceShard,
    SubsetCounts,
    WaiverRecord,
)
from relaion_pipeline.release.readiness import Ready, ReleaseRefusedError, check_version
from relaion_pipeline.release.records import MadePart, ReleaseRecord
from relaion_pipeline.screening.verdicts import Counts
from relaion_pipeline.verification.gate import ALL_CHECKS

_GUESSABLE_BELOW = 1_000
"""Usable entries below which a list's digest is not published: who holds the source could try its links against it."""


def assemble(
    root: DataRoot,
    inputs: Inputs,
    ready: Ready,
    version: str,
    run_id: str | None = None,
    *,
    parts: Iterable[MadePart] = (),
) -> Path:
    """Make the release `version` from what `readiness.check` found ready, and return its folder.

    `run_id` names the Dagster run that makes it, `parts` the runs that made what it is put together from: for the
    private record.
    """
    check_version(root, version)
    with _disk_errors(root):
        clear_leftovers(root)
        building = root.building(version)
        building.mkdir(parents=True)
        published = [file for shard in ready.staged for file in _link(shard, root, building)]
        lists = removals.write(root, inputs, building / removal_lists.REMOVALS)
        described = _manifest(inputs, ready, published, lists, version)
        write_text(building / manifest.MANIFEST, manifest.text(described), mode=PUBLIC_FILE_MODE)
        write_text(building / manifest.MANIFEST_SCHEMA, manifest.schema_text(), mode=PUBLIC_FILE_MODE)
        documents.write(described, building)
        signature.write_public_key(building, root)
        signature.sign(building, manifest.MANIFEST, root)
        write_text(building / manifest.CHECKSUMS, _checksums(building, published), mode=PUBLIC_FILE_MODE)
        signature.sign(building, manifest.CHECKSUMS, root)
        _make_durable(building)
        # Before the release appears: rows that it lacks must be remembered from then on, whatever happens.
        ledger = ready.settler.remember(version, inputs.shards)
        records.write(_record(inputs, ready, version, ledger, run_id=run_id, parts=parts), root)
        target = root.release(version)
        building.rename(target)
        _sync_folder(root.releases)
        versions.make_current(root, version)
        return target


@contextmanager
def _disk_errors(root: DataRoot) -> Iterator[None]:
    """Turn what the system says of the releases' folder into an error that says what to do."""
    try:
        yield
    except OSError as error:
        what = os.strerror(error.errno) if error.errno else type(error).__name__
        raise ReleaseRefusedError(
            f"{root.releases}: a release cannot be written ({what}); mend its permissions or free space, then run again"
        ) from None


def clear_leftovers(root: DataRoot) -> None:
    """Remove what runs that were killed left: a release unfinished or half removed, and files half written."""
    if root.releases.is_dir():
        for path in root.releases.iterdir():
            if path.name.startswith((BUILDING, REMOVING)):
                shutil.rmtree(path)
    for path in root.private.rglob(".*.tmp"):
        process = path.name.split(".")[-2]
        if process.isdecimal() and not Path("/proc", process).exists():  # else somebody is writing it
            path.unlink(missing_ok=True)


def published_name(edition: str, subset: str, stem: str, part: str) -> str:
    """Path of a file in a release: safe rows stand under the same name in both editions."""
    suffix = "" if part == editions.SAFE else f".{part}"
    return f"{edition}/{subset}/{stem}{suffix}.parquet"


def _record(
    inputs: Inputs, ready: Ready, version: str, ledger: Ledger, *, run_id: str | None, parts: Iterable[MadePart]
) -> ReleaseRecord:
    return ReleaseRecord(
        version=version,
        ledger_sha256=ledger.sha256,
        inputs_sha256=inputs.sha256,
        evidence_sha256=ready.gate.evidence_sha256,
        made_at=datetime.now(UTC).isoformat(timespec="seconds"),
        run_id=run_id,
        parts=tuple(parts),
        inputs=inputs.used,
        libraries=library_versions(),
        counts=ready.counts_by_shard,
    )


def _link(shard: StagedShard, root: DataRoot, building: Path) -> list[PublishedFile]:
    wanted: list[tuple[str, str, StagedFile]] = [
        (RESEARCH, editions.SAFE, shard.safe),
        (RESEARCH, editions.EXTRA, shard.extra),
        (RESEARCH_SAFE, editions.SAFE, shard.safe),
    ]
    published = []
    for edition, part, staged in wanted:
        name = published_name(edition, shard.subset, shard.stem, part)
        path = building / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.hardlink_to(root.staged(shard.subset, shard.stem, part))
        published.append(
            PublishedFile(
                path=name,
                edition=edition,
                subset=shard.subset,
                shard=shard.stem,
                sha256=staged.sha256,
                bytes=staged.bytes,
                uncompressed_bytes=statistics.uncompressed_bytes(path),
                rows=staged.rows,
            )
        )
    return published


def _manifest(inputs: Inputs, ready: Ready, published: list[PublishedFile], lists: Removals, version: str) -> Manifest:
    settings = inputs.settings
    return Manifest(
        dataset=settings.dataset.name,
        title=settings.dataset.title or settings.dataset.name,
        licence=settings.dataset.licence,
        description=settings.dataset.description,
        homepage=settings.dataset.homepage,
        contact=settings.dataset.contact,
        languages=settings.dataset.languages,
        tags=settings.dataset.tags,
        gate=Gate(prompt=settings.dataset.gate_prompt, fields=dict(settings.dataset.gate_fields))
        if settings.dataset.gated
        else None,
        release=version,
        code_version=code_version(),
        canonicaliser_version=links.VERSION,
        libraries={name: library_versions()[name] for name in DECIDING_LIBRARIES},
        shards=[
            SourceShard(
                subset=shard.subset,
                name=shard.source.name,
                sha256=shard.source_sha256,
                scores_sha256=shard.scores_sha256,
                bytes=shard.source_bytes,
                rows=shard.rows,
            )
            for shard in inputs.shards
        ],
        feeds=[
            FeedInput(
                name=feed.name,
                partner=settings.feeds[feed.name].partner,
                version=settings.feeds[feed.name].version,
                entries=feed.counts.usable,
                malformed=feed.counts.malformed,
                unmatchable=feed.counts.unmatchable,
                withdrawn=feed.counts.withdrawn,
                quarantined=feed.counts.quarantined,
                sha256=key_of(sorted(feed.files.values())) if feed.counts.usable >= _GUESSABLE_BELOW else None,
            )
            for feed in inputs.blocklist.feeds
        ],
        nsfw=Rule(
            research_above=settings.nsfw.research_above,
            research_safe_above=settings.nsfw.research_safe_above,
            missing_score=settings.nsfw.missing_score,
            keywords=inputs.keywords.count,
            keywords_sha256=inputs.keywords.digest,
        ),
        waivers=_waivers(inputs),
        subsets={name: SubsetCounts(**asdict(subset)) for name, subset in ready.counts.items()},
        total=SubsetCounts(**asdict(sum(ready.counts.values(), Counts()))),
        columns=statistics.columns(inputs.shards),
        files=published,
        statistics=statistics.collect(inputs.shards, settings, inputs.root),
        removals=lists,
        proof=Proof(checks=[check.name for check in ALL_CHECKS], expectations=ready.gate.expectations),
    )


def _waivers(inputs: Inputs) -> list[WaiverRecord]:
    settlement = read_settlement(inputs.root)
    returned = iter(settlement.returned if settlement else ())
    return [
        WaiverRecord(**waiver.model_dump(), rows=next(returned, None) if waiver.kind == "removed-before" else None)
        for waiver in inputs.settings.waivers
    ]


def _checksums(building: Path, published: list[PublishedFile]) -> str:
    """`SHA256SUMS` as `sha256sum -c` reads it: every file of the release but itself and its signature."""
    known = {file.path: file.sha256 for file in published}
    lines = []
    for path in sorted(path for path in building.rglob("*") if path.is_file()):
        name = path.relative_to(building).as_posix()
        lines.append(f"{known.get(name) or hashlib.sha256(path.read_bytes()).hexdigest()}  {name}\n")
    return "".join(lines)


def _make_durable(building: Path) -> None:
    """Reach the disk before the rename does: every file and folder."""
    for folder, _, names in os.walk(building):
        for name in names:
            with (Path(folder) / name).open("rb") as file:
                os.fsync(file.fileno())
        _sync_folder(Path(folder))


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
