"""Published rows as they are read again, held against lists' entries and the NSFW rules.

What belongs here: what single rows are. What does not: which rows must be asked what (`verifier`).
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from relaion_pipeline import links
from relaion_pipeline.database import literal, quoted
from relaion_pipeline.feeds import keys
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.links import rows as links_rows
from relaion_pipeline.screening import index
from relaion_pipeline.screening.keywords import Keywords
from relaion_pipeline.settings import Columns, Settings
from relaion_pipeline.verification.listed import Listed, hex_key

IMAGES = {Kind.IMAGE_MD5: "md5", Kind.IMAGE_SHA1: "sha1", Kind.IMAGE_SHA256: "sha256"}
_LINK_HASHES = {Kind.LINK_MD5: "md5", Kind.LINK_SHA1: "sha1", Kind.LINK_SHA256: "sha256"}


@dataclass
class Judged:
    """What the NSFW rules say of the rows of one published file."""

    unsafe: int = 0
    unscored: int = 0
    with_keyword: int = 0
    without_link: int = 0


def create_published(connection: duckdb.DuckDBPyConnection, paths: list[Path], columns: Columns) -> None:
    """Define the view `published` of all rows of `paths`, and the table `files` of their places in that list."""
    create_view(connection, "published", paths, columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE files AS SELECT unnest(range({len(paths)}))::integer AS file")


def create_view(connection: duckdb.DuckDBPyConnection, name: str, paths: list[Path], columns: Columns) -> None:
    """Define a view of all rows of `paths`: `file`, the place in that list, `row`, and what `columns` name."""
    named = {part: getattr(columns, part) for part in Columns.model_fields}
    named |= {str(kind): getattr(columns, part) for kind, part in IMAGES.items()}
    selected = ", ".join(
        f"{quoted(column) if column else 'NULL'}{'::varchar' if part == 'link' else ''} AS {part}"
        for part, column in named.items()
    )
    files = ", ".join(literal(str(path)) for path in paths)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW {name} AS "
        f"SELECT file_index::integer AS file, file_row_number AS row, {selected} "
        f"FROM read_parquet([{files}], file_row_number = true, hive_partitioning = false)"
    )


def create_suspects(connection: duckdb.DuckDBPyConnection) -> None:
    """Define the view `source` of published rows, and the tables that `add_suspects` fills."""
    connection.execute("CREATE OR REPLACE TEMP TABLE suspect_rows (file integer, row bigint)")
    connection.execute("CREATE OR REPLACE TEMP TABLE hit (fingerprint ubigint)")
    connection.execute("CREATE OR REPLACE TEMP VIEW source AS FROM published")


def add_suspects(connection: duckdb.DuckDBPyConnection, *, by_host: bool) -> None:
    """Add to `suspect_rows (file, row)` what was spelled as an entry's fingerprint is, and that to `hit`.

    `by_host`: hosts were spelled.
    """
    connection.execute(
        f"INSERT INTO hit SELECT DISTINCT fingerprint FROM {index.SPELLED} "
        "SEMI JOIN listed_fingerprints USING (fingerprint)"
    )
    connection.execute("INSERT INTO suspect_rows SELECT file, row FROM spelled SEMI JOIN hit USING (fingerprint)")
    if by_host:
        connection.execute(
            "INSERT INTO suspect_rows SELECT file, row FROM row_hosts SEMI JOIN "
            "(FROM spelled_hosts SEMI JOIN hit USING (fingerprint)) AS named USING (host)"
        )


def survivors(connection: duckdb.DuckDBPyConnection, listed: Listed, columns: Columns) -> list[int]:
    """For each published file, how many of its rows some list names: suspects are compared by their whole keys."""
    connection.execute("CREATE OR REPLACE TEMP TABLE survivors (file integer, row bigint)")
    ((suspects,),) = connection.execute("SELECT count(*) FROM suspect_rows").fetchall()
    if suspects:
        listed.find_suspects(connection, "hit")
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE candidates AS FROM published "
            "SEMI JOIN (SELECT file, row FROM suspect_rows) AS named USING (file, row)"
        )
        for kind, part in IMAGES.items():
            if kind in listed.kinds and getattr(columns, part):
                key = f"try_cast('0x' || left(lower({part}), 32) AS uhugeint)"
                _add(connection, f"SELECT file, row, {key} AS key FROM candidates", kind)
        _add_listed_links(connection, listed)
    counted = connection.execute(
        "SELECT count(DISTINCT row) FROM files LEFT JOIN survivors USING (file) GROUP BY file ORDER BY file"
    ).fetchall()
    return [count for (count,) in counted]


def _add_listed_links(connection: duckdb.DuckDBPyConnection, listed: Listed) -> None:
    """Spell the links of suspects in all the ways that the lists call for, and look each spelling up."""
    named = "FROM candidates WHERE link IS NOT NULL"
    for kind, function in _LINK_HASHES.items():
        for form in sorted(listed.forms.get(kind, ()), key=str):
            spell = links_rows.forms(None if form is None else [form])
            links_rows.create_keys(connection, named, {"key": hex_key(f"{function}(spelled)")}, spell)
            same_form = f"form IS NOT DISTINCT FROM {literal(form) if form else 'NULL'}"
            _add(connection, "SELECT file, row, key FROM odd_keys", kind, same_form)
    text_key = partial(keys.text_key_sql, listed.salt, text_sql="spelled")
    for kind, spell in ((Kind.LINK, links_rows.match_keys), (Kind.PREFIX, links_rows.prefixes)):
        if kind in listed.kinds:
            links_rows.create_keys(connection, named, {"key": text_key(kind)}, spell)
            _add(connection, "SELECT file, row, key FROM odd_keys", kind)
    if Kind.DOMAIN in listed.kinds:
        links_rows.sort_links(connection, "candidates")
        links_rows.create_hosts(connection, "candidates")
        links_rows.create_host_keys(connection, links.domain_candidates, text_key(Kind.DOMAIN))
        _add(connection, "SELECT file, row, key FROM row_hosts JOIN host_keys USING (host)", Kind.DOMAIN)


def _add(connection: duckdb.DuckDBPyConnection, keyed: str, kind: str, which: str = "true") -> None:
    """Count those of `keyed (file, row, key)` as survivors that entries of `kind` list."""
    connection.execute(
        f"INSERT INTO survivors SELECT file, row FROM ({keyed}) "
        f"WHERE key IN (SELECT key FROM listed_{kind} WHERE {which})"
    )


def judge(connection: duckdb.DuckDBPyConnection, settings: Settings, keywords: Keywords) -> list[Judged]:
    """Hold the rows of each published file against the NSFW rules."""
    rule = settings.nsfw
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        SELECT file,
            CASE WHEN score IS NULL THEN tag IN ('UNSURE', 'NSFW')
                ELSE score > {rule.research_safe_above!r} END AS unsafe,
            CASE WHEN score IS NULL THEN tag = 'NSFW' ELSE score > {rule.research_above!r} END AS very_unsafe,
            score IS NULL AND (scored OR tag IS NULL OR tag NOT IN ('UNLIKELY', 'UNSURE', 'NSFW')) AS unscored,
            link IS NULL OR trim(link) = '' AS without_link,
            text
        FROM (
            SELECT file, link, text, upper(trim(nsfw)) AS tag, typeof(punsafe) <> '"NULL"' AS scored,
                CASE WHEN isfinite(try_cast(punsafe AS double)) AND try_cast(punsafe AS double) BETWEEN 0 AND 1
                THEN try_cast(punsafe AS double) END AS score
            FROM published
        )
        WHERE unsafe OR very_unsafe OR unscored OR without_link
        """
    )
    counted = connection.execute(
        """
        SELECT coalesce(count_if(unsafe), 0), coalesce(count_if(unscored), 0), coalesce(count_if(without_link), 0)
        FROM files LEFT JOIN judged USING (file) GROUP BY file ORDER BY file
        """
    ).fetchall()
    judged = [Judged(unsafe, unscored, 0, without_link) for unsafe, unscored, without_link in counted]
    for batch in connection.sql("SELECT file, text::varchar AS text FROM judged WHERE very_unsafe").to_arrow_reader():
        for file, text in zip(batch["file"].to_pylist(), batch["text"].to_pylist(), strict=True):
            judged[file].with_keyword += keywords.hit(text)
    return judged
