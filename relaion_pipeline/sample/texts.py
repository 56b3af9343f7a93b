"""Texts as alt attributes hold them, in a subset's languages, with keywords exactly where they are asked for.

What belongs here: how long texts are and how words are drawn. What does not: the words (`words.py`).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from relaion_pipeline.sample.words import LANGUAGES, Language

_MOST_WORDS = 90
_LOG_MEAN_WORDS = 2.3  # of the natural logarithm: a median of 10 words
_LOG_SPREAD = 0.62


@dataclass(frozen=True)
class Texts:
    """Draws texts for whole batches. `pool` holds every language's words, then every language's keywords."""

    languages: tuple[Language, ...]
    pool: pa.Array
    words: npt.NDArray[np.int64]  # per language: first word in the pool, number of words
    keywords: npt.NDArray[np.int64]  # per language: first keyword in the pool, number of keywords

    def draw(self, random: np.random.Generator, with_keyword: npt.NDArray[np.bool_]) -> tuple[Any, Any]:
        """A text and a language code for each row; `with_keyword` says which texts hold one keyword."""
        rows = len(with_keyword)
        shares = np.cumsum([language.share for language in self.languages])
        spoken = np.searchsorted(shares / shares[-1], random.random(rows), side="right")

        counts = np.exp(random.normal(_LOG_MEAN_WORDS, _LOG_SPREAD, rows)).astype(np.int64).clip(1, _MOST_WORDS)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
        first, size = self.words[np.repeat(spoken, counts)].T
        # The square favours the front of each language's list, where its commonest words stand.
        picked = first + (size * random.random(int(offsets[-1])) ** 2).astype(np.int64)

        chosen = np.flatnonzero(with_keyword)
        first, size = self.keywords[spoken[chosen]].T
        place = offsets[chosen] + (counts[chosen] * random.random(len(chosen))).astype(np.int64)
        picked[place] = first + (size * random.random(len(chosen))).astype(np.int64)

        lists = pa.ListArray.from_arrays(pa.array(offsets), self.pool.take(pa.array(picked)))
        separators = pa.array([language.separator for language in self.languages])
        codes = pa.array([language.code for language in self.languages])
        speech = pa.array(spoken)
        return pc.binary_join(lists, separators.take(speech)), codes.take(speech)


def make_texts(subset: str) -> Texts:
    """What the texts of `subset` are drawn from."""
    languages = LANGUAGES[subset]
    words = [language.words for language in languages]
    keywords = [language.keywords for language in languages]
    groups = [*words, *keywords]
    starts = np.cumsum([0, *(len(group) for group in groups)])[:-1]
    spans = np.array([[start, len(group)] for start, group in zip(starts, groups, strict=True)], dtype=np.int64)
    pool = pa.array([word for group in groups for word in group])
    return Texts(languages, pool, spans[: len(languages)], spans[len(languages) :])
