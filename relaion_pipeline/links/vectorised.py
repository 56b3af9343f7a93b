"""The same answers inside DuckDB for plain links, and in batches for the rest.

The caller splits rows by `is_plain(column)`. For plain links the SQL expressions here (`plain_parts`, then
`form_columns` over it) return what the Python functions return; the other rows go through `expand`, `match_keys` and
`hosts`, once per distinct link.
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
    FILE_EXTENSIONS,
    FORMS,
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
_WWW: Final = {"no_www": "", "www": "www."}


def is_plain(column: str) -> str:
    """Whether a link is its own canonical spelling, so that the expressions below hold for it. Never NULL."""
    excluded = " AND ".join(f"NOT contains({column}, '{part}')" for part in NEVER_PLAIN)
    return (
        f"coalesce(strlen({column}) <= {MAX_PLAIN_LENGTH}"
        f" AND regexp_full_match({column}, '{PLAIN_PATTERN}') AND {excluded}, false)"
    )


def match_key_sql(column: str) -> str:
    """`match_key` of a plain link. Where forms are wanted too, `link_key` of `plain_parts` has it already."""
    bare = f"({_bare(column)})"
    return (
        f"CASE WHEN contains({bare}, '?') THEN regexp_replace({bare}, '^([^?]*)/\\?', '\\1?')"
        f" WHEN ends_with({bare}, '/') THEN left({bare}, -1) ELSE {bare} END"
    )


def host_sql(column: str) -> str:
    """`host_of` a plain link."""
    return f"split_part({column}, '/', 3)"


def _bare(column: str) -> str:
    """A plain link without scheme and `www.`."""
    return (
        f"CASE WHEN starts_with({column}, 'https://www.') THEN substr({column}, 13)"
        f" WHEN starts_with({column}, 'http://www.') THEN substr({column}, 12)"
        f" WHEN starts_with({column}, 'https://') THEN substr({column}, 9)"
        f" ELSE substr({column}, 8) END"
    )


def plain_parts(source: str, column: str, carry: Collection[str] = ()) -> str:
    """A SELECT over plain links that gives the few texts which their forms are made of, and the columns in `carry`.

    `link_text` the link; `link_key` its match key; `link_slash` that with a slash, NULL for a file;
    `link_lower`, `link_lower_slash` the same lower-cased, NULL where that changes nothing; `link_encoded`,
    `link_encoded_slash` with `&amp;`, NULL without `&`. In layers, so that DuckDB works each out once a row: as one
    nested expression the forms take many times as long.
    """
    carried = "".join(f"{name}, " for name in carry)
    extensions = ", ".join(f"'{extension}'" for extension in FILE_EXTENSIONS)
    return f"""
        SELECT {carried}link_text, link_key, link_slash,
            CASE WHEN link_folded <> link_key THEN link_folded END AS link_lower,
            CASE WHEN link_folded <> link_key THEN lower(link_slash) END AS link_lower_slash,
            CASE WHEN link_amp THEN replace(link_key, '&', '&amp;') END AS link_encoded,
            CASE WHEN link_amp THEN replace(link_slash, '&', '&amp;') END AS link_encoded_slash
        FROM (
            SELECT {carried}link_text, link_path || link_query AS link_key,
                CASE WHEN NOT link_file THEN link_path || '/' || link_query END AS link_slash,
                lower(link_path || link_query) AS link_folded, contains(link_query, '&') AS link_amp
            FROM (
                SELECT {carried}link_text, link_query,
                    CASE WHEN ends_with(link_path, '/') THEN left(link_path, -1) ELSE link_path END AS link_path,
                    lower(split_part(right(link_path, 5), '.', -1)) IN ({extensions}) AS link_file
                FROM (
                    SELECT {carried}link_text,
                        CASE WHEN link_mark = 0 THEN link_bare ELSE left(link_bare, link_mark - 1) END AS link_path,
                        CASE WHEN link_mark = 0 THEN '' ELSE substr(link_bare, link_mark) END AS link_query
                    FROM (
                        SELECT *, strpos(link_bare, '?') AS link_mark
                        FROM (SELECT {carried}{column} AS link_text, {_bare(column)} AS link_bare FROM {source})
                    )
                )
            )
        )"""


def form_columns(names: Collection[str] | None = None) -> dict[str, str]:
    """Name to scalar expression over the columns of `plain_parts`; NULL where a link has no such form.

    What is the same text for every plain link stands once, under the first of its names. With `names` None, two
    expressions are never the same text of one link either (save that the exact link is one of the combinations, and
    so stands only there); a choice of names may give one text twice.
    """
    wanted = _NECESSARY if names is None else names
    if unknown := set(wanted).difference(FORMS):
        message = f"no such form: {', '.join(sorted(unknown))}"
        raise ValueError(message)
    first: dict[str, str] = {}
    for name in FORMS:
        if name in wanted:
            first.setdefault(_form_sql(name, alone=names is not None), name)
    return {name: expression for expression, name in first.items()}


def digests_sql(function: str = "md5_number", names: Collection[str] | None = None) -> str:
    """The digests of the forms as one list over `plain_parts`, to be unnested; NULL where there is no such form."""
    return f"[{', '.join(f'{function}({expression})' for expression in form_columns(names).values())}]"


_NECESSARY: Final = tuple(
    name
    for name in FORMS
    if COMBINATIONS.get(name, ("",))[0] in ("canonical", "entity_encoded") or name in THREATEXCHANGE_FORMS[1:]
)
"""For a plain link these are all the texts there are."""


def _form_sql(name: str, *, alone: bool) -> str:
    """`alone`: ThreatExchange's forms also where they are the same text as one of the combinations."""
    if name in BASES:
        encoded = "CASE WHEN contains(link_text, '&') THEN replace(link_text, '&', '&amp;') END"
        return encoded if name == "entity_encoded" else "link_text"
    if name in COMBINATIONS:
        base, scheme, www, slash = COMBINATIONS[name]
        part = "link_encoded" if base == "entity_encoded" else "link_key"
        return _joined(_PREFIX[scheme] + _WWW[www], _slashed(part, slash))
    if name in THREATEXCHANGE_FORMS:
        _, *ends = name.split("+")
        if not ends:
            return f"lower({_after_scheme()})"
        text = f"lower({_slashed('link_key', ends[1])})" if alone else _slashed("link_lower", ends[1])
        return _joined(_WWW[ends[0]], text)
    return _single(name)


def _slashed(part: str, slash: str) -> str:
    if slash == "no_slash":
        return part
    return "link_slash" if part == "link_key" else f"{part}_slash"


def _joined(prefix: str, text: str) -> str:
    return f"'{prefix}' || {text}" if prefix else text


def _after_scheme() -> str:
    return "substr(link_text, CASE WHEN starts_with(link_text, 'https:') THEN 9 ELSE 8 END)"


def _single(name: str) -> str:
    """The single changes, which leave the rest of the link as it is."""
    if name in _PREFIX:
        return _joined(_PREFIX[name], _after_scheme())
    if name in _WWW:
        return f"split_part(link_text, '/', 1) || '//{_WWW[name]}' || ({_bare('link_text')})"
    labels = "CASE WHEN contains(link_text, '//www.') THEN '//www.' ELSE '//' END"
    return f"split_part(link_text, '/', 1) || {labels} || {_slashed('link_key', name)}"


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
