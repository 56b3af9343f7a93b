"""What screening found of a shard's rows by itself: a private Parquet file, and a record of what it answers for.

Findings become verdicts when they are settled with the ledger and with all other shards (`ledger.settling`).
"""

import hashlib
import json
from dataclasses import asdict, dataclass

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.feeds import keys
from relaion_pipeline.layout import DataRoot, make_private, write_text, written_whole
from relaion_pipeline.screening.verdicts import BIT, REASON_OF_KIND

FINDINGS = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # 0-based position in the shard, ascending
        pa.field("bits", pa.uint16(), nullable=False),  # of `verdicts.BIT`
        pa.field("feeds", pa.list_(pa.string()), nullable=False),  # names of the feeds that list it, sorted
        pa.field("forms", pa.list_(pa.string()), nullable=False),  # spellings in which its link matched, sorted
        pa.field("link_key", pa.uint64()),  # private key of its link as it is written; null without one
        pa.field("row_key", pa.uint64(), nullable=False),  # private key of its link and text
    ]
)


@dataclass(frozen=True)
class Record:
    """Which inputs a shard's findings answer for."""

    rules: str  # digest of the shard's rows, the NSFW rules and the code
    lists: dict[str, str]  # feed -> digest of its entries
    hits: dict[str, str]  # feed -> digest of its entries that can name a row of the shard; none is left out
    answered: list[str]  # kinds of image hash that lists held, those that rows could not be compared by marked so
    content: str  # digest of the findings themselves
    not_screened_by_image: int


def write(root: DataRoot, subset: str, stem: str, table: pa.Table, record: Record) -> None:
    """Keep the findings of a shard, mode 0600."""
    path = root.findings(subset, stem)
    make_private(path.parent)
    root.findings_record(subset, stem).unlink(missing_ok=True)
    with written_whole(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")
    write_record(root, subset, stem, record)


def write_record(root: DataRoot, subset: str, stem: str, record: Record) -> None:
    """Say for which inputs the findings that stand answer."""
    write_text(root.findings_record(subset, stem), json.dumps(asdict(record), sort_keys=True))


def read_record(root: DataRoot, subset: str, stem: str) -> Record | None:
    """The record of a shard's findings, or None where there are none that can be read."""
    try:
        content = json.loads(root.findings_record(subset, stem).read_text(encoding="utf-8"))
        return Record(**content) if root.findings(subset, stem).exists() else None
    except (OSError, ValueError, TypeError):
        return None


def read(root: DataRoot, subset: str, stem: str) -> pa.Table:
    """The findings of a shard."""
    return pq.read_table(root.findings(subset, stem), schema=FINDINGS)


def create(connection: duckdb.DuckDBPyConnection, salt: bytes) -> None:
    """Fill `found`: what lists (`hits`) and rules (`flagged`) say together, `file` and the columns of `FINDINGS`."""
    kind_bits = " ".join(f"WHEN '{kind}' THEN {BIT[reason]}" for kind, reason in REASON_OF_KIND.items())
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE found AS
        WITH listed AS (
            SELECT file, row, bit_or((CASE kind {kind_bits} END)::usmallint) AS bits,
                list_sort(list_distinct(list(feeds.name))) AS feeds,
                list_sort(list_distinct(list(form) FILTER (form <> ''))) AS forms
            FROM hits JOIN blocklist.feeds AS feeds ON feeds.id = hits.feed GROUP BY file, row
        ), known AS (
            SELECT file, row, {keys.private_link_key_sql(salt, "link")} AS link_key,
                {keys.private_row_key_sql(salt, "link", "text")} AS row_key
            FROM candidates
        )
        SELECT coalesce(listed.file, flagged.file) AS file, coalesce(listed.row, flagged.row) AS row,
            (coalesce(listed.bits, 0) | coalesce(flagged.bits, 0))::usmallint AS bits,
            coalesce(feeds, []::varchar[]) AS feeds, coalesce(forms, []::varchar[]) AS forms,
            coalesce(flagged.link_key, known.link_key) AS link_key, coalesce(flagged.row_key, known.row_key) AS row_key
        FROM listed FULL JOIN flagged ON listed.file = flagged.file AND listed.row = flagged.row
        LEFT JOIN known ON listed.file = known.file AND listed.row = known.row
        """
    )


def of_shard(connection: duckdb.DuckDBPyConnection, place: int) -> pa.Table:
    """The findings of the shard with number `place` in `found`."""
    query = f"SELECT {', '.join(FINDINGS.names)} FROM found WHERE file = {place} ORDER BY row"
    return connection.sql(query).to_arrow_table().cast(FINDINGS)


def digest(found: pa.Table) -> str:
    """Digest of findings, but for the keys, which hang on the rows."""
    found_sha256 = hashlib.sha256(found.column("row").to_numpy().tobytes() + found.column("bits").to_numpy().tobytes())
    for name in ("feeds", "forms"):
        lists = found.column(name).combine_chunks()
        found_sha256.update(lists.value_lengths().to_numpy(zero_copy_only=False).tobytes())
        found_sha256.update("\0".join(lists.flatten().to_pylist()).encode())
    return found_sha256.hexdigest()
