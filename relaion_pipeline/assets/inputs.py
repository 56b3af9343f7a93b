"""Assets for what comes from outside: settings, keywords, feeds, shards.

What belongs here: one asset for each input, with what can be said of it in public. What does not: joining them.
"""

import dagster as dg

from relaion_pipeline.assets import graph
from relaion_pipeline.assets.graph import Slice
from relaion_pipeline.assets.metadata import column_schema
from relaion_pipeline.feeds import blocklist
from relaion_pipeline.progress import of
from relaion_pipeline.provenance import key_of
from relaion_pipeline.resources import Workspace
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards import open_parquet


@graph.asset(
    graph.SETTINGS,
    group="inputs",
    kinds={"toml"},
    description="`relaion.toml`: what the dataset is.",
)
def settings_file(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
    with workspace.inputs(context) as inputs:
        return dg.MaterializeResult(
            data_version=dg.DataVersion(inputs.settings.digest()),
            metadata={
                "research_above": inputs.settings.nsfw.research_above,
                "research_safe_above": inputs.settings.nsfw.research_safe_above,
                "waivers": len(inputs.settings.waivers),
                "file": dg.MetadataValue.path(inputs.root.path / "relaion.toml"),
            },
        )


@graph.asset(
    graph.KEYWORDS,
    deps=[graph.SETTINGS],
    group="inputs",
    kinds={"text"},
    description="Keywords of the rule for very unsafe rows.",
)
def keywords_file(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
    with workspace.inputs(context) as inputs:
        return dg.MaterializeResult(
            data_version=dg.DataVersion(inputs.keywords.digest), metadata={"keywords": inputs.keywords.count}
        )


def feed(settings: Settings, name: str) -> dg.AssetsDefinition:
    """The asset of one partner's list."""
    declared = settings.feeds[name]

    @graph.asset(
        graph.feed_key(name),
        deps=[graph.SETTINGS],
        group="feeds",
        kinds={declared.format},
        description=f"List of {declared.partner}, version {declared.version}: {declared.kind}"
        f"{f' ({declared.hash})' if declared.hash else ''}.",
    )
    def compiled(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            found = inputs.compile_feed(name)
            if found.counts.quarantined:
                context.log.warning(
                    "Feed %s: %d suspect entries are held back, the first of them number %s; "
                    "waive them in relaion.toml to use them.",
                    name,
                    found.counts.quarantined,
                    ", ".join(map(str, found.counts.quarantined_entries)),
                )
            return dg.MaterializeResult(
                data_version=dg.DataVersion(found.key),
                metadata={
                    "partner": declared.partner,
                    "version": declared.version,
                    "files": found.counts.files,
                    "entries": found.counts.usable,
                    "malformed": found.counts.malformed,
                    "unmatchable": found.counts.unmatchable,
                    "withdrawn": found.counts.withdrawn,
                    "quarantined": found.counts.quarantined,
                },
            )

    return compiled


def compiled_blocklist(settings: Settings) -> dg.AssetsDefinition:
    """The asset that puts all feeds together."""

    @graph.asset(
        graph.BLOCKLIST,
        deps=[graph.SETTINGS, *graph.feed_keys(settings)],
        group="feeds",
        kinds={"duckdb"},
        description="All feeds as keys that rows are joined with. Private.",
    )
    def joined(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            feeds = [inputs.compile_feed(name) for name in inputs.settings.feeds]
            built = blocklist.build(feeds, inputs.settings, inputs.root)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(built.digest),
                metadata={"feeds": len(feeds), "entries": sum(found.counts.usable for found in feeds)},
            )

    return joined


def shards(part: Slice) -> dg.AssetsDefinition:
    """The asset of one slice's source shards."""

    @graph.asset(
        part.key("shards"),
        deps=[graph.SETTINGS],
        group=part.subset,
        kinds={"parquet"},
        description=f"Source shards of slice {part.name}.",
    )
    def stocked(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            progress = of("shards")
            found = []
            for shard in inputs.slice(part.subset, part.number):
                found.append(inputs.stock(shard))
                progress(found[-1].rows)
            metadata: dict[str, dg.RawMetadataValue] = {
                "dagster/row_count": sum(shard.rows for shard in found),
                "shards": len(found),
                "bytes": sum(shard.source_bytes for shard in found),
            }
            if found:
                with open_parquet(found[0].parquet, found[0].name) as file:
                    metadata["dagster/column_schema"] = column_schema(file.schema_arrow)
            digests = [[shard.stem, shard.source_sha256, shard.scores_sha256] for shard in found]
            return dg.MaterializeResult(data_version=dg.DataVersion(key_of(digests)), metadata=metadata)

    return stocked
