"""What Dagster knows of runs: which is active, how earlier ones ended and why, which was killed and still counts.

What belongs here: reading runs, and marking those whose process is gone. What does not: launching any.
"""

import json
from collections.abc import Iterable

import dagster as dg
from dagster import DagsterEventType, DagsterRunStatus

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import lock
from relaion_pipeline.unattended.decision import Attempt, Ending

STATE_TAG = "relaion/inputs"
"""Names the inputs that a run was launched for; see `unattended.watch`."""
LOCKED_OUT_TAG = "relaion/locked_out"
"""On a run that found another one at work: it says nothing of its inputs."""

_RELEASE = dg.AssetKey("release")
_SAID_WHY = {"STEP_FAILURE", "RUN_EXCEPTION", "JOB_INITIALIZATION_FAILURE"}
_REASON_TAG = "dagster/failure_reason"
_SERVER_TAG = (
    ".dagster/grpc_info"  # of a run launched by the UI or the daemon: where the process that started it listens
)
_UNFINISHED = [
    DagsterRunStatus.QUEUED,
    DagsterRunStatus.NOT_STARTED,
    DagsterRunStatus.STARTING,
    DagsterRunStatus.STARTED,
    DagsterRunStatus.CANCELING,
]
_DATA_VERSION_TAG = "dagster/data_version"
_MADE_PAGE = 10  # materialisations: mostly the last two tell
_LOOKED_AT = 50  # runs; far more than the tries of one state

KILLED = (
    "The process of this run is gone: it was killed, or the machine went down. The run is marked as failed. The last "
    "release is as it was; the next run goes on where this one stopped."
)


def active(instance: dg.DagsterInstance) -> str | None:
    """A run that is at work or about to be, or None."""
    found = instance.get_runs(dg.RunsFilter(statuses=_UNFINISHED), limit=1)
    return found[0].run_id if found else None


def attempts(instance: dg.DagsterInstance) -> list[Attempt]:
    """Runs that ended and could have made a release, newest first."""
    return [
        Attempt(run.run_id, run.tags.get(STATE_TAG), _ending(instance, run))
        for run in instance.get_runs(limit=_LOOKED_AT)
        if run.is_finished
        and LOCKED_OUT_TAG not in run.tags
        and (run.asset_selection is None or _RELEASE in run.asset_selection)
    ]


def _ending(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Ending:
    if run.status is DagsterRunStatus.SUCCESS:
        return Ending.SUCCEEDED
    if run.status is DagsterRunStatus.CANCELED:
        asked = instance.all_logs(run.run_id, of_type=DagsterEventType.RUN_CANCELING)
        return Ending.FAILED if asked else Ending.INTERRUPTED  # without: the daemon was ended
    return Ending.FAILED if run.tags.get(_REASON_TAG) in _SAID_WHY else Ending.INTERRUPTED


def maker(instance: dg.DagsterInstance, key: dg.AssetKey) -> str | None:
    """The run that made an asset as it stands, or None where Dagster does not know.

    A run that finds everything done reports the same data version again: the first of those made it.
    """
    found, stands, cursor = None, None, None
    while True:
        page = instance.fetch_materializations(key, limit=_MADE_PAGE, cursor=cursor)
        for record in page.records:
            made = record.asset_materialization
            if made is None or not record.run_id:
                continue  # reported by hand: nothing ran
            version = (made.tags or {}).get(_DATA_VERSION_TAG)
            if found is not None and (version is None or version != stands):
                return found
            found, stands = record.run_id, version
        if not page.has_more:
            return found
        cursor = page.cursor


def clear_killed(instance: dg.DagsterInstance, root: DataRoot) -> list[str]:
    """Mark runs as failed that count as started though their process is gone. They would block the next for good."""
    gone = [
        run
        for run in instance.get_runs(dg.RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING]))
        if _is_gone(instance, run, root)
    ]
    return [run.run_id for run in gone if mark_killed(instance, run.run_id)]


def mark_killed(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Mark one run as failed because its process is gone; False where it ended meanwhile, or nobody knows it."""
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    instance.report_run_failed(run, KILLED)
    return True


def _is_gone(instance: dg.DagsterInstance, run: dg.DagsterRun, root: DataRoot) -> bool:
    holder = lock.holder(root)
    if holder is not None and holder.run == run.run_id:
        return not holder.alive()
    # Killed before its first step, or after another run had taken the lock from it. Its own log names its processes.
    if json.loads(run.tags.get(_SERVER_TAG, "{}")).get("host", "localhost") != "localhost":
        return False  # they are on another machine
    processes = [
        (int(str(pid.value)), entry.timestamp)
        for entry in instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
        if entry.dagster_event is not None
        and (pid := entry.dagster_event.engine_event_data.metadata.get("pid")) is not None
    ]
    return bool(processes) and not any(lock.was_there(pid, when) for pid, when in processes)


def failures(events: Iterable[dg.DagsterEvent]) -> dict[str, str]:
    """What failed, and what it said; a check that failed by name. Holds nothing but our own errors' words."""
    told = {}
    for event in events:
        if event.is_step_failure:
            data = event.step_failure_data.user_failure_data
            told[event.step_key or "a step"] = (
                data.description if data else None
            ) or "failed; its log in the UI says why"
        elif event.event_type is DagsterEventType.ASSET_CHECK_EVALUATION:
            check = event.asset_check_evaluation_data
            if not check.passed:
                told[f"check {check.check_name}"] = "failed"
        elif event.event_type is DagsterEventType.RUN_FAILURE and not told:
            told["the run"] = event.message if event.message == KILLED else "failed; its log in the UI says why"
    return told
