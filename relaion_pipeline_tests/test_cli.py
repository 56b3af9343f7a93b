"""The command line: what it writes, refuses and explains."""

import json

import pytest

from relaion_pipeline import settings
from relaion_pipeline.cli import main
from relaion_pipeline_tests.end_to_end import shared


@pytest.mark.parametrize("command", sorted(main.commands))
def test_every_command_explains_itself_with_an_example(command):
    outcome = shared.run(command, "--help")
    assert outcome.exit_code == 0
    assert "Example" in outcome.output
    assert f"relaion {command}" in outcome.output


def test_help_and_version():
    for arguments in (["--help"], ["-h"], ["--version"]):
        assert shared.run(*arguments).exit_code == 0


def test_init_writes_settings_that_load(tmp_path):
    outcome = shared.run("init", tmp_path / "data")
    assert outcome.exit_code == 0, outcome.output
    settings.load(tmp_path / "data")
    assert (tmp_path / "data" / "keywords.txt").is_file()
    assert (tmp_path / "data" / "private").stat().st_mode & 0o777 == 0o700


def test_init_overwrites_nothing(tmp_path):
    (tmp_path / "relaion.toml").write_text("mine")
    (tmp_path / "keywords.txt").write_text("mine")
    outcome = shared.run("init", tmp_path)
    assert outcome.exit_code == 1
    assert "is there already" in outcome.output
    (tmp_path / "relaion.toml").unlink()
    assert shared.run("init", tmp_path).exit_code == 0
    assert (tmp_path / "keywords.txt").read_text() == "mine"


def test_sample_goes_into_a_new_folder_only(tmp_path):
    assert shared.run("sample", tmp_path / "data", "--rows", 1_000).exit_code == 0
    before = shared.tree_digest(tmp_path)
    outcome = shared.run("sample", tmp_path / "data", "--rows", 1_000)
    assert outcome.exit_code == 1
    assert "not empty" in outcome.output
    assert shared.tree_digest(tmp_path) == before


def test_sample_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        assert shared.run("sample", tmp_path / name / "data", "--rows", 2_000, "--seed", 5).exit_code == 0
    assert shared.tree_digest(tmp_path / "a") == shared.tree_digest(tmp_path / "b")


def test_forms_shows_a_line_for_each_link(tmp_path):
    path = tmp_path / "links"
    path.write_bytes(b"HTTP://Example.COM/a/../b\nnot a link\n\xff\n")
    outcome = shared.run("forms", path)
    assert outcome.exit_code == 0, outcome.output
    shown = [json.loads(line) for line in outcome.output.splitlines()]
    assert len(shown) == 3
    assert shown[0]["canonical"] == "http://example.com/b"


def test_verify_without_a_release_says_so(tmp_path):
    shared.run("sample", tmp_path / "data", "--rows", 1_000)
    for arguments in ([], ["2026-01-01.001"]):
        outcome = shared.run("verify", *arguments, "--data", tmp_path / "data")
        assert outcome.exit_code == 1
        assert "release" in outcome.output
        assert "Traceback" not in outcome.output
