"""NCMEC's hash-sharing exchange, XML of version 2: `/v2/entries` pages as saved to files.

An entry carries several fingerprints. A deletion (`deletedImage`, `deletedVideo`) names only member and id, and may
stand in another file than the entry, before or after it, since pages are not ordered by time: so all files are
surveyed for deletions before the first is read.
"""

from collections.abc import Iterator
from xml.parsers import expat

import pyarrow as pa

from relaion_pipeline.feeds.batches import Rows
from relaion_pipeline.feeds.declaration import Encoding, Feed
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.feeds.partners import add
from relaion_pipeline.feeds.reader import Reader
from relaion_pipeline.feeds.records import IMAGE_KINDS, Paced
from relaion_pipeline.feeds.streams import Source

MAX_DEPTH = 64
MAX_TEXT = 4096
_READ = 65_536
_ROOT = "queryResult"
_DELETED = "deleted"
_ENTRY_DEPTH = 3  # queryResult > images > image
_FIELD_DEPTH = 4
_FINGERPRINT_DEPTH = 5
_FIELDS = frozenset({"id", "timestamp"})


class _Entry:
    """One `image`, `video`, `deletedImage` or `deletedVideo`."""

    def __init__(self, tag: str, number: int) -> None:
        self.deleted = tag.startswith(_DELETED)
        self.type = tag.removeprefix(_DELETED).lower()
        self.number = number
        self.member = ""
        self.id = ""
        self.timestamp = ""
        self.fingerprints: list[tuple[str, str]] = []

    @property
    def key(self) -> tuple[str, str, str]:
        return self.member, self.type, self.id


class Ncmec(Reader):
    """Entries with their fingerprints; what a later deletion names is withdrawn."""

    surveys = True

    def __init__(self, feed: Feed) -> None:
        super().__init__(feed)
        self._deletions: dict[tuple[str, str, str], str] = {}  # entry -> time of its last deletion

    def survey(self, source: Source) -> None:
        for entries in _parsed(source):
            for entry in entries:
                if entry.deleted:
                    self._deletions[entry.key] = max(entry.timestamp, self._deletions.get(entry.key, ""))

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        rows = Rows()
        for entries in _parsed(source):
            for entry in entries:
                self._add(entry, rows)
                yield from rows.full()
        yield from rows.rest()

    def _add(self, entry: _Entry, rows: Rows) -> None:
        if entry.deleted:
            rows.unmatchable(entry.number, withdrawn=True)  # recorded, though it names no hash
            return
        deleted_at = self._deletions.get(entry.key)
        withdrawn = deleted_at is not None and deleted_at >= entry.timestamp
        if not entry.fingerprints:
            rows.malformed(entry.number)
        for name, value in entry.fingerprints:
            kind = IMAGE_KINDS.get(name, Kind.UNMATCHABLE)  # pdna, tmk-pdqf, videntifier and what may follow
            add(rows, entry.number, kind, value, encoding=Encoding.HEX, withdrawn=withdrawn)


def _parsed(source: Source) -> Iterator[list[_Entry]]:
    """The entries of a document, as its bytes arrive.

    Raises:
        FeedError: not such a document, or one with a document type: that is where entity bombs and files of this
            machine would come in, and NCMEC sends none.
    """
    paced = Paced(source)
    handler = _Handler()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    parser.StartElementHandler = handler.start
    parser.EndElementHandler = handler.end
    parser.CharacterDataHandler = handler.characters
    parser.StartDoctypeDeclHandler = handler.doctype
    done = False
    while not done:
        data = paced.read(_READ)
        done = not data
        problem = ""
        try:
            parser.Parse(data, done)
        except (expat.ExpatError, ValueError, LookupError) as error:
            problem = handler.problem or f"is not well-formed XML ({type(error).__name__})"
        if problem:
            raise source.error(
                problem, number=parser.CurrentLineNumber, remedy="fetch the page again, or check the feed's `format`"
            )
        entries = handler.taken()
        if entries:
            paced.progress()
            yield entries


class _Handler:
    """What the parser calls."""

    def __init__(self) -> None:
        self.problem = ""
        self._depth = 0
        self._count = 0
        self._entry: _Entry | None = None
        self._tags: list[str] = []
        self._text: list[str] = []
        self._length = 0
        self._done: list[_Entry] = []

    def taken(self) -> list[_Entry]:
        """The entries completed since the last call."""
        done, self._done = self._done, []
        return done

    def doctype(self, *_: object) -> None:
        self._refuse("has a document type, which hash-sharing pages never have")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        tag = name.rpartition(" ")[2]
        self._tags.append(tag)
        depth = len(self._tags)
        if depth == 1 and tag != _ROOT:
            self._refuse(f"is no '{_ROOT}' document")
        if depth > MAX_DEPTH:
            self._refuse(f"is nested deeper than {MAX_DEPTH} levels")
        if depth == _ENTRY_DEPTH and self._tags[1] != "paging":
            self._count += 1
            self._entry = _Entry(tag, self._count)
        elif depth == _FIELD_DEPTH and self._entry and tag == "member":
            self._entry.member = attributes.get("id", "")
        self._text, self._length = [], 0

    def characters(self, text: str) -> None:
        self._length += len(text)
        if self._length <= MAX_TEXT:
            self._text.append(text)

    def end(self, _: str) -> None:
        depth, tag = len(self._tags), self._tags[-1]
        entry = self._entry
        if entry and depth == _FIELD_DEPTH and tag in _FIELDS:
            setattr(entry, tag, self._value())
        elif entry and depth == _FINGERPRINT_DEPTH and self._tags[-2] == "fingerprints":
            entry.fingerprints.append((tag, self._value()))
        elif entry and depth == _ENTRY_DEPTH:
            self._done.append(entry)
            self._entry = None
        self._tags.pop()
        self._text, self._length = [], 0

    def _value(self) -> str:
        # An overlong text is no digest, whatever its beginning: empty makes it malformed.
        return "".join(self._text).strip() if self._length <= MAX_TEXT else ""

    def _refuse(self, problem: str) -> None:
        self.problem = problem
        raise ValueError
