"""What `relaion init` writes: valid as it stands, and with every key."""

import tomllib

from pydantic import BaseModel

from relaion_pipeline import settings, template


def test_it_is_valid_as_it_stands(tmp_path):
    (tmp_path / "relaion.toml").write_text(template.settings_text(), encoding="utf-8")
    loaded = settings.load(tmp_path)
    assert loaded.nsfw == settings.Nsfw()
    assert loaded.output == settings.Output()
    assert loaded.limits == settings.Limits()
    assert loaded.automation == settings.Automation()
    assert loaded.notify == settings.Notify()


def test_every_key_is_there_and_explained():
    lines = template.settings_text().splitlines()
    for model in (
        settings.Columns,
        settings.Dataset,
        settings.Nsfw,
        settings.Output,
        settings.Limits,
        settings.Automation,
        settings.Notify,
        settings.Waiver,
    ):
        assert issubclass(model, BaseModel)
        for key, field in model.model_fields.items():
            found = [line for line in lines if line.removeprefix("# ").startswith(f"{key} = ")]
            assert any(field.description and field.description in line for line in found), key


def test_every_commented_key_is_toml():
    """Taking a comment off gives a line that parses."""
    for line in template.settings_text().splitlines():
        bare = line.removeprefix("# ")
        if line.startswith("# ") and " = " in bare and bare.partition(" = ")[0].isidentifier():
            tomllib.loads(bare)
