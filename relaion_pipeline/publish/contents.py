"""What of a release is sent: the files that its checksums name, and nothing else.

Where one edition goes alone, these are the checksums of just that (`partial`).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.publish import partial
from relaion_pipeline.publish.errors import PublishError
from relaion_pipeline.release.manifest import CHECKSUMS, MANIFEST
from relaion_pipeline.release.signature import CHECKSUMS_SIGNATURE, MANIFEST_SIGNATURE, PUBLIC_KEY
from relaion_pipeline.shards import sha256_file

CLOSING = (PUBLIC_KEY, MANIFEST_SIGNATURE, MANIFEST, CHECKSUMS_SIGNATURE, CHECKSUMS)
"""What is sent last, in this order: whoever sees the checksums sees all that they name."""


@dataclass(frozen=True)
class Item:
    """One file that is to be sent."""

    name: str
    path: Path
    sha256: str
    bytes: int


def contents(root: DataRoot, release: Path, editions: Sequence[str]) -> list[Item]:
    """The files that go with `editions`, in the order in which they are sent.

    Raises:
        PublishError: a name leads out of the release, or to what is no file of it.
    """
    own = partial.documents_of(root, release, editions[0]) if len(set(editions)) == 1 else release
    lines = (own / CHECKSUMS).read_text(encoding="utf-8").splitlines()
    listed = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    for name in (CHECKSUMS, CHECKSUMS_SIGNATURE):
        listed[name] = sha256_file(own / name)
    names = sorted(listed, key=lambda name: (CLOSING.index(name) if name in CLOSING else -1, name))
    return [_item(own if (own / name).is_file() else release, name, listed[name]) for name in names]


def _item(folder: Path, name: str, digest: str) -> Item:
    place = PurePosixPath(name)
    path = folder / name
    inside = not place.is_absolute() and not any(part in {"", ".", ".."} or part[0] == "." for part in place.parts)
    if not inside or path.resolve() != folder.resolve() / name or not path.is_file():
        raise PublishError(f"{folder / CHECKSUMS}: names {name}, which is no file of the release; nothing is sent")
    return Item(name, path, digest, path.stat().st_size)
