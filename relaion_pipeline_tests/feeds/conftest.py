"""Feeds written to a temporary data root. Every entry here is invented."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from relaion_pipeline.feeds import batches, loading
from relaion_pipeline.feeds.declaration import Feed
from relaion_pipeline.feeds.entries import ENTRIES

SHARED_DATA = Path(__file__).parents[3] / "shared" / "data"

Row = dict[str, Any]
Load = Callable[..., list[Row]]


def feed_of(**fields: Any) -> Feed:
    """A feed's settings with the fields that do not matter filled in."""
    return Feed(**({"partner": "invented", "version": "1", "files": "list", "kind": "domain"} | fields))


def rows_of(root: Path, feed: Feed) -> list[Row]:
    """All entries of a feed, as dicts without the columns that hold nothing."""
    rows = []
    for batch in loading.load("invented", feed, root):
        batch.entries.validate(full=True)
        assert 0 < batch.entries.num_rows <= batches.BATCH_ROWS
        assert batch.entries.schema.equals(ENTRIES)
        rows += [row | {"file": batch.file, "before": batch.before} for row in batch.entries.to_pylist()]
    return rows


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load bytes, or several files of bytes, with the given settings."""

    def load_content(content: bytes | dict[str, bytes], **fields: Any) -> list[Row]:
        files = content if isinstance(content, dict) else {"list": content}
        for name, data in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return rows_of(tmp_path, feed_of(**fields))

    return load_content


@pytest.fixture
def shared_data() -> Path:
    if not SHARED_DATA.is_dir():
        pytest.skip("shared data is not here")
    return SHARED_DATA


def texts(rows: list[Row]) -> list[tuple[int, str | None]]:
    return [(row["entry"], row["text"]) for row in rows]


def brief(rows: list[Row]) -> list[tuple[Any, ...]]:
    """(entry, kind, digest in hex or text, withdrawn) of each row."""
    return [
        (row["entry"], row["kind"], row["digest"].hex() if row["digest"] is not None else row["text"], row["withdrawn"])
        for row in rows
    ]
