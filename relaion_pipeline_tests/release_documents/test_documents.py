"""All documents: in the checksums, the same bytes anywhere, silent about listed rows, and shown in the Dagster UI."""

import base64
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pyarrow.parquet as pq
import pytest

from relaion_pipeline import sample
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import documents, manifest
from relaion_pipeline.release.manifest import Manifest
from relaion_pipeline_tests.conftest import copy_of
from relaion_pipeline_tests.end_to_end import shared

NAMES = ("README.md", "croissant.json", "report.html", "lineage/openlineage.jsonl", "lineage/provenance.intoto.json")
CANARY = b"zqx7canary"


def test_checksums_name_them(folder: Path) -> None:
    listed = {line.partition("  ")[2] for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()}
    assert set(NAMES) <= listed
    done = subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=False)
    assert done.returncode == 0


def test_they_are_made_from_the_manifest_alone(folder: Path, described: Manifest, tmp_path: Path) -> None:
    documents.write(described, tmp_path)
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize(("zone", "seed"), [("Pacific/Kiritimati", "1"), ("America/Adak", "12345")])
def test_they_are_the_same_bytes_anywhere(folder: Path, tmp_path: Path, zone: str, seed: str) -> None:
    code = (
        "import sys; from pathlib import Path; from relaion_pipeline.release import documents, manifest;"
        "documents.write(manifest.read(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    subprocess.run(
        [sys.executable, "-c", code, folder, tmp_path],
        env=os.environ | {"TZ": zone, "PYTHONHASHSEED": seed, "LC_ALL": "C", "SOURCE_DATE_EPOCH": seed},
        check=True,
    )
    for name in NAMES:
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


def test_they_hold_nothing_of_a_listed_row(marked: sample.SampleSummary, folder: Path) -> None:
    texts = b"".join((folder / name).read_bytes() for name in (*NAMES, manifest.MANIFEST)).lower()
    assert CANARY not in texts
    for entry in shared.entries(marked.data_root):
        assert len(entry) < 8 or entry.lower().encode() not in texts
    rows = {(each["subset"], each["shard"], each["row"]) for each in pq.read_table(marked.truth).to_pylist()}
    seen = 0
    for subset, stem, table in shared.sources(marked.data_root):
        for row in [row for s, t, row in rows if (s, t) == (subset, stem)]:
            seen += 1
            for column in ("URL", "TEXT", "md5", "hash"):
                value = str(table[column][row].as_py())
                assert len(value) < 8 or value.lower().encode() not in texts
    assert seen == len(rows) > 0


def test_they_name_no_place_on_this_machine(folder: Path, root: DataRoot) -> None:
    for name in NAMES:
        text = (folder / name).read_text(encoding="utf-8")
        assert str(root.path) not in text
        assert str(Path.home()) not in text


def test_the_release_asset_shows_plots_and_paths(root: DataRoot, tmp_path: Path) -> None:
    copy = copy_of(root.path, tmp_path / "data")
    with dg.DagsterInstance.from_config(str(copy.dagster_home)) as instance:
        event = instance.get_latest_materialization_event(dg.AssetKey("release"))
    metadata = event.asset_materialization.metadata
    release = root.release(shared.VERSION)
    assert Path(metadata["report"].value) == release / "report.html"
    assert Path(metadata["manifest"].value) == release / "manifest.json"
    assert Path(metadata["Data Docs"].value).is_file()
    for name in ("scores", "reasons", "hosts"):
        image = metadata[f"plot: {name}"].value.partition("base64,")[2].removesuffix(")")
        assert base64.b64decode(image, validate=True).startswith(b"\x89PNG")
