"""Which rows of a shard its verdicts keep from which edition, and which they did when its files were last proved.

What belongs here: row numbers and editions, from the verdicts as they are and as kept beside the evidence. Private.
What does not: why a row goes, which the verifier never asks.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.layout import DataRoot, make_private, written_whole
from relaion_pipeline.screening import verdicts
from relaion_pipeline.screening.verdicts import RESEARCH_BITS

_KEPT = pa.schema([pa.field("row", pa.int64(), nullable=False), pa.field("from_research", pa.bool_(), nullable=False)])


@dataclass(frozen=True, eq=False)
class Removed:
    """Rows of a shard that are not in research-safe, by their positions; shape (rows,) each."""

    rows: npt.NDArray[np.int64]
    from_research: npt.NDArray[np.bool_]  # whether the row is not in research either

    @cached_property
    def sha256(self) -> str:
        """Digest of which rows are removed from which edition."""
        return hashlib.sha256(self.rows.astype("<i8").tobytes() + self.from_research.tobytes()).hexdigest()

    def within(self, later: "Removed") -> bool:
        """Whether `later` removes each of these rows too, and from each edition that these are removed from."""
        from_research = np.isin(self.rows[self.from_research], later.rows[later.from_research])
        return bool(np.isin(self.rows, later.rows).all() and from_research.all())

    def as_table(self) -> pa.Table:
        """The columns `row` and `from_research`."""
        return pa.table([pa.array(self.rows), pa.array(self.from_research)], schema=_KEPT)


def by_verdicts(root: DataRoot, subset: str, stem: str) -> Removed:
    """What a shard's verdicts say now.

    Raises:
        OSError: they cannot be read; or ArrowInvalid.
    """
    rows, bits = verdicts.read_rows(root.verdicts(subset, stem))
    return Removed(rows, (bits & RESEARCH_BITS) != 0)


def write(removed: Removed, root: DataRoot, subset: str, stem: str) -> None:
    """Keep what was removed, mode 0600."""
    path = root.removed_rows(subset, stem)
    make_private(path.parent)
    with written_whole(path) as temporary:
        pq.write_table(removed.as_table(), temporary, compression="zstd")


def read(root: DataRoot, subset: str, stem: str) -> Removed | None:
    """What was kept, or None where there is none that can be read. Whether it is the right one its digest tells."""
    try:
        table = pq.read_table(root.removed_rows(subset, stem), schema=_KEPT)
        return Removed(table.column("row").to_numpy(), table.column("from_research").to_numpy())
    except (OSError, pa.ArrowException):
        return None
