"""Telling whoever watches a run in this process how far it is.

What belongs here: who listens. What does not: how it is shown (`cli`), or measured (the packages that do the work).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Listener = Callable[[str, int], None]
"""Told a stage (`screened`, say) and how many more rows it is through."""

_LISTENER: ContextVar[Listener | None] = ContextVar("relaion_progress", default=None)


@contextmanager
def listening(listener: Listener) -> Iterator[None]:
    """Have `listener` told of all progress made within."""
    token = _LISTENER.set(listener)
    try:
        yield
    finally:
        _LISTENER.reset(token)


def of(stage: str) -> Callable[[int], None]:
    """A function to tell rows of `stage` to; silent where nobody listens. It may be called from other threads."""
    listener = _LISTENER.get()
    return (lambda rows: listener(stage, rows)) if listener else (lambda _: None)
