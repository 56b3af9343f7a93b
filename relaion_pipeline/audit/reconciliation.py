"""Row counts, each told by several witnesses that must agree: manifest, files, verdicts, evidence, the private record.

What belongs here: adding up. What does not: whether a row was rightly counted.
"""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from relaion_pipeline.audit.lines import Line, State, judged
from relaion_pipeline.layout import EDITIONS, RESEARCH, RESEARCH_SAFE
from relaion_pipeline.release.manifest import Manifest, SubsetCounts
from relaion_pipeline.release.records import ReleaseRecord
from relaion_pipeline.screening.verdicts import Counts
from relaion_pipeline.shards import stem_of
from relaion_pipeline.verification.evidence import Evidence


def lines(
    described: Manifest,
    record: ReleaseRecord,
    verdicts: dict[str, Counts],
    evidence: list[Evidence],
    footers: dict[str, int],
) -> Iterator[Line]:
    """A line for every number of every subset, and for the sums.

    Args:
        described: the manifest.
        record: the release's private record; counts by shard are in it.
        verdicts: `subset/stem` to counts, as verdict files give them; empty where they are of a later release.
        evidence: as the gate judged it; empty where it is of a later release.
        footers: path of each published file to the rows it holds, read from the file.
    """
    for subset, counts in described.subsets.items():
        recorded = _sum(record.counts, subset)
        screened = _sum(verdicts, subset)
        proved = [each for each in evidence if each.subset == subset]
        told = {"record": recorded, **({"verdicts": screened} if verdicts else {})}
        yield _agree(
            f"{subset}: rows of the source",
            manifest=counts.rows,
            shards=sum(shard.rows for shard in described.shards if shard.subset == subset),
            **{who: each.rows for who, each in told.items()},
            **({"evidence": sum(each.source_rows for each in proved)} if evidence else {}),
        )
        for edition in EDITIONS:
            files = [each for each in described.files if (each.subset, each.edition) == (subset, edition)]
            held = [each.safe_rows + (each.extra_rows if edition == RESEARCH else 0) for each in proved]
            yield _agree(
                f"{subset}: rows of {edition}",
                manifest=counts.kept.get(edition, 0),
                listed_files=sum(each.rows for each in files),
                files=sum(footers.get(each.path, 0) for each in files),
                **{who: each.kept.get(edition, 0) for who, each in told.items()},
                **({"evidence": sum(held)} if evidence else {}),
            )
        for reason, rows in counts.removed.items():
            witnesses = {who: each.removed.get(reason, 0) for who, each in told.items()}
            yield _agree(f"{subset}: removed: {reason.replace('_', ' ')}", manifest=rows, **witnesses)
        for feed, rows in counts.listed_by_feed.items():
            witnesses = {who: each.listed_by_feed.get(feed, 0) for who, each in told.items()}
            yield _agree(f"{subset}: listed by {feed}", manifest=rows, **witnesses)
        yield _agree(
            f"{subset}: not screened by image",
            manifest=counts.not_screened_by_image,
            **{who: each.not_screened_by_image for who, each in told.items()},
        )
        yield _balance(subset, counts)
    yield judged("totals are the sums of the subsets", [] if described.total == _total(described) else ["they are not"])
    yield from _by_shard(described, record, footers)


def _agree(what: str, **witnesses: int) -> Line:
    if len(set(witnesses.values())) == 1:
        return Line(what, State.OK, f"{next(iter(witnesses.values())):,} ({', '.join(_named(w) for w in witnesses)})")
    return Line(what, State.FAILED, ", ".join(f"{_named(who)} {number:,}" for who, number in witnesses.items()))


def _named(witness: str) -> str:
    return witness.replace("_", " ")


def _balance(subset: str, counts: SubsetCounts) -> Line:
    kept, removed = counts.kept.get(RESEARCH_SAFE, 0), sum(counts.removed.values())
    said = f"{counts.rows:,} = {kept:,} + {removed:,}"
    what = f"{subset}: source = kept in {RESEARCH_SAFE} + removed by reason"
    return Line(what, State.OK if counts.rows == kept + removed else State.FAILED, said)


def _by_shard(described: Manifest, record: ReleaseRecord, footers: dict[str, int]) -> Iterator[Line]:
    """Shards whose rows do not add up in the record, by name alone."""
    wrong = []
    for shard in described.shards:
        stem = stem_of(shard.name)
        counts = record.counts.get(f"{shard.subset}/{stem}", Counts())
        safe, extra = (
            footers.get(f"{RESEARCH}/{shard.subset}/{stem}{suffix}.parquet", -1) for suffix in ("", ".extra")
        )
        kept = (counts.kept.get(RESEARCH_SAFE), counts.kept.get(RESEARCH))
        if (
            counts.rows != shard.rows
            or kept != (safe, safe + extra)
            or shard.rows != safe + sum(counts.removed.values())
        ):
            wrong.append(f"{shard.subset}/{stem}")
    yield judged(
        "every shard: source = kept + removed, by record and files",
        [f"not so for {', '.join(wrong)}"] if wrong else [],
        f"{len(described.shards):,} shards",
    )


def _sum(counts: dict[str, Counts], subset: str) -> Counts:
    return sum((each for name, each in counts.items() if name.partition("/")[0] == subset), Counts())


def _total(described: Manifest) -> SubsetCounts:
    counts: list[Counts] = [Counts.from_json(each.model_dump()) for each in described.subsets.values()]
    plain: dict[str, Any] = asdict(sum(counts, Counts()))
    return SubsetCounts(**plain)
