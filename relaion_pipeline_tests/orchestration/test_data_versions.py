"""Data versions say what something was made from; what is out of date shows in the UI, and nothing else does."""

from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import definitions
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.orchestration import runs
from relaion_pipeline_tests.orchestration.conftest import Copies

FEED = dg.AssetKey(["feeds", "hrw-links"])
DOWNSTREAM_STAGES = {"screened", "ledger", "editions", "verified", "edition_set", "release"}


def test_nothing_changed_nothing_is_new(released: DataRoot, copy_of: Copies) -> None:
    """Run again elsewhere: no path, time or run enters a data version."""
    root = copy_of(released)
    assert runs.out_of_date(root) == {}
    assert runs.execute(root).success
    assert runs.data_versions(root) == runs.data_versions(released)
    assert runs.out_of_date(root) == {}


def test_a_changed_list_makes_stale_exactly_what_depends_on_it(released: DataRoot, copy_of: Copies) -> None:
    root = copy_of(released)
    with (root.path / "feeds" / "hrw" / "links.txt").open("a") as file:
        file.write("https://added.example/one.jpg\n")
    ran = runs.execute(root, assets=[FEED])
    assert ran.done == {"feeds__hrw_links"}
    stale = runs.out_of_date(root)
    assert {key.split("/")[-1].split("-")[0] for key in stale} == DOWNSTREAM_STAGES | {"blocklist"}
    assert len(stale) == 3 * 3 * runs.SLICES + 4
    assert all(blamed == {FEED.to_user_string()} for blamed in stale.values())


def test_materialising_what_is_stale_makes_a_release(released: DataRoot, copy_of: Copies) -> None:
    """The UI's "materialize changed and missing", after a list changed."""
    root = copy_of(released)
    with (root.path / "feeds" / "hrw" / "links.txt").open("a") as file:
        file.write("https://added.example/one.jpg\n")
    assert runs.execute(root, assets=[FEED]).success
    ran = runs.execute(root, assets=[dg.AssetKey.from_user_string(key) for key in runs.out_of_date(root)])
    assert ran.success, ran.messages
    assert "2B_en__shards_00" not in ran.done
    assert runs.out_of_date(root) == {}


def test_a_changed_shard_makes_stale_only_its_slice(released: DataRoot, copy_of: Copies) -> None:
    root = copy_of(released)
    shard = min((root.path / "raw" / "1B-nolang").iterdir())
    table = pq.read_table(shard)
    pq.write_table(table.slice(0, len(table) - 1), shard)
    assert runs.execute(root, assets=[dg.AssetKey(["1B-nolang", "shards-00"])]).success
    assert set(runs.out_of_date(root)) == {f"1B-nolang/{stage}-00" for stage in ("screened", "editions", "verified")}


SLICE_METADATA = {
    "shards": {"dagster/row_count", "shards", "bytes", "dagster/column_schema"},
    "screened": {"dagster/row_count", "shards"},
    "editions": {
        "dagster/row_count",
        "rows in research",
        "rows in research-safe",
        "bytes",
        "dagster/column_schema",
        "dagster/column_lineage",
    },
    "verified": {"dagster/row_count"},
}


def test_columns_of_a_release_lead_back_to_the_source(released: DataRoot) -> None:
    """From release to editions to shards, column by column; every asset on the way has the column in its schema."""
    found = runs.metadata(released)
    release = found[dg.AssetKey("release")]
    names = [column.name for column in release["dagster/column_schema"].columns]
    assert "URL" in names
    assert "LANGUAGE" in names  # of 2B-multi alone
    ways = 0
    for name in names:
        for written in release["dagster/column_lineage"].deps_by_column[name]:
            subset, asset = written.asset_key.path
            (source,) = found[written.asset_key]["dagster/column_lineage"].deps_by_column[written.column_name]
            assert source.asset_key == dg.AssetKey([subset, asset.replace("editions", "shards")])
            columns = found[source.asset_key]["dagster/column_schema"].columns
            assert (source.column_name, name) == (name, next(each.name for each in columns if each.name == name))
            ways += 1
    assert len(release["dagster/column_lineage"].deps_by_column["URL"]) == 3 * runs.SLICES
    assert ways > len(names)


def test_a_release_links_to_what_speaks_of_it(released: DataRoot) -> None:
    metadata = runs.metadata(released)[dg.AssetKey("release")]
    for name in ("report", "manifest", "Data Docs", "lineage", "folder"):
        assert Path(metadata[name]).exists()
    assert f"relaion audit {metadata['version']}" in metadata["audit"]


def test_assets_name_the_code_that_makes_them(released: DataRoot) -> None:
    graph = definitions.build_defs(released).resolve_asset_graph()
    for key in graph.materializable_asset_keys:
        (reference,) = graph.get(key).metadata["dagster/code_references"].code_references
        line = Path(reference.file_path).read_text(encoding="utf-8").splitlines()[reference.line_number - 1 :]
        assert any("def " in each for each in line[:20]), key
        assert "relaion_pipeline/assets/" in reference.file_path


def test_slices_say_nothing_of_what_was_listed_in_them(released: DataRoot) -> None:
    """A slice may hold one shard, and where listed rows stood is nobody's business: only these keys are shown."""
    found = runs.metadata(released)
    seen = set()
    for key, metadata in found.items():
        stage = key.path[-1].split("-")[0]
        if stage in SLICE_METADATA:
            seen.add(stage)
            assert set(metadata) == SLICE_METADATA[stage], key
    assert seen == set(SLICE_METADATA)


def test_verdicts_of_a_slice_count_all_rows_whatever_was_found(released: DataRoot) -> None:
    found = runs.metadata(released)
    for key, metadata in found.items():
        if key.path[-1].startswith("screened-"):
            shards = found[dg.AssetKey([key.path[0], key.path[1].replace("screened", "shards")])]
            assert metadata == {"dagster/row_count": shards["dagster/row_count"], "shards": shards["shards"]}


def test_logs_of_slices_tell_no_counts(first_run: tuple[DataRoot, runs.Ran]) -> None:
    root, ran = first_run
    with runs.instance(root) as opened:
        told = [
            event.user_message
            for event in opened.all_logs(ran.run_id)
            if not event.is_dagster_event and (event.step_key or "").split("__")[-1].split("_")[0] in SLICE_METADATA
        ]
    assert told == []


@pytest.mark.parametrize("key", [dg.AssetKey("edition_set"), dg.AssetKey("release")])
def test_the_table_of_removals_is_by_subset_and_feed(released: DataRoot, key: dg.AssetKey) -> None:
    table = runs.metadata(released)[key]["removals"]
    assert table.splitlines()[0] == "| | 2B-en | 2B-multi | 1B-nolang | all |"
    rows = {cells[1].strip() for line in table.splitlines() if (cells := line.split("|"))}
    assert {"rows in", "listed by any", "listed by hrw-links", "kept in research", "kept in research-safe"} <= rows
