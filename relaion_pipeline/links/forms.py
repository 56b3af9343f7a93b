"""The spellings in which a row's link is matched against lists of *hashed* links.

A hash of one spelling finds only that spelling, and nobody knows which one a partner hashed. So a row's link is
spelled in every way that list makers are known to hash: a few *bases* (how much escaping was undone), each with the
scheme, `www.` and the trailing slash put on and taken off.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final
from urllib.parse import urlparse

import can_ada

from relaion_pipeline.links.canonical import (
    C0_AND_SPACE,
    WEB_SCHEMES,
    Canonical,
    canonicalise,
    parse,
    without_www,
)
from relaion_pipeline.links.escapes import decode_entities, decode_percent, without_surrogates
from relaion_pipeline.links.hosts import is_ip, parsed_host

BASES: Final[dict[str, str]] = {
    "exact": "the row's own text: lists made from the same dataset or crawl",
    "canonical": "the canonical spelling: lists made with this canonicaliser or with Safe Browsing's",
    "whatwg": "what a browser shows and requests: lists made by people with browsers, and by crawlers",
    "entity_decoded": "HTML entities undone: the row was copied from HTML source, the list from the page",
    "entity_encoded": "every `&` as `&amp;`: the list was copied from HTML source, the row was not",
    "percent_decoded": "percent-escapes undone once, as `unquote` does: lists made for reading",
    "decoded": "canonical with percent-escapes undone: the list was made for reading, and the row is escaped otherwise",
    "percent_lower": "percent-escapes in lower-case hex, as some servers and languages write them",
    "unicode_host": "IDN host in Unicode, path escaped: how browsers' address bars copy a link",
    "unicode": "IDN host and path in Unicode: how address bars show it",
}
"""Each base and its reason."""

SINGLE: Final[dict[str, str]] = {
    "no_scheme": "canonical without `http://` or `https://`: lists of bare links",
    "http": "canonical under `http://`: the list is older than the site's change to https",
    "https": "canonical under `https://`: the list is younger than the row",
    "www": "canonical with `www.`: the site answers to both",
    "no_www": "canonical without `www.`: the site answers to both",
    "slash": "canonical with a slash behind the path: where the server redirects to",
    "no_slash": "canonical without a slash behind the path: how people type it",
}
"""The common single changes, under names that a feed may declare."""

THREATEXCHANGE: Final = "threatexchange"
THREATEXCHANGE_REASON: Final = (
    "ThreatExchange's URL-MD5: lower-cased as a whole, without scheme; also with and without `www.` and slash"
)

_SCHEMES: Final = (("no_scheme", ""), ("http", "http://"), ("https", "https://"))
_WWW: Final = ("no_www", "www")
_SLASH: Final = ("no_slash", "slash")


# Bases whose escapes hide no `?` and no slash, so that the end of the path is plain to see. They come first where
# forms are combined: a base with the same text needs no second look.
SURE: Final = ("canonical", "entity_encoded", "percent_lower", "unicode_host", "unicode")
_COMBINING: Final = (*SURE, *[base for base in BASES if base not in SURE])

_GRIDS: Final = {
    base: {
        (www, slash): tuple((f"{base}+{scheme}+{www}+{slash}", prefix) for scheme, prefix in _SCHEMES)
        for www in _WWW
        for slash in _SLASH
    }
    for base in (*_COMBINING, THREATEXCHANGE)
}

COMBINATIONS: Final[dict[str, tuple[str, str, str, str]]] = {
    f"{base}+{scheme}+{www}+{slash}": (base, scheme, www, slash)
    for base in _COMBINING
    for www in _WWW
    for slash in _SLASH
    for scheme, _ in _SCHEMES
}
"""Name to (base, scheme, www, slash) of every combined form."""

THREATEXCHANGE_FORMS: Final[tuple[str, ...]] = (
    THREATEXCHANGE,
    *[f"{THREATEXCHANGE}+{www}+{slash}" for www in _WWW for slash in _SLASH],
)

FORMS: Final[tuple[str, ...]] = (*BASES, *SINGLE, *THREATEXCHANGE_FORMS, *COMBINATIONS)
"""The names of all forms, in the order in which `forms` gives them."""


LOSSY: Final = frozenset({"percent_decoded", "decoded", *THREATEXCHANGE_FORMS})
"""Bases and forms that several links may share (`%23` and `#`, `A` and `a`); all others lead back to one link."""

FILE_EXTENSIONS: Final = (
    *("jpg", "jpeg", "jfif", "png", "gif", "webp", "avif", "svg", "bmp", "tif", "tiff", "ico", "heic", "heif"),
    *("mp4", "webm"),
)
"""A path that ends so names a file: no slash is *added* to it (one that is there is still taken off).

Nobody lists `photo.jpg/`, and these are most of a dataset's links: each would cost six more hashes."""

_ENDS_IN_FILE: Final = re.compile(rf"(?i)\.(?:{'|'.join(FILE_EXTENSIONS)})\Z")
_HTTP: Final = re.compile(r"(?i)https?://(?![/\\])")
_NO_SCHEME: Final = re.compile(r"(?i)(?://)?(?![/\\?#]|(?:https?|ftp|wss?):|[a-z][a-z0-9+.-]*:(?![0-9]))")
_WWW_LABELS: Final = re.compile(r"(?i)^(?:www\.)+(?=[\w-])")
_DEFAULT_PORT: Final = re.compile(r":(?:0*(?:80|443))?$")
_PATH: Final = re.compile(r"([^/?#]+)([^?#]*)(.*)", re.DOTALL)
_UNSURE_PATH: Final = re.compile(r"[&%\\\x00-\x1f]")
_TAB_OR_NEWLINE: Final = re.compile(r"[\t\r\n]")
_ESCAPES: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_READABLE: Final = re.compile(r"(?:%[89A-F][0-9A-F])+")


def forms(link: str, names: Collection[str] | None = None) -> dict[str, str]:
    """Name to string: the spellings of `link` to hash, each string once, in the order of `FORMS`.

    `names` restricts them to those a feed declares; an unknown name raises.
    """
    if names is not None and (unknown := set(names).difference(FORMS)):
        message = f"no such form: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    found = canonicalise(link)
    bases = dict(_bases(link, found))
    spelled = [*bases.items()]
    if found is not None and found.scheme in WEB_SCHEMES:
        spelled += _single(found)
    spelled += _threatexchange(bases["exact"], found)
    if found is None or found.scheme in WEB_SCHEMES:
        spelled += _combinations(bases, found, every=names is not None)
    # The first name of each string stands.
    named: dict[str, str] = {}
    for name, text in spelled:
        if names is None or name in names:
            named.setdefault(text, name)
    return {name: text for text, name in named.items()}


def _combinations(bases: dict[str, str], found: Canonical | None, *, every: bool) -> Iterator[tuple[str, str]]:
    """The combined forms of each base; unless `every` name is asked for, of each distinct one."""
    addressed = found is not None and is_ip(found.host)
    done: set[str] = set()
    for base in _COMBINING:
        text = bases.get(base)
        if text is not None and (every or text not in done):
            done.add(text)
            yield from _combined(base, text, addressed=addressed)


def _bases(link: str, found: Canonical | None) -> Iterator[tuple[str, str]]:
    link = without_surrogates(link)
    yield "exact", link
    if found is not None:
        yield "canonical", found.canonical
        parsed = parse(link)
        if parsed is not None:
            yield "whatwg", parsed.href
    yield "entity_decoded", decode_entities(link)
    if found is not None and "&" in found.canonical:
        yield "entity_encoded", found.canonical.replace("&", "&amp;")
    decoded = {"percent_decoded": link, "decoded": link if found is None else found.canonical}
    for name, text in decoded.items():
        if (readable := decode_percent(text)) is not None:
            yield name, readable
    if found is not None:
        yield "percent_lower", _ESCAPES.sub(lambda match: match[0].lower(), found.canonical)
        name = _unicode_host(found)
        yield "unicode_host", f"{found.scheme}://{name}{found.rest}"
        yield "unicode", f"{found.scheme}://{name}{_READABLE.sub(_readable, found.rest)}"


def _unicode_host(found: Canonical) -> str:
    if "xn--" not in found.host:
        return found.authority
    host = str(can_ada.idna_decode(found.host.encode()))  # type: ignore[arg-type]  # its stub says str
    if parsed_host(host) != found.host:
        host = found.host  # bad punycode decodes to anything
    return f"{host}:{found.port}" if found.port else host


def _readable(match: re.Match[str]) -> str:
    """A run of escapes beyond ASCII as text, where it is UTF-8; ASCII ones (`%20`, `%23`) mean something and stay."""
    return decode_percent(match[0]) or match[0]


def _single(found: Canonical) -> Iterator[tuple[str, str]]:
    scheme, host, rest = found.scheme, found.authority, found.rest
    bare = without_www(host)
    query = rest[len(found.path) :]
    yield "no_scheme", f"{host}{rest}"
    yield "http", f"http://{host}{rest}"
    yield "https", f"https://{host}{rest}"
    if not is_ip(found.host):
        yield "www", f"{scheme}://www.{bare}{rest}"
        yield "no_www", f"{scheme}://{bare}{rest}"
    if not _ENDS_IN_FILE.search(found.path):
        yield "slash", f"{scheme}://{host}{found.path.removesuffix('/')}/{query}"
    yield "no_slash", f"{scheme}://{host}{found.path.removesuffix('/')}{query}"


def _threatexchange(link: str, found: Canonical | None) -> Iterator[tuple[str, str]]:
    text = link.lower()
    try:
        # The very calls of its reference implementation, which also drop an empty `?` and `#`.
        parsed = urlparse(text)
        yield THREATEXCHANGE, parsed.geturl().replace(f"{parsed.scheme}://", "", 1)
    except ValueError:
        yield THREATEXCHANGE, text
    if found is not None:
        for name, spelled in _combined(THREATEXCHANGE, found.canonical.lower(), addressed=is_ip(found.host)):
            if "+no_scheme+" in name:
                yield name.replace("+no_scheme", ""), spelled


def _combined(base: str, text: str, *, addressed: bool) -> Iterator[tuple[str, str]]:
    """`text` under each scheme, with and without `www.` and trailing slash.

    Nothing where the parts of `text` are not plain to see.
    """
    text = text.strip(C0_AND_SPACE)
    match = _HTTP.match(text) or _NO_SCHEME.match(text)
    if match is None or _TAB_OR_NEWLINE.search(text):
        return
    parts = _PATH.fullmatch(text, match.end())
    if parts is None:
        return
    host, path, rest = parts.groups()
    if "&" in host or "\\" in host:  # delimiters that browsers see, and `_PATH` does not
        return
    # Without its scheme, what stands before a colon would be read as one: so no userinfo and no empty port;
    # nor the default port of either scheme, which would be another server under the other.
    host = _WWW_LABELS.sub("", _DEFAULT_PORT.sub("", host.rpartition("@")[2]), count=1)
    if not host:
        return
    ends = _ends(base, path, rest)
    for (www, slash), names in _GRIDS[base].items():
        if slash in ends and not (addressed and www == "www"):
            spelled = f"{'www.' if www == 'www' else ''}{host}{ends[slash]}{rest}"
            for name, prefix in names:
                yield name, prefix + spelled


def _ends(base: str, path: str, rest: str) -> dict[str, str]:
    """A path with and without a slash at its end, as far as that leads to the same link."""
    if base not in (*SURE, THREATEXCHANGE) and _UNSURE_PATH.search(path):
        # A path that hides a `?` or a slash behind an escape: leave its end as it is.
        return {"slash" if path.endswith("/") else "no_slash": path}
    stem = path.rstrip("/")
    ends = {"no_slash": stem}
    if not _ENDS_IN_FILE.search(path):
        ends["slash"] = stem + "/"
    if not rest and stem.endswith(tuple(C0_AND_SPACE)):
        del ends["no_slash"]  # what ends in a blank is read without it
    return ends


def describe(link: str) -> dict[str, object]:
    """What `relaion forms` prints of one link."""
    from relaion_pipeline.links.expressions import expressions  # noqa: PLC0415

    found = canonicalise(link)
    described: dict[str, object] = {
        "link": link,
        "canonical": None if found is None else found.canonical,
        "host": None if found is None else found.host,
        "forms": forms(link),
        "expressions": expressions(link),
    }
    if found is None:
        described["unparseable"] = True
    return described
