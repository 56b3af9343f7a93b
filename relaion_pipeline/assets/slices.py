"""Assets of one slice: screened, written, verified.

What belongs here: one asset for each stage, which calls the package that does the work and reports what is public of
it. Reasons and feeds are counted by subset only: a slice may hold a single shard.
"""

import dagster as dg

from relaion_pipeline.assets import graph
from relaion_pipeline.assets.graph import Slice
from relaion_pipeline.assets.metadata import column_lineage, column_schema
from relaion_pipeline.layout import RESEARCH, RESEARCH_SAFE
from relaion_pipeline.ledger.settling import Settler
from relaion_pipeline.progress import of
from relaion_pipeline.provenance import key_of
from relaion_pipeline.release import editions, statistics
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.resources import Workspace
from relaion_pipeline.screening.screen import Screener
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards import open_parquet
from relaion_pipeline.shards.stock import StockedShard
from relaion_pipeline.verification import listed
from relaion_pipeline.verification.verifier import Published, Verifier


def screener(inputs: Inputs) -> Screener:
    """The screening of these inputs."""
    return Screener(inputs.root, inputs.settings, inputs.blocklist, inputs.keywords)


def settler(inputs: Inputs) -> Settler:
    """The settling of these inputs' findings."""
    return Settler(inputs.root, inputs.settings, screener(inputs), inputs.ledger)


def verifier(inputs: Inputs) -> Verifier:
    """The verification of these inputs, which reads the partners' files itself."""
    sha256 = inputs.verified_digests.sha256
    lists = listed.read_lists(inputs.settings, inputs.root, sha256)
    return Verifier(inputs.root, inputs.settings, lists, inputs.keywords, inputs.ledger, sha256)


def screened(settings: Settings, part: Slice) -> dg.AssetsDefinition:
    """The asset of one slice's findings."""

    @graph.asset(
        part.key("screened"),
        deps=[part.key("shards"), graph.BLOCKLIST, graph.KEYWORDS, graph.SETTINGS, *graph.feed_keys(settings)],
        group=part.subset,
        kinds={"duckdb"},
        description=f"What lists and rules say of the rows of slice {part.name}. Private.",
    )
    def findings(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            shards = _stock(inputs, part)
            screening = screener(inputs)
            screening.screen(shards, of("screened"))
            return dg.MaterializeResult(
                data_version=dg.DataVersion(screening.key(shards)),
                metadata={"dagster/row_count": sum(shard.rows for shard in shards), "shards": len(shards)},
            )

    return findings


def written(settings: Settings, part: Slice) -> dg.AssetsDefinition:
    """The asset of one slice's edition files."""

    @graph.asset(
        part.key("editions"),
        deps=[graph.LEDGER, part.key("shards"), graph.KEYWORDS, graph.SETTINGS, *graph.feed_keys(settings)],
        group=part.subset,
        kinds={"parquet"},
        description=f"Edition files of slice {part.name}, not yet released.",
    )
    def staged(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            shards = _stock(inputs, part)
            files = editions.write(shards, inputs.settings, inputs.root, of("editions"))
            statistics.gather(shards, inputs.settings, inputs.root)
            safe, extra = sum(file.safe.rows for file in files), sum(file.extra.rows for file in files)
            metadata: dict[str, dg.RawMetadataValue] = {
                "dagster/row_count": safe + extra,
                f"rows in {RESEARCH}": safe + extra,
                f"rows in {RESEARCH_SAFE}": safe,
                "bytes": sum(file.safe.bytes + file.extra.bytes for file in files),
            }
            if shards:
                with open_parquet(inputs.root.staged(part.subset, shards[0].stem, editions.SAFE), part.name) as file:
                    metadata["dagster/column_schema"] = column_schema(file.schema_arrow)
                    metadata["dagster/column_lineage"] = column_lineage(file.schema_arrow.names, [part.key("shards")])
            digests = [[file.stem, file.safe.sha256, file.extra.sha256] for file in files]
            return dg.MaterializeResult(data_version=dg.DataVersion(key_of(digests)), metadata=metadata)

    return staged


def verified(settings: Settings, part: Slice) -> dg.AssetsDefinition:
    """The asset of one slice's evidence."""

    @graph.asset(
        part.key("verified"),
        deps=[part.key("editions"), part.key("shards"), graph.KEYWORDS, graph.SETTINGS, *graph.feed_keys(settings)],
        group=part.subset,
        kinds={"duckdb"},
        description=f"Evidence on the edition files of slice {part.name}, counted again from them and from the "
        f"partners' own files. The gate judges it.",
    )
    def evidence(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            published = [
                Published(shard, *(inputs.root.staged(shard.subset, shard.stem, name) for name in editions.PARTS))
                for shard in _stock(inputs, part)
            ]
            found = verifier(inputs).keep(published, of("verified"))
            return dg.MaterializeResult(
                data_version=dg.DataVersion(key_of([each.key for each in found])),
                metadata={"dagster/row_count": sum(each.safe_rows + each.extra_rows for each in found)},
            )

    return evidence


def _stock(inputs: Inputs, part: Slice) -> list[StockedShard]:
    return [inputs.stock(shard) for shard in inputs.slice(part.subset, part.number)]
