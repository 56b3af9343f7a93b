"""The chain of custody of each shard: source file, verdicts, edition files, evidence, tied to each other by digests.

What belongs here: whether what lies in the data root is what the release was made from and made by. What does not:
whether rows were rightly judged (`proof`, `recomputation`).
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline import database
from relaion_pipeline.audit.lines import Line, judged
from relaion_pipeline.layout import RESEARCH
from relaion_pipeline.ledger.settling import Settler
from relaion_pipeline.release import editions
from relaion_pipeline.release.assemble import published_name
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.manifest import MANIFEST, Manifest, SourceShard
from relaion_pipeline.release.records import ReleaseRecord
from relaion_pipeline.screening import verdicts
from relaion_pipeline.shards import Shard, ShardError, sha256_file, stem_of
from relaion_pipeline.verification import evidence as evidence_files

_SHOWN = 12
"""Characters of a digest that are shown: enough to tell files apart."""


@dataclass(frozen=True)
class Chain:
    """What every shard is held against."""

    inputs: Inputs
    release: Path
    described: Manifest
    record: ReleaseRecord
    settler: Settler | None  # None: inputs are not the release's, so what they would give says nothing
    newest: bool  # whether the working files in `private/` are this release's

    def lines(self, progress: Callable[[int], None] = lambda _: None) -> list[Line]:
        """One line for every source shard of the manifest, in its order. `progress` is told rows."""
        sources = {(s.subset, s.stem): s for subset in self.inputs.settings.subsets for s in self._found(subset)}

        def one(shard: SourceShard) -> Line:
            stem = stem_of(shard.name)
            line = self._line(shard, stem, sources.get((shard.subset, stem)))
            progress(shard.rows)
            return line

        with ThreadPoolExecutor(database.threads(self.inputs.settings.limits)) as pool:
            return list(pool.map(one, self.described.shards))

    def _found(self, subset: str) -> list[Shard]:
        try:
            return self.inputs.find(subset)
        except ShardError:  # each of its shards is then missing, and named
            return []

    def _line(self, shard: SourceShard, stem: str, source: Shard | None) -> Line:
        name = f"{shard.subset}/{stem}"
        files = {part: self._published(shard.subset, stem, part) for part in editions.PARTS}
        problems = [*self._source(shard, name, source), *self._files(files)]
        if self.newest:
            problems += [*self._verdicts(shard, stem, source), *self._staged(shard, stem), *self._evidence(shard, stem)]
        rows = {file.path: file.rows for file in self.described.files}
        kept = [rows.get(path, 0) for path in files.values()]
        made = " and ".join(f"{_short(self._said(path))} ({rows.get(path, 0):,} rows)" for path in files.values())
        return judged(name, problems, f"{_short(shard.sha256)} ({shard.rows:,} rows) -> {made}; kept {sum(kept):,}")

    def _published(self, subset: str, stem: str, part: str) -> str:
        return published_name(RESEARCH, subset, stem, part)

    def _said(self, path: str) -> str | None:
        return next((file.sha256 for file in self.described.files if file.path == path), None)

    def _source(self, shard: SourceShard, name: str, source: Shard | None) -> Iterator[str]:
        if source is None:
            yield "its source file is missing"
            return
        recorded = self.record.inputs.shards.get(name) if self.record.inputs else None
        if recorded is None:
            yield "the release's record does not name it"
        elif (recorded.source_sha256, recorded.scores_sha256) != (shard.sha256, shard.scores_sha256):
            yield f"its source in the release's record is not that of {MANIFEST}"
        if _sha256(source.path) != shard.sha256:
            yield f"its source file is not the one of {MANIFEST}"
        if (_sha256(source.scores) if source.scores else None) != shard.scores_sha256:
            yield f"its scores are not those of {MANIFEST}"

    def _files(self, files: dict[str, str]) -> Iterator[str]:
        for path in files.values():
            said = self._said(path)
            if said is None:
                yield f"{MANIFEST} does not name {path}"
            elif _sha256(self.release / path) != said:
                yield f"{path} is not the file of {MANIFEST}"

    def _verdicts(self, shard: SourceShard, stem: str, source: Shard | None) -> Iterator[str]:
        path = self.inputs.root.verdicts(shard.subset, stem)
        header = verdicts.read_header(path)
        if header is None:
            yield "its verdicts are missing"
            return
        if header.source_sha256 != shard.sha256:
            yield "its verdicts are of another source"
        if header.counts != self.record.counts.get(f"{shard.subset}/{stem}"):
            yield "its verdicts count other rows than the release's record"
        try:
            counted = verdicts.count(pq.read_table(path), shard.rows, header.counts.not_screened_by_image)
        except (OSError, pa.ArrowInvalid, KeyError):
            yield "its verdicts cannot be read"
            return
        if counted != header.counts:
            yield "its verdicts are not as many, or not for the reasons, that they say"
        if self.settler is not None and source is not None:
            try:
                stands = self.settler.header(self.inputs.stock(source))
            except ShardError:
                yield "its source cannot be read"
                return
            if stands is None:
                yield "its verdicts are not of these lists, settings and code"

    def _staged(self, shard: SourceShard, stem: str) -> Iterator[str]:
        staged = editions.read_record(self.inputs.root, shard.subset, stem)
        if staged is None:
            yield "the record of its edition files is missing"
            return
        for part, file in ((editions.SAFE, staged.safe), (editions.EXTRA, staged.extra)):
            path = self._published(shard.subset, stem, part)
            if file.sha256 != self._said(path):
                yield f"{path} is not the file that was written from its verdicts"

    def _evidence(self, shard: SourceShard, stem: str) -> Iterator[str]:
        found = evidence_files.read(self.inputs.root, shard.subset, stem)
        if found is None:
            yield "its evidence is missing"
            return
        proved = (found.source_sha256, found.safe_sha256, found.extra_sha256)
        files = [self._said(self._published(shard.subset, stem, part)) for part in editions.PARTS]
        if proved != (shard.sha256, *files):
            yield "its evidence is of other files"


def _sha256(path: Path) -> str | None:
    """The file's digest, read now: a cached one would be believed."""
    try:
        return sha256_file(path)
    except ShardError:
        return None


def _short(digest: str | None) -> str:
    return (digest or "none")[:_SHOWN]
