"""Partners' JSON exchanges, whose records say themselves what they list.

JSON lines, StopNCII, Tech Against Terrorism, C3P's Shield records. Field names are those of the partners' public
clients; a record is one entry number, however many hashes it holds.
"""

import json
from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import pyarrow as pa

from relaion_pipeline.feeds.batches import Rows, collected
from relaion_pipeline.feeds.declaration import Encoding
from relaion_pipeline.feeds.entries import DIGEST_BYTES, Kind
from relaion_pipeline.feeds.lines import each_line
from relaion_pipeline.feeds.reader import Reader, kind_of
from relaion_pipeline.feeds.records import image_kind, json_records
from relaion_pipeline.feeds.streams import Source

_HEAD = 4096  # bytes looked at to tell a page from records one after the other


class Jsonl(Reader):
    """One JSON value a line: a string, or an object whose `column` (a dotted path) holds the entry."""

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        rows = Rows()
        return collected(rows, self._steps(source, rows))

    def _steps(self, source: Source, rows: Rows) -> Iterator[None]:
        kind, column = kind_of(self.feed), self.feed.column
        keys = column.split(".") if column else []
        for number, line in each_line(source, comment=b""):
            value = None if line is None else _value(line)
            for key in keys:
                value = value.get(key) if isinstance(value, dict) else None
            if kind in DIGEST_BYTES:
                rows.hash(number, kind, value, self.feed.encoding)
            else:
                rows.text(number, kind, value)
            yield


class JsonReader(Reader):
    """A JSON document, or several one after the other: records alone, in a list, or in pages under a known key."""

    page_key: ClassVar[str]

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        rows = Rows()
        return collected(rows, self._steps(source, rows))

    def paths(self, source: Source) -> frozenset[str]:
        """Where the document holds records, or lists of them."""
        head = source.peek(_HEAD).lstrip()
        if head.startswith(b"{") and f'"{self.page_key}"'.encode() not in head:
            return frozenset({""})
        return frozenset({"[]", f"{self.page_key}[]"})

    def _steps(self, source: Source, rows: Rows) -> Iterator[None]:
        number = 0
        for found in json_records(source, self.paths(source)):
            page = found.get(self.page_key) if found else None
            for record in page if isinstance(page, list) else [found]:
                number += 1
                if isinstance(record, dict):
                    self.record(number, record, rows)
                else:
                    rows.malformed(number)
                yield

    @abstractmethod
    def record(self, number: int, record: dict[str, Any], rows: Rows) -> None:
        """Add the entries of a record: at least one row if it lists anything, so that none vanishes uncounted."""


class StopNcii(JsonReader):
    """StopNCII's FetchHashes pages."""

    page_key = "hashRecords"

    _kinds: ClassVar[dict[str, Kind]] = {
        "ImageMD5": Kind.IMAGE_MD5,
        "VideoMD5": Kind.IMAGE_MD5,  # an exact digest of a file, whatever the file
        "URL": Kind.LINK,
        "ImagePDQ": Kind.UNMATCHABLE,
        "VideoTMK": Kind.UNMATCHABLE,
        "Text": Kind.UNMATCHABLE,
        "Unknown": Kind.UNMATCHABLE,
    }

    def record(self, number: int, record: dict[str, Any], rows: Rows) -> None:
        withdrawn = record.get("hashStatus") in ("Withdrawn", "Deleted")
        kind = self._kinds.get(str(record.get("signalType")))
        add(rows, number, kind, record.get("hashValue"), withdrawn=withdrawn)


class TechAgainstTerrorism(JsonReader):
    """Tech Against Terrorism's hash list, as a file or as API pages."""

    page_key = "results"

    def record(self, number: int, record: dict[str, Any], rows: Rows) -> None:
        withdrawn = record.get("deleted") is True
        add(rows, number, image_kind(record.get("algorithm")), record.get("hash_digest"), withdrawn=withdrawn)


class C3p(JsonReader):
    """Records as C3P's Shield gives them: SHA-1 in base32, SHA-256 and MD5 in hexadecimal."""

    page_key = "results"

    _fields: ClassVar[dict[str, tuple[Kind, Encoding]]] = {
        "md5": (Kind.IMAGE_MD5, Encoding.HEX),
        "md5_hex": (Kind.IMAGE_MD5, Encoding.HEX),
        "sha1": (Kind.IMAGE_SHA1, Encoding.BASE32),
        "sha1_base32": (Kind.IMAGE_SHA1, Encoding.BASE32),
        "sha1_hex": (Kind.IMAGE_SHA1, Encoding.HEX),
        "sha256": (Kind.IMAGE_SHA256, Encoding.HEX),
        "sha256_hex": (Kind.IMAGE_SHA256, Encoding.HEX),
        "url": (Kind.LINK, Encoding.HEX),
        "pdq": (Kind.UNMATCHABLE, Encoding.HEX),
        "pdq_hash": (Kind.UNMATCHABLE, Encoding.HEX),
        "photodna": (Kind.UNMATCHABLE, Encoding.HEX),
        "photo_dna": (Kind.UNMATCHABLE, Encoding.HEX),
    }

    def record(self, number: int, record: dict[str, Any], rows: Rows) -> None:
        present = [(field, record[field]) for field in self._fields if record.get(field) is not None]
        if not present:
            rows.malformed(number)
        for field, value in present:
            kind, encoding = self._fields[field]
            add(rows, number, kind, value, encoding=encoding)


def add(
    rows: Rows,
    number: int,
    kind: Kind | None,
    value: object,
    *,
    encoding: Encoding = Encoding.HEX,
    withdrawn: bool = False,
) -> None:
    """Add one entry of whatever kind; None is a kind that nobody knows, so a malformed entry."""
    if kind is None:
        rows.malformed(number)
    elif kind is Kind.UNMATCHABLE:
        rows.unmatchable(number, withdrawn=withdrawn)
    elif kind in DIGEST_BYTES:
        rows.hash(number, kind, value, encoding, withdrawn=withdrawn)
    else:
        rows.text(number, kind, value, withdrawn=withdrawn)


def _value(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None
