# ruff: noqa: E501  (pass counts are printed; examples stand as published)
"""The examples of Google Safe Browsing's published specification: canonicalisation, and host-suffix path-prefix expressions."""

import pytest

from relaion_pipeline.links import canonicalise, expressions
from relaion_pipeline.links.expressions import MAX_EXPRESSIONS

CANONICAL = [
    ("http://host/%25%32%35", "http://host/%25"),
    ("http://host/%25%32%35%25%32%35", "http://host/%25%25"),
    ("http://host/%2525252525252525", "http://host/%25"),
    ("http://host/asdf%25%32%35asd", "http://host/asdf%25asd"),
    ("http://host/%%%25%32%35asd%%", "http://host/%25%25%25asd%25%25"),
    ("http://www.google.com/", "http://www.google.com/"),
    (
        "http://%31%36%38%2e%31%38%38%2e%39%39%2e%32%36/%2E%73%65%63%75%72%65/%77%77%77%2E%65%62%61%79%2E%63%6F%6D/",
        "http://168.188.99.26/.secure/www.ebay.com/",
    ),
    (
        "http://195.127.0.11/uploads/%20%20%20%20/.verify/.eBaysecure=updateuserdataxplimnbqmn-xplmvalidateinfoswqpcmlx=hgplmcx/",
        "http://195.127.0.11/uploads/%20%20%20%20/.verify/.eBaysecure=updateuserdataxplimnbqmn-xplmvalidateinfoswqpcmlx=hgplmcx/",
    ),
    (
        "http://host.com/%257Ea%2521b%2540c%2523d%2524e%25f%255E00%252611%252A22%252833%252944_55%252B",
        "http://host.com/~a!b@c%23d$e%25f^00&11*22(33)44_55+",
    ),
    ("http://3279880203/blah", "http://195.127.0.11/blah"),
    ("http://www.google.com/blah/..", "http://www.google.com/"),
    ("www.google.com/", "http://www.google.com/"),
    ("www.google.com", "http://www.google.com/"),
    ("http://www.evil.com/blah#frag", "http://www.evil.com/blah"),
    ("http://www.GOOgle.com/", "http://www.google.com/"),
    ("http://www.google.com.../", "http://www.google.com/"),
    ("http://www.google.com/foo\tbar\rbaz\n2", "http://www.google.com/foobarbaz2"),
    ("http://www.google.com/q?", "http://www.google.com/q?"),
    ("http://www.google.com/q?r?", "http://www.google.com/q?r?"),
    ("http://www.google.com/q?r?s", "http://www.google.com/q?r?s"),
    ("http://evil.com/foo#bar#baz", "http://evil.com/foo"),
    ("http://evil.com/foo;", "http://evil.com/foo;"),
    ("http://evil.com/foo?bar;", "http://evil.com/foo?bar;"),
    ("http://notrailingslash.com", "http://notrailingslash.com/"),
    ("  http://www.google.com/  ", "http://www.google.com/"),
    ("https://www.securesite.com/", "https://www.securesite.com/"),
    ("http://host.com/ab%23cd", "http://host.com/ab%23cd"),
    ("http://host.com//twoslashes?more//slashes", "http://host.com/twoslashes?more//slashes"),
    # Version 5 of the specification: IPv4 inside IPv6.
    ("http://[::ffff:1.2.3.4]/", "http://1.2.3.4/"),
    ("http://[64:ff9b::1.2.3.4]/", "http://1.2.3.4/"),
]

BAD_HOST = "no host by the URL Standard, so nobody could have fetched it; matched by its exact text"
DEVIATIONS = {
    "http://\x01\x80.com/": ("http://%01%80.com/", None, BAD_HOST),
    "http:// leadingspace.com/": ("http://%20leadingspace.com/", None, BAD_HOST),
    "http://%20leadingspace.com/": ("http://%20leadingspace.com/", None, BAD_HOST),
    "%20leadingspace.com/": ("http://%20leadingspace.com/", None, BAD_HOST),
    "http://host%23.com/%257Ea%2521b": ("http://host%23.com/~a!b", None, BAD_HOST),
    "http://www.gotaport.com:1234/": (
        "http://www.gotaport.com/",
        "http://www.gotaport.com:1234/",
        "another port is another server; the expressions, where the port does not count, leave it out",
    ),
}
"""Link: what the specification says, what we say, and why."""

EXPRESSIONS = {
    "http://a.b.com/1/2.html?param=1": (
        "a.b.com/1/2.html?param=1 a.b.com/1/2.html a.b.com/ a.b.com/1/ b.com/1/2.html?param=1 b.com/1/2.html b.com/ b.com/1/"
    ),
    "http://a.b.c.d.e.f.com/1.html": (
        "a.b.c.d.e.f.com/1.html a.b.c.d.e.f.com/ c.d.e.f.com/1.html c.d.e.f.com/ d.e.f.com/1.html d.e.f.com/"
        " e.f.com/1.html e.f.com/ f.com/1.html f.com/"
    ),
    "http://1.2.3.4/1/": "1.2.3.4/1/ 1.2.3.4/",
    "http://example.co.uk/1": "example.co.uk/1 example.co.uk/",
}


@pytest.mark.parametrize(("link", "wanted"), CANONICAL)
def test_canonical(link, wanted):
    found = canonicalise(link)
    assert found is not None
    assert found.canonical == wanted


@pytest.mark.parametrize("link", DEVIATIONS)
def test_deviation_still_stands(link):
    theirs, ours, reason = DEVIATIONS[link]
    found = canonicalise(link)
    assert (found and found.canonical) == ours, reason
    assert ours != theirs
    print(f"{link!r}: {reason}")


def test_count():
    print(f"Safe Browsing: {len(CANONICAL)} of {len(CANONICAL) + len(DEVIATIONS)} canonical examples as published")


@pytest.mark.parametrize(("link", "wanted"), EXPRESSIONS.items())
def test_expressions(link, wanted):
    assert expressions(link) == wanted.split()


def test_a_port_does_not_count():
    assert expressions("http://www.gotaport.com:1234/") == expressions("https://www.gotaport.com/")


def test_never_more_than_thirty():
    deep = expressions("http://a.b.c.d.e.f.g.com/1/2/3/4/5/6/7.html?x=1")
    assert len(deep) == len(set(deep)) == MAX_EXPRESSIONS
    assert "a.b.c.d.e.f.g.com/1/2/3/" in deep
    assert "a.b.c.d.e.f.g.com/1/2/3/4/" not in deep


def test_never_on_a_public_suffix():
    assert not [each for each in expressions("http://a.b.github.io/x") if each.startswith(("github.io/", "io/"))]


def test_unparseable_has_none():
    assert expressions("data:image/png;base64,AA") == []
