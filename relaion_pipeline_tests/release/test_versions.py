"""Versions: which come next, which there are, which is current."""

from datetime import date

import pytest

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import versions


@pytest.fixture
def root(tmp_path):
    found = DataRoot.at(tmp_path)
    found.releases.mkdir()
    return found


def make(root, *names):
    for name in names:
        (root.releases / name).mkdir()


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ([], "2026-05-01.001"),
        (["2026-04-30.007"], "2026-05-01.001"),
        (["2026-05-01.001"], "2026-05-01.002"),
        (["2026-05-01.009", "2026-05-01.010"], "2026-05-01.011"),
        (["2026-05-03.002"], "2026-05-03.003"),
        ([".building-2026-05-01.004", "2026-05-01.00x", "notes"], "2026-05-01.001"),
    ],
)
def test_the_next_sorts_behind_all_others(root, there, expected):
    make(root, *there)
    found = versions.next_version(root, date(2026, 5, 1))
    assert found == expected
    assert all(found > each for each in versions.released(root))


def test_released_are_whole_releases_in_order(root):
    make(root, "2026-05-02.001", "2026-05-01.010", "2026-05-01.002", ".building-2026-05-03.001", "2026-5-1.1")
    (root.releases / "2026-05-04.001").write_text("a file")
    assert versions.released(root) == ["2026-05-01.002", "2026-05-01.010", "2026-05-02.001"]


def test_nothing_is_released_where_nothing_is(tmp_path):
    nowhere = DataRoot.at(tmp_path / "nowhere")
    assert versions.released(nowhere) == []
    assert versions.current(nowhere) is None


def test_current_follows(root):
    make(root, "2026-05-01.001", "2026-05-01.002")
    for version in ("2026-05-01.001", "2026-05-01.002", "2026-05-01.001"):
        (root.releases / ".current").symlink_to("left by a crash")
        versions.make_current(root, version)
        assert versions.current(root) == root.release(version).resolve()
        assert not (root.releases / ".current").is_symlink()
    assert not root.current.readlink().is_absolute(), "a data root may be moved"


def test_current_that_leads_nowhere_is_none(root):
    root.current.symlink_to("2026-05-01.001")
    assert versions.current(root) is None
