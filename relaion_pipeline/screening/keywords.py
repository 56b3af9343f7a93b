"""Keyword matching over Unicode, for the rule `punsafe` above a threshold *and* a keyword in the text.

Both sides are compared after NFKC and case folding, so that full-width, ligature and case variants meet. A keyword
matches between word boundaries, except where its script writes no spaces: there any substring matches.
"""

import hashlib
import unicodedata
from collections.abc import Iterable
from pathlib import Path

import regex  # `re` takes combining marks for non-words, and so sees boundaries inside Indic words

_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")
_SPACE = regex.compile(r"\s+")


class KeywordError(Exception):
    """The keyword file cannot be used; the message names file and line, not the keyword."""


def fold(text: str) -> str:
    """`text` as it is compared: NFKC, case-folded, NFKC again (folding can denormalise), white space single."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return str(_SPACE.sub(" ", folded)).strip()


class Keywords:
    """A compiled keyword file."""

    def __init__(self, words: Iterable[str]) -> None:
        """Compile `words`; blank ones are left out."""
        folded = sorted({fold(word) for word in words} - {""})
        self.count = len(folded)
        self.digest = hashlib.sha256("\n".join(folded).encode()).hexdigest()
        spaced = [regex.escape(word) for word in folded if not _UNSPACED.search(word)]
        unspaced = [regex.escape(word) for word in folded if _UNSPACED.search(word)]
        parts = [rf"(?<!\w)(?:{'|'.join(spaced)})(?!\w)"] if spaced else []
        self._pattern = regex.compile("|".join(parts + unspaced) if folded else r"(?!)")

    def hit(self, text: str | None) -> bool:
        """Whether `text` holds a keyword; a missing text holds none."""
        return text is not None and self._pattern.search(fold(text)) is not None


def load(path: Path) -> Keywords:
    """Read a keyword file: UTF-8, one word or phrase a line, `#` starts a comment line.

    Raises:
        KeywordError: the file is missing, not UTF-8, or holds no keyword; a rule without words would pass everything.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise KeywordError(f"{path}: cannot be read ({error.strerror}); set nsfw.keywords in relaion.toml") from None
    except UnicodeDecodeError:
        raise KeywordError(f"{path}: not UTF-8; save it as UTF-8") from None
    keywords = Keywords(line for line in lines if not line.lstrip().startswith("#"))
    if not keywords.count:
        raise KeywordError(f"{path}: no keyword in it; the research rule needs at least one")
    return keywords
