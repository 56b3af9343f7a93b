"""With the daemon running and nobody clicking: what is dropped in becomes one release, and what fails fails once."""

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import launch
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import lock
from relaion_pipeline_tests.automation import daemon
from relaion_pipeline_tests.automation.daemon import Daemon

pytestmark = pytest.mark.slow

LINKS = "feeds/hrw/links.txt"
HASHES = "feeds/iwf/links.md5.txt"


def add(root: DataRoot, number: int, file: str = LINKS) -> None:
    """Add an entry to a list, as a partner's new version does."""
    with (root.path / file).open("a") as opened:
        opened.write(f"https://added.example/{number}.jpg\n")


@pytest.fixture
def webhook() -> Iterator[tuple[str, list[dict[str, object]]]]:
    """A server on this machine, and the JSON that it was sent."""
    received: list[dict[str, object]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook", received
    server.shutdown()


def test_what_is_dropped_in_becomes_one_release(
    copied: Callable[[], DataRoot], tmp_path: Path, webhook: tuple[str, list[dict[str, object]]]
) -> None:
    """A list; three files at once; a shard; a list that makes the release fail: one run each."""
    root = copied()
    address, received = webhook
    daemon.automate(root, daemon.AUTOMATION + '[notify]\nwebhook_variable = "HOOK"\n')
    with daemon.running(root, tmp_path / "log", HOOK=address) as running:
        _sensors_look(root, running)
        assert len(daemon.settle(root, 10)) == 1  # the release as it was copied: nothing changed, no run

        add(root, 1)
        _released(root, running, 2)

        for number, file in enumerate((LINKS, HASHES, "keywords.txt")):
            with (root.path / file).open("a") as opened:
                opened.write(
                    {LINKS: "https://added.example/2.jpg\n", "keywords.txt": "another\n"}.get(file, "0" * 32 + "\n")
                )
            time.sleep(1.5 if number < 2 else 0)
        _released(root, running, 3)

        shard = min((root.path / "raw" / "1B-nolang").glob("*.parquet"))
        pq.write_table(pq.read_table(shard).slice(0, 50), shard.with_name("part-00900.parquet"))
        _released(root, running, 4)
        assert received == []

        current = (root.releases / "current").readlink()
        (root.path / HASHES).write_text("https://no-hash.example/\n" * 50)
        daemon.wait_for(lambda: len(daemon.ended(root)) == 5, running)
        daemon.wait_for(lambda: len(received) == 1, running)
        last = daemon.settle(root)
        assert [run.status for run in last] == [dg.DagsterRunStatus.SUCCESS] * 4 + [dg.DagsterRunStatus.FAILURE]
        assert len(daemon.releases(root)) == 4
        assert (root.releases / "current").readlink() == current
        (notice,) = received
        assert notice["run"] == last[-1].run_id
        assert notice["current"] == str(current)
        assert "feeds__iwf_links" in notice["failures"]  # type: ignore[operator]
        assert "no-hash" not in json.dumps(notice)

        add(root, 5)  # a changed input, still wrong: tried once more
        daemon.wait_for(lambda: len(received) == 2, running)
        assert len(daemon.settle(root)) == 6


def _sensors_look(root: DataRoot, running: Daemon) -> None:
    daemon.wait_for(lambda: "release_when_inputs_change" in running.told(), running)


def _released(root: DataRoot, running: Daemon, count: int) -> None:
    """The next run makes the next release, and no other run comes after it."""
    daemon.wait_for(lambda: len(daemon.ended(root)) == count, running)
    assert len(daemon.releases(root)) == count
    assert len(daemon.settle(root, 10)) == count


def _at_work(root: DataRoot) -> str | None:
    """The run that holds the lock, if one is under way."""
    holder = lock.holder(root)
    unfinished = [run.run_id for run in daemon.all_runs(root) if not run.is_finished]
    return holder.run if holder is not None and holder.run in unfinished else None


def test_a_killed_run_and_a_killed_daemon_end_in_one_whole_release(
    copied: Callable[[], DataRoot], tmp_path: Path
) -> None:
    """First the run alone, as for its memory; the next one together with all that could have said so."""
    root = copied()
    daemon.automate(root)
    add(root, 1)
    killed = []
    with daemon.running(root, tmp_path / "log") as running:
        for _ in range(2):
            daemon.wait_for(lambda: _at_work(root) not in {None, *killed}, running)
            killed.append(_at_work(root))
            if len(killed) == 1:
                holder = lock.holder(root)
                assert holder is not None
                os.kill(holder.process, signal.SIGKILL)
        running.kill()
    assert len(daemon.releases(root)) == 1
    with daemon.running(root, tmp_path / "log") as running:
        daemon.wait_for(lambda: len(daemon.ended(root)) == 4, running)
        runs = daemon.settle(root)
    assert [run.status.value for run in runs] == ["SUCCESS", "FAILURE", "FAILURE", "SUCCESS"]
    assert [run.run_id for run in runs[1:3]] == killed
    assert len(daemon.releases(root)) == 2
    assert launch.release(root).made is False


def test_schedule_and_sensor_make_one_release(copied: Callable[[], DataRoot], tmp_path: Path) -> None:
    """The schedule fires every minute, so it does while the sensor's run is under way, and after it."""
    root = copied()
    daemon.automate(root, daemon.AUTOMATION.replace("quiet_seconds = 4", "quiet_seconds = 1") + 'cron = "* * * * *"\n')
    with daemon.running(root, tmp_path / "log") as running:
        _sensors_look(root, running)
        time.sleep(57 - time.time() % 60 if time.time() % 60 < 57 else 0)
        add(root, 1)
        daemon.wait_for(lambda: len(daemon.releases(root)) == 2, running)
        time.sleep(70 - time.time() % 60)  # over the next minute
        runs = daemon.settle(root, 5)
    assert all(run.is_success for run in runs)
    assert len(daemon.releases(root)) == 2
