"""The same answers inside DuckDB for plain links, and in batches for the rest.

The caller splits rows by `is_plain(column)`. For plain links the SQL expressions here return what the Python functions
return; the other rows go through `expand`, `match_keys` and `hosts` once per distinct link.
"""

from collections.abc import Callable, Collection
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from relaion_pipeline.links.canonical import host_of, match_key
from relaion_pipeline.links.expressions import expressions
from relaion_pipeline.links.forms import (
    BASES,
    COMBINATIONS,
    FORMS,
    IMAGE_EXTENSION,
    THREATEXCHANGE_FORMS,
    forms,
)
from relaion_pipeline.links.plain import MAX_PLAIN_LENGTH, NEVER_PLAIN, PLAIN_PATTERN

SAFE_BROWSING: Final = "safe_browsing"
"""Pseudo-form for `expand`: all Safe Browsing expressions of a link. Only where a feed declares it."""

EXPANDED: Final = pa.schema(
    [
        pa.field("position", pa.int64(), nullable=False),
        pa.field("form", pa.string(), nullable=False),
        pa.field("string", pa.string(), nullable=False),
    ]
)

_PREFIX: Final = {"no_scheme": "", "http": "http://", "https": "https://"}


def is_plain(column: str) -> str:
    """Whether a link is its own canonical spelling, so that the expressions below hold for it. Never NULL."""
    excluded = " AND ".join(f"NOT contains({column}, '{part}')" for part in NEVER_PLAIN)
    return (
        f"coalesce(strlen({column}) <= {MAX_PLAIN_LENGTH}"
        f" AND regexp_full_match({column}, '{PLAIN_PATTERN}') AND {excluded}, false)"
    )


def _bare(column: str) -> str:
    """A plain link without scheme and `www.`."""
    return (
        f"CASE WHEN starts_with({column}, 'https://www.') THEN substr({column}, 13)"
        f" WHEN starts_with({column}, 'http://www.') THEN substr({column}, 12)"
        f" WHEN starts_with({column}, 'https://') THEN substr({column}, 9)"
        f" ELSE substr({column}, 8) END"
    )


def _without_slash(text: str) -> str:
    """Without a slash at the end of the path; a plain link's first `?` ends its path."""
    return (
        f"CASE WHEN contains({text}, '?') THEN regexp_replace({text}, '^([^?]*)/\\?', '\\1?')"
        f" WHEN ends_with({text}, '/') THEN left({text}, -1) ELSE {text} END"
    )


def _with_slash(text: str) -> str:
    """`text`, whose path has no slash at its end, with one."""
    return f"CASE WHEN contains({text}, '?') THEN regexp_replace({text}, '\\?', '/?') ELSE {text} || '/' END"


def _names_file(column: str) -> str:
    """Whether no slash is added to the path."""
    return f"regexp_matches({column}, '^[^?]*{IMAGE_EXTENSION}(?:\\?|$)')"


def match_key_sql(column: str) -> str:
    """`match_key` of a plain link."""
    return _without_slash(f"({_bare(column)})")


def host_sql(column: str) -> str:
    """`host_of` a plain link."""
    return f"split_part({column}, '/', 3)"


def _grid(endings: Collection[str], schemes: Collection[str] = tuple(_PREFIX)) -> list[str]:
    """Every scheme, with and without `www.`, before each of `endings`."""
    return [
        f"'{_PREFIX[scheme]}{www}' || {ending}" for scheme in schemes for www in ("", "www.") for ending in endings
    ]


def forms_sql(column: str, names: Collection[str] | None = None) -> str:
    """The strings of `forms` of a plain link as VARCHAR[]: the same set; with `names`, one may stand twice.

    Built on two slices and concatenations only, one branch per kind of link, so that a row costs no list function.
    """
    if names is not None:
        return f"list_filter([{', '.join(form_columns(column, names).values())}], lambda x: x IS NOT NULL)"
    key = f"({match_key_sql(column)})"
    encoded = f"replace({key}, '&', '&amp;')"
    lower = f"lower({key})"

    def listed(texts: list[str]) -> str:
        return f"[{', '.join(texts)}]"

    def branch(bare: str, *, slash: bool, folded: str | None) -> str:
        texts = _grid([bare, _with_slash(bare)] if slash else [bare])
        if folded is not None:
            texts += _grid([folded, _with_slash(folded)] if slash else [folded], ("no_scheme",))
        return listed(texts)

    def by_case(*, slash: bool) -> str:
        return (
            f"CASE WHEN {lower} = {key} THEN {branch(key, slash=slash, folded=None)}"
            f" ELSE {branch(key, slash=slash, folded=lower)} END"
        )

    def by_ampersand(*, slash: bool) -> str:
        plain = by_case(slash=slash)
        more = branch(encoded, slash=slash, folded=None)
        return f"CASE WHEN contains({column}, '&') THEN list_concat({plain}, {more}) ELSE {plain} END"

    return f"CASE WHEN {_names_file(column)} THEN {by_ampersand(slash=False)} ELSE {by_ampersand(slash=True)} END"


def form_columns(column: str, names: Collection[str] | None = None) -> dict[str, str]:
    """Name to scalar expression for each form of a plain link; NULL where the link has no such form.

    Forms that are the same text for every plain link stand once, under the first of their names.
    """
    wanted = FORMS if names is None else names
    if unknown := set(wanted).difference(FORMS):
        message = f"no such form: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    first: dict[str, str] = {}
    for name in FORMS:
        if name in wanted:
            first.setdefault(_form_sql(column, name), name)
    return {name: expression for expression, name in first.items()}


def _form_sql(column: str, name: str) -> str:
    if name in BASES:
        return _encoded(column, column) if name == "entity_encoded" else column
    if name in COMBINATIONS:
        base, scheme, www, slash = COMBINATIONS[name]
        text = _combined(column, scheme, www, slash)
        return _encoded(column, text) if base == "entity_encoded" else text
    if name in THREATEXCHANGE_FORMS:
        _, *ends = name.split("+")
        return f"lower({_combined(column, 'no_scheme', *ends) if ends else _after_scheme(column)})"
    return _single(column, name)


def _encoded(column: str, text: str) -> str:
    return f"CASE WHEN contains({column}, '&') THEN replace({text}, '&', '&amp;') END"


def _after_scheme(column: str) -> str:
    return f"substr({column}, CASE WHEN starts_with({column}, 'https:') THEN 9 ELSE 8 END)"


def _combined(column: str, scheme: str, www: str, slash: str) -> str:
    key = f"({match_key_sql(column)})"
    prefix = _PREFIX[scheme] + ("www." if www == "www" else "")
    text = f"'{prefix}' || {key}" if prefix else key
    return _unless_file(column, _with_slash(f"({text})")) if slash == "slash" else text


def _unless_file(column: str, text: str) -> str:
    return f"CASE WHEN NOT {_names_file(column)} THEN {text} END"


def _single(column: str, name: str) -> str:
    if name in _PREFIX:
        return f"'{_PREFIX[name]}' || {_after_scheme(column)}"
    if name == "no_slash":
        return _without_slash(column)
    if name == "slash":
        return _unless_file(column, _with_slash(f"({_without_slash(column)})"))
    start = f"left({column}, CASE WHEN starts_with({column}, 'https:') THEN 8 ELSE 7 END)"
    return f"{start} || '{'www.' if name == 'www' else ''}' || ({_bare(column)})"


def expand(links: pa.Array, names: Collection[str] | None = None) -> pa.Table:
    """The forms of any links, worked out once per distinct link: position in `links`, form's name, string.

    A null link has no rows. `SAFE_BROWSING` among `names` adds its expressions.
    """
    wanted = None if names is None else [name for name in names if name != SAFE_BROWSING]
    browsing = names is not None and SAFE_BROWSING in names

    def spellings(link: str) -> list[tuple[str, str]]:
        found = [] if wanted == [] else list(forms(link, wanted).items())
        return found + [(SAFE_BROWSING, each) for each in expressions(link)] if browsing else found

    distinct, index = _distinct(links)
    spelled = [spellings(link) for link in distinct]
    lengths = pa.array([len(each) for each in spelled], pa.int64())
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths.to_numpy())]), pa.int32())
    pairs = pa.StructArray.from_arrays(
        [
            pa.array([name for each in spelled for name, _ in each], pa.string()),
            pa.array([text for each in spelled for _, text in each], pa.string()),
        ],
        names=["form", "string"],
    )
    positions = pa.array(np.flatnonzero(index.is_valid().to_numpy(zero_copy_only=False)), pa.int64())
    lists = pa.ListArray.from_arrays(offsets, pairs).take(index.drop_null())
    flat = lists.flatten()
    return pa.Table.from_arrays(
        [positions.take(pc.list_parent_indices(lists)), flat.field("form"), flat.field("string")], schema=EXPANDED
    )


def match_keys(links: pa.Array) -> pa.Array:
    """`match_key` of any links, null for null."""
    return _mapped(links, match_key)


def hosts(links: pa.Array) -> pa.Array:
    """`host_of` any links, null where there is none."""
    return _mapped(links, host_of)


def _mapped(links: pa.Array, function: Callable[[str], str | None]) -> pa.Array:
    distinct, index = _distinct(links)
    return pa.array([function(link) for link in distinct], pa.string()).take(index)


def _distinct(links: pa.Array) -> tuple[list[str], Any]:
    """The distinct links, and for each row which of them it is (null for a null link)."""
    if isinstance(links, pa.ChunkedArray):
        links = links.combine_chunks()
    encoded = links.dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices
