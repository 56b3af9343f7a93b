"""What files hold, value for value: whether two files are a shard's rows but for those that verdicts name.

What belongs here: comparing whole files. What does not: asking what single rows are (`rows`).
"""

from dataclasses import dataclass
from pathlib import Path

import duckdb

from relaion_pipeline.database import literal, quoted
from relaion_pipeline.shards import open_parquet, schema_digest
from relaion_pipeline.verification.removed import Removed


@dataclass(frozen=True)
class Content:
    """How many rows, and the sum of a 64-bit hash over all their values: what they are, whatever their order."""

    rows: int
    sum_of_hashes: int

    def __add__(self, other: "Content") -> "Content":
        return Content(self.rows + other.rows, self.sum_of_hashes + other.sum_of_hashes)

    def __str__(self) -> str:
        return f"{self.rows}:{self.sum_of_hashes}"


NOTHING = Content(0, 0)


def of_file(connection: duckdb.DuckDBPyConnection, path: Path) -> Content:
    """What a file holds."""
    return _by_part(connection, path, "0", "")[0]


def divided(connection: duckdb.DuckDBPyConnection, path: Path, removed: Removed) -> tuple[Content, Content, Content]:
    """What a source file holds for the safe file, for the extra file, and what is removed."""
    connection.register("claimed", removed.as_table())
    part = "CASE WHEN claimed.row IS NULL THEN 0 WHEN NOT claimed.from_research THEN 1 ELSE 2 END"
    found = _by_part(connection, path, part, "LEFT JOIN claimed ON held.file_row_number = claimed.row")
    connection.unregister("claimed")
    return found


def schema(path: Path) -> str:
    """Digest of a file's columns: names, order, types.

    Raises:
        ShardError: it cannot be read.
    """
    with open_parquet(path, str(path)) as file:
        return schema_digest(file.schema_arrow)


def _by_part(
    connection: duckdb.DuckDBPyConnection, path: Path, part: str, claimed: str
) -> tuple[Content, Content, Content]:
    with open_parquet(path, path.name) as file:
        columns = ", ".join(f"held.{quoted(name)}" for name in file.schema_arrow.names)
    found = connection.execute(
        f"""
        SELECT {part} AS part, count(*), sum(hash({columns})::hugeint)
        FROM read_parquet({literal(str(path))}, file_row_number = true, hive_partitioning = false) AS held {claimed}
        GROUP BY part
        """
    ).fetchall()
    contents = {part: Content(rows, int(total)) for part, rows, total in found}
    safe, extra, gone = (contents.get(part, NOTHING) for part in range(3))
    return safe, extra, gone
