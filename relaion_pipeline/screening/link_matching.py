"""Which rows' links the blocklist lists: by a hash of one of their spellings, by link, by domain, by prefix."""

import duckdb

from relaion_pipeline import links
from relaion_pipeline.feeds import keys
from relaion_pipeline.feeds.blocklist import Lists, kind_id
from relaion_pipeline.feeds.compiling import PREFIX_HOST
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.links import rows
from relaion_pipeline.links.canonical import without_www
from relaion_pipeline.screening.index import LINK_HASH_KINDS


def add_hits(connection: duckdb.DuckDBPyConnection, lists: Lists) -> None:
    """Add to the table `hits` every match of a link of the table `candidates` with suspect entries.

    The table `suspect_rows (file, row, kind)` says which kinds of entry can name a candidate. Those are few, so that
    their links are spelled in Python, which knows the names of forms.
    """
    for kind in LINK_HASH_KINDS:
        for form in sorted(lists.forms.get(kind, ()), key=str):
            _match_hashed(connection, kind, form)
    if Kind.LINK in lists.kinds:
        _match_links(connection, lists.salt)
    if Kind.DOMAIN in lists.kinds or Kind.PREFIX in lists.kinds:
        rows.sort_links(connection, "candidates")
        rows.create_hosts(connection, "candidates")
    if Kind.DOMAIN in lists.kinds:
        _match_domains(connection, lists.salt)
    if Kind.PREFIX in lists.kinds:
        _match_prefixes(connection, lists.salt)


def _suspected_of(kind: Kind) -> str:
    named = f"SELECT file, row FROM suspect_rows WHERE kind = {kind_id(kind)}"
    return f"FROM candidates SEMI JOIN ({named}) AS named USING (file, row) WHERE link IS NOT NULL"


def _match_hashed(connection: duckdb.DuckDBPyConnection, kind: Kind, form: str | None) -> None:
    """Match lists of hashed links that declare `form`, or none: then every spelling is tried."""
    spell = rows.forms(None if form is None else [form])
    rows.create_keys(connection, _suspected_of(kind), {"key": keys.link_key_sql(kind, "spelled")}, spell)
    connection.execute(
        f"""
        INSERT INTO hits
        SELECT file, row, listed.feed, listed.key, '{kind}', odd_keys.form
        FROM odd_keys JOIN blocklist.{kind} AS listed ON odd_keys.key = listed.key
        JOIN blocklist.feeds AS feeds ON feeds.id = listed.feed
        WHERE feeds.link_form IS NOT DISTINCT FROM {f"'{form}'" if form else "NULL"}
        """
    )


def _match_links(connection: duckdb.DuckDBPyConnection, salt: bytes) -> None:
    """Match lists of plain links, by the spelling in which listed and rows' links are compared."""
    key = keys.text_key_sql(salt, Kind.LINK, "spelled")
    rows.create_keys(connection, _suspected_of(Kind.LINK), {"key": key}, rows.match_keys)
    connection.execute(
        f"""
        INSERT INTO hits
        SELECT file, row, listed.feed, listed.key, '{Kind.LINK}', 'match_key'
        FROM odd_keys JOIN blocklist.{Kind.LINK} AS listed ON odd_keys.key = listed.key
        """
    )


def _match_domains(connection: duckdb.DuckDBPyConnection, salt: bytes) -> None:
    """Match listed domains, at every label boundary; hosts are looked up once each."""
    rows.create_host_keys(connection, links.domain_candidates, keys.text_key_sql(salt, Kind.DOMAIN, "spelled"))
    connection.execute(
        f"""
        INSERT INTO hits
        SELECT file, row, feed, key, '{Kind.DOMAIN}', ''
        FROM row_hosts JOIN (
            SELECT host, listed.feed, listed.key
            FROM host_keys JOIN blocklist.{Kind.DOMAIN} AS listed ON host_keys.key = listed.key
        ) USING (host)
        """
    )


def _match_prefixes(connection: duckdb.DuckDBPyConnection, salt: bytes) -> None:
    """Match listed prefixes; only links of hosts that some prefix names are cut at their path boundaries."""
    host_key = keys.text_key_sql(salt, PREFIX_HOST, "spelled")
    rows.create_host_keys(connection, lambda host: [without_www(host)], host_key)
    named = (
        f"FROM candidates SEMI JOIN (SELECT file, row FROM row_hosts JOIN host_keys USING (host) "
        f"WHERE key IN (SELECT key FROM blocklist.{PREFIX_HOST})) AS named USING (file, row)"
    )
    rows.create_keys(connection, named, {"key": keys.text_key_sql(salt, Kind.PREFIX, "spelled")}, rows.prefixes)
    connection.execute(
        f"""
        INSERT INTO hits
        SELECT file, row, listed.feed, listed.key, '{Kind.PREFIX}', ''
        FROM odd_keys JOIN blocklist.{Kind.PREFIX} AS listed ON odd_keys.key = listed.key
        """
    )
