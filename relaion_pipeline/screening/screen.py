"""Screening: from shards and a blocklist to a verdict file for each shard."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline import database
from relaion_pipeline.feeds.blocklist import Blocklist
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import DataRoot, make_private, written_whole
from relaion_pipeline.provenance import code_version, key_of
from relaion_pipeline.screening import matching, verdicts
from relaion_pipeline.screening.keywords import Keywords
from relaion_pipeline.screening.verdicts import BIT, RESEARCH_BITS, Counts, Header, Reason
from relaion_pipeline.settings import Columns, MissingScore, Settings
from relaion_pipeline.shards.stock import StockedShard, asked_together


class ScreeningError(Exception):
    """Screening cannot answer for a shard; the message names it and what to do."""


@dataclass(frozen=True)
class Screener:
    """Everything that verdicts depend on apart from the shards."""

    root: DataRoot
    settings: Settings
    blocklist: Blocklist
    keywords: Keywords

    def key(self, shard: StockedShard) -> str:
        """Digest of all that the shard's verdicts depend on."""
        return key_of(
            shard.source_sha256,
            shard.scores_sha256,
            shard.columns.model_dump(),
            self.blocklist.digest,
            sorted(self.image_kinds(shard)),
            self.settings.nsfw.model_dump(mode="json"),
            self.keywords.digest,
            code_version(),
        )

    def image_kinds(self, shard: StockedShard) -> frozenset[Kind]:
        """Image hashes that the blocklist holds and the shard can answer for.

        Raises:
            ScreeningError: the shard cannot answer for a feed, and no waiver says that this is known.
        """
        answered = set()
        for kind, feeds in self.blocklist.feeds_by_kind.items():
            if kind not in matching.IMAGE_KINDS:
                continue
            if matching.hash_column(kind, shard.columns):
                answered.add(kind)
                continue
            for feed in feeds:
                if not self.settings.waived(feed, shard.subset):
                    raise ScreeningError(
                        f"feed '{feed}' lists {kind}, and {shard.name} has no column of it: name the column under "
                        f"[subsets.{shard.subset}.columns], or waive the feed for this subset by name:\n"
                        f'[[waivers]]\nkind = "unanswerable-feed"\nfeed = "{feed}"\nsubset = "{shard.subset}"\n'
                        f'reason = "..."\nby = "..."'
                    )
        return frozenset(answered)

    def unanswered(self, shard: StockedShard) -> bool:
        """Whether some image list cannot be compared with the shard at all (a waiver allows it)."""
        return any(
            kind in matching.IMAGE_KINDS and not matching.hash_column(kind, shard.columns)
            for kind in self.blocklist.feeds_by_kind
        )

    def screen(self, shards: Sequence[StockedShard], progress: Callable[[int], None] = lambda _: None) -> None:
        """Write verdicts of `shards`; those that stand already for the same inputs are left alone.

        `progress` is told the rows of each shard that is done.

        Raises:
            ScreeningError: one or more shards could not be screened; all others have their verdicts.
        """
        missing = []
        for shard in shards:
            header = verdicts.read_header(self.root.verdicts(shard.subset, shard.stem))
            if header is not None and header.key == self.key(shard):
                progress(shard.rows)
            else:
                missing.append(shard)
        failures: list[str] = []
        for together in asked_together(missing, lambda shard: shard):
            try:
                self._ask(together, progress)
            except database.QueryError as error:
                failures += [str(error)] if len(together) == 1 else self._ask_apart(together, progress)
        if failures:
            raise ScreeningError("\n".join(failures))

    def counts(self, shards: Sequence[StockedShard]) -> Counts:
        """Sum of what the verdicts of `shards` counted."""
        total = Counts()
        for shard in shards:
            header = verdicts.read_header(self.root.verdicts(shard.subset, shard.stem))
            if header is None:
                raise ScreeningError(f"{shard.name}: no verdicts; screen it first")
            total += header.counts
        return total

    def refuse_broad_entries(self, shards: Sequence[StockedShard]) -> None:
        """Stop where one entry matched more rows than its feed's `max_rows_per_entry`, unless a waiver names it.

        A slip in a list (the address of an empty image, of a whole host) would else remove masses; and to leave
        the entry out would publish what it may rightly list. So an operator decides.

        Raises:
            ScreeningError: names feed and number of such entries, not what they list.
        """
        files = [self.root.entry_counts(shard.subset, shard.stem) for shard in shards]
        paths = ", ".join(database.literal(str(path)) for path in files if path.exists())
        if not paths:
            return
        with database.connect(self.root, self.settings.limits) as connection, database.asking("counting rows by entry"):
            counted = connection.execute(
                f"SELECT feed, entry, sum(rows)::bigint FROM read_parquet([{paths}]) GROUP BY ALL ORDER BY ALL"
            ).fetchall()
        waived = {(feed, entry) for feed in self.settings.feeds for entry in self.settings.waived_entries(feed)}
        broad = [
            f"feed '{feed}', entry number {entry}: matches {rows:,} rows, more than max_rows_per_entry = {limit:,}"
            for feed, entry, rows in counted
            if rows > (limit := self.settings.feeds[feed].max_rows_per_entry) and (feed, entry) not in waived
        ]
        if broad:
            raise ScreeningError(
                "\n".join(broad[:10]) + "\nHave the list corrected, or accept such an entry by name:\n"
                '[[waivers]]\nkind = "quarantined-entry"\nfeed = "..."\nentry = ...\nreason = "..."\nby = "..."'
            )

    def _ask_apart(self, shards: Sequence[StockedShard], progress: Callable[[int], None]) -> list[str]:
        """Screen one by one, so that a shard that cannot be read is named and the others are done."""
        failures = []
        for shard in shards:
            try:
                self._ask([shard], progress)
            except database.QueryError as error:
                failures.append(str(error))
        return failures

    def _ask(self, shards: Sequence[StockedShard], progress: Callable[[int], None]) -> None:
        columns, image_kinds = shards[0].columns, self.image_kinds(shards[0])
        named = shards[0].name if len(shards) == 1 else f"{len(shards)} shards of {shards[0].subset}"
        with (
            database.connect(self.root, self.settings.limits) as connection,
            database.asking(f"screening {named}"),
            self.blocklist.attached(connection) as lists,
        ):
            matching.create_source(connection, [shard.parquet for shard in shards], columns, image_kinds)
            counted = matching.count_rows(connection, image_kinds)
            self._create_flags(connection, columns, image_kinds)
            matching.create_hits(connection, lists, columns)
            for place, table in _verdicts_by_shard(connection, len(shards)):
                shard = shards[place]
                self._write_entry_counts(shard, _entry_counts(connection, place))
                rows, not_screened = counted.get(place, (0, 0))
                if rows != shard.rows:
                    raise ScreeningError(f"{shard.name}: holds {rows} rows, not {shard.rows}; did it change meanwhile?")
                if self.unanswered(shard):
                    not_screened = rows
                self._write(shard, table, not_screened)
                progress(rows)

    def _create_flags(
        self, connection: duckdb.DuckDBPyConnection, columns: Columns, image_kinds: frozenset[Kind]
    ) -> None:
        """Register the table `flagged (file, row, bits)`: what speaks against rows apart from the lists."""
        keyword_bit = np.uint16(BIT[Reason.UNSAFE_KEYWORD])
        batches = [
            pa.record_batch(
                {"file": pa.array([], pa.int32()), "row": pa.array([], pa.int64()), "bits": pa.array([], pa.uint16())}
            )
        ]
        for batch in matching.flagged(connection, self.settings.nsfw, columns, image_kinds):
            with_keyword = np.fromiter(
                (self.keywords.hit(text) for text in batch["text"].to_pylist()), bool, len(batch)
            )
            bits = batch["bits"].to_numpy() | np.where(with_keyword, keyword_bit, 0).astype(np.uint16)
            batches.append(pa.record_batch({"file": batch["file"], "row": batch["row"], "bits": pa.array(bits)}))
        connection.register("flagged", pa.Table.from_batches(batches))

    def _write_entry_counts(self, shard: StockedShard, counts: pa.Table) -> None:
        path = self.root.entry_counts(shard.subset, shard.stem)
        make_private(path.parent)
        with written_whole(path) as temporary:
            pq.write_table(counts, temporary, compression="zstd")

    def _write(self, shard: StockedShard, table: pa.Table, not_screened_by_image: int) -> None:
        bits = table.column("bits").to_numpy()
        if self.settings.nsfw.missing_score is MissingScore.STOP:
            unscored = int(((bits & BIT[Reason.NO_SCORE]) != 0).sum())
            if unscored:
                raise ScreeningError(
                    f"{shard.name}: {unscored} rows have no score; add scores, or set nsfw.missing_score = 'remove' "
                    f"to leave such rows out of research-safe"
                )
        table = table.rename_columns(verdicts.VERDICTS.names).cast(verdicts.VERDICTS)
        rows = table.column("row").to_numpy()
        effect = hashlib.sha256(rows.astype("<i8").tobytes() + ((bits & RESEARCH_BITS) != 0).tobytes())
        header = Header(
            key=self.key(shard),
            source_sha256=shard.source_sha256,
            effect_sha256=effect.hexdigest(),
            counts=verdicts.count(table, shard.rows, not_screened_by_image, sorted(self.settings.feeds)),
        )
        verdicts.write(self.root.verdicts(shard.subset, shard.stem), table, header)


def _verdicts_by_shard(connection: duckdb.DuckDBPyConnection, shards: int) -> Iterator[tuple[int, pa.Table]]:
    """What lists and rules say together, a table `row, bits, feeds, forms` for each shard, rows ascending."""
    kind_bits = " ".join(f"WHEN '{kind}' THEN {BIT[reason]}" for kind, reason in verdicts.REASON_OF_KIND.items())
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE verdicts AS
        WITH listed AS (
            SELECT file, row, bit_or((CASE kind {kind_bits} END)::usmallint) AS bits,
                list_sort(list_distinct(list(feeds.name))) AS feeds,
                list_sort(list_distinct(list(form) FILTER (form <> ''))) AS forms
            FROM hits JOIN blocklist.feeds AS feeds ON feeds.id = hits.feed GROUP BY file, row
        )
        SELECT coalesce(listed.file, flagged.file) AS file, coalesce(listed.row, flagged.row) AS row,
            (coalesce(listed.bits, 0) | coalesce(flagged.bits, 0))::usmallint AS bits,
            coalesce(feeds, []::varchar[]) AS feeds, coalesce(forms, []::varchar[]) AS forms
        FROM listed FULL JOIN flagged ON listed.file = flagged.file AND listed.row = flagged.row
        """
    )
    for place in range(shards):
        query = f"SELECT row, bits, feeds, forms FROM verdicts WHERE file = {place} ORDER BY row"
        yield place, connection.sql(query).to_arrow_table()


def _entry_counts(connection: duckdb.DuckDBPyConnection, place: int) -> pa.Table:
    """A table `feed, entry, rows` of one shard: how many of its rows each entry matched."""
    counts: pa.Table = connection.sql(
        f"""
        SELECT feeds.name AS feed, entry, count(DISTINCT row) AS rows
        FROM hits JOIN blocklist.feeds AS feeds ON feeds.id = hits.feed
        WHERE file = {place} GROUP BY ALL ORDER BY ALL
        """
    ).to_arrow_table()
    return counts
