"""A run that is killed leaves the last release whole, and the next run takes over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import versions
from relaion_pipeline_tests.orchestration import runs
from relaion_pipeline_tests.orchestration.conftest import Copies

HANGS = """
import sys, time
from pathlib import Path
from relaion_pipeline.assets import slices
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.orchestration import runs

write, calls = slices.editions.write, []

def hanging(*arguments):
    calls.append(1)
    if len(calls) == 2:
        Path(sys.argv[2]).touch()
        time.sleep(300)
    return write(*arguments)

slices.editions.write = hanging
runs.execute(DataRoot.at(sys.argv[1]))
"""


@pytest.fixture
def killed(sampled: DataRoot, copy_of: Copies, tmp_path: Path) -> Iterator[tuple[DataRoot, str]]:
    """A data root where a run was killed while it wrote editions, and that run."""
    root, marker = copy_of(sampled), tmp_path / "reached"
    checkout = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", HANGS, root.path, marker],
        cwd=checkout,
        env=os.environ | {"PYTHONPATH": str(checkout)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 60
        while not marker.exists():
            assert process.poll() is None, "the run ended before it was killed"
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    with runs.instance(root) as opened:
        (run,) = opened.get_runs()
        assert run.status is dg.DagsterRunStatus.STARTED  # nobody was left to say otherwise
    return root, run.run_id


def test_the_next_run_takes_over_and_says_so(killed: tuple[DataRoot, str], released: DataRoot) -> None:
    root, run_id = killed
    assert versions.released(root) == []
    ran = runs.execute(root)
    assert ran.success, ran.messages
    told = [message for message in ran.messages if "this run takes over" in message]
    assert len(told) == 1
    assert run_id in told[0]
    with runs.instance(root) as opened:
        dead = opened.get_run_by_id(run_id)
        assert dead is not None
        assert dead.status is dg.DagsterRunStatus.FAILURE
    current, reference = versions.current(root), versions.current(released)
    assert current is not None
    assert reference is not None
    assert runs.digests(current) == runs.digests(reference)
