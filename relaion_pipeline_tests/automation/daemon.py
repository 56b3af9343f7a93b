"""The UI and its daemon as a user starts them, and what became of the runs that they launched."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import psutil

from relaion_pipeline import launch
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import versions
from relaion_pipeline_tests.orchestration import runs

WITHIN = 150
AUTOMATION = "\n[automation]\nsensor = true\nquiet_seconds = 4\npoll_seconds = 5\n"


def automate(root: DataRoot, text: str = AUTOMATION) -> None:
    with (root.path / "relaion.toml").open("a") as file:
        file.write(text)


class Daemon:
    """`dagster dev` on a data root, with all its processes."""

    def __init__(self, root: DataRoot, log: Path, **environment: str) -> None:
        self._root, self._log = root, log
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        command, inherited = launch.ui_command(root, "127.0.0.1", port)
        checkout = Path(__file__).parents[2]
        with log.open("a") as file:
            self._process = subprocess.Popen(
                command,
                cwd=root.path,
                env=inherited | environment | {"PYTHONPATH": str(checkout)},
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def family(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self._process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def kill(self) -> None:
        """As a power failure does it: nobody has time to say anything."""
        family = self.family()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        for each in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                each.kill()
        psutil.wait_procs(family, timeout=10)
        self._process.wait()

    def told(self) -> str:
        return self._log.read_text()


@contextlib.contextmanager
def running(root: DataRoot, log: Path, **environment: str) -> Iterator[Daemon]:
    daemon = Daemon(root, log, **environment)
    try:
        yield daemon
    finally:
        daemon.kill()


def wait_for(what: Callable[[], bool], daemon: Daemon, within: float = WITHIN) -> None:
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline, f"it did not come to that:\n{daemon.told()[-6_000:]}"
        time.sleep(0.5)


def ended(root: DataRoot) -> list[dg.DagsterRun]:
    """Runs that have ended, oldest first."""
    with runs.instance(root) as opened:
        return [run for run in reversed(opened.get_runs()) if run.is_finished]


def all_runs(root: DataRoot) -> list[dg.DagsterRun]:
    with runs.instance(root) as opened:
        return list(reversed(opened.get_runs()))


def releases(root: DataRoot) -> list[str]:
    return versions.released(root)


def settle(root: DataRoot, seconds: float = 20) -> list[dg.DagsterRun]:
    """All runs there are after a while: a run too many would have come by then."""
    time.sleep(seconds)
    return all_runs(root)
