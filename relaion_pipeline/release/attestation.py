"""`lineage/provenance.intoto.json`: an in-toto statement with SLSA provenance, made from the manifest alone.

It says of every published file by its digest: made by this code from these inputs under these settings. Neither clock
nor run is in it, so the same inputs give the same bytes; its signature is that of the checksums which name it.
https://slsa.dev/spec/v1.0/provenance and https://in-toto.io explain the words.
"""

import hashlib
import json
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from in_toto_attestation.predicates.provenance.v1 import provenance_pb2
from in_toto_attestation.v1.resource_descriptor import ResourceDescriptor
from in_toto_attestation.v1.statement import Statement

from relaion_pipeline.release import manifest, openlineage
from relaion_pipeline.release.manifest import MANIFEST, Manifest

PREDICATE = "https://slsa.dev/provenance/v1"
BUILD = "urn:relaion-pipeline:release/1"
"""The kind of build: docs/audit.md says what its parameters are."""
BUILDER = "urn:relaion-pipeline"


def render(described: Manifest) -> str:
    """The whole file."""
    statement = Statement([each.pb for each in _subjects(described)], PREDICATE, _provenance(described))
    statement.validate()
    content = json.loads(json_format.MessageToJson(statement.pb), parse_float=_number)
    return json.dumps(content, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _subjects(described: Manifest) -> Iterator[ResourceDescriptor]:
    yield _resource(MANIFEST, hashlib.sha256(manifest.text(described).encode()).hexdigest())
    for file in described.files:
        yield _resource(file.path, file.sha256, rows=file.rows, bytes=file.bytes)


def _dependencies(described: Manifest) -> Iterator[ResourceDescriptor]:
    for shard in described.shards:
        name = f"source/{shard.subset}/{shard.name}"
        yield _resource(name, shard.sha256, rows=shard.rows, bytes=shard.bytes)
        if shard.scores_sha256:
            yield _resource(f"{name}#scores", shard.scores_sha256)
    for feed in described.feeds:  # the digest of a short list would let it be guessed: the manifest has none
        yield _resource(
            f"feeds/{feed.name}", feed.sha256, partner=feed.partner, version=feed.version, entries=feed.entries
        )
    yield _resource("keywords", described.nsfw.keywords_sha256, entries=described.nsfw.keywords)


def _provenance(described: Manifest) -> dict[str, Any]:
    parameters = {
        "dataset": described.dataset,
        "release": described.release,
        "nsfw": described.nsfw.model_dump(exclude={"keywords", "keywords_sha256"}),
        "removals": described.removals.model_dump(include={"salt", "max_listed_share"}),
        "waivers": [each.model_dump() for each in described.waivers],
    }
    predicate = provenance_pb2.Provenance(
        build_definition=provenance_pb2.BuildDefinition(
            build_type=BUILD,
            external_parameters=parameters,
            internal_parameters={"canonicaliser_version": described.canonicaliser_version},
            resolved_dependencies=[each.pb for each in _dependencies(described)],
        ),
        run_details=provenance_pb2.RunDetails(
            builder=provenance_pb2.Builder(
                id=BUILDER, version={"relaion-pipeline": described.code_version, **described.libraries}
            ),
            metadata=provenance_pb2.BuildMetadata(invocation_id=openlineage.run_id(described)),
        ),
    )
    return dict(json_format.MessageToDict(predicate))


def _resource(name: str, sha256: str | None, **annotations: Any) -> ResourceDescriptor:
    return ResourceDescriptor(name=name, digest={"sha256": sha256} if sha256 else None, annotations=annotations)


def _number(text: str) -> int | float:
    """A number as the manifest has it: protobuf's are all floating."""
    value = float(text)
    return int(value) if value.is_integer() else value
