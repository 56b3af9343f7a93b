"""The gate as asset checks: Great Expectations judges the evidence, and a failure blocks the release.

What belongs here: asset checks. What does not: what is expected (`verification.gate`), or finding it out
(`verification.verifier`). Dagster explains the concept under "Asset checks".
"""

from collections.abc import Iterable

import dagster as dg

from relaion_pipeline.assets import graph
from relaion_pipeline.audit import published
from relaion_pipeline.resources import Workspace
from relaion_pipeline.verification import evidence as evidence_files
from relaion_pipeline.verification import gate

PUBLISHED_FILES = "published_files_are_the_verified_ones"


@dg.multi_asset_check(
    name="gate",
    specs=[
        dg.AssetCheckSpec(check.name, asset=graph.EDITION_SET, description=check.promise, blocking=True)
        for check in gate.ALL_CHECKS
    ],
)
def gate_checks(context: dg.AssetCheckExecutionContext, workspace: Workspace) -> Iterable[dg.AssetCheckResult]:
    """Judge the evidence of every shard."""
    with workspace.inputs(context) as inputs:
        found = [evidence_files.read(inputs.root, shard.subset, shard.stem) for shard in inputs.shards]
        record = gate.judge([each for each in found if each is not None], len(inputs.shards), inputs.root)
        for check in gate.ALL_CHECKS:
            yield dg.AssetCheckResult(
                asset_key=graph.EDITION_SET,
                check_name=check.name,
                passed=check.name not in record.failed,
                metadata={
                    "promise": check.promise,
                    "data_docs": dg.MetadataValue.path(inputs.root.data_docs / "index.html"),
                },
            )


@dg.asset_check(
    asset=graph.RELEASE,
    name=PUBLISHED_FILES,
    description="Every file of the current release is, byte for byte, what its manifest and checksums say.",
)
def published_files(context: dg.AssetCheckExecutionContext, workspace: Workspace) -> dg.AssetCheckResult:
    """Read the current release again."""
    with workspace.inputs(context) as inputs:
        current = published.current_release(inputs.root)
        differences = published.differences(current)
        return dg.AssetCheckResult(
            passed=not differences,
            metadata={
                "release": current.name,
                "differences": dg.MetadataValue.md("\n".join(f"- {each}" for each in differences) or "none"),
            },
        )
