"""The dataset card: Hugging Face's own libraries read it, and its numbers are the manifest's."""

import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from huggingface_hub import DatasetCard

from relaion_pipeline.layout import EDITIONS
from relaion_pipeline.release import card
from relaion_pipeline.release.manifest import Column, Manifest
from relaion_pipeline_tests.release_documents.conftest import TITLE


@pytest.fixture
def parsed(folder: Path) -> DatasetCard:
    return DatasetCard((folder / "README.md").read_text(encoding="utf-8"))


@pytest.fixture
def datasets(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The library, told that there is no network before it is imported."""
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    library = pytest.importorskip("datasets")
    library.disable_progress_bars()
    monkeypatch.setattr(library.config, "HF_HUB_OFFLINE", True)
    return library


def test_front_matter_says_what_the_hub_asks_for(parsed: DatasetCard, described: Manifest) -> None:
    data = parsed.data.to_dict()
    assert data["license"] == "apache-2.0"
    assert data["pretty_name"] == TITLE
    assert data["size_categories"] == ["10K<n<100K"]
    assert "disturbing" in data["extra_gated_prompt"]
    assert set(data["extra_gated_fields"].values()) <= {"text", "checkbox", "country", "date_picker"}
    assert list(data["extra_gated_fields"]) == list(described.gate.fields)
    assert [each["config_name"] for each in data["configs"] if each.get("default")] == ["research-safe"]


def test_sizes_are_those_of_the_manifest(parsed: DatasetCard, described: Manifest, folder: Path) -> None:
    infos = {each["config_name"]: each for each in parsed.data.to_dict()["dataset_info"]}
    names = list(EDITIONS) + [f"{edition}.{subset}" for edition in EDITIONS for subset in described.subsets]
    assert sorted(infos) == sorted(names)
    for edition in EDITIONS:
        assert infos[edition]["splits"][0]["num_examples"] == described.total.kept[edition]
        assert infos[edition]["download_size"] == sum(
            path.stat().st_size for path in (folder / edition).rglob("*.parquet")
        )
        for subset, counts in described.subsets.items():
            assert infos[f"{edition}.{subset}"]["splits"][0]["num_examples"] == counts.kept[edition]


def test_every_configuration_loads_offline(
    datasets, folder: Path, described: Manifest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name, (edition, subsets) in card.configs(described).items():
        loaded = datasets.load_dataset(str(folder), name, split="train", cache_dir=str(tmp_path / "cache"))
        assert len(loaded) == sum(described.subsets[subset].kept[edition] for subset in subsets)
    assert "gnoring" not in caplog.text  # what the library says where it drops part of a card


def test_what_is_loaded_is_what_the_files_hold(datasets, folder: Path, described: Manifest, tmp_path: Path) -> None:
    def loaded(name: str) -> list[str]:
        return datasets.load_dataset(str(folder), name, split="train", cache_dir=str(tmp_path / "cache"))["URL"][:]

    def held(pattern: str) -> list[str]:
        return [url for path in folder.glob(pattern) for url in pq.read_table(path, columns=["URL"])["URL"].to_pylist()]

    key = str
    assert sorted(loaded("research"), key=key) == sorted(held("research/*/*.parquet"), key=key)
    assert sorted(loaded("research-safe.2B-en"), key=key) == sorted(held("research-safe/2B-en/*.parquet"), key=key)


def test_the_default_configuration_is_the_safe_one(datasets, folder: Path, described: Manifest, tmp_path: Path) -> None:
    loaded = datasets.load_dataset(str(folder), split="train", cache_dir=str(tmp_path / "cache"))
    assert len(loaded) == described.total.kept["research-safe"]
    assert "LANGUAGE" in loaded.column_names  # of one subset only


def test_tables_hold_the_manifests_numbers(parsed: DatasetCard, described: Manifest) -> None:
    rows = {
        cells[1].strip(): [cell.strip().replace(",", "") for cell in cells[2:-1]]
        for line in parsed.text.splitlines()
        if line.startswith("|") and len(cells := re.split(r"(?<!\\)\|", line)) > 3
    }
    columns = [described.total, *described.subsets.values()]
    assert rows["in the source"] == [str(each.rows) for each in columns]
    assert rows["any list (union)"][2:] == [str(each.listed) for each in columns]
    for edition in EDITIONS:
        assert rows[f"kept in {edition}"] == [str(each.kept[edition]) for each in columns]
    listed = [cells for name, cells in rows.items() if name.startswith("C3P")]
    assert [cells[2:] for cells in listed] == [[str(each.listed_by_feed["c3p-images"]) for each in columns]]
    assert r"C3P \<i\>\|\</i\>: c3p-images" in parsed.text


def test_without_a_gate_nothing_is_asked(described: Manifest) -> None:
    open_to_all = described.model_copy(update={"gate": None})
    assert "extra_gated" not in card.render(open_to_all)


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (0, "n<1K"),
        (999, "n<1K"),
        (1_000, "1K<n<10K"),
        (999_999, "100K<n<1M"),
        (5_500_000_000, "1B<n<10B"),
        (10**12, "n>1T"),
    ],
)
def test_size_categories_are_the_hubs(rows: int, category: str) -> None:
    assert card.size_category(rows) == category


def test_columns_of_unknown_or_differing_type_are_left_to_the_library(described: Manifest) -> None:
    subset = next(iter(described.columns))
    for odd in ("list<element: string>", "int32"):
        columns = described.columns | {subset: [Column(name="URL", type="string"), Column(name="LANGUAGE", type=odd)]}
        text = card.render(described.model_copy(update={"columns": columns}))
        infos = {each["config_name"]: each for each in DatasetCard(text).data.to_dict()["dataset_info"]}
        assert "features" not in infos["research"]
        assert ("features" in infos[f"research.{subset}"]) == (odd == "int32")
