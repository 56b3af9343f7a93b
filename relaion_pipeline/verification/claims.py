"""Verdicts as the verifier takes them: claims about the source's rows, to be held against these and the ledger.

What belongs here: whether they tell of the rows that are there, and whether rows are back that the ledger says rules
removed. What does not: whether files lack just the rows they name (`contents`).
"""

from collections.abc import Sequence

import duckdb

from relaion_pipeline.database import literal
from relaion_pipeline.feeds import keys
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.screening.verdicts import RESEARCH_BITS
from relaion_pipeline.shards.stock import StockedShard
from relaion_pipeline.verification import rows


def of_shards(root: DataRoot, shards: Sequence[StockedShard]) -> str:
    """SQL for `file_index` and the columns of the verdicts of `shards`."""
    files = ", ".join(literal(str(root.verdicts(shard.subset, shard.stem))) for shard in shards)
    return f"read_parquet([{files}])"


def false(
    connection: duckdb.DuckDBPyConnection, root: DataRoot, shards: Sequence[StockedShard], salt: bytes
) -> dict[int, int]:
    """By place of a shard, how many of its verdicts tell of another link or text than the source has there."""
    rows.create_view(connection, "sources", [shard.parquet for shard in shards], shards[0].columns)
    link_key = keys.private_link_key_sql(salt, "link")
    row_key = keys.private_row_key_sql(salt, "link", "text::varchar")
    found = connection.execute(
        f"""
        SELECT file, count(*) FROM sources
        JOIN (SELECT *, file_index::integer AS file FROM {of_shards(root, shards)}) USING (file, row)
        WHERE link_key IS DISTINCT FROM {link_key} OR row_key <> {row_key}
        GROUP BY file
        """
    ).fetchall()
    return dict(found)


def returned_rows(
    connection: duckdb.DuckDBPyConnection, root: DataRoot, shards: Sequence[StockedShard], salt: bytes
) -> dict[int, int]:
    """By place of a shard, rows that rules removed before and that are published where they were removed from.

    Several rows may have one key, and only some of them have gone: as many must be gone still. Where the verdicts
    remove as many, no row is read.
    """
    named = ", ".join(
        f"({place}, {literal(shard.subset)}, {literal(shard.stem)})" for place, shard in enumerate(shards)
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE not_removed AS
        SELECT place, row_key, safe > coalesce(from_safe, 0) AS from_safe,
            research > coalesce(from_research, 0) AS from_research
        FROM memory JOIN (VALUES {named}) AS here (place, subset, shard) USING (subset, shard)
        LEFT JOIN (
            SELECT file_index::integer AS place, row_key, count(*) AS from_safe,
                count_if(reasons & {RESEARCH_BITS} <> 0) AS from_research
            FROM {of_shards(root, shards)} GROUP BY ALL
        ) USING (place, row_key)
        WHERE safe > coalesce(from_safe, 0) OR research > coalesce(from_research, 0)
        """
    )
    ((left,),) = connection.execute("SELECT count(*) FROM not_removed").fetchall()
    if not left:
        return {}
    row_key = keys.private_row_key_sql(salt, "link", "text::varchar")
    found = connection.execute(
        f"""
        SELECT place, count(*) FROM not_removed JOIN (
            SELECT place, row_key, count_if(part = 0) AS in_safe FROM (
                SELECT file // 2 AS place, file % 2 AS part, {row_key} AS row_key FROM published
            ) SEMI JOIN not_removed USING (place, row_key) GROUP BY ALL
        ) USING (place, row_key)
        WHERE (in_safe > 0 AND from_safe) OR from_research
        GROUP BY place
        """
    ).fetchall()
    return dict(found)
