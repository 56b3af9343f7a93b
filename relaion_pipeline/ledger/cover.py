"""Cover: ordinary rows that are removed along with listed ones, so that whoever compares releases learns little.

A row that a list names and no public rule removes stands out: it was there, and is gone. So that at most a set share
of such rows is listed, others like them go too, for good: of the same shard, as near in score, top-level domain and
length of text as there are. Which ones, a keyed hash decides. `docs/cover.md` gives promise, limits and arithmetic.
"""

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import duckdb

from relaion_pipeline.feeds import keys
from relaion_pipeline.screening.verdicts import BIT, RESEARCH_BITS
from relaion_pipeline.settings import Columns

SCORE_BINS = 20
"""Bins of the score in which rows count as alike: the usual thresholds, 0.45 and 0.95, are edges of bins."""

Cell = tuple[bool, str | None, str | None, int]
"""What makes rows alike: whether research-safe lacks them, bin of the score or tag, top-level domain, length of text
(the logarithm to base 2)."""

LEVELS = (4, 3, 2, 1)
"""How much of a cell counts, from all of it on: where too few rows are quite alike, the end is dropped."""

NEAR_LEVELS = (4, 3, 2)
"""Levels at which rows share the score. For these, links and texts of other rows need not be looked at."""

_NAMES = ("lacks_safe", "score", "domain", "length")
_ONLY_FROM_SAFE_BITS = sum(BIT.values()) - RESEARCH_BITS
_SURPLUS = 8  # candidates beyond what is needed, since some will have a link that occurs twice


@dataclass(frozen=True)
class Candidate:
    """An ordinary row that may serve as cover."""

    row: int
    link_key: int
    row_key: int
    cell: Cell
    rank: int  # by the keyed hash; lowest first


def needed(exposed: Mapping[Cell, tuple[int, int]], share: float) -> dict[Cell, int]:
    """How many ordinary rows each cell needs, so that `exposed` ones are at most `share` of both together.

    Each cell says how many rows stand out, and how many of them were cover themselves: they cover nothing any more.
    """
    return {cell: math.ceil(rows / share) - rows + once_cover for cell, (rows, once_cover) in exposed.items()}


def create_pool(
    connection: duckdb.DuckDBPyConnection, base: str, columns: Columns, salt: bytes, levels: Sequence[int]
) -> None:
    """Fill `alike (row, link_key, row_key, rank, lacks_safe, score, domain, length, bits)` from the view `source`.

    It gets the rows of `exposed` and those that are like one of them at one of `levels`. The relation `base (row,
    bits)` says which rows go already. Reads the shard.
    """
    given = "try_cast(punsafe AS double)"
    score = f"CASE WHEN {given} >= 0 AND {given} <= 1 THEN ceil({given} * {SCORE_BINS})::varchar END"
    tag = "upper(trim(nsfw))" if columns.nsfw else "NULL::varchar"
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE cells AS
        SELECT row, coalesce(bits, 0) AS bits, coalesce(bits, 0) & {_ONLY_FROM_SAFE_BITS} <> 0 AS lacks_safe,
            coalesce({score}, {tag}) AS score
        FROM source LEFT JOIN (SELECT row, bits FROM {base}) AS going USING (row)
        """
    )
    names = _NAMES[: min(*levels, 2)]
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE sought AS "
        f"SELECT DISTINCT {', '.join(names)} FROM cells SEMI JOIN exposed USING (row)"
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE pool AS FROM cells
        WHERE row IN (SELECT row FROM exposed) OR bits & {RESEARCH_BITS} = 0
        AND EXISTS (FROM sought WHERE {" AND ".join(_same("cells", "sought", name) for name in names)})
        """
    )
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE alike AS
        SELECT row, {keys.private_link_key_sql(salt, "link")} AS link_key,
            {keys.private_row_key_sql(salt, "link", "text")} AS row_key,
            {keys.private_cover_rank_sql(salt, "link")} AS rank, lacks_safe, score,
            lower(split_part(regexp_extract(link, '^[^/]*//([^/?#:]*)', 1), '.', -1)) AS domain,
            floor(log2(1 + coalesce(length(text), 0)))::integer AS length, bits
        FROM source JOIN pool USING (row) WHERE link IS NOT NULL
        """
    )


def exposed_cells(connection: duckdb.DuckDBPyConnection) -> dict[Cell, tuple[int, int]]:
    """How many rows of each cell stand out, and were cover: the table `exposed (row, once_cover)` names them."""
    counted = connection.execute(
        "SELECT lacks_safe, score, domain, length, count(*), count_if(once_cover) "
        "FROM alike JOIN exposed USING (row) GROUP BY ALL"
    ).fetchall()
    return {(safe, score, domain, length): (rows, cover) for safe, score, domain, length, rows, cover in counted}


def candidates(
    connection: duckdb.DuckDBPyConnection, wanted: Mapping[Cell, int], levels: Sequence[int], factor: int
) -> Iterator[Candidate]:
    """Ordinary rows of `alike` with the lowest ranks: `factor` times what is `wanted`, at each of `levels`.

    Their links occur once in `alike`, and for no other reason do they go from research.
    """
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE ordinary AS SELECT * FROM alike WHERE bits & {RESEARCH_BITS} = 0 "
        "QUALIFY count(*) OVER (PARTITION BY link_key) = 1"
    )
    seen: set[int] = set()
    for level in levels:
        values = Counter[tuple[object, ...]]()
        for cell, rows in wanted.items():
            values[cell[:level]] += rows
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE wanted (lacks_safe boolean, score varchar, domain varchar, length integer, "
            "most bigint)"
        )
        connection.executemany(
            "INSERT INTO wanted VALUES (?, ?, ?, ?, ?)",
            [[*cell, *[None] * (4 - level), rows * factor + _SURPLUS] for cell, rows in values.items()],
        )
        alike = " AND ".join(_same("ordinary", "wanted", name) for name in _NAMES[:level])
        found = connection.execute(
            f"""
            SELECT row, link_key, row_key, lacks_safe, score, domain, length, rank FROM (
                SELECT ordinary.*, most, row_number() OVER (
                    PARTITION BY {", ".join(f"ordinary.{name}" for name in _NAMES[:level])} ORDER BY rank, row
                ) AS place
                FROM ordinary JOIN wanted ON {alike}
            ) WHERE place <= most
            """
        ).fetchall()
        for row, link_key, row_key, lacks_safe, score, domain, length, rank in found:
            if row not in seen:
                seen.add(row)
                yield Candidate(row, link_key, row_key, (lacks_safe, score, domain, length), rank)


def choose(
    wanted: Mapping[Cell, int], offered: Iterable[Candidate], levels: Sequence[int] = LEVELS
) -> list[Candidate] | None:
    """The cover: for each cell as many rows as it needs, the most alike first. None if too few are like at `levels`."""
    left = sorted(offered, key=lambda candidate: (candidate.rank, candidate.row))
    lacking = Counter[tuple[object, ...]](wanted)
    chosen: list[Candidate] = []
    for level in levels:
        need = Counter[tuple[object, ...]]()
        for cell, rows in lacking.items():
            need[cell[:level]] += rows
        rest = []
        for candidate in left:
            if need[candidate.cell[:level]] > 0:
                need[candidate.cell[:level]] -= 1
                chosen.append(candidate)
            else:
                rest.append(candidate)
        left, lacking = rest, +need
    return None if lacking else chosen


def _same(left: str, right: str, name: str) -> str:
    return f"{left}.{name} IS NOT DISTINCT FROM {right}.{name}"
