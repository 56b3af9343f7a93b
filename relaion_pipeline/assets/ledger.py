"""The asset in which all slices' findings become verdicts.

What belongs here: reporting what was settled. What does not: settling it (`ledger`).
"""

import dagster as dg

from relaion_pipeline.assets import graph
from relaion_pipeline.assets.metadata import removals_table
from relaion_pipeline.assets.slices import settler
from relaion_pipeline.progress import of
from relaion_pipeline.resources import Workspace
from relaion_pipeline.screening import breadth
from relaion_pipeline.settings import Settings


def settled(settings: Settings) -> dg.AssetsDefinition:
    """The asset of all verdicts."""

    @graph.asset(
        graph.LEDGER,
        deps=[
            *(part.key("screened") for part in graph.slices(settings)),
            graph.SETTINGS,
            graph.KEYWORDS,
            *graph.feed_keys(settings),
        ],
        group="release",
        kinds={"duckdb"},
        description="Verdicts on all rows: what was found of them, what earlier releases removed, every row with the "
        "link of a listed image, and ordinary rows that cover the listed ones. Private.",
    )
    def verdicts(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            settling = settler(inputs)
            breadth.refuse(inputs.root, inputs.settings, inputs.shards)
            settling.settle(inputs.shards, of("settled"))
            counts = settling.counts_by_subset(inputs.shards)
            return dg.MaterializeResult(
                data_version=dg.DataVersion(settling.verdicts_key(inputs.shards)),
                metadata={
                    "dagster/row_count": sum(each.rows for each in counts.values()),
                    "removals": dg.MetadataValue.md(removals_table(counts)),
                },
            )

    return verdicts
