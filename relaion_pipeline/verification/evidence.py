"""What verification found out about one shard: one row of counts and digests. Private; checks and audits read it."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.provenance import key_of


@dataclass(frozen=True)
class Evidence:
    """Everything that the gate judges about one shard. Every count but the row counts must be 0."""

    subset: str
    stem: str
    key: str  # digest of what was verified and against what: files, feeds, rules, code
    basis: str  # digest of source, scores, columns, rules and code alone
    lists: dict[str, str]  # feed -> digest of its entries
    hits: dict[str, str]  # feed -> digest of its entries that the shard's index says can name a row of the source
    questions: list[str]  # what the index was proved to answer: kind and form
    index_sha256: str | None  # of the index, if it was proved to hold every kept row
    source_sha256: str
    safe_sha256: str
    extra_sha256: str
    source_content: str  # rows of the source, and the sum of a hash over all their values
    removed_sha256: str  # of which rows verdicts remove from which edition; see `removed`
    source_rows: int
    safe_rows: int
    extra_rows: int
    removed_rows: int  # by the verdicts
    unaccounted_rows: int  # neither kept nor removed by a verdict, or the other way round; or of false verdicts
    altered_files: int  # files whose kept rows are not, value for value, the source's
    changed_schemas: int  # files whose columns are not the source's in name, order and type
    listed_in_research: int
    listed_in_research_safe: int
    unsafe_in_research: int  # above the research threshold, with a keyword
    unsafe_in_research_safe: int  # above the research-safe threshold
    unscored_in_research_safe: int
    without_link: int
    removed_before_in_research: int  # rows that the ledger says an earlier release removed
    missing_from_index: int  # spellings of kept rows that the index lacks, and links that it counts wrongly


def write(evidence: Evidence, root: DataRoot) -> None:
    """Keep a shard's evidence, mode 0600."""
    path = root.evidence(evidence.subset, evidence.stem)
    make_private(path.parent)
    write_text(path, json.dumps(asdict(evidence), indent=1))


def read(root: DataRoot, subset: str, stem: str) -> Evidence | None:
    """A shard's evidence, or None where there is none that can be read."""
    try:
        return Evidence(**json.loads(root.evidence(subset, stem).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def digest(evidence: Iterable[Evidence]) -> str:
    """One digest of the evidence of many shards, in whatever order."""
    return key_of(sorted((asdict(each) for each in evidence), key=lambda each: (each["subset"], each["stem"])))
