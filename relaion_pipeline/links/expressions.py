"""What one link is looked up as: Safe Browsing's expressions, and the prefixes at its path boundaries."""

from typing import Final

from relaion_pipeline.links.canonical import Canonical, canonicalise, key_of, without_www
from relaion_pipeline.links.hosts import is_ip, is_public_suffix

MAX_EXPRESSIONS: Final = 30
"""Five hosts times six paths, by Safe Browsing's specification."""

_MAX_HOSTS: Final = 5
_MAX_FOLDERS: Final = 4
MAX_PREFIX_DEPTH: Final = 64
"""Segments of a listed prefix; bounds what one hostile row may cost."""


def expressions(link: str) -> list[str]:
    """Safe Browsing's host-suffix, path-prefix expressions of `link`, at most 30, most specific first.

    Without scheme and port, by the specification; never on a public suffix. Empty where the link is unparseable.
    """
    found = canonicalise(link)
    if found is None:
        return []
    return [host + path for host in _host_suffixes(found.host) for path in _path_prefixes(found)]


def _host_suffixes(host: str) -> list[str]:
    """The host, and up to four of its suffixes from the last five labels down."""
    if is_ip(host):
        return [host]
    labels = host.split(".")
    suffixes = [".".join(labels[-count:]) for count in range(min(_MAX_HOSTS, len(labels) - 1), 1, -1)]
    return [host, *[suffix for suffix in suffixes if suffix != host and not is_public_suffix(suffix)]][:_MAX_HOSTS]


def _path_prefixes(found: Canonical) -> list[str]:
    """The path with its query, without, and up to four folders from the root."""
    segments = found.path.split("/", _MAX_FOLDERS + 1)[1:-1]
    folders = ["/", *["/" + "/".join(segments[:depth]) + "/" for depth in range(1, len(segments) + 1)]]
    return list(dict.fromkeys([found.rest, found.path, *folders[:_MAX_FOLDERS]]))


def prefix_key(entry: str) -> str | None:
    """A listed prefix as it is compared with `prefix_candidates`; None where it is invalid or a bare public suffix.

    `entry` is a link, with or without scheme; scheme, `www.` and a trailing slash do not count.
    """
    found = canonicalise(entry)
    if found is None or found.path.count("/") > MAX_PREFIX_DEPTH:
        return None
    if found.rest == "/" and not is_ip(found.host) and is_public_suffix(without_www(found.host)):
        return None
    return key_of(found)


def prefix_candidates(link: str) -> list[str]:
    """The prefixes whose listing lists `link`: its host, and that with each further path segment, and all of it.

    Cut only at path boundaries: `example.org/gal` does not list `example.org/gallery`.
    """
    found = canonicalise(link)
    if found is None:
        return []
    whole = key_of(found)
    path = whole.partition("?")[0]
    origin = path[: len(path) - len(found.path.removesuffix("/"))]
    segments = path[len(origin) :].split("/", MAX_PREFIX_DEPTH + 1)[1:]
    candidates = [origin]
    for segment in segments[:MAX_PREFIX_DEPTH]:
        candidates.append(f"{candidates[-1]}/{segment}")
    if candidates[-1] != path and len(segments) <= MAX_PREFIX_DEPTH:
        candidates.append(path)
    return list(dict.fromkeys([*candidates, whole]))
