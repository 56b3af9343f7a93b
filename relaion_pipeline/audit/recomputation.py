"""Making shards' edition files again, from source shards and partners' files alone, to compare bytes.

Everything is made in a scratch folder below `private/temporary`. No compiled list, finding, verdict or rendering that
the release's own run left is read; only the salt, and what the ledger remembered of earlier releases.
"""

import os
import random
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from relaion_pipeline.feeds import blocklist
from relaion_pipeline.layout import DataRoot, make_private
from relaion_pipeline.ledger.segments import Ledger
from relaion_pipeline.ledger.settling import Settler
from relaion_pipeline.release import editions
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.screening.screen import Screener
from relaion_pipeline.shards import Shard


@dataclass(frozen=True)
class _Scratch(DataRoot):
    """A data root whose inputs are those of another, and whose private files are its own."""

    folder: Path

    @property
    def private(self) -> Path:
        return self.folder


@dataclass(frozen=True)
class Workbench:
    """Where shards are made again."""

    inputs: Inputs
    ledger: Ledger  # as it was before the release

    def recompute(self, shard: Shard) -> dict[str, str]:
        """Part (`safe`, `extra`) to the SHA-256 of the file that this code makes of a shard now.

        Raises:
            FeedError, ShardError, ScreeningError, SettlingError, EditionError: an input cannot be read, or says no.
        """
        self._settled  # noqa: B018
        (staged,) = editions.write([self.inputs.stock(shard)], self.inputs.settings, self.inputs.root)
        for part in editions.PARTS:  # a sample of any size takes the room of one shard
            self.inputs.root.staged(shard.subset, shard.stem, part).unlink()
        return {editions.SAFE: staged.safe.sha256, editions.EXTRA: staged.extra.sha256}

    @cached_property
    def _settled(self) -> bool:
        """Verdicts of all shards: what goes from one follows from what is listed in the others too."""
        inputs = self.inputs
        feeds = [inputs.compile_feed(name) for name in inputs.settings.feeds]
        built = blocklist.build(feeds, inputs.settings, inputs.root)
        screener = Screener(inputs.root, inputs.settings, built, inputs.keywords)
        screener.screen(inputs.shards)
        Settler(inputs.root, inputs.settings, screener, self.ledger).settle(inputs.shards)
        return True


@contextmanager
def workbench(inputs: Inputs, release: str) -> Iterator[Workbench]:
    """A scratch folder to make shards of `release` again in; it is removed afterwards."""
    root = inputs.root
    # Below this process's own scratch space, which the next process clears where this one is killed.
    folder = make_private(root.temporary / str(os.getpid()) / "audit")
    try:
        scratch = _Scratch(root.path, folder)
        scratch.salt.write_bytes(root.salt.read_bytes())  # the ledger's keys are salted, and cover is drawn with it
        heads = [head.release for head in inputs.ledger.heads if head.release < release]
        yield Workbench(Inputs(scratch, inputs.settings), inputs.ledger.until(max(heads, default="")))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sample(shards: Sequence[Shard], number: int | None, seed: int) -> list[Shard]:
    """So many shards, drawn by `seed`; None: all."""
    if number is None or number >= len(shards):
        return list(shards)
    drawn = random.Random(seed).sample(range(len(shards)), number)  # noqa: S311  (a draw that can be repeated)
    return [shards[place] for place in sorted(drawn)]
