"""What an earlier proof of a shard still tells, and what it leaves to be proved.

What belongs here: deciding that, and nothing is read for it but records, digests and row numbers. What does not:
asking the index (`indexes`), or proving what is left (`verifier`).

A proof stands if nothing but lists, the ledger and the files has changed since, and every row that was removed then is
removed now, and from each edition that it was removed from then. The rows kept now are then among those kept then, in
both editions. Of each of them it was proved that no list of then names it, that it keeps to the rules, that it has a
link and that the index holds all its spellings: as long as source, rules, code and index are the same, that is so
still. Nothing of this needs the files of then, nor that those of now are looked at; so what is left to prove is

- that the files, if they are others, hold just the source's rows that verdicts do not name, value for value;
- that no entry of a changed list names a row: which entries can, the index tells, and only where these are others
  than before are rows spelled, in what such entries can compare;
- that no row that the ledger remembers is back: which links must be gone, and how often each stands in the source, the
  ledger and the index tell; how often it is removed, the verdicts, whose keys are held against the source.

A proof that found anything wrong never stands.
"""

from dataclasses import dataclass, replace

from relaion_pipeline.layout import DataRoot
from relaion_pipeline.verification import indexes, removed
from relaion_pipeline.verification.evidence import Evidence
from relaion_pipeline.verification.gate import CHECKS
from relaion_pipeline.verification.removed import Removed


@dataclass(frozen=True)
class Ground:
    """What a shard is verified on as it is now."""

    basis: str  # digest of all but lists, ledger and files
    safe_sha256: str
    extra_sha256: str
    index_sha256: str | None
    questions: frozenset[str]  # that lists ask
    removed: Removed


@dataclass(frozen=True)
class Left:
    """What is to be proved of a shard whose earlier proof stands."""

    evidence: Evidence  # of that proof, with the hits of now
    feeds: tuple[str, ...]  # whose entries may name rows; sorted
    rewritten: bool

    @property
    def nothing(self) -> bool:
        """Whether nothing is left, so that no file must be read."""
        return not self.feeds and not self.rewritten


@dataclass(frozen=True)
class Standing:
    """An earlier proof of a shard that stands."""

    evidence: Evidence
    rewritten: bool  # files, or what verdicts remove, are others than then

    def left(self, lists: dict[str, str], hits: dict[str, str]) -> Left:
        """What is left to prove against `lists`, whose changed feeds have `hits`."""
        then, of_changed = self.evidence.hits, changed(self.evidence, lists)
        feeds = tuple(name for name in of_changed if name in hits and hits[name] != then.get(name))
        of_now = {
            name: hits.get(name, indexes.NO_HITS) if name in of_changed else then.get(name, indexes.NO_HITS)
            for name in lists
        }
        return Left(replace(self.evidence, hits=of_now), feeds, self.rewritten)


def changed(earlier: Evidence, lists: dict[str, str]) -> tuple[str, ...]:
    """Feeds that came, went, or have other entries than for an `earlier` proof; sorted."""
    then = earlier.lists
    return tuple(sorted(name for name in {*lists, *then} if lists.get(name) != then.get(name)))


def find(earlier: Evidence | None, ground: Ground, root: DataRoot) -> Standing | None:
    """`earlier` evidence of a shard as a proof that stands, None where it does not."""
    if (
        earlier is None
        or earlier.basis != ground.basis
        or any(getattr(earlier, check.column) != 0 for check in CHECKS)
        or not ground.questions <= set(earlier.questions)
        or earlier.index_sha256 is None
        or earlier.index_sha256 != ground.index_sha256
    ):
        return None
    if ground.removed.sha256 != earlier.removed_sha256:
        then = removed.read(root, earlier.subset, earlier.stem)
        if then is None or then.sha256 != earlier.removed_sha256 or not then.within(ground.removed):
            return None
    of_now = (ground.safe_sha256, ground.extra_sha256, ground.removed.sha256)
    return Standing(earlier, of_now != (earlier.safe_sha256, earlier.extra_sha256, earlier.removed_sha256))
