"""The asset graph, left to right: inputs, slices, release. Built from the settings: a slice is an asset."""

import dagster as dg

from relaion_pipeline.assets import graph, inputs, ledger, publication, release, slices
from relaion_pipeline.settings import Settings


def build(settings: Settings) -> list[dg.AssetsDefinition]:
    """All assets of a dataset."""
    parts = list(graph.slices(settings))
    return [
        inputs.settings_file,
        inputs.keywords_file,
        *(inputs.feed(settings, name) for name in settings.feeds),
        inputs.compiled_blocklist(settings),
        *(inputs.shards(part) for part in parts),
        *(slices.screened(settings, part) for part in parts),
        ledger.settled(settings),
        *(slices.written(settings, part) for part in parts),
        *(slices.verified(settings, part) for part in parts),
        release.edition_set(settings),
        release.release(settings),
        *([publication.published_release(settings)] if settings.publish else []),
    ]
