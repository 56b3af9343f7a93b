"""Folders and object stores: where a release is a folder of files.

What belongs here: putting a file there, and telling what lies there. What does not: Hugging Face (`hub`), or which
files go (`contents`, `upload`).
"""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from relaion_pipeline.layout import PUBLIC_FILE_MODE, written_whole
from relaion_pipeline.publish.contents import Item
from relaion_pipeline.publish.errors import PublishError, plain

_CHUNK = 8 << 20
_WITH_FOLDERS = frozenset({"sftp", "ssh", "ftp", "smb", "webdav"})
"""Protocols whose folders must be made before a file is put there."""


class Store(Protocol):
    """A place that holds one release as files."""

    where: str
    workers: int

    def token(self, name: str) -> str | None:
        """What tells this state of a file from any other, or None where there is none."""

    def size(self, name: str) -> int:
        """Bytes of a file that is there."""

    def digest(self, name: str) -> str:
        """SHA-256 of a file, read back."""

    def put(self, item: Item, twin: str | None) -> None:
        """Send a file, unless the place itself can make it of the file `twin` there, which has the same content."""

    def names(self) -> set[str]:
        """Every file of the release that lies there."""

    def finish(self) -> None:
        """All is there and right: let it be seen."""


class Folder:
    """A release in a folder of this machine: built beside its place, and renamed into it."""

    workers = 1  # one disk; equal files are linked, which needs an order

    def __init__(self, parent: Path, version: str) -> None:
        self._final = parent / version
        self._published = self._final.exists()
        self._base = self._final if self._published else parent / f".{version}.partial"
        self.where = str(self._final)
        with _refused(str(parent)):
            self._base.mkdir(parents=True, exist_ok=True)
            if not self._published:
                for left in [path for path in self._base.rglob(".*.tmp") if path.is_file()]:
                    left.unlink()  # a copy that was cut short

    def token(self, name: str) -> str | None:
        try:
            status = (self._base / name).stat()
        except OSError:
            return None
        return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ino}"

    def size(self, name: str) -> int:
        return (self._base / name).stat().st_size

    def digest(self, name: str) -> str:
        with _refused(self.where), (self._base / name).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def put(self, item: Item, twin: str | None) -> None:
        if self._published:
            raise PublishError(
                f"{self.where}: {item.name} is not what the release holds. A published release is not changed: "
                "find out who did, move the folder away and publish again"
            )
        path = self._base / item.name
        with _refused(self.where):
            path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(path, mode=PUBLIC_FILE_MODE) as temporary:
                if twin is not None:  # both editions hold the same bytes: once on this disk too
                    temporary.unlink()
                    temporary.hardlink_to(self._base / twin)
                else:
                    shutil.copyfile(item.path, temporary)

    def names(self) -> set[str]:
        return {path.relative_to(self._base).as_posix() for path in self._base.rglob("*") if not path.is_dir()}

    def finish(self) -> None:
        if not self._published:
            with _refused(self.where):
                for folder in [self._base, *(path for path in self._base.rglob("*") if path.is_dir())]:
                    _sync(folder)
                self._base.rename(self._final)
                self._base = self._final
                _sync(self._final.parent)


class Remote:
    """A release below an fsspec URL. Nothing is renamed there: the checksums appear last."""

    workers = 4

    def __init__(self, to: str, version: str, options: dict[str, Any]) -> None:
        try:
            import fsspec  # noqa: PLC0415  (an extra)
        except ImportError:
            raise PublishError("publishing to a URL needs more: pip install 'relaion-pipeline[publish]'") from None
        self.where = f"{to.rstrip('/')}/{version}"
        protocol = urlsplit(to).scheme
        try:
            self._fs, base = fsspec.core.url_to_fs(
                self.where, **{"use_listings_cache": False, "skip_instance_cache": True} | options
            )
        except ImportError as error:
            raise PublishError(f"{to}: fsspec lacks what {protocol}:// needs ({plain(error)})") from None
        except (ValueError, TypeError) as error:
            raise PublishError(f"{to}: not a place that fsspec can open ({plain(error)})") from None
        self._base = base.rstrip("/")
        self._makes_folders = protocol in _WITH_FOLDERS

    def token(self, name: str) -> str | None:
        with _refused(self.where):
            try:
                info = self._fs.info(self._at(name))
            except FileNotFoundError:
                return None
            version = info.get("ETag") or info.get("etag") or self._fs.ukey(self._at(name))
            return f"{info['size']}-{version}"

    def size(self, name: str) -> int:
        with _refused(self.where):
            return int(self._fs.info(self._at(name))["size"])

    def digest(self, name: str) -> str:
        digest = hashlib.sha256()
        with _refused(self.where), self._fs.open(self._at(name), "rb", block_size=_CHUNK) as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
        return digest.hexdigest()

    def put(self, item: Item, twin: str | None) -> None:
        with _refused(self.where):
            if self._makes_folders:
                self._fs.makedirs(self._at(item.name).rpartition("/")[0], exist_ok=True)
            if twin is None or not self._copied(twin, item.name):
                self._fs.put_file(str(item.path), self._at(item.name))

    def _copied(self, name: str, to: str) -> bool:
        """Have the store copy an object, as S3 can; False where it cannot or will not."""
        try:
            self._fs.cp_file(self._at(name), self._at(to))
        except Exception:  # noqa: BLE001  (likewise; it may be no more than a right that is missing)
            return False
        return True

    def names(self) -> set[str]:
        with _refused(self.where):
            self._fs.invalidate_cache()
            return {self._fs._strip_protocol(path)[len(self._base) + 1 :] for path in self._fs.find(self._base)}  # noqa: SLF001

    def finish(self) -> None:
        """Nothing is hidden here: the checksums were sent last."""

    def _at(self, name: str) -> str:
        return f"{self._base}/{name}"


def folder_of(to: str, data_root: Path) -> Path:
    """The folder that `to` names: a path, relative to the data root, or a file:// URL."""
    path = Path(unquote(urlsplit(to).path)) if to.startswith("file://") else Path(to).expanduser()
    return (data_root / path).absolute()


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _refused(where: str) -> Iterator[None]:
    """Turn what the system or another library raises into a PublishError without a credential in it."""
    try:
        yield
    except PublishError:
        raise
    except Exception as error:  # noqa: BLE001  (file systems of many authors, each with errors of its own)
        raise PublishError(f"{where}: {plain(error)}; run `relaion publish` again to go on from here") from None
