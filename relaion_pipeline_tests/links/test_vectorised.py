"""DuckDB and Python answer alike: for generated links, and for every real link there is."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaion_pipeline.links import FORMS, canonicalise, expressions, forms, host_of, match_key
from relaion_pipeline.links.canonical import canonicalise_fully
from relaion_pipeline.links.plain import is_plain_text
from relaion_pipeline.links.vectorised import (
    EXPANDED,
    SAFE_BROWSING,
    digests_sql,
    expand,
    form_columns,
    host_sql,
    hosts,
    is_plain,
    match_key_sql,
    match_keys,
    plain_parts,
)
from relaion_pipeline_tests.links.shared import ANY_TEXT, nearly_plain, real_links

CONNECTION = duckdb.connect()


def check_alike(links: list[str], names: list[str] | None = None) -> int:
    """Hold SQL against Python for each link; the number of plain ones."""
    table = pa.table({"place": range(len(links)), "link": pa.array(links, pa.string())})
    CONNECTION.register("links_table", table)
    flags = CONNECTION.execute(f"SELECT {is_plain('link')} FROM links_table ORDER BY place").fetchall()
    assert [flag for (flag,) in flags] == [is_plain_text(link) for link in links]
    columns = form_columns(names)
    parts = plain_parts(f"(SELECT * FROM links_table WHERE {is_plain('link')})", "link", ["place"])
    rows = CONNECTION.execute(
        f"SELECT link_text, link_key, {match_key_sql('link_text')}, {host_sql('link_text')},"
        f" [{', '.join(columns.values())}] FROM ({parts})"
    ).fetchall()
    for link, key, same_key, host, texts in rows:
        found = canonicalise_fully(link)
        assert found == canonicalise(link)
        assert found is not None
        assert found.canonical == link
        assert key == same_key == match_key(link)
        assert host == host_of(link)
        there = [text for text in texts if text is not None]
        assert set(there) == set(forms(link, names).values())
        if names is None:
            assert len(there) == len(set(there))
    return len(rows)


def test_every_real_link():
    plain = total = 0
    for name, links in real_links().items():
        distinct = list(dict.fromkeys(links))
        count = check_alike(distinct)
        print(f"{name}: {count} of {len(distinct)} distinct links are plain ({count / len(distinct):.1%})")
        if name.endswith(".tsv"):
            plain, total = plain + count, total + len(distinct)
    assert plain > 0.9 * total


@settings(max_examples=60, deadline=None)
@given(st.lists(nearly_plain(), min_size=20, max_size=60))
def test_generated_links(links):
    check_alike(links)


@settings(max_examples=20, deadline=None)
@given(st.lists(nearly_plain(), min_size=20, max_size=60), st.lists(st.sampled_from(FORMS), min_size=1, max_size=9))
def test_chosen_forms(links, names):
    check_alike(links, names)


@pytest.mark.parametrize("name", FORMS)
def test_each_form_alone(name):
    links = [
        "http://www.example.com/A/b.jpg",
        "https://example.com/a/?x=1&y=2",
        "http://example.co.uk/",
        "https://www.example.com/A",
    ]
    assert check_alike(links, [name]) == len(links)


@settings(max_examples=60, deadline=None)
@given(st.lists(ANY_TEXT.filter(lambda text: text.isprintable()) | nearly_plain() | st.none(), max_size=20))
def test_expand_says_what_forms_says(links):
    doubled = links + links
    table = expand(pa.array(doubled, pa.string()), None)
    assert table.schema == EXPANDED
    wanted = [
        (place, name, text)
        for place, link in enumerate(doubled)
        if link is not None
        for name, text in forms(link).items()
    ]
    assert list(zip(*(table[name].to_pylist() for name in table.schema.names), strict=True)) == wanted
    assert match_keys(pa.array(links, pa.string())).to_pylist() == [
        link if link is None else match_key(link) for link in links
    ]
    assert hosts(pa.array(links, pa.string())).to_pylist() == [
        link if link is None else host_of(link) for link in links
    ]


def test_safe_browsing_only_where_asked_for():
    links = pa.chunked_array([["http://a.example.com/1/2.html?x=1"], [None, "data:x"]])
    table = expand(links, [SAFE_BROWSING])
    assert table["string"].to_pylist() == expressions("http://a.example.com/1/2.html?x=1")
    assert SAFE_BROWSING not in expand(links)["form"].to_pylist()


def test_unknown_form_is_named():
    with pytest.raises(ValueError, match="nonsense"):
        form_columns(["nonsense"])
    with pytest.raises(ValueError, match="nonsense"):
        forms("http://example.com/", ["nonsense"])


def test_digests_find_a_listed_spelling():
    digests = f"SELECT unnest({digests_sql()}) FROM ({plain_parts('t', 'u')})"
    query = f"SELECT md5_number('https://www.example.com/a/') IN ({digests})"
    CONNECTION.execute("CREATE OR REPLACE TABLE t AS SELECT 'http://example.com/a' AS u")
    assert CONNECTION.execute(query).fetchone() == (True,)


def test_null_is_not_plain():
    assert CONNECTION.execute(f"SELECT {is_plain('x')} FROM (SELECT NULL::VARCHAR AS x)").fetchone() == (False,)
