"""Measure a release against a plain DuckDB copy of the same shards, stage by stage, and what else costs.

The baseline is what anyone would do who only wanted the same rows in new files:
`COPY (FROM read_parquet('shards')) TO 'copy' (FORMAT parquet, COMPRESSION zstd)`, shard by shard.
"""

import argparse
import shutil
from pathlib import Path

from rich.console import Console

from benchmarks import clean_cost, delta_cost, forms_cost, release_cost
from relaion_pipeline import report_tables, sample


def main() -> None:
    """Run the measurements that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("bench"), help="where data goes; kept for the next run")
    parser.add_argument("--rows", type=int, default=4_000_000)
    parser.add_argument("--hashes", type=int, default=16_200_000)
    parser.add_argument("--delta-rows", type=int, default=20_000_000, help="rows of what is released again")
    parser.add_argument("--only", choices=("release", "forms", "delta", "clean"), help="one measurement instead of all")
    chosen = parser.parse_args()
    console = Console()
    for name, rows, measurement in (
        ("release", chosen.rows, release_cost),
        ("forms", chosen.rows, forms_cost),
        ("delta", chosen.delta_rows, delta_cost),
        ("clean", chosen.rows, clean_cost),
    ):
        if chosen.only in {None, name}:
            measurement.measure(_data(chosen.folder, rows, chosen.hashes), console)


def _data(folder: Path, rows: int, hashes: int) -> Path:
    """A sample of that size, made if it is not there."""
    data = folder / f"rows-{rows}-hashes-{hashes}"
    if not (data / "relaion.toml").exists():
        shutil.rmtree(data, ignore_errors=True)
        with report_tables.bar("sample rows", rows) as advance:
            sample.generate(data, rows=rows, seed=1, hashes=hashes, progress=advance)
    return data


if __name__ == "__main__":
    main()
