"""Links that must go, in whatever shard they stand: those of listed rows, of their cover, and of all that once went.

What belongs here: which they are, and which shards hold them how often, as the shards' indexes tell. What does not:
what becomes of a shard's rows (`settling`).
"""

from collections.abc import Sequence

import duckdb
import pyarrow as pa

from relaion_pipeline.database import literal
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger import cover
from relaion_pipeline.screening import index
from relaion_pipeline.screening.verdicts import BIT, LISTED_BITS, Reason
from relaion_pipeline.shards.stock import StockedShard

DIGEST = "count(*) || ':' || coalesce(sum(md5_number_upper(link_key || ':' || class)::hugeint), 0)"
"""SQL for the digest of `link_key, class`, in whatever order."""


def create_present(connection: duckdb.DuckDBPyConnection, root: DataRoot, shards: Sequence[StockedShard]) -> None:
    """Find the links that must go in all shards.

    Fills `recurring (link_key, feeds)`, links of rows whose image is listed, and `present (place, link_key, rows,
    class)`: which links that must go a shard holds, how often, and why. `found` has all findings.
    """
    image = BIT[Reason.LISTED_IMAGE]
    files = ", ".join(literal(str(root.findings(each.subset, each.stem))) for each in shards)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW found AS SELECT file_index::integer AS place, * FROM read_parquet([{files}])"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE recurring AS
        SELECT link_key, list_sort(list_distinct(flatten(list(feeds)))) AS feeds
        FROM found WHERE bits & {image} <> 0 AND link_key IS NOT NULL GROUP BY link_key
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE gone AS
        SELECT link_key, CASE WHEN link_key IN (SELECT link_key FROM recurring) THEN 'recurring'
            WHEN bool_and(covers) THEN 'cover' ELSE 'listed' END AS class
        FROM (
            SELECT link_key, covers FROM remembered UNION ALL SELECT link_key, false FROM recurring
            UNION ALL SELECT link_key, false FROM found WHERE bits & {LISTED_BITS} <> 0 AND link_key IS NOT NULL
        ) GROUP BY link_key
        """
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW all_links AS SELECT file AS place, link_key FROM {index.links_sql(root, shards)}"
    )
    connection.execute(
        """
        CREATE OR REPLACE TEMP TABLE present AS
        FROM (SELECT place, link_key, count(*) AS rows FROM all_links SEMI JOIN gone USING (link_key) GROUP BY ALL)
        JOIN gone USING (link_key)
        """
    )


def digests(connection: duckdb.DuckDBPyConnection, shards: int) -> list[str]:
    """For each shard the digest of the links that must go from it, and why."""
    counted = connection.execute(f"SELECT place, {DIGEST} FROM present GROUP BY place").fetchall()
    found = dict.fromkeys(range(shards), "0:0") | dict(counted)
    return [found[place] for place in range(shards)]


def beyond(connection: duckdb.DuckDBPyConnection, place: int, accounted: str) -> bool:
    """Whether the shard at `place` has links that must go more often than rows of `accounted` have them."""
    ((more,),) = connection.execute(
        "SELECT count(*) FROM present "
        f"LEFT JOIN (SELECT link_key, count(*) AS rows FROM {accounted} GROUP BY link_key) AS known USING (link_key) "
        f"WHERE place = {place} AND present.rows > coalesce(known.rows, 0)"
    ).fetchall()
    return bool(more)


def unique(connection: duckdb.DuckDBPyConnection, offers: Sequence[cover.Candidate]) -> set[int]:
    """Those of the candidates' links that occur once in the dataset."""
    if not offers:
        return set()
    sought = pa.table({"link_key": pa.array([offer.link_key for offer in offers], pa.uint64())})
    connection.register("sought_links", sought)
    found = connection.execute(
        "SELECT link_key FROM all_links SEMI JOIN sought_links USING (link_key) GROUP BY link_key HAVING count(*) = 1"
    ).fetchall()
    connection.unregister("sought_links")
    return {key for (key,) in found}
