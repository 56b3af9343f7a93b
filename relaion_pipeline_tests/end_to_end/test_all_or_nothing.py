"""All or nothing: however a release ends, the last one stands, and the next run completes."""

import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from relaion_pipeline import sample
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.end_to_end import shared

DIES = """
import os, signal
from relaion_pipeline.release import assemble, records, versions
from relaion_pipeline.cli import main
def die(*arguments, **options):
    os.kill(os.getpid(), signal.SIGKILL)
{where} = die
main()
"""
"""A release that is killed at a point of its assembly."""


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> DataRoot:
    made = sample.generate(tmp_path_factory.mktemp("all") / "data", rows=3_000, seed=2, shards=1)
    assert shared.release(made.data_root).exit_code == 0
    return DataRoot.at(made.data_root)


def change_inputs(root: DataRoot, chance: random.Random) -> None:
    """One more entry in a list: everything is to be screened anew."""
    with (root.path / "feeds" / "iwf" / "images.md5.txt").open("a", encoding="utf-8") as file:
        file.write(f"{chance.randbytes(16).hex()}\n")


def standing(root: DataRoot) -> tuple[Path, str]:
    folder = shared.current(root.path)
    return folder, shared.tree_digest(folder)


def assert_standing(root: DataRoot, before: tuple[Path, str]) -> None:
    assert standing(root) == before
    done = subprocess.run(["sha256sum", "-c", "--quiet", "SHA256SUMS"], cwd=before[0], check=False)
    assert done.returncode == 0


def assert_completes(root: DataRoot, before: tuple[Path, str]) -> None:
    outcome = shared.release(root.path)
    assert outcome.exit_code == 0, outcome.output
    assert shared.current(root.path) > before[0]
    assert shared.tree_digest(before[0]) == before[1], "an earlier release was touched"
    assert [path.name for path in root.releases.iterdir() if path.name.startswith(".")] == []
    assert not list(root.private.rglob("*.tmp"))


def kill_when(root: DataRoot, reached: Callable[[], bool]) -> bool:
    """Start a release and kill it with -9 as soon as `reached`; whether it was still at work then."""
    process = shared.start("release", "--data", root.path)
    while process.poll() is None and not reached():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    return process.wait() == -signal.SIGKILL


def newest(folder: Path, pattern: str) -> int:
    return max((path.stat().st_mtime_ns for path in folder.rglob(pattern)), default=0)


@pytest.mark.parametrize("folder", ["findings", pytest.param("staged", marks=pytest.mark.slow)])
def test_killed_while_slices_are_at_work(root, folder):
    change_inputs(root, random.Random(folder))
    # Lists alone need not have any shard screened or written again.
    text = (root.path / "relaion.toml").read_text(encoding="utf-8")
    above = {"findings": "0.44", "staged": "0.43"}[folder]
    changed = re.sub(r"research_safe_above = [\d.]+", f"research_safe_above = {above}", text)
    (root.path / "relaion.toml").write_text(changed, encoding="utf-8")
    before = standing(root)
    last = newest(root.private / folder, "*.parquet")
    assert kill_when(root, lambda: newest(root.private / folder, "*.parquet") > last)
    assert_standing(root, before)
    assert_completes(root, before)


@pytest.mark.parametrize(
    "where", [pytest.param("assemble._checksums", marks=pytest.mark.slow), "records.write", "versions.make_current"]
)
def test_killed_while_a_release_is_put_together(root, where):
    change_inputs(root, random.Random(where))
    before = standing(root)
    command = [sys.executable, "-c", DIES.format(where=where), "release", "--data", str(root.path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == -signal.SIGKILL
    assert_standing(root, before)
    assert_completes(root, before)


def test_two_at_once(root):
    """One makes the release; the other says who holds the data root. It is stopped to be sure that it holds it."""
    change_inputs(root, random.Random("two"))
    before = standing(root)
    lock = root.lock.stat().st_mtime_ns
    first = shared.start("release", "--data", root.path)
    while first.poll() is None and root.lock.stat().st_mtime_ns == lock:
        time.sleep(0.001)
    time.sleep(0.05)  # the lock is written whole
    for _ in range(5):
        first.send_signal(signal.SIGSTOP)
        try:
            second = shared.release(root.path)
            assert_standing(root, before)
        finally:
            first.send_signal(signal.SIGCONT)
        if not isinstance(second.exception, OperationalError):
            break
        time.sleep(0.2)  # it was stopped while it wrote to Dagster's database, which is then locked
    assert second.exit_code == 1
    assert f"process {first.pid}" in second.output
    assert "is making a release" in second.output
    _, told = first.communicate()
    assert first.returncode == 0, told
    assert shared.current(root.path) > before[0]


def test_nothing_changed_nothing_done(released, copied):
    """Neither a file nor a run is new, and the command says so."""
    root = copied()
    shared.release(root.path)  # the copy's files are new to the cache of digests
    before = shared.tree_digest(root.path)
    outcome = shared.release(root.path)
    assert outcome.exit_code == 0
    assert "Nothing changed" in outcome.output
    assert shared.tree_digest(root.path) == before
    assert shared.tree_digest(root.releases) == shared.tree_digest(released.data_root / "releases")
