"""What the report shows of a release's rows: how scores are distributed, and which hosts the kept rows are from.

Gathered for each shard when its editions are written, added up when it is released. Scores are counted without
regard to lists, hosts among kept rows only: `docs/release-documents.md` says what that keeps secret.
"""

import hashlib
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline import database
from relaion_pipeline.database import literal, quoted
from relaion_pipeline.layout import RESEARCH, RESEARCH_SAFE, DataRoot, make_private, write_text, written_whole
from relaion_pipeline.links import vectorised
from relaion_pipeline.provenance import key_of
from relaion_pipeline.release import editions
from relaion_pipeline.release.editions import StagedShard
from relaion_pipeline.release.manifest import Column, HostRows, Scores, Statistics
from relaion_pipeline.screening import verdicts
from relaion_pipeline.screening.verdicts import BIT, HIDDEN_BITS, RESEARCH_BITS
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards import open_parquet, parts
from relaion_pipeline.shards.stock import StockedShard

BINS = 20
"""Bins of the score, each open below and closed above: the usual thresholds, 0.45 and 0.95, are edges of bins."""

MIN_HOST_ROWS = 10
MAX_HOSTS = 20
_DIGITS = 2  # of a host's count that are told
_FETCHED = 65_536

_ALL_BITS = sum(BIT.values())
_RULE_BITS = {RESEARCH: RESEARCH_BITS & ~HIDDEN_BITS, RESEARCH_SAFE: _ALL_BITS & ~HIDDEN_BITS}
"""What removes a row from an edition apart from lists, and what goes with them."""


@dataclass(frozen=True)
class _ShardStatistics:
    """One shard's share; private. Bins by ascending score; the last place counts rows without a score."""

    key: str  # digest of what it was counted from
    source: list[int]
    passing: dict[str, list[int]]  # edition -> rows that no rule apart from lists removes


def gather(shards: Sequence[StockedShard], settings: Settings, root: DataRoot) -> None:
    """Count the rows of `shards`, whose editions are staged, several shards at a time; what stands is left alone."""
    with ThreadPoolExecutor(database.threads(settings.limits)) as pool:
        list(pool.map(lambda shard: _gather_one(shard, settings, root), shards))


def collect(shards: Sequence[StockedShard], settings: Settings, root: DataRoot) -> Statistics:
    """The statistics of a release, gathering what is missing of them."""
    gather(shards, settings, root)
    source = [0] * (BINS + 1)
    passing = {edition: [0] * (BINS + 1) for edition in _RULE_BITS}
    for shard in shards:
        found = _read(root.score_counts(shard.subset, shard.stem))
        assert found is not None  # gathered above
        source = _added(source, found.source)
        passing = {edition: _added(bins, found.passing[edition]) for edition, bins in passing.items()}
    return Statistics(
        scores=Scores(
            source=source[:-1],
            passing={edition: bins[:-1] for edition, bins in passing.items()},
            unscored=source[-1],
        ),
        hosts=_hosts([root.host_counts(shard.subset, shard.stem) for shard in shards], settings, root),
        hosts_min_rows=MIN_HOST_ROWS,
    )


def columns(shards: Sequence[StockedShard]) -> dict[str, list[Column]]:
    """By subset the columns of its shards, in order of appearance. One that a shard lacks is still named."""
    found: dict[str, dict[str, Column]] = {}
    seen: set[tuple[str, str]] = set()
    for shard in shards:
        if (shard.subset, shard.schema_sha256) in seen:
            continue
        seen.add((shard.subset, shard.schema_sha256))
        named = found.setdefault(shard.subset, {})
        with open_parquet(shard.parquet, shard.name) as file:
            roles = {column: part for part, column in parts(shard.columns).items()}
            for field in file.schema_arrow:
                column = Column(name=field.name, type=_type_name(field.type), part=roles.get(field.name))
                named.setdefault(field.name, column)
    return {subset: list(named.values()) for subset, named in found.items()}


def uncompressed_bytes(path: Path) -> int:
    """Size of a Parquet file's pages before compression: about what it takes in memory."""
    with open_parquet(path, path.name) as file:
        return sum(file.metadata.row_group(place).total_byte_size for place in range(file.metadata.num_row_groups))


def rounded_down(rows: int) -> int:
    """A host's count as it is told: two digits, and never to less than ten."""
    unit = 10 ** max(len(str(rows)) - _DIGITS, 1)
    return int(rows // unit * unit)


def _type_name(kind: Any) -> str:
    return str(kind.value_type if pa.types.is_dictionary(kind) else kind)


def _added(left: list[int], right: list[int]) -> list[int]:
    return [a + b for a, b in zip(left, right, strict=True)]


def _read(path: Path) -> _ShardStatistics | None:
    try:
        return _ShardStatistics(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _gather_one(shard: StockedShard, settings: Settings, root: DataRoot) -> None:
    staged = editions.read_record(root, shard.subset, shard.stem)
    assert staged is not None  # written just before, or found ready
    scores_file = root.score_counts(shard.subset, shard.stem)
    hosts_file = root.host_counts(shard.subset, shard.stem)
    key = _key(staged, root)
    known = _read(scores_file)
    if known is not None and known.key == key and hosts_file.exists():
        return
    make_private(scores_file.parent)
    scores_file.unlink(missing_ok=True)
    limits = settings.limits.model_copy(update={"threads": 1})  # shards are worked on side by side
    with database.asking(f"counting rows of {shard.name}"), database.connect(root, limits) as connection:
        table = _count_hosts(connection, shard, root)
        with written_whole(hosts_file) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        counted = _count_scores(connection, shard, key, root)
    write_text(scores_file, json.dumps(asdict(counted)))


def _key(staged: StagedShard, root: DataRoot) -> str:
    """Digest of the edition files' key and of what the rules say of rows, whether or not lists say it too."""
    rows, bits = verdicts.read_rows(root.verdicts(staged.subset, staged.stem))
    ruled = bits & ~np.uint16(HIDDEN_BITS)
    effect = hashlib.sha256(rows[ruled != 0].astype("<i8").tobytes() + ruled[ruled != 0].astype("<u2").tobytes())
    return key_of(staged.key, effect.hexdigest())


def _count_scores(
    connection: duckdb.DuckDBPyConnection, shard: StockedShard, key: str, root: DataRoot
) -> _ShardStatistics:
    """Rows by bin of the score: of the source, and of those that no rule apart from lists removes."""
    claimed = literal(str(root.verdicts(shard.subset, shard.stem)))
    given = f"try_cast({quoted(shard.columns.punsafe)} AS double)" if shard.columns.punsafe else "NULL::double"
    passing = ", ".join(
        f"count_if(coalesce(reasons & {bits}, 0) = 0)" for bits in (_RULE_BITS[RESEARCH], _RULE_BITS[RESEARCH_SAFE])
    )
    rows = connection.execute(
        f"""
        SELECT bin, count(*), {passing}
        FROM (
            SELECT file_row_number AS row,
                CASE WHEN given >= 0 AND given <= 1 THEN greatest(ceil(given * {BINS}) - 1, 0) ELSE {BINS} END::integer
                AS bin
            FROM (
                SELECT file_row_number, {given} AS given
                FROM read_parquet({literal(str(shard.parquet))}, file_row_number = true, hive_partitioning = false)
            )
        ) LEFT JOIN read_parquet({claimed}) AS claimed USING (row)
        GROUP BY bin
        """
    ).fetchall()
    counted = {found: numbers for found, *numbers in rows}
    source, research, safe = ([counted.get(place, (0, 0, 0))[k] for place in range(BINS + 1)] for k in range(3))
    return _ShardStatistics(key=key, source=source, passing={RESEARCH: research, RESEARCH_SAFE: safe})


def _count_hosts(connection: duckdb.DuckDBPyConnection, shard: StockedShard, root: DataRoot) -> pa.Table:
    """Kept rows of a shard by host.

    A link is cut behind its host in SQL, so that only each distinct head is looked at, and in Python only the odd.
    """
    files = ", ".join(literal(str(root.staged(shard.subset, shard.stem, part))) for part in editions.PARTS)
    connection.execute(
        f"""
        CREATE TEMP TABLE heads AS
        SELECT regexp_extract({quoted(shard.columns.link)}::varchar, '^[^/]*/?/?[^/]*') || '/' AS head, count(*) AS rows
        FROM read_parquet([{files}], hive_partitioning = false)
        GROUP BY head
        """
    )
    plain = vectorised.is_plain("head")
    connection.execute("CREATE TEMP TABLE odd_hosts (host varchar, rows bigint)")
    odd = connection.sql(f"SELECT head, rows FROM heads WHERE head IS NOT NULL AND NOT {plain}").to_arrow_table()
    for batch in odd.to_batches(_FETCHED):
        hosts = pa.table({"host": vectorised.hosts(batch["head"]), "rows": batch["rows"]})
        connection.register("hosts_of_heads", hosts)
        connection.execute("INSERT INTO odd_hosts FROM hosts_of_heads WHERE host IS NOT NULL")
        connection.unregister("hosts_of_heads")
    return connection.sql(
        f"""
        SELECT host, sum(rows)::bigint AS rows
        FROM (SELECT {vectorised.host_sql("head")} AS host, rows FROM heads WHERE {plain} UNION ALL FROM odd_hosts)
        GROUP BY host ORDER BY host
        """
    ).to_arrow_table()


def _hosts(files: Sequence[Path], settings: Settings, root: DataRoot) -> list[HostRows]:
    """The hosts with most kept rows. Order and choice rest on what is told of the counts, not on the counts."""
    paths = ", ".join(literal(str(path)) for path in files)
    if not paths:
        return []
    with database.asking("adding up hosts"), database.connect(root, settings.limits) as connection:
        counted = connection.sql(
            f"""
            SELECT host, sum(rows)::bigint AS rows FROM read_parquet([{paths}]) GROUP BY host
            HAVING sum(rows) >= {MIN_HOST_ROWS} ORDER BY rows DESC, host LIMIT {100 * MAX_HOSTS}
            """
        ).fetchall()
    told = sorted((-rounded_down(rows), host) for host, rows in counted)[:MAX_HOSTS]
    return [HostRows(host=host, rows=-rows) for rows, host in told]
