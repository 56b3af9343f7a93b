"""Which files a subset's shards are, and which slice each belongs to.

What belongs here: file names. What does not: opening the files (`reading`).
"""

import glob
import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from relaion_pipeline.settings import Subset
from relaion_pipeline.shards.errors import ShardError


class Format(StrEnum):
    """File formats of shards."""

    PARQUET = "parquet"
    CSV = "csv"
    TSV = "tsv"
    JSONL = "jsonl"


_FORMATS = {
    ".parquet": Format.PARQUET,
    ".csv": Format.CSV,
    ".tsv": Format.TSV,
    ".jsonl": Format.JSONL,
    ".ndjson": Format.JSONL,
    ".json": Format.JSONL,
}
COMPRESSIONS = (".gz", ".zst")

# A number that ends a word of the name: part-00012-..., train-00012-of-00128, metadata_0012, shard12.
_NUMBER = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]*(\d+)(?![A-Za-z0-9])")
# 2**64 over the golden ratio: multiples of it modulo 2**64 spread evenly, whatever the stride of the numbers.
_GOLDEN = 0x9E3779B97F4A7C15
_WORD = 2**64


@dataclass(frozen=True)
class Shard:
    """One input file."""

    subset: str
    stem: str
    """Unique in the subset; names everything that is made from the shard."""
    path: Path
    scores: Path | None = None
    """Parquet file whose `punsafe` column belongs to this shard, row for row."""

    @property
    def format(self) -> Format:
        return _split(self.path)[1]

    @property
    def name(self) -> str:
        """The shard as error messages name it."""
        return f"{self.subset}: {self.path}"


def find(subset_name: str, subset: Subset, data_root: Path) -> list[Shard]:
    """The shards of a subset, in the order of their stems.

    Raises:
        ShardError: there is none, one is of an unknown format, two share a stem, or shards and scores do not pair.
    """
    place = f"subsets.{subset_name}.shards"
    paths = _by_stem(_files(subset.shards, data_root, place), place)
    if not paths:
        raise ShardError(f"{place}: no file matches '{subset.shards}' in {data_root}; put the shards there")
    scores: dict[str, Path] = {}
    if subset.scores is not None:
        scores = _scores(subset.scores, paths, data_root, f"subsets.{subset_name}.scores")
    return [Shard(subset_name, stem, path, scores.get(stem)) for stem, path in sorted(paths.items())]


def stem_of(name: str) -> str:
    """The stem of a shard's file name: what names everything that is made from it."""
    return _split(Path(name))[0]


def slices(shards: Sequence[Shard], count: int) -> list[list[Shard]]:
    """Cut `shards` into `count` slices, some of which may be empty.

    The slice follows from the shard's stem and `count` alone, so that a new shard moves no other.
    """
    cut: list[list[Shard]] = [[] for _ in range(count)]
    for shard in sorted(shards, key=lambda each: each.stem):
        cut[_position(shard.stem) * count // _WORD].append(shard)
    return cut


def _position(stem: str) -> int:
    """A place in [0, 2**64). Numbered names step through it by the golden ratio: 128 parts fill 24 slices evenly."""
    numbers = [int(number) for number in _NUMBER.findall(stem)]
    if numbers:
        return sum(numbers) * _GOLDEN % _WORD
    return int.from_bytes(hashlib.sha256(stem.encode("utf-8", "surrogateescape")).digest()[:8], "big")


def _split(path: Path) -> tuple[str, Format]:
    """Stem and format from the file's name."""
    name, suffix = path.stem, path.suffix.lower()
    packed = suffix in COMPRESSIONS
    if packed:
        name, suffix = Path(name).stem, Path(name).suffix.lower()
    kind = _FORMATS.get(suffix)
    if kind is None or (packed and kind is Format.PARQUET):
        known = ", ".join(_FORMATS)
        raise ShardError(
            f"{path}: not a shard's name: it should end in one of {known} "
            f"(text also with {' or '.join(COMPRESSIONS)}); narrow the glob in relaion.toml or rename the file"
        )
    return name, kind


def _files(pattern: str, data_root: Path, place: str) -> list[Path]:
    found = []
    # Not Path.glob: this one takes patterns that are absolute or climb out of the data root.
    for name in sorted(glob.glob(pattern, root_dir=data_root, recursive=True)):  # noqa: PTH207
        path = data_root / name
        if path.is_dir():
            if path.suffix.lower() in _FORMATS:
                raise ShardError(f"{place}: {path} is a folder; write a glob that matches the files in it")
            continue
        if not path.is_file():
            raise ShardError(f"{place}: {path} is not a file (a broken link?)")
        found.append(path)
    return found


def _by_stem(paths: Iterable[Path], place: str) -> dict[str, Path]:
    stems: dict[str, Path] = {}
    for path in paths:
        stem, _ = _split(path)
        twin = stems.setdefault(stem, path)
        if twin != path:
            raise ShardError(f"{place}: {twin} and {path} would both be called '{stem}'; rename one")
    return stems


def _scores(pattern: str, shards: dict[str, Path], data_root: Path, place: str) -> dict[str, Path]:
    scores = _by_stem(_files(pattern, data_root, place), place)
    for stem, path in scores.items():
        if _split(path)[1] is not Format.PARQUET:
            raise ShardError(f"{place}: {path} is not Parquet; scores are read from Parquet files only")
        if stem not in shards:
            raise ShardError(f"{place}: {path} has no shard called '{stem}'; fetch the shard or move the file away")
    for stem, path in shards.items():
        if stem not in scores:
            raise ShardError(f"{place}: no file called '{stem}.parquet' matches '{pattern}' for {path}")
    return scores
