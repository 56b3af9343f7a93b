"""The ledger's files: one for each release, with the rows that it was the first to remove. Private, append-only.

What belongs here: writing, reading and checking them. What does not: which rows go (`settling`).

A segment names no link: rows are known by keyed hashes. Each holds the digest of the one before, and each release's
private record that of its last, so that a segment that is altered, or lost, is noticed.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline import database
from relaion_pipeline.feeds import compiling
from relaion_pipeline.layout import DataRoot, make_private, written_whole
from relaion_pipeline.screening import verdicts
from relaion_pipeline.screening.verdicts import HIDDEN_BITS, RESEARCH_BITS
from relaion_pipeline.shards import sha256_file
from relaion_pipeline.shards.stock import StockedShard

ENTRIES = pa.schema(
    [
        pa.field("subset", pa.string(), nullable=False),
        pa.field("shard", pa.string(), nullable=False),
        pa.field("link_key", pa.uint64()),  # see `feeds.keys.private_link_key_sql`; null without a link
        pa.field("row_key", pa.uint64(), nullable=False),  # of link and text
        pa.field("reasons", pa.uint16(), nullable=False),  # bits of `verdicts.BIT`
        pa.field("feeds", pa.list_(pa.string()), nullable=False),
    ]
)
_METADATA_KEY = b"relaion.ledger"

EFFECT_SQL = f"CASE WHEN reasons & {HIDDEN_BITS} <> 0 THEN 3 WHEN reasons & {RESEARCH_BITS} <> 0 THEN 2 ELSE 1 END"
"""How far a row goes: 1 from research-safe by a rule, 2 from both editions by a rule, 3 for a list's sake."""


class LedgerError(Exception):
    """The ledger is damaged; the message says where and what to do."""


_HOW_FAR = "[count(*), count_if(effect >= 2), count_if(effect = 3)]"


@dataclass(frozen=True)
class Head:
    """What a segment says of itself."""

    release: str  # the first that is without its rows
    previous: str | None  # SHA-256 of the segment before
    salt: str  # digest of the salt in its rows' keys
    feeds: dict[str, str]  # feed -> its version
    verdicts: dict[str, str]  # "subset/shard" -> key of the verdicts that are in the ledger up to here


@dataclass(frozen=True)
class Ledger:
    """All segments, oldest first, found whole and in order."""

    paths: tuple[Path, ...]
    heads: tuple[Head, ...]
    sha256: str | None  # of the last; stands for all of them

    def until(self, release: str) -> "Ledger":
        """The ledger as it was when `release` was made."""
        count = sum(head.release <= release for head in self.heads)
        return Ledger(self.paths[:count], self.heads[:count], self.sha256)

    def create_entries(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Define the view `ledger` over all segments: `ENTRIES`, `release`, and `segment`, a number."""
        parts = [
            f"SELECT *, {database.literal(head.release)} AS release, {number} AS segment "
            f"FROM read_parquet({database.literal(str(path))})"
            for number, (path, head) in enumerate(zip(self.paths, self.heads, strict=True))
        ]
        empty = ", ".join(f"NULL::{kind} AS {name}" for name, kind in _SQL_TYPES.items())
        parts.insert(0, f"SELECT {empty}, NULL::varchar AS release, NULL::integer AS segment WHERE false")
        connection.execute(f"CREATE OR REPLACE TEMP VIEW ledger AS {' UNION ALL '.join(parts)}")


_SQL_TYPES = {
    "subset": "varchar",
    "shard": "varchar",
    "link_key": "ubigint",
    "row_key": "ubigint",
    "reasons": "usmallint",
    "feeds": "varchar[]",
}


def read(root: DataRoot, expected: str | None = None) -> Ledger:
    """The ledger. `expected` is the digest of a segment that must be in it, as the newest release recorded it.

    Raises:
        LedgerError: a segment is missing or not as it was written, or its keys are of another salt.
    """
    paths = tuple(sorted(root.ledger.glob("*.parquet"))) if root.ledger.is_dir() else ()
    heads, last, seen = [], None, set()
    for path in paths:
        head = _head(path, root)
        if head.previous != last:
            raise LedgerError(_damaged(root, f"the segment before {path.name} is missing or was altered"))
        if head.salt != _salt_digest(root):
            raise LedgerError(
                f"{root.salt}: not the one whose keys {path.name} holds, so that none of its rows would be found. "
                "Restore it from the backup that the ledger is from; nothing is released without it"
            )
        heads.append(head)
        last = sha256_file(path)
        seen.add(last)
    if expected is not None and expected not in seen:
        raise LedgerError(_damaged(root, "the segment that the newest release wrote is missing or was altered"))
    return Ledger(paths, tuple(heads), last)


def append(
    root: DataRoot, ledger: Ledger, release: str, shards: Sequence[StockedShard], feeds: dict[str, str]
) -> Ledger:
    """Write the segment of `release`: what its verdicts remove and the ledger does not hold yet.

    Nothing new, no segment. `feeds` gives each feed's version.
    """
    known = dict(ledger.heads[-1].verdicts) if ledger.heads else {}
    changed, now = [], {}
    for shard in shards:
        header = verdicts.read_header(root.verdicts(shard.subset, shard.stem))
        assert header is not None  # a release is made of verdicts
        now[f"{shard.subset}/{shard.stem}"] = header.key + header.hidden_sha256
        if known.get(f"{shard.subset}/{shard.stem}") != header.key + header.hidden_sha256:
            changed.append(shard)
    if not changed:
        return ledger
    path = root.ledger / f"{len(ledger.paths) + 1:04d}-{release}.parquet"
    head = Head(release, ledger.sha256, _salt_digest(root), feeds, known | now)
    make_private(path.parent)
    with (
        written_whole(path) as temporary,
        database.asking("writing the ledger"),
        duckdb.connect() as connection,
        pq.ParquetWriter(temporary, ENTRIES, compression="zstd") as writer,
    ):
        ledger.create_entries(connection)
        for shard in changed:
            for batch in _new_entries(connection, root, shard):
                writer.write_batch(batch)
        writer.add_key_value_metadata({_METADATA_KEY: json.dumps(asdict(head), sort_keys=True).encode()})
    return read(root)


def _new_entries(
    connection: duckdb.DuckDBPyConnection, root: DataRoot, shard: StockedShard
) -> Iterator[pa.RecordBatch]:
    """Rows that go further than the ledger says, or are named by a feed that it does not name for them.

    Where rows share link and text it counts how many go how far: which of them is which, no key says.
    """
    removed = database.literal(str(root.verdicts(shard.subset, shard.stem)))
    of_shard = f"subset = {database.literal(shard.subset)} AND shard = {database.literal(shard.stem)}"
    table: pa.Table = connection.sql(
        f"""
        WITH by_segment AS (
            SELECT row_key, {_HOW_FAR} AS rows, flatten(list(feeds)) AS feeds
            FROM (SELECT *, {EFFECT_SQL} AS effect FROM ledger WHERE {of_shard}) GROUP BY row_key, segment
        ), known AS (
            SELECT row_key, max(rows[1]) AS one, max(rows[2]) AS two, max(rows[3]) AS three,
                flatten(list(feeds)) AS feeds
            FROM by_segment GROUP BY row_key
        ), now AS (
            SELECT row_key, {_HOW_FAR} AS rows
            FROM (SELECT *, {EFFECT_SQL} AS effect FROM read_parquet({removed})) GROUP BY row_key
        )
        SELECT {database.literal(shard.subset)} AS subset, {database.literal(shard.stem)} AS shard,
            link_key, row_key, reasons, removed.feeds AS feeds
        FROM read_parquet({removed}) AS removed JOIN now USING (row_key) LEFT JOIN known USING (row_key)
        WHERE known.one IS NULL OR now.rows[1] > one OR now.rows[2] > two OR now.rows[3] > three
            OR NOT list_has_all(known.feeds, removed.feeds)
        ORDER BY row
        """
    ).to_arrow_table()
    yield from table.cast(ENTRIES).to_batches()


def _salt_digest(root: DataRoot) -> str:
    return hashlib.sha256(_METADATA_KEY + compiling.salt_of(root)).hexdigest()


def _head(path: Path, root: DataRoot) -> Head:
    try:
        return Head(**json.loads(pq.read_metadata(path).metadata[_METADATA_KEY]))
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        raise LedgerError(_damaged(root, f"{path.name} cannot be read")) from None


def _damaged(root: DataRoot, what: str) -> str:
    return (
        f"{root.ledger}: {what}. The ledger holds what must never come back: restore the folder from a backup; "
        "nothing is released without it"
    )
