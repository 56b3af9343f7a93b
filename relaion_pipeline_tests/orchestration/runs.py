"""Runs of jobs on a data root's own instance, and what can be asked of them."""

import os
import shutil
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.data_version import CachingStaleStatusResolver
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.loader import LoadingContextForTest

from relaion_pipeline import definitions, launch, sample
from relaion_pipeline.layout import DataRoot

ROWS = 3_000
SLICES = 2
IMPLICIT_JOB = "__ASSET_JOB"


@dataclass(frozen=True)
class Ran:
    """What is left of a run."""

    run_id: str
    success: bool
    done: frozenset[str]  # keys of steps that succeeded
    failed: frozenset[str]
    messages: tuple[str, ...]  # everything that the run told, failures' descriptions included

    def told(self, text: str) -> bool:
        return any(text in message for message in self.messages)


def make_sample(folder: Path) -> DataRoot:
    """A small data root with several slices a subset."""
    sample.generate(folder, rows=ROWS, seed=11)
    settings = folder / "relaion.toml"
    settings.write_text(settings.read_text().replace("slices = 1", f"slices = {SLICES}"))
    assert all(subset["slices"] == SLICES for subset in tomllib.loads(settings.read_text())["subsets"].values())
    return DataRoot.at(folder)


def copy(root: DataRoot, to: Path) -> DataRoot:
    shutil.copytree(root.path, to, symlinks=True)
    return DataRoot.at(to)


def release_job(root: DataRoot) -> Any:
    """As `relaion release` runs it."""
    return dg.build_reconstructable_job(
        launch.__name__, launch.reconstruct_release_job.__name__, reconstructable_args=(str(root.path),)
    )


def materialize_all(root: DataRoot) -> Any:
    """What the UI's button launches: the job that Dagster makes of all assets."""
    os.environ[definitions.DATA_VARIABLE] = str(root.path)
    return ReconstructableRepository.for_module(definitions.__name__, "defs").get_reconstructable_job(IMPLICIT_JOB)


@contextmanager
def instance(root: DataRoot) -> Iterator[dg.DagsterInstance]:
    """The instance that `relaion release` and the UI use."""
    with dg.DagsterInstance.from_config(str(launch.prepare_home(root))) as opened:
        yield opened


def execute(
    root: DataRoot,
    job: Callable[[DataRoot], Any] = release_job,
    *,
    config: dict[str, Any] | None = None,
    assets: list[dg.AssetKey] | None = None,
    again: str | None = None,
) -> Ran:
    """Run a job, or some assets of it, or what is missing of the run `again`."""
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    with instance(root) as opened:
        options = dg.ReexecutionOptions.from_failure(again, opened) if again else None
        with dg.execute_job(
            job(root),
            instance=opened,
            run_config=quiet | (config or {}),
            asset_selection=assets,
            reexecution_options=options,
        ) as result:
            return ran(opened, result.run_id)


def ran(opened: dg.DagsterInstance, run_id: str) -> Ran:
    events = opened.all_logs(run_id)
    run = opened.get_run_by_id(run_id)
    assert run is not None
    done = {e.step_key for e in events if e.is_dagster_event and e.get_dagster_event().is_step_success}
    failed = {e.step_key for e in events if e.is_dagster_event and e.get_dagster_event().is_step_failure}
    return Ran(run_id, run.is_success, frozenset(done), frozenset(failed), tuple(_messages(events)))


def _messages(events: Any) -> Iterator[str]:
    for event in events:
        yield event.user_message or event.message
        if event.is_dagster_event and event.get_dagster_event().is_step_failure:
            data = event.get_dagster_event().step_failure_data
            yield (data.user_failure_data and data.user_failure_data.description) or ""


def digests(release: Path) -> dict[str, str]:
    """What `SHA256SUMS` says of a release's data files."""
    lines = (release / "SHA256SUMS").read_text().splitlines()
    pairs = (line.split("  ", 1) for line in lines)
    return {name: digest for digest, name in pairs if name.endswith(".parquet")}


def data_versions(root: DataRoot) -> dict[dg.AssetKey, str]:
    """The data version of every asset that was ever materialised."""
    with instance(root) as opened:
        return {key: _materialization(opened, key).tags["dagster/data_version"] for key in opened.all_asset_keys()}


def metadata(root: DataRoot) -> dict[dg.AssetKey, dict[str, Any]]:
    """The newest metadata of every asset."""
    with instance(root) as opened:
        return {
            key: {name: value.value for name, value in _materialization(opened, key).metadata.items()}
            for key in opened.all_asset_keys()
        }


def _materialization(opened: dg.DagsterInstance, key: dg.AssetKey) -> dg.AssetMaterialization:
    event = opened.get_latest_materialization_event(key)
    assert event is not None
    found = event.asset_materialization
    assert found is not None
    return found


def out_of_date(root: DataRoot) -> dict[str, set[str]]:
    """What the UI shows as out of date, with what it blames for it."""
    graph = definitions.build_defs(root).resolve_asset_graph()
    with instance(root) as opened:
        resolver = CachingStaleStatusResolver(opened, graph, LoadingContextForTest(opened))
        return {
            key.to_user_string(): {cause.dependency.asset_key.to_user_string() for cause in causes if cause.dependency}
            for key in graph.materializable_asset_keys
            if (causes := resolver.get_stale_causes(key))
        }
