"""Publishing to Hugging Face, by its own client, against a stand-in on loopback."""

import json
import re
import subprocess

import pytest
from huggingface_hub import DatasetCard, constants

from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.publish import hub_stand_in
from relaion_pipeline_tests.publish.conftest import of_edition

NAMES = {"research": "owner/set-research", "research-safe": "owner/set-research-safe"}


@pytest.fixture
def hub(monkeypatch):
    with hub_stand_in.serving() as found:
        monkeypatch.setenv("HF_ENDPOINT", found.url)
        monkeypatch.setenv("HF_TOKEN", hub_stand_in.TOKEN)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield found


@pytest.fixture
def repositories(destined, hub):
    return destined("hf://datasets/owner/set-{edition}", name="hub")


def downloaded(files, folder):
    """As the Hub's client leaves it: with the repository's attributes and a folder of its own."""
    beside = {
        ".gitattributes": b"*.parquet filter=lfs diff=lfs merge=lfs -text\n",
        ".cache/huggingface/.gitignore": b"*",
        ".cache/huggingface/CACHEDIR.TAG": b"Signature: 8a477f597d28d172789f06886806bc55\n",
        **{f".cache/huggingface/download/{name}.metadata": b"0\n0\n0.0\n" for name in files},
        **{f".cache/huggingface/download/{name}.lock": b"" for name in files},
    }
    for name, data in (files | beside).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def test_each_edition_gets_a_gated_repository_and_one_commit(root, repositories, publish, hub):
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    for edition, name in NAMES.items():
        repository = hub.repositories[name]
        assert hub.files(name) == of_edition(root, edition)
        assert repository.gated == "manual"
        assert [commit for commit in repository.commits if commit[0] == "main"] == [
            ("main", len(of_edition(root, edition)))
        ]
        assert set(repository.branches) == {"main"}
        assert set(repository.tags) == {shared.VERSION}
    assert hub.ungated_uploads == 0
    assert len(hub.uploads) == len(set(hub.uploads)), "a file went twice"
    assert hub_stand_in.TOKEN not in outcome.output + root.publication("hub").read_text()
    before = {name: list(repository.commits) for name, repository in hub.repositories.items()}
    again = publish()
    assert again.exit_code == 0, again.output
    assert again.output.count("sent 0 files") == 2
    assert {name: repository.commits for name, repository in hub.repositories.items()} == before


def test_broken_off_half_way_main_is_empty_and_the_next_run_sends_the_rest(root, repositories, publish, hub):
    hub.refuse_after = 4
    outcome = publish()
    assert outcome.exit_code == 1
    assert "go on from here" in re.sub(r"\s+", " ", outcome.output)
    assert all(hub.files(name) == {} for name in hub.repositories)
    assert len(hub.uploads) == 4
    hub.refuse_after = None
    assert publish().exit_code == 0
    large = {data for e in NAMES for path, data in of_edition(root, e).items() if path.endswith(".parquet")}
    assert len(hub.uploads) == len(large), "what had arrived was sent again"
    assert all(hub.files(name) == of_edition(root, edition) for edition, name in NAMES.items())


def test_a_repository_that_will_not_be_gated_gets_no_file(repositories, publish, hub):
    hub.gates = False
    outcome = publish()
    assert outcome.exit_code == 1
    assert "not gated" in re.sub(r"\s+", " ", outcome.output)
    assert hub.uploads == []


def test_what_an_older_release_left_goes(root, repositories, publish, hub):
    hub.repositories[NAMES["research"]] = old = hub_stand_in.Repository()
    old.branches["main"]["research/2B-en/old.parquet"] = b"old"
    assert publish().exit_code == 0
    assert hub.files(NAMES["research"]) == of_edition(root, "research")


def test_without_a_token_nothing_is_asked(repositories, publish, hub, monkeypatch):
    monkeypatch.delenv("HF_TOKEN")
    outcome = publish()
    assert outcome.exit_code == 1
    assert "HF_TOKEN" in outcome.output
    assert hub.repositories == {}


def test_a_dry_run_asks_nothing(repositories, publish, hub):
    outcome = publish("--dry-run")
    assert outcome.exit_code == 0, outcome.output
    assert hub.repositories == {}
    assert outcome.output.count("would send") == 2


@pytest.mark.parametrize("edition", NAMES)
def test_what_is_downloaded_is_whole_by_itself(root, repositories, publish, hub, tmp_path, edition):
    """For someone with one edition and the publisher's key: checksums, signature, card, Croissant metadata."""
    assert publish().exit_code == 0
    folder = downloaded(hub.files(NAMES[edition]), tmp_path / "download")
    (tmp_path / "publisher.pub").write_text(shared.run("key", "--data", root.path).stdout)
    verify = ["verify", folder, "--edition", edition, "--key", tmp_path / "publisher.pub"]
    outcome = shared.run(*verify)
    assert outcome.exit_code == 0, outcome.output
    assert subprocess.run(["sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    other = next(each for each in NAMES if each != edition)
    card = DatasetCard((folder / "README.md").read_text())
    names = [each["config_name"] for each in card.data.to_dict()["configs"]]
    assert names == [edition] + [f"{edition}.{subset}" for subset in shared.manifest(root.path)["subsets"]]
    assert [each["config_name"] for each in card.data.to_dict()["dataset_info"]] == names
    assert f'"{other}"' not in card.text
    assert f"`{other}." not in card.text
    croissant = json.loads((folder / "croissant.json").read_text())
    named = {each["@id"] for each in croissant["distribution"] if each["@type"] == "cr:FileObject"}
    assert named == {name for name in hub.files(NAMES[edition]) if name.startswith(f"{edition}/")} | {"manifest.json"}
    assert [each["name"] for each in croissant["recordSet"]] == names[1:]
    for name in (
        "research-more.parquet",
        ".cache/more",
        ".cache/huggingface/download/more.parquet",
        "a/.gitattributes",
    ):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"x")
        outcome = shared.run(*verify)
        assert outcome.exit_code == 1, name
        (folder / name).unlink()
    assert shared.run("verify", folder).exit_code == 1, "the other edition is missing"
    min((folder / edition).rglob("*.parquet")).unlink()
    assert shared.run(*verify).exit_code == 1


def test_an_older_key_still_signs_what_it_signed(root, repositories, publish, hub, tmp_path):
    (tmp_path / "publisher.pub").write_text(shared.run("key", "--data", root.path).stdout)
    assert shared.run("key", "--new", "--data", root.path).exit_code == 0
    assert publish().exit_code == 0
    folder = downloaded(hub.files(NAMES["research"]), tmp_path / "download")
    outcome = shared.run("verify", folder, "--edition", "research", "--key", tmp_path / "publisher.pub")
    assert outcome.exit_code == 0, outcome.output


def test_without_the_key_that_signed_nothing_goes(root, repositories, publish, hub):
    root.signing_key.unlink()
    assert shared.run("key", "--new", "--data", root.path).exit_code == 0
    outcome = publish()
    assert outcome.exit_code == 1
    assert hub.uploads == []
