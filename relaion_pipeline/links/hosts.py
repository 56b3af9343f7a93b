"""Hosts, listed domains and listed prefixes: label boundaries, public suffixes, path boundaries."""

import functools
import ipaddress
import re
from typing import Final

import can_ada
from publicsuffixlist import PublicSuffixList

_IPV4: Final = re.compile(r"[0-9]+(?:\.[0-9]+){3}")
_DOTS: Final = re.compile(r"\.{2,}")
_PLAIN_HOST: Final = re.compile(r"[a-z0-9_.-]+")
_MAX_LABELS: Final = 127  # of a name in DNS (RFC 1035); bounds what a hostile host may cost
_MAX_ENTRY: Final = 1024  # characters; a name has at most 253, and a little more in Unicode
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
_NOT_A_HOST: Final = re.compile(r"[\s/\\?#@%]")


def is_ip(host: str) -> bool:
    """Whether a canonical host is an IP address, which is matched whole."""
    return host.startswith("[") or _IPV4.fullmatch(host) is not None


def normal_host(host: str) -> str | None:
    """Safe Browsing's rules over a host that the parser returned; None where nothing is left.

    Outer dots go, runs of dots become one, IPv4 inside IPv6 (mapped, NAT64) becomes IPv4.
    """
    if host.startswith("["):
        return _without_embedding(host)
    if host.startswith(".") or host.endswith(".") or ".." in host:
        # What was hidden by the dots may be an address in short or octal notation: parse again.
        bare = _DOTS.sub(".", host).strip(".")
        host = _parsed_or_bad_punycode(bare) or ""
    return host or None


def _without_embedding(host: str) -> str:
    address = ipaddress.IPv6Address(host[1:-1])
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    if address in _NAT64:
        return str(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    return host


def parsed_host(text: str) -> str | None:
    """A host alone through the parser: IDN to ASCII, IPv4 in any notation, IPv6. None where it is none."""
    if not text or _NOT_A_HOST.search(text):
        return None
    try:
        return str(can_ada.parse(f"http://{text}/").hostname) or None
    except (ValueError, TypeError):  # TypeError: a lone surrogate
        return None


def _parsed_or_bad_punycode(text: str) -> str | None:
    """`parsed_host`; ASCII with punycode that decodes to nothing passes as it is, as the URL Standard has it."""
    host = parsed_host(text)
    if host is None and "xn--" in text.lower() and _PLAIN_HOST.fullmatch(text.lower()):
        return text.lower()
    return host


@functools.cache
def _suffixes() -> PublicSuffixList:
    """Both sections of the list, ICANN's and the private one: nobody lists all of a host for user pages."""
    return PublicSuffixList()


def is_public_suffix(host: str) -> bool:
    """Whether a canonical host name is a public suffix, or a lone label."""
    return _suffixes().privatesuffix(host) is None


def domain_candidates(host: str) -> list[str]:
    """The domains whose listing lists `host`, itself first: cut at every label, never at or above a public suffix.

    `host` is canonical (`host_of`). An IP address is only itself.
    """
    if not host or is_ip(host):
        return [host] if host else []
    registrable = _suffixes().privatesuffix(host)
    if registrable is None:
        return []
    labels = host.split(".")
    extra = len(labels) - len(registrable.split("."))
    first = max(0, extra + 1 - _MAX_LABELS)
    longest = [host] if first else []
    return longest + [".".join(labels[start:]) for start in range(first, extra + 1)]


def domain_key(entry: str) -> str | None:
    """A listed domain as it is compared with `domain_candidates`; None where it is invalid or a public suffix.

    Understands IDN, `*.`, outer dots, a port, a scheme and an empty path. With a path it is a link or a prefix.
    """
    if len(entry) > _MAX_ENTRY:
        return None
    text = re.sub(r"(?i)^https?://", "", entry.strip())
    text = re.split(r"/(?=$)", text, maxsplit=1)[0]
    while text.startswith(("*.", ".")):
        text = text[text.index(".") + 1 :]
    if ":" in text:
        text = _without_port(text)
    host = _parsed_or_bad_punycode(text)
    host = None if host is None else normal_host(host)
    if host is None or "*" in host or (not is_ip(host) and is_public_suffix(host)):
        return None
    return host


def _without_port(text: str) -> str:
    if text.startswith("["):
        return text[: text.find("]") + 1]
    if text.count(":") > 1:
        return f"[{text}]"  # an IPv6 address as lists write it
    name, _, port = text.partition(":")
    return name if port.isascii() and port.isdigit() else text
