"""The questions screening asks of shards, in SQL: which rows the blocklist lists, which the NSFW rules judge.

Small shards are asked about together: to plan a statement takes longer than to answer it.
What comes back are row numbers, never a link; texts leave DuckDB only for the rows whose score calls for a look at the
keywords.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from relaion_pipeline.database import literal, quoted
from relaion_pipeline.feeds import keys
from relaion_pipeline.feeds.blocklist import Lists
from relaion_pipeline.feeds.entries import DIGEST_BYTES, Kind
from relaion_pipeline.screening import link_matching
from relaion_pipeline.screening.index import IMAGE_KINDS
from relaion_pipeline.screening.verdicts import BIT, Reason
from relaion_pipeline.settings import Columns, Nsfw

_HASH_COLUMN = {Kind.IMAGE_MD5: "md5", Kind.IMAGE_SHA1: "sha1", Kind.IMAGE_SHA256: "sha256"}


def hash_column(kind: Kind, columns: Columns) -> str | None:
    """The column of a shard that answers for image hashes of `kind`."""
    name: str | None = getattr(columns, _HASH_COLUMN[kind])
    return name


def create_source(
    connection: duckdb.DuckDBPyConnection, paths: Sequence[Path], columns: Columns, image_kinds: frozenset[Kind]
) -> None:
    """Define the view `source`: the rows of `paths`, under the names that the questions below use.

    `file` is the place in `paths`, `row` the 0-based position in that file.
    """
    parts = {
        "link": columns.link,
        "text": columns.text,
        "punsafe": columns.punsafe,
        "nsfw": columns.nsfw,
        **{str(kind): hash_column(kind, columns) for kind in sorted(image_kinds)},
    }
    selected = ", ".join(
        f"{quoted(name) if name else 'null'}{'' if part == 'punsafe' else '::varchar'} AS {part}"
        for part, name in parts.items()
    )
    files = ", ".join(literal(str(path)) for path in paths)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW source AS SELECT file_index::integer AS file, file_row_number AS row, "
        f"{selected} FROM read_parquet([{files}], file_row_number = true, hive_partitioning = false)"
    )


def count_rows(connection: duckdb.DuckDBPyConnection, image_kinds: frozenset[Kind]) -> dict[int, tuple[int, int]]:
    """Rows of each shard, and how many of them some image list cannot be compared with."""
    unscreened = " OR ".join(f"{kind} IS NULL" for kind in sorted(image_kinds)) or "false"
    answer = connection.execute(f"SELECT file, count(*), count_if({unscreened}) FROM source GROUP BY file").fetchall()
    return {shard: (rows, not_screened) for shard, rows, not_screened in answer}


def flagged(
    connection: duckdb.DuckDBPyConnection, nsfw: Nsfw, columns: Columns, image_kinds: frozenset[Kind], salt: bytes
) -> Iterator[pa.RecordBatch]:
    """Rows that something other than a list speaks against.

    Yields batches of `file, row, bits` (see `verdicts.BIT`), the private keys `link_key` and `row_key`, and `text`,
    which is null unless the score calls for a look at the keywords. A score that is null, not a number or outside 0 to
    1 counts as missing. Where it is missing LAION's tag may still speak against the row; it speaks for one only in
    shards that carry no score.
    """
    unscored = "score IS NULL"
    if columns.punsafe is None:
        unscored = "coalesce(tag NOT IN ('UNLIKELY', 'UNSURE', 'NSFW'), true)"
    not_a_hash = (
        f"NOT coalesce(regexp_full_match({kind}, '[0-9a-fA-F]{{{DIGEST_BYTES[kind] * 2}}}'), true)"
        for kind in sorted(image_kinds)
    )
    conditions = {
        Reason.UNSAFE: f"coalesce(score > {nsfw.research_safe_above!r}, tag IN ('UNSURE', 'NSFW'), false)",
        Reason.NO_SCORE: unscored,
        Reason.NO_LINK: "link IS NULL OR trim(link) = ''",
        Reason.UNREADABLE_HASH: " OR ".join(not_a_hash) or "false",
    }
    bits = " | ".join(f"CASE WHEN {sql} THEN {BIT[reason]} ELSE 0 END" for reason, sql in conditions.items())
    reader: pa.RecordBatchReader = connection.sql(
        f"""
        WITH scored AS (
            SELECT *, try_cast(punsafe AS double) AS given, upper(trim(nsfw)) AS tag FROM source
        ), judged AS (
            SELECT *, CASE WHEN given >= 0 AND given <= 1 THEN given END AS score FROM scored
        )
        SELECT file, row, ({bits})::usmallint AS bits,
            {keys.private_link_key_sql(salt, "link")} AS link_key,
            {keys.private_row_key_sql(salt, "link", "text")} AS row_key,
            CASE WHEN coalesce(score > {nsfw.research_above!r}, tag = 'NSFW', false) THEN text END AS text
        FROM judged WHERE bits <> 0
        """
    ).to_arrow_reader(131_072)
    yield from reader


def create_hits(connection: duckdb.DuckDBPyConnection, lists: Lists, columns: Columns) -> None:
    """Fill `hits (file, row, feed, key, kind, form)`: every match of a row of `candidates` with a suspect entry."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE hits "
        "(file integer, row bigint, feed usmallint, key uhugeint, kind varchar, form varchar)"
    )
    for kind in IMAGE_KINDS:
        if kind in lists.kinds and hash_column(kind, columns):
            connection.execute(
                f"""
                INSERT INTO hits
                SELECT file, row, listed.feed, listed.key, '{kind}', ''
                FROM candidates JOIN blocklist.{kind} AS listed ON {keys.image_key_sql(kind)} = listed.key
                """
            )
    link_matching.add_hits(connection, lists)
