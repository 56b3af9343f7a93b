"""How the project talks to DuckDB: bounded in memory and scratch space, and silent about values.

What belongs here: opening a connection, running a statement, turning DuckDB's errors into ours.
What does not: SQL that answers a question; it stands with the question.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from relaion_pipeline.layout import DataRoot, make_private
from relaion_pipeline.settings import Limits


class QueryError(Exception):
    """DuckDB could not answer. The message says what was asked and the class of error, never a value."""


def threads(limits: Limits) -> int:
    """How many threads work may use: the setting, or one for each core this process may run on."""
    return limits.threads or len(os.sched_getaffinity(0))


@contextmanager
def connect(root: DataRoot, limits: Limits, database: Path | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open DuckDB in memory, or on the file `database`, with scratch space under `private/`.

    Extensions are never fetched and no network is reached.
    """
    scratch = _scratch(root)
    options: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": limits.memory,
        "threads": threads(limits),
        "temp_directory": str(scratch),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "enable_external_file_cache": False,  # holds no input between statements; shards are read once or twice
    }
    with duckdb.connect(str(database) if database else ":memory:", config=options) as connection:
        yield connection


def _scratch(root: DataRoot) -> Path:
    """A folder for this process's spilled data; what processes that are gone left there is removed."""
    make_private(root.temporary)
    for folder in root.temporary.iterdir():
        if folder.name.isdecimal() and not Path("/proc", folder.name).exists():
            shutil.rmtree(folder, ignore_errors=True)
    return make_private(root.temporary / str(os.getpid()))


@contextmanager
def asking(question: str) -> Iterator[None]:
    """Run statements within; a DuckDB error becomes a `QueryError` that names `question` and no value.

    DuckDB quotes offending values in its messages (a cast that fails, say), so its own text is dropped.
    """
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise QueryError(f"{question}: out of memory; raise limits.memory in relaion.toml") from None
    except duckdb.IOException as error:
        if "No space left on device" in str(error):
            raise QueryError(f"{question}: no space left on the disk; free some and run again") from None
        raise QueryError(f"{question}: a file could not be read or written") from None
    except duckdb.Error as error:
        raise QueryError(f"{question}: {type(error).__name__}") from None


def quoted(name: str) -> str:
    """`name` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """`text` as an SQL string literal, for places where DuckDB takes no parameter."""
    return "'" + text.replace("'", "''") + "'"
