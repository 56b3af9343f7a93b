"""Settling: what other shards, earlier releases and waivers make of a shard's findings."""

import pytest

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger.settling import SettlingError, read_settlement
from relaion_pipeline.screening import verdicts
from relaion_pipeline.screening.verdicts import LISTED, Reason
from relaion_pipeline_tests.ledger.conftest import BOTH, IMAGE, LINK
from relaion_pipeline_tests.ledger.dataset import Dataset, Row, ordinary

FIRST, SECOND, THIRD, FOURTH = (f"2026-01-0{day}.001" for day in (1, 2, 3, 4))

A_IMAGE, A_LINK, B_BOTH, C_SAME = ("x/a", 20), ("x/a", 21), ("x/b", 0), ("y/c", 10)

REMOVED = frozenset({Reason.REMOVED_BEFORE})


def waiver(**more: str) -> dict[str, str]:
    return {"kind": "removed-before", "reason": "a slip", "by": "the board", **more}


def waived_rows(dataset: Dataset) -> list[int]:
    settlement = read_settlement(DataRoot.at(dataset.root))
    assert settlement is not None
    return settlement.returned


def nothing_listed(dataset: Dataset) -> None:
    """Let every list drop all its entries."""
    dataset.list_images("images")
    dataset.list_links("links")


def test_first_release(dataset):
    dataset.settle()
    assert dataset.reasons() == {
        A_IMAGE: {Reason.LISTED_IMAGE},
        A_LINK: {Reason.LISTED_LINK},
        B_BOTH: {Reason.LISTED_IMAGE, Reason.LISTED_LINK},
        C_SAME: {Reason.SAME_LINK},
    }


def test_the_link_of_a_listed_image_goes_in_its_own_shard_too(dataset):
    dataset.shards["x/a"].append(Row(IMAGE.url, text="other", image="other"))
    dataset.settle()
    assert dataset.with_reason(Reason.SAME_LINK) == {("x/a", 22), C_SAME}


def test_an_image_listed_later_takes_its_link_out_of_shards_that_did_not_change(dataset):
    dataset.list_images("images", BOTH)
    dataset.remembered(FIRST)
    assert C_SAME not in dataset.reasons()
    dataset.list_images("images", BOTH, IMAGE)
    dataset.remembered(SECOND)
    assert dataset.reasons()[C_SAME] == {Reason.SAME_LINK}


def test_what_lists_drop_stays_removed(dataset):
    dataset.remembered(FIRST)
    nothing_listed(dataset)
    for version in (SECOND, THIRD):
        dataset.remembered(version)
        assert dataset.reasons() == dict.fromkeys((A_IMAGE, A_LINK, B_BOTH, C_SAME), REMOVED)
    assert len(dataset.ledger()) == 4


def test_what_a_feed_listed_stays_removed_when_the_feed_is_gone(dataset):
    dataset.remembered(FIRST)
    del dataset.feeds["images"]
    dataset.settle()
    assert dataset.with_reason(Reason.REMOVED_BEFORE) == {A_IMAGE, C_SAME}


def test_what_no_release_removed_comes_back(dataset):
    """A settlement that no release was made of binds nobody."""
    dataset.settle()
    nothing_listed(dataset)
    dataset.settle()
    assert dataset.reasons() == {}


def test_listed_rows_stay_out_of_a_shard_that_is_replaced_and_of_shards_that_they_move_to(dataset):
    dataset.remembered(FIRST)
    nothing_listed(dataset)
    dataset.shards["x/a"] = [*ordinary(5, "new"), LINK, *ordinary(5, "newer")]
    dataset.shards["y/c"] += [Row(BOTH.url, text="elsewhere, and with another text")]
    dataset.shards["y/new"] = [IMAGE, *ordinary(3, "n")]
    del dataset.shards["x/b"]
    dataset.remembered(SECOND)
    expected = {("x/a", 5), C_SAME, ("y/c", 11), ("y/new", 0)}
    assert dataset.reasons() == dict.fromkeys(expected, REMOVED)
    dataset.shards["x/b"] = [BOTH]
    dataset.settle()
    assert dataset.with_reason(Reason.REMOVED_BEFORE) == {*expected, ("x/b", 0)}


# Rules

UNSAFE, VERY_UNSAFE = Row("https://u.example/1", punsafe=0.6), Row("https://u.example/2", "nsfw", punsafe=0.99)


@pytest.fixture
def ruled(dataset: Dataset) -> Dataset:
    dataset.shards["x/b"] += [UNSAFE, VERY_UNSAFE]
    return dataset.remembered(FIRST)


def test_what_rules_removed_stays_out_when_they_are_loosened(ruled):
    assert ruled.reasons()["x/b", 21] == {Reason.UNSAFE}
    assert ruled.reasons()["x/b", 22] == {Reason.UNSAFE, Reason.UNSAFE_KEYWORD}
    ruled.nsfw = {"research_above": 1.0, "research_safe_above": 0.995}
    for version in (SECOND, THIRD):
        ruled.remembered(version)
        assert ruled.reasons()["x/b", 21] == {Reason.UNSAFE_BEFORE}
        assert ruled.reasons()["x/b", 22] == {Reason.RULED_OUT_BEFORE}
    ruled.nsfw = {}
    ruled.settle()
    assert ruled.reasons()["x/b", 21] == {Reason.UNSAFE}


def test_a_row_that_only_research_had_stays_out_of_both_once_it_left_both(ruled):
    """The way back stops where it began: with what the strictest release said."""
    ruled.nsfw = {"research_above": 0.5, "research_safe_above": 0.45}
    ruled.keywords = ("nsfw", "text")
    ruled.remembered(SECOND)
    assert Reason.UNSAFE_KEYWORD in ruled.reasons()["x/b", 21]
    ruled.nsfw, ruled.keywords = {}, ("nsfw",)
    ruled.remembered(THIRD)
    assert ruled.reasons()["x/b", 21] == {Reason.UNSAFE, Reason.RULED_OUT_BEFORE}


def test_a_waiver_lets_back_what_rules_removed_and_nothing_else(ruled):
    ruled.nsfw = {"research_above": 1.0, "research_safe_above": 0.995}
    nothing_listed(ruled)
    ruled.waivers = [waiver(subset="y"), waiver(release=SECOND)]
    ruled.settle()
    assert ruled.reasons()["x/b", 21] == {Reason.UNSAFE_BEFORE}
    assert waived_rows(ruled) == [0, 0]
    ruled.waivers = [waiver(subset="x", release=FIRST)]
    ruled.settle()
    assert waived_rows(ruled) == [2]
    assert ruled.reasons() == dict.fromkeys((A_IMAGE, A_LINK, B_BOTH, C_SAME), REMOVED)


def test_rows_with_one_link_and_text_are_told_apart_by_how_many_went(dataset):
    """Twins that differ in score: none comes back, and none goes that nothing ever spoke against."""
    twins = [Row("https://t.example/", "nsfw", punsafe=score) for score in (0.96, 0.5, 0.47, 0.1)]
    dataset.shards["x/b"] += twins
    rows = [("x/b", 21 + number) for number in range(4)]
    dataset.remembered(FIRST)
    told = dataset.reasons()
    dataset.list_images("other", "0" * 31 + "1")  # verdicts are settled anew
    dataset.remembered(SECOND)
    assert dataset.reasons() == told
    assert rows[3] not in told
    dataset.nsfw = {"research_safe_above": 0.49}
    dataset.remembered(THIRD)
    assert {*rows[:3]} <= dataset.reasons().keys()


# Waivers of lists


def test_a_waiver_lets_back_exactly_what_it_names(dataset):
    dataset.remembered(FIRST)
    nothing_listed(dataset)
    dataset.waivers = [waiver(feed="links")]
    dataset.settle()
    assert dataset.with_reason(Reason.REMOVED_BEFORE) == {A_IMAGE, B_BOTH, C_SAME}  # BOTH is still named by `images`
    assert waived_rows(dataset) == [2]
    dataset.waivers = [waiver(feed="links"), waiver(feed="images")]
    dataset.settle()
    assert dataset.reasons() == {}
    assert waived_rows(dataset) == [2, 3]
    dataset.waivers = []
    dataset.settle()
    assert dataset.with_reason(Reason.REMOVED_BEFORE) == {A_IMAGE, A_LINK, B_BOTH, C_SAME}


def test_a_waiver_does_not_let_back_what_a_list_still_names(dataset):
    dataset.remembered(FIRST)
    dataset.waivers = [waiver(feed="links"), waiver(feed="images")]
    dataset.settle()
    assert dataset.reasons().keys() == {A_IMAGE, A_LINK, B_BOTH, C_SAME}
    assert all(reasons <= {*LISTED, Reason.SAME_LINK} for reasons in dataset.reasons().values())


def test_a_feed_that_names_a_row_later_is_to_be_waived_too(dataset):
    dataset.remembered(FIRST)
    dataset.list_links("more", LINK)
    dataset.remembered(SECOND)
    nothing_listed(dataset)
    dataset.list_links("more")
    dataset.waivers = [waiver(feed="links")]
    dataset.settle()
    assert A_LINK in dataset.reasons()
    dataset.waivers = [waiver(feed="links"), waiver(feed="more")]
    dataset.settle()
    assert A_LINK not in dataset.reasons()


def test_a_waiver_of_one_release_or_subset_says_nothing_of_others(dataset):
    dataset.list_links("links", LINK)
    dataset.remembered(FIRST)
    dataset.list_links("links", LINK, BOTH)
    dataset.remembered(SECOND)
    nothing_listed(dataset)
    dataset.remembered(THIRD)
    for one, back in (({"release": SECOND}, set()), ({"release": FIRST}, {A_LINK}), ({"subset": "y"}, set())):
        dataset.waivers = [waiver(feed="links", **one)]
        dataset.settle()
        assert {A_IMAGE, A_LINK, B_BOTH, C_SAME} - dataset.reasons().keys() == back


def test_a_row_that_moved_while_it_was_out_can_still_be_let_back(dataset):
    """It is recorded where it turned up, without a feed; what it was removed for is on the earlier entry."""
    dataset.remembered(FIRST)
    nothing_listed(dataset)
    dataset.shards["x/b"].append(LINK)
    dataset.remembered(SECOND)
    assert dataset.reasons()["x/b", 21] == {Reason.REMOVED_BEFORE}
    dataset.waivers = [waiver(feed="links")]
    dataset.settle()
    assert {A_LINK, ("x/b", 21)}.isdisjoint(dataset.reasons())


def test_what_came_back_and_is_named_by_another_feed_goes_again_for_good(dataset):
    dataset.remembered(FIRST)
    nothing_listed(dataset)
    dataset.waivers = [waiver(feed="links")]
    dataset.remembered(SECOND)
    assert A_LINK not in dataset.reasons()
    dataset.list_links("more", LINK)
    dataset.remembered(THIRD)
    dataset.list_links("more")
    dataset.remembered(FOURTH)
    assert dataset.reasons()[A_LINK] == {Reason.REMOVED_BEFORE}


def test_cover_never_comes_back(dataset):
    dataset.share = 0.25
    dataset.shards["y/c"] += ordinary(20, "more")
    dataset.remembered(FIRST)
    covering = dataset.with_reason(Reason.COVER)
    assert len(covering) == 3 * 4
    nothing_listed(dataset)
    dataset.share = 1.0
    dataset.waivers = [waiver(feed="links"), waiver(feed="images"), waiver()]
    dataset.shards["x/new"] = [dataset.shards[shard][row] for shard, row in covering]
    for version in (SECOND, THIRD):
        dataset.remembered(version)
        assert dataset.with_reason(Reason.COVER) == covering | {("x/new", row) for row in range(12)}
        assert dataset.reasons().keys() == dataset.with_reason(Reason.COVER)


def test_cover_is_found_once_and_not_again(dataset):
    """For a row that is out already, wherever it turns up, nothing more goes."""
    dataset.share = 0.25
    dataset.shards["y/c"] += ordinary(20, "more")
    dataset.remembered(FIRST)
    covering = dataset.with_reason(Reason.COVER)
    dataset.share = 0.2
    dataset.list_links("more", LINK)
    dataset.shards["x/b"].append(Row(LINK.url, text="again"))
    dataset.remembered(SECOND)
    assert dataset.with_reason(Reason.COVER) == covering


def test_cover_that_a_list_names_later_is_covered_itself_and_replaced(dataset):
    dataset.share = 0.25
    dataset.shards["y/c"] += ordinary(20, "more")
    dataset.remembered(FIRST)
    covering = dataset.with_reason(Reason.COVER)
    name, number = place = min(covering)
    dataset.list_links("more", dataset.shards[name][number])
    for version in (SECOND, THIRD):
        dataset.remembered(version)
        assert dataset.reasons()[place] == {Reason.LISTED_LINK}
        assert len(dataset.with_reason(Reason.COVER)) == 12 - 1 + 4
    dataset.list_links("more")
    dataset.waivers = [waiver(feed="more")]
    dataset.settle()
    assert dataset.reasons()[place] == {Reason.COVER}


# Order of work


def test_settling_needs_findings_of_all_shards(dataset):
    settler = dataset.settle()
    (dataset.root / "private" / "findings" / "x" / "a.json").unlink()
    with pytest.raises(SettlingError, match="materialise its screened slice first"):
        settler.key(dataset.inputs().shards)


def test_settling_again_changes_no_file(dataset):
    dataset.share = 0.5
    dataset.remembered(FIRST)
    files = {path: path.stat().st_mtime_ns for path in (dataset.root / "private" / "verdicts").rglob("*.parquet")}
    dataset.remembered(SECOND)
    assert {path: path.stat().st_mtime_ns for path in files} == files


@pytest.mark.parametrize("stopped", [0, 1, 2])
def test_a_settlement_that_was_cut_short_ends_as_if_it_had_not(dataset, stopped, monkeypatch):
    dataset.share = 0.5
    dataset.settle()
    expected = dataset.reasons()
    dataset.list_links("links")
    dataset.settle()
    dataset.list_links("links", LINK, BOTH)
    write, calls = verdicts.write, []

    def failing(*arguments):
        calls.append(1)
        if len(calls) > stopped:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(verdicts, "write", failing)
    with pytest.raises(KeyboardInterrupt):
        dataset.settle()
    monkeypatch.undo()
    dataset.settle()
    assert dataset.reasons() == expected
