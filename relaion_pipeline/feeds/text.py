"""Text lists: one entry a line."""

import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from relaion_pipeline.feeds.digests import Positions
from relaion_pipeline.feeds.entries import DIGEST_BYTES, Kind
from relaion_pipeline.feeds.lines import MAX_LINE, Lines, read_lines
from relaion_pipeline.feeds.reader import Reader, field_batches, kind_of
from relaion_pipeline.feeds.streams import Source

_TRAILING_COMMENT = re.compile(rb"\s+#")
_HASH_SIGN = ord("#")


class Text(Reader):
    """One entry a line; blank lines and lines that start with `#` are none."""

    def read(self, source: Source) -> Iterator[pa.RecordBatch]:
        kind = kind_of(self.feed)
        for lines in read_lines(source):
            ends = _without_trailing_comments(lines, kind)
            yield from field_batches(lines.data, lines.starts, ends, lines.numbers, self.feed, max_length=MAX_LINE)


def _without_trailing_comments(lines: Lines, kind: Kind) -> Positions:
    """Where each entry ends if `entry  # remark` is read as one; not for links, whose `#` may be their own."""
    if kind not in DIGEST_BYTES and kind is not Kind.DOMAIN:
        return lines.ends
    signs = np.flatnonzero(lines.data == _HASH_SIGN)
    if not len(signs):
        return lines.ends
    ends = lines.ends.copy()
    for index in _lines_holding(signs, lines.starts, ends).tolist():
        remark = _TRAILING_COMMENT.search(lines.line(index))
        if remark:
            ends[index] = lines.starts[index] + remark.start()
    return ends


def _lines_holding(signs: Positions, starts: Positions, ends: Positions) -> Positions:
    owner = np.searchsorted(starts, signs, side="right") - 1
    inside = (owner >= 0) & (signs < ends[np.maximum(owner, 0)])
    return np.unique(owner[inside])
