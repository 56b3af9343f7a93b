"""One release at a time on a data root: the run that holds the lock, whoever launched it.

The lock is a record of its holder. It needs no clean-up: a holder that has ended, however it ended, holds nothing.
"""

import fcntl
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from relaion_pipeline.layout import PRIVATE_FILE_MODE, DataRoot, make_private


class LockedError(Exception):
    """Another run is making a release; the message says which and what to do."""


@dataclass(frozen=True)
class Holder:
    """Who makes a release."""

    run: str
    host: str
    process: int
    started: int  # of the process, in clock ticks since boot: process numbers are used again

    @classmethod
    def of_process(cls, run: str, process: int) -> "Holder":
        """The run `run`, living in a process of this machine."""
        return cls(run, socket.gethostname(), process, _started(process) or 0)

    def alive(self) -> bool:
        """Whether the holder's process is there; on another machine it must be taken to be."""
        return self.host != socket.gethostname() or _started(self.process) == self.started


def acquire(root: DataRoot, holder: Holder, is_over: Callable[[str], bool]) -> Holder | None:
    """Take the lock for `holder`; a run that has it already keeps it. Returns a dead holder, if it was taken from one.

    `is_over` tells of a run whether the orchestrator knows that it has ended.

    Raises:
        LockedError: another run has it and is alive.
    """
    make_private(root.private)
    with root.lock.open("a+", encoding="utf-8") as file:
        root.lock.chmod(PRIVATE_FILE_MODE)
        fcntl.flock(file, fcntl.LOCK_EX)  # for the blink of looking and writing
        last = _read(root.lock)
        if last is not None and last.run == holder.run:
            return None
        if last is not None and last.alive() and not is_over(last.run):
            raise LockedError(
                f"run {last.run} is making a release on {root.path} (process {last.process} on {last.host}); "
                f"wait for it, or end it in the Dagster UI"
            )
        file.truncate(0)
        file.write(json.dumps(asdict(holder)))
        return last


@contextmanager
def held(root: DataRoot, holder: Holder, is_over: Callable[[str], bool]) -> Iterator[None]:
    """Hold the lock for a short work that is no run, and give it back."""
    acquire(root, holder, is_over)
    try:
        yield
    finally:
        with root.lock.open("a+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if _read(root.lock) == holder:
                file.truncate(0)


def holder(root: DataRoot) -> Holder | None:
    """Who took the lock last, whether there still or not."""
    return _read(root.lock)


def was_there(process: int, when: float) -> bool:
    """Whether a process of this machine is the one that had its number at `when` (seconds since 1970)."""
    started = _started(process)
    if started is None:
        return False
    return _booted() + started / os.sysconf("SC_CLK_TCK") <= when + 2  # the boot time is rounded


def _read(path: Path) -> Holder | None:
    try:
        return Holder(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _booted() -> float:
    lines = Path("/proc/stat").read_text(encoding="utf-8").splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("btime "))


def _started(process: int) -> int | None:
    """Start time of a process from /proc, or None where there is no such process."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[19])
