"""What tests of several packages share: a data root that was released once, and copies of it to tamper with."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from relaion_pipeline import sample
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.end_to_end import shared

ROWS = 20_000


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name tests over bytes by their argument: compressed bytes hold the time, and workers must agree on names."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A release sets variables for Dagster; none outlives its test."""
    for name in ("DAGSTER_HOME", "RELAION_DATA"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def released(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sample.SampleSummary]:
    """A sample and its release. Read it, never change it: `copied` gives copies."""
    before = dict(os.environ)
    made = sample.generate(tmp_path_factory.mktemp("released") / "data", rows=ROWS, seed=1)
    shared.edit_settings(made.data_root, "\n[nsfw]", "\n[limits]\nthreads = 2\n\n[nsfw]")
    outcome = shared.release(made.data_root, version=shared.VERSION)
    assert outcome.exit_code == 0, outcome.output
    yield made
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def copied(released: sample.SampleSummary, tmp_path: Path) -> Callable[[], DataRoot]:
    """Make a copy of the released data root: hard links within it stay, none leads out of it."""
    return lambda: copy_of(released.data_root, tmp_path / "copy")


def copy_of(data_root: Path, target: Path) -> DataRoot:
    subprocess.run(["cp", "-a", data_root, target], check=True)
    return DataRoot.at(target)
