"""The index of a shard: it answers for all that screening could match, and asking it finds what reading would."""

import hashlib
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaion_pipeline import links
from relaion_pipeline.database import QueryError
from relaion_pipeline.feeds import keys
from relaion_pipeline.feeds.compiling import PREFIX_HOST
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.links.canonical import without_www
from relaion_pipeline.links.vectorised import SAFE_BROWSING
from relaion_pipeline.screening import index, screen
from relaion_pipeline.screening.index import IMAGE_KINDS, LINK_HASH_KINDS, Question
from relaion_pipeline.screening.verdicts import Reason
from relaion_pipeline_tests.ledger.dataset import Dataset, Row, ordinary
from relaion_pipeline_tests.links.shared import ANY_TEXT, web_links

SALT = bytes(range(32))
CONNECTION = duckdb.connect()
HASHES = {Kind.LINK_MD5: "md5", Kind.LINK_SHA1: "sha1", Kind.LINK_SHA256: "sha256"}


def fingerprint(digest: bytes, kind: str) -> int:
    """Of a list's entry, in Python: by its key, as feeds are compiled."""
    _, low = keys.split(np.frombuffer(digest, np.uint8).reshape(1, -1), kind)
    mark = int.from_bytes(hashlib.sha256(kind.encode()).digest()[:8], "big")
    return (int(low[0]) ^ mark) >> (64 - keys.FINGERPRINT_BITS)


def text_fingerprint(kind: str, text: str) -> int:
    return fingerprint(keys.text_digest(SALT, kind, text), kind)


def spelled(rows: list[dict[str, Any]], asked: frozenset[Question], among: str | None = None) -> set[int]:
    """All fingerprints that the index of `rows` holds for what is `asked`."""
    types = {"link": pa.string(), **{str(kind): pa.string() for kind in IMAGE_KINDS}}
    table = {name: pa.array([row.get(name) for row in rows], kind) for name, kind in types.items()}
    table |= {"file": pa.array([0] * len(rows), pa.int32()), "row": pa.array(range(len(rows)), pa.int64())}
    CONNECTION.register("rows_of_test", pa.table(table))
    index.spell(CONNECTION, "rows_of_test", asked, SALT, with_links=True, among=among)
    found = CONNECTION.execute("SELECT fingerprint FROM spelled UNION SELECT fingerprint FROM spelled_hosts").fetchall()
    return {each for (each,) in found}


LINKS = st.lists(web_links() | ANY_TEXT.filter(lambda text: "\ud800" not in text), min_size=1, max_size=6)


def valid(link: str) -> bool:
    """Whether Parquet can hold it."""
    try:
        link.encode()
    except UnicodeEncodeError:
        return False
    return True


@pytest.mark.parametrize("form", [None, *sorted(links.FORMS), SAFE_BROWSING])
@settings(max_examples=8, deadline=None)
@given(texts=LINKS)
def test_every_spelling_of_a_link_is_in_it(form: str | None, texts: list[str]) -> None:
    texts = [text for text in texts if valid(text)]
    expected = set()
    for kind, function in HASHES.items():
        for text in texts:
            strings = links.expressions(text) if form == SAFE_BROWSING else links.forms(text, form and [form]).values()
            expected |= {fingerprint(hashlib.new(function, each.encode()).digest(), kind) for each in strings}
    found = spelled([{"link": text} for text in texts], frozenset(Question(kind, form or "") for kind in HASHES))
    assert found == expected


@settings(max_examples=40, deadline=None)
@given(texts=LINKS)
def test_every_match_key_and_host_of_a_link_is_in_it(texts: list[str]) -> None:
    texts = [text for text in texts if valid(text)]
    hosts = {host for text in texts if (host := links.host_of(text))}
    expected = {text_fingerprint(Kind.LINK, links.match_key(text)) for text in texts}
    expected |= {text_fingerprint(Kind.DOMAIN, each) for host in hosts for each in links.domain_candidates(host)}
    expected |= {text_fingerprint(PREFIX_HOST, without_www(host)) for host in hosts}
    asked = frozenset(Question(kind) for kind in (Kind.LINK, Kind.DOMAIN, Kind.PREFIX))
    assert spelled([{"link": text} for text in texts], asked) == expected
    # Whatever prefix of a link is listed, its compiled host is that of the link.
    for text in texts:
        for prefix in links.prefix_candidates(text):
            if links.prefix_key(prefix) == prefix and (host := links.host_of(prefix)):
                assert text_fingerprint(PREFIX_HOST, without_www(host)) in expected


@given(st.binary(min_size=32, max_size=32), st.sampled_from([str.lower, str.upper, lambda text: f" {text} "]))
def test_every_image_hash_is_in_it(digest: bytes, written: Any) -> None:
    sizes = {Kind.IMAGE_MD5: 16, Kind.IMAGE_SHA1: 20, Kind.IMAGE_SHA256: 32}
    row = {str(kind): written(digest[:size].hex()) for kind, size in sizes.items()}
    found = spelled([row], frozenset(map(Question, sizes)))
    assert found == {fingerprint(digest[:size], kind) for kind, size in sizes.items()}


@settings(max_examples=20, deadline=None)
@given(texts=LINKS, chosen=st.integers(1, 7))
def test_only_spellings_that_are_sought_can_be_had(texts: list[str], chosen: int) -> None:
    rows = [{"link": text, "image_md5": hashlib.md5(text.encode()).hexdigest()} for text in filter(valid, texts)]
    asked = frozenset(map(Question, (Kind.IMAGE_MD5, Kind.LINK_MD5, Kind.LINK, Kind.DOMAIN, Kind.PREFIX)))
    sought = sorted(spelled(rows, asked))[::chosen]
    CONNECTION.register("sought", pa.table({"fingerprint": pa.array([None, 1, *sought], pa.uint64())}))
    assert spelled(rows, asked, "sought") == set(sought)


def test_rows_without_anything_are_spelled_as_nothing() -> None:
    asked = frozenset(map(Question, (*IMAGE_KINDS, *LINK_HASH_KINDS, Kind.LINK, Kind.DOMAIN, Kind.PREFIX)))
    assert spelled([{"link": None, "image_md5": "no hash", "image_sha1": ""}], asked) == set()


# The files

ROWS = [*ordinary(50), Row("https://one.example/a/1.jpg"), Row("https://one.example/b/2.jpg")]
FIRST, SECOND = ROWS[-2:]


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    made = Dataset(tmp_path / "data", {"x/a": ROWS[:30], "x/b": ROWS[30:], "y/c": ordinary(20, "c")})
    made.list_images("images", ROWS[0])
    made.list_links("links", ROWS[1])
    return made


def stored(dataset: Dataset, name: str, what: str) -> list[list[int]]:
    """The runs of an index's file."""
    file = pq.ParquetFile(dataset.root / "private" / "index" / f"{name}.{what}.parquet")
    return [file.read_row_group(number).column(0).to_pylist() for number in range(file.num_row_groups)]


@pytest.mark.parametrize("rows", [7, 1000])
def test_runs_are_sorted_and_hold_all(dataset, rows, monkeypatch):
    dataset.settle()
    kinds = ("images", "spellings")
    whole = {(name, kind): stored(dataset, name, kind) for name in dataset.shards for kind in kinds}
    found = dataset.reasons()
    for path in (dataset.root / "private" / "index").rglob("*.json"):
        path.unlink()
    for path in (dataset.root / "private" / "findings").rglob("*.json"):
        path.unlink()
    monkeypatch.setattr(index, "RUN_ROWS", rows)
    dataset.settle()
    assert dataset.reasons() == found
    for name, shard in dataset.shards.items():
        of_links = stored(dataset, name, "links")
        assert all(run == sorted(run) for run in of_links)
        assert sum(map(len, of_links)) == len(shard)
        for kind in kinds:
            fingerprints = stored(dataset, name, kind)
            assert len(fingerprints) == len(of_links) == -(-len(shard) // rows)
            assert all(run == sorted(set(run)) for run in fingerprints)
            assert set().union(*fingerprints) == set().union(*whole[name, kind])


def test_a_list_of_images_is_asked_of_images_alone(dataset, read_shards):
    dataset.settle()
    for path in (dataset.root / "private" / "index").rglob("*.spellings.parquet"):
        path.write_bytes(b"cannot be read")
    read_shards.clear()
    dataset.feeds["images"]["entries"] += ["0123456789abcdef" * 2]  # in no row
    dataset.settle()
    assert read_shards == []
    dataset.list_images("images", ROWS[0], FIRST)
    dataset.settle()
    assert read_shards == ["x/b"]
    assert dataset.with_reason(Reason.LISTED_IMAGE) == dataset.places([ROWS[0], FIRST])
    dataset.list_links("links", ROWS[1], SECOND)
    with pytest.raises(QueryError):
        dataset.settle()


@pytest.fixture
def read_shards(monkeypatch) -> list[str]:
    """Names of the shards that screening reads, as it goes."""
    read, found = screen.Screener._read, []

    def noting(self, connection, together, feeds):
        found.extend(f"{shard.subset}/{shard.stem}" for shard, _ in together)
        read(self, connection, together, feeds)

    monkeypatch.setattr(screen.Screener, "_read", noting)
    return found


def listing(row: Row, how: str) -> dict[str, Any]:
    return {
        "image": {"kind": "image", "hash": "md5", "entries": [row.md5]},
        "link": {"kind": "link", "entries": [row.url.replace("https", "HTTP")]},
        "md5": {"kind": "link-hash", "hash": "md5", "entries": [hashlib.md5(row.url.encode()).hexdigest()]},
        "sha1": {"kind": "link-hash", "hash": "sha1", "entries": [hashlib.sha1(row.url.encode()).hexdigest()]},
        "domain": {"kind": "domain", "entries": ["one.example"]},
        "prefix": {"kind": "prefix", "entries": ["one.example/a"]},
    }[how]


HOW = ["image", "link", "md5", "sha1", "domain", "prefix"]


@pytest.mark.parametrize("how", HOW)
def test_asking_reads_just_the_shards_that_a_change_concerns(dataset, how, read_shards):
    """First with a list of this kind that names nothing, so that the index answers; then it comes, and goes."""
    dataset.feeds["new"] = listing(Row("https://elsewhere.example/x.jpg"), how)
    dataset.feeds["new"]["entries"] = [entry.replace("one.", "elsewhere.") for entry in dataset.feeds["new"]["entries"]]
    dataset.settle()
    assert set(read_shards) == dataset.shards.keys()
    before = dataset.reasons()
    read_shards.clear()
    dataset.feeds["new"] = listing(FIRST, how)
    dataset.settle()
    assert read_shards == ["x/b"]
    new = {place: reasons for place, reasons in dataset.reasons().items() if place not in before}
    reason = {"image": Reason.LISTED_IMAGE, "domain": Reason.LISTED_DOMAIN, "prefix": Reason.LISTED_PREFIX}
    rows = [FIRST, SECOND] if how == "domain" else [FIRST]
    assert new == {place: {reason.get(how, Reason.LISTED_LINK)} for place in dataset.places(rows)}
    read_shards.clear()
    del dataset.feeds["new"]
    dataset.settle()
    assert read_shards == ["x/b"]
    assert dataset.reasons() == before
    read_shards.clear()
    dataset.feeds["images"]["entries"] += ["0123456789abcdef" * 2]  # in no row
    dataset.settle()
    assert read_shards == []


def test_a_changed_prefix_of_the_same_host_is_noticed(dataset, read_shards):
    """Its host's fingerprint stays; its own mark does not."""
    dataset.feeds["new"] = {"kind": "prefix", "entries": ["one.example/a"]}
    dataset.settle()
    assert dataset.with_reason(Reason.LISTED_PREFIX) == dataset.places([FIRST])
    read_shards.clear()
    dataset.feeds["new"]["entries"] = ["one.example/b"]
    dataset.settle()
    assert read_shards == ["x/b"]
    assert dataset.with_reason(Reason.LISTED_PREFIX) == dataset.places([SECOND])


def test_another_form_of_a_list_is_noticed(dataset, read_shards):
    """The index holds the spelling for another feed's sake, and does not tell spellings apart."""
    wanted = Row("HTTPS://one.example/%61/odd.jpg")
    names = sorted(name for name in links.FORMS if name in links.forms(wanted.url, [name]))
    texts = {name: links.forms(wanted.url, [name])[name] for name in names}
    form = names[0]
    other = next(name for name in names if texts[name] != texts[form])
    digest = hashlib.md5(texts[other].encode()).hexdigest()
    dataset.shards["x/a"] = [*dataset.shards["x/a"], wanted]
    for name, declared in (("one", form), ("two", other)):
        dataset.feeds[name] = {"kind": "link-hash", "hash": "md5", "link_form": declared, "entries": []}
    dataset.feeds["one"]["entries"] = [digest]
    dataset.settle()
    assert dataset.with_reason(Reason.LISTED_LINK) == dataset.places([ROWS[1]])
    read_shards.clear()
    dataset.feeds["one"]["link_form"] = other
    dataset.settle()
    assert read_shards == ["x/a"]
    assert dataset.with_reason(Reason.LISTED_LINK) == dataset.places([ROWS[1], wanted])


def test_a_kind_or_form_that_the_index_lacks_makes_it_anew(dataset, read_shards):
    dataset.settle()
    for feed in ("sha1", "domain"):
        read_shards.clear()
        dataset.feeds[feed] = listing(FIRST, feed)
        dataset.settle()
        assert set(read_shards) == dataset.shards.keys()
    inputs = dataset.inputs()
    found = index.read(DataRoot.at(dataset.root), inputs.shards[0], (dataset.root / "private" / "salt").read_bytes())
    assert found is not None
    assert {question.kind for question in found.questions} == {"image_md5", "link", "link_sha1", "domain"}
    assert found.bytes == sum(
        path.stat().st_size for path in (dataset.root / "private" / "index" / "x").glob("a.*.parquet")
    )


def test_lists_that_a_subset_cannot_answer_are_counted_when_they_come(dataset):
    """No row is screened by them, whether or not the shard is read again."""
    dataset.settle()
    dataset.feeds["sha256"] = {"kind": "image", "hash": "sha256", "entries": ["0" * 63 + "1"]}
    dataset.waivers = [
        {"kind": "unanswerable-feed", "feed": "sha256", "subset": subset, "reason": "none", "by": "me"}
        for subset in ("x", "y")
    ]
    settler = dataset.settle()
    counts = settler.counts_by_subset(dataset.inputs().shards)
    assert {name: each.not_screened_by_image for name, each in counts.items()} == {"x": 52, "y": 20}


def test_a_shard_that_changed_is_read_and_indexed_anew(dataset, read_shards):
    dataset.settle()
    read_shards.clear()
    dataset.shards["x/a"] = [*dataset.shards["x/a"], *ordinary(3, "more")]
    dataset.settle()
    assert read_shards == ["x/a"]
    assert sum(map(len, stored(dataset, "x/a", "links"))) == 33
