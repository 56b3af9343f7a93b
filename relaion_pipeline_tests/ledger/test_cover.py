"""Cover: how much of it, which rows, and what happens where there are too few."""

import math
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relaion_pipeline.ledger import cover
from relaion_pipeline.ledger.cover import Candidate, Cell
from relaion_pipeline.ledger.settling import SettlingError
from relaion_pipeline.screening.verdicts import Reason
from relaion_pipeline_tests.ledger.dataset import Dataset, Row, ordinary

CELLS: list[Cell] = [
    (lacks, score, domain, length)
    for lacks in (False, True)
    for score in ("1.0", "2.0")
    for domain in ("com", "org")
    for length in (3, 4)
]
SHARES = st.sampled_from([0.001, 0.01, 0.1, 0.2, 1 / 3, 0.5, 0.9, 1.0]) | st.floats(0.0005, 1)


EXPOSED = st.integers(1, 5000).flatmap(lambda rows: st.tuples(st.just(rows), st.integers(0, rows)))


@given(st.dictionaries(st.sampled_from(CELLS), EXPOSED), SHARES)
def test_cover_keeps_the_share_and_is_no_row_more_than_that_takes(exposed, share):
    wanted = cover.needed(exposed, share)
    assert wanted.keys() == exposed.keys()
    exact = Fraction(share)
    for cell, (rows, once_cover) in exposed.items():
        new = wanted[cell] - once_cover  # the others take the places of those that are listed now
        assert rows <= exact * (rows + new) * (1 + Fraction(1, 10**12))
        assert new <= math.ceil(rows / exact) - rows + 1


@st.composite
def offers(draw):
    ranks = draw(st.lists(st.integers(0, 1000), max_size=60, unique=True))
    return [Candidate(row, row, row, draw(st.sampled_from(CELLS)), rank) for row, rank in enumerate(ranks)]


@given(st.dictionaries(st.sampled_from(CELLS), st.integers(1, 8), max_size=6), offers())
def test_what_is_chosen(wanted, offered):
    """As many as are needed or nothing; as alike as there are; the lowest ranks; research-safe is never relaxed."""
    chosen = cover.choose(wanted, offered)
    need, there = Counter(), Counter(candidate.cell[0] for candidate in offered)
    for cell, rows in wanted.items():
        need[cell[0]] += rows
    enough = all(there[lacks] >= rows for lacks, rows in need.items())
    assert (chosen is not None) == enough
    if chosen is None:
        return
    assert len({each.row for each in chosen}) == len(chosen)
    assert Counter(each.cell[0] for each in chosen) == +need
    for cell, rows in wanted.items():
        here = sorted(each.rank for each in offered if each.cell == cell)[:rows]
        assert {each.rank for each in chosen if each.cell == cell} >= set(here), "alike in all, and not taken"


def test_likeness_is_given_up_from_the_end():
    lacks, score, domain, length = cell = CELLS[0]
    others = [(lacks, score, domain, 9), (lacks, score, "net", length), (lacks, "7.0", domain, length)]
    offered = [Candidate(row, row, row, each, rank=row) for row, each in enumerate([*reversed(others), cell])]
    for needed, expected in ((1, [cell]), (2, [cell, others[0]]), (3, [cell, *others[:2]]), (4, [cell, *others])):
        chosen = cover.choose({cell: needed}, offered)
        assert chosen is not None
        assert [each.cell for each in chosen] == expected
    assert cover.choose({cell: 5}, offered) is None


def test_the_order_of_offers_does_not_matter():
    offered = [Candidate(row, row, row, CELLS[row % 4], rank=row * 7 % 31) for row in range(31)]
    wanted = {CELLS[0]: 3, CELLS[2]: 2}
    assert cover.choose(wanted, offered) == cover.choose(wanted, offered[::-1])


# On rows

LISTED = Row("https://h.example/listed.jpg")


def covered(tmp_path, rows: list[Row], share: float = 0.1, others: dict[str, list[Row]] | None = None) -> Dataset:
    dataset = Dataset(tmp_path / "data", {"x/a": [LISTED, *rows], **(others or {})}, share=share)
    dataset.list_images("images", LISTED)
    dataset.settle()
    return dataset


def test_cover_is_of_the_same_shard_and_as_alike_as_there_are(tmp_path):
    alike = [Row(f"https://h.example/{n}.jpg") for n in range(30)]
    unlike = [
        *(Row(f"https://h.example/{n}-score.jpg", punsafe=0.3) for n in range(300)),
        *(Row(f"https://h.other/{n}-domain.jpg") for n in range(300)),
        *(Row(f"https://h.example/{n}-text.jpg", text="long " * 40) for n in range(300)),
        *(Row(f"https://h.example/{n}-unsafe.jpg", punsafe=0.6) for n in range(300)),
    ]
    dataset = covered(tmp_path, unlike + alike, others={"x/b": ordinary(400), "y/c": ordinary(400, "c")})
    found = dataset.with_reason(Reason.COVER)
    assert len(found) == 9
    assert found <= dataset.places(alike)


def test_a_row_that_research_safe_lacks_is_covered_by_such_rows(tmp_path):
    unsafe = Row("https://h.example/unsafe.jpg", punsafe=0.62)
    alike = [Row(f"https://h.example/{n}-unsafe.jpg", punsafe=0.62) for n in range(20)]
    dataset = covered(tmp_path, [*ordinary(300), unsafe, *alike])
    dataset.list_images("images", unsafe)
    dataset.settle()
    found = dataset.with_reason(Reason.COVER)
    assert len(found) == 9
    assert found <= dataset.places(alike)


def test_cover_has_links_that_occur_once_in_the_dataset(tmp_path):
    twice, elsewhere = ordinary(100, "twice"), ordinary(100, "elsewhere")
    once = ordinary(12, "once")
    again = [Row(row.url, text="again") for row in twice]
    dataset = covered(tmp_path, [*twice, *again, *elsewhere, *once], others={"y/b": elsewhere})
    found = dataset.with_reason(Reason.COVER)
    assert len(found) == 9
    assert found <= dataset.places(once)


def test_a_row_that_rules_explain_needs_no_cover(tmp_path):
    explained = Row("https://h.example/explained.jpg", text="nsfw", punsafe=0.99)
    dataset = Dataset(tmp_path / "data", {"x/a": [explained, *ordinary(50)]}, share=0.1)
    dataset.list_images("images", explained)
    dataset.settle()
    assert dataset.with_reason(Reason.COVER) == set()
    assert dataset.reasons()["x/a", 0] == {Reason.LISTED_IMAGE, Reason.UNSAFE_KEYWORD, Reason.UNSAFE}


def test_without_a_promise_there_is_no_cover(tmp_path):
    assert covered(tmp_path, ordinary(20), share=1.0).with_reason(Reason.COVER) == set()


@pytest.mark.parametrize(("rows", "share"), [(ordinary(8), 0.1), ([], 0.5), (ordinary(200), 0.001), (ordinary(50), 0)])
def test_too_few_ordinary_rows_stop_it(tmp_path, rows, share):
    """The subset is named; how many are listed, and in which shard, is not."""
    with pytest.raises(SettlingError, match="too few ordinary rows") as caught:
        covered(tmp_path, rows, share, others={"x/b": ordinary(300, "b"), "y/c": ordinary(300, "c")})
    told = str(caught.value)
    assert told.startswith("x: ")
    assert "x/a" not in told
    assert not any(letter.isdigit() for letter in told.replace(f"{share:g}", "", 1))
    assert not (tmp_path / "data" / "private" / "verdicts" / "x" / "a.parquet").exists()


def test_just_enough_ordinary_rows(tmp_path):
    assert len(covered(tmp_path, ordinary(9)).with_reason(Reason.COVER)) == 9


def test_cover_hangs_on_salt_and_shard_alone(tmp_path):
    rows = ordinary(200)
    first = covered(tmp_path / "1", rows)
    (salt,) = (first.root / "private").glob("salt")
    for name, with_salt in (("2", salt.read_bytes()), ("3", None)):
        second = Dataset(tmp_path / name / "data", {"x/a": [LISTED, *rows], "x/b": ordinary(50, "b")}, share=0.1)
        second.list_images("images", LISTED)
        if with_salt:
            (second.root / "private").mkdir(parents=True)
            (second.root / "private" / "salt").write_bytes(with_salt)
        second.settle()
        assert (second.with_reason(Reason.COVER) == first.with_reason(Reason.COVER)) == bool(with_salt)


def test_ranks_differ_by_salt_and_shard_and_a_longer_shard_begins_alike():
    ranked = [cover.ranks(salt, shard, 1000).tolist() for salt in (b"1", b"2") for shard in ("a", "b")]
    assert len({rank for each in ranked for rank in each}) == 4000
    assert cover.ranks(b"1", "a", 1500).tolist()[:1000] == ranked[0]
