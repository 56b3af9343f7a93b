"""Cover: ordinary rows that are removed along with listed ones, so that whoever compares releases learns little.

A row that a list names and no public rule removes stands out: it was there, and is gone. So that at most a set share
of such rows is listed, others like them go too, for good: of the same shard, as near in score, top-level domain and
length of text as there are. Which ones, a keyed pseudorandom function decides. `docs/cover.md` gives promise, limits
and arithmetic.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

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

_ONLY_FROM_SAFE_BITS = sum(BIT.values()) - RESEARCH_BITS
_SURPLUS = 8  # candidates beyond what is needed, since some will have a link that occurs twice


@dataclass(frozen=True)
class Candidate:
    """An ordinary row that may serve as cover."""

    row: int
    link_key: int
    row_key: int
    cell: Cell
    rank: int  # see `ranks`


def needed(exposed: Mapping[Cell, tuple[int, int]], share: float) -> dict[Cell, int]:
    """How many ordinary rows each cell needs, so that `exposed` ones are at most `share` of both together.

    Each cell says how many rows stand out, and how many of them were cover themselves: they cover nothing any more.
    """
    return {cell: math.ceil(rows / share) - rows + once_cover for cell, (rows, once_cover) in exposed.items()}


def ranks(salt: bytes, shard_sha256: str, rows: int) -> npt.NDArray[np.uint64]:
    """The order in which rows of a shard are drawn, lowest first, shape (rows,): ChaCha20's key stream (RFC 8439).

    A stream cipher is a keyed pseudorandom function of the place in its stream; the key is of salt and shard.
    """
    key = hashlib.sha256(f"{salt.hex()}:cover:{shard_sha256}".encode()).digest()
    stream = Cipher(algorithms.ChaCha20(key, nonce=bytes(16)), mode=None).encryptor().update(bytes(8 * rows))
    return np.frombuffer(stream, dtype="<u8")


def create_pool(
    connection: duckdb.DuckDBPyConnection, base: str, columns: Columns, ranked: npt.NDArray[np.uint64]
) -> None:
    """Fill `alike (row, rank, lacks_safe, score, domain, length, bits)` with the rows of the view `source`.

    The relation `base (row, bits)` says which rows go already. Reads the shard.
    """
    given = "try_cast(punsafe AS double)"
    score = f"CASE WHEN {given} >= 0 AND {given} <= 1 THEN ceil({given} * {SCORE_BINS})::varchar END"
    tag = "upper(trim(nsfw))" if columns.nsfw else "NULL::varchar"
    connection.register("ranks", pa.table({"row": np.arange(len(ranked)), "rank": ranked}))
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE alike AS
        SELECT row, rank, coalesce(bits, 0) & {_ONLY_FROM_SAFE_BITS} <> 0 AS lacks_safe,
            coalesce({score}, {tag}) AS score,
            lower(split_part(regexp_extract(link, '^[^/]*//([^/?#:]*)', 1), '.', -1)) AS domain,
            floor(log2(1 + coalesce(length(text), 0)))::integer AS length,
            coalesce(bits, 0) AS bits
        FROM source JOIN ranks USING (row) LEFT JOIN (SELECT row, bits FROM {base}) AS going USING (row)
        WHERE link IS NOT NULL
        """
    )
    connection.unregister("ranks")


def exposed_cells(connection: duckdb.DuckDBPyConnection) -> dict[Cell, tuple[int, int]]:
    """How many rows of each cell stand out, and were cover: the table `exposed (row, once_cover)` names them."""
    counted = connection.execute(
        "SELECT lacks_safe, score, domain, length, count(*), count_if(once_cover) "
        "FROM alike JOIN exposed USING (row) GROUP BY ALL"
    ).fetchall()
    return {(safe, score, domain, length): (rows, cover) for safe, score, domain, length, rows, cover in counted}


def candidates(
    connection: duckdb.DuckDBPyConnection, wanted: Mapping[Cell, int], factor: int, salt: bytes
) -> list[Candidate]:
    """Ordinary rows of `alike` with the lowest ranks: `factor` times what is `wanted`, at every level of likeness."""
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE offered (row bigint, lacks_safe boolean, score varchar, domain varchar, "
        "length integer, rank ubigint)"
    )
    names = ("lacks_safe", "score", "domain", "length")
    for level in LEVELS:
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
        same = " AND ".join(f"alike.{name} IS NOT DISTINCT FROM wanted.{name}" for name in names[:level])
        connection.execute(
            f"""
            INSERT INTO offered SELECT row, lacks_safe, score, domain, length, rank FROM (
                SELECT alike.*, most, row_number() OVER (
                    PARTITION BY {", ".join(f"alike.{name}" for name in names[:level])} ORDER BY rank, row
                ) AS place
                FROM alike JOIN wanted ON {same} WHERE bits & {RESEARCH_BITS} = 0
            ) WHERE place <= most
            """
        )
    found = connection.execute(
        f"""
        SELECT row, {keys.private_link_key_sql(salt, "link")}, {keys.private_row_key_sql(salt, "link", "text")},
            lacks_safe, score, domain, length, rank
        FROM source JOIN (SELECT DISTINCT * FROM offered) AS offered USING (row)
        """
    ).fetchall()
    return [
        Candidate(row, link_key, row_key, (lacks_safe, score, domain, length), rank)
        for row, link_key, row_key, lacks_safe, score, domain, length, rank in found
    ]


def choose(wanted: Mapping[Cell, int], offered: Iterable[Candidate]) -> list[Candidate] | None:
    """The cover: for each cell as many rows as it needs, the most alike first. None if there are too few."""
    left = sorted(offered, key=lambda candidate: (candidate.rank, candidate.row))
    lacking = Counter[tuple[object, ...]](wanted)
    chosen: list[Candidate] = []
    for level in LEVELS:
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
