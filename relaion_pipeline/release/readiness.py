"""Whether a release may be made: everything is there, made from the inputs as they are now, and proved.

Nothing is taken from the order in which things ran. What is behind is named, with what to run.
"""

from dataclasses import dataclass

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger.settling import Settler
from relaion_pipeline.release import editions, versions
from relaion_pipeline.release.editions import StagedShard
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.screening import breadth, verdicts
from relaion_pipeline.screening.verdicts import Counts
from relaion_pipeline.shards.stock import StockedShard
from relaion_pipeline.verification import evidence as evidence_files
from relaion_pipeline.verification import gate as gate_records
from relaion_pipeline.verification.evidence import Evidence
from relaion_pipeline.verification.gate import GateRecord
from relaion_pipeline.verification.verifier import Verifier

_SHOWN = 10


class ReleaseRefusedError(Exception):
    """A release must not be made; the message says which slice is behind, or what the gate found, and what to run."""


@dataclass(frozen=True)
class Ready:
    """What a release is put together from, once all of it was found in order."""

    staged: tuple[StagedShard, ...]
    counts: dict[str, Counts]  # by subset
    counts_by_shard: dict[str, Counts]  # by `subset/stem`; private
    gate: GateRecord
    settler: Settler


def check(inputs: Inputs, settler: Settler, verifier: Verifier) -> Ready:
    """Hold everything staged against the inputs as they are now, and the gate's record against the evidence.

    Raises:
        ReleaseRefusedError: something is missing, behind, or did not pass.
    """
    staged, found, behind = [], [], []
    counts = {subset: verdicts.no_rows(inputs.settings.feeds) for subset in inputs.settings.subsets}
    by_shard = {}
    for shard in inputs.shards:
        header = settler.header(shard)
        edition = editions.read_record(inputs.root, shard.subset, shard.stem)
        proof = evidence_files.read(inputs.root, shard.subset, shard.stem)
        if header is None:
            behind.append(f"{shard.name}: its verdicts are not of the lists, settings and code as they are now")
        elif edition is None or edition.key != editions.key(shard, header, inputs.settings):
            behind.append(f"{shard.name}: its edition files are not of its verdicts as they are now")
        elif proof is None or not _proves(proof, shard, edition, verifier):
            behind.append(f"{shard.name}: its edition files, as they are now, are not verified")
        else:
            counts[shard.subset] += header.counts
            by_shard[f"{shard.subset}/{shard.stem}"] = header.counts
            staged.append(edition)
            found.append(proof)
    if behind:
        more = f"\nand {len(behind) - _SHOWN} more" if len(behind) > _SHOWN else ""
        listed = "\n".join(behind[:_SHOWN]) + more
        raise ReleaseRefusedError(f"{listed}\nRun `relaion release`, or materialise all of these slices' assets")
    if not settler.stands(inputs.shards):
        raise ReleaseRefusedError(
            "the verdicts were settled before the ledger or another shard changed; run `relaion release`, or "
            "materialise `ledger` and all that follows from it"
        )
    breadth.refuse(inputs.root, inputs.settings, inputs.shards)
    return Ready(tuple(staged), counts, by_shard, _gate(inputs, found), settler)


def check_version(root: DataRoot, version: str) -> None:
    """Hold the name that somebody chose for a release against those that are there.

    Raises:
        ReleaseRefusedError: it is no version, or does not sort behind all others.
    """
    last = (versions.released(root) or [""])[-1]
    if not versions.VERSION.fullmatch(version) or version <= last:
        after = f", after {last}" if last else ""
        raise ReleaseRefusedError(
            f"a release cannot be called '{version}': use date and number, as 2026-01-31.001{after}, or leave it out"
        )


def _proves(proof: Evidence, shard: StockedShard, edition: StagedShard, verifier: Verifier) -> bool:
    files = (shard.source_sha256, edition.safe.sha256, edition.extra.sha256)
    return proof.key == verifier.key(shard, *files)


def _gate(inputs: Inputs, found: list[Evidence]) -> GateRecord:
    gate = gate_records.read_record(inputs.root)
    if gate is None or gate.evidence_sha256 != evidence_files.digest(found):
        raise ReleaseRefusedError(
            "the gate has not judged this evidence: run `relaion release`, or materialise `edition_set`"
        )
    if not gate.passed:
        raise ReleaseRefusedError(
            f"the gate failed: {', '.join(gate.failed)}. Nothing was released; the last release stands. "
            f"See Data Docs in {inputs.root.data_docs}"
        )
    return gate
