"""Which rows' links the blocklist lists: by a hash of one of their spellings, by link, by domain, by prefix.

Links that are their own canonical spelling, most of them, are spelled and hashed inside DuckDB. The others are
spelled in Python, once for each distinct link of a batch, and join as keys.
"""

from collections.abc import Callable, Iterator

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from relaion_pipeline import links
from relaion_pipeline.feeds import keys
from relaion_pipeline.feeds.blocklist import Lists
from relaion_pipeline.feeds.compiling import PREFIX_HOST
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.links import vectorised
from relaion_pipeline.links.canonical import without_www

LINK_HASH_KINDS = (Kind.LINK_MD5, Kind.LINK_SHA1, Kind.LINK_SHA256)

_BATCH_ROWS = 65_536
_PLAIN = vectorised.is_plain("link")

Spelled = tuple[npt.NDArray[np.int64], pa.Array, pa.Array]
"""Positions in a batch of links, names of forms, strings; shape (n,) each."""


def add_hits(connection: duckdb.DuckDBPyConnection, lists: Lists) -> None:
    """Add to the table `hits` every match of a link of the view `source` with the attached blocklist."""
    for kind in LINK_HASH_KINDS:
        if kind in lists.kinds:
            for form in sorted(lists.forms[kind], key=str):
                _match_hashed(connection, kind, form)
    if Kind.LINK in lists.kinds:
        _match_links(connection, lists.salt)
    if Kind.DOMAIN in lists.kinds or Kind.PREFIX in lists.kinds:
        _create_hosts(connection)
    if Kind.DOMAIN in lists.kinds:
        _match_domains(connection, lists.salt)
    if Kind.PREFIX in lists.kinds:
        _match_prefixes(connection, lists.salt)


def _match_hashed(connection: duckdb.DuckDBPyConnection, kind: Kind, form: str | None) -> None:
    """Match lists of hashed links that declare `form`, or none: then every spelling is tried."""
    names = None if form is None else [form]
    keyed = "SELECT shard, row, form, key FROM odd_keys"
    odd = "true"
    if form != vectorised.SAFE_BROWSING:  # whose expressions only Python spells
        odd = f"NOT {_PLAIN}"
        spelled = vectorised.forms_sql("link", names)
        keyed += (
            f" UNION ALL SELECT shard, row, '{form or ''}', {keys.link_key_sql(kind, 'spelled')} FROM "
            f"(SELECT shard, row, unnest({spelled}) AS spelled FROM source WHERE {_PLAIN})"
        )
    _create_odd_keys(
        connection, odd, keys.link_key_sql(kind, "spelled"), lambda batch: _expanded(vectorised.expand(batch, names))
    )
    connection.execute(
        f"""
        INSERT INTO hits
        SELECT shard, row, listed.feed, listed.entry, '{kind}', keyed.form
        FROM ({keyed}) AS keyed JOIN blocklist.{kind} AS listed ON keyed.key = listed.key
        JOIN blocklist.feeds AS feeds ON feeds.id = listed.feed
        WHERE feeds.link_form IS NOT DISTINCT FROM {f"'{form}'" if form else "NULL"}
        """
    )


def _match_links(connection: duckdb.DuckDBPyConnection, salt: bytes) -> None:
    """Match lists of plain links, by the key under which listed and rows' links are compared."""
    key = keys.text_key_sql(salt, Kind.LINK, "spelled")

    def match_keys(batch: pa.Array) -> Spelled:
        return np.arange(len(batch)), pa.repeat("", len(batch)), vectorised.match_keys(batch)

    _create_odd_keys(connection, f"NOT {_PLAIN}", key, match_keys)
    connection.execute(
        f"""
        INSERT INTO hits
        SELECT shard, row, listed.feed, listed.entry, '{Kind.LINK}', 'canonical'
        FROM (
            SELECT shard, row, key FROM odd_keys
            UNION ALL
            SELECT shard, row, {key}
            FROM (SELECT shard, row, {vectorised.match_key_sql("link")} AS spelled FROM source WHERE {_PLAIN})
        ) AS keyed JOIN blocklist.{Kind.LINK} AS listed ON keyed.key = listed.key
        """
    )


def _create_odd_keys(
    connection: duckdb.DuckDBPyConnection, condition: str, key_sql: str, spell: Callable[[pa.Array], Spelled]
) -> None:
    """Fill the table `odd_keys (shard, row, form, key)` for the rows whose links Python spells."""
    connection.execute("CREATE OR REPLACE TEMP TABLE odd_keys (shard integer, row bigint, form varchar, key uhugeint)")
    for batch in _links(connection, condition):
        positions, forms, spelled = spell(batch["link"])
        connection.register(
            "spelled_links",
            pa.table(
                {
                    "shard": batch["shard"].take(pa.array(positions)),
                    "row": batch["row"].take(pa.array(positions)),
                    "form": forms,
                    "spelled": spelled,
                }
            ),
        )
        connection.execute(f"INSERT INTO odd_keys SELECT shard, row, form, {key_sql} FROM spelled_links")
        connection.unregister("spelled_links")


def _expanded(table: pa.Table) -> Spelled:
    table = table.combine_chunks()
    return table["position"].to_numpy(), table["form"].combine_chunks(), table["string"].combine_chunks()


def _links(connection: duckdb.DuckDBPyConnection, condition: str) -> Iterator[pa.Table]:
    """Batches `shard, row, link` of the rows with a link that fulfil `condition`.

    They are set aside in a table first, since a connection answers one question at a time.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE links_aside AS SELECT shard, row, link FROM source "
        f"WHERE link IS NOT NULL AND {condition}"
    )
    total = connection.execute("SELECT count(*) FROM links_aside").fetchone()
    assert total is not None
    for start in range(0, total[0], _BATCH_ROWS):
        chosen = f"SELECT shard, row, link FROM links_aside WHERE rowid >= {start} AND rowid < {start + _BATCH_ROWS}"
        yield _fetched(connection, chosen).combine_chunks()
    connection.execute("DROP TABLE links_aside")


def _create_hosts(connection: duckdb.DuckDBPyConnection) -> None:
    """Fill `odd_hosts (shard, row, host)` for the links that Python reads, and `hosts (host)`, each host once."""
    connection.execute("CREATE OR REPLACE TEMP TABLE odd_hosts (shard integer, row bigint, host varchar)")
    for batch in _links(connection, f"NOT {_PLAIN}"):
        hosts = pa.table({"shard": batch["shard"], "row": batch["row"], "host": vectorised.hosts(batch["link"])})
        connection.register("hosts_of_links", hosts)
        connection.execute("INSERT INTO odd_hosts SELECT * FROM hosts_of_links WHERE host IS NOT NULL")
        connection.unregister("hosts_of_links")
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP VIEW row_hosts AS
        SELECT shard, row, host FROM odd_hosts
        UNION ALL SELECT shard, row, {vectorised.host_sql("link")} FROM source WHERE {_PLAIN}
        """
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE hosts AS SELECT DISTINCT host FROM row_hosts")


def _create_listed_hosts(
    connection: duckdb.DuckDBPyConnection, salt: bytes, kind: str, candidates: Callable[[str], list[str]]
) -> None:
    """Fill `listed_hosts (host, feed, entry)`: the rows' hosts of which an entry of `kind` lists a candidate."""
    connection.execute("CREATE OR REPLACE TEMP TABLE listed_hosts (host varchar, feed usmallint, entry uinteger)")
    for batch in _fetched(connection, "SELECT host FROM hosts").to_batches(_BATCH_ROWS):
        named = [(host, domain) for host in batch["host"].to_pylist() for domain in candidates(host)]
        table = pa.table({"host": [host for host, _ in named], "domain": [domain for _, domain in named]})
        connection.register("domains_of_hosts", table.cast(pa.schema({"host": pa.string(), "domain": pa.string()})))
        connection.execute(
            f"INSERT INTO listed_hosts SELECT host, listed.feed, listed.entry FROM domains_of_hosts "
            f"JOIN blocklist.{kind} AS listed ON {keys.text_key_sql(salt, kind, 'domain')} = listed.key"
        )
        connection.unregister("domains_of_hosts")


def _match_domains(connection: duckdb.DuckDBPyConnection, salt: bytes) -> None:
    _create_listed_hosts(connection, salt, Kind.DOMAIN, links.domain_candidates)
    connection.execute(
        f"INSERT INTO hits SELECT shard, row, feed, entry, '{Kind.DOMAIN}', '' FROM row_hosts JOIN listed_hosts USING (host)"
    )


def _match_prefixes(connection: duckdb.DuckDBPyConnection, salt: bytes) -> None:
    """Match listed prefixes; only links of hosts that some prefix names are cut at their path boundaries."""
    _create_listed_hosts(connection, salt, PREFIX_HOST, lambda host: [without_www(host)])
    condition = (
        "(shard, row) IN (SELECT (shard, row) FROM row_hosts WHERE host IN (SELECT DISTINCT host FROM listed_hosts))"
    )

    def prefixes(batch: pa.Array) -> Spelled:
        cut = [(at, prefix) for at, link in enumerate(batch.to_pylist()) for prefix in links.prefix_candidates(link)]
        positions = np.array([at for at, _ in cut], dtype=np.int64)
        return positions, pa.repeat("", len(cut)), pa.array([prefix for _, prefix in cut], pa.string())

    _create_odd_keys(connection, condition, keys.text_key_sql(salt, Kind.PREFIX, "spelled"), prefixes)
    connection.execute(
        f"""
        INSERT INTO hits SELECT shard, row, listed.feed, listed.entry, '{Kind.PREFIX}', ''
        FROM odd_keys JOIN blocklist.{Kind.PREFIX} AS listed ON odd_keys.key = listed.key
        """
    )


def _fetched(connection: duckdb.DuckDBPyConnection, query: str) -> pa.Table:
    table: pa.Table = connection.execute(query).to_arrow_table()
    return table
