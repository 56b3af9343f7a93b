"""Taking stock of shards: what each one is, how many rows it holds, and the digests that everything later names.

A stocked shard is a Parquet file with known columns, whatever its source was.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any, TypeVar

from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.provenance import key_of
from relaion_pipeline.settings import Columns, Subset
from relaion_pipeline.shards.digests import DigestCache, schema_digest
from relaion_pipeline.shards.errors import ShardError
from relaion_pipeline.shards.finding import Shard
from relaion_pipeline.shards.presets import resolve
from relaion_pipeline.shards.reading import open_parquet
from relaion_pipeline.shards.rendering import as_parquet

Item = TypeVar("Item")

_DECIDING = {"columns", "has_header"}
"""Settings of a subset that decide how its shards are read."""


ROWS_PER_QUESTION = 50_000_000
"""Rows asked about in one statement: a few parts of 2B-en, so that hash tables are built once for all of them."""


@dataclass(frozen=True)
class StockedShard:
    """A shard that can be screened and released."""

    subset: str
    stem: str
    source: Path  # the input file
    source_sha256: str
    source_bytes: int
    scores_sha256: str | None  # of the sidecar with scores, if there is one
    parquet: Path  # the source itself, or its Parquet rendering
    rows: int
    columns: Columns
    schema_sha256: str

    @property
    def name(self) -> str:
        """The shard as error messages name it."""
        return f"{self.subset}: {self.source}"


def take_stock(shard: Shard, subset: Subset, root: DataRoot, digests: DigestCache) -> StockedShard:
    """Digest a shard, render it as Parquet where it is not, and find its columns; a record spares doing it twice.

    Raises:
        ShardError: it cannot be read, or its columns cannot be told.
    """
    record = root.shard_record(shard.subset, shard.stem)
    source_sha256 = digests.sha256(shard.path)
    scores_sha256 = digests.sha256(shard.scores) if shard.scores else None
    key = key_of(str(shard.path), source_sha256, scores_sha256, subset.model_dump(mode="json", include=_DECIDING))
    known = _read(record, key)
    if known is not None and known.parquet.exists():
        return known
    stocked = _look(shard, subset, root, source_sha256, scores_sha256)
    make_private(record.parent)
    write_text(record, json.dumps({"key": key, "shard": _as_json(stocked)}, indent=1))
    return stocked


def asked_together(
    items: Sequence[Item],
    shard_of: Callable[[Item], StockedShard],
    most: int = ROWS_PER_QUESTION,
    kind_of: Callable[[Item], object] = lambda _: None,
) -> Iterator[list[Item]]:
    """Group what one statement can ask about: shards of the same columns and kind, at most `most` rows."""

    def key(item: Item) -> tuple[object, ...]:
        return shard_of(item).columns, shard_of(item).schema_sha256, kind_of(item)

    for _, alike in groupby(items, key):
        together: list[Item] = []
        rows = 0
        for item in alike:
            rows += shard_of(item).rows
            if together and rows > most:
                yield together
                together, rows = [], shard_of(item).rows
            together.append(item)
        yield together


def _look(shard: Shard, subset: Subset, root: DataRoot, source_sha256: str, scores_sha256: str | None) -> StockedShard:
    destination = root.converted(shard.subset, shard.stem)
    parquet = as_parquet(shard, subset.has_header, subset.columns, destination)
    with open_parquet(parquet, shard.name) as file:
        schema, rows = file.schema_arrow, file.metadata.num_rows
    if len({name.casefold() for name in schema.names}) < len(schema.names):
        raise ShardError(
            f"{shard.name}: names of columns differ only in case, and DuckDB would take one for the other; "
            "rename all but one"
        )
    columns = resolve(subset.columns, schema, name=shard.name, scored=shard.scores is not None)
    if columns.punsafe is None and columns.nsfw is None:
        raise ShardError(
            f"{shard.name}: carries neither a score nor an NSFW tag, so that no row could pass into research-safe; "
            f"name the column under [subsets.{shard.subset}.columns], or give subsets.{shard.subset}.scores"
        )
    return StockedShard(
        subset=shard.subset,
        stem=shard.stem,
        source=shard.path,
        source_sha256=source_sha256,
        source_bytes=shard.path.stat().st_size,
        scores_sha256=scores_sha256,
        parquet=parquet,
        rows=rows,
        columns=columns,
        schema_sha256=schema_digest(schema),
    )


def _as_json(stocked: StockedShard) -> dict[str, Any]:
    plain = asdict(replace(stocked, columns=stocked.columns.model_dump()))  # type: ignore[arg-type]
    return plain | {"source": str(stocked.source), "parquet": str(stocked.parquet)}


def _read(record: Path, key: str) -> StockedShard | None:
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        shard = content["shard"]
        if content["key"] != key:
            return None
        typed = {
            "source": Path(shard["source"]),
            "parquet": Path(shard["parquet"]),
            "columns": Columns.model_validate(shard["columns"]),
        }
        return StockedShard(**(shard | typed))
    except (OSError, ValueError, KeyError, TypeError):
        return None
