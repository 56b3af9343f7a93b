"""An auditor's report on one release: what went in, what came out, on whose word, by which code, and whether it holds.

What belongs here: putting the parts of a report together. What does not: the looking, which each part's module does.
Whatever cannot be looked at is a failed line: an audit ends with a report.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from relaion_pipeline import settings
from relaion_pipeline.audit import making, proof, published, recomputation, reconciliation
from relaion_pipeline.audit.custody import Chain
from relaion_pipeline.audit.lines import Audit, Line, Section, State, judged, of_finding
from relaion_pipeline.errors import EXPECTED_ERRORS
from relaion_pipeline.history import changes
from relaion_pipeline.history import releases as past
from relaion_pipeline.history.changes import Change, describe_waiver
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger import segments
from relaion_pipeline.ledger.settling import Settler
from relaion_pipeline.progress import Listener
from relaion_pipeline.provenance import code_version, library_versions
from relaion_pipeline.release import editions, manifest, records, signature, versions
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.manifest import MANIFEST, FeedInput, Manifest
from relaion_pipeline.release.records import ReleaseRecord, UsedInputs
from relaion_pipeline.release.signature import TrustedKey
from relaion_pipeline.screening import verdicts
from relaion_pipeline.screening.screen import Screener
from relaion_pipeline.shards import ShardError, open_parquet, stem_of
from relaion_pipeline.verification import evidence as evidence_files
from relaion_pipeline.verification import gate as gate_records
from relaion_pipeline.verification.evidence import Evidence
from relaion_pipeline.verification.gate import ALL_CHECKS

_LATER = "a later release has taken its place"


@dataclass(frozen=True)
class Recompute:
    """Which shards to make again."""

    number: int | None  # None: all
    seed: int


def of_release(
    root: DataRoot, version: str, listener: Listener, again: Recompute | None = None, key: TrustedKey | None = None
) -> Audit:
    """Audit a release (`current`, or a version); its signature is held against `key`, or against the data root's own.

    Raises:
        NoReleaseError, ManifestError: there is no such release, or nothing says what it is.
        SettingsError: the data root has no settings, or wrong ones.
    """
    folder = proof.folder_of(root, version)
    described = manifest.read(folder)
    inputs = Inputs(root, settings.load(root.path))
    record = records.read(root, folder.name)
    if record is None or record.inputs is None:
        lines = [
            judged("private record", [f"{root.release_record(folder.name)}: missing, or does not say what went in"])
        ]
        return Audit(folder.name, described.title, (Section("Inputs", tuple(lines)),))
    return _Auditor(root, folder, described, inputs, record, record.inputs, listener).audit(again, key)


@dataclass(frozen=True)
class _Auditor:
    root: DataRoot
    folder: Path
    described: Manifest
    inputs: Inputs
    record: ReleaseRecord
    used: UsedInputs  # the record's
    listener: Listener

    def audit(self, again: Recompute | None, key: TrustedKey | None) -> Audit:
        version = self.folder.name
        newest = version == max(versions.released(self.root))
        differ = self._since()
        later, edited = differ if differ is not None else ((), ())
        same = differ is not None and not later and not edited
        sections = [
            _section("Release", self._release),
            _section("Inputs", lambda: self._inputs(later, edited)),
            _section("Files", lambda: self._files(key)),
            _section("Chain of custody", lambda: self._custody(newest=newest, same=same)),
            _section("Row counts", lambda: self._counts(newest=newest)),
            _section("Proof against lists and source", lambda: self._proof(later)),
            _section("Recomputation from source", lambda: self._recomputed(again, later)),
            _section("Gate", lambda: self._gate(newest=newest)),
            _section("Waivers", self._waivers),
            _section("Guards that fired", self._guards),
            _section("History", lambda: self._history(version)),
        ]
        return Audit(version, self.described.title, tuple(sections))

    def _since(self) -> tuple[tuple[Change, ...], tuple[Change, ...]] | None:
        """What changed in inputs with later releases, and what without one; None where inputs cannot be read."""
        newest = max(versions.released(self.root))
        last = records.read(self.root, newest)
        before = last.inputs if last is not None and last.inputs is not None else self.used
        try:
            now = self.inputs.used
        except EXPECTED_ERRORS:
            return None
        return changes.between(self.used, before), changes.between(before, now)

    def _release(self) -> Iterator[Line]:
        yield Line("dataset", State.TOLD, f"{self.described.dataset}: {self.described.title}")
        yield from making.lines(self.record)
        yield Line("code", State.TOLD, self.described.code_version)
        libraries = ", ".join(f"{name} {version}" for name, version in self.record.libraries.items())
        yield Line("libraries", State.TOLD, libraries)
        now = library_versions()
        other = [f"{n} {v} then, {now.get(n)} now" for n, v in self.described.libraries.items() if now.get(n) != v]
        if other:
            told = f"{', '.join(other)}: recomputation may give other bytes"
            yield Line("libraries that may decide bytes", State.UNKNOWN, told)

    def _inputs(self, later: Iterable[Change], edited: Iterable[Change]) -> Iterator[Line]:
        self.inputs.used  # noqa: B018  (what cannot be read is told here)
        segments.read(self.root, self.record.ledger_sha256)
        yield judged("ledger is whole, with what this release wrote in it", [])
        described, used = self.described, self.used
        recorded = used.sha256 == self.record.inputs_sha256
        yield judged("record of inputs is whole", [] if recorded else ["its digest is not that of what it lists"])
        rule = used.settings["nsfw"]
        told = (described.nsfw.research_above, described.nsfw.research_safe_above, str(described.nsfw.missing_score))
        wrong = {
            "code": described.code_version != used.code_version,
            "keywords": described.nsfw.keywords_sha256 != used.keywords_sha256,
            "thresholds": told != (rule["research_above"], rule["research_safe_above"], rule["missing_score"]),
            "waivers": [waiver.model_dump() for waiver in described.waivers] != used.waivers,
            "lists": _lists(described.feeds) != _recorded_lists(used),
        }
        names = [f"{name} of {MANIFEST} are not the record's" for name, differs in wrong.items() if differs]
        yield judged("manifest and record name the same inputs", names)
        if used.code_version == code_version():
            yield judged("made by the code that audits", [])
        for change in edited:
            remedy = "use the code that made it" if change.kind is changes.Kind.CODE else "no release was made of that"
            yield Line("changed since", State.FAILED, f"{change.text}; {remedy}")
        for change in later:
            yield Line("changed with a later release", State.UNKNOWN, change.text)
        if not list(edited) and not list(later):
            yield judged("inputs are as they were", [])

    def _files(self, key: TrustedKey | None) -> Iterator[Line]:
        yield from map(of_finding, published.examine(self.folder, key or signature.own_key(self.root, self.folder)))

    def _custody(self, *, newest: bool, same: bool) -> Iterator[Line]:
        inputs, settler = self.inputs, None
        if same:
            screener = Screener(self.root, inputs.settings, inputs.blocklist, inputs.keywords)
            settler = Settler(self.root, inputs.settings, screener, inputs.ledger)
        chain = Chain(inputs, self.folder, self.described, self.record, settler, newest)
        yield from chain.lines(lambda rows: self.listener("custody", rows))
        named = {f"{shard.subset}/{stem_of(shard.name)}" for shard in self.described.shards}
        surplus = [f"{name} is in the record alone" for name in self.used.shards if name not in named]
        yield judged("no shard besides", surplus)
        if not newest:
            yield Line("verdicts and evidence", State.UNKNOWN, _LATER)

    def _counts(self, *, newest: bool) -> Iterator[Line]:
        names = [(shard.subset, stem_of(shard.name)) for shard in self.described.shards] if newest else []
        headers = {f"{s}/{stem}": verdicts.read_header(self.root.verdicts(s, stem)) for s, stem in names}
        counted = {name: header.counts for name, header in headers.items() if header is not None}
        footers = {file.path: _rows(self.folder / file.path) for file in self.described.files}
        yield from reconciliation.lines(
            self.described, self.record, counted, self._evidence() if newest else [], footers
        )

    def _proof(self, later: Iterable[Change]) -> Iterator[Line]:
        if list(later):
            yield Line("proof", State.UNKNOWN, f"{_LATER}: lists and source are no longer those of this one")
            return
        yield from map(of_finding, proof.against_inputs(self.inputs, self.folder, self.listener))

    def _recomputed(self, again: Recompute | None, later: Iterable[Change]) -> Iterator[Line]:
        if again is None:
            yield Line("recomputation", State.TOLD, "not asked for; --recompute N or --recompute all does it")
            return
        if list(later):
            yield Line("recomputation", State.UNKNOWN, f"{_LATER}: lists and source are no longer those of this one")
            return
        shards = [shard for subset in self.inputs.settings.subsets for shard in self.inputs.find(subset)]
        drawn = recomputation.sample(shards, again.number, again.seed)
        yield Line("drawn", State.TOLD, f"{len(drawn):,} of {len(shards):,} shards, by --seed {again.seed}")
        said = {(f.subset, f.shard, f.path.endswith(f".{editions.EXTRA}.parquet")): f for f in self.described.files}
        with recomputation.workbench(self.inputs, self.folder.name) as bench:
            for shard in drawn:
                name = f"{shard.subset}/{shard.stem}"
                try:
                    made = bench.recompute(shard)
                except EXPECTED_ERRORS as error:
                    yield judged(name, [f"cannot be made again: {error}"])
                    continue
                wrong = []
                for part, digest in made.items():
                    file = said.get((shard.subset, shard.stem, part == editions.EXTRA))
                    if file is None or file.sha256 != digest:
                        wrong.append(f"its {part} file, made again, has other bytes than the release's")
                yield judged(name, wrong, "the same bytes")
                self.listener("recomputed", self._source_rows(shard.subset, shard.stem))

    def _source_rows(self, subset: str, stem: str) -> int:
        return sum(s.rows for s in self.described.shards if (s.subset, stem_of(s.name)) == (subset, stem))

    def _gate(self, *, newest: bool) -> Iterator[Line]:
        checks = [check.name for check in ALL_CHECKS]
        missing = [f"{name} was not checked" for name in checks if name not in self.described.proof.checks]
        yield judged("every check was made", missing, f"{len(checks)} checks")
        if not newest:
            yield Line("record of the gate", State.UNKNOWN, _LATER)
            return
        found = self._evidence()
        whole = evidence_files.digest(found) == self.record.evidence_sha256
        yield judged(
            "evidence is what the release was made on", [] if whole else ["it was changed, or some is missing"]
        )
        gate = gate_records.read_record(self.root)
        if gate is None or gate.evidence_sha256 != self.record.evidence_sha256:
            yield judged("gate passed for this evidence", ["its record is missing, or of other evidence"])
            return
        failed = [f"{name} failed" for name in gate.failed] or ([] if gate.passed else ["it did not pass"])
        if gate.expectations != self.described.proof.expectations:
            failed.append(f"{gate.expectations} expectations were evaluated, not as many as {MANIFEST} says")
        yield judged("gate passed for this evidence", failed, f"{gate.expectations} expectations")

    def _waivers(self) -> Iterator[Line]:
        for waiver in self.described.waivers:
            yield Line("waived", State.TOLD, describe_waiver(waiver.model_dump()))
        if not self.described.waivers:
            yield Line("none", State.TOLD)

    def _guards(self) -> Iterator[Line]:
        """What was held back or let pass by a limit; a guard that stops a release leaves none to audit."""
        held = False
        for feed in self.described.feeds:
            for what in ("malformed", "unmatchable", "withdrawn", "quarantined"):
                number = getattr(feed, what)
                if number:
                    held = True
                    yield Line(
                        f"list {feed.name}", State.TOLD, f"{number:,} entries {what}, of {feed.entries:,} usable"
                    )
        if not held:
            yield Line("none", State.TOLD)

    def _history(self, version: str) -> Iterator[Line]:
        for each in past.all_of(self.root):
            if each.version <= version:
                made = each.record.made_at if each.record and each.record.made_at else "at an unknown time"
                yield Line(each.version, State.TOLD, f"made {made}: {'; '.join(each.why)}")

    def _evidence(self) -> list[Evidence]:
        names = [(shard.subset, stem_of(shard.name)) for shard in self.described.shards]
        found = [evidence_files.read(self.root, subset, stem) for subset, stem in names]
        return [each for each in found if each is not None]


def _section(title: str, look: Callable[[], Iterator[Line]]) -> Section:
    """The lines that `look` finds; an expected error on the way is the last of them."""
    lines: list[Line] = []
    try:
        lines.extend(look())
    except EXPECTED_ERRORS as error:
        lines.append(judged("could not be looked at", [str(error)]))
    return Section(title, tuple(lines))


def _lists(feeds: list[FeedInput]) -> dict[str, tuple[str, str, int | None]]:
    return {feed.name: (feed.partner, feed.version, feed.entries) for feed in feeds}


def _recorded_lists(used: UsedInputs) -> dict[str, tuple[str, str, int | None]]:
    return {name: (feed.partner, feed.version, feed.entries) for name, feed in used.feeds.items()}


def _rows(path: Path) -> int:
    """Rows of a file as its footer has them; -1 where it cannot be read."""
    try:
        with open_parquet(path, path.name) as file:
            return int(file.metadata.num_rows)
    except ShardError:
        return -1
