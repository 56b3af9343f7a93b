"""Domain lists as filters, resolvers and proxies read them: hosts, AdGuard, dnsmasq, Squid, UT1, wildcard.

A rule that says more than "this domain" is taken at its widest reading, so that nothing listed slips through:
options are ignored, an exact host counts as its domain. What cannot be read as domain or prefix (regular expressions,
exceptions, cosmetic rules) is unmatchable: counted and reported.
"""

import ipaddress
import re
from abc import abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import pyarrow as pa

from relaion_pipeline.feeds.batches import Rows, as_text, collected
from relaion_pipeline.feeds.declaration import FeedKind
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.feeds.lines import MAX_LINE, each_line, read_lines
from relaion_pipeline.feeds.reader import Reader, field_batches
from relaion_pipeline.feeds.streams import Source

_REMARK = re.compile(r"\s+#.*")
_BOILERPLATE = frozenset(
    [
        "localhost",
        "localhost.localdomain",
        "local",
        "broadcasthost",
        "ip6-localhost",
        "ip6-loopback",
        "ip6-localnet",
        "ip6-mcastprefix",
        "ip6-allnodes",
        "ip6-allrouters",
        "ip6-allhosts",
        "0.0.0.0",  # noqa: S104  (a name to be ignored)
    ]
)
"""What every hosts file opens with, and nobody lists."""


class _LineReader(Reader):
    """A format that is read line by line."""

    comment: ClassVar[bytes] = b"#"

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        rows = Rows()
        return collected(rows, self._steps(source, rows))

    def _steps(self, source: Source, rows: Rows) -> Iterator[None]:
        for number, raw in each_line(source, comment=self.comment):
            line = None if raw is None else as_text(raw, Kind.DOMAIN)
            if line is None:
                rows.malformed(number)
            else:
                self._line(number, line, rows)
            yield

    @abstractmethod
    def _line(self, number: int, line: str, rows: Rows) -> None:
        """Add the entries of a line."""


class Hosts(_LineReader):
    """Hosts files: an address, then names."""

    def _line(self, number: int, line: str, rows: Rows) -> None:
        add_hosts(number, line, rows)


def add_hosts(number: int, line: str, rows: Rows) -> None:
    """Add the names of a hosts line."""
    address, *names = line.partition("#")[0].split() or [""]
    if not names or not _is_address(address):
        rows.malformed(number)
        return
    for name in names:
        if name.lower() not in _BOILERPLATE:
            rows.text(number, Kind.DOMAIN, name)


class Wildcard(_LineReader):
    """One domain a line, with or without `*.` before it."""

    def _line(self, number: int, line: str, rows: Rows) -> None:
        rows.text(number, Kind.DOMAIN, _bare(_REMARK.sub("", line)))


class AdGuard(_LineReader):
    """AdGuard and Adblock rules: `||domain^` blocks a domain; other rules are widened or unmatchable."""

    comment = b"!#"

    _rule = re.compile(r"(?P<anchor>\|\|?)?(?P<address>[^\s$^|*#@]+)(?P<end>\^?\|?\*?)(?P<options>\$[^/]*)?")
    _header = re.compile(r"\[[^\]]*\]")
    _other = re.compile(r"@@|/.*/|[^\s]*#[@$?%]*#")  # exceptions, regular expressions, cosmetic rules

    def _line(self, number: int, line: str, rows: Rows) -> None:
        if number == 1 and self._header.fullmatch(line):
            return
        words = line.split()
        if len(words) > 1 and _is_address(words[0]):
            add_hosts(number, line, rows)  # AdGuard takes hosts lines too
            return
        line = _REMARK.sub("", line)
        if self._other.match(line):
            rows.unmatchable(number)
            return
        line = line.replace("||*.", "||", 1)
        rule = self._rule.fullmatch(_bare(line))
        if rule is None:
            rows.unmatchable(number)
            return
        address = rule["address"]
        if "/" not in address.rstrip("/"):
            rows.text(number, Kind.DOMAIN, address.rstrip("/"))
        elif rule["anchor"]:
            rows.text(number, Kind.PREFIX, address)
        else:
            rows.unmatchable(number)  # a pattern that may stand anywhere in a link


class Dnsmasq(_LineReader):
    """dnsmasq's `server=/domain/`, `local=/domain/` and `address=/domain/address`."""

    _line_form = re.compile(r"(?:server|local|address)\s*=\s*/(?P<domains>.+)/(?P<target>[^/]*)")

    def _line(self, number: int, line: str, rows: Rows) -> None:
        match = self._line_form.fullmatch(_REMARK.sub("", line))
        if match is None:
            rows.malformed(number)
        elif match["target"] == "#" and line.startswith("server"):
            rows.unmatchable(number)  # "resolve this one as usual": an exception
        else:
            for domain in match["domains"].split("/"):
                if domain == "#":
                    rows.unmatchable(number)  # every domain there is
                else:
                    rows.text(number, Kind.DOMAIN, _bare(domain))


class Squid(_LineReader):
    """Squid's dstdomain lists, alone or as `acl name dstdomain ...` lines."""

    _acl = re.compile(r"acl\s+\S+\s+(?P<type>\S+)\s+(?P<values>.+)", re.IGNORECASE)

    def _line(self, number: int, line: str, rows: Rows) -> None:
        line = _REMARK.sub("", line)
        acl = self._acl.fullmatch(line)
        if acl and acl["type"].lower() != "dstdomain":
            rows.unmatchable(number)
            return
        for value in (acl["values"] if acl else line).split():
            if not value.startswith("-"):  # options such as -i
                rows.text(number, Kind.DOMAIN, value.strip('"').lstrip("."))


class Ut1(Reader):
    """UT1 and squidGuard categories: a folder whose `domains` lists domains and whose `urls` lists prefixes."""

    folder_files = frozenset({"domains", "urls", "expressions"})

    _by_name: ClassVar[dict[str, FeedKind]] = {"domains": FeedKind.DOMAIN, "urls": FeedKind.PREFIX}

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        name = source.name.partition(".")[0]
        if self.feed.kind is FeedKind.DECLARED and name == "expressions":
            rows = Rows()
            for number, _ in each_line(source):
                rows.unmatchable(number)
                yield from rows.full()
            yield from rows.rest()
            return
        kind = self._by_name.get(name) if self.feed.kind is FeedKind.DECLARED else self.feed.kind
        if kind is None:
            raise source.error(
                "is called neither 'domains' nor 'urls', so that nobody knows which it lists",
                remedy="rename it, or set the feed's `kind` to 'domain' or 'prefix'",
            )
        one_kind = self.feed.model_copy(update={"kind": kind})
        for lines in read_lines(source):
            yield from field_batches(lines.data, lines.starts, lines.ends, lines.numbers, one_kind, max_length=MAX_LINE)


def _bare(domain: str) -> str:
    return domain.removeprefix("*").lstrip(".") if domain.startswith(("*.", ".")) else domain


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True
