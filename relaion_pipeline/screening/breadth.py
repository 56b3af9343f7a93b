"""How many rows each entry matched, and the stop where one matched too many.

What belongs here: counts by entry, private and by shard. What does not: which rows an entry matches (`matching`).
"""

from collections.abc import Sequence

import duckdb
import pyarrow.parquet as pq

from relaion_pipeline import database
from relaion_pipeline.layout import DataRoot, make_private, written_whole
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards.stock import StockedShard


class BroadEntryError(Exception):
    """An entry matches more rows than its feed may; the message names feed and number, not what is listed."""


def keep(connection: duckdb.DuckDBPyConnection, root: DataRoot, shard: StockedShard, place: int) -> None:
    """Write, mode 0600, how many rows of a shard each entry of `hits` matched: `feed, kind, high, low, rows`.

    `place` is the shard's number in `hits`, `high` and `low` are the halves of the entry's key.
    """
    counts = connection.sql(
        f"""
        SELECT feeds.name AS feed, kind, (key >> 64)::ubigint AS high, (key & 18446744073709551615::uhugeint)::ubigint
            AS low, count(DISTINCT row) AS rows
        FROM hits JOIN blocklist.feeds AS feeds ON feeds.id = hits.feed WHERE file = {place} GROUP BY ALL ORDER BY ALL
        """
    ).to_arrow_table()
    path = root.entry_counts(shard.subset, shard.stem)
    make_private(path.parent)
    with written_whole(path) as temporary:
        pq.write_table(counts, temporary, compression="zstd")


def refuse(root: DataRoot, settings: Settings, shards: Sequence[StockedShard]) -> None:
    """Stop where one entry matched more rows than its feed's `max_rows_per_entry`, unless a waiver names it.

    A slip in a list (the address of an empty image, of a whole host) would else remove masses; and to leave
    the entry out would publish what it may rightly list. So an operator decides.

    Raises:
        BroadEntryError: names feed and number of such entries, not what they list.
    """
    files = [root.entry_counts(shard.subset, shard.stem) for shard in shards]
    paths = ", ".join(database.literal(str(path)) for path in files if path.exists())
    if not paths:
        return
    limits = {name: feed.max_rows_per_entry for name, feed in settings.feeds.items()}
    broad = []
    with database.connect(root, settings.limits) as connection, database.asking("counting rows by entry"):
        counted = connection.execute(
            f"SELECT feed, kind, high, low, sum(rows)::bigint AS total FROM read_parquet([{paths}]) "
            "GROUP BY ALL HAVING total > ? ORDER BY ALL",
            [min(limits.values())],
        ).fetchall()
        for feed, kind, high, low, rows in counted:
            if feed not in limits or rows <= limits[feed]:
                continue
            compiled = database.literal(str(root.compiled_feed(feed)))
            ((entry,),) = connection.execute(
                f"SELECT min(entry) FROM read_parquet({compiled}) WHERE kind = ? AND high = ? AND low = ?",
                [kind, high, low],
            ).fetchall()
            if entry is not None and entry not in settings.waived_entries(feed):
                broad.append(
                    f"feed '{feed}', entry number {entry}: matches {rows:,} rows, more than "
                    f"max_rows_per_entry = {limits[feed]:,}"
                )
    if broad:
        raise BroadEntryError(
            "\n".join(broad[:10]) + "\nHave the list corrected, or accept such an entry by name:\n"
            '[[waivers]]\nkind = "quarantined-entry"\nfeed = "..."\nentry = ...\nreason = "..."\nby = "..."'
        )
