"""Published conformance cases: the URL Standard's, IDNA's, the public suffix list's, urlcanon's.

Every deviation stands in an allow-list with its reason; a deviation that is gone fails too, so the lists stay true.
"""

import json
import re
from pathlib import Path

import can_ada
import pytest
from publicsuffixlist import PublicSuffixList

from relaion_pipeline.links import canonicalise, domain_candidates, domain_key
from relaion_pipeline.links.canonical import parse
from relaion_pipeline.links.hosts import normal_host
from relaion_pipeline_tests.links.shared import shared, shared_json

OPAQUE = "blanks at the end of an opaque path: no web link; the parser's release is older than the rule"
PUNYCODE = (
    "punycode that decodes to nothing: the parser refuses it, `canonicalise` lets it pass as the Standard now does"
)
CARET = "`^` in a path: the Standard now escapes it; `canonicalise` undoes escapes, so both spellings come to one"

PARSER_DEVIATIONS = {
    "non-special:opaque  ?hi": OPAQUE,
    "non-special:opaque  #hi": OPAQUE,
    "non-special:opaque \t\t  \t#hi": OPAQUE,
    "non-special:opaque \t\t  #hi": OPAQUE,
    "non-special:opaque\t\t  \r #hi": OPAQUE,
    "http://a.b.c.xn--pokxncvks": PUNYCODE,
    "http://10.0.0.xn--pokxncvks": PUNYCODE,
    "http://a.b.c.XN--pokxncvks": PUNYCODE,
    "http://a.b.c.Xn--pokxncvks": PUNYCODE,
    "http://10.0.0.XN--pokxncvks": PUNYCODE,
    "http://10.0.0.xN--pokxncvks": PUNYCODE,
    "file://xn--/p": PUNYCODE,
    "https://xn--/": PUNYCODE,
    "foo://host/ !\"$%&'()*+,-./:;<=>@[\\]^_`{|}~": CARET,
    "wss://host/ !\"$%&'()*+,-./:;<=>@[\\]^_`{|}~": CARET,
}

NO_HOST = "nothing is left of the host once its dots are gone (Safe Browsing's rule)"
LONE = "a relative reference to the Standard, a listed link without scheme to us (hosts may have one label)"

CANONICAL_DEVIATIONS = {
    "http://./": NO_HOST,
    "http://../": NO_HOST,
    "http://foo.09..": "Safe Browsing takes the dots away; what is left is a broken IPv4 address",
    "i": LONE,
    "a": LONE,
    "a/": LONE,
    "a//": LONE,
    "test-a-colon.html": LONE,
    "test-a-colon-b.html": LONE,
}

IDNA_REASONS = {
    "sharp_s": "capital sharp s comes to `ss` in the parser's tables, to `ß` in newer ones",
    "refused": "the parser's Unicode tables are older and refuse a character: the row is matched by its exact text",
    "empty": "an empty host is no host",
}
IDNA_DEVIATIONS = Path(__file__).with_name("idna_deviations.json")


def url_cases():
    return [case for case in shared_json("wpt_ada__urltestdata.json") if isinstance(case, dict)]


def href(case) -> str | None:
    try:
        url = can_ada.parse(case["base"]) + case["input"] if case.get("base") else can_ada.parse(case["input"])
    except ValueError:
        return None
    return str(url.href)


def report(name: str, passed: int, total: int, deviating: set[str]) -> None:
    print(f"{name}: {passed} of {total} pass, {len(deviating)} deviate")


def test_url_standard_parser():
    """The library itself, relative references included."""
    cases = url_cases()
    deviating = {case["input"] for case in cases if href(case) != (None if case.get("failure") else case["href"])}
    report("URL Standard, parser", len(cases) - len(deviating), len(cases), deviating)
    assert deviating == set(PARSER_DEVIATIONS)


def test_url_standard_canonicaliser():
    """Absolute web links come to the Standard's host and port; what it refuses, we refuse."""
    passed, deviating = 0, set()
    for case in url_cases():
        found = canonicalise(case["input"])
        if case.get("failure"):
            right = found is None
        elif case["protocol"] in ("http:", "https:", "ftp:", "ws:", "wss:") and re.match(
            r"(?i)\s*[a-z]+:[/\\]{2}", case["input"]
        ):
            right = found is not None and (found.host, found.port) == (normal_host(case["hostname"]), case["port"])
        else:
            continue
        passed += right
        if not right:
            deviating.add(case["input"])
    report("URL Standard, canonicaliser", passed, passed + len(deviating), deviating)
    assert deviating == set(CANONICAL_DEVIATIONS)


def test_the_whatwg_form_is_the_standards():
    """`parse` gives the Standard's serialisation, on which the `whatwg` form rests."""
    for case in url_cases():
        parsed = parse(case["input"])
        if (
            parsed is not None
            and not case.get("base")
            and not case.get("failure")
            and case["input"] not in PARSER_DEVIATIONS
        ):
            wanted = case["href"].partition("#")[0]
            assert (
                parsed.href == wanted or "&" in case["input"] or not re.match(r"[a-z]+:", case["input"], re.IGNORECASE)
            )


@pytest.mark.parametrize("name", ["IdnaTestV2", "toascii"])
def test_idna(name):
    cases = [case for case in shared_json(f"wpt_ada__{name}.json") if isinstance(case, dict)]
    deviating: dict[str, list[str]] = {}
    for case in cases:
        found = canonicalise(f"http://{case['input']}/")
        host = None if found is None else found.host
        wanted = None if case["output"] is None else normal_host(case["output"].lower())
        if host != wanted:
            reason = "empty" if not case["input"] else "sharp_s" if "\u1e9e" in case["input"] else "refused"
            assert reason != "refused" or host is None
            deviating.setdefault(reason, []).append(ascii(case["input"]))
    count = sum(map(len, deviating.values()))
    print(
        f"{name}: {len(cases) - count} of {len(cases)} pass; "
        + "; ".join(f"{len(each)}: {IDNA_REASONS[reason]}" for reason, each in deviating.items())
    )
    assert deviating == json.loads(IDNA_DEVIATIONS.read_text(encoding="ascii"))[name]


def suffix_cases() -> list[tuple[str, str | None]]:
    cases = [line.split() for line in shared("links", "psl__tests.txt").read_text(encoding="utf-8").splitlines()]
    found = [
        (name, None if wanted == "null" else wanted)
        for name, wanted in (case for case in cases if len(case) == 2 and case[0] != "//")
    ]
    text = shared("links", "psl__test_psl.txt").read_text(encoding="utf-8")
    quoted = re.findall(r"^checkPublicSuffix\('([^']*)', (?:'([^']*)'|null)\);", text, re.MULTILINE)
    return [case for case in (*found, *((name, wanted or None) for name, wanted in quoted)) if case[0] != "null"]


def test_public_suffixes():
    """The registrable domain is the last candidate; above it nothing is ever matched."""
    passed = 0
    cases = suffix_cases()
    for name, registrable in cases:
        key = domain_key(name)
        wanted = None if registrable is None else domain_key(registrable)
        if name.startswith("."):
            continue  # a leading dot is a wildcard to us: the next test
        assert (key is None) == (wanted is None), name
        if key is not None:
            assert domain_candidates(key)[-1] == wanted
        passed += 1
    print(
        f"public suffixes: {passed} of {len(cases)} pass; the others begin with a dot, which lists write for subdomains"
    )
    assert passed >= len(cases) - 8


def test_the_bundled_list_agrees_with_the_shared_one():
    """Guards against a bundle so old that a public suffix of today would be matched."""
    path = shared("links", "public_suffix_list.dat")
    with path.open(encoding="utf-8") as file:
        theirs = PublicSuffixList(file)
    names = [
        line.strip()
        for line in path.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith(("//", "!", "*"))
    ]
    known = [name for name in names if domain_key(name) is None]
    print(f"public suffix list: {len(known)} of {len(names)} suffixes refused as listed domains")
    assert theirs.privatesuffix("a.co.uk") == "a.co.uk"
    assert len(known) >= 0.99 * len(names)


def test_urlcanon_path_dots():
    """urlcanon keeps runs of slashes; Safe Browsing does not. Else the same."""
    cases = shared_json("urlcanon__path_dots.json")["special"]
    passed = 0
    for path, wanted in cases.items():
        if not path.startswith("/"):
            continue  # no path of a web link
        found = canonicalise(f"http://example.com{path}")
        assert found is not None
        assert (
            found.path == re.sub("/{2,}", "/", wanted.replace("\\", "/").replace("/../", "/").replace("/./", "/"))
            or "\\" in path
        )
        passed += "\\" not in path
    print(f"urlcanon path_dots: {passed} of {len(cases)}; the rest hold backslashes, which are slashes in web links")


def test_urlcanon_links():
    """The parts that urlcanon's key keeps: host, port, path and query, without userinfo and fragment."""
    for link, wanted in shared_json("urlcanon__ssurt.json")["ssurt"].items():
        found = canonicalise(link)
        if not link.startswith("http"):
            assert found is None  # no web link
            continue
        assert found is not None
        host, _, rest = wanted.partition("//")
        assert found.host == ".".join(reversed(host.strip(",").split(",")))
        assert found.port == rest.partition("http")[0].strip(":")
        assert found.rest == "/path?query"
