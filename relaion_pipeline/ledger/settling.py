"""From findings to verdicts: what every shard's rows come to, once the ledger and all other shards are heard.

To a shard's own findings this adds, for all shards at once: rows with the link of a row whose image is listed, rows
that an earlier release removed, and cover. A shard is read only where such a row must be found in it; where nothing
changed for it, its verdicts stand.
"""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa

from relaion_pipeline import database
from relaion_pipeline.database import literal
from relaion_pipeline.feeds import compiling, keys
from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.ledger import cover, hidden_links, memory, segments
from relaion_pipeline.ledger.segments import Ledger
from relaion_pipeline.provenance import SETTLING, code_version, key_of
from relaion_pipeline.screening import matching, verdicts
from relaion_pipeline.screening.findings import Record
from relaion_pipeline.screening.screen import Screener
from relaion_pipeline.screening.verdicts import (
    BIT,
    HIDDEN_BITS,
    LISTED_BITS,
    RESEARCH_BITS,
    RULE_BITS,
    VERDICTS,
    Counts,
    Header,
    Reason,
)
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards.stock import StockedShard

_FACTORS = (2, 16, 128)
"""How many candidates are drawn for each row of cover that is needed; more only if too many had links that recur."""


class SettlingError(Exception):
    """Verdicts cannot be settled; the message says what is missing and what to do."""


@dataclass(frozen=True)
class Settlement:
    """From what verdicts were settled last, and what waivers let back."""

    key: str
    returned: list[int] = field(default_factory=list)  # by waiver of the settings: rows of the ledger that may return


class _Shard(NamedTuple):
    place: int  # in the list of all shards
    shard: StockedShard
    record: Record


@dataclass(frozen=True)
class Settler:
    """Everything that verdicts depend on apart from the shards' findings."""

    root: DataRoot
    settings: Settings
    screener: Screener
    ledger: Ledger

    def key(self, shards: Sequence[StockedShard]) -> str:
        """Digest of all that the verdicts of a dataset depend on.

        Raises:
            SettlingError: a shard's findings are missing or behind.
        """
        found = [[shard.subset, shard.stem, self._key(shard, self._record(shard))] for shard in shards]
        return key_of(sorted(found), self.ledger.sha256, code_version(SETTLING))

    def stands(self, shards: Sequence[StockedShard]) -> bool:
        """Whether the verdicts were settled from findings, ledger and settings as they are now."""
        known = read_settlement(self.root)
        return known is not None and known.key == self.key(shards) and all(map(self._has_verdicts, shards))

    def settle(self, shards: Sequence[StockedShard], progress: Callable[[int], None] = lambda _: None) -> None:
        """Write the verdicts of all `shards` of the dataset; `progress` is told the rows of each that is done.

        Raises:
            SettlingError: findings are behind, or there are too few ordinary rows for cover.
        """
        if self.stands(shards):
            for shard in shards:
                progress(shard.rows)
            return
        key = self.key(shards)
        self.root.settlement.unlink(missing_ok=True)
        all_shards = [_Shard(place, shard, self._record(shard)) for place, shard in enumerate(shards)]
        with (
            database.connect(self.root, self.settings.limits) as connection,
            database.asking("settling verdicts with the ledger"),
        ):
            returned = memory.create(connection, self.ledger, self.settings, shards)
            hidden_links.create_present(connection, self.root, shards)
            hidden = hidden_links.digests(connection, len(shards))
            touched = []
            for each in all_shards:
                header = verdicts.read_header(self.root.verdicts(each.shard.subset, each.shard.stem))
                key_now = self._key(each.shard, each.record)
                if header and (header.key, header.hidden_sha256) == (key_now, hidden[each.place]):
                    progress(each.shard.rows)
                else:
                    touched.append(each)
            for each in touched:
                self._create_base(connection, each)
            chosen = self._cover(connection, touched)
            for each in touched:
                self._write(connection, each, chosen[each.place])
                progress(each.shard.rows)
        write_text(self.root.settlement, json.dumps(asdict(Settlement(key, returned))))

    def remember(self, release: str, shards: Sequence[StockedShard]) -> Ledger:
        """Append to the ledger what `release` is the first to remove. Verdicts stay settled: they hold it already."""
        settlement = read_settlement(self.root)
        assert settlement is not None  # a release is made of settled verdicts
        versions = {name: feed.version for name, feed in self.settings.feeds.items()}
        ledger = segments.append(self.root, self.ledger, release, shards, versions)
        key = replace(self, ledger=ledger).key(shards)
        write_text(self.root.settlement, json.dumps(asdict(replace(settlement, key=key))))
        return ledger

    def counts_by_subset(self, shards: Sequence[StockedShard]) -> dict[str, Counts]:
        """What the verdicts of `shards` counted."""
        counts = {subset: verdicts.no_rows(self.settings.feeds) for subset in self.settings.subsets}
        for shard in shards:
            header = verdicts.read_header(self.root.verdicts(shard.subset, shard.stem))
            if header is None:
                raise SettlingError(f"{shard.name}: no verdicts; materialise `ledger`")
            counts[shard.subset] += header.counts
        return counts

    def verdicts_key(self, shards: Sequence[StockedShard]) -> str:
        """Digest of what the verdicts of `shards` say. A release that remembers them leaves it as it was."""
        headers = [verdicts.read_header(self.root.verdicts(shard.subset, shard.stem)) for shard in shards]
        return key_of([[each.key, each.hidden_sha256, each.effect_sha256] for each in headers if each])

    def header(self, shard: StockedShard) -> Header | None:
        """The header of a shard's verdicts, if they are of its findings as they are now."""
        header = verdicts.read_header(self.root.verdicts(shard.subset, shard.stem))
        record = self.screener.stands(shard)
        return header if header and record and header.key == self._key(shard, record) else None

    def _record(self, shard: StockedShard) -> Record:
        record = self.screener.stands(shard)
        if record is None:
            raise SettlingError(
                f"{shard.name}: its findings are not of the lists, settings and code as they are now; "
                "materialise its screened slice first"
            )
        return record

    def _has_verdicts(self, shard: StockedShard) -> bool:
        return verdicts.read_header(self.root.verdicts(shard.subset, shard.stem)) is not None

    def _key(self, shard: StockedShard, record: Record) -> str:
        """Digest of all that a shard's verdicts depend on, apart from links that other shards or the ledger name."""
        return key_of(
            shard.source_sha256,
            shard.scores_sha256,
            shard.columns.model_dump(),
            record.content,
            record.not_screened_by_image,
            self.settings.removals.max_listed_share,
            [waiver.model_dump(mode="json") for waiver in self.settings.returning()],
            code_version(SETTLING),
        )

    def _rows_key(self, shard: StockedShard) -> str:
        """Digest of a shard's rows as `row`, `link_key` and `row_key` of verdicts name them."""
        salt = compiling.salt_of(self.root)
        return key_of(shard.source_sha256, shard.columns.model_dump(), salt.hex(), code_version(SETTLING))

    # One shard

    def _create_base(self, connection: duckdb.DuckDBPyConnection, each: _Shard) -> None:
        """Define `base_<place> (row, bits, feeds, forms, link_key, row_key)`: a shard's verdicts but for new cover."""
        shard, base = each.shard, _base(each)
        own = literal(str(self.root.findings(shard.subset, shard.stem)))
        connection.execute(f"CREATE TEMP VIEW {base} AS FROM read_parquet({own})")
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE lacking AS
            SELECT row_key, CASE WHEN coalesce(now.research, 0) < memory.research THEN 2 ELSE 1 END AS effect
            FROM memory LEFT JOIN (
                SELECT row_key, count(*) AS safe, count_if(bits & {RESEARCH_BITS} <> 0) AS research
                FROM {base} GROUP BY row_key
            ) AS now USING (row_key)
            WHERE subset = {literal(shard.subset)} AND shard = {literal(shard.stem)}
                AND (coalesce(now.research, 0) < memory.research OR coalesce(now.safe, 0) < memory.safe)
            """
        )
        ((lacking,),) = connection.execute("SELECT count(*) FROM lacking").fetchall()
        listed = f"(FROM {base} WHERE bits & {LISTED_BITS} <> 0)"
        if lacking or hidden_links.beyond(connection, each.place, listed):
            self._add_others(connection, each, everywhere=bool(lacking))

    def _add_others(self, connection: duckdb.DuckDBPyConnection, each: _Shard, *, everywhere: bool) -> None:
        """Make `base_<place>` a table, with the rows that only the ledger or another row speaks against.

        Reads the shard, unless the verdicts that stand name them all; `everywhere`: it is to be read in any case.
        """
        bit, base = BIT, _base(each)
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE settled AS
            WITH keyed AS ({self._keyed(connection, each, everywhere=everywhere)}), others AS (
                SELECT row, keyed.link_key, keyed.row_key, class, effect, recurring.feeds AS feeds
                FROM keyed
                LEFT JOIN (SELECT link_key, class FROM present WHERE place = {each.place}) AS here USING (link_key)
                LEFT JOIN lacking USING (row_key)
                LEFT JOIN recurring USING (link_key)
                WHERE class IS NOT NULL OR effect IS NOT NULL
            )
            SELECT row,
                (coalesce(base.bits, 0)
                | CASE WHEN coalesce(base.bits, 0) & {LISTED_BITS} <> 0 OR class IS NULL THEN 0
                    WHEN class = 'recurring' THEN {bit[Reason.SAME_LINK]}
                    WHEN class = 'cover' THEN {bit[Reason.COVER]} ELSE {bit[Reason.REMOVED_BEFORE]} END
                | CASE effect WHEN 2 THEN {bit[Reason.RULED_OUT_BEFORE]} WHEN 1 THEN {bit[Reason.UNSAFE_BEFORE]}
                    ELSE 0 END)::usmallint AS bits,
                CASE WHEN class = 'recurring' AND coalesce(base.bits, 0) & {LISTED_BITS} = 0 THEN others.feeds
                    ELSE coalesce(base.feeds, []::varchar[]) END AS feeds,
                coalesce(base.forms, []::varchar[]) AS forms,
                coalesce(base.link_key, others.link_key) AS link_key, coalesce(base.row_key, others.row_key) AS row_key
            FROM {base} AS base FULL JOIN others USING (row)
            """
        )
        connection.execute(f"DROP VIEW {base}")
        connection.execute(f"ALTER TABLE settled RENAME TO {base}")

    def _keyed(self, connection: duckdb.DuckDBPyConnection, each: _Shard, *, everywhere: bool) -> str:
        """SELECT of `row, link_key, row_key` of all rows whose link must go, or of all rows."""
        shard, salt = each.shard, compiling.salt_of(self.root)
        path = self.root.verdicts(shard.subset, shard.stem)
        header = verdicts.read_header(path)
        if header and header.rows_sha256 == self._rows_key(shard) and not everywhere:
            connection.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE named AS
                SELECT row, any_value(link_key) AS link_key, any_value(row_key) AS row_key FROM (
                    SELECT row, link_key, row_key FROM {_base(each)}
                    UNION ALL SELECT row, link_key, row_key FROM read_parquet({literal(str(path))})
                ) GROUP BY row
                """
            )
            if not hidden_links.beyond(connection, each.place, "named"):
                return "FROM named"
        matching.create_source(connection, [shard.parquet], shard.columns, frozenset())
        keyed = f"SELECT row, link, text, {keys.private_link_key_sql(salt, 'link')} AS link_key FROM source"
        if not everywhere:
            keyed = f"FROM ({keyed}) SEMI JOIN (FROM present WHERE place = {each.place}) AS here USING (link_key)"
        row_key = keys.private_row_key_sql(salt, "link", "text")
        return f"SELECT row, link_key, {row_key} AS row_key FROM ({keyed})"

    def _write(self, connection: duckdb.DuckDBPyConnection, each: _Shard, chosen: Sequence[cover.Candidate]) -> None:
        """Write a shard's verdicts. `chosen` is its new cover."""
        shard = each.shard
        table = connection.sql(f"SELECT row, bits, feeds, forms, link_key, row_key FROM {_base(each)} ORDER BY row")
        settled = table.to_arrow_table().rename_columns(VERDICTS.names).cast(VERDICTS)
        if chosen:
            settled = _with_cover(settled, chosen)
        rows, bits = settled.column("row").to_numpy(), settled.column("reasons").to_numpy()
        effect = hashlib.sha256(rows.astype("<i8").tobytes() + ((bits & RESEARCH_BITS) != 0).tobytes())
        hidden = settled.filter(pa.array((bits & HIDDEN_BITS) != 0))
        ((digest,),) = connection.execute(
            f"""
            SELECT {hidden_links.DIGEST} FROM (
                SELECT link_key, CASE WHEN link_key IN (SELECT link_key FROM recurring) THEN 'recurring'
                    WHEN bool_and(reasons & {BIT[Reason.COVER]} <> 0) THEN 'cover' ELSE 'listed' END AS class
                FROM hidden WHERE link_key IS NOT NULL GROUP BY link_key
            )
            """
        ).fetchall()
        del hidden
        header = Header(
            key=self._key(shard, each.record),
            source_sha256=shard.source_sha256,
            rows_sha256=self._rows_key(shard),
            hidden_sha256=digest,
            effect_sha256=effect.hexdigest(),
            counts=verdicts.count(settled, shard.rows, each.record.not_screened_by_image),
        )
        path = self.root.verdicts(shard.subset, shard.stem)
        make_private(path.parent)
        verdicts.write(path, settled, header)

    # Cover

    def _cover(
        self, connection: duckdb.DuckDBPyConnection, touched: Sequence[_Shard]
    ) -> dict[int, list[cover.Candidate]]:
        """Choose the cover of the shards whose verdicts change, by place."""
        share = self.settings.removals.max_listed_share
        chosen: dict[int, list[cover.Candidate]] = defaultdict(list)
        open_ones = list(touched) if share < 1 else []
        for factor in _FACTORS:
            offers: dict[int, tuple[dict[cover.Cell, int], list[cover.Candidate]]] = {}
            for each in open_ones:
                offer = self._offer(connection, each, share, factor)
                if offer is not None:
                    offers[each.place] = offer
            unique = hidden_links.unique(connection, [candidate for _, found in offers.values() for candidate in found])
            left = []
            for each in (each for each in open_ones if each.place in offers):
                wanted, found = offers[each.place]
                cover_of_shard = cover.choose(wanted, [row for row in found if row.link_key in unique])
                if cover_of_shard is None:
                    left.append(each)
                else:
                    chosen[each.place] = cover_of_shard
            open_ones = left
        if open_ones:
            subsets = ", ".join(sorted({each.shard.subset for each in open_ones}))
            raise SettlingError(
                f"{subsets}: too few ordinary rows to hide what lists remove among them, at most {share:g} of which "
                "may be listed. Release more rows together or in larger shards; or raise `max_listed_share` under "
                "[removals] in relaion.toml, knowing that it is how well a guess at a listed row does"
            )
        return chosen

    def _offer(
        self, connection: duckdb.DuckDBPyConnection, each: _Shard, share: float, factor: int
    ) -> tuple[dict[cover.Cell, int], list[cover.Candidate]] | None:
        """What cover a shard needs, and which rows may serve; None if no row newly stands out."""
        connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE exposed AS
            SELECT row, coalesce(covers, false) AS once_cover FROM {_base(each)} LEFT JOIN once_hidden USING (link_key)
            WHERE bits & {LISTED_BITS | BIT[Reason.SAME_LINK]} <> 0 AND bits & {RULE_BITS & RESEARCH_BITS} = 0
            AND coalesce(covers, true)
            """
        )
        ((rows,),) = connection.execute("SELECT count(*) FROM exposed").fetchall()
        if not rows:
            return None
        if share == 0:
            return {(False, None, None, 0): 1}, []
        shard = each.shard
        matching.create_source(connection, [shard.parquet], shard.columns, frozenset())
        salt = compiling.salt_of(self.root)
        ranked = cover.ranks(salt, shard.source_sha256, shard.rows)
        cover.create_pool(connection, _base(each), shard.columns, ranked)
        wanted = cover.needed(cover.exposed_cells(connection), share)
        return wanted, cover.candidates(connection, wanted, factor, salt)


def read_settlement(root: DataRoot) -> Settlement | None:
    """From what verdicts were settled last, or None."""
    try:
        return Settlement(**json.loads(root.settlement.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _base(each: _Shard) -> str:
    return f"base_{each.place}"


def _with_cover(settled: pa.Table, chosen: Sequence[cover.Candidate]) -> pa.Table:
    """Verdicts with the rows of `chosen` covered; some may be there already, gone from research-safe alone."""
    bits = settled.column("reasons").to_numpy().copy()
    rows = settled.column("row").to_numpy()
    covering = {candidate.row: candidate for candidate in chosen}
    bits[np.isin(rows, list(covering))] |= np.uint16(BIT[Reason.COVER])
    settled = settled.set_column(1, VERDICTS.field("reasons"), pa.array(bits))
    new = [covering[row] for row in sorted(set(covering) - set(rows.tolist()))]
    added = pa.Table.from_pydict(
        {
            "row": [candidate.row for candidate in new],
            "reasons": [BIT[Reason.COVER]] * len(new),
            "feeds": [[]] * len(new),
            "forms": [[]] * len(new),
            "link_key": [candidate.link_key for candidate in new],
            "row_key": [candidate.row_key for candidate in new],
        },
        schema=VERDICTS,
    )
    return pa.concat_tables([settled, added]).sort_by("row")
