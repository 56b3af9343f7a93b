"""Cleaning a folder of image files as img2dataset's `files` format has them: the files of a sample go together."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path

from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.samples import MAX_JSON, JsonJudge, key_of
from relaion_pipeline.clean.tar import Beside
from relaion_pipeline.clean.work import Work

_SAMPLES_AT_ONCE = 512


@dataclass(frozen=True)
class Sorted:
    """Names of a folder's files, by what becomes of them."""

    samples: int
    removed_keys: frozenset[str]
    stay: list[str]
    go: list[str]


def judge(source: Path, work: Work, beside: Beside | None) -> Sorted:
    """Say which files of the folder stay.

    Raises:
        CleanError: a sample's link cannot be told, or something else than files lies there.
    """
    with os.scandir(source) as entries:
        names = sorted(_name(source, entry) for entry in entries)
    samples = [(key, list(group)) for key, group in groupby(sorted(names, key=key_of), key=key_of)]
    removed: set[str] = set()
    stay: list[str] = []
    go: list[str] = []
    by_json = JsonJudge(work, source)
    for together in _chunks(samples):
        for (key, files), goes in zip(together, _judged(source, together, by_json, beside), strict=True):
            if goes:
                removed.add(key)
            (go if goes else stay).extend(files)
    return Sorted(len(samples), frozenset(removed), stay, go)


def copy(source: Path, target: Path, names: list[str], work: Work) -> None:
    """Copy files of a folder into a new one, times and modes too."""
    target.mkdir(parents=True)
    for name in names:
        shutil.copy2(source / name, target / name)
        work.progress((target / name).stat().st_size)
    shutil.copystat(source, target)


def _judged(
    source: Path, samples: list[tuple[str, list[str]]], by_json: JsonJudge, beside: Beside | None
) -> Iterator[bool]:
    jsons = {key: f"{key}.json" for key, files in samples if f"{key}.json" in files}
    given = ((name, _content(source / name)) for name in jsons.values())
    going = dict(zip(jsons, by_json.goes(given), strict=True))
    for key, files in samples:
        if key not in going and (beside is None or key not in beside.known()):
            raise CleanError(f"{source / files[0]}: no .json beside it with its link, and no row in a .parquet")
        yield going.get(key, False) or (beside is not None and key in beside.going)


def _chunks(samples: list[tuple[str, list[str]]]) -> Iterator[list[tuple[str, list[str]]]]:
    rest = iter(samples)
    while chunk := list(islice(rest, _SAMPLES_AT_ONCE)):
        yield chunk


def _name(source: Path, entry: "os.DirEntry[str]") -> str:
    if not entry.is_file(follow_symlinks=False):
        raise CleanError(f"{source / entry.name}: not a file; only samples' files may lie in a folder of images")
    return entry.name


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_JSON)
    except OSError as error:
        raise CleanError(f"{path}: cannot be read ({error.strerror})") from None
