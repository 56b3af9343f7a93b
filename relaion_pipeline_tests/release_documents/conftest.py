"""One release whose listed rows are marked and whose settings hold what pages and tables could trip over."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from relaion_pipeline import sample
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import manifest
from relaion_pipeline.release.manifest import Manifest
from relaion_pipeline_tests.end_to_end import shared

TITLE = 'A <b>"bold"</b> | sample & more'


@pytest.fixture(scope="session")
def marked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[sample.SampleSummary]:
    """Read it, never change it."""
    before = dict(os.environ)
    made = sample.generate(tmp_path_factory.mktemp("marked") / "data", rows=12_000, seed=9, marks=True)
    shared.edit_settings(made.data_root, "[dataset]\n", '[dataset]\ncontact = "report@relaion.example"\n')
    shared.edit_settings(made.data_root, 'title = "Generated sample in the shape of LAION-5B"', f"title = '{TITLE}'")
    shared.edit_settings(made.data_root, 'partner = "C3P"', 'partner = "C3P <i>|</i>"')
    shared.edit_settings(made.data_root, "\n[nsfw]", "\n[limits]\nthreads = 2\n\n[nsfw]")
    outcome = shared.release(made.data_root, version=shared.VERSION)
    assert outcome.exit_code == 0, outcome.output
    yield made
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def root(marked: sample.SampleSummary) -> DataRoot:
    return DataRoot.at(marked.data_root)


@pytest.fixture
def folder(marked: sample.SampleSummary) -> Path:
    """The release."""
    return shared.current(marked.data_root)


@pytest.fixture
def described(folder: Path) -> Manifest:
    return manifest.read(folder)
