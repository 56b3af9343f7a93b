"""Which column of a shard plays which part: the presets, and how one is found.

What belongs here: column names of datasets in the wild, and the check that a shard has the columns it is to be
screened by, in types that can be. What does not: reading rows (`reading`), or what the parts are used for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from relaion_pipeline.settings import Columns
from relaion_pipeline.shards.errors import ShardError

AUTO = "auto"

# A text column of a rendered JSONL shard that holds JSON, not plain text: see `jsonl`.
JSON_MARK = {b"relaion": b"json"}

# Joined scores and computed hashes carry these names whatever the dataset, so every preset picks them up.
# LAION's `hash` and COYO's `image_phash` are not among them: neither is a digest of the image's bytes.
_COMMON_PARTS: dict[str, str] = {
    "punsafe": "punsafe",
    "nsfw": "NSFW",
    "md5": "md5",
    "sha1": "sha1",
    "sha256": "sha256",
}
_PARTS = ("link", "text", *_COMMON_PARTS)
_HOW_TO_NAME = (
    'name the columns in relaion.toml: `columns = {{ link = "...", text = "..." }}` '
    "(also punsafe, nsfw, md5, sha1, sha256), or a preset: {presets}"
)
_SHOWN_COLUMNS = 60
_SHOWN_LETTERS = 64


@dataclass(frozen=True)
class Preset:
    """Column names of one dataset. `required` tells it from others, and must be there when it is named."""

    title: str
    link: str
    text: str | None
    required: frozenset[str]
    score: str | None = None
    """Stands in for a missing `punsafe`: the score of another model."""


def _preset(title: str, link: str, text: str | None, *also: str, score: str | None = None) -> Preset:
    required = {link, *also} | ({text} if text else set()) | ({score} if score else set())
    return Preset(title, link, text, frozenset(required), score)


PRESETS: dict[str, Preset] = {
    "laion400m": _preset("LAION-400M", "URL", "TEXT", "SAMPLE_ID", "NSFW"),
    "laion5b": _preset("LAION-5B", "URL", "TEXT"),
    "laion5b-joined": _preset("LAION-5B with safety scores joined", "URL", "TEXT", "punsafe"),
    "relaion": _preset("Re-LAION-5B", "url", "caption", "punsafe"),
    "img2dataset": _preset("img2dataset output", "url", "caption", "key", "status"),
    "coyo": _preset("COYO-700M", "url", "text", "image_phash", score="nsfw_score_opennsfw2"),
    "datacomp": _preset("DataComp", "url", "text", "uid", "sha256"),
    "cc3m": _preset("Conceptual Captions 3M", "url", "caption"),
    "cc12m": _preset("Conceptual Captions 12M", "url", "caption"),
}


def resolve(setting: str | Columns, schema: pa.Schema, *, name: str = "shard", scored: bool = False) -> Columns:
    """The columns of a shard with `schema` that play the parts.

    Args:
        setting: `Subset.columns`: "auto", a preset's name, or a table of column names.
        schema: the schema of the shard's Parquet rendering.
        name: the shard, as error messages name it.
        scored: a sidecar's scores were joined, so that a table need not name `punsafe`.

    Raises:
        ShardError: a column is missing, ambiguous, twice there or of a type that cannot be screened.
    """
    _refuse_twins(schema, name)
    if isinstance(setting, Columns):
        columns = setting
        if scored and setting.punsafe is None:
            columns = setting.model_copy(update={"punsafe": _COMMON_PARTS["punsafe"]})
        _refuse_missing(columns, schema, name)
    elif setting == AUTO:
        columns = _found(schema, name)
    elif setting in PRESETS:
        columns = _named(setting, schema, name)
    else:
        raise ShardError(f"{name}: no column preset is called '{setting}'; {_how_to_name()}")
    _refuse_types(columns, schema, name)
    return columns


def parts(columns: Columns) -> dict[str, str]:
    """Part to column name, for the parts that the shard has."""
    return {part: column for part in _PARTS if (column := getattr(columns, part)) is not None}


def shown(names: Sequence[str]) -> str:
    """Column names for an error message, cut to a bearable length."""
    short = [n if len(n) <= _SHOWN_LETTERS else n[:_SHOWN_LETTERS] + "..." for n in names[:_SHOWN_COLUMNS]]
    more = f" and {len(names) - _SHOWN_COLUMNS} more" if len(names) > _SHOWN_COLUMNS else ""
    return (", ".join(short) or "none") + more


def _how_to_name() -> str:
    return _HOW_TO_NAME.format(presets=", ".join(PRESETS))


class _Names:
    """The column names of a schema, looked up exactly, then without regard to case."""

    def __init__(self, schema: pa.Schema) -> None:
        self.exact = set(schema.names)
        self.folded: dict[str, list[str]] = {}
        for column in schema.names:
            self.folded.setdefault(column.casefold(), []).append(column)

    def find(self, wanted: str) -> str | None:
        if wanted in self.exact:
            return wanted
        candidates = self.folded.get(wanted.casefold(), [])
        return candidates[0] if len(candidates) == 1 else None

    def unclear(self, wanted: str) -> bool:
        return wanted not in self.exact and len(self.folded.get(wanted.casefold(), [])) > 1


def _found(schema: pa.Schema, name: str) -> Columns:
    names = _Names(schema)
    fitting = {key: p for key, p in PRESETS.items() if all(names.find(column) for column in p.required)}
    # The one that asks for more is the better description: every Re-LAION shard also looks like CC3M.
    best = {
        key: preset
        for key, preset in fitting.items()
        if not any(_folded(other) > _folded(preset) for other in fitting.values())
    }
    answers = {key: _columns(preset, names, name) for key, preset in best.items()}
    distinct = {answer.model_dump_json() for answer in answers.values()}
    if len(distinct) == 1:
        return next(iter(answers.values()))
    problem = f"the columns fit more than one preset ({', '.join(answers)})" if answers else "no preset fits"
    raise ShardError(f"{name}: {problem}; columns found: {shown(schema.names)}; {_how_to_name()}")


def _named(key: str, schema: pa.Schema, name: str) -> Columns:
    names = _Names(schema)
    preset = PRESETS[key]
    missing = sorted(column for column in preset.required if names.find(column) is None)
    if missing:
        raise ShardError(
            f"{name}: preset '{key}' wants {', '.join(missing)}; columns found: {shown(schema.names)}; {_how_to_name()}"
        )
    return _columns(preset, names, name)


def _columns(preset: Preset, names: _Names, name: str) -> Columns:
    wanted = {"link": preset.link, "text": preset.text, **_COMMON_PARTS}
    for column in wanted.values():
        if column is not None and names.unclear(column):
            raise ShardError(
                f"{name}: {' and '.join(names.folded[column.casefold()])} differ only in case, "
                f"so which one is `{column}` is unclear; {_how_to_name()}"
            )
    answer = {part: names.find(column) for part, column in wanted.items() if column is not None}
    if answer["punsafe"] is None and preset.score is not None:
        answer["punsafe"] = names.find(preset.score)
    return Columns.model_validate(answer)


def _folded(preset: Preset) -> frozenset[str]:
    return frozenset(column.casefold() for column in preset.required)


def _refuse_twins(schema: pa.Schema, name: str) -> None:
    twins = sorted({column for column in schema.names if schema.names.count(column) > 1})
    if twins:
        raise ShardError(f"{name}: more than one column is called {shown(twins)}; rename all but one in the source")


def _refuse_missing(columns: Columns, schema: pa.Schema, name: str) -> None:
    for part, column in parts(columns).items():
        if column not in schema.names:
            raise ShardError(
                f"{name}: no column '{column}', which relaion.toml names as `{part}`; "
                f"columns found: {shown(schema.names)}"
            )
    named = list(parts(columns).values())
    if len(set(named)) < len(named):
        raise ShardError(f"{name}: relaion.toml gives one column two parts; each part needs its own")


def _refuse_types(columns: Columns, schema: pa.Schema, name: str) -> None:
    for part, column in parts(columns).items():
        field = schema.field(column)
        if not _workable(part, field.type) or _holds_json(field):
            kind = "JSON" if _holds_json(field) else str(field.type)
            wanted = "numbers, or numbers written as text" if part == "punsafe" else "text"
            raise ShardError(
                f"{name}: column '{column}' holds {kind}, but `{part}` wants {wanted}; "
                "map another column in relaion.toml or convert this one in the source"
            )


def _holds_json(field: pa.Field) -> bool:
    return bool(field.metadata) and JSON_MARK.items() <= field.metadata.items()


def is_text(kind: Any) -> bool:
    """Whether Arrow type `kind` holds text, as such, as bytes or behind a dictionary."""
    types = pa.types
    if types.is_dictionary(kind):
        kind = kind.value_type
    text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
    return bool(text or types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind))


def _workable(part: str, kind: Any) -> bool:
    types = pa.types
    # A column that is null throughout has this type; a part other than the link may be unknown in every row.
    if part != "link" and types.is_null(kind):
        return True
    if part == "punsafe":
        value = kind.value_type if types.is_dictionary(kind) else kind
        numeric = types.is_integer(value) or types.is_floating(value) or types.is_decimal(value)
        return numeric or is_text(kind)
    return is_text(kind)
