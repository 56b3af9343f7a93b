"""What is kept privately of every release: from which inputs it was made, and which evidence proved it.

Digests that cover partners' lists stay here. In public, who holds the source could try every link of it against the
digest of a short list.
"""

import json
from dataclasses import asdict, dataclass

from relaion_pipeline.layout import DataRoot, make_private, write_text


@dataclass(frozen=True)
class ReleaseRecord:
    """The private side of one release."""

    version: str
    inputs_sha256: str
    evidence_sha256: str


def write(record: ReleaseRecord, root: DataRoot) -> None:
    """Keep the record of a release, mode 0600."""
    path = root.release_record(record.version)
    make_private(path.parent)
    write_text(path, json.dumps(asdict(record), indent=1))


def read(root: DataRoot, version: str) -> ReleaseRecord | None:
    """The record of a release, or None where there is none that can be read."""
    try:
        return ReleaseRecord(**json.loads(root.release_record(version).read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
