"""The sensor and the schedule on real data: what they ask for, and what they say when they ask for nothing."""

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.test_utils import create_run_for_test

from relaion_pipeline import automation, launch, settings
from relaion_pipeline.feeds import loading
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import lock, versions
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.lock import Holder
from relaion_pipeline.runs import STATE_TAG
from relaion_pipeline.unattended import watch
from relaion_pipeline_tests.automation import daemon
from relaion_pipeline_tests.orchestration import runs

LINKS = "feeds/hrw/links.txt"
HASHES = "feeds/iwf/links.md5.txt"
QUIET = 60


@dataclass
class Eye:
    """Looks at a data root as the daemon does, with a clock that is set by hand."""

    root: DataRoot
    instance: dg.DagsterInstance
    now: float
    cursor: str | None = None

    def look(self, after: float = 0.0) -> tuple[dg.RunRequest | None, str | None, list[dg.AssetObservation]]:
        """One look: the run that is asked for, or why there is none, and the feeds reported as changed."""
        self.now += after
        sensor = automation.release_sensor(self.root, settings.load(self.root.path))
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor)
        result = sensor(context)
        if isinstance(result, dg.SkipReason):
            return None, result.skip_message, []
        assert isinstance(result, dg.SensorResult)
        self.cursor = result.cursor
        requests = result.run_requests or []
        assert len(requests) <= 1
        skipped = result.skip_reason.skip_message if result.skip_reason else None
        return (requests[0] if requests else None), skipped, list(result.asset_events)  # type: ignore[arg-type]

    def scheduled(self) -> tuple[dg.RunRequest | None, str | None]:
        (schedule,) = automation.schedules(self.root, settings.load(self.root.path))
        context = dg.build_schedule_context(instance=self.instance)
        result = schedule.evaluate_tick(context)
        return (result.run_requests or [None])[0], result.skip_message

    def ended(self, status: dg.DagsterRunStatus, request: dg.RunRequest) -> None:
        """What was asked for ran, and ended so."""
        tags = {**request.tags, "dagster/failure_reason": "STEP_FAILURE"}
        create_run_for_test(self.instance, job_name="release_job", status=status, tags=tags)


@pytest.fixture
def eye(copied: Callable[[], DataRoot], monkeypatch: pytest.MonkeyPatch) -> Iterator[Eye]:
    root = copied()
    daemon.automate(root, f'[automation]\nsensor = true\nquiet_seconds = {QUIET}\ncron = "0 3 * * *"\n')
    with runs.instance(root) as opened:
        looking = Eye(root, opened, time.time() + 10 * QUIET)
        monkeypatch.setattr(automation.time, "time", lambda: looking.now)
        yield looking


def append(root: DataRoot, text: str = "https://added.example/1.jpg\n", file: str = LINKS) -> None:
    with (root.path / file).open("a") as opened:
        opened.write(text)


def test_nothing_changed_nothing_is_asked_for(eye: Eye) -> None:
    """Settings of automation are no change either: the fixture added them after the release."""
    eye.look()
    request, why, observed = eye.look(QUIET)
    assert (request, observed) == (None, [])
    assert why is not None
    assert re.match(r"nothing changed since release \d", why)
    assert eye.scheduled() == (None, why)


def test_a_changed_list_leads_to_one_run_after_the_quiet_period(eye: Eye) -> None:
    eye.look()
    append(eye.root)
    request, why, _ = eye.look(QUIET)
    assert request is None
    assert why == f"inputs changed; a release is made if no more do for {QUIET} s"
    append(eye.root, file="keywords.txt", text="another\n")
    assert eye.look(QUIET - 1)[0] is None  # what was a second change begins the period anew
    request, _, observed = eye.look(QUIET)
    assert request is not None
    assert [event.asset_key for event in observed] == [dg.AssetKey(["feeds", "hrw-links"])]
    again, _, observed = eye.look(1)  # the daemon went down before it noted that: Dagster knows the key
    assert again is not None
    assert (again.run_key, observed) == (request.run_key, [])
    eye.ended(dg.DagsterRunStatus.NOT_STARTED, request)
    assert (eye.look()[1] or "").endswith("is active")
    assert (eye.scheduled()[1] or "").endswith("is active")


def test_what_is_told_of_a_changed_list_says_nothing_of_its_content(eye: Eye) -> None:
    """Whoever holds the source could try its links against a plain digest of a short list."""
    append(eye.root)
    eye.look()
    request, _, (observed,) = eye.look(QUIET)
    assert request is not None
    assert set(observed.metadata) == {"partner", "version"}
    assert not observed.tags
    inputs = inputs_of(eye.root)
    plain = {inputs.sha256, *(inputs.digests.sha256(path) for path in watch.files(inputs))}
    told = json.dumps([request.run_key, dict(request.tags), eye.cursor])
    assert not [digest for digest in plain if digest[:12] in told]
    eye.root.salt.write_bytes(b"another key")
    assert request.tags[STATE_TAG] != watch.state(inputs)


def inputs_of(root: DataRoot) -> Inputs:
    return Inputs(root, settings.load(root.path))


def test_a_file_that_grows_is_not_quiet(eye: Eye) -> None:
    for _ in range(5):
        append(eye.root)
        request, why, _ = eye.look(QUIET + 1)
        assert request is None
        assert why is not None
        assert "inputs changed" in why
    assert eye.look(QUIET)[0] is not None


def test_a_file_that_changes_while_it_is_read_is_looked_at_later(eye: Eye, monkeypatch: pytest.MonkeyPatch) -> None:
    append(eye.root)
    eye.look()
    with monkeypatch.context() as patched:

        def grows(path: Path) -> str:
            append(eye.root)
            return "0" * 64

        patched.setattr("relaion_pipeline.shards.digests.sha256_file", grows)
        assert "changed while it was read" in (eye.look(QUIET)[1] or "")
    assert eye.look()[0] is None
    assert eye.look(QUIET)[0] is not None


def test_new_files_are_read_over_several_looks(eye: Eye, monkeypatch: pytest.MonkeyPatch) -> None:
    append(eye.root)
    eye.look()
    monkeypatch.setattr(automation, "_DIGEST_SECONDS", -1)
    request, why, _ = eye.look(QUIET)
    assert request is None
    assert "being read" in (why or "")
    monkeypatch.setattr(automation, "_DIGEST_SECONDS", 20)
    assert eye.look()[0] is not None


def test_inputs_that_cannot_be_read_lead_to_one_run_that_fails(eye: Eye) -> None:
    """A list that is missing, or a folder; no keyword: a failed run tells of it, once, and it is over when mended."""
    path, keywords = eye.root.path / LINKS, eye.root.path / "keywords.txt"
    whole, words = path.read_bytes(), keywords.read_text()
    states = set()
    for spoil in (lambda: keywords.write_text(""), path.unlink, path.mkdir):
        spoil()
        assert eye.look()[0] is None
        request, why, observed = eye.look(QUIET)
        assert request is not None, why
        assert not observed
        states.add(request.tags[STATE_TAG])
        eye.ended(dg.DagsterRunStatus.FAILURE, request)
        assert "failed with just these inputs" in (eye.look(QUIET)[1] or "")
        assert eye.scheduled()[0] is None
    assert len(states) == 3
    path.rmdir()
    path.write_bytes(whole)
    keywords.write_text(words)
    eye.look()
    assert "nothing changed" in (eye.look(QUIET)[1] or "")


def test_what_is_amiss_is_told_again_when_something_changes_or_it_was_mended(eye: Eye) -> None:
    path = eye.root.path / LINKS
    whole = path.read_bytes()

    def told() -> str:
        eye.look()
        request, why, _ = eye.look(QUIET)
        assert request is not None, why
        eye.ended(dg.DagsterRunStatus.FAILURE, request)
        assert "failed with just these inputs" in (eye.look(QUIET)[1] or "")
        return request.tags[STATE_TAG]

    path.unlink()
    states = {told()}
    append(eye.root, file=HASHES, text="0" * 31 + "1\n")
    states.add(told())
    path.write_bytes(whole)
    eye.look()
    path.unlink()
    states.add(told())
    assert len(states) == 3


def test_a_folder_that_cannot_be_entered_is_amiss_too(eye: Eye, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated, since root may enter any."""

    def denied(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(loading, "files", denied)
    eye.look()
    assert eye.look(QUIET)[0] is not None


def without_sensor(root: DataRoot) -> None:
    path = root.path / "relaion.toml"
    path.write_text(path.read_text().replace("sensor = true", "sensor = false"))


def test_a_schedule_alone_tells_what_is_amiss_each_time(eye: Eye) -> None:
    without_sensor(eye.root)
    (eye.root.path / LINKS).unlink()
    for _ in range(2):
        request, _ = eye.scheduled()
        assert request is not None
        eye.ended(dg.DagsterRunStatus.FAILURE, request)


def test_a_schedule_leaves_alone_what_is_still_being_copied(eye: Eye, monkeypatch: pytest.MonkeyPatch) -> None:
    without_sensor(eye.root)
    append(eye.root)

    def grows(path: Path) -> str:
        append(eye.root)
        return "0" * 64

    monkeypatch.setattr("relaion_pipeline.shards.digests.sha256_file", grows)
    request, why = eye.scheduled()
    assert request is None
    assert "changed while it was read" in (why or "")


def test_settings_that_are_being_edited_are_said(eye: Eye) -> None:
    sensor = automation.release_sensor(eye.root, settings.load(eye.root.path))
    path = eye.root.path / "relaion.toml"
    whole = path.read_text()
    for text, said in (
        (whole.replace("[nsfw]", "[nsfw"), "not valid TOML"),
        (whole.replace("[feeds.hrw-links]", "[feeds.renamed]"), "reload them"),
    ):
        path.write_text(text)
        result = sensor(dg.build_sensor_context(instance=eye.instance))
        told = result.skip_message if isinstance(result, dg.SkipReason) else result.skip_reason.skip_message  # type: ignore[union-attr]
        assert said in told
    path.write_text(whole.replace("research_safe_above = 0.45", "research_safe_above = 0.40"))
    eye.look()
    assert eye.look(QUIET)[0] is not None  # a threshold leads to a release; no restart needed


@pytest.mark.slow
def test_what_failed_is_tried_again_only_when_it_changes(eye: Eye) -> None:
    """With a real run: a list without a hash in it fails."""
    whole = (eye.root.path / HASHES).read_bytes()
    (eye.root.path / HASHES).write_text("https://no-hash.example/\n" * 50)
    eye.look()
    request, _, _ = eye.look(QUIET)
    assert request is not None
    assert launch.release(eye.root).failures  # tags its run as the sensor does
    for why in (eye.look(QUIET)[1], eye.scheduled()[1]):
        assert "failed with just these inputs" in (why or "")
    append(eye.root, file=HASHES, text="still none\n")
    eye.look()
    changed, _, _ = eye.look(QUIET)
    assert changed is not None
    assert changed.run_key != request.run_key
    (eye.root.path / HASHES).write_bytes(whole)
    eye.look()
    assert "nothing changed since" in (eye.look(QUIET)[1] or "")


def test_an_earlier_state_can_come_back(eye: Eye) -> None:
    """Released, then another list was released, then the first came back: that is a run anew, not an old key."""
    whole = (eye.root.path / LINKS).read_bytes()
    keys = set()
    for _ in range(2):
        append(eye.root)
        eye.look()
        request, _, _ = eye.look(QUIET)
        assert request is not None
        keys.add(request.run_key)
        eye.ended(dg.DagsterRunStatus.FAILURE, request)
        assert eye.look()[0] is None
        (eye.root.path / LINKS).write_bytes(whole)
        append(eye.root, text="https://between.example/\n")
        eye.look()
        request, _, _ = eye.look(QUIET)
        assert request is not None
        keys.add(request.run_key)
        eye.ended(dg.DagsterRunStatus.FAILURE, request)
        (eye.root.path / LINKS).write_bytes(whole)
    assert len(keys) == 4


@pytest.mark.slow
def test_a_run_that_found_another_at_work_says_nothing_of_its_inputs(eye: Eye) -> None:
    append(eye.root)
    eye.look()
    request, _, _ = eye.look(QUIET)
    assert request is not None
    running = create_run_for_test(eye.instance, job_name="release_job", status=dg.DagsterRunStatus.STARTED)
    lock.acquire(eye.root, Holder.of_process(running.run_id, os.getpid()), lambda _: True)
    locked_out = launch.release(eye.root)
    assert "is making a release" in locked_out.failures[0]
    eye.instance.report_run_canceled(running)
    assert eye.look()[0] is not None


def test_the_schedule_leaves_what_is_still_coming_to_the_sensor(eye: Eye) -> None:
    append(eye.root)
    eye.now = (eye.root.path / LINKS).stat().st_ctime + 1
    request, why = eye.scheduled()
    assert request is None
    assert "the sensor makes a release when no more do" in (why or "")
    eye.now += QUIET
    request, _ = eye.scheduled()
    assert request is not None
    assert request.tags[STATE_TAG] == watch.state(inputs_of(eye.root))


@pytest.mark.slow
def test_a_run_too_many_ends_well_and_makes_no_release(eye: Eye) -> None:
    """The sensor's and the schedule's at once: the queue lets one after the other, and the second has nothing to do."""
    before = versions.released(eye.root)
    ran = runs.execute(eye.root)
    assert ran.success, ran.messages
    assert ran.told("nothing to do")
    assert versions.released(eye.root) == before


def test_what_is_configured_runs_and_nothing_else(copied: Callable[[], DataRoot]) -> None:
    root = copied()
    plain = settings.load(root.path)
    assert automation.schedules(root, plain) == []
    assert {each.name: each.default_status.value for each in automation.sensors(root, plain)} == {
        automation.RELEASE_SENSOR: "STOPPED",
        automation.KILLED_SENSOR: "RUNNING",
    }
    daemon.automate(
        root,
        '[automation]\nsensor = true\ncron = "0 3 * * 1"\ntimezone = "Europe/Berlin"\nmax_release_age_days = 9\n'
        '[notify]\nwebhook_variable = "HOOK"\n',
    )
    chosen = settings.load(root.path)
    (schedule,) = automation.schedules(root, chosen)
    assert (schedule.cron_schedule, schedule.execution_timezone) == ("0 3 * * 1", "Europe/Berlin")
    assert schedule.default_status.value == "RUNNING"
    assert {each.default_status.value for each in automation.sensors(root, chosen)} == {"RUNNING"}
    assert len(automation.sensors(root, chosen)) == 3


def test_a_cron_line_that_is_none_is_named(copied: Callable[[], DataRoot]) -> None:
    root = copied()
    daemon.automate(root, '[automation]\ncron = "a b c d e"\n')
    with pytest.raises(settings.SettingsError, match=r"relaion.toml: automation.cron: 'a b c d e' is no cron line"):
        automation.schedules(root, settings.load(root.path))
