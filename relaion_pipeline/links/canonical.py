"""The one canonicaliser: a WHATWG parser (ada) with Google Safe Browsing's rules over it.

Lists, rows, the verifier and the kit for old copies all compare what this module returns. Every change in what it
returns needs a new `VERSION`: compiled lists and verdicts of another version are not comparable.
"""

import re
from dataclasses import dataclass
from typing import Final

import can_ada

from relaion_pipeline.links.escapes import (
    MAX_ROUNDS,
    decode_entities,
    decode_percent_fully,
    decode_rest,
    escape,
    without_surrogates,
)
from relaion_pipeline.links.hosts import normal_host
from relaion_pipeline.links.plain import is_plain_text

VERSION: Final = "1"
"""Version of the canonicaliser and of the forms, named in every manifest."""

WEB_SCHEMES: Final = frozenset({"http", "https"})
"""Schemes under which one link may be listed as well as the other."""

C0_AND_SPACE: Final = "".join(map(chr, range(0x21)))
"""What the URL Standard strips from both ends of a link."""

MAX_LINK_LENGTH: Final = 65_536
"""Longer links count as unparseable: no server answers them, and hostile ones must not cost hours."""

_TAB_OR_NEWLINE: Final = re.compile(r"[\t\r\n]")
# `http:/x` and `http:x` are links too (WHATWG), and so is `http:\\x`.
_HIERARCHICAL: Final = re.compile(r"(?i)(?:https?|ftp|wss?):")
# `name:` followed by anything but a port number is a scheme that never was a web link (`data:`, `mailto:`).
_OTHER_SCHEME: Final = re.compile(r"(?i)[a-z][a-z0-9+.-]*:(?![0-9]{1,5}(?:[/\\?#]|$))")
_RELATIVE: Final = re.compile(r"[/\\](?![/\\])|[?#]")
_AUTHORITY: Final = re.compile(r"([A-Za-z]+:[/\\]*)([^/\\?#]*)")
_NOT_IN_HOST: Final = re.compile(r"[\x00-\x20/\\?#@:\[\]%]")
_SLASHES: Final = re.compile(r"/{2,}")


@dataclass(frozen=True, slots=True)
class Canonical:
    """A link in its canonical spelling, and the parts of it. `query` is None where the link has no `?`."""

    canonical: str
    scheme: str
    host: str
    port: str
    path: str
    query: str | None

    @property
    def rest(self) -> str:
        """Path and query."""
        return self.path if self.query is None else f"{self.path}?{self.query}"

    @property
    def authority(self) -> str:
        """Host and, where it is not the scheme's own, port."""
        return f"{self.host}:{self.port}" if self.port else self.host


def cleaned(link: str) -> str | None:
    """What a browser would see of an attribute's text: entities decoded, tabs, newlines and outer blanks gone.

    None where it is too long, or entities are nested too deeply to mean anything.
    """
    if len(link) > MAX_LINK_LENGTH:
        return None
    for _ in range(MAX_ROUNDS):
        before = link
        link = _TAB_OR_NEWLINE.sub("", decode_entities(link)).strip(C0_AND_SPACE)
        if link == before:
            return without_surrogates(link)
    return None


def with_scheme(text: str) -> str | None:
    """A cleaned link with its scheme: `http:` where it has none. None where it is no web link."""
    if _HIERARCHICAL.match(text):
        return text
    if not text or _RELATIVE.match(text) or _OTHER_SCHEME.match(text):
        return None
    return f"http:{text}" if text[0] in "/\\" else f"http://{text}"


@dataclass(frozen=True, slots=True)
class Parsed:
    """What the parser says of a link."""

    url: can_ada.URL
    disguised: bool = False

    @property
    def host(self) -> str:
        return self._shown(str(self.url.hostname))

    @property
    def href(self) -> str:
        """The whole link as a browser shows it, without its fragment."""
        return self._shown(str(self.url.href).partition("#")[0])

    def _shown(self, text: str) -> str:
        return text.replace(_DISGUISE, "xn--") if self.disguised else text


_PUNYCODE: Final = re.compile(r"(?i)(?<![^.@])xn--")
_DISGUISE: Final = "xn-_q_"


def parse(link: str) -> Parsed | None:
    """The WHATWG parse of a link after cleaning; None where no browser could open it."""
    text = cleaned(link)
    text = None if text is None else with_scheme(text)
    if text is None:
        return None
    url = _parse_once(text)
    return Parsed(url) if url is not None else _parse_with_other_host(text)


def _parse_once(text: str) -> can_ada.URL | None:
    try:
        return can_ada.parse(text)
    except ValueError:
        return None


def _parse_with_other_host(text: str) -> Parsed | None:
    """A second try at a refused host: unescaped repeatedly (Safe Browsing), or punycode that decodes to nothing.

    The URL Standard lets an ASCII host pass whatever its `xn--` labels hold; the parser's release is older, so
    they are disguised from it.
    """
    match = _AUTHORITY.match(text)
    if match is None:
        return None
    authority = match[2]
    if "%" in authority:
        try:
            authority = decode_percent_fully(authority.encode().decode("latin-1")).encode("latin-1").decode()
        except UnicodeDecodeError:
            return None
        if _NOT_IN_HOST.search(authority):
            return None
    rest = text[match.end() :]
    url = _parse_once(f"{match[1]}{authority}{rest}")
    if url is not None:
        return Parsed(url)
    disguised = _PUNYCODE.sub(_DISGUISE, authority)
    if disguised == authority or not authority.isascii() or _DISGUISE in text:
        return None
    url = _parse_once(f"{match[1]}{disguised}{rest}")
    return None if url is None else Parsed(url, disguised=True)


def canonicalise(link: str) -> Canonical | None:
    """The canonical spelling of `link`, or None where it cannot be parsed as a web link. Never raises."""
    if is_plain_text(link):
        return _split_plain(link)
    return canonicalise_fully(link)


def _split_plain(link: str) -> Canonical:
    scheme, _, after = link.partition("://")
    host, _, rest = after.partition("/")
    path, question, query = rest.partition("?")
    return Canonical(link, scheme, host, "", f"/{path}", query if question else None)


def canonicalise_fully(link: str) -> Canonical | None:
    """`canonicalise` without the short cut for plain links (which tests hold against it)."""
    parsed = parse(link)
    host = None if parsed is None else normal_host(parsed.host)
    if parsed is None or host is None:
        return None
    if decode_entities(host) != host:  # `%26amp` as a host: its canonical spelling would be read as another host
        return None
    url = parsed.url
    # The parser reports an empty query like a missing one; the two are different links to Safe Browsing.
    search = url.search or ("?" if parsed.href.endswith("?") else "")
    rest = decode_rest(url.pathname + search)
    if rest is None:
        return None
    path, question, query = rest.partition("?")
    path, query = escape(_resolve(path)), escape(query)
    scheme, port = url.protocol.removesuffix(":"), url.port
    authority = f"{host}:{port}" if port else host
    canonical = f"{scheme}://{authority}{path}{question}{query}"
    if len(canonical) > MAX_LINK_LENGTH:
        return None
    return Canonical(canonical, scheme, host, port, path, query if question else None)


def _resolve(path: str) -> str:
    """Backslashes to slashes, dot segments resolved as browsers do, then runs of slashes to one.

    Again after decoding, which may have brought new ones to light.
    """
    path = path.replace("\\", "/")
    if "/." in path:
        segments = path.split("/")[1:]
        kept: list[str] = []
        for segment in segments:
            if segment == "..":
                if kept:
                    kept.pop()
            elif segment != ".":
                kept.append(segment)
        if segments[-1] in (".", ".."):
            kept.append("")
        path = "/" + "/".join(kept)
    return _SLASHES.sub("/", path)


_LENIENT_HOST: Final = re.compile(r"(?i)\s*(?:https?:)?[/\\]{2}(?:[^/\\?#@]*@)?([a-z0-9_.-]+)(?=[:/\\?#]|\s*$)")


def host_of(link: str) -> str | None:
    """The canonical host of `link`, or None where it has none.

    Where a browser would refuse the link (bad port, bad punycode) a readable ASCII host still counts: the row is
    matched against listed domains all the same.
    """
    found = canonicalise(link)
    if found is not None:
        return found.host
    match = _LENIENT_HOST.match(link)
    return None if match is None else match[1].lower().strip(".") or None


_WWW: Final = re.compile(r"^(?:www\.)+(?=.)")


def without_www(host: str) -> str:
    """`host` without its leading `www.` labels."""
    return _WWW.sub("", host, count=1)


def match_key(link: str) -> str:
    """The spelling under which a listed link and a row's link are compared. Never empty unless `link` is.

    Without scheme (http and https), `www.`, default port, fragment, trailing slash and empty query. Where a link
    cannot be parsed, its own text without outer blanks: such a row must still be found.
    """
    found = canonicalise(link)
    if found is None:
        return without_surrogates(link.strip() or link)
    return key_of(found)


def key_of(found: Canonical) -> str:
    """The match key of a canonical link."""
    path = found.path.removesuffix("/")
    query = f"?{found.query}" if found.query else ""
    if found.scheme in WEB_SCHEMES:
        # The scheme does not count, so neither does the default port of either.
        authority = found.host if found.port in ("80", "443") else found.authority
        return f"{without_www(authority)}{path}{query}"
    return f"{found.scheme}://{found.authority}{path}{query}"
