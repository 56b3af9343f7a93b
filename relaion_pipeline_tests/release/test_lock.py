"""One release at a time: a live holder is refused, a dead one recognised."""

import dataclasses
import json
import os
import stat
import subprocess
import sys

import pytest

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import lock
from relaion_pipeline.release.lock import Holder, LockedError


def never(_: str) -> bool:
    return False


@pytest.fixture
def root(tmp_path):
    return DataRoot.at(tmp_path / "data")


@pytest.fixture
def sleeper():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.wait()


def test_a_live_holder_is_refused_and_named(root, sleeper):
    assert lock.acquire(root, Holder.of_process("first", sleeper.pid), never) is None
    with pytest.raises(LockedError, match=rf"run first .*process {sleeper.pid}"):
        lock.acquire(root, Holder.of_process("second", os.getpid()), never)
    assert json.loads(root.lock.read_text())["run"] == "first"


def test_a_run_keeps_what_it_has(root):
    mine = Holder.of_process("mine", os.getpid())
    assert lock.acquire(root, mine, never) is None
    assert lock.acquire(root, mine, never) is None


def test_a_dead_holder_is_told(root, sleeper):
    holder = Holder.of_process("dead", sleeper.pid)
    lock.acquire(root, holder, never)
    sleeper.kill()
    sleeper.wait()
    assert lock.acquire(root, Holder.of_process("next", os.getpid()), never) == holder


def test_a_process_number_that_was_given_again_is_another(root, sleeper):
    holder = Holder.of_process("old", sleeper.pid)
    lock.acquire(root, dataclasses.replace(holder, started=holder.started - 1), never)
    assert lock.acquire(root, Holder.of_process("next", os.getpid()), never) is not None


def test_a_run_that_is_over_holds_nothing(root, sleeper):
    """In one process runs follow one another: the process lives on, the run does not."""
    holder = Holder.of_process("over", sleeper.pid)
    lock.acquire(root, holder, never)
    assert lock.acquire(root, Holder.of_process("next", sleeper.pid), lambda run: run == "over") == holder


def test_a_holder_elsewhere_is_taken_to_be_alive(root):
    lock.acquire(root, Holder("far", "another-machine.example", 1, 1), never)
    with pytest.raises(LockedError, match="another-machine"):
        lock.acquire(root, Holder.of_process("next", os.getpid()), never)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"run": "x"}', "\x00\x00"])
def test_a_lock_that_says_nothing_holds_nothing(root, content):
    root.private.mkdir(parents=True)
    root.lock.write_text(content)
    assert lock.acquire(root, Holder.of_process("next", os.getpid()), never) is None
    assert json.loads(root.lock.read_text())["run"] == "next"


def test_it_is_private(root):
    lock.acquire(root, Holder.of_process("mine", os.getpid()), never)
    assert stat.S_IMODE(root.lock.stat().st_mode) == 0o600
