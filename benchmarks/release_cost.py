"""What a first release costs, over a plain copy of the same shards."""

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import dagster as dg
from rich import box
from rich.console import Console
from rich.table import Table

COPY = """
import sys, duckdb
from pathlib import Path
connection = duckdb.connect()
for number, shard in enumerate(sys.argv[2:]):
    target = str(Path(sys.argv[1]) / f"{number}.parquet")
    connection.execute(f"COPY (FROM read_parquet('{shard}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
"""

# A process counts as its own what the one that started it had: so this small one starts all that is measured.
_LAUNCHER = """
import json, resource, subprocess, sys, time
start = time.perf_counter()
status = subprocess.call(sys.argv[2:])
seconds = time.perf_counter() - start
peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
with open(sys.argv[1], "w") as told:
    json.dump({"seconds": seconds, "peak_bytes": peak}, told)
sys.exit(status)
"""


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    seconds: float
    peak_bytes: int


def measure(data: Path, console: Console) -> None:
    """Release `data` from scratch, and print each stage's time over that of the copy."""
    shards = sorted(str(path) for path in (data / "raw").rglob("*.parquet"))
    copy = data.with_name(f"{data.name}-copy")
    copy.mkdir(exist_ok=True)
    run([sys.executable, "-c", COPY, str(copy), *shards])  # once unmeasured, so that both find the files in memory
    baseline = run([sys.executable, "-c", COPY, str(copy), *shards])
    shutil.rmtree(copy)
    for name in ("private", "releases", "dagster_home"):
        shutil.rmtree(data / name, ignore_errors=True)
    relaion = str(Path(sys.executable).with_name("relaion"))
    whole = run([relaion, "release", "--data", str(data)])
    again = run([relaion, "release", "--data", str(data)])
    table = Table(
        title=f"A first release of {data.name}, {os.cpu_count()} cores", box=box.SIMPLE_HEAD, title_justify="left"
    )
    for column in ("", "seconds", "over the copy", "peak memory"):
        table.add_column(column, justify="left" if not column else "right")

    def add(name: str, seconds: float, peak: int | None = None, style: str | None = None) -> None:
        memory = f"{peak / 2**30:.2f} GiB" if peak is not None else ""
        table.add_row(name, f"{seconds:.1f}", f"{seconds / baseline.seconds:.2f} x", memory, style=style)

    add("plain DuckDB zstd copy (baseline)", baseline.seconds, baseline.peak_bytes)
    took = stages(data)
    for stage, seconds in took.items():
        add(f"  {stage}", seconds)
    add("  start and orchestration", whole.seconds - sum(took.values()))
    add("relaion release", whole.seconds, whole.peak_bytes, style="bold")
    add("relaion release, nothing changed", again.seconds, again.peak_bytes)
    console.print(table)


def run(command: list[str], output: IO[str] | None = None, environment: Mapping[str, str] | None = None) -> Cost:
    """Run a command to its end: wall-clock time, and the largest resident size that a process of it had."""
    with tempfile.NamedTemporaryFile("r") as told:
        launcher = [sys.executable, "-S", "-c", _LAUNCHER, told.name, *command]
        done = subprocess.run(  # noqa: S603
            launcher, stdout=output or subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment, check=False
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(command[:4])} failed:\n{done.stderr.decode(errors='replace')[-2_000:]}")
        return Cost(**json.load(told))


def stages(data: Path) -> dict[str, float]:
    """Seconds of the last run's steps, by what the steps do."""
    with dg.DagsterInstance.from_config(str((data / "dagster_home").absolute())) as instance:
        (run_record,) = instance.get_run_records(limit=1)
        found: dict[str, float] = defaultdict(float)
        for stats in instance.get_run_step_stats(run_record.dagster_run.run_id):
            if stats.start_time and stats.end_time:
                found[_stage(stats.step_key)] += stats.end_time - stats.start_time
        return dict(found)


def _stage(step: str) -> str:
    """`2B_en__screened_00` to `screened`, `feeds__c3p_images` to `feeds`; anything else stays."""
    group, _, name = step.rpartition("__")
    stage, _, number = name.rpartition("_")
    return stage if number.isdigit() else group or name
