"""Listed domains and prefixes: label boundaries, public suffixes, path boundaries."""

import pytest

from relaion_pipeline.links import domain_candidates, domain_key, host_of, prefix_candidates, prefix_key, refang

KEYS = {
    "Example.COM": "example.com",
    "*.example.com": "example.com",
    "*.*.example.com": "example.com",
    ".example.com": "example.com",
    "example.com.": "example.com",
    "example.com:8080": "example.com",
    "https://example.com/": "example.com",
    "http://example.com": "example.com",
    " example.com\t": "example.com",
    "www.example.com": "www.example.com",
    "münchen.de": "xn--mnchen-3ya.de",
    "XN--MNCHEN-3YA.de": "xn--mnchen-3ya.de",
    "xn--a.example.com": "xn--a.example.com",
    "img_1.example.com": "img_1.example.com",
    "me.github.io": "me.github.io",
    "192.0.2.7": "192.0.2.7",
    "0xC0000207": "192.0.2.7",
    "192.0.2.7:81": "192.0.2.7",
    "2001:DB8::1": "[2001:db8::1]",
    "[2001:db8::1]:80": "[2001:db8::1]",
    "::ffff:192.0.2.7": "192.0.2.7",
}

REFUSED = [
    "",
    " ",
    ".",
    "*",
    "*.",
    "com",
    "*.com",
    "co.uk",
    "github.io",
    "*.github.io",
    "blogspot.com",
    "公司.cn",
    "localhost",
    "foo.ck",
]
REFUSED += [
    "example.com/a",
    "a b.com",
    "exa*mple.com",
    "192.0.2.0/24",
    "user@example.com",
    "example.com:http",
    "::zz",
    "[",
    "%",
    "#x.com",
    "ftp://example.com",
]


@pytest.mark.parametrize(("entry", "key"), KEYS.items())
def test_domain_key(entry, key):
    assert domain_key(entry) == key


@pytest.mark.parametrize("entry", REFUSED)
def test_refused_as_a_domain(entry):
    assert domain_key(entry) is None


def test_candidates_stop_below_the_public_suffix():
    assert domain_candidates("a.b.example.co.uk") == ["a.b.example.co.uk", "b.example.co.uk", "example.co.uk"]
    assert domain_candidates("x.me.github.io") == ["x.me.github.io", "me.github.io"]
    assert domain_candidates("www.ck") == ["www.ck"]
    for host in ("com", "co.uk", "github.io", "localhost", ""):
        assert domain_candidates(host) == []


def test_an_address_is_only_itself():
    assert domain_candidates("192.0.2.7") == ["192.0.2.7"]
    assert domain_candidates("[2001:db8::1]") == ["[2001:db8::1]"]


def test_a_host_of_many_labels_costs_little():
    host = "a." * 30_000 + "example.com"
    candidates = domain_candidates(host)
    assert candidates[0] == host
    assert candidates[-1] == "example.com"
    assert len(candidates) == 128


def test_host_of():
    assert host_of("HTTP://u:p@WWW.Example.com.:80/a") == "www.example.com"
    assert host_of("data:image/png;base64,AA") is None
    assert host_of("http://example.com:99999/") == "example.com"
    assert host_of("") is None


PREFIX_HITS = [
    "http://example.com/gal",
    "https://www.example.com/gal/",
    "http://example.com/gal/a.jpg",
    "example.com/gal/x/y?z=1",
    "http://example.com/gal?x=1",
    "http://example.com//x/../gal/b",
]
PREFIX_MISSES = [
    "http://example.com/gallery",
    "http://example.com/Gal/a",
    "http://example.com/",
    "http://example.com/x/gal",
    "http://a.example.com/gal",
    "http://example.com:81/gal",
    "http://example.com/?/gal",
]


@pytest.mark.parametrize("entry", ["http://example.com/gal/", "www.example.com/gal", "https://EXAMPLE.com/./gal"])
def test_prefixes_end_at_path_boundaries(entry):
    key = prefix_key(entry)
    assert key == "example.com/gal"
    for link in PREFIX_HITS:
        assert key in prefix_candidates(link)
    for link in PREFIX_MISSES:
        assert key not in prefix_candidates(link)


def test_prefixes_of_hosts():
    assert prefix_key("http://example.com/") == "example.com"
    assert "example.com" in prefix_candidates("http://www.example.com/a/b")
    assert prefix_key("http://github.io/") is None
    assert prefix_key("https://www.co.uk/") is None
    assert prefix_key("http://co.uk/a") == "co.uk/a"
    assert prefix_key("mailto:a") is None
    assert prefix_key("http://example.com/" + "a/" * 65) is None
    assert len(prefix_candidates("http://example.com/" + "a/" * 30_000)) == 66


def test_refang_leaves_paths_with_parentheses():
    assert refang("http://example.com/a(.)b") == "http://example.com/a(.)b"
    assert refang("http://[2001:db8::1]/") == "http://[2001:db8::1]/"
    assert refang("fxp://example[.]com/hxxp://a") == "ftp://example.com/hxxp://a"
