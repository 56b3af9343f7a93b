"""JSON read record by record, in bounded memory whatever the document's size or nesting."""

from collections.abc import Iterator
from typing import Any

import ijson

from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.feeds.streams import Source

MAX_DEPTH = 64
MAX_RECORD = 64 << 20
"""Bytes between two records; what is larger is no list of hashes and links."""
_READ = 65_536

IMAGE_KINDS = {"md5": Kind.IMAGE_MD5, "sha1": Kind.IMAGE_SHA1, "sha256": Kind.IMAGE_SHA256}
_NO_COLUMN = frozenset(
    [
        "pdq",
        "vpdq",
        "pdqocr",
        "photodna",
        "pdna",
        "tmk",
        "tmkpdqf",
        "videntifier",
        "phash",
        "dhash",
        "ahash",
        "neuralhash",
        "ssdeep",
        "tlsh",
        "imphash",
        "sha224",
        "sha384",
        "sha512",
        "sha512224",
        "sha512256",
        "sha3224",
        "sha3256",
        "sha3384",
        "sha3512",
        "crc32",
        "blake3",
    ]
)


def image_kind(algorithm: object) -> Kind | None:
    """The kind that a hash function's name makes an image entry; None for a name that is not known."""
    if not isinstance(algorithm, str):
        return None
    name = "".join(c for c in algorithm.lower() if c.isalnum())
    return Kind.UNMATCHABLE if name in _NO_COLUMN else IMAGE_KINDS.get(name)


class Paced:
    """A source that refuses to be read far without `progress` being made: parsers hold a record in memory."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._since = 0

    def progress(self) -> None:
        """A record has been completed."""
        self._since = 0

    def read(self, size: int = _READ) -> bytes:
        if size == 0:  # ijson asks so whether it will get text or bytes
            return b""
        data = self._source.read(_READ)
        self._since += len(data)
        if self._since > MAX_RECORD:
            raise self._source.error(
                f"holds a record of more than {MAX_RECORD:,} bytes", remedy="check that it is of the declared format"
            )
        return data


def json_records(source: Source, paths: frozenset[str]) -> Iterator[dict[str, Any] | None]:
    """The objects at `paths` (such as `[]`, `data[]`, `Event.Attribute[]`) in their order; None for what is no object.

    Raises:
        FeedError: not JSON, or nested deeper than any such list.
    """
    problem = ""
    count = 0
    paced = Paced(source)
    walk = _Walk(paths)
    try:
        # use_float: without it, ijson 3.6's C backend crashes the process on a number of more than 4,300 digits.
        for event, value in ijson.basic_parse(paced, buf_size=_READ, multiple_values=True, use_float=True):
            if not walk.takes(event, value):
                continue
            count += 1
            paced.progress()
            yield walk.record
    except (ijson.JSONError, ValueError, ArithmeticError) as error:
        if isinstance(error, _TooDeepError):
            problem = str(error)
        elif "overflow" in str(error):
            problem = "holds a number beyond 64 bits"
        else:
            problem = f"is not valid JSON ({type(error).__name__})"
    if problem:
        raise source.error(
            f"{problem}, after {count:,} records", remedy="fetch the list again, or check the feed's `format`"
        )


class _TooDeepError(ValueError):
    """Nested deeper than any list; holds no content."""


class _Walk:
    """Follows a parser's events and builds the objects at some paths. Iterative: depth costs no stack."""

    def __init__(self, paths: frozenset[str]) -> None:
        self.record: dict[str, Any] | None = None
        self._paths = paths
        self._path: list[str] = []  # one part per open container: `[]` or `.key`
        self._open: list[Any] = []  # open containers of the record being built
        self._key = ""

    def takes(self, event: str, value: Any) -> bool:
        """Take an event; true where it completes a record."""
        if event == "map_key":
            self._key = value
            if not self._open:
                self._path[-1] = f".{value}"
            return False
        if event in {"end_map", "end_array"}:
            self._path.pop()
            if not self._open:
                return False
            self.record = self._open.pop()
            return not self._open
        starts = event in {"start_map", "start_array"}
        listed = not self._open and "".join(self._path).removeprefix(".") in self._paths
        if starts:
            self._start(event, listed=listed)
        elif self._open:
            self._attach(value)
        elif listed:
            self.record = None
            return True
        return False

    def _start(self, event: str, *, listed: bool) -> None:
        if len(self._path) >= MAX_DEPTH:
            raise _TooDeepError(f"is nested deeper than {MAX_DEPTH} levels")
        container: Any = {} if event == "start_map" else []
        if self._open:
            self._attach(container)
        if self._open or (listed and event == "start_map"):
            self._open.append(container)
        self._path.append("" if event == "start_map" else "[]")

    def _attach(self, value: Any) -> None:
        parent = self._open[-1]
        if isinstance(parent, dict):
            parent[self._key] = value
        else:
            parent.append(value)
