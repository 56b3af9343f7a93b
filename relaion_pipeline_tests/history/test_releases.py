"""`relaion releases`, `relaion diff` and `relaion status`: every number and every cause is that of the releases."""

import json

import pytest

from relaion_pipeline import settings
from relaion_pipeline.history import releases, retention
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import records, versions
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.history import made

FIRST = shared.VERSION
SECOND = "2026-01-03.001"
THIRD = "2026-02-01.001"
REASON = "removed.unheard_of"
GONE = {"2B-en": 5, "2B-multi": 2, "1B-nolang": 0}
WAIVER = {
    "kind": "removed-before",
    "feed": "iwf-images",
    "subset": None,
    "entry": None,
    "release": FIRST,
    "reason": "r",
    "by": "Ada",
    "rows": 3,
}


@pytest.fixture
def root(copied):
    """Three releases. The second dropped a list, and some rows for a reason that is not among today's."""
    found = copied()
    now = Inputs(found, settings.load(found.path)).used
    fewer = {name: feed for name, feed in now.feeds.items() if name != "hrw-links"}
    dropped = now.settings | {"feeds": {name: now.settings["feeds"][name] for name in fewer}}
    before = now.model_copy(update={"feeds": fewer, "settings": dropped, "settings_sha256": "0" * 64})
    second = made.copy_release(found, FIRST, SECOND, before)
    made.edit_manifest(second, release=SECOND, waivers=[WAIVER], **with_fewer(shared.manifest(found.path)))
    third = made.copy_release(found, FIRST, THIRD, now)
    made.edit_manifest(third, release=THIRD)
    return found


def with_fewer(described):
    """Counts of a release that removed some rows more, for a reason that is not among today's."""
    for subset, rows in {**GONE, "all": sum(GONE.values())}.items():
        counts = described["total"] if subset == "all" else described["subsets"][subset]
        counts["removed"]["unheard_of"] = rows
        counts["kept"] = {edition: kept - rows for edition, kept in counts["kept"].items()}
    return {"subsets": described["subsets"], "total": described["total"]}


def as_json(root, *arguments):
    outcome = shared.run(*arguments, "--json", "--data", root.path)
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.output)


def test_releases_are_listed_with_counts_and_causes(root):
    path = root.publication("mirror")
    path.parent.mkdir(parents=True)
    when = "2026-01-04T10:00:00+00:00"
    path.write_text(json.dumps({"to": "x", "releases": {SECOND: {"published": when}, THIRD: {"published": None}}}))
    first, second, third = as_json(root, "releases")
    counts = shared.manifest(root.path)["total"]
    assert [each["version"] for each in (first, second, third)] == [FIRST, SECOND, THIRD]
    assert [each["current"] for each in (first, second, third)] == [False, False, True]
    assert first["counts"] == third["counts"] == counts
    assert second["counts"]["removed"] == counts["removed"] | {"unheard_of": 7}
    assert [each["why"] for each in (first, second, third)] == [
        ["first release"],
        ["feed 'hrw-links' of Human Rights Watch: no longer used"],
        ["feed 'hrw-links' of Human Rights Watch, version sample: added"],
    ]
    assert [each["published"] for each in (first, second, third)] == [{}, {"mirror": when}, {"mirror": None}]
    assert second["waivers"] == [WAIVER]
    record = records.read(root, FIRST)
    assert (first["made_at"], first["run_id"]) == (record.made_at, record.run_id)
    shown = shared.run("releases", "--data", root.path).output
    assert f"{counts['kept']['research'] - 7:,}" in shown
    assert "removed: unheard of" in shown
    assert "mirror: 2026-01-04" in shown
    assert "mirror: not whole" in shown


def test_what_retention_removed_stays_in_the_list(root):
    before = as_json(root, "releases")
    assert retention.apply(root, 1).removed == (FIRST, SECOND)
    after = as_json(root, "releases")
    assert [each["removed_by_retention"] for each in after] == [True, True, False]
    assert [each | {"removed_by_retention": False} for each in after] == before
    assert as_json(root, "diff", FIRST, THIRD)["before"] == FIRST
    outcome = shared.run("rollback", FIRST, "--data", root.path)
    assert outcome.exit_code == 1
    assert f"no release {FIRST}; it was removed by [retention]" in outcome.output


def test_what_is_not_known_is_said(root):
    root.release_record(SECOND).unlink()
    (root.release(FIRST) / "manifest.json").write_text("{")
    first, second, third = releases.all_of(root)
    assert first.described is None
    assert second.why == third.why == [releases.UNKNOWN]
    shown = shared.run("releases", "--data", root.path).output
    assert "its manifest cannot be read" in shown


def test_two_are_compared_number_by_number(root):
    found = as_json(root, "diff", FIRST, SECOND)
    described = shared.manifest(root.path)
    lines = {(line["what"], line["subset"]): line for line in found["counts"]}
    assert len(lines) == len(found["counts"])
    for subset, counts in {**described["subsets"], "all": described["total"]}.items():
        rows = GONE.get(subset, 7)
        flat = {name: number for name, number in counts.items() if isinstance(number, int)}
        for group in ("kept", "removed", "listed_by_feed"):
            flat |= {f"{group}.{name}": number for name, number in counts[group].items()}
        for what, before in (flat | {REASON: 0}).items():
            more = -rows if what.startswith("kept.") else rows if what == REASON else 0
            line = lines.pop((what, subset))
            assert (line["before"], line["after"], line["difference"]) == (before, before + more, more)
    assert lines == {}
    assert [change["text"] for change in found["changes"]] == ["feed 'hrw-links' of Human Rights Watch: no longer used"]
    assert found["waivers"] == [WAIVER]
    assert found["files"] == {"same": len(described["files"]), "other": 0, "new": 0, "gone": 0}
    shown = shared.run("diff", FIRST, SECOND, "--data", root.path).output
    assert "removed: unheard of" in shown
    assert "+5" in shown
    assert (
        f"waiver in force: removed-before of feed 'iwf-images' by release {FIRST} (3 removals lifted), by Ada: r"
        in shown
    )


def test_what_is_compared_where_nothing_is_said(root):
    assert [as_json(root, "diff")[side] for side in ("before", "after")] == [SECOND, THIRD]
    assert [as_json(root, "diff", FIRST)[side] for side in ("before", "after")] == [FIRST, THIRD]
    versions.make_current(root, SECOND)
    assert [as_json(root, "diff")[side] for side in ("before", "after")] == [FIRST, SECOND]
    versions.make_current(root, FIRST)
    outcome = shared.run("diff", "--data", root.path)
    assert outcome.exit_code == 1
    assert "none before it" in outcome.output
    outcome = shared.run("diff", "2020-01-01.001", "--data", root.path)
    assert outcome.exit_code == 1
    assert f"there are: {FIRST}, {SECOND}, {THIRD}" in outcome.output


def test_status_says_what_is_behind_before_anything_runs(root, released):
    shared.run("status", "--data", root.path)
    (root.path / "raw" / "2B-en" / "new.parquet").write_bytes(
        min((root.path / "raw" / "2B-en").glob("*.parquet")).read_bytes()
    )
    shared.edit_settings(root.path, "research_above = 0.95", "research_above = 0.9")
    before = {path.name for path in root.private.rglob("*")}
    shown = shared.run("status", "--data", root.path).output
    assert f"Changed since release {THIRD}" in shown
    assert "1 shard of 2B-en added: new" in shown
    assert "nsfw.research_above: 0.95 -> 0.9" in shown
    every = released.shards + 1
    lines = [line.strip() for line in shown.partition("To do again\n")[2].splitlines()]
    assert lines[:7] == [
        f"screening by lists: 1 of {every} shards",
        f"screening by rules: {every} of {every} shards",
        f"ledger and cover: {every} of {every} shards",
        f"editions: 1 of {every} shards",
        f"editions (where other rows go): {every} of {every} shards",
        f"verification: {every} of {every} shards",
        "release",
    ]
    assert f"Current release: {THIRD}, inputs changed since" in lines[7]
    assert {path.name for path in root.private.rglob("*")} == before


def test_status_names_what_retention_will_remove(root):
    shared.edit_settings(root.path, "\n[nsfw]", "\n[retention]\nkeep_last = 2\n\n[nsfw]")
    shown = shared.run("status", "--data", root.path).output
    assert f"The next release removes, by [retention]: {FIRST}" in shown
    assert f"Current release: {THIRD}, made from just these inputs" in shown


def test_a_data_root_without_a_release(tmp_path):
    shared.run("sample", tmp_path / "data", "--rows", 1_000)
    for command in ("releases", "status"):
        outcome = shared.run(command, "--data", tmp_path / "data")
        assert outcome.exit_code == 0, outcome.output
        assert "No release yet" in outcome.output
    assert as_json(DataRoot.at(tmp_path / "data"), "releases") == []
    for command in (["diff"], ["rollback", FIRST]):
        assert shared.run(*command, "--data", tmp_path / "data").exit_code == 1
