"""A chain of real releases: what is said of each is what was done, and `current` and retention follow it."""

from collections import Counter

import pytest

from relaion_pipeline import sample
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import records
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.history.test_releases import as_json
from relaion_pipeline_tests.orchestration import runs

SUBSET = "2B-en"
VERSIONS = ["2026-01-02.001", "2026-01-03.001", "2026-01-04.001"]


def list_kept_links(data_root, number):
    """List the links of `number` rows that both editions hold, each link once in the dataset; return none of them."""
    every = Counter(link for _, _, table in shared.sources(data_root) for link in table["URL"].to_pylist())
    stem = min((data_root / "raw" / SUBSET).glob("*.parquet")).stem
    kept, _, _ = shared.published(data_root, SUBSET, stem)
    plain = [link for link in kept["URL"].to_pylist() if every[link] == 1 and link.isascii()]
    with (data_root / "feeds" / "hrw" / "links.txt").open("a", encoding="utf-8") as file:
        file.writelines(f"{link}\n" for link in plain[:number])


@pytest.mark.slow
def test_a_chain_of_releases(tmp_path):
    made = sample.generate(tmp_path / "data", rows=3_000, seed=3, shards=1)
    root = DataRoot.at(made.data_root)
    shared.edit_settings(root.path, "\n[nsfw]", "\n[retention]\nkeep_last = 2\n\n[nsfw]")
    first, second, third = VERSIONS
    assert shared.release(root.path, version=first).exit_code == 0
    files = len(shared.manifest(root.path)["files"])

    list_kept_links(root.path, 7)
    shown = shared.run("status", "--data", root.path).output
    assert "feed 'hrw-links': files changed: 1 of 1" in shown
    assert "screening by lists (by index; read where that is not enough): 3 of 3 shards" in shown
    assert "screening by rules:" not in shown
    assert shared.release(root.path, version=second).exit_code == 0
    found = as_json(root, "diff")
    differ = {(line["what"], line["subset"]): line["difference"] for line in found["counts"] if line["difference"]}
    assert {subset for _, subset in differ} == {SUBSET, "all"}
    by_list = {"removed.listed_link": 7, "listed": 7, "listed_by_feed.hrw-links": 7}
    for subset in (SUBSET, "all"):
        here = {what: number for (what, named), number in differ.items() if named == subset}
        assert {what: here[what] for what in here if "list" in what} == by_list
        assert here["removed.cover"] > 0
        assert here["kept.research"] == -7 - here["removed.cover"]
        assert here["kept.research-safe"] == -sum(here[what] for what in here if what.startswith("removed."))
    assert found["files"]["same"] + found["files"]["other"] == files
    assert 2 <= found["files"]["other"] <= 3, "files of the one shard that was touched"
    assert [change["text"] for change in found["changes"]] == ["feed 'hrw-links': files changed: 1 of 1"]
    with runs.instance(root) as opened:
        ids = {run.run_id for run in opened.get_runs()}
    assert {records.read(root, version).run_id for version in (first, second)} == ids

    assert shared.run("rollback", first, "--data", root.path).exit_code == 0
    assert shared.release(root.path).exit_code == 0
    assert shared.current(root.path).name == first, "an unchanged run undid a rollback"
    assert runs.execute(root).success
    assert shared.current(root.path).name == first, "a run from the UI undid a rollback"

    shared.edit_settings(root.path, "research_safe_above = 0.45", "research_safe_above = 0.4")
    before = {version: shared.tree_digest(root.release(version)) for version in (first, second)}
    assert shared.release(root.path, version=third).exit_code == 0
    assert shared.current(root.path).name == third
    assert sorted(path.name for path in root.releases.iterdir()) == [second, third, "current"]
    assert shared.tree_digest(root.release(second)) == before[second]
    listed = as_json(root, "releases")
    assert [each["version"] for each in listed] == VERSIONS
    assert [each["removed_by_retention"] for each in listed] == [True, False, False]
    assert listed[2]["why"] == ["nsfw.research_safe_above: 0.45 -> 0.4"]
    assert shared.verify(root.path).exit_code == 0
    assert "made from just these inputs" in shared.run("status", "--data", root.path).output
