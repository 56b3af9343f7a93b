"""Publishing to Hugging Face, by its own client, against a stand-in on loopback."""

import re

import pytest
from huggingface_hub import constants

from relaion_pipeline.release.manifest import goes_with
from relaion_pipeline_tests.end_to_end import shared
from relaion_pipeline_tests.publish import hub_stand_in
from relaion_pipeline_tests.publish.conftest import tree

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


def expected(root, edition):
    return {name: data for name, data in tree(root.current.resolve()).items() if goes_with(name, (edition,))}


def test_each_edition_gets_a_gated_repository_and_one_commit(root, repositories, publish, hub):
    outcome = publish()
    assert outcome.exit_code == 0, outcome.output
    for edition, name in NAMES.items():
        repository = hub.repositories[name]
        assert hub.files(name) == expected(root, edition)
        assert repository.gated == "manual"
        assert [commit for commit in repository.commits if commit[0] == "main"] == [
            ("main", len(expected(root, edition)))
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
    large = {data for e in NAMES for path, data in expected(root, e).items() if path.endswith(".parquet")}
    assert len(hub.uploads) == len(large), "what had arrived was sent again"
    assert all(hub.files(name) == expected(root, edition) for edition, name in NAMES.items())


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
    assert hub.files(NAMES["research"]) == expected(root, "research")


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
