"""The forms, match keys and hosts of tidy links in SQL, over the columns of `tidy.tidy_texts`.

Most forms are a base under a scheme, with or without `www.` and slash. Several bases of a link are the same text, so
each distinct one is first made bare (no scheme, no `www.`, no default port), and then combined.
"""

from collections.abc import Callable
from typing import Final

from relaion_pipeline.links.forms import (
    BASES,
    COMBINATIONS,
    FILE_EXTENSIONS,
    SINGLE,
    SURE,
    THREATEXCHANGE,
    THREATEXCHANGE_FORMS,
)
from relaion_pipeline.links.tidy import rest_sql, unescaped_sql, unquoted_sql

_PREFIXES: Final = {"no_scheme": "", "http": "http://", "https": "https://"}
_EXTENSIONS: Final = ", ".join(f"'{extension}'" for extension in FILE_EXTENSIONS)

_PORT_OF_OTHER: Final = "^(?i:http://[^/]*:443/|https://[^/]*:80/)"

# What becomes of a bare text.
_COMBINED: Final = 0
_COMBINED_WITH_CARE: Final = 1  # its path may hide a slash behind an escape: then the end of it stays as it is
_UNDER_NO_SCHEME: Final = 2  # with and without `www.` and slash
_ALONE: Final = 3  # it is the form

_FULL: Final = {
    "exact": "link_text",
    "canonical": "link_scheme || link_authority || link_canonical",
    "whatwg": "link_scheme || link_authority || link_whatwg",
    "entity_decoded": unquoted_sql("link_text"),
    "entity_encoded": "link_scheme || link_authority || link_encoded",
    "percent_decoded": unescaped_sql("link_text"),
    "decoded": "link_scheme || link_authority || link_decoded",
    "percent_lower": "link_scheme || link_authority || link_lower_escapes",
    "unicode_host": "link_scheme || link_authority || link_canonical",
    "unicode": "link_scheme || link_authority || link_readable",
}
"""Each base, in full."""

_BARE: Final = {
    "canonical": "link_host || link_canonical",
    "entity_encoded": "link_host || link_encoded",
    "percent_lower": "link_host || link_lower_escapes",
    "unicode_host": "link_host || link_canonical",
    "unicode": "link_host || link_readable",
    "whatwg": "link_host || link_whatwg",
    "decoded": "link_host || link_decoded",
    "exact": "link_named || link_rest",
    "entity_decoded": f"link_named || {unquoted_sql('link_rest')}",
    "percent_decoded": f"link_named || {unescaped_sql('link_rest')}",
    THREATEXCHANGE: "lower(link_host || link_canonical)",
}
"""Each base without scheme, `www.` and default port; those of the link as it is written keep the case of its host."""

_THREATEXCHANGE: Final = "lower(substr(link_text, length(link_scheme) + 1))"


def match_keys_sql(relation: str) -> str:
    """SELECT `file`, `row` and `spelled`, the match key."""
    return f"""
        SELECT file, row, link_host || {_without_last_slash("link_path")}
            || substr(link_canonical, length(link_path) + 1) AS spelled
        FROM (SELECT *, split_part(link_canonical, '?', 1) AS link_path FROM ({_texts(relation)}))"""


def host_sql(column: str) -> str:
    """`host_of` a tidy link."""
    return f"lower(split_part(split_part({column}, '/', 3), ':', 1))"


def keys_sql(relation: str, key_sql: Callable[[str], str]) -> str:
    """SELECT `file`, `row` and `key`, of every form; NULL where there is none. Hardly any text comes twice."""
    # The default port of the other scheme is no part of combinations; it is one of bases and single changes.
    ported = f"(SELECT * FROM {relation} WHERE regexp_matches(link_text, '{_PORT_OF_OTHER}'))"
    spellings = [
        f"'{prefix}{www}' || link_{audience}{end}" if prefix or www else f"link_{audience}{end}"
        for end in ("_end", "_slash")
        for prefix, www, audience in (
            ("", "", "any"),
            ("", "www.", "named"),
            ("http://", "", "web"),
            ("https://", "", "web"),
            ("http://", "www.", "named_web"),
            ("https://", "www.", "named_web"),
        )
    ]
    audiences = {
        "any": "true",
        "named": f"link_use <> {_ALONE} AND NOT link_addressed",
        "web": f"link_use <= {_COMBINED_WITH_CARE}",
        "named_web": f"link_use <= {_COMBINED_WITH_CARE} AND NOT link_addressed",
    }
    columns = ", ".join(
        f"CASE WHEN {meant} THEN link{end} END AS link_{audience}{end}"
        for audience, meant in audiences.items()
        for end in ("_end", "_slash")
    )
    return f"""
        SELECT file, row, unnest([{", ".join(map(key_sql, spellings))}]) AS key
        FROM (
            SELECT file, row, {columns}
            FROM (SELECT *, {_end("no_slash")} AS link_end, {_end("slash")} AS link_slash
                FROM ({_bare_texts(relation)}))
        )
        UNION ALL {chosen_keys_sql(ported, [*_FULL, *SINGLE], key_sql)}"""


def chosen_keys_sql(relation: str, names: list[str], key_sql: Callable[[str], str]) -> str:
    """SELECT `file`, `row` and `key`, of the forms `names`; NULL where there is none."""
    keys = ", ".join(key_sql(_form_sql(name)) for name in dict.fromkeys(names))
    return f"SELECT file, row, unnest([{keys}]) AS key FROM ({_texts(relation)})"


def _texts(relation: str) -> str:
    """A SELECT of what `_FULL` and `_BARE` are put together from, of rows `(file, row, ...)` of `tidy_texts`."""
    return f"""
        SELECT *,
            CASE WHEN contains(link_canonical, '&') THEN replace(link_canonical, '&', '&amp;') END AS link_encoded,
            CASE WHEN link_beyond_ascii THEN {_lower_escapes("link_canonical")}
                ELSE link_canonical END AS link_lower_escapes,
            CASE WHEN link_beyond_ascii THEN replace(link_decoded, ' ', '%20') ELSE link_canonical END AS link_readable
        FROM (
            SELECT file, row, link_text, link_written_authority, link_rest, link_canonical,
                coalesce(link_whatwg, link_canonical) AS link_whatwg,
                coalesce(link_decoded, link_canonical) AS link_decoded,
                strlen(link_decoded) <> length(link_decoded) AS link_beyond_ascii,
                lower(split_part(link_text, '/', 1)) || '//' AS link_scheme,
                CASE WHEN link_portless <> link_written_authority AND regexp_matches(link_text, '{_PORT_OF_OTHER}')
                    THEN lower(link_written_authority) ELSE lower(link_portless) END AS link_authority,
                {_without_www("link_portless")} AS link_named, lower(link_named) AS link_host,
                NOT regexp_matches(link_portless, '[A-Za-z]') AS link_addressed
            FROM (
                SELECT *, coalesce(link_changed, link_rest) AS link_canonical,
                    CASE WHEN contains(link_written_authority, ':')
                        THEN regexp_replace(link_written_authority, ':(?:80|443)$', '')
                        ELSE link_written_authority END AS link_portless
                FROM (
                    SELECT file, row, link_text, link_canonical AS link_changed, link_whatwg, link_decoded,
                        split_part(link_text, '/', 3) AS link_written_authority, {rest_sql("link_text")} AS link_rest
                    FROM {relation}
                )
            )
        )"""


def _bare_texts(relation: str) -> str:
    """A SELECT of `file`, `row`, `link_addressed`, each distinct bare text, its path, and its use."""
    combined = {f"link_bare_{place}": _BARE[base] for place, base in enumerate(SURE) if base != "unicode_host"}
    careful = {f"link_bare_{place}": _BARE[base] for place, base in enumerate(BASES, len(SURE)) if base not in SURE}
    # What is combined with care comes last: where it is a text that is combined in all ways, nothing is missed.
    chosen = [(name, _COMBINED) for name in _once({}, combined)]
    chosen += [(name, _COMBINED_WITH_CARE) for name in _once(combined, careful)]
    chosen += [(name, _UNDER_NO_SCHEME) for name in _once(combined, {"link_folded": _BARE[THREATEXCHANGE]})]
    # Written with an upper-case scheme, `WWW.` or a default port, the bases that keep it are no combination.
    alone = ["exact", "entity_decoded", "percent_decoded"]
    written = {f"link_full_{base}": _FULL[base] for base in alone}
    chosen += [(f"CASE WHEN NOT link_usual THEN {name} END", _ALONE) for name in _once({}, written)]
    chosen.append(("CASE WHEN NOT link_lowered_anyway THEN link_lowered END", _ALONE))
    named = {
        **combined,
        **careful,
        **written,
        "link_folded": _BARE[THREATEXCHANGE],
        "link_lowered": _THREATEXCHANGE,
    }
    columns = ", ".join(f"{text} AS {name}" for name, text in named.items())
    return f"""
        SELECT *, CASE WHEN link_use = {_ALONE} THEN link_bare
            ELSE split_part(split_part(link_bare, '#', 1), '?', 1) END AS link_path
        FROM (
            SELECT file, row, link_addressed, unnest([{", ".join(text for text, _ in chosen)}]) AS link_bare,
                unnest([{", ".join(str(use) for _, use in chosen)}]) AS link_use
            FROM (
                SELECT file, row, link_addressed, {columns},
                    lower(link_written_authority) IN (link_host, 'www.' || link_host)
                        AND (lower(link_rest) = lower(link_canonical)
                            OR (link_named = link_host AND link_rest = lower(link_rest))) AS link_lowered_anyway,
                    starts_with(link_text, 'http')
                        AND link_written_authority IN (link_named, 'www.' || link_named) AS link_usual
                FROM ({_texts(relation)})
            )
        )
        WHERE link_bare IS NOT NULL"""


def _once(before: dict[str, str], texts: dict[str, str]) -> list[str]:
    """Expressions for the columns `texts`; NULL for one that equals an earlier one of them, or one of `before`."""
    known = list(before)
    found = []
    for name in texts:
        others = " OR ".join(f"{name} = {other}" for other in known)
        found.append(f"CASE WHEN {others} THEN NULL ELSE {name} END" if known else name)
        known.append(name)
    return found


def _end(slash: str) -> str:
    """A bare text of `_bare_texts` with, or without, a slash behind its path; NULL where that is no form."""
    careful = f"link_use = {_COMBINED_WITH_CARE} AND (contains(link_path, '%') OR contains(link_path, '&'))"
    as_it_is = f"link_use = {_ALONE} OR ({careful})"
    return _ended("link_bare", "link_path", slash, as_it_is, f"link_use = {_ALONE}")


def _ended(bare: str, path: str, slash: str, as_it_is: str, alone: str) -> str:
    rest = f"substr({bare}, length({path}) + 1)"
    stem = _without_last_slash(path)
    if slash == "no_slash":
        return (
            f"CASE WHEN {as_it_is} THEN CASE WHEN {alone} OR NOT ends_with({path}, '/') THEN {bare} END"
            f" ELSE {stem} || {rest} END"
        )
    return (
        f"CASE WHEN {as_it_is} THEN CASE WHEN NOT ({alone}) AND ends_with({path}, '/') THEN {bare} END"
        f" WHEN NOT {_is_file(path)} THEN {stem} || '/' || {rest} END"
    )


def _form_sql(name: str) -> str:
    """One form over the columns of `_texts`; NULL where a link has none of that name."""
    if name in _FULL:
        return _FULL[name]
    if name in SINGLE:
        return _single(name)
    if name == THREATEXCHANGE:
        return _THREATEXCHANGE
    if name in THREATEXCHANGE_FORMS:
        base, scheme = THREATEXCHANGE, "no_scheme"
        _, www, slash = name.split("+")
    elif name in COMBINATIONS:
        base, scheme, www, slash = COMBINATIONS[name]
    else:
        message = f"no such form: {name}"
        raise ValueError(message)
    bare = f"({_BARE[base]})"
    path = f"split_part(split_part({bare}, '#', 1), '?', 1)"
    careful = "false" if base in (*SURE, THREATEXCHANGE) else f"(contains({path}, '%') OR contains({path}, '&'))"
    ended = _ended(bare, path, slash, careful, "false")
    prefix = _PREFIXES[scheme] + ("www." if www == "www" else "")
    spelled = f"'{prefix}' || ({ended})"
    return f"CASE WHEN NOT link_addressed THEN {spelled} END" if www == "www" else spelled


def _single(name: str) -> str:
    """The single changes of the canonical spelling."""
    if name in _PREFIXES:
        return f"'{_PREFIXES[name]}' || link_authority || link_canonical"
    if name in ("www", "no_www"):
        spelled = (
            f"link_scheme || '{'www.' if name == 'www' else ''}' || {_without_www('link_authority')} || link_canonical"
        )
        return f"CASE WHEN NOT link_addressed THEN {spelled} END"
    ended = _ended("link_canonical", "split_part(link_canonical, '?', 1)", name, "false", "false")
    return f"link_scheme || link_authority || ({ended})"


def _without_last_slash(path: str) -> str:
    return f"CASE WHEN ends_with({path}, '/') THEN left({path}, -1) ELSE {path} END"


def _without_www(authority: str) -> str:
    return f"CASE WHEN lower(left({authority}, 4)) = 'www.' THEN substr({authority}, 5) ELSE {authority} END"


def _is_file(path: str) -> str:
    return f"lower(split_part(right({path}, 5), '.', -1)) IN ({_EXTENSIONS})"


def _lower_escapes(text: str) -> str:
    """`text`, which begins with no escape, with its escapes in lower-case hex."""
    return (
        f"array_to_string(list_transform(string_split({text}, '%'), lambda piece, place: "
        f"CASE WHEN place = 1 THEN piece ELSE lower(left(piece, 2)) || substr(piece, 3) END), '%')"
    )
