"""Planted truth: exactly the rows that must go are gone, for the reasons and feeds that the answer sheet names."""

import json
import subprocess
from collections import Counter
from pathlib import Path

import jsonschema
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import sample
from relaion_pipeline.screening.verdicts import Reason
from relaion_pipeline_tests.end_to_end import rules, shared
from relaion_pipeline_tests.end_to_end.shared import EDITIONS


def assert_editions_are_right(
    data_root: Path, listed: dict[str, set[shared.Row]], columns: tuple[str, ...] = ("URL", "TEXT", "punsafe", "md5")
) -> None:
    """Hold every published row against the source, plain Python's rules and `listed` (feed -> rows).

    `columns` are the source's names of link, text, score and image hash. Source, research and research-safe are
    compared value for value and in order, so that a row too many, too few, altered or moved is found.
    """
    words = rules.keywords(data_root / "keywords.txt")
    union = set().union(*listed.values())
    images = set().union(*(rows for feed, rows in listed.items() if "image" in feed))
    recurring = links_of(data_root, images, columns[0])
    kept = {edition: Counter() for edition in EDITIONS}
    rows_of = Counter()
    for subset, stem, table in shared.sources(data_root):
        rows_of[subset] += len(table)
        from_research, from_safe = np.zeros(len(table), bool), np.zeros(len(table), bool)
        covering = shared.rows_with_reason(data_root, subset, stem, Reason.COVER)
        same_link = shared.rows_with_reason(data_root, subset, stem, Reason.SAME_LINK)
        picked = zip(*(table[name].to_pylist() for name in columns), strict=True)
        for row, (its_link, its_text, its_score, its_md5) in enumerate(picked):
            from_research[row] = (
                (subset, stem, row) in union
                or rules.leaves_research(its_score, its_text, words)
                or rules.without_link(its_link)
                or rules.unreadable(its_md5)
            )
            recurs = its_link in recurring and (subset, stem, row) not in union
            assert recurs == (row in same_link)
            assert not (from_research[row] and row in covering), "cover is of ordinary rows"
            from_research[row] |= recurs or row in covering
            from_safe[row] = from_research[row] or rules.leaves_research_safe(its_score)
        in_safe, shared_part, extra = shared.published(data_root, subset, stem)
        assert shared.same_rows(in_safe, table.filter(pa.array(~from_safe)))
        assert shared.same_rows(shared_part, in_safe)
        assert shared.same_rows(extra, table.filter(pa.array(from_safe & ~from_research)))
        kept["research-safe"][subset] += len(in_safe)
        kept["research"][subset] += len(shared_part) + len(extra)

    described = shared.manifest(data_root)
    for subset, counts in described["subsets"].items():
        by_feed = {feed: sum(row[0] == subset for row in rows) for feed, rows in listed.items()}
        assert counts["listed_by_feed"] == by_feed
        assert counts["listed"] == sum(row[0] == subset for row in union)
        assert counts["kept"] == {edition: kept[edition][subset] for edition in EDITIONS}
        assert counts["rows"] == rows_of[subset] == counts["kept"]["research-safe"] + sum(counts["removed"].values())
        only_safe = counts["removed"]["unsafe"] + counts["removed"]["no_score"]
        assert counts["kept"]["research"] == counts["kept"]["research-safe"] + only_safe
    total = described["total"]
    assert total["listed"] == len(union)
    assert total["listed_by_feed"] == {feed: len(rows) for feed, rows in listed.items()}
    assert total["rows"] == sum(rows_of.values())
    assert_verdicts_are_right(data_root, listed)


def links_of(data_root: Path, rows: set[shared.Row], column: str) -> set[str | None]:
    return {
        link
        for subset, stem, table in shared.sources(data_root)
        for row, link in enumerate(table[column].to_pylist())
        if (subset, stem, row) in rows
    }


def assert_verdicts_are_right(data_root: Path, listed: dict[str, set[shared.Row]]) -> None:
    named: dict[str, set[shared.Row]] = {feed: set() for feed in listed}
    by_feed, rows = Counter(), 0
    for path in sorted((data_root / "private" / "verdicts").glob("*/*.parquet")):
        feeds, header = shared.verdicts(data_root, path.parent.name, path.stem)
        for row, names in feeds.items():
            for name in names:
                named[name].add((path.parent.name, path.stem, row))
        by_feed.update(header["counts"]["listed_by_feed"])
        rows += header["counts"]["rows"]
    assert named == listed
    assert by_feed == {feed: len(found) for feed, found in listed.items()}
    assert rows == shared.manifest(data_root)["total"]["rows"]


def test_planted_rows_and_no_others_are_gone(released):
    truth = shared.truth(released.truth)
    assert {feed: len(rows) for feed, rows in truth.items()} == {
        feed: sum(by_subset.values()) for feed, by_subset in released.matches.items()
    }
    assert_editions_are_right(released.data_root, truth)


@pytest.mark.parametrize("size", [20_000, pytest.param(300_000, marks=pytest.mark.slow)])
def test_lists_that_spell_links_otherwise_find_the_same_rows(tmp_path, size):
    made = sample.generate(tmp_path / "data", rows=size, seed=7, respelled=0.7)
    assert shared.release(made.data_root).exit_code == 0
    assert_editions_are_right(made.data_root, shared.truth(made.truth))


@pytest.mark.slow
def test_planted_rows_of_300_000(tmp_path):
    made = sample.generate(tmp_path / "data", rows=300_000, seed=11)
    assert shared.release(made.data_root).exit_code == 0
    assert_editions_are_right(made.data_root, shared.truth(made.truth))
    assert shared.verify(made.data_root).exit_code == 0


ODD_HASHES = ["", "x", "0" * 31, "g" * 32, "0x" + "1" * 30, "1_" + "1" * 30, " " + "b" * 31, "b" * 31 + "\n", "A" * 32]


def test_scores_that_are_none_and_hashes_that_are_none(tmp_path):
    """The sample's scores are null or good. Here: not a number, infinite, out of range, exact thresholds."""
    made = sample.generate(tmp_path / "data", rows=3_000, seed=5, shards=1)
    listed = shared.truth(made.truth)
    taken = {row for rows in listed.values() for row in rows}
    odd = [float("nan"), float("inf"), -float("inf"), -0.01, 1.01, 2.0, 0.0, 1.0, 0.45, 0.95, None]
    odd += [float(np.nextafter(np.float32(edge), np.float32(1))) for edge in (0.45, 0.95)]
    for subset, stem, table in shared.sources(made.data_root):
        scores, texts = table["punsafe"].to_pylist(), table["TEXT"].to_pylist()
        links, hashes = table["URL"].to_pylist(), table["md5"].to_pylist()
        free = [row for row in range(len(table)) if (subset, stem, row) not in taken]
        for at, row in enumerate(free[: 4 * len(odd)]):
            scores[row], texts[row] = odd[at % len(odd)], "LINGERIE" if at % 2 else "plain"
        for row, value in zip(
            free[100:], ["", "x", "0" * 31, "g" * 32, "0x" + "1" * 30, "A" * 32, " " + "b" * 31], strict=False
        ):
            hashes[row] = value
        for row, value in zip(free[200:], ["", "   ", None], strict=False):
            links[row] = value
        changed = {"punsafe": scores, "TEXT": texts, "URL": links, "md5": hashes}
        for name, values in changed.items():
            at = table.schema.get_field_index(name)
            table = table.set_column(at, table.schema.field(name), pa.array(values, table.schema.field(name).type))  # noqa: PLW2901
        pq.write_table(table, made.data_root / "raw" / subset / f"{stem}.parquet")
    outcome = shared.release(made.data_root)
    assert outcome.exit_code == 0, outcome.output
    assert_editions_are_right(made.data_root, listed)


def test_rows_without_image_hash_are_counted(released):
    missing = Counter()
    for subset, _, table in shared.sources(released.data_root):
        missing[subset] += table["md5"].null_count
    described = shared.manifest(released.data_root)
    assert {name: counts["not_screened_by_image"] for name, counts in described["subsets"].items()} == missing
    assert described["total"]["not_screened_by_image"] == missing.total()


def test_sha256sum_accepts_the_checksums(released):
    folder = shared.current(released.data_root)
    command = ["sha256sum", "-c", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {
        "SHA256SUMS",
        "SHA256SUMS.sig",
    }
    assert {line.removesuffix(": OK") for line in done.stdout.splitlines()} == files


def test_manifest_is_of_its_published_schema(released):
    folder = shared.current(released.data_root)
    schema = json.loads((folder / "manifest.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    described = shared.manifest(released.data_root)
    assert list(validator.iter_errors(described)) == []
    assert described["release"] == folder.name == shared.VERSION
    for broken in (
        described | {"surprise": 1},
        {key: value for key, value in described.items() if key != "proof"},
        described | {"files": [described["files"][0] | {"sha256": "no digest"}]},
    ):
        assert list(validator.iter_errors(broken))


def test_editions_share_their_bytes(released):
    folder = shared.current(released.data_root)
    safe = sorted((folder / "research-safe").rglob("*.parquet"))
    assert len(safe) == released.shards
    for path in safe:
        twin = folder / "research" / path.relative_to(folder / "research-safe")
        assert path.stat().st_ino == twin.stat().st_ino
    assert len(list((folder / "research").rglob("*.parquet"))) == 2 * released.shards
