"""What cleaning a copy costs, over copying it: a tar over `cp` and `sync`, metadata Parquet over a plain DuckDB copy.

Cleaning ends when its files have reached the disk, so `sync` is part of what it is held against. What is compared runs
in turns, since disks change their mind, and the fastest run of each counts. pandas is hidden from `relaion clean`:
`pip install relaion-pipeline[clean]` brings none, and pyarrow imports it (0.3 seconds) wherever it is.
"""

import io
import json
import os
import random
import shutil
import sys
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.release_cost import COPY, Cost, run
from relaion_pipeline.clean.judging import By, Judge
from relaion_pipeline.release import removal_lists
from relaion_pipeline.release.removal_lists import Head, Keys, ListWriter

_TAR_BYTES = 1 << 30
_IMAGE_BYTES = 40_000  # LAION-400M at 256 pixels: 240 million samples in 10 TB
_REMOVED_SHARE = 0.011
_SALT = "relaion:benchmark"
_TIMES = 5


def measure(data: Path, console: Console) -> None:
    """Clean the shards of `data`, and a tar of 1 GiB, of one row in ninety; print both over plain copies."""
    folder = data.with_name(f"{data.name}-clean")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shards = sorted((data / "raw").rglob("*.parquet"))
    links, texts = _pairs(shards[0])
    tar = folder / "copy" / "00000.tar"
    tar.parent.mkdir()
    _write_tar(tar, links, texts)
    _write_lists(folder / "removals", shards)
    table = Table(title=f"Cleaning, over a plain copy ({data.name})", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("", "seconds", "over the copy", "peak memory"):
        table.add_column(column, justify="left" if not column else "right")

    def add(name: str, cost: Cost, baseline: Cost) -> None:
        memory = f"{cost.peak_bytes / 2**30:.2f} GiB"
        table.add_row(name, f"{cost.seconds:.2f}", f"{cost.seconds / baseline.seconds:.2f} x", memory)

    environment = _without_pandas(folder)
    lists, out = folder / "removals", folder / "out"
    relaion = [str(Path(sys.executable).with_name("relaion")), "clean", "--removals", str(lists), "--out", str(out)]
    inside = [sys.executable, "-c", _INSIDE, str(tar), str(lists), str(out), str(folder / "seconds")]
    plain = ["sh", "-c", 'cp "$1" "$2" && sync "$2"', "sh", str(tar), str(out / "plain.tar")]
    baseline, whole, started = _fastest([plain, [*relaion, str(tar)], inside], folder, environment)
    add("cp and sync of a 1 GiB tar (baseline)", baseline, baseline)
    add("relaion clean, whole command", whole, baseline)
    add("  the same without starting Python", started, baseline)
    copies = [sys.executable, "-c", COPY, str(out), *map(str, shards)]
    baseline, whole = _fastest([copies, [*relaion, str(data / "raw")]], folder, environment)
    add("plain DuckDB zstd copy of the shards (baseline)", baseline, baseline)
    add("relaion clean", whole, baseline)
    console.print(table)
    shutil.rmtree(folder)


_INSIDE = """
import sys, time
from pathlib import Path
from relaion_pipeline import clean
copy, lists, out, told = map(Path, sys.argv[1:])
start = time.perf_counter()
clean.clean(clean.Request(copy=copy, removals=lists, out=out))
told.write_text(str(time.perf_counter() - start))
"""


def _fastest(commands: list[list[str]], folder: Path, environment: dict[str, str]) -> list[Cost]:
    """The fastest of several runs of each command, each from the same start. What a command says it took counts."""
    costs: list[list[Cost]] = [[] for _ in commands]
    told = folder / "seconds"
    for number, command in [*enumerate(commands)] * _TIMES:
        shutil.rmtree(folder / "out", ignore_errors=True)
        told.unlink(missing_ok=True)
        (folder / "out").mkdir()
        os.sync()  # what the last one left is not this one's to write
        cost = run(command, environment=environment)
        costs[number].append(replace(cost, seconds=float(told.read_text())) if told.exists() else cost)
    return [min(each, key=lambda cost: cost.seconds) for each in costs]


def _without_pandas(folder: Path) -> dict[str, str]:
    hidden = folder / "hidden"
    hidden.mkdir()
    (hidden / "pandas.py").write_text("raise ImportError")
    return os.environ | {"PYTHONPATH": os.pathsep.join([*filter(None, [os.environ.get("PYTHONPATH")]), str(hidden)])}


def _pairs(shard: Path) -> tuple[list[str], list[str]]:
    table = pq.read_table(shard, columns=["URL", "TEXT"])
    return [link or "" for link in table["URL"].to_pylist()], [text or "" for text in table["TEXT"].to_pylist()]


def _write_tar(path: Path, links: list[str], texts: list[str]) -> None:
    """As img2dataset's webdataset writer does; the bytes of images do not matter."""
    drawn = random.Random(1)  # noqa: S311
    with tarfile.open(path, "w") as tar:
        number = 0
        while tar.offset < _TAR_BYTES:
            meta = {"url": links[number], "caption": texts[number], "key": f"{number:09d}", "status": "success"}
            sample = {
                "jpg": drawn.randbytes(drawn.randint(_IMAGE_BYTES // 2, _IMAGE_BYTES * 3 // 2)),
                "json": json.dumps(meta, indent=4).encode(),
                "txt": texts[number].encode(),
            }
            for ending, content in sample.items():
                info = tarfile.TarInfo(f"{number:09d}.{ending}")
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
            number += 1


def _write_lists(folder: Path, shards: list[Path]) -> None:
    """Lists of one row in ninety, drawn by chance."""
    drawn = np.random.default_rng(1)
    keys: dict[str, list[Keys]] = {kind: [] for kind in removal_lists.KINDS}
    judge = Judge(_SALT, By.EITHER, {}, keeps=False, digest="")
    for shard in shards:
        table = pq.read_table(shard, columns=["URL", "TEXT"])
        table = table.take(np.flatnonzero(drawn.random(len(table)) < _REMOVED_SHARE))
        for kind, found in judge.keys_of(table["URL"], table["TEXT"]).items():
            keys[kind].append(found)
    for kind, found in keys.items():
        path = removal_lists.path_of(folder, "research", kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        with ListWriter(path, Head("benchmark", "research", kind, _SALT)) as writer:
            writer.write(np.unique(np.concatenate(found)))
