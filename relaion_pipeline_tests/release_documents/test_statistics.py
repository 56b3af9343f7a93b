"""What the pictures show: counted again by plain code, and no function of the lists where it must not be."""

import math
import re
import shutil
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from relaion_pipeline import links, sample, settings
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import statistics
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.manifest import Manifest
from relaion_pipeline.screening.verdicts import HIDDEN, HIDDEN_BITS
from relaion_pipeline_tests.conftest import copy_of
from relaion_pipeline_tests.end_to_end import shared


def in_bin(score: float) -> int:
    return next(place for place in range(20) if score <= (place + 1) / 20)


def test_scores_are_those_of_the_source(root: DataRoot, described: Manifest) -> None:
    found, unscored = [0] * 20, 0
    for _, _, table in shared.sources(root.path):
        for score in table["punsafe"].to_pylist():
            if score is None or math.isnan(score):
                unscored += 1
            else:
                found[in_bin(score)] += 1
    assert described.statistics.scores.source == found
    assert described.statistics.scores.unscored == unscored


def test_what_passes_differs_from_what_is_kept_by_listed_rows_and_their_cover_only(
    described: Manifest, folder: Path
) -> None:
    listed = sum(described.total.removed[reason] for reason in HIDDEN)
    assert listed > described.total.listed > 0
    for edition, passing in described.statistics.scores.passing.items():
        kept, unscored = [0] * 20, 0
        for path in (folder / edition).rglob("*.parquet"):
            for score in pq.read_table(path)["punsafe"].to_pylist():
                if score is None or math.isnan(score):
                    unscored += 1
                else:
                    kept[in_bin(score)] += 1
        assert sum(kept) + unscored == described.total.kept[edition]
        assert all(few <= many for few, many in zip(kept, passing, strict=True))
        assert 0 < sum(passing) - sum(kept) <= listed


def test_nothing_above_the_threshold_passes_into_the_safe_edition(described: Manifest) -> None:
    assert described.nsfw.research_safe_above == 0.45
    assert sum(described.statistics.scores.passing["research-safe"][9:]) == 0
    assert described.statistics.scores.passing["research-safe"][8] > 0


@pytest.mark.slow
def test_other_lists_give_the_same_scores(root: DataRoot, described: Manifest, tmp_path: Path) -> None:
    """Else the difference of two curves would tell the scores of listed rows."""
    other = copy_of(root.path, tmp_path / "copy")
    kept = next((shared.current(other.path) / "research-safe" / "2B-en").glob("*.parquet"))
    more = [link for link in pq.read_table(kept)["URL"].to_pylist()[:200] if link]
    feed = other.path / "feeds" / "hrw" / "links.txt"
    feed.write_text(feed.read_text(encoding="utf-8") + "\n".join(more) + "\n", encoding="utf-8")
    file = other.path / "relaion.toml"
    text = file.read_text(encoding="utf-8")
    file.write_text(re.sub(r"max_listed_share = [\d.]+", "max_listed_share = 1.0", text), encoding="utf-8")
    outcome = shared.release(other.path, version="2026-01-03.001")
    assert outcome.exit_code == 0, outcome.output
    again = Manifest.model_validate(shared.manifest(other.path))
    assert again.total.listed >= described.total.listed + 150
    assert again.statistics.scores == described.statistics.scores


def test_hosts_are_those_of_kept_rows(folder: Path, described: Manifest) -> None:
    """Each link parsed whole, where the product parses only what is before the path."""
    counted: Counter[str | None] = Counter()
    for path in (folder / "research").rglob("*.parquet"):
        counted.update(links.host_of(link) for link in pq.read_table(path)["URL"].to_pylist())
    del counted[None]
    told = sorted((-statistics.rounded_down(rows), host) for host, rows in counted.items() if rows >= 10)[:20]
    assert [(-each.rows, each.host) for each in described.statistics.hosts] == told
    assert told


@pytest.mark.parametrize(
    ("rows", "told"), [(10, 10), (19, 10), (99, 90), (100, 100), (119, 110), (1299, 1200), (123456, 120000)]
)
def test_counts_of_hosts_are_rounded_down(rows: int, told: int) -> None:
    assert statistics.rounded_down(rows) == told


def test_shards_statistics_are_private(root: DataRoot) -> None:
    files = [path for path in (root.private / "statistics").rglob("*") if path.is_file()]
    assert files
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (root.private / "statistics").rglob("*") if path.is_dir()} == {
        0o700
    }


def test_what_stands_is_not_counted_again_and_what_is_missing_is(root: DataRoot, tmp_path: Path) -> None:
    copy = copy_of(root.path, tmp_path / "data")
    inputs = Inputs(copy, settings.load(copy.path))
    first = statistics.collect(inputs.shards, inputs.settings, copy)
    before = {path: path.stat().st_mtime_ns for path in (copy.private / "statistics").rglob("*.json")}
    assert statistics.collect(inputs.shards, inputs.settings, copy) == first
    assert {path: path.stat().st_mtime_ns for path in before} == before
    shutil.rmtree(copy.private / "statistics")
    assert statistics.collect(inputs.shards, inputs.settings, copy) == first


def test_a_rule_that_changes_for_a_listed_row_alone_is_counted_anew(root: DataRoot, tmp_path: Path) -> None:
    """The edition's files stay the same bytes, so their key alone would not tell."""
    copy = copy_of(root.path, tmp_path / "data")
    inputs = Inputs(copy, settings.load(copy.path))
    statistics.collect(inputs.shards, inputs.settings, copy)
    for shard in inputs.shards:
        path = copy.verdicts(shard.subset, shard.stem)
        table = pq.read_table(path)
        bits = table["reasons"].to_numpy().copy()
        listed = (bits & HIDDEN_BITS) != 0
        bits[listed] |= statistics.BIT["unsafe_keyword"]
        changed = table.set_column(1, table.schema.field(1), [bits])
        path.chmod(0o600)
        pq.write_table(changed, path)
    again = statistics.collect(inputs.shards, inputs.settings, copy)
    shutil.rmtree(copy.private / "statistics")
    assert again == statistics.collect(inputs.shards, inputs.settings, copy)


def test_columns_are_those_of_every_shard(marked: sample.SampleSummary, described: Manifest) -> None:
    for subset, _, table in shared.sources(marked.data_root):
        assert {each.name for each in described.columns[subset]} == set(table.column_names)
