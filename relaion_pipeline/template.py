"""The files that `relaion init` writes: a commented relaion.toml, with every key there is."""

from collections.abc import Iterator
from enum import Enum

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from relaion_pipeline.feeds.declaration import Feed
from relaion_pipeline.publish.declaration import Destination
from relaion_pipeline.settings import (
    Automation,
    Columns,
    Dataset,
    Limits,
    Notify,
    Nsfw,
    Output,
    Removal,
    Retention,
    Subset,
    Waiver,
)

KEYWORDS = (
    "# One word or phrase a line; matched whole, whatever its case. Scripts without spaces match anywhere.\nnsfw\n"
)

_HEAD = """\
# What this dataset is, and how it is released. Paths are relative to this file's folder.
# Lines that are commented out show a key's default, or an example.
"""
_VALUES = {
    ("dataset", "name"): '"my-dataset"',
    ("subsets.main", "shards"): '"raw/main/*.parquet"',
    ("feeds.partner-images", "partner"): '"Partner"',
    ("feeds.partner-images", "version"): '"2026-01"',
    ("feeds.partner-images", "files"): '"feeds/partner/images*.txt"',
    ("feeds.partner-images", "kind"): '"image"',
    ("feeds.partner-images", "hash"): '"md5"',
}
_EXAMPLES = {
    "link": '"url"',
    "to": '"s3://bucket/folder"',
    "keep_last": "12",
    "kind": '"unanswerable-feed"',
    "feed": '"partner-images"',
    "reason": '"the subset has no image hashes"',
    "by": '"name of who decides"',
    "cron": '"0 3 * * 1"',
    "max_release_age_days": "31",
    "webhook_variable": '"RELAION_WEBHOOK"',
    "email_from": '"relaion@example.org"',
    "smtp_user": '"relaion"',
    "smtp_password_variable": '"RELAION_SMTP_PASSWORD"',
}


def settings_text() -> str:
    """A settings file with every key, its meaning and its default."""
    sections: list[tuple[str, type[BaseModel], bool]] = [
        ("dataset", Dataset, True),
        ("subsets.main", Subset, True),
        ("subsets.main.columns", Columns, False),
        ("feeds.partner-images", Feed, True),
        ("nsfw", Nsfw, True),
        ("output", Output, True),
        ("removals", Removal, True),
        ("retention", Retention, True),
        ("limits", Limits, True),
        ("automation", Automation, True),
        ("notify", Notify, True),
        ("[waivers]", Waiver, False),
        ("publish.mirror", Destination, False),
    ]
    blocks = ["\n".join(_section(name, model, used=used)) for name, model, used in sections]
    return _HEAD + "\n" + "\n\n".join(blocks) + "\n"


def _section(name: str, model: type[BaseModel], *, used: bool) -> Iterator[str]:
    if model.__doc__:
        yield f"# {model.__doc__.splitlines()[0]}"
    yield f"{'' if used else '# '}[{name}]"
    for key, field in model.model_fields.items():
        value = _VALUES.get((name, key))
        shown = value or _shown(field) or _EXAMPLES.get(key, '""')
        yield f"{'' if value and used else '# '}{key} = {shown}  # {field.description}"


def _shown(field: FieldInfo) -> str | None:
    """A key's default as TOML writes it."""
    return None if field.is_required() else _toml(field.get_default(call_default_factory=True))


def _toml(value: object) -> str | None:
    plain = value.value if isinstance(value, Enum) else value
    if isinstance(plain, bool):
        return str(plain).lower()
    if isinstance(plain, int | float):
        return f"{plain!r}"
    if isinstance(plain, list):
        return f"[{', '.join(_toml(each) or '' for each in plain)}]"
    if isinstance(plain, dict):
        pairs = ", ".join(f'"{key}" = {_toml(each)}' for key, each in plain.items())
        return f"{{ {pairs} }}"
    return f'"{plain}"' if isinstance(plain, str) else None
