"""A whole copy, unit by unit and several at a time.

What belongs here: the order of work, and what is reported. What does not: formats.
"""

import json
import multiprocessing
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from relaion_pipeline.clean import lists, unit_cleaning, units
from relaion_pipeline.clean.columns import Choice
from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.judging import By, Judge
from relaion_pipeline.clean.state import State
from relaion_pipeline.clean.unit_cleaning import Counted, Places
from relaion_pipeline.clean.units import REPORT, Kind, Unit
from relaion_pipeline.clean.work import Work
from relaion_pipeline.layout import PUBLIC_FILE_MODE, RESEARCH, write_text

_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Request:
    """What is to be cleaned, by what, and where it goes."""

    copy: Path
    removals: Path | None = None
    release: Path | None = None
    out: Path | None = None
    """None: in place, or nowhere in a dry run."""
    edition: str = RESEARCH
    by: By = By.EITHER
    choice: Choice = field(default_factory=Choice)
    unread: tuple[str, ...] = ()
    jobs: int = 1
    dry_run: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a copy."""

    counted: dict[str, Counted]  # by kind of unit
    units: dict[str, int]  # likewise
    failures: list[str]

    def as_json(self) -> str:
        """The report."""
        counts = {kind: {"units": self.units[kind], **asdict(counted)} for kind, counted in self.counted.items()}
        return json.dumps({"format": "relaion-clean-report/1", "counts": counts, "failures": self.failures}, indent=1)


def clean(request: Request, started: Callable[[int], Callable[[int], None]] = lambda _: lambda _: None) -> Outcome:
    """Clean a copy. `started` is told the bytes there are, and returns who is to be told of progress.

    Raises:
        CleanError: nothing can be done. What is wrong with single files is in the outcome, and the others are done.
    """
    root, found = units.find(request.copy, request.unread)
    target = None if request.dry_run else request.out or root
    if request.out is not None and _inside(request.out, root) and (request.copy.is_dir() or _inside(root, request.out)):
        raise CleanError(f"{request.out}: lies in the copy itself; choose a folder outside, or --in-place")
    state = State(target.absolute()) if target is not None else None
    places = Places(root.absolute(), state)
    with _scratch(state) as scratch:
        work = Work(_judge(request, scratch), request.choice)
        progress = started(sum(unit_cleaning.size(unit, root) for unit in found))
        results = _all(found, places, work, request.jobs, progress)
    outcome = _outcome(found, results)
    if target is not None:
        write_text(target / REPORT, outcome.as_json() + "\n", mode=PUBLIC_FILE_MODE)
    return outcome


def _judge(request: Request, scratch: Path) -> Judge:
    if request.removals is not None:
        return lists.of_removals(request.removals, request.edition, request.by, scratch)
    if request.release is None:
        raise CleanError("name removal lists, or a release")
    return lists.of_release(request.release, request.edition, request.by, scratch)


@contextmanager
def _scratch(state: State | None) -> Iterator[Path]:
    """A folder for keys."""
    if state is not None:
        with state.held():
            yield state.keys
    else:
        with tempfile.TemporaryDirectory(prefix="relaion-clean-") as folder:
            yield Path(folder)


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


Result = Counted | str
"""What was counted, or what went wrong."""


def _all(found: list[Unit], places: Places, work: Work, jobs: int, progress: Callable[[int], None]) -> list[Result]:
    if jobs == 1 or len(found) == 1:
        return [_one(unit, places, work.telling(progress)) for unit in found]
    context = multiprocessing.get_context("spawn")
    done = context.Value("q", 0)
    told = 0
    with ProcessPoolExecutor(jobs, context, _start, (done, places, work)) as pool:
        futures: list[Future[Result]] = [pool.submit(_in_worker, unit) for unit in found]
        left: set[Future[Result]] = set(futures)
        while left:
            _, left = wait(left, _POLL_SECONDS)
            progress(done.value - told)
            told = done.value
        return [_result(unit, future) for unit, future in zip(found, futures, strict=True)]


def _result(unit: Unit, future: Future[Result]) -> Result:
    error = future.exception()
    if error is None:
        return future.result()
    return f"{unit.path}: a worker process ended ({type(error).__name__}); run again, with fewer --jobs"


def _one(unit: Unit, places: Places, work: Work) -> Result:
    """Clean a unit; the unexpected is told by its kind, since its text may quote a row."""
    if unit.kind is Kind.UNKNOWN:
        return (
            f"{places.source / unit.path}: not a kind of file that can be cleaned, so left where it is; "
            "pass it on unread with --unread, or move it away"
        )
    try:
        return unit_cleaning.clean(unit, places, work)
    except CleanError as error:
        return str(error)
    except OSError as error:
        return f"{places.source / unit.path}: cannot be read or written ({error.strerror or type(error).__name__})"
    except Exception as error:  # noqa: BLE001
        return f"{places.source / unit.path}: unexpected {type(error).__name__}; please report it"


_WORKER: dict[str, Any] = {}


def _start(done: Any, places: Places, work: Work) -> None:
    def add(count: int) -> None:
        with done.get_lock():
            done.value += count

    _WORKER.update(places=places, work=work.telling(add))


def _in_worker(unit: Unit) -> Result:
    return _one(unit, _WORKER["places"], _WORKER["work"])


def _outcome(found: list[Unit], results: list[Result]) -> Outcome:
    counted: dict[str, Counted] = {}
    numbers: dict[str, int] = {}
    for unit, result in zip(found, results, strict=True):
        if isinstance(result, Counted):
            counted[unit.kind] = counted.get(unit.kind, Counted()) + result
            numbers[unit.kind] = numbers.get(unit.kind, 0) + 1
    return Outcome(counted, numbers, [result for result in results if isinstance(result, str)])
