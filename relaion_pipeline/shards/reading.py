"""Reading Parquet shards: opening them, streaming their rows, and saying plainly what is wrong with one.

What belongs here: Parquet. What does not: text formats (`delimited`, `jsonl`), which `rendering` turns into it.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.shards.errors import ShardError

ROWS_PER_BATCH = 131_072

# Column chunks are read through a buffer of this size instead of whole: LAION's parts have row groups of a
# million rows and more, and some tools write one row group a file.
_BUFFER_BYTES = 1 << 20

_FETCH_AGAIN = "fetch it again from where it came"


def open_parquet(path: Path, shard_name: str) -> pq.ParquetFile:
    """Open a Parquet file so that its rows can be streamed. Close it, or use it in a `with`.

    Raises:
        ShardError: it is missing, unreadable, not Parquet, or its footer is damaged.
    """
    with parquet_errors(shard_name):
        if path.is_dir():
            raise IsADirectoryError
        if path.exists() and path.stat().st_size == 0:
            raise ShardError(f"{shard_name}: the file is empty; {_FETCH_AGAIN}")
        return pq.ParquetFile(
            path,
            pre_buffer=False,
            buffer_size=_BUFFER_BYTES,
            page_checksum_verification=True,
        )


def batches(
    path: Path,
    rows_per_batch: int = ROWS_PER_BATCH,
    columns: Sequence[str] | None = None,
    *,
    shard_name: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in order, in bounded memory whatever its row groups.

    Every batch is checked (UTF-8, offsets, dictionary indices), so that damage shows here and not as nonsense later.

    Raises:
        ShardError: also in the middle of the iteration, when the file turns out to be damaged or short.
    """
    name = shard_name or str(path)
    with open_parquet(path, name) as file:
        rows = 0
        with parquet_errors(name):
            stream = file.iter_batches(
                batch_size=rows_per_batch,
                columns=None if columns is None else list(columns),
                use_threads=False,
            )
        while True:
            with parquet_errors(name):
                batch = next(stream, None)
                if batch is not None:
                    batch.validate(full=True)
            if batch is None:
                break
            rows += batch.num_rows
            yield batch
        if rows != file.metadata.num_rows:
            raise ShardError(f"{name}: holds {rows} rows but its footer says {file.metadata.num_rows}; {_FETCH_AGAIN}")


@contextmanager
def parquet_errors(shard_name: str) -> Iterator[None]:
    """Turn what pyarrow and the system raise about a file into a ShardError without any value in it."""
    try:
        yield
    except FileNotFoundError:
        raise ShardError(f"{shard_name}: the file is missing; {_FETCH_AGAIN}") from None
    except PermissionError:
        raise ShardError(f"{shard_name}: no permission to read the file; `chmod u+r` it") from None
    except IsADirectoryError:
        raise ShardError(f"{shard_name}: is a folder, not a file; narrow the glob in relaion.toml") from None
    except (pa.ArrowException, OSError, ValueError, OverflowError, MemoryError) as error:
        # pyarrow's own text may quote values, so only its kind is told.
        raise ShardError(
            f"{shard_name}: not readable as Parquet, damaged or cut short ({_kind(error)}); {_FETCH_AGAIN}"
        ) from None


def _kind(error: Any) -> str:
    return str(getattr(error, "strerror", None) or type(error).__name__)
