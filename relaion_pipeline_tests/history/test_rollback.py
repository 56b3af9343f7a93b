"""Rollback: `current` moves only to what is whole, only while nobody releases, and stays where it was put."""

import json
import os

import pytest

from relaion_pipeline.history import rollback
from relaion_pipeline.release import lock, versions
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.history import made

OLD = shared.VERSION
NEW = "2026-01-03.001"


@pytest.fixture
def root(copied):
    """Two releases from the same inputs, the newer of them current."""
    found = copied()
    made.copy_release(found, OLD, NEW)
    return found


def roll_back(root, version):
    return shared.run("rollback", version, "--data", root.path)


def test_it_holds_against_a_run_that_finds_nothing_changed(root):
    outcome = roll_back(root, OLD)
    assert outcome.exit_code == 0, outcome.output
    assert f"current was {NEW} and is {OLD}." in outcome.output
    assert f"relaion diff {OLD} {NEW}" in outcome.output
    assert root.lock.read_text() == "", "the lock was given back"
    outcome = shared.release(root.path)
    assert outcome.exit_code == 0, outcome.output
    assert versions.current(root) == root.release(OLD)
    assert f"{NEW} is, and `relaion rollback` took current back from it" in outcome.output
    outcome = shared.run("status", "--data", root.path)
    assert f"Current release: {OLD}, not the newest. {NEW}: made from just these inputs" in outcome.output
    assert f"current was {OLD} and is {NEW}." in roll_back(root, NEW).output
    assert rollback.in_force(root) is None
    assert "took current back" not in shared.release(root.path).output
    assert [(move.was, move.to, move.newest) for move in rollback.read(root)] == [(NEW, OLD, NEW), (OLD, NEW, NEW)]
    assert root.rollbacks.stat().st_mode & 0o777 == 0o600


def test_a_crash_is_no_rollback(root):
    """Killed after the rename, before `current` moved: the next run moves it."""
    versions.make_current(root, OLD)
    assert shared.release(root.path).exit_code == 0
    assert versions.current(root) == root.release(NEW)


def test_a_rollback_that_crashed_before_it_moved_is_none(root, monkeypatch):
    def dies(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(versions, "make_current", dies)
        with pytest.raises(KeyboardInterrupt):
            rollback.roll_back(root, OLD)
    assert versions.current(root) == root.release(NEW)
    assert rollback.in_force(root) is None
    assert shared.release(root.path).exit_code == 0
    assert versions.current(root) == root.release(NEW)


def test_a_newer_release_ends_it(root):
    roll_back(root, OLD)
    made.copy_release(root, OLD, "2026-01-04.001")
    assert rollback.in_force(root) is None
    versions.make_current(root, OLD)  # as a crash before the last step leaves it
    assert shared.release(root.path).exit_code == 0
    assert versions.current(root) == root.release("2026-01-04.001")


DAMAGE = {
    "a byte of a file": lambda folder: flip(next((folder / "research-safe").rglob("*.parquet"))),
    "a file missing": lambda folder: next((folder / "research").rglob("*.extra.parquet")).unlink(),
    "a file too many": lambda folder: (folder / "research" / "more.parquet").write_bytes(b""),
    "a number of the manifest": lambda folder: made.edit_manifest(folder, code_version="another"),
    "no manifest": lambda folder: (folder / "manifest.json").unlink(),
    "no checksums": lambda folder: (folder / "SHA256SUMS").unlink(),
}


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("damage", DAMAGE)
def test_not_to_what_is_not_whole(root, damage):
    DAMAGE[damage](root.release(OLD))
    outcome = roll_back(root, OLD)
    assert outcome.exit_code == 1
    assert OLD in outcome.output
    assert "Traceback" not in outcome.output
    assert versions.current(root) == root.release(NEW)
    assert rollback.read(root) == []


@pytest.mark.parametrize("version", ["2026-01-09.001", "current", "..", ".building-2026-01-09.001"])
def test_not_to_what_is_none(root, version):
    outcome = roll_back(root, version)
    assert outcome.exit_code == 1
    assert f"there are: {OLD}, {NEW}" in outcome.output
    assert versions.current(root) == root.release(NEW)


def test_not_while_a_run_works_on_the_data_root(root):
    holder = lock.Holder.of_process("a-run", os.getpid())
    lock.acquire(root, holder, lambda _: True)
    outcome = roll_back(root, OLD)
    assert outcome.exit_code == 1
    assert "a-run is making a release" in outcome.output
    assert versions.current(root) == root.release(NEW)
    assert json.loads(root.lock.read_text())["run"] == "a-run", "the lock is that run's still"


def test_a_run_that_was_killed_does_not_hinder_it(root):
    lock.acquire(root, lock.Holder("killed", lock.Holder.of_process("", 1).host, 2**30, 1), lambda _: True)
    assert roll_back(root, OLD).exit_code == 0
    assert versions.current(root) == root.release(OLD)
