"""What the verifier asks of shards' indexes: which entries they know, and which links they hold.

What belongs here: questions that the index answers in place of the files. What does not: whether it may be believed,
which `verifier` proves of the index's bytes, and `standing` asks of an earlier proof.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

import duckdb

from relaion_pipeline.feeds.blocklist import MATCHABLE
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.provenance import key_of
from relaion_pipeline.screening import index
from relaion_pipeline.screening.verdicts import RESEARCH_BITS
from relaion_pipeline.shards import sha256_file
from relaion_pipeline.shards.stock import StockedShard
from relaion_pipeline.verification import claims
from relaion_pipeline.verification.listed import Listed

NO_HITS = "0:0"


def exists(root: DataRoot, shard: StockedShard) -> bool:
    """Whether a shard has an index, right or wrong."""
    return all(file.exists() for file in index.files(root, shard))


def sha256(root: DataRoot, shard: StockedShard, kinds: Collection[Kind], unasked: Callable[[Path], str]) -> str | None:
    """Digest of a shard's index as it is now, None where there is none.

    What is asked about entries of `kinds`, and the links, which always are, is read: a file that decayed on its disk
    would deny what it held. The digests of other files `unasked` tells.
    """
    if not exists(root, shard):
        return None
    asked = (*index.asked_of(kinds), True)
    files = zip(index.files(root, shard), asked, strict=True)
    return key_of([sha256_file(file) if is_asked else unasked(file) for file, is_asked in files])


def hits(
    connection: duckdb.DuckDBPyConnection, root: DataRoot, shards: Sequence[StockedShard], listed: Listed
) -> dict[int, dict[str, str]]:
    """By place of a shard and feed: digest of the entries that its index knows, and of how they are read.

    `listed` must be open; fills `known_entries (place, feed, fingerprint, mark)`.
    """
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE known_entries AS
        SELECT DISTINCT place, feed, fingerprint, mark FROM (
            SELECT DISTINCT file AS place, fingerprint FROM {index.known_sql(root, shards, listed.kinds)}
            SEMI JOIN listed_fingerprints USING (fingerprint)
        ) JOIN listed_fingerprints USING (fingerprint)
        """
    )
    counted = connection.execute(
        """
        SELECT place, feed, count(*) || ':' || sum(md5_number_upper(fingerprint || ':' || mark)::hugeint)
        FROM known_entries GROUP BY place, feed
        """
    ).fetchall()
    forms = {feed.name: feed.form for feed in listed.feeds}
    found: dict[int, dict[str, str]] = defaultdict(dict)
    for place, feed, digest in counted:
        found[place][feed] = f"{digest}:{forms[feed] or ''}"  # read as of another form, the same entry may name a row
    return found


def missing_spellings(
    connection: duckdb.DuckDBPyConnection, root: DataRoot, shards: Sequence[StockedShard]
) -> list[tuple[int, int]]:
    """Place of a shard, and how many of the spellings that `index.spell` made its index lacks."""
    return connection.execute(
        f"""
        SELECT place, count(*) FROM (
            SELECT file // 2 AS place, of_image, fingerprint FROM {index.SPELLED}
        ) ANTI JOIN (
            SELECT file AS place, of_image, fingerprint FROM {index.known_sql(root, shards, MATCHABLE)}
        ) AS known USING (place, of_image, fingerprint) GROUP BY place
        """
    ).fetchall()


def with_returned_links(
    connection: duckdb.DuckDBPyConnection, root: DataRoot, shards: Sequence[StockedShard]
) -> set[int]:
    """Places of shards that hold a removed link more often than their verdicts remove it."""
    found = connection.execute(
        f"""
        SELECT DISTINCT place FROM (
            SELECT file AS place, link_key, count(*) AS rows FROM {index.links_sql(root, shards)}
            SEMI JOIN remembered USING (link_key) GROUP BY ALL
        ) LEFT JOIN (
            SELECT file_index::integer AS place, link_key, count(*) AS removed FROM {claims.of_shards(root, shards)}
            WHERE reasons & {RESEARCH_BITS} <> 0 GROUP BY ALL
        ) USING (place, link_key) WHERE rows > coalesce(removed, 0)
        """
    ).fetchall()
    return {place for (place,) in found}


def links_left(
    connection: duckdb.DuckDBPyConnection, root: DataRoot, shards: Sequence[StockedShard]
) -> dict[int, tuple[int, int]]:
    """By place of a shard: links that its index holds beyond those that verdicts remove, and the sum of their hashes.

    That is what the links of published rows must come to.
    """
    counted = connection.execute(
        f"""
        SELECT place, count(*) FILTER (known) - count(*) FILTER (NOT known),
            coalesce(sum(hash(link_key)::hugeint) FILTER (known), 0)
            - coalesce(sum(hash(link_key)::hugeint) FILTER (NOT known), 0)
        FROM (
            SELECT file AS place, link_key, true AS known FROM {index.links_sql(root, shards)}
            UNION ALL SELECT file_index::integer, link_key, false FROM {claims.of_shards(root, shards)}
            WHERE reasons & {RESEARCH_BITS} <> 0 AND link_key IS NOT NULL
        ) GROUP BY place
        """
    ).fetchall()
    return {place: (rows, int(total)) for place, rows, total in counted}
