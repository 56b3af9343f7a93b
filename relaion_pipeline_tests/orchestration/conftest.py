"""One small sample and one release of it for all tests; whoever changes anything works on a copy."""

from collections.abc import Callable
from pathlib import Path

import pytest

from relaion_pipeline.feeds import compiling
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.orchestration import runs
from relaion_pipeline_tests.orchestration.runs import Ran

Copies = Callable[[DataRoot], DataRoot]


@pytest.fixture(scope="session")
def sampled(tmp_path_factory: pytest.TempPathFactory) -> DataRoot:
    """A sample, not yet released. Not to be changed."""
    root = runs.make_sample(tmp_path_factory.mktemp("sampled") / "root")
    compiling.salt_of(root)  # by which cover is drawn: copies of the sample are to have the same
    return root


@pytest.fixture(scope="session")
def first_run(sampled: DataRoot, tmp_path_factory: pytest.TempPathFactory) -> tuple[DataRoot, Ran]:
    """The sample, released by `release_job`. Not to be changed."""
    root = runs.copy(sampled, tmp_path_factory.mktemp("released") / "root")
    return root, runs.execute(root)


@pytest.fixture(scope="session")
def released(first_run: tuple[DataRoot, Ran]) -> DataRoot:
    root, ran = first_run
    assert ran.success, ran.messages
    return root


@pytest.fixture
def copy_of(tmp_path: Path) -> Copies:
    """Copies of a data root, to be changed at will."""

    def copied(root: DataRoot) -> DataRoot:
        return runs.copy(root, tmp_path / f"root-{len(list(tmp_path.iterdir()))}")

    return copied
