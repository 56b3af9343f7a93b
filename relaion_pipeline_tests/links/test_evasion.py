# ruff: noqa: RUF001  (letters that look alike are what this file is about)
"""One invented listed link, the spellings of it that must be found and near ones that must not.

For plain lists (`match_key` of both sides) and for hashed ones (the row's `forms` hold the listed text).
"""

import pytest

from relaion_pipeline.links import domain_candidates, domain_key, forms, host_of, match_key, refang

LISTED = "http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L"

SAME = [
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "https://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "https://example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "HTTP://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "hTTps://WWW.EXAMPLE.COM/Photos/2019/a b-é.jpg?id=7&size=L",
    "//www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "EXAMPLE.COM/Photos/2019/a b-é.jpg?id=7&size=L",
    "http:/www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http:www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http:///www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http:\\\\www.example.com\\Photos\\2019\\a b-é.jpg?id=7&size=L",
    "http://www.example.com:80/Photos/2019/a b-é.jpg?id=7&size=L",
    "https://www.example.com:443/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com:/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com:0080/Photos/2019/a b-é.jpg?id=7&size=L",
    "https://www.example.com:80/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://example.com:443/Photos/2019/a b-é.jpg?id=7&size=L",
    "example.com:80/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com./Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com.../Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www..example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://.www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://user@www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://user:secret@www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://other.test@www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://a@b@www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.ex%61mple.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.ex%2561mple.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://%77%77%77.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www。example。com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://ｗｗｗ.ｅｘａｍｐｌｅ.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.exam\u00adple.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.exa\tmple.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "ht\ntp://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "  http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L \n",
    "\x00http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L\x1f",
    "http://www.example.com/Photos/2019/a%20b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-%C3%A9.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-%c3%a9.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a%2520b-%25C3%25A9.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a%25252520b-é.jpg?id=7&size=L",
    "http://www.example.com/%50hotos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos%2F2019%2fa b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é%2Ejpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7%26size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id%3D7&size%3DL",
    "http://www.example.com/Photos/2019/a b-é.jpg%3Fid=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&amp;size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&amp;amp;amp;size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&#38;size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&#x26;size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7%26amp%3Bsize=L",
    "http://www.example.com/Photos/2019/a b-&eacute;.jpg?id=7&amp;size=L",
    "http://www.example.com&#47;Photos&sol;2019/a b-&#xe9;.jpg?id=7&size=L",
    "&#104;ttp://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com/./Photos/2019/./a b-é.jpg?id=7&size=L",
    "http://www.example.com/x/../Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com/../../Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com/%2e%2E/Photos/%2e/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com//Photos///2019//a b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos\\2019\\a b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/x%2F..%2Fa b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg/?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L#top",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L#",
    "http://www.example.com/Photos/2019/a b-\né.jpg?id=7&size=L",
]

IN_LISTS = [
    "hxxp://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "hXXps://www.example[.]com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http[:]//www(.)example(.)com/Photos/2019/a b-é[.]jpg?id=7&size=L",
    "h**p[://]example{.}com/Photos/2019/a b-é.jpg?id=7&size=L",
    "hxxp[:]//www[dot]example[dot]com[/]Photos/2019/a b-é.jpg?id=7&size=L",
    "example(dot)com/Photos/2019/a b-é.jpg?id=7&size=L",
]
"""Spellings that only lists hold; `refang` undoes them."""

OTHER = [
    "http://www.example.com/photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com/PHOTOS/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/A b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.JPG?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-É.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-e.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-e\u0301.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-%E9.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/ab-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a+b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a  b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpeg?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg.png?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=8&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=77&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=l",
    "http://www.example.com/Photos/2019/a b-é.jpg?ID=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?size=L&id=7",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L&x=1",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L/",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7;size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg",
    "http://www.example.com/Photos/2019/a b-é.jpg#?id=7&size=L",
    "http://www.example.com/Photos/2019/a b-é.jpg%23?id=7&size=L",
    "http://www.example.com/Photos/2019/",
    "http://www.example.com/",
    "http://www.example.com/Photos/2018/a b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/a b-é.jpg?id=7&size=L",
    "http://www.example.com/x/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/x/a b-é.jpg?id=7&size=L",
    "http://www.example.com/Photos/2019/../a b-é.jpg?id=7&size=L",
    "http://www.notexample.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://notexample.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://example.org/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.co/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com.au/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com.other.test/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.examp1e.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.exаmple.com/Photos/2019/a b-é.jpg?id=7&size=L",  # a Cyrillic letter: another host
    "http://img.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www2.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://wwwexample.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www-example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com:8080/Photos/2019/a b-é.jpg?id=7&size=L",
    "ftp://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://www.example.com@other.test/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://other.test/http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "http://other.test/?u=http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
]

COMMON_HASHED = [
    "http://www.example.com/Photos/2019/a b-é.jpg?id=7&size=L",
    "https://example.com/Photos/2019/a%20b-%C3%A9.jpg?id=7&size=L",
    "http://example.com/Photos/2019/a%20b-%c3%a9.jpg?id=7&size=L",
    "www.example.com/Photos/2019/a%20b-%C3%A9.jpg?id=7&size=L",
    "example.com/photos/2019/a%20b-%c3%a9.jpg?id=7&size=l",
    "https://www.example.com/Photos/2019/a%20b-%C3%A9.jpg?id=7&amp;size=L",
]
"""Texts of the listed link that a partner may have hashed: as written, canonical, escaped otherwise, lower-cased."""


def test_the_table_is_long_enough():
    assert len(set(SAME)) >= 60
    assert len(set(OTHER)) >= 40


@pytest.mark.parametrize("row", SAME)
def test_found_in_a_plain_list(row):
    assert match_key(row) == match_key(LISTED)


@pytest.mark.parametrize("entry", IN_LISTS)
def test_defanged_entries(entry):
    assert match_key(refang(entry)) == match_key(LISTED)


@pytest.mark.parametrize("row", OTHER)
def test_not_found_in_a_plain_list(row):
    assert match_key(row) != match_key(LISTED)


@pytest.mark.parametrize("row", SAME)
@pytest.mark.parametrize("hashed", COMMON_HASHED)
def test_found_in_a_hashed_list(row, hashed):
    assert hashed in forms(row).values()


@pytest.mark.parametrize("row", SAME)
def test_found_where_the_row_itself_was_hashed(row):
    assert forms(row)["exact"] == row


LOWERED = "example.com/photos/2019/a%20b-%c3%a9.jpg?id=7&size=l"


@pytest.mark.parametrize("row", OTHER)
@pytest.mark.parametrize("hashed", COMMON_HASHED)
def test_not_found_in_a_hashed_list(row, hashed):
    if hashed == LOWERED and match_key(row).lower() == match_key(LISTED).lower():
        pytest.skip("ThreatExchange's form is lower-cased: it cannot tell these two apart")
    assert hashed not in forms(row).values()


SLASHES = [
    f"{scheme}{www}example.com/Album/9{slash}"
    for scheme in ("", "http://", "https://")
    for www in ("", "www.")
    for slash in ("", "/")
]


@pytest.mark.parametrize("hashed", SLASHES)
def test_scheme_www_and_slash_in_every_combination(hashed):
    for row in [*SLASHES, "http://EXAMPLE.com/Album/9", "http://example.com:80/x/../Album//9/"]:
        assert hashed in forms(row).values()
        assert match_key(row) == match_key(hashed)
    for row in (
        "http://example.com/Album/",
        "http://example.com/album/9",
        "http://example.com/Album/99",
        "http://sub.example.com/Album/9",
    ):
        assert hashed not in forms(row).values()
        assert match_key(row) != match_key(hashed)


ADDRESSES = [
    "http://127.0.0.1/a",
    "http://0x7f.1/a",
    "http://2130706433/a",
    "http://0177.0.0.01/a",
    "http://127.1/a",
    "http://[::ffff:7f00:1]/a",
    "http://%31%32%37.0.0.1/a",
    "http://127.0.0.1../a",
    "http://１２７.0.0.1/a",
]


@pytest.mark.parametrize("row", ADDRESSES)
def test_addresses_in_every_notation(row):
    assert match_key(row) == match_key("127.0.0.1/a")
    assert "http://127.0.0.1/a" in forms(row).values()


def test_idn_on_both_sides():
    rows = ["http://xn--mnchen-3ya.example/ü", "http://MÜNCHEN.example/%C3%BC", "http://m%C3%BCnchen.example/%c3%bc"]
    for row in rows:
        assert match_key(row) == match_key("münchen.example/ü")
        for hashed in ("http://münchen.example/ü", "https://xn--mnchen-3ya.example/%C3%BC", "münchen.example/%C3%BC"):
            assert hashed in forms(row).values()


def test_a_query_is_never_mistaken_for_an_entity():
    assert match_key("http://example.com/?a=1&copy=2") == "example.com?a=1&copy=2"
    assert match_key("http://example.com/?a=1&amp;copy=2") == "example.com?a=1&copy=2"
    assert match_key("http://example.com/?a=1&notes=2") != match_key("http://example.com/?a=1¬es=2")


@pytest.mark.parametrize(
    "row",
    [
        "http://a.bad.example.com/",
        "http://example.com:99999/",
        "http://xn--a.example.com/x",
        "HTTPS://u@EXAMPLE.com.:x/",
    ],
)
def test_listed_domain_found_even_where_a_browser_would_refuse(row):
    host = host_of(row)
    assert host is not None
    assert domain_key("*.example.com") in domain_candidates(host)


@pytest.mark.parametrize(
    "row",
    [
        "http://notexample.com/",
        "http://example.com.test.org/",
        "http://example.org/example.com",
        "http://example.com@other.test/",
    ],
)
def test_sibling_domain_not_found(row):
    assert domain_key("example.com") not in domain_candidates(host_of(row) or "")
