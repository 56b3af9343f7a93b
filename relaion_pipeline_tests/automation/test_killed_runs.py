"""Runs whose process is gone are recognised, said and cleared; none that is at work is touched."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

import dagster as dg
import pytest
from dagster._core.events import EngineEventData
from dagster._core.test_utils import create_run_for_test

from relaion_pipeline import automation, runs, settings
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import lock
from relaion_pipeline.release.lock import Holder
from relaion_pipeline.unattended.decision import Ending
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.orchestration.runs import instance


@pytest.fixture
def root(copied: Callable[[], DataRoot]) -> DataRoot:
    return copied()


@pytest.fixture
def opened(root: DataRoot) -> Iterator[dg.DagsterInstance]:
    with instance(root) as found:
        yield found


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    started = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield started
    started.kill()
    started.wait()


def started(opened: dg.DagsterInstance, status: dg.DagsterRunStatus = dg.DagsterRunStatus.STARTED) -> dg.DagsterRun:
    return create_run_for_test(opened, job_name="release_job", status=status)


def status(opened: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    found = opened.get_run_by_id(run.run_id)
    assert found is not None
    return found.status.value


def test_a_holder_that_was_killed(root: DataRoot, opened: dg.DagsterInstance, process: subprocess.Popen[bytes]) -> None:
    run = started(opened)
    lock.acquire(root, Holder.of_process(run.run_id, process.pid), lambda _: True)
    assert runs.clear_killed(opened, root) == []
    assert runs.active(opened) == run.run_id
    process.kill()
    process.wait()
    assert runs.clear_killed(opened, root) == [run.run_id]
    assert status(opened, run) == "FAILURE"
    assert runs.active(opened) is None
    assert runs.attempts(opened)[0].ending is Ending.INTERRUPTED
    assert runs.clear_killed(opened, root) == []
    told = runs.failures(e.dagster_event for e in opened.all_logs(run.run_id) if e.dagster_event)
    assert told == {"the run": runs.KILLED}


def test_a_run_killed_before_its_first_step(
    root: DataRoot, opened: dg.DagsterInstance, process: subprocess.Popen[bytes]
) -> None:
    """It took no lock: its log names its process."""
    run = started(opened)
    assert runs.clear_killed(opened, root) == []  # nothing is known of it
    opened.report_engine_event("Started process", run, EngineEventData.in_process(process.pid))
    assert runs.clear_killed(opened, root) == []
    process.kill()
    process.wait()
    assert runs.clear_killed(opened, root) == [run.run_id]


def test_a_process_that_got_the_number_of_another(
    root: DataRoot, opened: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are used again after a restart of the machine: this very process began long after that event."""
    run = started(opened)
    opened.report_engine_event("Started process", run, EngineEventData.in_process(os.getpid()))
    assert runs.clear_killed(opened, root) == []
    booted = lock._booted()
    monkeypatch.setattr(lock, "_booted", lambda: booted + 10_000)
    assert runs.clear_killed(opened, root) == [run.run_id]


def test_a_run_on_another_machine_is_left_alone(root: DataRoot, opened: dg.DagsterInstance) -> None:
    run = started(opened)
    opened.report_engine_event("Started process", run, EngineEventData.in_process(2**22))
    opened.add_run_tags(run.run_id, {".dagster/grpc_info": '{"host": "elsewhere"}'})
    assert runs.clear_killed(opened, root) == []
    root.lock.write_text(json.dumps({"run": run.run_id, "host": "elsewhere", "process": 2**22, "started": 1}))
    assert runs.clear_killed(opened, root) == []


def test_who_cancelled_a_run_meant_it(opened: dg.DagsterInstance) -> None:
    """What ended because the daemon was ended is launched again; what somebody cancelled in the UI is not."""
    by_hand, by_signal = started(opened), started(opened)
    opened.report_run_canceling(by_hand)
    for run in (by_hand, by_signal):
        opened.report_run_canceled(run)
    endings = {attempt.run: attempt.ending for attempt in runs.attempts(opened)}
    assert (endings[by_hand.run_id], endings[by_signal.run_id]) == (Ending.FAILED, Ending.INTERRUPTED)


def test_the_sensor_clears_and_says_so(root: DataRoot, opened: dg.DagsterInstance) -> None:
    run = started(opened)
    opened.report_engine_event("Started process", run, EngineEventData.in_process(2**22))
    sensor = automation.killed_sensor(root, settings.load(root.path))
    told = sensor(dg.build_sensor_context(instance=opened))
    assert isinstance(told, dg.SkipReason)
    assert told.skip_message == f"marked as failed: {run.run_id}"
    assert status(opened, run) == "FAILURE"


def test_the_command_clears_and_says_so(root: DataRoot, opened: dg.DagsterInstance) -> None:
    run = started(opened)
    opened.report_engine_event("Started process", run, EngineEventData.in_process(2**22))
    outcome = shared.release(root.path)
    assert outcome.exit_code == 0, outcome.output
    assert f"Run {run.run_id} had been killed; it is marked as failed." in outcome.output
    assert status(opened, run) == "FAILURE"
    assert run.run_id not in shared.release(root.path).output


def test_the_failure_sensor_says_when_nobody_could_be_told(
    root: DataRoot, opened: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOOK", raising=False)
    with (root.path / "relaion.toml").open("a") as file:
        file.write('[notify]\nwebhook_variable = "HOOK"\n')
    run = started(opened)
    runs.mark_killed(opened, run.run_id)
    (event,) = opened.all_logs(run.run_id, of_type=dg.DagsterEventType.RUN_FAILURE)
    assert event.dagster_event is not None
    context = dg.build_run_status_sensor_context(
        automation.FAILURE_SENSOR, event.dagster_event, opened, run
    ).for_run_failure()
    with pytest.raises(automation.notices.NoticeError, match=r"HOOK, named by notify\.webhook_variable, is not set"):
        automation.failure_sensor(root, settings.load(root.path))(context)
