"""Importing large libraries quickly.

What belongs here: how a process that is about to import something large does so. What does not: what is imported.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def importing() -> Iterator[None]:
    """Import large libraries within, while the garbage collector rests.

    Dagster, Great Expectations and matplotlib make a million objects that live as long as the process; to go through
    them again and again takes a tenth of the time of importing, or more. They are not frozen: libraries that look for
    leaks when the interpreter ends would report them.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
