"""What starts runs and tells of them when nobody is watching: schedule, sensors, freshness.

What belongs here: sensors and schedules, as Dagster wants them. What does not: whether a release is due, and telling
somebody of a failure (`unattended`). Dagster explains the concepts under "Schedules", "Sensors" and "Freshness".
"""

import time
from datetime import timedelta

import dagster as dg

from relaion_pipeline import runs, settings
from relaion_pipeline.assets import graph
from relaion_pipeline.jobs import RELEASE_JOB, release_job
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import versions
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.resources import failures
from relaion_pipeline.settings import Settings, SettingsError
from relaion_pipeline.unattended import notices, watch
from relaion_pipeline.unattended.decision import Decision, decide
from relaion_pipeline.unattended.notices import Notice
from relaion_pipeline.unattended.watch import Memory

RELEASE_SENSOR = "release_when_inputs_change"
RELEASE_SCHEDULE = "release_on_schedule"
KILLED_SENSOR = "clear_killed_runs"
FAILURE_SENSOR = "tell_of_failures"

_DIGEST_SECONDS = 20
"""How long one look may read new files. Dagster gives up on a sensor after 60 s; what was read is not read again."""


def sensors(root: DataRoot, loaded: Settings) -> list[dg.SensorDefinition]:
    """The sensors of a data root; those that are configured run from the start."""
    found = [release_sensor(root, loaded), killed_sensor(root, loaded)]
    if loaded.notify.webhook_variable or loaded.notify.email_to:
        found.append(failure_sensor(root, loaded))
    return found


def release_sensor(root: DataRoot, loaded: Settings) -> dg.SensorDefinition:
    """Launches a release when an input changed and then none did for the quiet period."""
    chosen = loaded.automation

    @dg.sensor(
        name=RELEASE_SENSOR,
        job=release_job,
        minimum_interval_seconds=chosen.poll_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING if chosen.sensor else dg.DefaultSensorStatus.STOPPED,
        description=f"Makes a release when a list, shard, keyword file or setting changed, once nothing more changed "
        f"for {chosen.quiet_seconds} s. Inputs that made a run fail are not tried again.",
    )
    def release_when_inputs_change(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        try:
            with failures():
                return _look(root, loaded, context.instance, Memory.read(context.cursor))
        except dg.Failure as failure:  # a file that vanished or grew while it was looked at: the next look sees more
            return dg.SkipReason(failure.description)

    return release_when_inputs_change


def _look(root: DataRoot, loaded: Settings, instance: dg.DagsterInstance, before: Memory) -> dg.SensorResult:
    now = time.time()
    inputs = Inputs(root, settings.load(root.path))
    sight = watch.look(inputs)
    memory = before.after(sight, now)
    left = memory.since + inputs.settings.automation.quiet_seconds - now
    problem = None
    reason = _busy(root, loaded, inputs, instance)
    if reason is None and left > 0:
        reason = f"inputs changed; a release is made if no more do for {left:.0f} s"
    if reason is None:
        reading = watch.digest(inputs, sight, _DIGEST_SECONDS)
        problem = reading.problem
        if not reading.whole:
            reason = "new files are being read; this goes on with the next look"
        elif reading.changing:
            reason = problem
    if reason is not None:
        return dg.SensorResult(skip_reason=reason, cursor=memory.text())
    changed = memory.reported if problem else watch.changed_feeds(inputs)
    news = [_observation(inputs, name) for name in changed if memory.reported.get(name) != changed[name]]
    memory = Memory(memory.fingerprint, memory.since, changed)
    decision, tags = _decide(inputs, instance, problem and f"{problem} ({memory.since})")
    if decision.run_key is None:
        return dg.SensorResult(skip_reason=decision.reason, cursor=memory.text(), asset_events=news)
    request = dg.RunRequest(decision.run_key, tags=tags)
    return dg.SensorResult([request], cursor=memory.text(), asset_events=news)


def schedules(root: DataRoot, loaded: Settings) -> list[dg.ScheduleDefinition]:
    """The schedule of a data root, if it has one.

    Raises:
        SettingsError: the cron line is none.
    """
    chosen = loaded.automation
    if chosen.cron is None:
        return []

    def release_on_schedule(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        try:
            with failures():
                return _scheduled(root, loaded, context.instance)
        except dg.Failure as failure:
            return dg.SkipReason(failure.description)

    problem = ""
    try:
        return [
            dg.ScheduleDefinition(
                RELEASE_SCHEDULE,
                job=release_job,
                cron_schedule=chosen.cron,
                execution_timezone=chosen.timezone,
                execution_fn=release_on_schedule,
                default_status=dg.DefaultScheduleStatus.RUNNING,
                description="Makes a release if an input changed since the last one.",
            )
        ]
    except dg.DagsterInvalidDefinitionError:
        problem = (
            f"{root.path / settings.SETTINGS_FILE}: automation.cron: '{chosen.cron}' is no cron line, as 0 3 * * 1"
        )
    raise SettingsError(problem)


def _scheduled(root: DataRoot, loaded: Settings, instance: dg.DagsterInstance) -> dg.RunRequest | dg.SkipReason:
    inputs = Inputs(root, settings.load(root.path))
    sight = watch.look(inputs)
    reason = _busy(root, loaded, inputs, instance)
    age = time.time() - sight.newest
    if reason is None and loaded.automation.sensor and age < inputs.settings.automation.quiet_seconds:
        reason = f"inputs changed {age:.0f} s ago; the sensor makes a release when no more do"
    if reason is not None:
        return dg.SkipReason(reason)
    reading = watch.digest(inputs, sight, _DIGEST_SECONDS)
    if not reading.whole:
        return dg.RunRequest()  # so much is new that something changed; the run itself reads the rest
    if reading.problem:
        left_alone = reading.changing or loaded.automation.sensor
        return dg.SkipReason(reading.problem) if left_alone else dg.RunRequest()
    decision, tags = _decide(inputs, instance)
    if decision.run_key is None:
        return dg.SkipReason(decision.reason)
    return dg.RunRequest(decision.run_key, tags=tags)


def _busy(root: DataRoot, loaded: Settings, inputs: Inputs, instance: dg.DagsterInstance) -> str | None:
    """Why no run can be launched now, whatever changed."""
    runs.clear_killed(instance, root)
    active = runs.active(instance)
    if active is not None:
        return f"run {active} is active"
    if _assets(loaded) != _assets(inputs.settings):
        return (
            f"{settings.SETTINGS_FILE} names other feeds, subsets, slices or destinations than Dagster has loaded: "
            f"reload them in the UI (Deployment, Reload), or start it again"
        )
    return None


def _assets(described: Settings) -> object:
    """What the asset graph is made from."""
    return set(described.feeds), list(graph.slices(described)), set(described.publish)


def _decide(
    inputs: Inputs, instance: dg.DagsterInstance, problem: str | None = None
) -> tuple[Decision, dict[str, str]]:
    """Whether to launch a run. One whose inputs cannot be read fails, so that somebody is told of the `problem`."""
    state = watch.state(inputs, problem)
    released = None if problem else inputs.unchanged_release()
    return decide(state, released, runs.attempts(instance)), {runs.STATE_TAG: state}


def _observation(inputs: Inputs, name: str) -> dg.AssetObservation:
    """Says that a feed changed, nothing of what is in it."""
    feed = inputs.settings.feeds[name]
    return dg.AssetObservation(
        graph.feed_key(name),
        description="The list's files are not those that were compiled last.",
        metadata={"partner": feed.partner, "version": feed.version},
    )


def killed_sensor(root: DataRoot, loaded: Settings) -> dg.SensorDefinition:
    """Clears runs that were killed: the queue would wait for them."""

    @dg.sensor(
        name=KILLED_SENSOR,
        minimum_interval_seconds=loaded.automation.poll_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs as failed whose process is gone, after a kill or a power failure.",
    )
    def clear_killed_runs(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        cleared = runs.clear_killed(context.instance, root)
        return dg.SkipReason(f"marked as failed: {', '.join(cleared)}" if cleared else "no run was killed")

    return clear_killed_runs


def failure_sensor(root: DataRoot, loaded: Settings) -> dg.SensorDefinition:
    """Tells somebody of every run that fails, whoever launched it."""

    @dg.run_failure_sensor(
        name=FAILURE_SENSOR,
        monitor_all_code_locations=True,  # the instance is the data root's own; `relaion release` is of no location
        minimum_interval_seconds=loaded.automation.poll_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Tells of runs that failed, as [notify] in relaion.toml says. If it cannot, its tick fails.",
    )
    def tell_of_failures(context: dg.RunFailureSensorContext) -> None:
        run = context.dagster_run
        events = [entry.dagster_event for entry in context.instance.all_logs(run.run_id)]
        current = versions.current(root)
        notice = Notice(
            dataset=loaded.dataset.name,
            run=run.run_id,
            job=RELEASE_JOB if run.job_name == RELEASE_JOB else "assets",
            failures=runs.failures(event for event in events if event is not None),
            current=current.name if current else None,
        )
        try:
            notices.send(notice, loaded.notify)
        except notices.NoticeError as error:
            context.log.error(str(error))  # noqa: TRY400  (a traceback says nothing more)
            raise

    return tell_of_failures


def with_freshness(built: list[dg.AssetsDefinition], loaded: Settings) -> list[dg.AssetsDefinition]:
    """The assets, with the release overdue when it is older than the settings allow."""
    days = loaded.automation.max_release_age_days
    if days is None:
        return built
    policy = dg.FreshnessPolicy.time_window(fail_window=timedelta(days=days))

    def overdue(spec: dg.AssetSpec) -> dg.AssetSpec:
        return spec.replace_attributes(freshness_policy=policy)

    return [each.map_asset_specs(overdue) if each.key == graph.RELEASE else each for each in built]
