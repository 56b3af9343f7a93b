"""Verdicts: bits, counts, files."""

import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.screening import verdicts
from relaion_pipeline.screening.verdicts import BIT, Counts, Header, Reason


def table(*rows: tuple[int, tuple[Reason, ...], list[str]]) -> pa.Table:
    return pa.table(
        {
            "row": [row for row, _, _ in rows],
            "reasons": [sum(BIT[reason] for reason in reasons) for _, reasons, _ in rows],
            "feeds": [feeds for _, _, feeds in rows],
            "forms": [[] for _ in rows],
            "link_key": [row * 7 for row, _, _ in rows],
            "row_key": [row * 9 for row, _, _ in rows],
        },
        schema=verdicts.VERDICTS,
    )


TABLE = table(
    (0, (Reason.LISTED_IMAGE, Reason.LISTED_LINK, Reason.UNSAFE), ["a", "b"]),
    (1, (Reason.LISTED_LINK,), ["b"]),
    (4, (Reason.UNSAFE, Reason.UNSAFE_KEYWORD), []),
    (5, (Reason.UNSAFE,), []),
    (6, (Reason.NO_SCORE,), []),
    (9, (Reason.NO_LINK, Reason.NO_SCORE), []),
    (11, (Reason.SAME_LINK,), ["a"]),  # the list names another row
)


def test_every_row_counts_once_by_its_first_reason():
    counts = verdicts.count(TABLE, rows=20, not_screened_by_image=3)
    assert {reason: rows for reason, rows in counts.removed.items() if rows} == {
        "listed_image": 1,
        "listed_link": 1,
        "no_link": 1,
        "unsafe_keyword": 1,
        "unsafe": 1,
        "no_score": 1,
        "same_link": 1,
    }
    assert set(counts.removed) == set(Reason)
    assert sum(counts.removed.values()) == len(TABLE)
    assert counts.kept == {"research": 20 - 5, "research-safe": 20 - 7}
    assert counts.listed == 2
    assert counts.listed_by_feed == {"a": 1, "b": 2}
    assert counts.not_screened_by_image == 3


def test_no_verdicts():
    counts = verdicts.count(table(), rows=5, not_screened_by_image=0)
    assert counts.kept == {"research": 5, "research-safe": 5}
    assert counts.listed_by_feed == {}
    assert (verdicts.no_rows(["b", "a"]) + counts).listed_by_feed == {"a": 0, "b": 0}
    assert not any(counts.removed.values())


def test_only_scores_leave_a_row_in_research():
    """Everything that is not a matter of the score removes a row from both editions."""
    for reason in Reason:
        removed = bool(BIT[reason] & verdicts.RESEARCH_BITS)
        assert removed == (reason not in {Reason.UNSAFE, Reason.NO_SCORE, Reason.UNSAFE_BEFORE})
    assert len({*BIT.values()}) == len(Reason)
    assert all(bit.bit_count() == 1 and bit < 2**16 for bit in BIT.values())


def test_counts_add_up():
    one = verdicts.count(TABLE, 20, 3)
    both = one + one + Counts()
    assert both.rows == 40
    assert both.kept == {"research": 30, "research-safe": 26}
    assert both.listed_by_feed == {"a": 2, "b": 4}
    assert (one + Counts(listed_by_feed={"z": 1})).listed_by_feed == {"a": 1, "b": 2, "z": 1}


def test_a_file_says_what_it_is(tmp_path):
    header = Header("key", "source", "rows", "hidden", "effect", verdicts.count(TABLE, 10, 3))
    path = tmp_path / "private" / "verdicts" / "one.parquet"
    verdicts.write(path, TABLE, header)
    assert verdicts.read_header(path) == header
    rows, bits = verdicts.read_rows(path)
    assert rows.tolist() == [0, 1, 4, 5, 6, 9, 11]
    assert bits.tolist() == TABLE["reasons"].to_pylist()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [None, b"", b"PAR1", "parquet"])
def test_a_file_that_is_none_has_no_header(tmp_path, content):
    path = tmp_path / "one.parquet"
    if content == "parquet":
        pq.write_table(TABLE, path)
    elif content is not None:
        path.write_bytes(content)
    assert verdicts.read_header(path) is None
