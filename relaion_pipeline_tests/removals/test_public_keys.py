"""Removal lists are made at the cost of what changed, and are what they would be if every shard was read."""

import hashlib
import json
import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import database, settings
from relaion_pipeline.feeds import compiling
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import removal_lists, removals
from relaion_pipeline.release.removal_lists import KINDS, LINKS, ROWS
from relaion_pipeline.screening import index, matching, verdicts
from relaion_pipeline.screening.verdicts import BIT, Counts, Header, Reason
from relaion_pipeline.settings import Columns
from relaion_pipeline.shards.stock import StockedShard

LISTED, UNSAFE, NO_LINK = BIT[Reason.LISTED_LINK], BIT[Reason.UNSAFE], BIT[Reason.NO_LINK]
COLUMNS = Columns.model_validate({"link": "url", "text": "caption"})
LIMITS = settings.Limits(memory="1GiB", threads=1)

Row = tuple[str | bytes | None, str | None, int]
"""Link, text, and the reasons for which it goes."""


@dataclass
class Dataset:
    """Shards with their verdicts and indexes, as a release finds them."""

    root: DataRoot
    salt: str = "salt"
    rows: dict[str, list[Row]] = field(default_factory=dict)
    shards: dict[str, StockedShard] = field(default_factory=dict)

    def put(self, stem: str, rows: list[Row]) -> None:
        """Add a shard, or replace it."""
        kind = pa.binary() if any(isinstance(link, bytes) for link, _, _ in rows) else pa.string()
        parquet = self.root.path / f"{stem}.parquet"
        links, texts = pa.array([row[0] for row in rows], kind), pa.array([row[1] for row in rows], pa.string())
        pq.write_table(pa.table({"url": links, "caption": texts}), parquet)
        content = hashlib.sha256(parquet.read_bytes()).hexdigest()
        shard = StockedShard("en", stem, parquet, content, 0, None, parquet, len(rows), COLUMNS, str(kind))
        self.shards[stem] = shard
        self.judge(stem, rows)
        salt = compiling.salt_of(self.root)
        with (
            database.connect(self.root, LIMITS) as connection,
            index.writing(self.root, [shard], frozenset(), salt) as add,
        ):
            matching.create_source(connection, [parquet], COLUMNS, frozenset())
            for _ in index.runs(connection, len(rows)):
                index.spell(connection, "run", frozenset(), salt, with_links=True)
                connection.execute("CREATE OR REPLACE TEMP TABLE spelled_hosts (file integer, fingerprint ubigint)")
                add(connection)

    def judge(self, stem: str, rows: list[Row]) -> None:
        """Write other verdicts of a shard, whose links and texts are the same."""
        self.rows[stem] = rows
        marked = [(number, bits) for number, (_, _, bits) in enumerate(rows) if bits]
        none: list[list[str]] = [[]] * len(marked)
        columns = [[n for n, _ in marked], [b for _, b in marked], none, none, [0] * len(marked), [0] * len(marked)]
        table = pa.table(columns, schema=verdicts.VERDICTS)
        verdicts.write(self.root.verdicts("en", stem), table, Header("", "", "", "", "", Counts()))

    def hide(self, *stems: str) -> None:
        """Take shards away: whoever reads them fails."""
        for stem in stems:
            (self.root.path / f"{stem}.parquet").rename(self.root.path / f"{stem}.hidden")

    def show(self) -> None:
        for path in self.root.path.glob("*.hidden"):
            path.rename(path.with_suffix(".parquet"))

    def write(self) -> dict[str, tuple[bytes, ...]]:
        """Bytes of both lists of each edition, which are as they should be."""
        folder = self.root.path / "removals"
        shutil.rmtree(folder, ignore_errors=True)
        found = {}
        with database.connect(self.root, LIMITS) as connection:
            removals._create_removed(connection, self.root, list(self.shards.values()), self.salt)
            for edition in ("research", "research-safe"):
                told = removals._write_edition(connection, folder, edition, self._settings())
                paths = {kind: removal_lists.path_of(folder, edition, kind) for kind in KINDS}
                keys = {kind: set(pq.read_table(path)["key"].to_pylist()) for kind, path in paths.items()}
                assert (keys, told.rows, told.kept_alike) == self._expected(edition)
                found[edition] = tuple(path.read_bytes() for path in paths.values())
        return found

    def written_from_scratch(self) -> dict[str, tuple[bytes, ...]]:
        self.show()
        shutil.rmtree(self.root.private / "public_keys")
        return self.write()

    def _settings(self) -> settings.Settings:
        return settings.Settings.model_validate(
            {
                "dataset": {"name": "d"},
                "subsets": {"en": {"shards": "*.parquet"}},
                "feeds": {"f": {"partner": "p", "version": "1", "files": "f", "kind": "link"}},
                "removals": {"salt": self.salt},
            }
        )

    def _expected(self, edition: str) -> tuple[dict[str, set[int]], int, int]:
        """Keys of rows and links, rows that go, rows that are kept and look like one that goes."""
        gone, kept = Counter[tuple[bytes, bytes]](), Counter[tuple[bytes, bytes]]()
        for stem in self.shards:
            for link, text, bits in self.rows[stem]:
                goes = bits if edition == "research-safe" else bits & verdicts.RESEARCH_BITS
                (gone if goes else kept)[_bytes(link), _bytes(text)] += 1
        links = {link for link, _ in gone} - {link for link, _ in kept}
        keys = {
            ROWS: {_key(f"{self.salt}R".encode() + link + b"\0" + text) for link, text in gone},
            LINKS: {_key(f"{self.salt}L".encode() + link) for link in links},
        }
        return keys, sum(gone.values()), sum(kept[each] for each in gone)


def _bytes(value: str | bytes | None) -> bytes:
    return value if isinstance(value, bytes) else (value or "").encode()


def _key(content: bytes) -> int:
    return int.from_bytes(hashlib.sha256(content).digest()[:8], "big")


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """Three shards, released once."""
    made = Dataset(DataRoot.at(tmp_path))
    made.put(
        "a", [("a1", "x", LISTED), ("a2", "x", 0), ("shared", "x", 0), ("twice", "y", UNSAFE), (None, "z", NO_LINK)]
    )
    made.put("b", [("b1", "x", 0), ("shared", "other", 0), ("twice", "y", 0), ("b2", None, LISTED)])
    made.put("c", [("c1", "x", 0), ("c2", "é", 0), ("shared", "x", 0), ("both", "x", LISTED), ("both", "y", 0)])
    made.write()
    return made


def test_where_nothing_changed_no_shard_is_read(dataset: Dataset) -> None:
    before = dataset.write()
    dataset.hide("a", "b", "c")
    assert dataset.write() == before == dataset.written_from_scratch()


def test_other_verdicts_cost_their_shard(dataset: Dataset) -> None:
    before = dataset.write()
    dataset.hide("b", "c")
    rows = dataset.rows["a"]
    dataset.judge("a", [rows[0], ("a2", "x", LISTED), *rows[2:]])
    after = dataset.write()
    assert after["research"] != before["research"]
    assert after == dataset.written_from_scratch()


def test_a_link_that_stands_in_an_unchanged_shard_is_not_listed(dataset: Dataset) -> None:
    """`shared` goes from one shard; its other rows, in shards that hold it unchanged, are found and counted."""
    rows = dataset.rows["a"]
    dataset.judge("a", [*rows[:2], ("shared", "x", LISTED), *rows[3:]])
    after = dataset.write()  # holds the link of the row against rows that were not known
    dataset.hide("a", "b", "c")
    assert dataset.write() == after == dataset.written_from_scratch()
    dataset.judge("b", [("b1", "x", 0), ("shared", "other", LISTED), *dataset.rows["b"][2:]])
    dataset.judge("c", [*dataset.rows["c"][:2], ("shared", "x", LISTED), *dataset.rows["c"][3:]])
    dataset.hide("a", "b", "c")  # by now all its rows are known, so that it goes from the last shard without a read
    gone = dataset.write()
    assert len(gone["research"][1]) >= len(after["research"][1])
    assert gone == dataset.written_from_scratch() != after


def test_a_row_that_a_waiver_lets_back_keeps_its_link_off_the_list(dataset: Dataset) -> None:
    dataset.hide("a", "b", "c")
    dataset.judge("a", [("a1", "x", 0), *dataset.rows["a"][1:]])
    assert dataset.write() == dataset.written_from_scratch()


def test_another_salt_makes_other_keys(dataset: Dataset) -> None:
    before = dataset.write()
    dataset.salt = "another"
    after = dataset.write()
    assert after != before
    assert after == dataset.written_from_scratch()


def test_without_a_shard_its_links_stand_no_more(dataset: Dataset) -> None:
    before = dataset.write()  # `twice` goes from research-safe of a, and stands in b
    del dataset.shards["b"]
    dataset.hide("a", "c")
    after = dataset.write()
    assert after["research-safe"] != before["research-safe"]
    assert after == dataset.written_from_scratch()


def test_keys_of_a_shard_that_was_replaced_are_not_used(dataset: Dataset) -> None:
    rows = dataset.rows["a"]
    dataset.put("a", [rows[1], rows[0], *rows[2:]])  # each row number stands for another row
    dataset.hide("b", "c")
    assert dataset.write() == dataset.written_from_scratch()


def test_a_changed_index_is_not_asked(dataset: Dataset) -> None:
    """A shard whose index does not stand is read instead."""
    record = dataset.root.index_record("en", "b")
    record.write_text(json.dumps(json.loads(record.read_text()) | {"key": "of other rows"}))
    pq.write_table(pa.table({"link_key": pa.array([], pa.uint64())}), dataset.root.links_index("en", "b"))
    assert dataset.write() == dataset.written_from_scratch()
    rows = dataset.rows["a"]
    dataset.judge("a", [*rows[:2], ("shared", "x", LISTED), *rows[3:]])
    assert dataset.write() == dataset.written_from_scratch()


@pytest.mark.parametrize(
    ("removed", "kept"),
    [("é\\'\"", "é\\'\"".encode()), ("é\\'\"".encode(), "é\\'\""), (b"\xff", b"\xff"), (b"\\xFF", "\\xFF")],
)
def test_links_as_text_and_as_bytes_are_one(tmp_path: Path, removed: str | bytes, kept: str | bytes) -> None:
    made = Dataset(DataRoot.at(tmp_path))
    made.put("a", [(removed, "x", LISTED), (type(removed)(), "x", NO_LINK)])
    made.put("b", [(kept, "y", 0), (kept, "x", 0)])
    made.write()
    made.hide("a", "b")
    assert made.write() == made.written_from_scratch()


def test_files_are_private_and_hold_no_link(dataset: Dataset) -> None:
    files = list((dataset.root.private / "public_keys").rglob("*"))
    assert {path.stat().st_mode & 0o777 for path in files if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in files if path.is_dir()} == {0o700}
    kinds = {field.type for path in files if path.is_file() for field in pq.read_schema(path)}
    assert kinds == {pa.int64(), pa.uint64()}
