"""Croissant metadata: its own validator accepts them, and they name every file by the digest it has."""

import hashlib
import importlib
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from relaion_pipeline.layout import EDITIONS
from relaion_pipeline.release import croissant
from relaion_pipeline.release.manifest import Column, Manifest


@pytest.fixture(scope="module")
def mlcroissant() -> Any:
    """The library. Its logging would take pytest's stream for its own, and close it when Dagster sets up logging."""
    absl = importlib.import_module("absl.logging")
    absl.get_absl_handler().python_handler.setStream(sys.__stderr__)
    return importlib.import_module("mlcroissant")


def test_the_validator_has_nothing_to_say(mlcroissant: Any, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        issues = mlcroissant.Dataset(jsonld=folder / "croissant.json").metadata.ctx.issues
    assert not issues.errors
    assert not issues.warnings
    assert not caplog.records


@pytest.mark.slow
@pytest.mark.parametrize("held", [EDITIONS, *((edition,) for edition in EDITIONS)], ids="+".join)
def test_the_command_itself_passes(described: Manifest, folder: Path, tmp_path: Path, held: tuple[str, ...]) -> None:
    """`mlcroissant validate` of a release, and of what goes where one edition goes alone."""
    path = tmp_path / "croissant.json"
    path.write_text(croissant.render(described, held), encoding="utf-8")
    if held == EDITIONS:
        path = folder / "croissant.json"
    command = Path(sys.executable).with_name("mlcroissant")
    done = subprocess.run([command, "validate", "--jsonld", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Done." in done.stderr + done.stdout
    broken = tmp_path / "broken.json"
    broken.write_text(path.read_text(encoding="utf-8").replace("sc:Dataset", "sc:Thing"), encoding="utf-8")
    done = subprocess.run([command, "validate", "--jsonld", broken], capture_output=True, text=True, check=False)
    assert done.returncode != 0


def test_a_column_that_no_file_has_is_not_swallowed(
    mlcroissant: Any, folder: Path, described: Manifest, tmp_path: Path
) -> None:
    """The validator and reader are really at work."""
    content = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    content["recordSet"][0]["field"][0]["source"]["fileSet"]["@id"] = "no-such-files"
    broken = tmp_path / "croissant.json"
    broken.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(mlcroissant.ValidationError):
        mlcroissant.Dataset(jsonld=broken)


def test_every_file_is_named_by_its_digest_and_size(folder: Path) -> None:
    content = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    files = {each["@id"]: each for each in content["distribution"] if each["@type"] == "cr:FileObject"}
    expected = [f"{path.relative_to(folder)}" for edition in EDITIONS for path in (folder / edition).rglob("*.parquet")]
    assert sorted(files) == sorted([*expected, "manifest.json"])
    for name, each in files.items():
        content = (folder / name).read_bytes()
        assert each["sha256"] == hashlib.sha256(content).hexdigest()
        assert each["contentSize"] == f"{len(content)} B"


def test_records_are_the_rows(mlcroissant: Any, folder: Path, described: Manifest) -> None:
    dataset = mlcroissant.Dataset(jsonld=folder / "croissant.json")
    records = list(dataset.records("research.2B-multi"))
    assert len(records) == described.subsets["2B-multi"].kept["research"]
    assert list(records[0]) == [f"research.2B-multi/{each.name}" for each in described.columns["2B-multi"]]


def test_the_date_is_the_releases(folder: Path) -> None:
    content = json.loads((folder / "croissant.json").read_text(encoding="utf-8"))
    assert content["datePublished"] == "2026-01-02"
    assert content["version"] == "2026.1.2+001"


@pytest.mark.parametrize(
    ("kind", "word"),
    [
        ("string", "sc:Text"),
        ("large_string", "sc:Text"),
        ("uint8", "sc:Integer"),
        ("int64", "sc:Integer"),
        ("float", "sc:Float"),
        ("bool", "sc:Boolean"),
        ("date32[day]", "sc:Date"),
        ("timestamp[us, tz=UTC]", "sc:DateTime"),
        ("list<element: string>", None),
        ("ultraint8", None),
    ],
)
def test_types_have_croissants_names(described: Manifest, kind: str, word: str | None) -> None:
    subset = next(iter(described.columns))
    columns = described.columns | {subset: [Column(name="odd name/é", type=kind)]}
    content = json.loads(croissant.render(described.model_copy(update={"columns": columns})))
    fields = next(each for each in content["recordSet"] if each["name"] == f"research.{subset}")["field"]
    assert [field["dataType"] for field in fields] == ([] if word is None else [word])
