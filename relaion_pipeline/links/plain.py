"""The links that need no work: already canonical, and decided by one regular expression.

The same pattern runs in Python's `re` and in DuckDB's RE2, so both agree on which links are plain. It may
only ever be too narrow: a link it leaves out takes the slow road and comes to the same strings.
"""

import re
from typing import Final

MAX_PLAIN_LENGTH: Final = 2048
"""Longer links take the slow road; bounds the work of a regular expression on hostile input."""

# Dotted labels and an alphabetic last label: leaves out IPv4 in any notation, and every IDN top level.
_HOST: Final = r"(?:[a-z0-9_-]+\.)+[a-z]{2,}"
# A segment never starts with a dot (`.`, `..`) and is never empty (`//`). No `%`, `&`, `\`, quotes or braces.
# Nor a `;`: ThreatExchange's reference code drops one at the end of a path.
_SEGMENT: Final = r"[A-Za-z0-9_~!$()*+,=:@-][A-Za-z0-9._~!$()*+,=:@-]*"
# `&name=` is never an entity (HTML's rule for attributes); any other `&` takes the slow road.
_QUERY: Final = r"(?:[A-Za-z0-9._~!$()*+,;=:@/?-]|&[A-Za-z0-9]+=)+"

PLAIN_PATTERN: Final = rf"https?://{_HOST}/(?:{_SEGMENT}/)*(?:{_SEGMENT})?(?:\?{_QUERY})?"

NEVER_PLAIN: Final = ("xn--", "//www.www.")
"""Substrings that RE2, having no lookahead, cannot exclude: punycode (may be invalid), and a doubled `www.`."""

_PLAIN: Final = re.compile(PLAIN_PATTERN)


def is_plain_text(link: str) -> bool:
    """Whether `link` is its own canonical spelling by inspection."""
    return (
        len(link) <= MAX_PLAIN_LENGTH
        and _PLAIN.fullmatch(link) is not None
        and not any(part in link for part in NEVER_PLAIN)
    )
