"""What screening pays for each spelling in which links are matched against hashed lists."""

import time
from pathlib import Path

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from relaion_pipeline.feeds import keys
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.links import rows, vectorised

_ROWS = 1_000_000


def measure(data: Path, console: Console) -> None:
    """Hash a million links of `data` in each form, and print the time over hashing them as they are."""
    connection = duckdb.connect()
    shards = str(data / "raw" / "2B-en" / "*.parquet")
    connection.execute(
        f"CREATE TABLE source AS SELECT 0 AS file, row_number() OVER () AS row, URL AS link "
        f"FROM read_parquet(?) WHERE URL IS NOT NULL LIMIT {_ROWS}",
        [shards],
    )
    total, plain = connection.execute(f"SELECT count(*), count_if({rows.PLAIN}) FROM source").fetchone() or (0, 0)
    table = Table(
        title=f"MD5 of {total:,} links, {plain / total:.1%} of them plain", box=box.SIMPLE_HEAD, title_justify="left"
    )
    for column in ("form", "seconds", "over exact"):
        table.add_column(column, justify="left" if column == "form" else "right")
    exact = _time(connection, ["exact"])
    table.add_row("exact (baseline)", f"{exact:.2f}", "1.0 x")
    for name in ("no_scheme", "https", "www", "no_www", "slash", "no_slash", "canonical", "threatexchange"):
        seconds = _time(connection, [name])
        table.add_row(name, f"{seconds:.2f}", f"{seconds / exact:.1f} x")
    everything = _time(connection, None)
    table.add_row(
        "every form, as undeclared feeds need", f"{everything:.2f}", f"{everything / exact:.1f} x", style="bold"
    )
    odd = connection.sql(f"SELECT link FROM source WHERE NOT {rows.PLAIN} LIMIT 20_000").to_arrow_table()["link"]
    start = time.perf_counter()
    vectorised.expand(odd.combine_chunks())
    each = (time.perf_counter() - start) / max(len(odd), 1)
    table.add_row("every form of the links that are not plain", f"{each * (total - plain):.2f}", "")
    console.print(table)


def _time(connection: duckdb.DuckDBPyConnection, names: list[str] | None) -> float:
    def key(spelling: str) -> str:
        return keys.link_key_sql(Kind.LINK_MD5, spelling)

    start = time.perf_counter()
    connection.execute(f"SELECT max(key) FROM ({rows.keys_in_sql('source', names, key)})").fetchall()
    return time.perf_counter() - start
