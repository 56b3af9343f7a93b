"""A listed link is found: whatever the file format, the row group, the shard, the spelling; and no other is."""

import csv
import hashlib
import ipaddress
import json
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from relaion_pipeline.screening.verdicts import Reason
from relaion_pipeline_tests.screening.screened import reasons_by_row, settings_text

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"
PRESS = SHARED_DATA / "lists" / "ut1__press_domains"
CAPTIONS = SHARED_DATA / "shards" / "cc3m_validation.tsv"

LISTED = "https://www.listed.example/Gallery/one%20two/?id=1&size=2"
SPELLINGS = (
    LISTED,
    "http://listed.example/Gallery/one two/?id=1&size=2",
    "HTTPS://WWW.Listed.Example:443/Gallery/./one%20two?id=1&amp;size=2",
    "//listed.example/x/../Gallery/one%20two/?id=1&size=2#top",
)
OTHERS = (
    *(f"https://www.listed.example/Gallery/{number}.jpg" for number in range(6)),
    "https://www.listed.example/gallery/one%20two/?id=1&size=2",
    "https://www.listed.example/Gallery/one%20two/?id=2&size=2",
)

FEEDS = {
    "plain": {"kind": "link"},
    "md5": {"kind": "link-hash", "hash": "md5"},
    "sha1": {"kind": "link-hash", "hash": "sha1"},
    "sha256": {"kind": "link-hash", "hash": "sha256"},
}


def write_shard(path: Path, links: list[str], form: str, row_group: int) -> None:
    rows = [{"url": link, "text": f"text {number}", "punsafe": 0.01} for number, link in enumerate(links)]
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=row_group)
    elif form == "jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    else:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["url", "text", "punsafe"], delimiter="\t" if form == "tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    seed=st.integers(0, 2**32 - 1),
    form=st.sampled_from(["parquet", "csv", "tsv", "jsonl"]),
    row_group=st.integers(1, 5),
    feed=st.sampled_from(sorted(FEEDS)),
    shards=st.integers(1, 3),
)
def test_a_listed_link_is_found_wherever_it_stands(
    tmp_path_factory: pytest.TempPathFactory, seed: int, form: str, row_group: int, feed: str, shards: int
) -> None:
    root = tmp_path_factory.mktemp("recall")
    random = np.random.default_rng(seed)
    expected = set()
    for subset in ("a", "b"):
        (root / subset).mkdir()
        for number in range(shards):
            links = [str(link) for link in random.permutation([*SPELLINGS, *OTHERS])]
            write_shard(root / subset / f"part-{number}.{form}", links, form, row_group)
            expected |= {(subset, f"part-{number}", row) for row, link in enumerate(links) if link in SPELLINGS}
    declared = FEEDS[feed]
    entry = hashlib.new(str(declared["hash"]), LISTED.encode()).hexdigest() if "hash" in declared else LISTED
    (root / "list.txt").write_text(entry + "\n", encoding="utf-8")
    columns = {"columns": "auto"} if form != "tsv" else {"columns": "auto", "has_header": True}
    subsets = {name: {"shards": f"{name}/*.{form}", **columns} for name in ("a", "b")}
    feeds = {feed: {"partner": "P", "version": "1", "files": "list.txt", **declared}}
    table = settings_text(subsets, feeds)
    (root / "relaion.toml").write_text(table, encoding="utf-8")
    found = {place for place, reasons in reasons_by_row(root).items() if Reason.LISTED_LINK in reasons}
    assert found == expected


def test_a_prefix_lists_what_lies_below_it_and_nothing_beside(tmp_path: Path) -> None:
    below = ["http://h.example/a", "https://www.h.example/a/", "http://h.example/a/b?c", "http://H.example/a?q"]
    beside = [
        "http://h.example/ab",
        "http://h.example/A",
        "http://x.h.example/a/b",
        "http://h.example/",
        "http://g.example/a",
    ]
    write_shard(tmp_path / "s.parquet", below + beside, "parquet", 4)
    (tmp_path / "list.txt").write_text("h.example/a\n", encoding="utf-8")
    feed = {"partner": "P", "version": "1", "files": "list.txt", "kind": "prefix"}
    (tmp_path / "relaion.toml").write_text(settings_text({"s": {"shards": "s.parquet"}}, {"f": feed}), encoding="utf-8")
    found = {row for (_, _, row), reasons in reasons_by_row(tmp_path).items() if Reason.LISTED_PREFIX in reasons}
    assert found == set(range(len(below)))


@pytest.mark.skipif(not PRESS.exists(), reason="the real lists and shards are not beside the checkout")
def test_press_domains_in_real_captions(tmp_path: Path) -> None:
    """The count equals that of a plain implementation: label boundaries by hand, hosts by the standard library."""
    listed = set(PRESS.read_text(encoding="utf-8").split())
    with CAPTIONS.open(encoding="utf-8", newline="") as file:
        links = [line.rstrip("\n").split("\t")[1] for line in file]
    expected = set()
    for row, link in enumerate(links):
        host = (urlsplit(link).hostname or "").rstrip(".")
        labels = host.split(".")
        above = [host] if _is_address(host) else [".".join(labels[start:]) for start in range(len(labels) - 1)]
        if listed.intersection(above):
            expected.add(row)
    scores = pa.table({"punsafe": pa.array([0.01] * len(links))})
    pq.write_table(scores, tmp_path / "cc3m_validation.parquet")
    subset = {"shards": str(CAPTIONS.resolve()), "scores": "cc3m_validation.parquet", "columns": "cc3m"}
    feed = {"partner": "UT1", "version": "1", "files": "press", "kind": "domain"}
    (tmp_path / "press").write_bytes(PRESS.read_bytes())
    (tmp_path / "relaion.toml").write_text(settings_text({"cc3m": subset}, {"press": feed}), encoding="utf-8")
    found = {row for (_, _, row), reasons in reasons_by_row(tmp_path).items() if Reason.LISTED_DOMAIN in reasons}
    print(f"{len(found):,} of {len(links):,} captions link to one of {len(listed):,} listed press domains")
    assert found == expected
    assert len(found) > 100


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
