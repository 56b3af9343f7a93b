"""What every format's cleaner is handed."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from relaion_pipeline.clean.columns import Choice
from relaion_pipeline.clean.judging import Judge


def _silent(_: int) -> None:
    pass


@dataclass(frozen=True)
class Work:
    """Who judges rows, which columns hold what, and who is told of progress, in bytes."""

    judge: Judge
    choice: Choice
    progress: Callable[[int], None] = field(default=_silent)

    def telling(self, progress: Callable[[int], None]) -> "Work":
        """The same, with someone else told."""
        return replace(self, progress=progress)

    def silent(self) -> "Work":
        """The same, with nobody told."""
        return replace(self, progress=_silent)
