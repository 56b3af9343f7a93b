"""Undoing and applying escapes: HTML entities, percent-escapes, the defanged spellings of lists.

What belongs here: string to string, no notion of a link's parts. Everything is linear in its input, or bounded.
"""

import re
from html import unescape
from html.entities import html5
from typing import Final
from urllib.parse import unquote_to_bytes

MAX_ROUNDS: Final = 8
"""Nested escapes are undone this often; what still changes then is nobody's link, and counts as unparseable."""

_AFTER_AMPERSAND: Final = re.compile(r"#0*[0-9]{1,7};?|#[xX]0*[0-9a-fA-F]{1,6};?|[A-Za-z][A-Za-z0-9]{1,31};?")
_ZEROS: Final = re.compile(r"(#[xX]?)0+(?=[0-9a-fA-F])")
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_TO_ESCAPE: Final = re.compile(r"[\x00-\x20#%\x7f-\xff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


def without_surrogates(text: str) -> str:
    """`text` as it can be encoded: a lone surrogate becomes U+FFFD, as browsers do."""
    return _SURROGATE.sub("\ufffd", text)


def decode_entities(text: str, *, latin: bool = False) -> str:
    """Undo HTML entities once, by the rules for attribute values: `&copy=1` and `&copyright` stay.

    `html.unescape` follows the rules for text, and would break `?a=1&copy=2`. A chain such as `&amp;amp;` is
    followed to its end, since links are often escaped again at every copy. `latin`: characters stand for bytes.
    """
    start = text.find("&")
    if start < 0:
        return text
    pieces: list[str] = []
    done = 0
    while start >= 0:
        pieces.append(text[done:start])
        decoded, done = _decode_at(text, start + 1)
        pieces.append(decoded.encode().decode("latin-1") if latin else decoded)
        start = text.find("&", done)
    pieces.append(text[done:])
    return "".join(pieces)


def _decode_at(text: str, position: int) -> tuple[str, int]:
    """What the ampersand before `position` stands for, and where the text goes on."""
    while match := _AFTER_AMPERSAND.match(text, position):
        name = match[0]
        if name.startswith("#"):
            # Python refuses to read a number of many thousand digits, be they zeros.
            decoded = unescape("&" + _ZEROS.sub(r"\1", name, count=1))
        elif name in html5 and (name.endswith(";") or not _continues(text, match.end())):
            decoded = html5[name]
        else:
            break
        position = match.end()
        if decoded != "&":
            return decoded, position
    return "&", position


def _continues(text: str, position: int) -> bool:
    """Whether the character at `position` forbids an entity without semicolon before it."""
    following = text[position : position + 1]
    return following == "=" or (following.isascii() and following.isalnum())


def decode_percent(text: str) -> str | None:
    """Undo percent-escapes once and read the bytes as UTF-8, as `unquote` does; None where they are not UTF-8."""
    if "%" not in text:
        return text
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        return None


def decode_percent_fully(latin: str) -> str:
    """Undo percent-escapes until none is left, in a string whose characters stand for bytes."""
    for _ in range(MAX_ROUNDS):
        decoded = _ESCAPE.sub(lambda match: chr(int(match[0][1:], 16)), latin)
        if decoded == latin:
            return latin
        latin = decoded
    return _decode_percent_deeply(latin)


def _decode_percent_deeply(latin: str) -> str:
    """The same in one pass over a stack, for escapes nested so deeply that passes would take quadratic time."""
    stack: list[str] = []
    for character in latin:
        stack.append(character)
        while len(stack) > 2 and stack[-3] == "%" and stack[-1] in _HEX and stack[-2] in _HEX:  # noqa: PLR2004
            low, high, _ = stack.pop(), stack.pop(), stack.pop()
            stack.append(chr(int(high + low, 16)))
    return "".join(stack)


def escape(latin: str) -> str:
    """Safe Browsing's escaping: bytes up to 32, from 127, `#` and `%`, in upper-case hex."""
    return _TO_ESCAPE.sub(lambda match: f"%{ord(match[0]):02X}", latin)


def decode_rest(latin: str) -> str | None:
    """Path and query with percent-escapes and entities undone until nothing changes; None where that takes too long."""
    for _ in range(MAX_ROUNDS):
        decoded = decode_entities(decode_percent_fully(latin), latin=True)
        if decoded == latin:
            return latin
        latin = decoded
    return None


_DEFANGED: Final = (
    (re.compile(r"\[\.\]|\{\.\}|\[dot\]", re.IGNORECASE), "."),
    (re.compile(r"\[://\]"), "://"),
    (re.compile(r"\[:\]"), ":"),
    (re.compile(r"\[/\]"), "/"),
    (re.compile(r"^\s*h(?:xx|XX|tx|xt|\*\*)p(s?)(?=:)", re.IGNORECASE), r"http\1"),
    (re.compile(r"^\s*f[xX]p(?=:)", re.IGNORECASE), "ftp"),
)
_ROUND_DOT: Final = re.compile(r"\(\.\)|\(dot\)", re.IGNORECASE)
_AUTHORITY: Final = re.compile(r"\s*(?:[A-Za-z]+:)?/*[^/?#]*")


def refang(text: str) -> str:
    """Undo the defanged spellings of lists: `hxxp`, `[.]`, `{.}`, `[dot]`, `[:]`, `[://]`; and `(.)` in the host.

    Only for entries of lists: rows come from the web, where nothing is defanged. Parentheses are common in paths, so
    there `(.)` stays.
    """
    for pattern, plain in _DEFANGED:
        text = pattern.sub(plain, text)
    match = _AUTHORITY.match(text)
    end = match.end() if match else 0
    return _ROUND_DOT.sub(".", text[:end]) + text[end:]
