"""Takedown requests: a feed of one's own, which goes the way of all feeds.

What belongs here: appending requests, and telling what became of them. What does not: reading, screening, verifying,
which treat this list as any partner's.

The list is a file of ThreatExchange descriptors, one a line: that format holds links and hashes side by side, and
leaves room for the reference. It only ever grows: so a release that read a state of it, known by its digest, had all
requests of that state and no other.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path

from relaion_pipeline import links
from relaion_pipeline.feeds.compiling import normalised
from relaion_pipeline.feeds.declaration import Feed, FeedKind
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.feeds.errors import Place
from relaion_pipeline.feeds.formats import READERS
from relaion_pipeline.feeds.guards import placeholders
from relaion_pipeline.feeds.streams import open_sources
from relaion_pipeline.history.releases import known_versions
from relaion_pipeline.layout import TAKEDOWNS, DataRoot, make_private, written_whole
from relaion_pipeline.publish import state
from relaion_pipeline.release import records
from relaion_pipeline.settings import SETTINGS_FILE, Settings

FORMAT = "threatexchange"
_REFERENCE, _GROUND = "reference:", "ground:"


class TakedownError(Exception):
    """A request cannot be taken; the message says what to do, and names entries by their number only."""


class Ground(StrEnum):
    """On what ground a request is made."""

    PRIVACY = "privacy"
    COURT_ORDER = "court-order"
    OPT_OUT = "opt-out"


class Entry(StrEnum):
    """What an entry of a request is."""

    LINK = "link"
    LINK_MD5 = "link-md5"
    IMAGE_MD5 = "image-md5"
    IMAGE_SHA1 = "image-sha1"
    IMAGE_SHA256 = "image-sha256"


_TYPES = {
    Entry.LINK: "URI",
    Entry.LINK_MD5: "HASH_URL_MD5",
    Entry.IMAGE_MD5: "HASH_MD5",
    Entry.IMAGE_SHA1: "HASH_SHA1",
    Entry.IMAGE_SHA256: "HASH_SHA256",
}
"""ThreatExchange's names."""


@dataclass(frozen=True)
class Request:
    """One request, whatever number of entries it has; what they are is not told."""

    reference: str
    ground: str
    asked: str  # date of its first entry, ISO 8601
    entries: int
    removed_in: str | None  # the first release that all of its entries are gone from
    everywhere: bool  # whether that release, or a later one, is the newest at every destination there is


@dataclass(frozen=True)
class _Line:
    """One entry as it stands in the list."""

    type: str
    value: str
    added_on: str
    reference: str
    ground: str
    list_sha256: str  # of the list up to and with this line


def add(
    root: DataRoot,
    settings: Settings,
    entries: Sequence[str],
    kind: Entry = Entry.LINK,
    *,
    reference: str,
    ground: Ground,
    today: date,
) -> int:
    """Append a request's entries to the list, and return how many were not there yet under that reference.

    Raises:
        TakedownError: the settings declare no such list, or an entry could match nothing; nothing is written then.
    """
    if not any(_reads_list(feed) for feed in settings.feeds.values()):
        raise TakedownError(_declaration(root, settings))
    if not reference.strip() or not reference.isprintable():
        raise TakedownError("a reference is one line of text, such as a case or letter number")
    known = {(each.type, each.value, each.reference, each.ground) for each in _read(root)}
    places = {entry: place for place, entry in reversed(list(enumerate(entries, start=1)))}
    fresh = [each for each in dict.fromkeys(entries) if (_TYPES[kind], each, reference.strip(), ground) not in known]
    if fresh:
        before = root.takedowns.read_bytes() if root.takedowns.exists() else b""
        tags = [f"{_REFERENCE}{reference.strip()}", f"{_GROUND}{ground}"]
        said = [{"type": _TYPES[kind], "raw_indicator": each, "added_on": str(today), "tags": tags} for each in fresh]
        make_private(root.takedowns.parent)
        with written_whole(root.takedowns) as temporary:
            temporary.write_bytes(before + b"".join(json.dumps(each).encode() + b"\n" for each in said))
            _refuse_useless(temporary, [places[each] for each in fresh])
    return len(fresh)


def requests(root: DataRoot, settings: Settings) -> list[Request]:
    """Every request, oldest first, and how far it has come.

    Raises:
        TakedownError: the list was changed otherwise than by adding to it: which release knew which is then unknown.
        PublishError: what was published cannot be told.
    """
    lines = _read(root)
    known_to = _known_to_releases(root, lines)
    published = state.published(root)
    newest = [
        max((version for version, when in published.items() if when.get(name)), default=None)
        for name in settings.publish
    ]
    grouped: dict[tuple[str, str], list[int]] = {}
    for place, line in enumerate(lines):
        grouped.setdefault((line.reference, line.ground), []).append(place)
    found = []
    for (reference, ground), places in grouped.items():
        removed_in = next((version for version, length in known_to.items() if length > places[-1]), None)
        everywhere = removed_in is not None and bool(newest) and all(each and each >= removed_in for each in newest)
        asked = lines[places[0]].added_on
        found.append(Request(reference, ground, asked, len(places), removed_in, everywhere))
    return found


def _reads_list(feed: Feed) -> bool:
    return (feed.files, feed.format, feed.kind) == (TAKEDOWNS, FORMAT, FeedKind.DECLARED)


def _declaration(root: DataRoot, settings: Settings) -> str:
    name = "takedowns" if "takedowns" not in settings.feeds else "takedown-requests"
    return (
        f"{root.path / SETTINGS_FILE}: no feed reads takedown requests, so nothing was written. Add these lines, then "
        f"run the same command again:\n\n[feeds.{name}]\n"
        f'partner = "Takedown requests"\nversion = "growing"\nfiles = "{TAKEDOWNS}"\n'
        f'format = "{FORMAT}"\nkind = "{FeedKind.DECLARED}"\n'
        f"max_shrink_share = 0.0  # the list only ever grows: losing an entry stops the release\n"
    )


def _refuse_useless(path: Path, places: Sequence[int]) -> None:
    """Read the list as a release will. Of its last entries, refuse by `places` in the request what it would not use."""
    feed = Feed(partner="-", version="-", files="-", format=FORMAT, kind=FeedKind.DECLARED)
    used: list[bool] = []
    for source in open_sources(path, Place("takedowns", path.name)):
        for batch in READERS[FORMAT](feed).read(source):
            kinds, texts = (batch.column(name).to_pylist() for name in ("kind", "text"))
            for kind, text, suspect in zip(kinds, texts, placeholders(batch), strict=True):
                listed = kind is not None and not suspect
                used.append(listed and (kind != Kind.LINK or _lists_something(text)))
    useless = [place for place, is_used in zip(places, used[-len(places) :], strict=True) if not is_used]
    if useless:
        shown = ", ".join(map(str, useless[:5]))
        raise TakedownError(
            f"{len(useless)} of the entries could match nothing, or are the hash of nothing (number {shown}); nothing "
            f"was written. Is --hash what they are?"
        )


def _lists_something(link: str) -> bool:
    """Whether some row's link could be the same. A word is no host: somebody forgot --hash, or the link's beginning."""
    key = normalised(Kind.LINK, link)
    return key is not None and any(sign in (links.host_of(key) or "") for sign in ".:")


def _read(root: DataRoot) -> list[_Line]:
    """The list, or nothing where there is none yet."""
    content = root.takedowns.read_bytes() if root.takedowns.exists() else b""
    digest, lines = hashlib.sha256(), []
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        digest.update(line)
        problem = False
        try:
            said = json.loads(line)
            reference, ground = (
                next(tag.removeprefix(prefix) for tag in said["tags"] if tag.startswith(prefix))
                for prefix in (_REFERENCE, _GROUND)
            )
            each = _Line(
                said["type"], said["raw_indicator"], said["added_on"], reference, ground, digest.copy().hexdigest()
            )
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration, RuntimeError):
            problem = True
        if problem:  # raised here, so that the exception holds nothing of the line
            raise TakedownError(f"{root.takedowns}: line {number} is not what `relaion takedown add` writes; mend it")
        lines.append(each)
    return lines


def _known_to_releases(root: DataRoot, lines: Sequence[_Line]) -> dict[str, int]:
    """Release, oldest first, to how many entries the list had when it was read for it."""
    lengths = {line.list_sha256: number for number, line in enumerate(lines, start=1)}
    known = {}
    for version in known_versions(root):
        record = records.read(root, version)
        for feed in record.inputs.feeds.values() if record is not None and record.inputs is not None else ():
            if TAKEDOWNS in feed.files:
                known[version] = lengths.get(feed.files[TAKEDOWNS], 0)
                if not known[version]:
                    raise TakedownError(
                        f"{root.takedowns}: is not the list that release {version} read with more at its end: entries "
                        f"were changed or taken out. Put the file back; requests are only ever added"
                    )
    return known
