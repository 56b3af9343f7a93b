"""What assets are handed: the data root they work on.

What belongs here: resources, and turning our errors into Dagster's. What does not: assets, settings.
Dagster explains the concept under "Resources".
"""

import os
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import parent_process
from pathlib import Path

import dagster as dg

import relaion_pipeline
from relaion_pipeline import runs, settings
from relaion_pipeline.errors import EXPECTED_ERRORS
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import lock
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.lock import Holder, LockedError


class Workspace(dg.ConfigurableResource):  # type: ignore[type-arg]  # generic over what it yields, which is itself
    """The data root that the definitions were built for."""

    data_root: str

    def root(self) -> DataRoot:
        """The data root."""
        return DataRoot.at(self.data_root)

    @contextmanager
    def inputs(self, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Iterator[Inputs]:
        """The inputs as they are now, while this run holds the data root's lock; errors leave as `dg.Failure`."""
        with failures():
            root = self.root()
            self._lock(root, context)
            yield Inputs(root, settings.load(root.path))

    def _lock(self, root: DataRoot, context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> None:
        """Take the lock for the run, in the name of the process that its steps live and die with."""
        is_over = run_is_over(context.instance)
        process, parent = os.getpid(), parent_process()
        if context.job_def.executor_def is not dg.in_process_executor and parent is not None:
            process = parent.pid or process  # each step is a child of the run's process
        try:
            dead = lock.acquire(root, Holder.of_process(context.run.run_id, process), is_over)
        except LockedError:
            context.instance.add_run_tags(context.run.run_id, {runs.LOCKED_OUT_TAG: "true"})
            raise
        if dead is not None and runs.mark_killed(context.instance, dead.run):
            context.log.warning(
                "Run %s held the data root and its process is gone: it is marked as failed, and this run takes over.",
                dead.run,
            )


def run_is_over(instance: dg.DagsterInstance) -> Callable[[str], bool]:
    """Tells of a run whether Dagster knows that it has ended."""

    def is_over(run_id: str) -> bool:
        run = instance.get_run_by_id(run_id)
        return run.is_finished if run is not None else False

    return is_over


@contextmanager
def failures() -> Iterator[None]:
    """Turn errors into `dg.Failure`. The unexpected is told by kind and place, since its text may quote a row."""
    try:
        yield
    except dg.Failure:
        raise
    except EXPECTED_ERRORS as error:
        raise dg.Failure(description=str(error), allow_retries=False) from None
    except Exception as error:  # noqa: BLE001
        raise dg.Failure(
            description=f"unexpected {type(error).__name__} at {_place(error)}; please report it", allow_retries=False
        ) from None


def _place(error: BaseException) -> str:
    """Where in our own code an error arose: `screening/screen.py:88`."""
    package = Path(relaion_pipeline.__file__).parent
    ours = [
        f"{Path(frame.filename).relative_to(package)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if Path(frame.filename).is_relative_to(package)
    ]
    return ours[-1] if ours else "an unknown place"
