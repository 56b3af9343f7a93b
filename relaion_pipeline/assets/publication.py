"""The asset of what was published; it is there only where the settings say where to.

What belongs here: reporting what was sent. What does not: sending it (`publish`).
"""

import dagster as dg

from relaion_pipeline import progress
from relaion_pipeline.assets import graph
from relaion_pipeline.audit import published
from relaion_pipeline.provenance import key_of
from relaion_pipeline.publish import upload
from relaion_pipeline.resources import Workspace
from relaion_pipeline.settings import Settings


def published_release(settings: Settings) -> dg.AssetsDefinition:
    """The asset of the newest release at its destinations."""

    @graph.asset(
        graph.PUBLISHED_RELEASE,
        deps=[graph.RELEASE, graph.SETTINGS],
        group="release",
        kinds={"parquet"},
        description=f"The newest release, sent to: {', '.join(settings.publish)}. It is verified before.",
    )
    def sent(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            release = published.current_release(inputs.root)
            listener = lambda stage, rows: progress.of(stage)(rows)  # noqa: E731
            deliveries = upload.publish(inputs.root, release.name, listener)
            metadata: dict[str, dg.RawMetadataValue] = {"version": release.name}
            for each in deliveries:
                metadata[f"sent to {each.destination}"] = f"{len(each.sent)} files, {len(each.there)} were there"
                metadata[f"address of {each.destination}"] = each.where
            files = sorted({(item.name, item.sha256) for each in deliveries for item in each.sent + each.there})
            return dg.MaterializeResult(data_version=dg.DataVersion(key_of(files)), metadata=metadata)

    return sent
