"""What the ledger says must not come back, once waivers are heard. Settling and verification each ask for themselves.

What belongs here: from entries to links and rows. What does not: the ledger's files (`segments`).
"""

from collections import defaultdict
from collections.abc import Iterable

import duckdb

from relaion_pipeline.database import literal
from relaion_pipeline.ledger.segments import Ledger
from relaion_pipeline.screening.verdicts import BIT, HIDDEN_BITS, RESEARCH_BITS, Reason
from relaion_pipeline.settings import Settings, Waiver
from relaion_pipeline.shards.stock import StockedShard

_GROUNDS = HIDDEN_BITS - BIT[Reason.REMOVED_BEFORE]
"""Reasons for which a link stays gone. That it was removed before stands on an earlier entry, and falls with it."""


def create(
    connection: duckdb.DuckDBPyConnection, ledger: Ledger, settings: Settings, shards: Iterable[StockedShard]
) -> list[int]:
    """Fill the tables of what must not come back, and return for each waiver how many removals it lifts.

    `remembered (link_key, covers)` are links that go wherever they stand; `once_hidden (link_key, covers)` the same
    with those that waivers let back; `memory (subset, shard, row_key, safe, research)` tells how many rows with a key
    rules removed from which edition of each of `shards`. A link stays gone until every removal of it for a list's sake
    is waived for all its feeds.
    """
    ledger.create_entries(connection)
    returning = settings.returning()
    conditions = [_waived_sql(waiver) for waiver in returning]
    by_rule = [sql for sql, waiver in zip(conditions, returning, strict=True) if waiver.feed is None]
    # One waiver a feed at most applies to an entry, so that as many as it has feeds waive them all.
    of_feeds: dict[str, list[str]] = defaultdict(list)
    for sql, waiver in zip(conditions, returning, strict=True):
        if waiver.feed is not None:
            of_feeds[waiver.feed].append(sql)
    lifted = " + ".join(f"({' OR '.join(each)})::integer" for each in of_feeds.values())
    stays = f"NOT (len(feeds) > 0 AND {lifted or 0} >= len(feeds))"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE remembered AS
        SELECT link_key, bool_and(reasons & {BIT[Reason.COVER]} <> 0) AS covers
        FROM ledger WHERE reasons & {_GROUNDS} <> 0 AND link_key IS NOT NULL AND {stays} GROUP BY link_key
        """
    )
    here = ", ".join(f"({literal(shard.subset)}, {literal(shard.stem)})" for shard in shards)
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE memory AS
        SELECT subset, shard, row_key, max(safe) AS safe, max(research) AS research FROM (
            SELECT subset, shard, row_key, count(*) AS safe, count_if(reasons & {RESEARCH_BITS} <> 0) AS research
            FROM ledger WHERE reasons & {HIDDEN_BITS} = 0 AND NOT ({" OR ".join(by_rule) or "false"})
            AND {f"(subset, shard) IN ({here})" if here else "false"}
            GROUP BY subset, shard, row_key, segment
        ) GROUP BY ALL
        """
    )
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE once_hidden AS "
        f"SELECT link_key, bool_and(reasons & {BIT[Reason.COVER]} <> 0) AS covers "
        f"FROM ledger WHERE reasons & {HIDDEN_BITS} <> 0 AND link_key IS NOT NULL GROUP BY link_key"
    )
    counted = [connection.execute(f"SELECT count(*) FROM ledger WHERE {each}").fetchall() for each in conditions]
    return [rows for ((rows,),) in counted]


def _waived_sql(waiver: Waiver) -> str:
    """SQL for whether a waiver concerns an entry of `ledger`: all that rules removed, or what a feed named."""
    if waiver.feed is None:
        conditions = [f"reasons & {HIDDEN_BITS} = 0"]
    else:
        conditions = [f"list_contains(feeds, {literal(waiver.feed)})"]
    if waiver.release:
        conditions.append(f"release = {literal(waiver.release)}")
    if waiver.subset:
        conditions.append(f"subset = {literal(waiver.subset)}")
    return f"({' AND '.join(conditions)})"
