"""Starting Dagster on a data root: a release run in this process, or the UI.

What belongs here: the instance, and launching. What does not: what a run does.
"""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import dagster as dg

from relaion_pipeline import definitions, progress, report_tables, runs, settings
from relaion_pipeline.audit import published
from relaion_pipeline.definitions import DATA_VARIABLE
from relaion_pipeline.history import rollback
from relaion_pipeline.history.rollback import Rollback
from relaion_pipeline.jobs import RELEASE_JOB
from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.publish import state
from relaion_pipeline.release import lock, readiness, versions
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.lock import Holder
from relaion_pipeline.resources import run_is_over
from relaion_pipeline.shards import ShardError
from relaion_pipeline.unattended import watch

INSTANCE_SETTINGS = """\
# Dagster's own settings for this data root; https://docs.dagster.io/deployment/oss/dagster-yaml lists them all.
telemetry:
  enabled: false
nux:  # no invitation to join mailing lists
  enabled: false
concurrency:  # one release at a time on a data root: the next waits, and finds what the first has done
  runs:
    max_concurrent_runs: 1
run_monitoring:  # a run that never starts, or never ends although it was told to, is marked as failed
  enabled: true
"""


@dataclass(frozen=True)
class Outcome:
    """How a release run ended."""

    folder: Path | None  # of the current release
    made: bool  # whether this run made it
    failures: tuple[str, ...] = ()
    newest: str | None = None  # the newest release, where a rollback made another one current
    unpublished: tuple[str, ...] = ()  # destinations that want it and that it has not reached
    cleared: tuple[str, ...] = ()  # runs that had been killed and now count as failed


def prepare_home(root: DataRoot) -> Path:
    """Make sure that `dagster_home` is there, with telemetry off. Private: event logs are nobody else's business."""
    home = make_private(root.dagster_home)
    if not (home / "dagster.yaml").exists():
        write_text(home / "dagster.yaml", INSTANCE_SETTINGS)
    return home


def release(root: DataRoot, version: str | None = None) -> Outcome:
    """Run the release job in this process, on the instance that the UI shows, unless nothing changed.

    Raises:
        SettingsError, ShardError, FeedError, KeywordError: the inputs cannot be read.
    """
    inputs = Inputs(root, settings.load(root.path))
    with dg.DagsterInstance.from_config(str(prepare_home(root))) as instance:
        cleared = tuple(runs.clear_killed(instance, root))
    unchanged = inputs.unchanged_release()
    if unchanged is not None:
        rollback.settle(root, unchanged)
        moved = rollback.in_force(root)
        if moved:
            return Outcome(versions.current(root), made=False, newest=moved.newest, cleared=cleared)
        # Sending is a decision of its own where no run makes a release: the command is told, not carried out.
        missing = state.missing(root, unchanged, inputs.settings.publish)
        return Outcome(versions.current(root), made=False, unpublished=missing, cleared=cleared)
    if version is not None:
        readiness.check_version(root, version)
    rows = _rows(inputs)
    os.environ["DAGSTER_HOME"] = str(prepare_home(root))
    os.environ[DATA_VARIABLE] = str(root.path)
    job = dg.build_reconstructable_job(
        "relaion_pipeline.launch", "reconstruct_release_job", reconstructable_args=(str(root.path),)
    )
    config: dict[str, object] = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    if version is not None:
        config["ops"] = {"release": {"config": {"version": version}}}
    with (
        dg.DagsterInstance.get() as instance,
        report_tables.bars(rows) as listener,
        progress.listening(listener),
        dg.execute_job(job, instance=instance, run_config=config, tags={runs.STATE_TAG: watch.state(inputs)}) as result,
    ):
        if not result.success:
            made = Inputs(root, inputs.settings).unchanged_release() is not None  # and only its publishing failed
            return Outcome(versions.current(root), made=made, failures=_failures(result), cleared=cleared)
    return Outcome(published.current_release(root), made=True, cleared=cleared)


def roll_back(root: DataRoot, version: str) -> Rollback:
    """Make another release current, while no run works on the data root.

    Raises:
        LockedError: a run makes a release.
        NoReleaseError, RollbackError, ManifestError: there is no such release, or it is not whole.
    """
    os.environ["DAGSTER_HOME"] = str(prepare_home(root))
    with dg.DagsterInstance.get() as instance:
        holder = Holder.of_process(f"rollback-{uuid4()}", os.getpid())
        with lock.held(root, holder, run_is_over(instance)):
            return rollback.roll_back(root, version)


def _rows(inputs: Inputs) -> int | None:
    """Rows of all shards, for the progress bars; None where one cannot be read: its slice fails, others go on."""
    try:
        return sum(shard.rows for shard in inputs.shards)
    except ShardError:
        return None


def reconstruct_release_job(data_root: str) -> dg.JobDefinition:
    """The release job of a data root, for Dagster to build by name."""
    return definitions.build_defs(DataRoot.at(data_root)).resolve_job_def(RELEASE_JOB)


def ui_command(root: DataRoot, host: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The command and environment that start the UI and its daemon on a data root."""
    environment = os.environ | {"DAGSTER_HOME": str(prepare_home(root)), DATA_VARIABLE: str(root.path)}
    module = ["-m", definitions.__name__]
    # `dg dev`, which the warning recommends, starts this very command and needs a package of its own.
    quiet = ["-W", "ignore:Function `dev_command` is superseded"]
    command = [sys.executable, *quiet, "-m", "dagster", "dev", *module, "--host", host, "--port", str(port)]
    return command, environment


def _failures(result: dg.JobExecutionResult) -> tuple[str, ...]:
    """What the failed steps said, each once; checks that failed by name."""
    told = []
    for event in result.all_events:
        if event.is_step_failure:
            data = event.step_failure_data
            said = data.user_failure_data.description if data.user_failure_data else None
            told.append(f"{event.step_key}: {said or (data.error.message.strip() if data.error else 'failed')}")
        elif event.event_type_value == "ASSET_CHECK_EVALUATION" and not event.asset_check_evaluation_data.passed:
            told.append(f"check {event.asset_check_evaluation_data.check_name} failed")
    return tuple(dict.fromkeys(told)) or ("the run failed; see it in the UI",)
