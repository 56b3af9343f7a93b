"""What was published where, kept in `private/publish/<destination>.json`.

A file is recorded when it was read back, or its checksum asked for, and found right. With it stands a token of what
lies there (size and version tag): as long as that is the same, nothing is sent or read again.
"""

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from threading import Lock

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.publish.contents import Item
from relaion_pipeline.publish.declaration import Destination
from relaion_pipeline.publish.errors import PublishError


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class There(_Model):
    """One file at a destination."""

    sha256: str
    bytes: int
    token: str


class Sending(_Model):
    """One release at a destination; `published` says when it was whole and checked."""

    editions: tuple[str, ...] = ()
    published: str | None = None
    files: dict[str, There] = Field(default_factory=dict)


class Publication(_Model):
    """Everything that was sent to one destination."""

    to: str
    releases: dict[str, Sending] = Field(default_factory=dict)


class Record:
    """The record of one release being sent. Safe to share between threads; on disk after every file."""

    def __init__(self, root: DataRoot, destination: str, to: str, version: str) -> None:
        self._path = root.publication(destination)
        self._lock = Lock()
        self._all = _read(root, destination, to)
        self.sending = self._all.releases.setdefault(version, Sending())

    def begin(self, editions: tuple[str, ...]) -> None:
        self.sending.editions = editions
        self.sending.published = None
        self._write()

    def holds(self, item: Item, token: str | None) -> bool:
        """Whether what lies there was found right before, and is the same still."""
        known = self.sending.files.get(item.name)
        return token is not None and known == There(sha256=item.sha256, bytes=item.bytes, token=token)

    def keep(self, item: Item, token: str) -> None:
        """A file was found right."""
        with self._lock:
            self.sending.files[item.name] = There(sha256=item.sha256, bytes=item.bytes, token=token)
            self._write()

    def finish(self) -> None:
        self.sending.published = datetime.now(UTC).isoformat(timespec="seconds")
        self._write()

    def _write(self) -> None:
        make_private(self._path.parent)
        write_text(self._path, self._all.model_dump_json(indent=1))


@contextmanager
def alone(root: DataRoot, destination: str) -> Iterator[None]:
    """Publish to a destination while nobody else does.

    Raises:
        PublishError: another process does.
    """
    path = root.publication(destination).with_suffix(".lock")
    make_private(path.parent)
    with path.open("a") as file:
        path.chmod(0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise PublishError(f"{destination}: another process is publishing there; wait for it") from None
        yield


def published(root: DataRoot) -> dict[str, dict[str, str | None]]:
    """Version -> destination -> when it was published there; None: it is being sent, or sending it broke off.

    Raises:
        PublishError: a record cannot be read, so that nobody can tell.
    """
    found: dict[str, dict[str, str | None]] = {}
    for path in sorted(root.publication("*").parent.glob("*.json")):
        try:
            known = Publication.model_validate_json(path.read_bytes())
        except (OSError, ValidationError):
            raise PublishError(
                f"{path}: cannot be read, so what was published there is not known; restore it from a backup, or "
                "delete it and run `relaion publish`, which looks what is there"
            ) from None
        for version, sending in known.releases.items():
            found.setdefault(version, {})[path.stem] = sending.published
    return found


def missing(root: DataRoot, version: str, wanted: Mapping[str, Destination]) -> tuple[str, ...]:
    """Destinations that a release has not reached as a whole, with all the editions that they want."""
    found = []
    for name, destination in wanted.items():
        sending = _read(root, name, destination.to).releases.get(version, Sending())
        if sending.published is None or not set(destination.editions) <= set(sending.editions):
            found.append(name)
    return tuple(found)


def _read(root: DataRoot, destination: str, to: str) -> Publication:
    """A lost or broken record, or one of another place under this name, only costs time: what is there is read back."""
    try:
        found = Publication.model_validate(json.loads(root.publication(destination).read_text(encoding="utf-8")))
    except (OSError, ValueError, ValidationError):
        return Publication(to=to)
    return found if found.to == to else Publication(to=to)
