"""Screening: from shards and a blocklist to findings for each shard, at the cost of what changed.

A shard is read when its rows or the rules changed. When only lists changed, its index is asked; it is read, and then
only to find the rows, if the entries that can name a row of it are not those of before.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa

from relaion_pipeline import database
from relaion_pipeline.feeds.blocklist import Blocklist, kind_id
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.provenance import SCREENING, code_version, key_of
from relaion_pipeline.screening import breadth, findings, index, matching
from relaion_pipeline.screening.findings import FINDINGS, Record
from relaion_pipeline.screening.index import IMAGE_KINDS, Question
from relaion_pipeline.screening.keywords import Keywords
from relaion_pipeline.screening.verdicts import BIT, LISTED_BITS, RULE_BITS, Reason
from relaion_pipeline.settings import Columns, MissingScore, Settings
from relaion_pipeline.shards.stock import StockedShard, asked_together

_Known = tuple[StockedShard, Record | None]

_NO_HITS = ""
"""Digest of no entries; see `_digest_sql`."""


class ScreeningError(Exception):
    """Screening cannot answer for a shard; the message names it and what to do."""


@dataclass(frozen=True)
class Screener:
    """Everything that findings depend on apart from the shards."""

    root: DataRoot
    settings: Settings
    blocklist: Blocklist
    keywords: Keywords

    def rules(self, shard: StockedShard) -> str:
        """Digest of all that the shard's findings depend on, apart from lists."""
        return key_of(
            shard.source_sha256,
            shard.scores_sha256,
            shard.columns.model_dump(),
            self.settings.nsfw.model_dump(mode="json"),
            self.keywords.digest,
            code_version(SCREENING),
        )

    def key(self, shards: Sequence[StockedShard]) -> str:
        """Digest of all that the findings of `shards` depend on."""
        return key_of([self.rules(shard) for shard in shards], self.blocklist.keys_by_feed)

    def stands(self, shard: StockedShard) -> Record | None:
        """The record of the shard's findings, if they answer for rows, rules and lists as they are now."""
        record = findings.read_record(self.root, shard.subset, shard.stem)
        if record is None or not self._same_rows_and_rules(shard, record):
            return None
        return record if record.lists == self.blocklist.keys_by_feed else None

    def image_kinds(self, shard: StockedShard) -> frozenset[Kind]:
        """Image hashes that the blocklist holds and the shard can answer for.

        Raises:
            ScreeningError: the shard cannot answer for a feed, and no waiver says that this is known.
        """
        answered = set()
        for kind, feeds in self.blocklist.feeds_by_kind.items():
            if kind not in IMAGE_KINDS:
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
            kind in IMAGE_KINDS and not matching.hash_column(kind, shard.columns)
            for kind in self.blocklist.feeds_by_kind
        )

    def screen(self, shards: Sequence[StockedShard], progress: Callable[[int], None] = lambda _: None) -> None:
        """Write the findings of `shards`; those that stand already for the same inputs are left alone.

        `progress` is told the rows of each shard that is done.

        Raises:
            ScreeningError: one or more shards could not be screened; all others have their findings.
        """
        to_ask: dict[tuple[str, ...], list[tuple[StockedShard, Record]]] = defaultdict(list)
        to_read: list[_Known] = []
        for shard in shards:
            record = findings.read_record(self.root, shard.subset, shard.stem)
            if record is None or not self._same_rows_and_rules(shard, record):
                to_read.append((shard, None))
                continue
            changed = self._changed_feeds(record)
            if not changed:
                progress(shard.rows)
            elif self._index_answers(shard):
                to_ask[changed].append((shard, record))
            else:
                to_read.append((shard, record))
        with database.connect(self.root, self.settings.limits) as connection:
            for changed, asked in to_ask.items():
                to_read += self._ask(connection, changed, asked, progress)
            failures = self._read_all(connection, to_read, progress)
        if failures:
            raise ScreeningError("\n".join(failures))

    def _same_rows_and_rules(self, shard: StockedShard, record: Record) -> bool:
        return record.rules == self.rules(shard) and record.answered == self._answered(shard)

    def _answered(self, shard: StockedShard) -> list[str]:
        """The kinds of image hash that lists hold; and which of them the shard cannot answer for."""
        answered = self.image_kinds(shard)
        kinds = sorted(set(self.blocklist.feeds_by_kind) & set(IMAGE_KINDS))
        return [str(kind) if kind in answered else f"not {kind}" for kind in kinds]

    def _changed_feeds(self, record: Record) -> tuple[str, ...]:
        """Feeds that came, went or changed since findings were recorded."""
        now = self.blocklist.keys_by_feed
        return tuple(sorted(name for name in {*now, *record.lists} if now.get(name) != record.lists.get(name)))

    def _questions(self, shard: StockedShard) -> frozenset[Question]:
        return index.questions(self.blocklist.lists, self.image_kinds(shard))

    def _index_answers(self, shard: StockedShard) -> bool:
        found = index.read(self.root, shard, self.blocklist.lists.salt)
        return found is not None and self._questions(shard) <= set(found.questions)

    def _ask(
        self,
        connection: duckdb.DuckDBPyConnection,
        changed: tuple[str, ...],
        asked: list[tuple[StockedShard, Record]],
        progress: Callable[[int], None],
    ) -> list[tuple[StockedShard, Record]]:
        """Ask the indexes of shards about feeds that changed; returns the shards that must be read."""
        known = index.known_sql(self.root, [shard for shard, _ in asked], self._kinds(changed))
        with database.asking("asking the index about changed lists"):
            self.blocklist.open(connection, changed)
            connection.execute(
                f"""
                CREATE OR REPLACE TEMP TABLE marks AS
                SELECT DISTINCT file, feed, kind, mark FROM (
                    SELECT DISTINCT file, fingerprint FROM {known}
                    SEMI JOIN blocklist.fingerprints USING (fingerprint)
                ) JOIN blocklist.fingerprints USING (fingerprint)
                """
            )
            counted = connection.execute(
                f"SELECT file, name, {_digest_sql()} FROM marks JOIN blocklist.feeds ON id = feed GROUP BY ALL"
            ).fetchall()
        hits: dict[int, dict[str, str]] = defaultdict(dict)
        for file, feed, digest in counted:
            hits[file][feed] = digest
        to_read = []
        for place, (shard, record) in enumerate(asked):
            if any(hits[place].get(feed, _NO_HITS) != record.hits.get(feed, _NO_HITS) for feed in changed):
                to_read.append((shard, record))
                continue
            standing = {name: record.hits.get(name, _NO_HITS) for name in self.settings.feeds}
            now = replace(record, lists=self.blocklist.keys_by_feed, hits=standing)
            findings.write_record(self.root, shard.subset, shard.stem, now)
            progress(shard.rows)
        return to_read

    def _read_all(
        self,
        connection: duckdb.DuckDBPyConnection,
        to_read: Sequence[_Known],
        progress: Callable[[int], None],
    ) -> list[str]:
        failures: list[str] = []
        opened: frozenset[str] | None = None
        for together in self._grouped(to_read):
            feeds = self._looked_for(together)
            if feeds != opened:
                with database.asking("opening the blocklist"):
                    self.blocklist.open(connection, feeds)
                opened = feeds
            try:
                self._read(connection, together, feeds)
            except database.QueryError as error:
                failures += [str(error)] if len(together) == 1 else self._read_apart(connection, together, feeds)
            for shard, _ in together:
                progress(shard.rows)
        return failures

    def _read_apart(
        self, connection: duckdb.DuckDBPyConnection, together: list[_Known], feeds: frozenset[str]
    ) -> list[str]:
        """Screen one by one, so that a shard that cannot be read is named and the others are done."""
        failures = []
        for each in together:
            try:
                self._read(connection, [each], feeds)
            except database.QueryError as error:
                failures.append(str(error))
        return failures

    def _grouped(self, to_read: Sequence[_Known]) -> Iterator[list[_Known]]:
        """Group shards that can be asked about together: alike, known as far, and no more than a run of rows."""
        return asked_together(
            to_read,
            lambda each: each[0],
            most=index.RUN_ROWS,
            kind_of=lambda each: (each[1] is None, self._index_answers(each[0])),
        )

    def _looked_for(self, together: list[_Known]) -> frozenset[str]:
        """Feeds whose rows must be looked for: those that changed, if findings are known and the index answers."""
        shard, known = together[0]
        if known is not None and self._index_answers(shard):
            return frozenset(feed for _, record in together if record for feed in self._changed_feeds(record))
        return frozenset(self.settings.feeds)

    def _read(self, connection: duckdb.DuckDBPyConnection, together: list[_Known], feeds: frozenset[str]) -> None:
        """Find the rows of shards that lists or rules name, looking for what `feeds` list.

        A record says that rules found the same before, and other feeds named no other rows.
        """
        shards = [shard for shard, _ in together]
        named = shards[0].name if len(shards) == 1 else f"{len(shards)} shards of {shards[0].subset}"
        columns, image_kinds = shards[0].columns, self.image_kinds(shards[0])
        with database.asking(f"screening {named}"):
            matching.create_source(connection, [shard.parquet for shard in shards], columns, image_kinds)
            not_screened = self._judge(connection, together, image_kinds)
            self._create_candidates(connection, together, feeds)
            matching.create_hits(connection, self.blocklist.lists, columns)
            findings.create(connection, self.blocklist.lists.salt)
            for place, (shard, earlier) in enumerate(together):
                then = earlier.hits if earlier else {}
                hits = {name: _NO_HITS if name in feeds else then.get(name, _NO_HITS) for name in self.settings.feeds}
                self._keep(connection, shard, place, not_screened[place], hits)

    def _judge(
        self, connection: duckdb.DuckDBPyConnection, together: list[_Known], image_kinds: frozenset[Kind]
    ) -> list[int]:
        """Fill `flagged`, and return for each shard the rows that an image list could not be compared with."""
        shards = [shard for shard, _ in together]
        records = [record for _, record in together if record is not None]
        if records:
            known = ", ".join(database.literal(str(self.root.findings(shard.subset, shard.stem))) for shard in shards)
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE flagged AS SELECT file_index::integer AS file, row, "
                f"(bits & {RULE_BITS})::usmallint AS bits, link_key, row_key "
                f"FROM read_parquet([{known}]) WHERE bits & {RULE_BITS} <> 0"
            )
            connection.execute(
                f"CREATE OR REPLACE TEMP TABLE known_listed AS SELECT file_index::integer AS file, row "
                f"FROM read_parquet([{known}]) WHERE bits & {LISTED_BITS} <> 0"
            )
            return [record.not_screened_by_image for record in records]
        counted = matching.count_rows(connection, image_kinds)
        for place, shard in enumerate(shards):
            rows, _ = counted.get(place, (0, 0))
            if rows != shard.rows:
                raise ScreeningError(f"{shard.name}: holds {rows} rows, not {shard.rows}; did it change meanwhile?")
        self._create_flags(connection, shards[0].columns, image_kinds)
        if self.unanswered(shards[0]):
            return [shard.rows for shard in shards]
        return [counted.get(place, (0, 0))[1] for place in range(len(shards))]

    def _keep(
        self,
        connection: duckdb.DuckDBPyConnection,
        shard: StockedShard,
        place: int,
        not_screened: int,
        hits: dict[str, str],
    ) -> None:
        """Write what was found of one shard. `hits` are those of feeds that were not looked for."""
        found = findings.of_shard(connection, place)
        self._stop_at_missing_scores(shard, found)
        breadth.keep(connection, self.root, shard, place)
        counted = connection.execute(
            f"SELECT name, {_digest_sql()} FROM (SELECT DISTINCT feed, kind, mark FROM hit_marks WHERE file = {place}) "
            "JOIN blocklist.feeds ON id = feed GROUP BY name"
        ).fetchall()
        record = Record(
            rules=self.rules(shard),
            lists=self.blocklist.keys_by_feed,
            hits=hits | dict(counted),
            answered=self._answered(shard),
            content=findings.digest(found),
            not_screened_by_image=not_screened,
        )
        findings.write(self.root, shard.subset, shard.stem, found, record)

    def _create_candidates(
        self, connection: duckdb.DuckDBPyConnection, together: list[_Known], feeds: frozenset[str]
    ) -> None:
        """Fill `candidates`, the rows that entries may name, and the blocklist's tables with such entries.

        `suspect_rows (file, row, kind)` says by what kinds of entries. Also fills `hit_marks (file, feed, kind,
        fingerprint, mark)` with the entries of opened feeds that a shard's index knows. An index that does not answer
        is written on the way.
        """
        shards = [shard for shard, _ in together]
        connection.execute("CREATE OR REPLACE TEMP TABLE named_rows (file integer, row bigint)")
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE hit_marks "
            "(file integer, feed usmallint, kind utinyint, fingerprint ubigint, mark ubigint)"
        )
        if together[0][1] is not None:
            connection.execute("INSERT INTO named_rows FROM known_listed")
        if self._index_answers(shards[0]):
            self._ask_index(connection, shards, feeds)
        else:
            self._write_index(connection, shards)
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE candidates AS FROM source SEMI JOIN named_rows USING (file, row)"
        )
        # Unless all feeds were looked for, others may name these rows, too.
        asked = self._questions(shards[0])
        index.spell(connection, "candidates", asked, self.blocklist.lists.salt)
        self.blocklist.find_suspects(connection, index.SPELLED)
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE suspect_rows AS "
            "SELECT DISTINCT file, row, kind FROM spelled JOIN suspects USING (fingerprint)"
        )
        if _by_host(asked):
            connection.execute(
                "INSERT INTO suspect_rows SELECT DISTINCT file, row, kind FROM row_hosts "
                "JOIN (FROM spelled_hosts JOIN suspects USING (fingerprint)) AS named USING (file, host)"
            )

    def _ask_index(
        self, connection: duckdb.DuckDBPyConnection, shards: Sequence[StockedShard], feeds: frozenset[str]
    ) -> None:
        """Add to `hit_marks` and `named_rows` what the index says is listed; only such kinds are looked for."""
        _add_hits(connection, index.known_sql(self.root, shards, self._kinds(feeds)))
        listed = {kind for (kind,) in connection.execute("SELECT DISTINCT kind FROM hit_marks").fetchall()}
        wanted = frozenset(each for each in self._questions(shards[0]) if kind_id(each.kind) in listed)
        for _ in index.runs(connection, max(shard.rows for shard in shards)) if wanted else ():
            index.spell(connection, "run", wanted, self.blocklist.lists.salt, among="hit_marks")
            _add_named_rows(connection, wanted)

    def _write_index(self, connection: duckdb.DuckDBPyConnection, shards: Sequence[StockedShard]) -> None:
        """Add to `hit_marks` and `named_rows` what is listed, and write the shards' indexes on the way."""
        asked, salt = self._questions(shards[0]), self.blocklist.lists.salt
        with index.writing(self.root, shards, asked, salt) as add_to_index:
            for _ in index.runs(connection, max(shard.rows for shard in shards)):
                index.spell(connection, "run", asked, salt, with_links=True)
                add_to_index(connection)
                _add_hits(connection, index.SPELLED)
                _add_named_rows(connection, asked)

    def _kinds(self, feeds: Collection[str]) -> frozenset[Kind]:
        """The kinds of the entries of some feeds."""
        return frozenset(kind for kind, names in self.blocklist.feeds_by_kind.items() if set(names) & set(feeds))

    def _create_flags(
        self, connection: duckdb.DuckDBPyConnection, columns: Columns, image_kinds: frozenset[Kind]
    ) -> None:
        """Fill `flagged (file, row, bits, link_key, row_key)`: what speaks against rows apart from the lists."""
        keyword_bit = np.uint16(BIT[Reason.UNSAFE_KEYWORD])
        named = [FINDINGS.field(name) for name in ("row", "bits", "link_key", "row_key")]
        schema = pa.schema([pa.field("file", pa.int32()), *named])
        batches = []
        salt = self.blocklist.lists.salt
        for batch in matching.flagged(connection, self.settings.nsfw, columns, image_kinds, salt):
            with_keyword = np.fromiter(
                (self.keywords.hit(text) for text in batch["text"].to_pylist()), bool, len(batch)
            )
            bits = batch["bits"].to_numpy() | np.where(with_keyword, keyword_bit, 0).astype(np.uint16)
            batches.append(
                pa.record_batch(
                    [batch["file"], batch["row"], pa.array(bits), batch["link_key"], batch["row_key"]], schema=schema
                )
            )
        connection.register("all_flagged", pa.Table.from_batches(batches, schema))
        connection.execute("CREATE OR REPLACE TEMP TABLE flagged AS FROM all_flagged")
        connection.unregister("all_flagged")

    def _stop_at_missing_scores(self, shard: StockedShard, found: pa.Table) -> None:
        if self.settings.nsfw.missing_score is not MissingScore.STOP:
            return
        unscored = int(((found.column("bits").to_numpy() & BIT[Reason.NO_SCORE]) != 0).sum())
        if unscored:
            raise ScreeningError(
                f"{shard.name}: {unscored} rows have no score; add scores, or set nsfw.missing_score = 'remove' "
                f"to leave such rows out of research-safe"
            )


def _add_hits(connection: duckdb.DuckDBPyConnection, fingerprints: str) -> None:
    """Add to `hit_marks` the entries of opened feeds that have one of `fingerprints (file, fingerprint)`."""
    connection.execute(
        f"CREATE OR REPLACE TEMP TABLE here AS SELECT DISTINCT file, fingerprint FROM {fingerprints} "
        "SEMI JOIN blocklist.fingerprints USING (fingerprint)"
    )
    connection.execute(
        "INSERT INTO hit_marks SELECT file, feed, kind, fingerprint, mark "
        "FROM blocklist.fingerprints JOIN here USING (fingerprint)"
    )


def _add_named_rows(connection: duckdb.DuckDBPyConnection, asked: frozenset[Question]) -> None:
    """Add to `named_rows` the rows spelled last that some entry of `hit_marks` can name."""
    connection.execute(
        "INSERT INTO named_rows SELECT DISTINCT file, row FROM spelled SEMI JOIN hit_marks USING (fingerprint)"
    )
    if _by_host(asked):
        connection.execute(
            "INSERT INTO named_rows SELECT DISTINCT file, row FROM row_hosts "
            "SEMI JOIN (FROM spelled_hosts SEMI JOIN hit_marks USING (fingerprint)) AS named USING (file, host)"
        )


def _by_host(asked: frozenset[Question]) -> bool:
    return any(question.kind in index.HOST_KINDS for question in asked)


def _digest_sql() -> str:
    """SQL for the digest of a feed's `kind, mark`, each once, in whatever order: form, how many, and the sum of hashes.

    The form decides which of a row's spellings an entry names, and the index does not keep spellings apart.
    """
    summed = "coalesce(sum(md5_number_upper(kind || ':' || mark)::hugeint), 0)"
    return f"coalesce(any_value(link_form), '') || ':' || count(*) || ':' || {summed}"
