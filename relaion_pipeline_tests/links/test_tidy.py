# ruff: noqa: E501  (tables of pieces; letters that look like others)
"""SQL spells tidy links as Python does: generated links aimed at each class, and every real link there is."""

import re

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relaion_pipeline.links import FORMS, forms, host_of, match_key, tidy, tidy_forms
from relaion_pipeline.links.forms import FILE_EXTENSIONS
from relaion_pipeline_tests.links.shared import ANY_TEXT, nearly_plain, real_links, shared_json
from relaion_pipeline_tests.links.test_evasion import SAME

CONNECTION = duckdb.connect()
RUNS = settings(max_examples=15, deadline=None)


def check_alike(links: list[str], names: list[str] | None = None) -> set[str]:
    """Hold SQL against Python for each link; the tidy ones."""
    table = {
        "file": pa.array([0] * len(links), pa.int32()),
        "row": range(len(links)),
        "link": pa.array(links, pa.string()),
    }
    CONNECTION.register("any_links", pa.table(table))
    texts = tidy.tidy_texts("any_links", "link", ("file", "row"))
    CONNECTION.execute(f"CREATE OR REPLACE TEMP TABLE tidy AS SELECT * FROM ({texts}) WHERE link_tidy")
    keys = tidy_forms.keys_sql("tidy", str) if names is None else tidy_forms.chosen_keys_sql("tidy", names, str)
    found: dict[int, set[str]] = {row: set() for (row,) in CONNECTION.execute("SELECT row FROM tidy").fetchall()}
    for row, text in CONNECTION.execute(f"SELECT row, key FROM ({keys}) WHERE key IS NOT NULL").fetchall():
        found[row].add(text)
    for row, texts in found.items():
        assert texts == set(forms(links[row], names).values()), links[row]
    spelled = CONNECTION.execute(f"SELECT row, spelled FROM ({tidy_forms.match_keys_sql('tidy')})").fetchall()
    assert dict(spelled) == {row: match_key(links[row]) for row in found}
    hosts = CONNECTION.execute(f"SELECT row, {tidy_forms.host_sql('link_text')} FROM tidy").fetchall()
    assert dict(hosts) == {row: host_of(links[row]) for row in found}
    return {links[row] for row in found}


_PIECES = [
    *("a", "B", "Zz", "9", "-", "_", "~", "!", "$", "(", ")", "*", "+", ",", ":", "@", "'", ";", "=", ".", "..", "/", "/", "/"),
    *(" ", "%20", "%2B", "%2b", "%2F", "%2f", "%2E", "%2e%2e", "%3F", "%3f", "%23", "%25", "%2525", "%26", "%5C", "%22", "%27"),
    *("%3B", "%C3%A9", "%c3%a9", "%C3", "%E5%86%99", "%F0%9F%98%80", "%ED%A0%80", "%C0%AF", "%C2%85", "%0A", "%00", "%7F", "%zz", "%"),
    *("%C4%B1", "%CE%A3", "%C5%BF", "é", "É", "写真", "файл", "Ж", "\u0130", "\u0131", "\u017f", "\u03a3", "\u212a", "ß", "ẞ", "\u0301"),
    *("&", "&&", "&amp;", "&amp;amp;", "&amp", "&amp;lt", "&lt", "&copy", "&copy=", "&copy;", "&#38;", "&#x26;", "&a=1", "&amp;b=2"),
    *("&eacute", "&AMP;", "&q", "amp;", "lt;", "#", "#x", "?", "?", "?a=1", "/../", "/./", "/..", "//", "/a/../", "\\", '"', "<", "|", "^", "`", "{", "["),
    *(".jpg", ".JPG", ".webp", ".svg", ".\u017fvg", "/.jpg", ".jpg/", "jpg", "\t", "\x00", "\x7f", "\x85", "\u3000", "\ufffd", "😀", "𐐀"),
]  # fmt: skip
_SCHEMES = st.sampled_from(["http://", "https://", "HTTPS://", "Http://", "ftp://", "http:/", "//", "http:///", ""])
_HOSTS = st.sampled_from(
    [
        *("example.com", "www.example.com", "WWW.Example.COM", "a_b.example.co.uk", "www.com", "www.www.com", "wWw.WWW.x.org", "w.example"),
        *("1.2.3.4", "01.2.3.4", "1.2.3.256", "1.2.3", "0x7f.1", "1.2.3.4.com", "www.1.2.3.4", "a.9", "xn--mnchen-3ya.de", "XN--a.com"),
        *("münchen.de", "a..b.com", "a.com.", "user@example.com", "u:p@example.com", "example", "a%2eb.com", "www.jpg", "-a.com"),
    ]
)  # fmt: skip
_PORTS = st.sampled_from(
    ["", "", "", ":80", ":443", ":8080", ":080", ":0", ":", ":59999", ":65535", ":65536", ":99999", ":x"]
)


@st.composite
def nearly_tidy(draw: st.DrawFn) -> str:
    """Links on both sides of the border between tidy and not, most with few oddities."""
    start = draw(_SCHEMES | st.just("http://")) + draw(_HOSTS | st.just("www.example.com")) + draw(_PORTS)
    few = st.lists(st.sampled_from(_PIECES), max_size=draw(st.sampled_from([2, 4, 8])))
    path, query = "".join(draw(few)), "".join(draw(few))
    parts = [start, "/", path, draw(st.sampled_from(["", "?", "?a=1&", "?b=", ".jpg?", "/?"])), query]
    return "".join(parts) + draw(st.sampled_from(["", "", "", "#", "#main", "#a b", "/", ".jpg", " "]))


@RUNS
@given(st.lists(nearly_tidy(), min_size=100, max_size=200))
def test_generated_links(links):
    check_alike(links)


@RUNS
@given(st.lists(nearly_plain() | ANY_TEXT.filter(lambda text: not re.search("[\ud800-\udfff]", text)), min_size=20))
def test_any_text(links):
    check_alike(links)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(nearly_tidy(), min_size=200, max_size=300))
def test_fuzz(links):
    check_alike(links)


@settings(max_examples=12, deadline=None)
@given(st.lists(nearly_tidy(), min_size=60, max_size=60), st.sampled_from(FORMS))
def test_generated_links_in_one_form(links, name):
    check_alike(links, [name])


CLASSES = {
    "upper-case scheme": "HTTPS://example.com/a.jpg",
    "upper-case host": "http://WWW.Example.Com/a/B?c=D",
    "port": "https://www.example.com:8443/a/",
    "default port": "https://www.example.com:443/a",
    "default port of the other scheme": "http://www.example.com:443/a/?b=%C3%A9",
    "address": "http://192.0.2.7:8080/a%20b/",
    "space": "http://example.com/a b/c (1).jpg",
    "escaped space": "http://example.com/My%20Pictures/c.jpg",
    "beyond ASCII": "http://example.com/São Paulo/写真.JPG",
    "escaped beyond ASCII": "https://example.com/%e5%86%99%E7%9C%9F/%C3%A9",
    "escaped delimiters": "http://example.com/a%28b%29%2Fc%3Bd/?u=http%3A%2F%2Fexample.org%2F",
    "entity": "http://example.com/?w=640&amp;h=480",
    "ampersand at the end": "http://example.com/a.png?size=large&",
    "ampersand in the path": "http://example.com/A&B/",
    "parameters": "http://example.com/gallery;jsessionid=A1/x",
    "fragment": "http://example.com/a.jpg#main",
    "doubled slashes": "http://example.com//uploads//a.jpg",
    "step back": "http://example.com/a/b/../c.jpg",
    "quote in the path": "http://example.com/d'or.jpg",
}


@pytest.mark.parametrize("name", CLASSES)
def test_each_class_is_tidy(name):
    assert check_alike([CLASSES[name]]) == {CLASSES[name]}


@pytest.mark.parametrize("name", FORMS)
def test_each_form_alone(name):
    assert check_alike(list(CLASSES.values()), [name]) == {*CLASSES.values()}


def test_traps_are_not_tidy():
    traps = [
        "http://example.com",
        "http://user@example.com/",
        "http://xn--mnchen-3ya.de/",
        "http://01.2.3.4/",
        "http://www.www.example.com/",
        "http://example.com:65536/",
        "http://example.com/%2525",
        "http://example.com/%C3",
        "http://example.com/a%3F/../b",
        "http://example.com/%2e%2e/a",
        "http://example.com/a%2F..%2Fb",
        "http://example.com/a//",
        "http://example.com/a;",
        "http://example.com/a%20",
        "http://example.com/?",
        "http://example.com/?a'",
        "http://example.com/?&copy",
        "http://example.com/?&am%70;",
        "http://example.com/?&amp;amp;",
        "http://example.com/a.\u017fvg",
        "http://example.com/\u03a3",
        "http://example.com/" + "a" * 2048,
    ]
    assert check_alike(traps) == set()


def test_lower_case_of_every_letter():
    """ThreatExchange's form lower-cases letters as they are written: DuckDB and Python agree on each that may stand."""
    settled = re.compile(f"[{tidy._SETTLED}]")
    letters = [chr(code) for code in range(0xA0, 0x110000) if settled.match(chr(code))]
    assert len(letters) > 40_000
    links = [f"http://example.com/{''.join(letters[start : start + 64])}x.jpg" for start in range(0, len(letters), 64)]
    assert check_alike(links, ["threatexchange"]) == set(links)
    endings = [f"http://example.com/a.{end[:place]}{letter}{end[place + 1 :]}" for end in FILE_EXTENSIONS
               for place in range(len(end)) for letter in "\u0130\u0131\u017f\u212a"]  # fmt: skip
    assert check_alike(endings) == set()


def test_every_real_link():
    for name, links in real_links().items():
        distinct = list(dict.fromkeys(links))
        count = len(check_alike(distinct))
        print(f"{name}: {count} of {len(distinct)} distinct links are tidy or plain ({count / len(distinct):.1%})")
        assert count > 0.99 * len(distinct)


def test_conformance_inputs_and_evasions():
    inputs = [case["input"] for case in shared_json("wpt_ada__urltestdata.json") if isinstance(case, dict)]
    inputs += [f"http://example.com/{link}" for link in inputs]
    links = [*inputs, *SAME]
    check_alike([link for link in links if not re.search("[\ud800-\udfff]", link)])
