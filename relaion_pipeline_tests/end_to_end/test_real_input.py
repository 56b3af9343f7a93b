"""Real captions and links that nobody here wrote, with lists of 200 of their own links.

None of these files has safety scores: those joined here are generated, so what the NSFW rules remove says nothing
about the real rows.
"""

import csv
import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import sample
from relaion_pipeline_tests.end_to_end import rules, shared

SHARDS = Path(__file__).parents[3] / "shared" / "data" / "shards"
LISTED = 200


@pytest.fixture(scope="module")
def adopted(tmp_path_factory):
    sources = [SHARDS / "cc3m_validation.tsv", *sorted(SHARDS.glob("wit_test_*.jsonl"))]
    if not all(path.is_file() for path in sources) or len(sources) < 2:
        pytest.skip("shared data is not here")
    made = sample.adopt(tmp_path_factory.mktemp("real") / "data", sources=sources, listed=LISTED, seed=3)
    outcome = shared.release(made.data_root)
    assert outcome.exit_code == 0, outcome.output
    return made, sources


def real_rows(path: Path) -> list[dict[str, object]]:
    """A file's rows with Python's own readers."""
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    with path.open(newline="", encoding="utf-8") as file:
        reader = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        return [{"caption": caption, "url": link} for caption, link in reader]


def subset_of(path: Path) -> str:
    return path.stem.partition("_")[0]


def test_all_listed_rows_are_gone_and_no_others(adopted):
    made, sources = adopted
    truth = shared.truth(made.truth)
    union = set().union(*truth.values())
    assert len(union) == made.listed == LISTED
    words = rules.keywords(made.data_root / "keywords.txt")
    kept, rows_in, listed = Counter(), Counter(), Counter()
    for path in sources:
        subset, stem = subset_of(path), path.stem
        rows = real_rows(path)
        scores = pq.read_table(made.data_root / "raw" / "scores" / subset / f"{stem}.parquet")["punsafe"].to_pylist()
        assert len(rows) == len(scores)
        safe_rows, extra_rows = [], []
        for number, (row, score) in enumerate(zip(rows, scores, strict=True)):
            text = row.get("caption", row.get("caption_reference_description"))
            link = row.get("url", row.get("image_url"))
            if (subset, stem, number) in union or rules.leaves_research(score, text, words) or rules.without_link(link):
                listed[subset] += (subset, stem, number) in union
            else:
                (extra_rows if rules.leaves_research_safe(score) else safe_rows).append(row | {"punsafe": score})
        in_safe, shared_part, extra = shared.published(made.data_root, subset, stem)
        assert shared.same_rows(in_safe, shared_part)
        assert plain(in_safe) == safe_rows
        assert plain(extra) == extra_rows
        kept[subset, "research-safe"] += len(safe_rows)
        kept[subset, "research"] += len(safe_rows) + len(extra_rows)
        rows_in[subset] += len(rows)
    described = shared.manifest(made.data_root)
    for subset, counts in described["subsets"].items():
        assert counts["rows"] == rows_in[subset] == made.rows[subset]
        assert counts["listed"] == listed[subset]
        assert counts["listed_by_feed"] == {feed: sum(r[0] == subset for r in rows) for feed, rows in truth.items()}
        assert counts["kept"] == {edition: kept[subset, edition] for edition in shared.EDITIONS}
    assert described["total"]["listed"] == LISTED


def plain(table: pa.Table) -> list[dict[str, object]]:
    """Published rows as the source's lines had them: a key that a JSON line left out is a null column."""
    return [
        {key: value for key, value in row.items() if key == "punsafe" or value is not None} for row in table.to_pylist()
    ]


def test_the_proof_holds(adopted):
    made, _ = adopted
    assert shared.verify(made.data_root).exit_code == 0
