"""A release as it lies there: is it what it says it is?

What belongs here: what can be told from the release alone, and the proof over its files where feeds and source are at
hand. What does not: judging staged files before a release (`gate`).
"""

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from relaion_pipeline.audit import statements, thresholds
from relaion_pipeline.layout import EDITIONS, RESEARCH, RESEARCH_SAFE, DataRoot
from relaion_pipeline.release import manifest, removal_lists, signature, versions
from relaion_pipeline.release.editions import EXTRA, SAFE
from relaion_pipeline.release.manifest import CHECKSUMS, Manifest, SubsetCounts
from relaion_pipeline.release.signature import TrustedKey
from relaion_pipeline.screening.verdicts import LISTED, Counts
from relaion_pipeline.shards import ShardError, open_parquet, sha256_file
from relaion_pipeline.shards.stock import StockedShard
from relaion_pipeline.verification.evidence import Evidence
from relaion_pipeline.verification.gate import CHECKS
from relaion_pipeline.verification.verifier import Published, Verifier

_OF_THE_HUB = re.compile(
    r"\.gitattributes|\.cache/huggingface/(\.gitignore|\.gitignore\.lock|CACHEDIR\.TAG|download/.+\.(metadata|lock))"
)
"""What Hugging Face puts into a repository, and its client beside what it has downloaded: no part of a release."""


class NoReleaseError(Exception):
    """There is no such release; the message says which there are."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked of a release."""

    name: str
    passed: bool
    detail: str


def current_release(root: DataRoot) -> Path:
    """The folder of the current release.

    Raises:
        NoReleaseError: there is none.
    """
    current = versions.current(root)
    if current is None:
        raise NoReleaseError(f"{root.releases}: no current release; run `relaion release`")
    return current


def examine(release: Path, key: TrustedKey | None, held: tuple[str, ...] = EDITIONS) -> list[Finding]:
    """What anyone can tell who holds a release and nothing else, or the editions `held` of it.

    Signatures are held against `key`, or where it is None against the enclosed one.

    Raises:
        ManifestError: there is no manifest.
    """
    described = manifest.read(release)
    enclosed = f"by the enclosed {signature.PUBLIC_KEY}, which proves nothing of who signed: give --key"
    by = f"by the key in {key.name}" if key else enclosed
    above, unscored = thresholds.differences(release, described)
    return [
        _finding("files_are_those_of_manifest_and_checksums", differences(release, held)),
        _finding("lineage_is_that_of_the_manifest", list(statements.differences(release, described))),
        _finding("signature_is_of_the_key", signature.differences(release, key), by),
        _finding("research_safe_keeps_to_the_threshold", above),
        _finding("research_safe_has_no_row_without_score", unscored),
    ]


def differences(release: Path, held: tuple[str, ...] = EDITIONS) -> list[str]:
    """In what the files of a release are not what its manifest and checksums say; names files and nothing in them.

    Where not all editions are `held`, what goes with the others alone may be missing.
    """
    described = manifest.read(release)
    digests = _digests(release)
    wrong = [*_wrong_checksums(release, digests), *_wrong_files(release, described, digests)]
    wrong += _wrong_lists(release, described, held)
    named = {*_checksums(release), *(file.path for file in described.files)}
    left_out = {f"{name}: missing" for name in named if not manifest.goes_with(name, held)}
    left_out |= {f"{each}, though {manifest.MANIFEST} names it" for each in left_out}
    return [each for each in wrong if each not in left_out] + [*_wrong_nesting(described), *_wrong_counts(described)]


def prove(
    release: Path,
    shards: tuple[StockedShard, ...],
    verifier: Verifier,
    progress: Callable[[int], None] = lambda _: None,
) -> list[Finding]:
    """Run the whole proof again on a release's own files, against source shards and partners' files as they are now."""
    described = manifest.read(release)
    paths = {(file.edition, file.subset, file.shard, _part(file.path)): release / file.path for file in described.files}
    published, missing = [], []
    for shard in shards:
        found = [paths.get((RESEARCH, shard.subset, shard.stem, part)) for part in (SAFE, EXTRA)]
        if found[0] is None or found[1] is None:
            missing.append(f"{shard.subset}/{shard.stem}")
        else:
            published.append(Published(shard, found[0], found[1]))
    surplus = {f"{file.subset}/{file.shard}" for file in described.files}
    surplus -= {f"{shard.subset}/{shard.stem}" for shard in shards}
    evidence = verifier.verify(published, progress)
    sources = {(each.subset, each.name): each.sha256 for each in described.shards}
    read = {(each.subset, each.stem): each.source_sha256 for each in evidence}
    changed = [
        shard.name
        for shard in shards
        if sources.get((shard.subset, shard.source.name)) != read.get((shard.subset, shard.stem), shard.source_sha256)
    ]
    return [
        Finding(
            "every_shard_once",
            not missing and not surplus,
            _sample([*missing, *sorted(surplus)]),
        ),
        Finding("source_shards_are_those_of_the_manifest", not changed, _sample(changed)),
        *(_judged(check.name, check.column, evidence) for check in CHECKS),
    ]


def _judged(name: str, column: str, evidence: list[Evidence]) -> Finding:
    """A promise holds if its count is 0 for every shard; which shard broke it is not told here."""
    broken = sum(getattr(each, column) != 0 for each in evidence)
    return Finding(name, bool(evidence) and not broken, f"broken in {broken} shards" if broken else "")


def _digests(release: Path) -> dict[str, str | None]:
    """SHA-256 of every file of a release but its checksums, None where one cannot be read; a hard link is read once.

    What the Hub leaves beside a release is left out.
    """
    names = {path.relative_to(release).as_posix(): path for path in release.rglob("*") if path.is_file()}
    inodes = {name: path.stat().st_ino for name, path in names.items() if not _OF_THE_HUB.fullmatch(name)}
    one_of_each = {inode: names[name] for name, inode in inodes.items()}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        by_inode = dict(zip(one_of_each, pool.map(_sha256, one_of_each.values()), strict=True))
    return {name: by_inode[inode] for name, inode in inodes.items() if name != CHECKSUMS}


def _wrong_checksums(release: Path, digests: dict[str, str | None]) -> Iterator[str]:
    listed = _checksums(release)
    if not listed:
        yield f"{CHECKSUMS}: missing, or names no file"
        return
    for name in sorted(listed.keys() | digests.keys()):
        if name not in digests:
            yield f"{name}: missing"
        elif name not in listed and name not in signature.UNLISTED:
            yield f"{name}: not in {CHECKSUMS}"
        elif name in listed and digests[name] != listed[name]:
            yield f"{name}: its bytes are not those of {CHECKSUMS}"


def _checksums(release: Path) -> dict[str, str]:
    """Name to digest, as `SHA256SUMS` has them; of a name that is there twice nothing is right."""
    try:
        lines = (release / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return {}
    listed: dict[str, str] = {}
    for digest, _, name in (line.partition("  ") for line in lines):
        listed[name] = "named twice" if name in listed else digest
    return listed


def _wrong_files(release: Path, described: Manifest, digests: dict[str, str | None]) -> Iterator[str]:
    known = {file.path: file for file in described.files}
    if len(known) != len(described.files):
        yield f"{manifest.MANIFEST}: names a file twice"
    for name in digests.keys() - known.keys():
        if name.startswith(tuple(f"{edition}/" for edition in EDITIONS)):
            yield f"{name}: not in {manifest.MANIFEST}"
    for name, file in known.items():
        if name not in digests:
            yield f"{name}: missing, though {manifest.MANIFEST} names it"
        elif digests[name] != file.sha256 or (release / name).stat().st_size != file.bytes:
            yield f"{name}: its bytes are not those of {manifest.MANIFEST}"
        elif _rows(release / name) != file.rows:
            yield f"{name}: its rows are not as many as {manifest.MANIFEST} says"


def _wrong_lists(release: Path, described: Manifest, held: tuple[str, ...]) -> Iterator[str]:
    """Each removal list of editions held must be what the manifest says, with keys ascending and distinct."""
    for each in (each for each in described.removals.lists if each.edition in held):
        for kind, keys in ((removal_lists.ROWS, each.row_keys), (removal_lists.LINKS, each.link_keys)):
            path = removal_lists.path_of(release / removal_lists.REMOVALS, each.edition, kind)
            name = path.relative_to(release).as_posix()
            try:
                head = removal_lists.read_head(path)
                found = sum(len(piece) for piece in removal_lists.read_keys(path))
            except removal_lists.RemovalListError:
                yield f"{name}: missing, or not a removal list"
                continue
            if (head.dataset, head.edition, head.kind, head.salt) != (
                described.dataset,
                each.edition,
                kind,
                described.removals.salt,
            ):
                yield f"{name}: not the list that {manifest.MANIFEST} says"
            if found != keys:
                yield f"{name}: holds another number of keys than {manifest.MANIFEST} says"
        lacking = described.total.rows - described.total.kept.get(each.edition, 0)
        if each.rows != lacking or not each.link_keys <= each.row_keys <= each.rows:
            yield f"{manifest.MANIFEST}: removals of {each.edition} do not fit its counts"


def _wrong_nesting(described: Manifest) -> Iterator[str]:
    """research-safe must hold nothing but files that research holds too, byte for byte."""
    research = {(file.subset, file.shard, file.sha256) for file in described.files if file.edition == RESEARCH}
    for file in described.files:
        if file.edition == RESEARCH_SAFE and (file.subset, file.shard, file.sha256) not in research:
            yield f"{file.path}: not part of {RESEARCH}"


def _wrong_counts(described: Manifest) -> Iterator[str]:
    for subset, counts in described.subsets.items():
        for edition in EDITIONS:
            rows = sum(file.rows for file in described.files if (file.edition, file.subset) == (edition, subset))
            if rows != counts.kept.get(edition):
                yield f"{manifest.MANIFEST}: rows of {edition}/{subset} differ between files ({rows}) and counts"
        if counts.rows != counts.kept.get(RESEARCH_SAFE, 0) + sum(counts.removed.values()):
            yield f"{manifest.MANIFEST}: {subset}: rows in are not rows kept in {RESEARCH_SAFE} and rows removed"
        if counts.rows != sum(shard.rows for shard in described.shards if shard.subset == subset):
            yield f"{manifest.MANIFEST}: {subset}: rows in are not those of its source shards"
        if counts.listed != sum(counts.removed.get(reason, 0) for reason in LISTED):
            yield f"{manifest.MANIFEST}: {subset}: listed rows are not those removed for it"
        by_feed = counts.listed_by_feed.values()
        if not max(by_feed, default=0) <= counts.listed <= sum(by_feed):
            yield f"{manifest.MANIFEST}: {subset}: rows listed by each feed cannot add up to those listed by any"
    if described.total != _sum(described):
        yield f"{manifest.MANIFEST}: the totals are not the sums of the subsets"


def _sum(described: Manifest) -> SubsetCounts:
    counts = [Counts.from_json(each.model_dump()) for each in described.subsets.values()]
    return SubsetCounts(**asdict(sum(counts, Counts())))


def _part(path: str) -> str:
    return EXTRA if path.endswith(f".{EXTRA}.parquet") else SAFE


def _rows(path: Path) -> int | None:
    try:
        with open_parquet(path, path.name) as file:
            return int(file.metadata.num_rows)
    except ShardError:
        return None


def _sha256(path: Path) -> str | None:
    try:
        return sha256_file(path)
    except ShardError:
        return None


def _finding(name: str, wrong: list[str], otherwise: str = "") -> Finding:
    return Finding(name, not wrong, "; ".join(wrong[:5]) if wrong else otherwise)


def _sample(names: list[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
