"""The ledger's files: append-only, chained, private; what is lost or altered is noticed."""

import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger import segments
from relaion_pipeline.ledger.segments import LedgerError
from relaion_pipeline_tests.ledger.conftest import BOTH, IMAGE, LINK, small_dataset
from relaion_pipeline_tests.ledger.dataset import Dataset

FIRST, SECOND, THIRD = "2026-01-01.001", "2026-01-02.001", "2026-01-03.001"


def files(dataset: Dataset) -> list[Path]:
    return sorted((dataset.root / "private" / "ledger").iterdir())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    dataset = small_dataset(tmp_path_factory.mktemp("segments") / "data")
    for version, more in ((FIRST, 0), (SECOND, 1), (THIRD, 2)):
        dataset.list_links("links", LINK, BOTH, *dataset.shards["x/a"][:more])
        dataset.remembered(version)
    return dataset


@pytest.fixture
def three(made: Dataset, tmp_path: Path) -> Dataset:
    """A ledger of three segments."""
    shutil.copytree(made.root, tmp_path / "data")
    return replace(made, root=tmp_path / "data", feeds=dict(made.feeds))


def test_a_segment_holds_what_its_release_is_the_first_to_remove(three):
    root = DataRoot.at(three.root)
    ledger = segments.read(root)
    assert [head.release for head in ledger.heads] == [FIRST, SECOND, THIRD]
    assert [path.name for path in ledger.paths] == [
        "0001-2026-01-01.001.parquet",
        "0002-2026-01-02.001.parquet",
        "0003-2026-01-03.001.parquet",
    ]
    # IMAGE, LINK, BOTH and the other row with IMAGE's link; then a row each
    assert [pq.read_metadata(path).num_rows for path in ledger.paths] == [4, 1, 1]
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in ledger.paths} == dict.fromkeys(
        (path.name for path in ledger.paths), 0o600
    )
    assert stat.S_IMODE(root.ledger.stat().st_mode) == 0o700


def test_a_segment_names_no_link_and_no_text(three):
    for path in files(three):
        content = path.read_bytes()
        for row in (IMAGE, LINK, BOTH):
            assert row.url.encode() not in content
            assert row.md5.encode() not in content


def test_nothing_new_writes_nothing(three):
    before = {path: path.read_bytes() for path in files(three)}
    three.remembered("2026-01-04.001")
    assert {path: path.read_bytes() for path in files(three)} == before


def test_earlier_segments_are_never_touched(three):
    before = {path: path.read_bytes() for path in files(three)}
    three.list_links("links", LINK, *three.shards["x/b"][:3])
    three.remembered("2026-01-04.001")
    assert len(files(three)) == 4
    assert all(path.read_bytes() == content for path, content in before.items())


def test_a_row_that_another_feed_names_is_recorded_again(dataset):
    dataset.remembered(FIRST)
    dataset.list_links("more", LINK)
    dataset.remembered(SECOND)
    feeds = [entry["feeds"] for entry in dataset.ledger() if "more" in entry["feeds"]]
    assert feeds == [["links", "more"]]
    assert len(dataset.ledger()) == 5


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("harm", ["lost", "altered", "empty", "swapped"])
def test_harm_to_a_segment_is_noticed(three, place, harm):
    root = DataRoot.at(three.root)
    whole = segments.read(root)
    path = whole.paths[place]
    if harm == "lost":
        path.unlink()
    elif harm == "empty":
        path.write_bytes(b"")
    elif harm == "altered":  # whole in itself: an entry less
        table = pq.read_table(path)
        pq.write_table(table.slice(1), path)
    else:
        path.write_bytes(whole.paths[(place + 1) % 3].read_bytes())
    with pytest.raises(LedgerError, match="restore the folder from a backup") as caught:
        segments.read(root, expected=whole.sha256)
    assert "example" not in str(caught.value)


def test_a_lost_folder_is_noticed(three):
    root = DataRoot.at(three.root)
    last = segments.read(root).sha256
    for path in files(three):
        path.unlink()
    root.ledger.rmdir()
    with pytest.raises(LedgerError, match="the newest release wrote"):
        segments.read(root, expected=last)


def test_a_segment_beyond_what_the_newest_release_recorded_is_no_harm(three):
    """A release that was killed after its segment was written: its rows are remembered."""
    root = DataRoot.at(three.root)
    whole = segments.read(root)
    before_last = whole.heads[-1].previous
    assert segments.read(root, expected=before_last).paths == whole.paths


def test_another_salt_is_noticed(three):
    """With another one no row of the ledger would be found again, and all would come back."""
    root = DataRoot.at(three.root)
    root.salt.write_bytes(b"another salt, of the right length")
    with pytest.raises(LedgerError, match="Restore it from the backup"):
        segments.read(root)


def test_a_release_refuses_a_harmed_ledger(dataset):
    """The newest release's record names the last segment."""
    dataset.release(FIRST)
    files(dataset)[-1].unlink()
    dataset.list_links("links", LINK)
    with pytest.raises(LedgerError, match="the newest release wrote"):
        dataset.release(SECOND)
