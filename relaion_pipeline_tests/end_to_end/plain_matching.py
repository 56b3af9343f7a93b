"""Matching once more, in plain Python: hashlib and dict look-ups, one row at a time.

Only the spellings of a link come from the package (`links`, which has tests of its own): how rows and lists are put
together, which kinds are compared with what and whose feed a match is, is done here anew.
"""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from relaion_pipeline import links

SAFE_BROWSING = "safe_browsing"


@dataclass(frozen=True)
class List:
    """A feed: `lines` as its file has them. `of` is an image column, or link, domain, prefix or link-hash."""

    of: str
    lines: list[str]
    hash: str = ""
    encoding: str = "hex"
    link_form: str | None = None
    looked_up: set[str | bytes] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.looked_up.update(self._keys())

    def names(self, row: dict[str, str | None]) -> bool:
        return any(key in self.looked_up for key in self._keys_of(row))

    def _keys(self) -> Iterator[str | bytes]:
        decode = {"hex": bytes.fromhex, "base32": base64.b32decode, "base64": base64.b64decode}[self.encoding]
        spell = {"link": links.match_key, "domain": links.domain_key, "prefix": links.prefix_key}.get(self.of)
        for line in self.lines:
            key = spell(line) if spell else decode(line)
            if key is not None:
                yield key

    def _keys_of(self, row: dict[str, str | None]) -> Iterator[str | bytes]:
        link = row["link"]
        if self.of == "image":
            digest = row[self.hash]
            if digest is not None:
                yield bytes.fromhex(digest)
        elif link is None:
            return
        elif self.of == "link-hash":
            for spelled in self._spellings(link):
                yield hashlib.new(self.hash, spelled.encode("utf-8", "surrogatepass"), usedforsecurity=False).digest()
        elif self.of == "link":
            yield links.match_key(link)
        elif self.of == "domain":
            yield from links.domain_candidates(links.host_of(link) or "")
        else:
            yield from links.prefix_candidates(link)

    def _spellings(self, link: str) -> list[str]:
        if self.link_form == SAFE_BROWSING:
            return links.expressions(link)
        return list(links.forms(link, self.link_form and [self.link_form]).values())
