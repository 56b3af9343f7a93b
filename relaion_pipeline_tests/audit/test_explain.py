"""What became of one link or hash: planted rows are explained as they were planted, others as standing."""

import hashlib
import json
import stat

import pytest

from relaion_pipeline import links
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.end_to_end import shared


def ask(root: DataRoot, *arguments: str, stdin: str | None = None) -> dict:
    outcome = shared.run("explain", *arguments, "--data", root.path, "--json", stdin=stdin)
    assert outcome.exit_code == 0, outcome.output
    return json.loads(outcome.output)


@pytest.fixture(scope="module")
def root(released) -> DataRoot:
    return DataRoot.at(released.data_root)


@pytest.fixture(scope="module")
def rows(released) -> dict[shared.Row, dict]:
    return {
        (subset, stem, number): row
        for subset, stem, table in shared.sources(released.data_root)
        for number, row in enumerate(table.to_pylist())
    }


def places(answer: dict) -> set[shared.Row]:
    return {(found["subset"], found["shard"], found["row"]) for found in answer["rows"]}


@pytest.mark.parametrize("feed", ["c3p-images", "stanford-links", "hrw-links", "iwf-links"])
def test_a_planted_row_is_explained(root, rows, released, feed):
    place = min(shared.truth(released.truth)[feed])
    answer = ask(root, rows[place]["URL"])
    assert {each for each, row in rows.items() if row["URL"] == rows[place]["URL"]} <= places(answer)
    (found,) = (found for found in answer["rows"] if (found["subset"], found["shard"], found["row"]) == place)
    assert feed in found["feeds"]
    assert found["as_asked"]
    assert found["removed_since"] == shared.VERSION
    assert found["feed_versions"][feed] == "sample"
    assert found["present_in"] == {}
    assert any(reason.startswith("listed_") for reason in found["reasons"])


def test_other_spellings_find_the_same_rows(root, rows, released):
    place = min(shared.truth(released.truth)["stanford-links"])
    link = rows[place]["URL"]
    asked = places(ask(root, link))
    others = [text for text in links.forms(link).values() if links.match_key(text) == links.match_key(link)]
    assert len(others) > 3
    for other in others[:4]:
        assert places(ask(root, "-", stdin=other + "\n")) == asked


def test_a_row_that_stands(root, rows, released):
    gone = set().union(*shared.truth(released.truth).values())
    place = next(
        place
        for place, row in rows.items()
        if place not in gone and row["URL"] and (row["punsafe"] or 1) < 0.1 and not ask_reasons(root, place)
    )
    (found,) = (f for f in ask(root, rows[place]["URL"])["rows"] if (f["subset"], f["shard"], f["row"]) == place)
    assert found["reasons"] == found["feeds"] == []
    assert found["removed_since"] is None
    assert found["present_in"] == {shared.VERSION: ["research", "research-safe"]}


def ask_reasons(root: DataRoot, place: shared.Row) -> bool:
    feeds, _ = shared.verdicts(root.path, place[0], place[1])
    return place[2] in feeds


def test_hashes_of_images_and_of_links(root, rows, released):
    truth = shared.truth(released.truth)
    place = min(truth["c3p-images"])
    md5 = rows[place]["md5"]
    assert places(ask(root, "--hash", md5.upper())) == {each for each, row in rows.items() if row["md5"] == md5}
    link = rows[min(truth["stanford-links"])]["URL"]
    found = places(ask(root, "--hash", hashlib.sha1(link.encode()).hexdigest()))
    assert {each for each, row in rows.items() if row["URL"] == link} <= found
    assert ask(root, "--hash", "0" * 32)["rows"] == []


def test_a_link_that_is_nowhere(root):
    assert ask(root, "https://nowhere.test/not-there.jpg")["rows"] == []


@pytest.mark.parametrize("wrong", [["--hash", "xyz"], ["--hash", "0" * 31], [" "]])
def test_what_is_no_question_is_said(root, wrong):
    outcome = shared.run("explain", *wrong, "--data", root.path)
    assert outcome.exit_code == 1
    assert "Error:" in outcome.output


def test_it_is_noted_and_the_note_gives_nothing_away(root, rows, released):
    link = rows[min(shared.truth(released.truth)["hrw-links"])]["URL"]
    ask(root, link)
    text = root.access_log.read_text(encoding="utf-8")
    assert stat.S_IMODE(root.access_log.stat().st_mode) == 0o600
    assert json.loads(text.splitlines()[-1])["asked"] == "link"
    assert link not in text
    assert hashlib.md5(link.encode()).hexdigest() not in text
    said = shared.run("explain", link, "--data", root.path).output
    assert link not in said, "what was asked is known to who asked"
