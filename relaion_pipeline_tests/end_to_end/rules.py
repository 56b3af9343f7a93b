"""The NSFW rules once more, in plain Python, one row at a time: what the editions are held against.

Nothing here comes from the package. A keyword is looked for character by character.
"""

import math
import re
import unicodedata
from pathlib import Path

# Blocks of the scripts that put no spaces between words.
_NO_SPACES = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x3005, 0x3007),  # Han
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x3400, 0x9FFF),  # Han
    (0xF900, 0xFAFF),
    (0x20000, 0x3FFFF),
)


def fold(text: str) -> str:
    once = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.split(r"\s+", unicodedata.normalize("NFKC", once))).strip()


def keywords(path: Path) -> list[str]:
    lines = path.read_text(encoding="utf-8").split("\n")
    return [fold(line) for line in lines if line.strip() and not line.lstrip().startswith("#")]


def has_keyword(text: str | None, words: list[str]) -> bool:
    if text is None:
        return False
    folded = fold(text)
    return any(_stands_in(folded, word) for word in words)


def _stands_in(text: str, word: str) -> bool:
    if any(start <= ord(letter) <= end for letter in word for start, end in _NO_SPACES):
        return word in text
    at = text.find(word)
    while at != -1:
        before, after = text[at - 1] if at else " ", text[at + len(word)] if at + len(word) < len(text) else " "
        if not _in_word(before) and not _in_word(after):
            return True
        at = text.find(word, at + 1)
    return False


def _in_word(letter: str) -> bool:
    return unicodedata.category(letter)[0] in "LMN" or letter == "_"


def score(value: float | None) -> float | None:
    """A usable score, or None: null, not a number and out of range are no scores."""
    return value if value is not None and math.isfinite(value) and 0 <= value <= 1 else None


def leaves_research(value: float | None, text: str | None, words: list[str]) -> bool:
    """Above 0.95 and a keyword."""
    usable = score(value)
    return usable is not None and usable > 0.95 and has_keyword(text, words)


def leaves_research_safe(value: float | None) -> bool:
    """Above 0.45, or nothing says that it is not."""
    usable = score(value)
    return usable is None or usable > 0.45


def without_link(link: str | None) -> bool:
    return link is None or not link.strip(" ")


def unreadable(digest: str | None, size: int = 32) -> bool:
    return digest is not None and not re.fullmatch(f"[0-9a-fA-F]{{{size}}}", digest)
