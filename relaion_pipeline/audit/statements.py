"""Whether the lineage that a release carries says of inputs and files what its manifest says.

What belongs here: reading both exports as any tool would, as JSON. What does not: making them (`release`), which takes
libraries that outsiders need not have.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from relaion_pipeline.release import documents
from relaion_pipeline.release.manifest import MANIFEST, Manifest
from relaion_pipeline.shards import ShardError, sha256_file

_FILES, _SHARDS, _LISTS = "files", "source shards", "lists"
_Named = tuple[str, str | None]
_Told = dict[str, Counter[_Named]]
"""What is told of, to names with digests."""


def differences(release: Path, described: Manifest) -> Iterator[str]:
    """In what the exports are not what the manifest says: the file, and what of it."""
    manifest: list[_Named] = [(MANIFEST, _sha256(release / MANIFEST))]
    files: list[_Named] = [(each.path, each.sha256) for each in described.files]
    shards: list[_Named] = [(f"source/{each.subset}/{each.name}", each.sha256) for each in described.shards]
    digests: list[_Named] = [(f"feeds/{each.name}", each.sha256) for each in described.feeds]
    versions: list[_Named] = [(f"feeds/{each.name}", each.sha256 or each.version) for each in described.feeds]
    for name, read, expected in (
        (documents.PROVENANCE, _statement, _told(manifest + files, shards + digests)),
        (documents.OPENLINEAGE, _events, _told(files, shards + versions)),
    ):
        try:
            found = read((release / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            yield f"{name}: missing, or not what it should be"
            continue
        for what in expected:
            if found[what] != expected[what]:
                yield f"{name}: its {what} are not those of {MANIFEST}"


def _told(products: Iterable[_Named], materials: Iterable[_Named]) -> _Told:
    known = list(materials)
    return {
        _FILES: Counter(products),
        _SHARDS: Counter(each for each in known if each[0].startswith("source/")),
        _LISTS: Counter(each for each in known if each[0].startswith("feeds/")),
    }


def _statement(text: str) -> _Told:
    """Subjects, and what they were made from."""
    content = json.loads(text)
    dependencies = content["predicate"]["buildDefinition"]["resolvedDependencies"]
    return _told(
        _described(content["subject"]), _described(d for d in dependencies if not d["name"].endswith("#scores"))
    )


def _described(descriptors: Iterable[Any]) -> list[_Named]:
    return [(each["name"], each.get("digest", {}).get("sha256")) for each in descriptors]


def _events(text: str) -> _Told:
    """Outputs and inputs of the event that tells both."""
    _, content = (json.loads(line) for line in text.splitlines())
    outputs, inputs = (
        [(each["name"], each["facets"]["version"]["datasetVersion"]) for each in content[key]]
        for key in ("outputs", "inputs")
    )
    return _told(outputs, inputs)


def _sha256(path: Path) -> str | None:
    try:
        return sha256_file(path)
    except ShardError:
        return None
