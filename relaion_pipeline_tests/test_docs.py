"""Documentation that cannot rot: every command, settings key, reason and check is in it, and examples are real."""

import re
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from pydantic import BaseModel

from relaion_pipeline import settings, template
from relaion_pipeline.cli import main
from relaion_pipeline.screening.verdicts import Reason
from relaion_pipeline.verification.gate import ALL_CHECKS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
HOW_IT_WORKS = (ROOT / "docs" / "how-it-works.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(main.commands))
def test_every_command_is_in_the_readme_and_has_help_with_an_example(name: str) -> None:
    assert f"`relaion {name}" in README
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"Examples?:\n.*relaion {name}", shown.output), shown.output
    for parameter in main.commands[name].params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.name}"


def test_commands_of_the_readme_exist() -> None:
    for name in re.findall(r"relaion ([a-z]+)", " ".join(re.findall(r"`[^`]+`|```.*?```", README, re.DOTALL))):
        assert name in main.commands, name


@pytest.mark.parametrize(
    "model",
    [
        value
        for value in vars(settings).values()
        if isinstance(value, type) and issubclass(value, BaseModel) and value.__module__.startswith("relaion_pipeline")
    ],
)
def test_every_settings_key_is_in_the_file_that_init_writes(model: type[BaseModel]) -> None:
    if model.__name__ in {"_Model", "Settings"}:
        return
    text = template.settings_text()
    for key, field in model.model_fields.items():
        assert field.description, f"{model.__name__}.{key}"
        assert re.search(rf"^(# )?{key} = ", text, re.MULTILINE), f"{model.__name__}.{key}"
        assert field.description.split("\n")[0] in text


def test_the_file_that_init_writes_is_accepted(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["init", str(tmp_path / "new")])
    assert result.exit_code == 0, result.output
    loaded = settings.load(tmp_path / "new")
    assert loaded.dataset.name == "my-dataset"
    again = CliRunner().invoke(main, ["init", str(tmp_path / "new")])
    assert again.exit_code == 1
    assert "is there already" in again.output


def test_defaults_shown_in_that_file_are_the_defaults() -> None:
    """Uncommenting a key that is shown with its default changes nothing."""
    text = template.settings_text()
    plain = tomllib.loads(text)
    for section in ("nsfw", "output", "limits"):
        body = text.partition(f"\n[{section}]\n")[2].partition("\n\n")[0]
        uncommented = tomllib.loads("\n".join(line.removeprefix("# ") for line in body.splitlines()))
        before = settings.Settings.model_validate(plain)
        after = settings.Settings.model_validate(plain | {section: uncommented})
        assert before == after


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_is_explained(reason: Reason) -> None:
    assert f"`{reason}`" in HOW_IT_WORKS


@pytest.mark.parametrize("check", ALL_CHECKS, ids=lambda check: check.name)
def test_every_check_is_explained(check: object) -> None:
    name = check.name.removeprefix("no_listed_row_in")  # type: ignore[attr-defined]
    assert name in HOW_IT_WORKS


def test_links_between_pages_lead_somewhere() -> None:
    for page in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"
