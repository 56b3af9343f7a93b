"""Keys of whole relations: plain, tidy and odd links of several files together, and rows without a link."""

from collections.abc import Iterator

import duckdb
import pyarrow as pa
import pytest

from relaion_pipeline import links
from relaion_pipeline.links import rows
from relaion_pipeline.links.vectorised import SAFE_BROWSING

PLAIN = ["http://www.example.com/A/b.jpg", "https://example.com/a/?x=1&y=2"]
TIDY = ["HTTPS://Example.com/a%20b.jpg", "http://example.com:8080/?a=1&amp;b=é"]
ODD = ["http://münchen.example/ü", "data:x", "http://user@example.com/%2525", "", "http://[::1]/"]
ROWS = [
    (file, place, link)
    for file, there in enumerate([[*PLAIN, None, *ODD], [None], [*TIDY, ODD[0], PLAIN[0], TIDY[0], None]])
    for place, link in enumerate(there)
]
KEY = {"key": "md5_number(spelled)"}


@pytest.fixture
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        schema = pa.schema([("file", pa.int32()), ("row", pa.int64()), ("link", pa.string())])
        columns = dict(zip(schema.names, zip(*ROWS, strict=True), strict=True))
        connection.register("source", pa.table({name: list(column) for name, column in columns.items()}, schema))
        rows.sort_links(connection, "source")
        yield connection


def keys_of(connection: duckdb.DuckDBPyConnection, texts: set[tuple[int, int, str]]) -> set[tuple[int, int, int]]:
    wanted = pa.table(dict(zip(("file", "row", "text"), zip(*texts, strict=True), strict=True)))
    connection.register("wanted", wanted)
    return set(connection.execute("SELECT file, row, md5_number(text) FROM wanted").fetchall())


def test_links_are_sorted(connection):
    sorted_links = {
        name: {link for (link,) in connection.execute(f"SELECT {column} FROM {name}").fetchall()}
        for name, column in (("tidy_links", "link_text"), ("odd_links", "link"))
    }
    assert sorted_links == {"tidy_links": set(TIDY), "odd_links": set(ODD)}


@pytest.mark.parametrize("names", [None, ["canonical"], ["threatexchange"], ["exact", "unicode+https+www+no_slash"]])
def test_keys_of_all_links(connection, names):
    rows.create_keys(connection, "FROM odd_links", KEY, rows.forms(names))
    in_sql = rows.keys_in_sql("source", names, lambda text: f"md5_number({text})")
    found = connection.execute(
        f"SELECT file, row, key FROM odd_keys UNION SELECT file, row, key FROM ({in_sql}) WHERE key IS NOT NULL"
    ).fetchall()
    texts = {
        (file, row, text) for file, row, link in ROWS if link is not None for text in links.forms(link, names).values()
    }
    assert set(found) == keys_of(connection, texts)


def test_one_declared_form_is_named(connection):
    in_sql = rows.keys_in_sql("source", ["http"], lambda text: text)
    assert connection.execute(f"SELECT DISTINCT form FROM ({in_sql})").fetchall() == [("http",)]
    in_sql = rows.keys_in_sql("source", None, lambda text: text)
    assert connection.execute(f"SELECT DISTINCT form FROM ({in_sql})").fetchall() == [("",)]


def test_an_unknown_form_is_named():
    with pytest.raises(ValueError, match="nonsense"):
        rows.keys_in_sql("source", ["nonsense"], lambda text: text)


def test_safe_browsing(connection):
    rows.create_keys(connection, "FROM source WHERE link IS NOT NULL", KEY, rows.forms([SAFE_BROWSING]))
    found = set(connection.execute("SELECT file, row, key FROM odd_keys").fetchall())
    texts = {(file, row, text) for file, row, link in ROWS if link is not None for text in links.expressions(link)}
    assert found == keys_of(connection, texts)


def test_match_keys(connection):
    rows.create_keys(connection, "FROM odd_links", KEY, rows.match_keys)
    found = connection.execute(
        "SELECT file, row, key FROM odd_keys UNION ALL "
        f"SELECT file, row, md5_number(spelled) FROM ({rows.match_keys_in_sql('source')})"
    ).fetchall()
    wanted = keys_of(connection, {(file, row, links.match_key(link)) for file, row, link in ROWS if link is not None})
    assert len(found) == len(wanted)
    assert set(found) == wanted


def test_prefixes(connection):
    rows.create_keys(connection, "FROM source WHERE link IS NOT NULL", KEY, rows.prefixes)
    found = set(connection.execute("SELECT file, row, key FROM odd_keys").fetchall())
    texts = {
        (file, row, text) for file, row, link in ROWS if link is not None for text in links.prefix_candidates(link)
    }
    assert found == keys_of(connection, texts)


def test_hosts_and_what_may_list_them(connection):
    rows.create_hosts(connection, "source")
    hosts = {(file, row, host) for file, row, link in ROWS if link is not None and (host := links.host_of(link))}
    assert set(connection.execute("SELECT file, row, host FROM row_hosts").fetchall()) == hosts
    rows.create_host_keys(connection, links.domain_candidates, "md5_number(spelled)")
    found = set(connection.execute("SELECT 0, 0, key FROM host_keys").fetchall())
    candidates = {(0, 0, each) for _, _, host in hosts for each in links.domain_candidates(host)}
    assert found == keys_of(connection, candidates)


def test_nothing_but_nulls(connection):
    connection.execute("CREATE TEMP VIEW empty AS SELECT * FROM source WHERE link IS NULL")
    rows.sort_links(connection, "empty")
    rows.create_hosts(connection, "empty")
    assert connection.execute("SELECT count(*) FROM links_not_plain").fetchone() == (0,)
    assert connection.execute(f"SELECT count(*) FROM ({rows.keys_in_sql('empty', None, str)})").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM hosts").fetchone() == (0,)
