"""The links of many rows, spelled inside DuckDB or in Python, and turned into keys of the caller's choosing.

Links that are plain (`plain.py`), most of them, or tidy (`tidy.py`) are spelled in SQL. The others, the odd ones, are
spelled in Python, once for each distinct link of a batch. Who compares the keys with which list is the caller's
business: screening and verification each have their own.

All functions work on a relation `(file, row, link)`: the number of a file, the position in it, the link or null.
"""

from collections.abc import Callable, Iterator

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from relaion_pipeline.links import tidy, tidy_forms, vectorised
from relaion_pipeline.links.expressions import prefix_candidates

PLAIN = vectorised.is_plain("link")
_BATCH_ROWS = 65_536

Spelled = tuple[npt.NDArray[np.int64], pa.Array, pa.Array]
"""Positions in an array of links, names of forms, strings; shape (n,) each."""

Spell = Callable[[pa.Array], Spelled]


def sort_links(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Sort the links that are not plain: `tidy_links` is for SQL, `odd_links (file, row, link)` for Python.

    Call it before any other function here, and again for another relation.
    """
    others = f"(SELECT file, row, link FROM {relation} WHERE link IS NOT NULL AND NOT {PLAIN})"
    texts = tidy.tidy_texts(others, "link", ("file", "row"))
    connection.execute(f"CREATE OR REPLACE TEMP TABLE links_not_plain AS {texts}")
    connection.execute("CREATE OR REPLACE TEMP VIEW tidy_links AS SELECT * FROM links_not_plain WHERE link_tidy")
    connection.execute(
        "CREATE OR REPLACE TEMP VIEW odd_links AS "
        "SELECT file, row, link_text AS link FROM links_not_plain WHERE NOT link_tidy"
    )


def keys_in_sql(relation: str, names: list[str] | None, key_sql: Callable[[str], str]) -> str:
    """SQL for `(file, row, form, key)` of all links but the odd ones, in the forms `names`; `form` is empty if in all.

    `key_sql` gives the SQL of the key of a spelling; a null one, of a form that the link does not have, gives null.
    """
    parts = vectorised.plain_parts(f"(SELECT file, row, link FROM {relation} WHERE {PLAIN})", "link", ("file", "row"))
    keys = ", ".join(key_sql(spelling) for spelling in vectorised.form_columns(names).values())
    tidy_keys = (
        tidy_forms.keys_sql("tidy_links", key_sql)
        if names is None
        else tidy_forms.chosen_keys_sql("tidy_links", names, key_sql)
    )
    form = names[0] if names and len(names) == 1 else ""
    return (
        f"SELECT file, row, '{form}' AS form, key FROM "
        f"(SELECT file, row, unnest([{keys}]) AS key FROM ({parts}) UNION ALL {tidy_keys})"
    )


def match_keys_in_sql(relation: str) -> str:
    """SQL for `(file, row, form, spelled)` of all links but the odd ones: as plain lists are compared."""
    return (
        f"SELECT file, row, '' AS form, {vectorised.match_key_sql('link')} AS spelled FROM {relation} WHERE {PLAIN} "
        f"UNION ALL SELECT file, row, '', spelled FROM ({tidy_forms.match_keys_sql('tidy_links')})"
    )


def forms(names: list[str] | None) -> Spell:
    """Spell links in the forms `names`, or in all."""

    def spell(links: pa.Array) -> Spelled:
        table = vectorised.expand(links, names).combine_chunks()
        strings = (table[name].combine_chunks() for name in ("form", "string"))
        return table["position"].to_numpy(), *strings

    return spell


def match_keys(links: pa.Array) -> Spelled:
    """Spell links as plain lists are compared."""
    return np.arange(len(links)), pa.repeat("", len(links)), vectorised.match_keys(links)


def prefixes(links: pa.Array) -> Spelled:
    """Cut links at their path boundaries."""
    cut = [(at, prefix) for at, link in enumerate(links.to_pylist()) for prefix in prefix_candidates(link)]
    positions = np.array([at for at, _ in cut], dtype=np.int64)
    return positions, pa.repeat("", len(cut)), pa.array([prefix for _, prefix in cut], pa.string())


def create_keys(connection: duckdb.DuckDBPyConnection, rows: str, columns: dict[str, str], spell: Spell) -> None:
    """Fill the table `odd_keys (file, row, form, ...)` for `rows (file, row, link)`, spelled in Python.

    `columns` gives each key's name and its SQL over `spelled`, an unsigned 128-bit integer.
    """
    names = ", ".join(f"{name} uhugeint" for name in columns)
    connection.execute(f"CREATE OR REPLACE TEMP TABLE odd_keys (file integer, row bigint, form varchar, {names})")
    for batch in _batches(connection, f"SELECT file, row, link {rows}"):
        positions, named, spelled = spell(batch["link"])
        at = pa.array(positions)
        table = {"file": batch["file"].take(at), "row": batch["row"].take(at), "form": named, "spelled": spelled}
        connection.register("spelled_links", pa.table(table))
        keys = ", ".join(columns.values())
        connection.execute(f"INSERT INTO odd_keys SELECT file, row, form, {keys} FROM spelled_links")
        connection.unregister("spelled_links")


def create_hosts(connection: duckdb.DuckDBPyConnection, relation: str) -> None:
    """Define `row_hosts (file, row, host)`, and fill the table `hosts (host)` with each host once."""
    connection.execute("CREATE OR REPLACE TEMP TABLE odd_hosts (file integer, row bigint, host varchar)")
    for batch in _batches(connection, "FROM odd_links"):
        hosts = pa.table({"file": batch["file"], "row": batch["row"], "host": vectorised.hosts(batch["link"])})
        connection.register("hosts_of_links", hosts)
        connection.execute("INSERT INTO odd_hosts SELECT * FROM hosts_of_links WHERE host IS NOT NULL")
        connection.unregister("hosts_of_links")
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP VIEW row_hosts AS
        FROM odd_hosts
        UNION ALL SELECT file, row, {vectorised.host_sql("link")} FROM {relation} WHERE {PLAIN}
        UNION ALL SELECT file, row, {tidy_forms.host_sql("link_text")} FROM tidy_links
        """
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE hosts AS SELECT DISTINCT host FROM row_hosts")


def create_host_keys(
    connection: duckdb.DuckDBPyConnection, candidates: Callable[[str], list[str]], key_sql: str
) -> None:
    """Fill `host_keys (host, key)`: for each host the keys of what may list it. `key_sql` is over `spelled`."""
    connection.execute("CREATE OR REPLACE TEMP TABLE host_keys (host varchar, key uhugeint)")
    for batch in _batches(connection, "FROM hosts"):
        named = [(host, candidate) for host in batch["host"].to_pylist() for candidate in candidates(host)]
        table = {
            "host": pa.array([host for host, _ in named], pa.string()),
            "spelled": pa.array([candidate for _, candidate in named], pa.string()),
        }
        connection.register("candidates_of_hosts", pa.table(table))
        connection.execute(f"INSERT INTO host_keys SELECT host, {key_sql} FROM candidates_of_hosts")
        connection.unregister("candidates_of_hosts")


def _batches(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[pa.RecordBatch]:
    """The answer to `query` in batches, while the connection answers other questions.

    It is set aside in a table first, since a connection answers one question at a time.
    """
    connection.execute(f"CREATE OR REPLACE TEMP TABLE set_aside AS {query}")
    ((total,),) = connection.execute("SELECT count(*) FROM set_aside").fetchall()
    for start in range(0, total, _BATCH_ROWS):
        piece = f"FROM set_aside WHERE rowid >= {start} AND rowid < {start + _BATCH_ROWS}"
        yield from connection.sql(piece).to_arrow_table().combine_chunks().to_batches()
    connection.execute("DROP TABLE set_aside")
