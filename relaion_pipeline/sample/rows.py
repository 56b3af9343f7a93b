"""Batches of rows as the joined LAION-5B files hold them, with an image MD5 beside.

What belongs here: columns, their distributions, nulls, repeats, and how a listed row differs from others.
What does not: which rows are listed (`plan.py`), files (`generation.py`).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import mmh3
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from relaion_pipeline.sample.links import Links, make_links
from relaion_pipeline.sample.plan import Planted
from relaion_pipeline.sample.texts import Texts, make_texts

# What LAION's note on Re-LAION-5B says is removed, as shares of all rows. Rows without a score never reach
# research-safe, so they are part of its 3.044 %.
REMOVED_FROM_RESEARCH = 0.01121
REMOVED_FROM_SAFE = 0.03044
_NO_SCORE = 0.003
_ABOVE_RESEARCH = 0.015
_ABOVE_SAFE = REMOVED_FROM_SAFE - _NO_SCORE
_KEYWORD_IF_ABOVE_RESEARCH = REMOVED_FROM_RESEARCH / _ABOVE_RESEARCH
_KEYWORD_ELSE = 0.004
_AT_SAFE = 0.0005  # of the low scores: exactly the threshold of research-safe
_AT_RESEARCH = 0.005  # of the middle scores: exactly the threshold of research

_NO_LINK = 0.0004
_NO_TEXT = 0.0006
_NO_IMAGE = 0.07  # failed downloads: no bytes, so no digest
_SAME_ROW = 0.003
_SAME_LINK = 0.006
_POPULAR = 0.002  # rows whose link is one of a few logos and placeholders found all over a crawl
_POPULAR_LINKS = 60

_SIZES = np.array([150, 200, 225, 240, 250, 300, 320, 350, 400, 450, 480, 500, 512, 600, 640, 700, 750, 768, 800, 900,
                   1000, 1024, 1080, 1200, 1280, 1500, 1600, 1920, 2048, 2560], dtype=np.int32)  # fmt: skip
_HEX = np.frombuffer(b"".join(f"{byte:02x}".encode() for byte in range(256)), dtype=np.uint8).reshape(256, 2)


def schema(subset: str) -> pa.Schema:
    """The columns of a subset's shards. Only 2B-multi says which language a text is in."""
    language = [pa.field("LANGUAGE", pa.string())] if subset == "2B-multi" else []
    return pa.schema(
        [
            pa.field("URL", pa.string()),
            pa.field("TEXT", pa.string()),
            pa.field("WIDTH", pa.int32()),
            pa.field("HEIGHT", pa.int32()),
            pa.field("similarity", pa.float64()),
            *language,
            pa.field("hash", pa.int64()),
            pa.field("punsafe", pa.float32()),
            pa.field("pwatermark", pa.float32()),
            pa.field("md5", pa.string()),
        ]
    )


def hex_digests(digests: bytes, size: int) -> pa.Array:
    """Raw digests of `size` bytes, one after another, as lower-case hex strings."""
    text = _HEX[np.frombuffer(digests, dtype=np.uint8)].tobytes()
    offsets = np.arange(0, len(text) + 1, 2 * size, dtype=np.int32)
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets.tobytes()), pa.py_buffer(text))


def content(strings: Any) -> bytes:
    """The bytes of all `strings`, one after another."""
    _, bounds, text = strings.buffers()
    ends = np.frombuffer(bounds, dtype=np.int32)[strings.offset : strings.offset + len(strings) + 1]
    return bytes(text[int(ends[0]) : int(ends[-1])]) if text is not None else b""


def row_keys(links: Any, texts: Any) -> pa.Array:
    """LAION's `hash`: `mmh3.hash64((url or '') + (text or ''))[0]` of each row."""
    joined = pc.binary_join_element_wise(links, texts, "", null_handling="replace", null_replacement="")
    text = content(joined)
    bounds = np.concatenate([[0], np.cumsum(pc.binary_length(joined).to_numpy(), dtype=np.int64)]).tolist()
    keys = [mmh3.hash64(text[start:end])[0] for start, end in pairwise(bounds)]
    return pa.array(keys, pa.int64())


@dataclass(frozen=True)
class RowMaker:
    """Makes one subset's batches."""

    subset: str
    links: Links
    texts: Texts
    popular_links: pa.Array
    popular_md5: pa.Array
    marks: bool  # whether listed rows carry their token in the text, too

    def batch(self, random: np.random.Generator, rows: int, listed: dict[int, Planted]) -> tuple[pa.Table, list[str]]:
        """A batch, and the links of its listed rows; `listed` is keyed by row in the batch, in order."""
        scores, keyword = _scores(random, rows)
        text, language = self.texts.draw(random, keyword)
        width, height = (pa.array(_SIZES[random.integers(0, len(_SIZES), rows)]) for _ in range(2))
        columns: dict[str, Any] = {
            "URL": self.links.draw(random, rows),
            "TEXT": _some_null(random, text, _NO_TEXT),
            "WIDTH": width,
            "HEIGHT": height,
            "similarity": pa.array(_similarity(random, rows, self.subset)),
            "LANGUAGE": language,
            "punsafe": _some_null(random, pa.array(scores), _NO_SCORE),
            "pwatermark": pa.array((random.random(rows) ** 4).astype(np.float32)),
            "md5": _some_null(random, hex_digests(random.bytes(16 * rows), 16), _NO_IMAGE),
        }
        columns["URL"] = _some_null(random, columns["URL"], _NO_LINK)
        self._repeat(random, columns, rows)
        self._put_popular(random, columns, rows)
        found = _put_listed(columns, listed, in_text=self.marks)
        columns["hash"] = row_keys(columns["URL"], columns["TEXT"])
        wanted = schema(self.subset)
        return pa.table([columns[name] for name in wanted.names], schema=wanted), found

    def _repeat(self, random: np.random.Generator, columns: dict[str, Any], rows: int) -> None:
        """Let some rows repeat another row of the batch, whole or in link and image only."""
        fate = random.random(rows)
        other = random.integers(0, rows, rows)
        same_row = np.where(fate < _SAME_ROW, other, np.arange(rows))
        same_link = np.where(fate < _SAME_ROW + _SAME_LINK, other, np.arange(rows))
        for name, column in columns.items():
            columns[name] = column.take(pa.array(same_link if name in {"URL", "md5"} else same_row))

    def _put_popular(self, random: np.random.Generator, columns: dict[str, Any], rows: int) -> None:
        places = np.flatnonzero(random.random(rows) < _POPULAR)
        picked = pa.array(random.integers(0, _POPULAR_LINKS, len(places)))
        columns["URL"] = put(columns["URL"], places, self.popular_links.take(picked))
        columns["md5"] = put(columns["md5"], places, self.popular_md5.take(picked))


def make_row_makers(random: np.random.Generator, subsets: list[str], *, marks: bool) -> dict[str, RowMaker]:
    """A maker for each subset; hosts and popular links are shared, as they are in a crawl."""
    links = make_links(random)
    popular = links.draw(random, _POPULAR_LINKS)
    digests = hex_digests(random.bytes(16 * _POPULAR_LINKS), 16)
    return {subset: RowMaker(subset, links, make_texts(subset), popular, digests, marks) for subset in subsets}


def _scores(random: np.random.Generator, rows: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]:
    """`punsafe` for each row, with two humps, and whether the row's text is to hold a keyword."""
    # The kinds are drawn over the rows that have a score, so that the shares above hold over all rows.
    kind = random.random(rows) * (1 - _NO_SCORE)
    where = random.random(rows)
    high = kind < _ABOVE_RESEARCH
    middle = ~high & (kind < _ABOVE_SAFE)
    scores = np.where(high, 1 - 0.0499 * where**2, np.where(middle, 0.4501 + 0.4998 * where, 0.449 * where**7))
    scores = scores.astype(np.float32)
    # The thresholds themselves are not above the thresholds: a screen that tests >= removes these.
    scores[~high & ~middle & (where < _AT_SAFE)] = np.float32(0.45)
    keyword = random.random(rows) < np.where(high, _KEYWORD_IF_ABOVE_RESEARCH / (1 - _NO_SCORE), _KEYWORD_ELSE)
    at_threshold = middle & (where < _AT_RESEARCH)
    scores[at_threshold] = np.float32(0.95)
    keyword |= at_threshold
    return scores, keyword


def some_scores(random: np.random.Generator, rows: int) -> Any:
    """A `punsafe` column by itself, with nulls, for shards that come without one."""
    return _some_null(random, pa.array(_scores(random, rows)[0]), _NO_SCORE)


def _similarity(random: np.random.Generator, rows: int, subset: str) -> npt.NDArray[np.float64]:
    """CLIP similarity above LAION-5B's cut-off: 0.28 for English, 0.26 else; seldom above 0.4."""
    cut = 0.28 if subset == "2B-en" else 0.26
    return cut + random.exponential(0.035, rows).clip(0, 0.25)


def _some_null(random: np.random.Generator, column: Any, share: float) -> Any:
    absent = pa.array(random.random(len(column)) < share)
    return pc.if_else(absent, pa.scalar(None, column.type), column)


def put(column: Any, places: npt.NDArray[np.int64], values: Any) -> Any:
    """`column` with `values` at `places`, which are in ascending order."""
    mask = np.zeros(len(column), dtype=bool)
    mask[places] = True
    return pc.replace_with_mask(column, pa.array(mask), values)


def _put_listed(columns: dict[str, Any], listed: dict[int, Planted], *, in_text: bool) -> list[str]:
    """Give listed rows a link and, where their image is listed, a digest that no other row has."""
    if not listed:
        return []
    places = np.array(list(listed), dtype=np.int64)
    drawn = columns["URL"].take(pa.array(places)).to_pylist()
    links = [_marked(link, each.token) for link, each in zip(drawn, listed.values(), strict=True)]
    columns["URL"] = put(columns["URL"], places, pa.array(links))
    if in_text:
        texts = columns["TEXT"].take(pa.array(places)).to_pylist()
        marked = [f"{text or ''} {each.token}".strip() for text, each in zip(texts, listed.values(), strict=True)]
        columns["TEXT"] = put(columns["TEXT"], places, pa.array(marked))
    kept = columns["md5"].take(pa.array(places)).to_pylist()
    digests = [
        each.md5.hex() if each.by_image or old else None for old, each in zip(kept, listed.values(), strict=True)
    ]
    columns["md5"] = put(columns["md5"], places, pa.array(digests, pa.string()))
    return links


def _marked(link: str | None, token: str) -> str:
    """`link` with `token` as the first part of its path."""
    scheme, _, rest = (link or "https://img.example/photo.jpg").partition("://")
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}/{token}/{path}"
