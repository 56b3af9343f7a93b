"""Assets of the whole dataset: the set of editions that the gate judges, and the release.

What belongs here: what all slices come together in. What does not: the gate itself (`asset_checks`).
"""

from datetime import UTC, datetime

import dagster as dg

from relaion_pipeline import runs
from relaion_pipeline.assets import graph
from relaion_pipeline.assets.metadata import pictures, released_columns, removals_table
from relaion_pipeline.assets.slices import settler, verifier
from relaion_pipeline.history import retention, rollback
from relaion_pipeline.provenance import key_of
from relaion_pipeline.release import assemble, manifest, readiness, versions
from relaion_pipeline.release.documents import OPENLINEAGE, REPORT
from relaion_pipeline.release.records import MadePart
from relaion_pipeline.resources import Workspace
from relaion_pipeline.screening.verdicts import Counts
from relaion_pipeline.settings import Settings


class ReleaseConfig(dg.Config):
    """What may be said when a release is launched."""

    version: str | None = None  # left out: today's date and a number


def edition_set(settings: Settings) -> dg.AssetsDefinition:
    """The asset in which all slices come together; its checks are the gate."""

    @graph.asset(
        graph.EDITION_SET,
        deps=[
            *(part.key(stage) for part in graph.slices(settings) for stage in ("verified",)),
            graph.LEDGER,
            graph.SETTINGS,
            graph.KEYWORDS,
            *graph.feed_keys(settings),
        ],
        group="release",
        kinds={"parquet"},
        description="All edition files of all slices, for the gate to judge.",
    )
    def collected(context: dg.AssetExecutionContext, workspace: Workspace) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            counts = settler(inputs).counts_by_subset(inputs.shards)
            total = sum(counts.values(), Counts())
            return dg.MaterializeResult(
                data_version=dg.DataVersion(inputs.sha256),
                metadata={
                    "dagster/row_count": sum(total.kept.values()),
                    "removals": dg.MetadataValue.md(removals_table(counts)),
                },
            )

    return collected


def release(settings: Settings) -> dg.AssetsDefinition:
    """The asset of the newest release."""

    @graph.asset(
        graph.RELEASE,
        deps=[graph.EDITION_SET, graph.SETTINGS, graph.KEYWORDS, *graph.feed_keys(settings)],
        group="release",
        kinds={"parquet"},
        description="The newest release: both editions, manifest and checksums. It appears whole or not at all, "
        "and only when the gate passed for exactly these files.",
    )
    def released(
        context: dg.AssetExecutionContext, workspace: Workspace, config: ReleaseConfig
    ) -> dg.MaterializeResult[None]:
        with workspace.inputs(context) as inputs:
            ready = readiness.check(inputs, settler(inputs), verifier(inputs))
            version = inputs.unchanged_release()
            if version is None:
                version = config.version or versions.next_version(inputs.root, datetime.now(UTC).date())
                made = [
                    MadePart(stage=stage, part=part, run_id=run_id)
                    for key, stage, part in graph.parts(inputs.settings)
                    if (run_id := runs.maker(context.instance, key)) is not None
                ]
                assemble.assemble(inputs.root, inputs, ready, version, context.run.run_id, parts=made)
            else:
                context.log.info("Release %s was made from just these inputs; nothing to do.", version)
                rollback.settle(inputs.root, version)
            retained = retention.apply(inputs.root, inputs.settings.retention.keep_last)
            for problem in retained.problems:
                context.log.warning("%s", problem)
            total = sum(ready.counts.values(), Counts())
            digests = [[each.stem, each.safe.sha256, each.extra.sha256] for each in ready.staged]
            folder = inputs.root.release(version)
            described = manifest.read(folder)
            schema, lineage = released_columns(described, _editions(inputs.settings))
            return dg.MaterializeResult(
                data_version=dg.DataVersion(key_of(digests)),
                metadata={
                    "version": version,
                    "folder": dg.MetadataValue.path(folder),
                    "report": dg.MetadataValue.path(folder / REPORT),
                    "manifest": dg.MetadataValue.path(folder / manifest.MANIFEST),
                    "Data Docs": dg.MetadataValue.path(inputs.root.data_docs / "index.html"),
                    "lineage": dg.MetadataValue.path(folder / OPENLINEAGE),
                    "audit": dg.MetadataValue.md(
                        f"`relaion audit {version} --data {inputs.root.path}` writes {inputs.root.audit_page(version)}"
                    ),
                    "dagster/column_schema": schema,
                    "dagster/column_lineage": lineage,
                    **{f"rows in {edition}": rows for edition, rows in total.kept.items()},
                    "removals": dg.MetadataValue.md(removals_table(ready.counts)),
                    **({"releases removed": ", ".join(retained.removed)} if retained.removed else {}),
                    **pictures(described),
                },
            )

    return released


def _editions(settings: Settings) -> dict[str, list[dg.AssetKey]]:
    """The assets of each subset's edition files."""
    found: dict[str, list[dg.AssetKey]] = {}
    for part in graph.slices(settings):
        found.setdefault(part.subset, []).append(part.key("editions"))
    return found
