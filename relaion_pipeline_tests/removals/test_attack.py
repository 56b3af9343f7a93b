"""An attack on the lists: an outsider with the source, the lists and the manifest guesses which rows are listed.

Each guesser ranks the removed rows of research and names as many as are listed. Success is the share of right
guesses; who guesses blindly has the base rate.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt
from urllib.parse import urlsplit

import pyarrow.parquet as pq
import pytest

from relaion_pipeline import sample
from relaion_pipeline_tests.end_to_end import rules, shared
from relaion_pipeline_tests.removals.test_lists import reference


@dataclass(frozen=True)
class Removed:
    place: int  # in the list
    key: int
    shard: str
    row: int
    host: str
    score: float
    text: int
    listed: bool
    explained: bool  # by a rule that is public


@pytest.fixture(scope="module")
def removed(released: sample.SampleSummary) -> list[Removed]:
    """Every row that the list names, found in the source as any holder can."""
    path = shared.current(released.data_root) / "removals" / "research" / "rows.parquet"
    code = reference()
    salt, _ = code["read"](path)
    places = {key: place for place, key in enumerate(pq.read_table(path)["key"].to_pylist())}
    truth = set().union(*shared.truth(released.truth).values())
    words = rules.keywords(released.data_root / "keywords.txt")
    found = []
    for subset, stem, table in shared.sources(released.data_root):
        for row, (link, text, score) in enumerate(
            zip(*(table[name].to_pylist() for name in ("URL", "TEXT", "punsafe")), strict=True)
        ):
            key = code["key"](salt, link, text, kind="R")
            if key in places:
                listed = (subset, stem, row) in truth
                host = urlsplit(link or "").netloc
                explained = not link or ((score or 0) > 0.95 and rules.has_keyword(text, words))
                length, shard = len(text or ""), f"{subset}/{stem}"
                found.append(Removed(places[key], key, shard, row, host, score or 0, length, listed, explained))
    return found


def success(removed: list[Removed], ranked: list[Removed]) -> float:
    listed = sum(each.listed for each in removed)
    return sum(each.listed for each in ranked[:listed]) / listed


def guesses(removed: list[Removed]) -> dict[str, list[Removed]]:
    hosts, shards = Counter(each.host for each in removed), Counter(each.shard for each in removed)
    by_list = sorted(removed, key=lambda each: each.place)
    gaps = {b.key: b.key - a.key for a, b in pairwise(by_list)}
    return {
        "first in the list": by_list,
        "last in the list": by_list[::-1],
        "every other in the list": by_list[::2] + by_list[1::2],
        "widest gap before": sorted(removed, key=lambda each: -gaps.get(each.key, 0)),
        "lowest byte of the key": sorted(removed, key=lambda each: each.key & 0xFF),
        "first in their shard": sorted(removed, key=lambda each: each.row),
        "shard that loses most": sorted(removed, key=lambda each: -shards[each.shard]),
        "shard that loses least": sorted(removed, key=lambda each: shards[each.shard]),
        "commonest host": sorted(removed, key=lambda each: (-hosts[each.host], each.key)),
        "rarest host": sorted(removed, key=lambda each: (hosts[each.host], each.key)),
        "host by name": sorted(removed, key=lambda each: each.host),
    }


def test_no_guess_does_better_than_chance(removed: list[Removed], released: sample.SampleSummary) -> None:
    listed = sum(each.listed for each in removed)
    base = listed / len(removed)
    assert listed == shared.manifest(released.data_root)["total"]["listed"]
    rates = {name: success(removed, ranked) for name, ranked in guesses(removed).items()}
    print(f"\nbase rate {base:.3f}, {listed} listed of {len(removed)}")
    for name, rate in rates.items():
        print(f"{rate:.3f}  {name}")
    # Three standard errors, and a little for there being many guessers; the sample is fixed by its seed.
    near = 3.5 * sqrt(base * (1 - base) / listed)
    assert {name: rate for name, rate in rates.items() if abs(rate - base) > near} == {}


def test_who_explains_rows_by_the_rules_guesses_no_better_than_promised(
    removed: list[Removed], released: sample.SampleSummary
) -> None:
    """Rules, scores and keywords are public: what no rule explains is listed, or cover."""
    promised = shared.manifest(released.data_root)["removals"]["max_listed_share"]
    unexplained = [each for each in removed if not each.explained]
    listed = sum(each.listed for each in unexplained)
    assert listed > 50
    print(f"\n{listed} listed of {len(unexplained)} that no rule explains; promised {promised:g}")
    assert listed <= promised * len(unexplained)
    for name, ranked in {
        "lowest score": sorted(unexplained, key=lambda each: each.score),
        "highest score": sorted(unexplained, key=lambda each: -each.score),
        **guesses(unexplained),
    }.items():
        rate = success(unexplained, ranked)
        print(f"{rate:.3f}  {name}")
        assert rate <= 2 * promised, name


def test_nothing_else_is_told(released: sample.SampleSummary) -> None:
    """Of removals, the public files hold keys, counts and the salt."""
    folder = shared.current(released.data_root) / "removals"
    names = {str(path.relative_to(folder)) for path in folder.rglob("*.*")}
    assert names == {f"{edition}/{kind}.parquet" for edition in shared.EDITIONS for kind in ("rows", "links")}
    for each in shared.manifest(released.data_root)["removals"]["lists"]:
        assert set(each) == {"edition", "rows", "row_keys", "link_keys", "kept_alike"}
