"""What a re-release costs when a list of 10,000 hashes comes in that names ten rows, over the release before it."""

import os
import secrets
import shutil
import sys
from pathlib import Path

import pyarrow.parquet as pq
from rich import box
from rich.console import Console
from rich.table import Table

from benchmarks.release_cost import Cost, run, stages

HASHES = 10_000
MATCHES = 10

_FEED = """
[feeds.incoming]
partner = "Benchmark"
version = "{version}"
files = "feeds/incoming/{version}.txt"
kind = "image"
hash = "md5"
"""


def measure(data: Path, console: Console) -> None:
    """Release `data` from scratch unless that stands, then again with new lists; print the second over the first.

    Two lists: one whose matches lie in as many shards as there are matches, one whose matches lie in a single shard.
    """
    settings = data / "relaion.toml"
    before = settings.read_text(encoding="utf-8").split("\n[feeds.incoming]")[0] + "\n"
    settings.write_text(before, encoding="utf-8")
    for name in ("private", "releases", "dagster_home"):
        shutil.rmtree(data / name, ignore_errors=True)
    full, full_engine = _release(data)
    table = Table(
        title=f"Re-releases of {data.name}, {os.cpu_count()} cores", box=box.SIMPLE_HEAD, title_justify="left"
    )
    for column in ("", "shards rewritten", "seconds", "engine", "whole over full", "engine over full", "peak memory"):
        table.add_column(column, justify="left" if not column else "right")

    def add(name: str, cost: Cost, engine: float, rewritten: int) -> None:
        memory = f"{cost.peak_bytes / 2**30:.2f} GiB"
        shares = f"{cost.seconds / full.seconds:.3f} x", f"{engine / full_engine:.3f} x"
        table.add_row(name, str(rewritten), f"{cost.seconds:.1f}", f"{engine:.1f}", *shares, memory)

    shards = sorted((data / "raw").rglob("*.parquet"))
    add("first release (baseline)", full, full_engine, len(shards))
    spread = dict.fromkeys(shards[:: max(len(shards) // MATCHES, 1)][:MATCHES], 1)
    for version, wanted in (("one-shard", {shards[0]: MATCHES}), ("ten-shards", spread)):
        _write_list(data, version, wanted)
        settings.write_text(before + _FEED.format(version=version), encoding="utf-8")
        staged = {path: path.stat().st_mtime_ns for path in (data / "private" / "staged").rglob("*.json")}
        cost, engine = _release(data)
        rewritten = sum(path.stat().st_mtime_ns != written for path, written in staged.items())
        add(f"10,000 hashes, {sum(wanted.values())} matches in {len(wanted)} shards", cost, engine, rewritten)
        console.print("   ".join(f"{stage} {seconds:.1f} s" for stage, seconds in stages(data).items()))
    console.print(table)
    raw = sum(shard.stat().st_size for shard in shards)
    index = sum(path.stat().st_size for path in (data / "private" / "index").rglob("*.parquet"))
    console.print(f"Index: {index / 2**20:,.0f} MiB, {index / raw:.0%} of the shards' bytes")


def _release(data: Path) -> tuple[Cost, float]:
    """Cost of the command, and the seconds that its steps took."""
    cost = run([str(Path(sys.executable).with_name("relaion")), "release", "--data", str(data)])
    return cost, sum(stages(data).values())


def _write_list(data: Path, version: str, wanted: dict[Path, int]) -> None:
    """A list of random hashes and, for each shard, of as many of its rows that nothing else removes."""
    hashes = [secrets.token_hex(16) for _ in range(HASHES - sum(wanted.values()))]
    for shard, count in wanted.items():
        verdicts = data / "private" / "verdicts" / shard.parent.name / shard.name
        gone = set(pq.read_table(verdicts, columns=["row"])["row"].to_pylist())
        md5 = pq.read_table(shard, columns=["md5"])["md5"].to_pylist()
        hashes += [each for row, each in enumerate(md5) if each and row not in gone][:count]
    path = data / "feeds" / "incoming" / f"{version}.txt"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{each}\n" for each in hashes), encoding="utf-8")
    path.chmod(0o600)
