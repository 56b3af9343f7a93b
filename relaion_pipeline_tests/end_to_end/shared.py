"""Running the command line, and looking at what it leaves, without a line of the product's own reading code."""

import csv
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from click.testing import CliRunner, Result

from relaion_pipeline.cli import main
from relaion_pipeline.screening.verdicts import BIT, LISTED_BITS, Reason

VERSION = "2026-01-02.001"
EDITIONS = ("research", "research-safe")

Row = tuple[str, str, int]
"""Subset, shard's stem, row number."""

COMMAND = [sys.executable, "-c", "from relaion_pipeline.cli import main; main()"]


def run(*arguments: object, stdin: str | None = None) -> Result:
    """Run `relaion` in this process: imports are paid once. Its tables break no lines."""
    return CliRunner(env={"COLUMNS": "2000"}).invoke(main, [str(each) for each in arguments], input=stdin)


def run_apart(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `relaion` in a process of its own."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, check=False)


def start(*arguments: object) -> subprocess.Popen[str]:
    """Start `relaion` in a process of its own, and go on."""
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def release(data_root: Path, *, version: str | None = None) -> Result:
    return run("release", "--data", data_root, *(["--version", version] if version else []))


def verify(data_root: Path) -> Result:
    return run("verify", "--data", data_root)


def edit_settings(data_root: Path, old: str, new: str) -> None:
    path = data_root / "relaion.toml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def current(data_root: Path) -> Path:
    return (data_root / "releases" / "current").resolve()


def manifest(data_root: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((current(data_root) / "manifest.json").read_text(encoding="utf-8"))
    return content


def tree_digest(folder: Path) -> str:
    """Digest over names, modes, bytes and targets of everything below `folder`."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        what = b""
        if path.is_symlink():
            what = str(path.readlink()).encode()
        elif path.is_file():
            what = hashlib.sha256(path.read_bytes()).digest()
        digest.update(f"{path.relative_to(folder)}\0{path.lstat().st_mode:o}\0".encode() + what + b"\0")
    return digest.hexdigest()


def sources(data_root: Path) -> Iterator[tuple[str, str, pa.Table]]:
    """Subset, stem and rows of every shard of a generated sample."""
    for path in sorted((data_root / "raw").glob("*/*.parquet")):
        yield path.parent.name, path.stem, pq.read_table(path)


def published(data_root: Path, subset: str, stem: str) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Rows of a shard in research-safe, in research where research-safe has them too, and in research alone."""
    folder = current(data_root)
    names = (
        f"research-safe/{subset}/{stem}.parquet",
        f"research/{subset}/{stem}.parquet",
        f"research/{subset}/{stem}.extra.parquet",
    )
    return tuple(pq.ParquetFile(folder / name).read() for name in names)  # type: ignore[return-value]


def verdicts(data_root: Path, subset: str, stem: str) -> tuple[dict[int, list[str]], dict[str, Any]]:
    """A shard's verdicts, row to names of feeds that list it, and what the file says of itself."""
    table = pq.read_table(data_root / "private" / "verdicts" / subset / f"{stem}.parquet")
    header = json.loads(table.schema.metadata[b"relaion.verdicts"])
    return {
        row: feeds if reasons & LISTED_BITS else []
        for row, reasons, feeds in zip(*(table[name].to_pylist() for name in ("row", "reasons", "feeds")), strict=True)
    }, header


def rows_with_reason(data_root: Path, subset: str, stem: str, reason: Reason) -> set[int]:
    """Rows of a shard whose verdict gives this reason, and no earlier one."""
    table = pq.read_table(data_root / "private" / "verdicts" / subset / f"{stem}.parquet", columns=["row", "reasons"])
    below = BIT[reason] - 1
    return {
        row
        for row, bits in zip(table["row"].to_pylist(), table["reasons"].to_pylist(), strict=True)
        if bits & BIT[reason] and not bits & below
    }


def truth(path: Path) -> dict[str, set[Row]]:
    """Feed to the rows that it lists, as the sample's answer sheet has them."""
    found: dict[str, set[Row]] = {}
    for each in pq.read_table(path).to_pylist():
        found.setdefault(each["feed"], set()).add((each["subset"], each["shard"], each["row"]))
    return found


def entries(data_root: Path) -> set[str]:
    """Every entry of a generated sample's lists."""
    found: set[str] = set()
    for path in (data_root / "feeds").rglob("*"):
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                found |= {next(iter(line.values())) for line in csv.DictReader(file)}
        elif path.is_file():
            found |= set(path.read_text(encoding="utf-8").splitlines())
    return found


def same_rows(left: pa.Table, right: pa.Table) -> bool:
    """Whether two tables hold the same rows in the same order, bit for bit: a NaN is the same NaN."""
    return left.schema.equals(right.schema, check_metadata=True) and _bits(left).equals(_bits(right))


def _bits(table: pa.Table) -> pa.Table:
    views = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}
    columns = [column.combine_chunks() for column in table.columns]
    return pa.table([column.view(views.get(column.type, column.type)) for column in columns], names=table.column_names)
