"""Everything that Dagster loads.

What belongs here: putting definitions together. What does not: defining any.
"""

import os
import warnings
from collections.abc import Mapping
from typing import Any

import dagster as dg

from relaion_pipeline import asset_checks, assets, automation, jobs, settings
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.resources import Workspace

DATA_VARIABLE = "RELAION_DATA"
DEFAULT_DATA = "data"


def build_defs(root: DataRoot, overrides: Mapping[str, object] | None = None) -> dg.Definitions:
    """The definitions for one data root; `overrides` swaps resources.

    Without a settings file there is nothing to release: one asset then says what to do.

    Raises:
        SettingsError: the settings file is wrong.
    """
    resources: dict[str, object] = {"workspace": Workspace(data_root=str(root.path)), **(overrides or {})}
    if not (root.path / settings.SETTINGS_FILE).exists():
        return dg.Definitions(assets=[_no_dataset(root)])
    loaded = settings.load(root.path)
    return dg.Definitions(
        assets=automation.with_freshness(_with_code(assets.build(loaded)), loaded),
        asset_checks=[asset_checks.gate_checks, asset_checks.published_files],
        jobs=[jobs.release_job],
        schedules=automation.schedules(root, loaded),
        sensors=automation.sensors(root, loaded),
        resources=resources,
        # Every step of the multiprocess executor imports anew: seconds each. Slices use all cores by themselves.
        executor=dg.in_process_executor,
    )


def _with_code(built: list[dg.AssetsDefinition]) -> list[Any]:
    """The same assets, each of which names the lines that make it, for the UI to show."""
    with warnings.catch_warnings():
        # It warns of being in beta once for every asset; the suite runs on the version that the lock names.
        warnings.simplefilter("ignore", dg.BetaWarning)
        return list(dg.with_source_code_references(built))


def _no_dataset(root: DataRoot) -> dg.AssetSpec:
    return dg.AssetSpec(
        "no_dataset_yet",
        description=f"There is no {settings.SETTINGS_FILE} in {root.path}. Run `relaion sample DIR` for a sample, or "
        f"`relaion init DIR` for settings of your own; then start the UI with {DATA_VARIABLE}=DIR.",
    )


@dg.definitions
def defs() -> dg.Definitions:
    """The definitions for the data root named by the environment."""
    return build_defs(DataRoot.at(os.environ.get(DATA_VARIABLE, DEFAULT_DATA)))
