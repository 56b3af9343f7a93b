"""Files that have only lost rows are verified on what was proved before; whatever does not fit is proved whole.

What is planted must be found on either way, and either way must find the same.
"""

import copy
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from relaion_pipeline.layout import PRIVATE_FILE_MODE, DataRoot
from relaion_pipeline.screening.verdicts import BIT, Reason
from relaion_pipeline.shards import digests
from relaion_pipeline.verification import evidence, indexes, listed, verifier
from relaion_pipeline.verification.evidence import Evidence
from relaion_pipeline.verification.gate import CHECKS
from relaion_pipeline.verification.verifier import Published, Verifier
from relaion_pipeline_tests.ledger.dataset import Dataset, Row, md5, ordinary

LISTED = Row("https://one.example/listed.jpg")
UNSAFE = Row("https://one.example/unsafe.jpg", "nsfw", 0.99)
HARDLY_SAFE = Row("https://one.example/hardly.jpg", "a text", 0.6)
MASKED = Row("https://two.example/masked.jpg")
SAME_LINK = Row(MASKED.url, "again", image="another image")
KINDS: dict[str, Callable[[Row], str]] = {
    "images": lambda row: row.md5,
    "hashed": lambda row: md5(row.url),
    "link": lambda row: row.url,
    "prefix": lambda row: row.url.rpartition("/")[0] + "/",
    "domain": lambda row: row.url.split("/")[2],
}
"""Feed -> its entry for a row."""
LEFT = {feed: Row(f"https://left-{feed}.example/folder/1.jpg") for feed in KINDS}
GONE = {feed: Row(f"https://gone-{feed}.example/folder/1.jpg") for feed in KINDS}
A, B = "x/a", "x/b"


@pytest.fixture(scope="module")
def verified(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two shards and a list of each kind, verified."""
    made = Dataset(
        tmp_path_factory.mktemp("standing") / "data",
        {
            A: [LISTED, UNSAFE, HARDLY_SAFE, *ordinary(40, "a"), SAME_LINK],
            B: [*ordinary(30, "b"), MASKED, *LEFT.values(), *GONE.values()],
        },
    )
    made.list_images("images", LISTED)
    for kind in ("link", "domain", "prefix"):
        made.feeds[kind] = {"kind": kind, "entries": []}
    made.feeds["hashed"] = {"kind": "link-hash", "hash": "md5", "entries": []}
    made.settle()
    assert_clean(keep(made))
    return made


@pytest.fixture
def dataset(verified: Dataset, tmp_path: Path) -> Dataset:
    shutil.copytree(verified.root, tmp_path / "data")
    return replace(verified, root=tmp_path / "data", feeds=copy.deepcopy(verified.feeds))


@pytest.fixture
def whole(dataset: Dataset, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of shards that are proved whole from here on."""
    proved: list[str] = []
    plain = Verifier._prove_whole

    def prove_whole(self: Verifier, connection: Any, published: list[Published], digests: Any) -> Any:
        proved.extend(f"{files.shard.subset}/{files.shard.stem}" for files in published)
        return plain(self, connection, published, digests)

    monkeypatch.setattr(Verifier, "_prove_whole", prove_whole)
    return proved


def keep(dataset: Dataset) -> dict[str, Evidence]:
    return {f"{each.subset}/{each.stem}": each for each in dataset.verifier().keep(dataset.staged())}


def broken(found: Evidence) -> dict[str, int]:
    """Checks' columns that are not 0."""
    return {check.column: count for check in CHECKS if (count := getattr(found, check.column))}


def assert_clean(found: dict[str, Evidence]) -> None:
    assert not any(map(broken, found.values()))


def number(dataset: Dataset, name: str, row: Row) -> int:
    return dataset.shards[name].index(row)


def forge(dataset: Dataset, name: str, change: Callable[[pa.Table], pa.Table]) -> None:
    """Let `change` rewrite a shard's verdicts; what they say of themselves stays."""
    path = dataset.root / "private" / "verdicts" / f"{name}.parquet"
    table = pq.read_table(path)
    pq.write_table(change(table).replace_schema_metadata(table.schema.metadata), path)


def without(row: int) -> Callable[[pa.Table], pa.Table]:
    return lambda table: table.filter(pc.not_equal(table["row"], row))


def alike(short: Evidence, long: Evidence) -> bool:
    """Whether two proofs found the same; an earlier one may know of more that the index answers."""
    return set(short.questions) >= set(long.questions) and replace(short, questions=long.questions) == long


def test_a_shard_that_only_lost_rows_is_not_proved_whole(dataset: Dataset, whole: list[str]) -> None:
    gone = dataset.shards[A][10]
    dataset.list_images("new", gone)
    dataset.settle()
    found = keep(dataset)
    assert whole == []
    assert_clean(found)
    assert found[A].removed_rows == 3
    assert found[B].removed_rows == 0
    assert gone.url not in pq.read_table(dataset.root / "private/staged/x/a.safe.parquet")["url"].to_pylist()
    assert all(alike(found[f"x/{each.stem}"], each) for each in dataset.verifier().verify(dataset.staged()))
    assert sorted(whole) == [A, B], "without earlier evidence all is proved"
    dataset.list_images("newer", dataset.shards[A][11])
    dataset.settle()
    whole.clear()
    assert_clean(keep(dataset))
    assert whole == [], "what was not proved whole can be built on"


def test_rows_of_new_entries_that_are_left_are_found(dataset: Dataset, whole: list[str]) -> None:
    """Of two rows that each kind of list names newly, one is taken out of the verdicts, and so it is in the files."""
    for feed, entry in KINDS.items():
        dataset.feeds[feed]["entries"] = [*dataset.feeds[feed]["entries"], entry(LEFT[feed]), entry(GONE[feed])]
    dataset.settle()
    for row in LEFT.values():
        forge(dataset, B, without(number(dataset, B, row)))
    found = keep(dataset)
    assert whole == []
    assert found[B].removed_rows == len(KINDS)
    assert broken(found[B]) == {"listed_in_research": len(KINDS), "listed_in_research_safe": len(KINDS)}
    assert not broken(found[A])
    keep(dataset)
    assert whole == [B], "a proof that found something is nothing to build on"


def test_an_entry_of_an_unchanged_file_is_found(dataset: Dataset, whole: list[str]) -> None:
    """Verdicts that overlook a new list altogether leave the files as they were."""
    dataset.list_images("new", dataset.shards[A][10])
    dataset.settle()
    forge(dataset, A, without(10))
    assert keep(dataset)[A].listed_in_research == 1
    assert whole == []


def test_an_entry_that_is_read_as_another_spelling_is_a_new_one(dataset: Dataset, whole: list[str]) -> None:
    """What it can name changes with the form, and what the index knows of it does not."""
    row = dataset.shards[A][10]
    dataset.feeds["hashed"]["entries"] = [md5(row.url.removeprefix("https://"))]
    dataset.feeds["hashed"]["link_form"] = "exact"
    dataset.feeds["other"] = {"kind": "link-hash", "hash": "md5", "entries": []}
    dataset.settle()
    assert_clean(keep(dataset))
    whole.clear()
    del dataset.feeds["hashed"]["link_form"]
    dataset.settle()
    forge(dataset, A, without(10))
    assert broken(keep(dataset)[A]).get("listed_in_research") == 1
    assert whole == []


@pytest.mark.parametrize("row", [LISTED, UNSAFE, HARDLY_SAFE])
def test_a_row_that_comes_back_has_its_shard_proved_whole(dataset: Dataset, whole: list[str], row: Row) -> None:
    dataset.list_images("new", dataset.shards[A][10])
    dataset.settle()
    forge(dataset, A, without(number(dataset, A, row)))
    found = keep(dataset)
    assert whole == [A]
    columns = {LISTED: "listed_in_research", UNSAFE: "unsafe_in_research", HARDLY_SAFE: "unsafe_in_research_safe"}
    assert getattr(found[A], columns[row]) == 1


def test_a_row_that_comes_back_to_research_alone_has_its_shard_proved_whole(dataset: Dataset, whole: list[str]) -> None:
    dataset.list_images("new", dataset.shards[A][10])
    dataset.settle()

    def only_unsafe(table: pa.Table) -> pa.Table:
        reasons = table["reasons"].to_numpy().copy()
        reasons[table["row"].to_numpy() == number(dataset, A, LISTED)] = BIT[Reason.UNSAFE]
        return table.set_column(1, table.schema.field("reasons"), pa.array(reasons))

    forge(dataset, A, only_unsafe)
    found = keep(dataset)
    assert whole == [A]
    assert broken(found[A]) == {"listed_in_research": 1}


def test_a_row_may_go_further(dataset: Dataset, whole: list[str]) -> None:
    """From research too, after it went from research-safe."""
    dataset.list_images("new", HARDLY_SAFE)
    dataset.settle()
    found = keep(dataset)
    assert whole == []
    assert_clean(found)
    assert (found[A].removed_rows, found[A].extra_rows) == (3, 0)


@pytest.mark.parametrize("lists_changed", [False, True])
def test_a_changed_value_in_a_rewritten_file_is_found(dataset: Dataset, whole: list[str], lists_changed: bool) -> None:
    if lists_changed:
        dataset.list_images("new", dataset.shards[A][10])
        dataset.settle()
        dataset.staged()
    path = DataRoot.at(dataset.root).staged("x", "a", "safe")
    table = pq.read_table(path)
    texts = table["text"].to_pylist()
    texts[5] += "."
    pq.write_table(table.set_column(1, table.schema.field("text"), pa.array(texts)), path)
    (found,) = (each for each in dataset.verifier().keep(published(dataset)) if each.stem == "a")
    assert whole == [A], "what is not the source's may be anything"
    assert broken(found) == {"altered_files": 1}


def published(dataset: Dataset) -> list[Published]:
    """What is staged, as it lies there."""
    inputs = dataset.inputs()
    return [
        Published(shard, *(inputs.root.staged(shard.subset, shard.stem, part) for part in ("safe", "extra")))
        for shard in inputs.shards
    ]


def _swap_removed_rows(root: DataRoot) -> None:
    shutil.copyfile(root.removed_rows("x", "b"), root.removed_rows("x", "a"))


def _rewrite_index(root: DataRoot) -> None:
    path = root.spellings_index("x", "a")
    pq.write_table(pq.read_table(path), path)


def _edit(root: DataRoot, **changed: object) -> None:
    path = root.evidence("x", "a")
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | changed), encoding="utf-8")


NOT_FITTING: dict[str, Callable[[DataRoot], None]] = {
    "removed rows of another shard": _swap_removed_rows,
    "no removed rows": lambda root: root.removed_rows("x", "a").unlink(),
    "unreadable removed rows": lambda root: pq.write_table(pa.table({"row": ["0"]}), root.removed_rows("x", "a")),
    "another index": _rewrite_index,
    "no evidence": lambda root: root.evidence("x", "a").unlink(),
    "other rules or code": lambda root: _edit(root, basis="other"),
    "another source": lambda root: _edit(root, source_content="other"),
    "no proved index": lambda root: _edit(root, index_sha256=None),
    "an index for fewer questions": lambda root: _edit(root, questions=[]),
    "evidence that failed": lambda root: _edit(root, unsafe_in_research=1),
}


def test_what_does_not_fit_has_the_shard_proved_whole(dataset: Dataset, whole: list[str], tmp_path: Path) -> None:
    dataset.list_images("new", dataset.shards[A][10], dataset.shards[B][10])
    dataset.settle()
    files = dataset.staged()
    root = DataRoot.at(dataset.root)
    for what, change in NOT_FITTING.items():
        shutil.copytree(root.private, tmp_path / "before", dirs_exist_ok=True)
        change(root)
        whole.clear()
        verifier = dataset.verifier()
        found = verifier.verify(files, known=lambda shard: evidence.read(root, shard.subset, shard.stem))
        assert whole == [A], what
        assert not any(map(broken, found)), what
        shutil.copytree(tmp_path / "before", root.private, dirs_exist_ok=True)


def test_fingerprints_of_images_among_those_of_links_are_missing(dataset: Dataset, whole: list[str]) -> None:
    """New lists of images are asked of those of images alone."""
    root = DataRoot.at(dataset.root)
    images, spellings = (pq.read_table(path("x", "a")) for path in (root.images_index, root.spellings_index))
    pq.write_table(images.slice(1), root.images_index("x", "a"))
    pq.write_table(pa.concat_tables([spellings, images.slice(0, 1)]), root.spellings_index("x", "a"))
    found = keep(dataset)
    assert whole == [A]
    assert broken(found[A]) == {"missing_from_index": 1}


def test_what_did_not_change_is_not_digested_again_unless_it_is_published_or_asked(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(dataset)
    read: list[str] = []
    plain = digests.sha256_file

    def sha256_file(path: Path) -> str:
        read.append(path.name)
        return plain(path)

    for module in (digests, verifier, listed, indexes):
        monkeypatch.setattr(module, "sha256_file", sha256_file)
    files = dataset.staged()
    always = {f"{shard}.{what}.parquet" for shard in "ab" for what in ("safe", "extra", "links")}
    dataset.verifier().keep(files)
    assert set(read) == always
    read.clear()
    files[0].shard.source.touch()
    os.utime(dataset.root / "private/index/x/b.spellings.parquet", ns=(1, 1))
    dataset.verifier().keep(files)
    assert set(read) == {*always, files[0].shard.source.name, "b.spellings.parquet"}
    for kind, what in (("images", "images"), ("link", "spellings")):
        dataset.feeds[kind]["entries"] = [KINDS[kind](Row("https://nowhere.example/1.jpg"))]
        dataset.write()
        read.clear()
        dataset.verifier().keep(files)
        assert set(read) == {*always, f"{kind}.txt", f"a.{what}.parquet", f"b.{what}.parquet"}


def test_a_decayed_index_does_not_hide_a_row_from_a_new_list(dataset: Dataset, whole: list[str]) -> None:
    """Bytes on a disk may change while all that the system says of the file stays."""
    keep(dataset)
    root, row = DataRoot.at(dataset.root), dataset.shards[A][10]
    path = root.images_index("x", "a")
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    book, found = json.loads(root.verified_digests.read_text(encoding="utf-8")), path.stat()
    stat = [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]
    assert len(book[str(path)]) == len(stat) + 1
    book[str(path)][:-1] = stat
    root.verified_digests.write_text(json.dumps(book), encoding="utf-8")
    keep(dataset)
    assert whole == []
    dataset.list_images("new", row)
    dataset.settle()
    evidence_of_a = keep(dataset)[A]
    assert whole == [A]
    assert broken(evidence_of_a).keys() == {"listed_in_research", "listed_in_research_safe", "missing_from_index"}


@pytest.mark.parametrize("lie", [False, True])
def test_a_removed_link_that_is_back_is_found(dataset: Dataset, whole: list[str], lie: bool) -> None:
    """The ledger knows a link since the last proof; a rewritten shard has it still, and its verdicts may deny it."""
    dataset.list_images("new", SAME_LINK)
    dataset.settle().remember("2026-01-01.001", dataset.inputs().shards)
    dataset.list_images("new", SAME_LINK, dataset.shards[B][10])
    dataset.settle()
    masked = number(dataset, B, MASKED)

    def change(table: pa.Table) -> pa.Table:
        links = table["link_key"].to_pylist()
        rows = table["row"].to_pylist()
        if lie:
            links[rows.index(10)] = links[rows.index(masked)]
        return without(masked)(table.set_column(4, table.schema.field("link_key"), pa.array(links, pa.uint64())))

    forge(dataset, B, change)
    found = keep(dataset)
    assert whole == [B]
    assert found[B].removed_before_in_research == 1
    assert found[B].unaccounted_rows == lie


def test_rows_that_rules_removed_and_that_are_back_are_found_in_every_shard(dataset: Dataset, whole: list[str]) -> None:
    """The ledger knows them; the rules are looser now, and verdicts say nothing of them."""
    dataset.shards[B].append(Row("https://three.example/unsafe.jpg", "nsfw", 0.99))
    dataset.settle().remember("2026-01-01.001", dataset.inputs().shards)
    dataset.nsfw = {"research_above": 1.0, "research_safe_above": 0.995}
    dataset.settle()
    for name in (A, B):
        forge(dataset, name, lambda table: table.filter(pc.equal(table["reasons"], BIT[Reason.LISTED_IMAGE])))
        DataRoot.at(dataset.root).edition_record(*name.split("/")).unlink()
    found = keep(dataset)
    assert sorted(whole) == [A, B]
    assert broken(found[A]) == {"removed_before_in_research": 2}
    assert broken(found[B]) == {"removed_before_in_research": 1}


def test_indexes_are_proved_for_all_shards_that_are_read_together_or_none(dataset: Dataset, whole: list[str]) -> None:
    root = DataRoot.at(dataset.root)
    for path in (root.evidence("x", "a"), root.evidence("x", "b"), root.links_index("x", "b")):
        path.unlink()
    found = keep(dataset)
    assert_clean(found)
    assert {each.index_sha256 for each in found.values()} == {None}
    keep(dataset)
    assert sorted(whole) == [A, A, B, B]


def test_what_was_removed_is_private_and_says_no_more_than_rows(dataset: Dataset) -> None:
    path = DataRoot.at(dataset.root).removed_rows("x", "a")
    assert path.stat().st_mode & 0o777 == PRIVATE_FILE_MODE
    assert pq.read_table(path).to_pylist() == [
        {"row": 0, "from_research": True},
        {"row": 1, "from_research": True},
        {"row": 2, "from_research": False},
    ]


@pytest.mark.slow
def test_any_chain_of_lists_gives_the_evidence_of_a_whole_proof(dataset: Dataset, whole: list[str]) -> None:
    draw = random.Random(7)
    everything = [row for rows in dataset.shards.values() for row in rows]
    short = 0
    for step in range(8):
        name = draw.choice(["images", "new", "link"])
        listed = draw.sample(everything, draw.randint(1, 4))
        if step == 3:
            dataset.feeds.pop("new", None)
        elif name == "link":
            dataset.list_links(name, *listed)
        else:
            dataset.list_images(name, *listed)
        dataset.settle().remember(f"2026-01-{step + 1:02}.001", dataset.inputs().shards)
        dataset.settle()
        whole.clear()
        found = keep(dataset)
        short += sum(name not in whole for name in found)
        assert_clean(found)
        for each in dataset.verifier().verify(dataset.staged()):
            assert alike(found[f"{each.subset}/{each.stem}"], each)
            assert evidence.read(DataRoot.at(dataset.root), each.subset, each.stem) == found[f"x/{each.stem}"]
    assert short >= 10
