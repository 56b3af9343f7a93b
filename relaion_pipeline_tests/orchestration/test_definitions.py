"""What Dagster loads: quickly, without a warning, and as it was reviewed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

import relaion_pipeline
from relaion_pipeline import definitions, settings
from relaion_pipeline.layout import DataRoot

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
SNAPSHOT = HERE / "definitions.txt"
DG = Path(sys.executable).with_name("dg")

LOAD = """
import sys, time
from relaion_pipeline import definitions
defs = definitions.defs()
defs.resolve_all_job_defs(); defs.resolve_asset_graph()
heavy = [name for name in ("great_expectations", "dagster_webserver", "dagster_graphql") if name in sys.modules]
print(time.process_time(), *heavy)
"""

SUPERSEDED = (
    "AutoMaterializePolicy",
    "SourceAsset",
    "LegacyFreshnessPolicy",
    "compute_kind",
    "non_argument_deps",
    "build_last_update_freshness_checks",
    "build_time_partition_freshness_checks",
    "load_assets_from_",
    "@repository",
    "dagster_ge",
)


def small(folder: Path) -> DataRoot:
    folder.mkdir(exist_ok=True)
    shutil.copy(HERE / "settings_for_snapshot.toml", folder / settings.SETTINGS_FILE)
    return DataRoot.at(folder)


def load(root: Path) -> tuple[float, list[str]]:
    """CPU seconds that loading takes in a process of its own, where any warning is an error; and heavy imports."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LOAD],
        env=os.environ | {definitions.DATA_VARIABLE: str(root)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    seconds, *heavy = done.stdout.split()
    return float(seconds), heavy


def test_definitions_load_quickly_without_warnings(sampled: DataRoot) -> None:
    """In CPU seconds, with two more tries: others may use the machine."""
    for _ in range(3):
        seconds, heavy = load(sampled.path)
        assert heavy == []
        if seconds < 3:
            return
    pytest.fail(f"loading took {seconds:.1f} s of CPU time")


def test_definitions_of_many_slices_load_quickly(tmp_path: Path) -> None:
    root = small(tmp_path)
    text = (root.path / settings.SETTINGS_FILE).read_text()
    (root.path / settings.SETTINGS_FILE).write_text(text.replace("slices = 2", "slices = 64"))
    seconds, _ = load(root.path)
    assert seconds < 5


def test_no_data_root_gives_one_asset_that_says_what_to_do(tmp_path: Path) -> None:
    (spec,) = definitions.build_defs(DataRoot.at(tmp_path)).resolve_all_asset_specs()
    assert "relaion sample" in (spec.description or "")
    load(tmp_path)


@pytest.fixture(scope="module")
def dg_checks(tmp_path_factory: pytest.TempPathFactory, sampled: DataRoot) -> Iterator[dict[str, tuple[int, str]]]:
    """Exit status and output of `dg check defs` in several places, all at once: each takes seconds to start."""
    tmp = tmp_path_factory.mktemp("dg")
    clone = tmp / "clone"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", CHECKOUT, clone], check=True, timeout=60)
    wrong = small(tmp / "wrong").path / settings.SETTINGS_FILE
    wrong.write_text(wrong.read_text().replace("slices = 2", 'slices = "many"').replace("kind =", "knid ="))
    places = {
        "data root": (CHECKOUT, sampled.path),
        "clone": (clone, None),
        "wrong settings": (CHECKOUT, wrong.parent),
    }
    started = {}
    for name, (folder, data) in places.items():
        home = tmp / f"home of {name}"
        home.mkdir()
        environment = {key: value for key, value in os.environ.items() if key != definitions.DATA_VARIABLE}
        environment |= {
            "PYTHONPATH": str(folder),
            "VIRTUAL_ENV": sys.prefix,
            "PATH": f"{DG.parent}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(home),  # where `dg` keeps its own settings
            "DAGSTER_HOME": str(home),
        }
        (home / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
        environment |= {definitions.DATA_VARIABLE: str(data)} if data else {}
        started[name] = subprocess.Popen(
            [DG, "check", "defs"],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
    try:
        yield {name: (each.communicate(timeout=90)[0], each.returncode)[::-1] for name, each in started.items()}
    finally:
        for each in started.values():
            each.kill()
            each.wait()


@pytest.mark.parametrize("place", ["data root", "clone"])
def test_dg_check_defs_passes(dg_checks: dict[str, tuple[int, str]], place: str) -> None:
    status, output = dg_checks[place]
    assert status == 0, output
    assert "All definitions loaded successfully" in output


def test_dg_check_defs_names_every_wrong_setting(dg_checks: dict[str, tuple[int, str]]) -> None:
    status, output = dg_checks["wrong settings"]
    assert status != 0
    for place in ("subsets.en.slices", "feeds.hrw.knid", "feeds.hrw.kind", "feeds.iwf-images.knid"):
        assert place in output


def describe(defs: dg.Definitions) -> str:
    """Everything that others may hold on to: names, groups, kinds, dependencies, checks, jobs, sensors."""
    graph = defs.resolve_asset_graph()
    lines = []
    for key in sorted(graph.get_all_asset_keys()):
        node = graph.get(key)
        deps = ", ".join(sorted(each.to_user_string() for each in node.parent_keys))
        kinds = ", ".join(sorted(node.kinds or ()))
        lines.append(f"asset {key.to_user_string()} [{node.group_name}; {kinds}] <- {deps}")
        if node.freshness_policy is not None:
            lines.append(f"freshness {key.to_user_string()}: {node.freshness_policy.fail_window.to_timedelta()}")
    for key in sorted(graph.asset_check_keys, key=str):
        spec = graph.get_check_spec(key)
        lines.append(f"check {key.asset_key.to_user_string()}: {key.name}{' (blocking)' if spec.blocking else ''}")
    for job in sorted(defs.resolve_all_job_defs(), key=lambda job: job.name):
        layer = job.asset_layer
        lines.append(f"job {job.name}: {len(layer.executable_asset_keys)} assets")
    lines += sorted(f"sensor {sensor.name}: {sensor.default_status.value.lower()}" for sensor in defs.sensors or ())
    lines += sorted(f"schedule {schedule.name}: {schedule.cron_schedule}" for schedule in defs.schedules or ())
    return "\n".join(lines) + "\n"


def test_names_and_dependencies_are_as_reviewed(tmp_path: Path) -> None:
    """A rename loses the history of an asset and breaks schedules. Meant? Then delete the file and run again."""
    found = describe(definitions.build_defs(small(tmp_path)))
    if not SNAPSHOT.exists():
        SNAPSHOT.write_text(found)
        pytest.fail(f"{SNAPSHOT.name} was written anew; look at what changed in it")
    assert found == SNAPSHOT.read_text()


def test_every_asset_says_what_it_is(tmp_path: Path) -> None:
    specs = list(definitions.build_defs(small(tmp_path)).resolve_all_asset_specs())
    assert len(specs) == 2 + 2 + 1 + 3 * 4 + 3
    for spec in specs:
        assert spec.description, spec.key
        assert spec.description.endswith(".") or "`" in spec.description, spec.key
        assert list(spec.owners) == ["team:release-engineering"], spec.key
        assert spec.kinds, spec.key
        assert spec.code_version, spec.key
        assert spec.group_name != "default", spec.key
        assert spec.partitions_def is None, spec.key


def test_feeds_keywords_and_settings_are_direct_dependencies_of_what_they_influence(tmp_path: Path) -> None:
    """Staleness looks one hop up: what is left out here looks up to date in the UI when a list changed."""
    graph = definitions.build_defs(small(tmp_path)).resolve_asset_graph()
    stages = {"screened", "editions", "verified"}
    influenced = [
        key for key in graph.get_all_asset_keys() if key.path[-1].split("-")[0] in stages | {"edition_set", "release"}
    ]
    inputs = {dg.AssetKey(["settings"]), dg.AssetKey(["keywords"])}
    inputs |= {dg.AssetKey(["feeds", "hrw"]), dg.AssetKey(["feeds", "iwf-images"])}
    assert len(influenced) == 3 * 3 + 2
    for key in influenced:
        assert inputs <= graph.get(key).parent_keys, key


def test_every_check_of_the_gate_blocks_the_release(tmp_path: Path) -> None:
    graph = definitions.build_defs(small(tmp_path)).resolve_asset_graph()
    gate = [graph.get_check_spec(key) for key in graph.asset_check_keys if key.asset_key.path == ["edition_set"]]
    assert gate
    assert all(spec.blocking and spec.description for spec in gate)


def test_tests_can_swap_resources(tmp_path: Path) -> None:
    other = object()
    assert definitions.build_defs(small(tmp_path), {"workspace": other}).resources == {"workspace": other}


def test_nothing_that_dagster_superseded_is_used() -> None:
    package = Path(relaion_pipeline.__file__).parent
    for path in package.rglob("*.py"):
        text = path.read_text()
        assert not [name for name in SUPERSEDED if re.search(rf"(?<![A-Za-z_]){re.escape(name)}", text)], path


def test_both_ways_to_load_the_project_name_the_same_module() -> None:
    """`dagster` reads `workspace.yaml` and `[tool.dagster]`, `dg` reads `[tool.dg]`."""
    text = (CHECKOUT / "pyproject.toml").read_text() + (CHECKOUT / "workspace.yaml").read_text()
    named = re.findall(r"(?:module_name = |code_location_target_module = |python_module: )\"?([\w.]+)", text)
    assert named == [definitions.__name__] * 3, json.dumps(named)
