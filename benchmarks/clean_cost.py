"""What cleaning a copy costs, over copying it: a tar over `cp`, metadata Parquet over a plain DuckDB copy."""

import io
import json
import random
import shutil
import sys
import tarfile
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

    relaion = [str(Path(sys.executable).with_name("relaion")), "clean"]
    how = ["--removals", str(folder / "removals"), "--out", str(folder / "out")]
    script = 'cp "$1" "$2" && sync "$2"'  # cleaning waits for the disk, too
    plain = _best(["sh", "-c", script, "sh", str(tar), str(folder / "plain.tar")], folder)
    add("cp and sync of a 1 GiB tar (baseline)", plain, plain)
    add("relaion clean, whole command", _best([*relaion, str(tar), *how], folder), plain)
    add("  the same without starting Python", _best_inside(tar, folder), plain)
    copies = [sys.executable, "-c", COPY, str(folder / "out"), *map(str, shards)]
    plain = _best(copies, folder)
    add("plain DuckDB zstd copy of the shards (baseline)", plain, plain)
    add("relaion clean", _best([*relaion, str(data / "raw"), *how], folder), plain)
    console.print(table)
    shutil.rmtree(folder)


def _best(command: list[str], folder: Path) -> Cost:
    """The fastest of several runs, each from the same start; the first one brings the input into memory."""
    costs = []
    for _ in range(_TIMES):
        shutil.rmtree(folder / "out", ignore_errors=True)
        (folder / "out").mkdir()
        costs.append(run(command))
    return min(costs, key=lambda cost: cost.seconds)


def _best_inside(tar: Path, folder: Path) -> Cost:
    code = (
        "import sys, time; from pathlib import Path; from relaion_pipeline import clean\n"
        "copy, lists, out = map(Path, sys.argv[1:]); start = time.perf_counter()\n"
        "clean.clean(clean.Request(copy=copy, removals=lists, out=out)); print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code, str(tar), str(folder / "removals"), str(folder / "out")]
    costs = []
    for _ in range(_TIMES):
        shutil.rmtree(folder / "out", ignore_errors=True)
        with (folder / "seconds").open("w") as seconds:
            cost = run(command, seconds)
        costs.append(Cost(float((folder / "seconds").read_text()), cost.peak_bytes))
    return min(costs, key=lambda cost: cost.seconds)


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
