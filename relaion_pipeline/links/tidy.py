r"""The links that need some work, but none that SQL cannot do: upper-case hosts, ports, escapes, `&amp;`, blanks.

A plain link is its own canonical spelling (`plain.py`). A *tidy* one is not, but a few replacements make it so, and
they come out the same in SQL as in Python. Here stands which links are tidy, and the texts that all their forms are
made of. Like plain, tidy may only ever be too narrow: a link that it leaves out goes to Python, and comes to the same
strings.

What a tidy link is, in short: `http(s)://`, an ASCII name without punycode or a usual IPv4 address, perhaps a port; a
path and a query whose escapes are one layer of UTF-8, hide no `%`, `#`, `\`, control character or dot segment; no
entity but `&amp;`; a fragment without surprises.
"""

from collections.abc import Collection
from html.entities import html5
from typing import Final

from relaion_pipeline.links.plain import MAX_PLAIN_LENGTH

# Same names as in plain links, in either case: the last label leaves out IPv4 in any notation but the usual one.
_OCTET: Final = r"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS: Final = rf"(?:{_OCTET}\.){{3}}{_OCTET}"
_HOST: Final = rf"(?:(?:[A-Za-z0-9_-]+\.)+[A-Za-z]{{2,}}|{_ADDRESS})"
# No leading zero, nothing near 65,535: the parser changes or refuses those.
_PORT: Final = r"(?::(?:[1-9][0-9]{0,3}|[1-5][0-9]{4}))?"
# Letters whose case is not what it seems: capital I with dot, dotless i, long s, the Kelvin sign, which some rules take
# for `i`, `s` and `k` and others do not; and the capital sigma, whose lower case depends on what follows.
_CASE_TRAPS: Final = "\u0130\u0131\u017f\u03a3\u212a"
# Alphabets whose cases have long stood; Python's and DuckDB's Unicode tables differ in the newest ones.
_SETTLED: Final = (
    "\u00a0-\u012f\u0132-\u017e\u0180-\u03a2\u03a4-\u1bff\u1e00-\u2129\u212b-\u2bff\u2e00-\ua63f"
    "\uac00-\ud7a3\uf900-\ufffd\U0001f000-\U0001faff"
)
# What stands for itself both in a path and in a query, and is neither delimiter nor quote; and `%` before an escape,
# the space, and what lies beyond ASCII, all of which the parser escapes in the one way that `_escaped` imitates.
_WRITTEN: Final = rf"[A-Za-z0-9._~!$()*+,;=:@/?&' {_SETTLED}-]|%[0-9A-Fa-f]{{2}}"
_FRAGMENT: Final = r"(?:#[A-Za-z0-9._~!$()*+,=:@/?-]+)?"

_SHAPE: Final = rf"(?i:https?)://{_HOST}{_PORT}/(?:{_WRITTEN})*{_FRAGMENT}"
"""What a tidy link looks like, `&amp;` undone."""

_DECODED: Final = rf"/[^\x00-\x1f\x7f#%\\?{_CASE_TRAPS}]*(?:\?[^\x00-\x1f\x7f#%\\{_CASE_TRAPS}]+)?"
"""What its path and query look like when its escapes are undone: nothing that would be undone again."""

_DOT_SEGMENT: Final = r"^[^?]*/\.{1,2}(?:[/?]|$)"
# One form takes all of them off, another one of them.
_SLASHES_AT_END: Final = r"^[^?]*//(?:\?|$)"
# Without its slash, such a link would end before the blank.
_BLANK_BEFORE_SLASH: Final = " /$"
# Neither does the end of the path stay where it is.
_HIDDEN_QUERY: Final = r"^[^?]*%3[Ff]"
# The parser escapes a quote in a query, and not in a path.
_QUOTE_IN_QUERY: Final = r"\?.*'"
# ThreatExchange's reference code drops one.
_EMPTY_PARAMETERS: Final = r";(?:[?#]|$)"
# One `/folder/../` is undone; what is left then is not. The folder is none that hides a dot behind an escape.
_STEP_BACK: Final = r"^([^?]*?)/[^/?.%][^/?%]*/\.\./"

_LEGACY: Final = "|".join(sorted(name for name in html5 if not name.endswith(";")))
_ENTITY: Final = rf"&(?:#|[A-Za-z][A-Za-z0-9]*;|(?:{_LEGACY})(?:[^=A-Za-z0-9]|$))"
"""Every ampersand that may begin an entity in an attribute."""

_NEVER_TIDY: Final = ("xn--", "//www.www.")

_LEFT_ALONE: Final = "!\"$&'()*+,/:;<=>?@[]^`{|}"
"""ASCII that DuckDB's `url_encode` escapes, and the canonical spelling does not."""

_TRAPS: Final = {
    "link_text": (_EMPTY_PARAMETERS,),
    "link_unquoted": (_ENTITY, _QUOTE_IN_QUERY, _HIDDEN_QUERY),
    "link_decoded": (_ENTITY, _DOT_SEGMENT, _SLASHES_AT_END, _BLANK_BEFORE_SLASH, " $"),
}
"""What must not be found, in the link, in it with `&amp;` undone, in its path and query with escapes undone."""


def tidy_texts(source: str, column: str, carry: Collection[str] = ()) -> str:
    """A SELECT over links that gives the columns in `carry`, and what the tidy ones' forms are made of.

    `link_text` the link; `link_tidy` whether it is tidy, never NULL. For a tidy one also its path and query:
    `link_canonical`, NULL where they stand in the link as they are; `link_whatwg` and `link_decoded`, the bases of
    these names, NULL where they are as in the canonical spelling. In layers, so that DuckDB works each out once a row.
    """
    carried = "".join(f"{name}, " for name in carry)
    rest = rest_sql("split_part(link_unquoted, '#', 1)")
    never = " AND ".join(f"NOT contains(lower(link_text), '{part}')" for part in _NEVER_TIDY)
    harmless = " AND ".join(
        f"NOT regexp_matches({text}, {_quoted(trap)})" for text, traps in _TRAPS.items() for trap in traps
    )
    return f"""
        SELECT {carried}link_text, link_tidy,
            CASE WHEN link_canonical <> link_written THEN link_canonical END AS link_canonical,
            CASE WHEN link_whatwg <> link_canonical THEN link_whatwg END AS link_whatwg,
            CASE WHEN link_decoded <> link_canonical THEN link_decoded END AS link_decoded
        FROM (
            SELECT {carried}link_text, link_tidy, {rest_sql("link_text")} AS link_written, link_decoded,
                CASE WHEN link_tidy THEN {_escaped("link_decoded")} END AS link_canonical,
                CASE WHEN link_tidy THEN {_escaped("link_rest")} END AS link_whatwg
            FROM (
                SELECT {carried}link_text, link_rest, {_single_slashes("link_decoded")} AS link_decoded,
                    coalesce(regexp_full_match(link_decoded, {_quoted(_DECODED)}) AND {harmless}, false) AS link_tidy
                FROM (
                    SELECT *, {unescaped_sql("link_rest")} AS link_decoded
                    FROM (
                        SELECT *, {_stepped_back(f"CASE WHEN link_shaped THEN {rest} END")} AS link_rest
                        FROM (
                            SELECT *, coalesce(strlen(link_text) <= {MAX_PLAIN_LENGTH}
                                AND regexp_full_match(link_unquoted, {_quoted(_SHAPE)}) AND {never}, false)
                                AS link_shaped
                            FROM (
                                SELECT {carried}{column} AS link_text, {unquoted_sql(column)} AS link_unquoted
                                FROM {source}
                            )
                        )
                    )
                )
            )
        )"""


def rest_sql(link: str) -> str:
    """All of `link` behind its host and port, the first slash included."""
    return f"substr({link}, length(split_part({link}, '/', 1)) + length(split_part({link}, '/', 3)) + 3)"


def unquoted_sql(text: str) -> str:
    """`text` with `&amp;` undone: with all its entities undone, if it is tidy."""
    return f"replace({text}, '&amp;', '&')"


def unescaped_sql(text: str) -> str:
    """`text` with percent-escapes undone once; NULL where they are not UTF-8."""
    return f"CASE WHEN contains({text}, '%') THEN try(url_decode({text})) ELSE {text} END"


def _stepped_back(text: str) -> str:
    """A path and query with one `/folder/../` undone."""
    return f"CASE WHEN contains({text}, '/../') THEN regexp_replace({text}, '{_STEP_BACK}', '\\1/') ELSE {text} END"


def _single_slashes(text: str) -> str:
    """A path and query with each run of slashes in the path as one."""
    path = f"split_part({text}, '?', 1)"
    single = f"regexp_replace({path}, '/{{2,}}', '/', 'g') || substr({text}, length({path}) + 1)"
    return f"CASE WHEN contains({text}, '//') THEN {single} ELSE {text} END"


def _escaped(text: str) -> str:
    """`text` with the space and all beyond ASCII escaped, and escapes left as they are."""
    every = f"url_encode({text})"
    for character in (*_LEFT_ALONE, "%"):  # which comes last: it stands before every escape that is not undone here
        every = f"replace({every}, '%{ord(character):02X}', {_quoted(character)})"
    return f"CASE WHEN strlen({text}) = length({text}) THEN replace({text}, ' ', '%20') ELSE {every} END"


def _quoted(text: str) -> str:
    """A text as a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"
