"""Proving edition files right: read again as they will be published, against the original shards and lists.

Nothing that screening concluded is believed. The verdicts enter as a claim only: the rows they do not name must be
in the files, value for value, and nothing else may be. An index enters as a claim too: it must hold every spelling of
every kept row. Once that is proved of these very bytes, a new list can be held against the index in place of the files.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import duckdb

from relaion_pipeline import database, links
from relaion_pipeline.database import literal, quoted
from relaion_pipeline.feeds import keys
from relaion_pipeline.feeds.blocklist import Lists
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.ledger import memory
from relaion_pipeline.ledger.segments import Ledger
from relaion_pipeline.links import rows as links_rows
from relaion_pipeline.provenance import VERIFYING, code_version, key_of
from relaion_pipeline.screening import index
from relaion_pipeline.screening.keywords import Keywords
from relaion_pipeline.screening.verdicts import RESEARCH_BITS
from relaion_pipeline.settings import Columns, Settings
from relaion_pipeline.shards import ShardError, open_parquet, schema_digest, sha256_file
from relaion_pipeline.shards.stock import StockedShard, asked_together
from relaion_pipeline.verification import evidence as evidence_files
from relaion_pipeline.verification.evidence import Evidence
from relaion_pipeline.verification.listed import Listed, hex_key

_IMAGES = {Kind.IMAGE_MD5: "md5", Kind.IMAGE_SHA1: "sha1", Kind.IMAGE_SHA256: "sha256"}
_LINK_HASHES = {Kind.LINK_MD5: "md5", Kind.LINK_SHA1: "sha1", Kind.LINK_SHA256: "sha256"}
_NO_HITS = "0:0"


class VerificationError(Exception):
    """Files cannot be verified; the message names them and what to do."""


@dataclass(frozen=True)
class Published:
    """The two files of one shard, as staged or as released: rows of research-safe, and those that only research has."""

    shard: StockedShard
    safe: Path
    extra: Path


@dataclass(frozen=True)
class Verifier:
    """Everything that files are held against."""

    root: DataRoot
    settings: Settings
    listed: Listed
    keywords: Keywords
    ledger: Ledger

    def verify(
        self,
        published: Sequence[Published],
        progress: Callable[[int], None] = lambda _: None,
        known: Callable[[StockedShard], Evidence | None] = lambda _: None,
    ) -> list[Evidence]:
        """Find out about every shard what `Evidence` says; judging is the gate's.

        `known` may offer evidence that was found before: it stands if it was found for just these bytes, rules and
        code, and its proved index tells that what changed since in lists and ledger concerns no row of the shard.
        `progress` is told the source rows of each shard that is done.

        Raises:
            VerificationError: a file cannot be read.
        """
        with ThreadPoolExecutor(database.threads(self.settings.limits)) as pool:
            digests = dict(zip(published, pool.map(_digests, published), strict=True))
        with database.connect(self.root, self.settings.limits) as connection:
            with database.asking("reading the ledger"):
                memory.create(connection, self.ledger, self.settings)
            earlier: dict[Published, Evidence] = {}
            for files in published:
                evidence = known(files.shard)
                same_files = evidence and evidence.files_key == self._files_key(files.shard, *digests[files])
                if evidence and same_files and self._proved_index(files.shard, evidence):
                    earlier[files] = evidence
            found = self._carry_over(connection, earlier)
            for files in found:
                progress(files.shard.rows)
            left = [files for files in published if files not in found]
            if left:
                with database.asking("reading the lists for verification"):
                    self.listed.open(connection)
            for together in asked_together(left, lambda files: files.shard, most=index.RUN_ROWS):
                found |= self._verify_together(connection, together, digests)
                for files in together:
                    progress(files.shard.rows)
        return [found[files] for files in published]

    def keep(self, published: Sequence[Published], progress: Callable[[int], None] = lambda _: None) -> list[Evidence]:
        """Verify staged files, and keep the evidence where the gate finds it; what stands is not found out again."""
        found = self.verify(
            published, progress, known=lambda shard: evidence_files.read(self.root, shard.subset, shard.stem)
        )
        for each in found:
            evidence_files.write(each, self.root)
        return found

    def key(self, shard: StockedShard, source: str, safe: str, extra: str) -> str:
        """Digest of what is verified (by SHA-256), and against which lists.

        The ledger is not in it, since each release adds to it what the release removes. It is asked every time.
        """
        return key_of(self._files_key(shard, source, safe, extra), self.listed.digests)

    def _files_key(self, shard: StockedShard, source: str, safe: str, extra: str) -> str:
        return key_of(
            [source, safe, extra],
            shard.scores_sha256,
            self.keywords.digest,
            self.settings.nsfw.model_dump(mode="json"),
            [waiver.model_dump(mode="json") for waiver in self.settings.returning()],
            code_version(VERIFYING),
        )

    # What an earlier proof and the index tell

    def _questions(self, shard: StockedShard) -> frozenset[index.Question]:
        answered = frozenset(kind for kind, part in _IMAGES.items() if getattr(shard.columns, part))
        return index.questions(Lists(self.listed.kinds, self.listed.forms, self.listed.salt), answered)

    def _index_files(self, shard: StockedShard) -> tuple[Path, Path]:
        return self.root.spellings_index(shard.subset, shard.stem), self.root.links_index(shard.subset, shard.stem)

    def _index_sha256(self, shard: StockedShard) -> str | None:
        """Digest of a shard's index as it is now, None where there is none."""
        files = self._index_files(shard)
        return key_of([sha256_file(file) for file in files]) if all(file.exists() for file in files) else None

    def _proved_index(self, shard: StockedShard, evidence: Evidence) -> bool:
        """Whether the index is the one that was proved, and answers all that lists now ask."""
        asked = {_written(question) for question in self._questions(shard)}
        return (
            asked <= set(evidence.questions)
            and evidence.index_sha256 is not None
            and evidence.index_sha256 == self._index_sha256(shard)
        )

    def _carry_over(
        self, connection: duckdb.DuckDBPyConnection, earlier: dict[Published, Evidence]
    ) -> dict[Published, Evidence]:
        """Evidence that still stands: no entry that came or went names a row, and no removed link is back."""
        if not earlier:
            return {}
        now = self.listed.digests
        by_change: dict[tuple[str, ...], list[Published]] = defaultdict(list)
        for files, evidence in earlier.items():
            differing = {name for name in {*now, *evidence.lists} if now.get(name) != evidence.lists.get(name)}
            by_change[tuple(sorted(differing))].append(files)
        found = {}
        with database.asking("asking proved indexes about changed lists"):
            for changed, all_files in by_change.items():
                shards = [files.shard for files in all_files]
                self.listed.open(connection, changed)
                hits = self._hits(connection, shards)
                returned = self._shards_with_returned_links(connection, shards)
                for place, files in enumerate(all_files):
                    evidence = earlier[files]
                    same = all(hits[place].get(name, _NO_HITS) == evidence.hits.get(name, _NO_HITS) for name in changed)
                    if same and place not in returned:
                        digests = (evidence.source_sha256, evidence.safe_sha256, evidence.extra_sha256)
                        standing = {name: evidence.hits.get(name, _NO_HITS) for name in now}
                        found[files] = replace(evidence, key=self.key(files.shard, *digests), lists=now, hits=standing)
        return found

    def _hits(self, connection: duckdb.DuckDBPyConnection, shards: Sequence[StockedShard]) -> dict[int, dict[str, str]]:
        """By place of a shard and feed: digest of the entries in `listed_fingerprints` that its index knows."""
        files = ", ".join(literal(str(self._index_files(shard)[0])) for shard in shards)
        counted = connection.execute(
            f"""
            SELECT place, feed, count(*) || ':' || sum(md5_number_upper(fingerprint || ':' || mark)::hugeint)
            FROM (
                SELECT DISTINCT place, feed, fingerprint, mark FROM (
                    SELECT DISTINCT file_index::integer AS place, fingerprint FROM read_parquet([{files}])
                    SEMI JOIN listed_fingerprints USING (fingerprint)
                ) JOIN listed_fingerprints USING (fingerprint)
            ) GROUP BY place, feed
            """
        ).fetchall()
        hits: dict[int, dict[str, str]] = defaultdict(dict)
        for place, feed, digest in counted:
            hits[place][feed] = digest
        return hits

    def _shards_with_returned_links(
        self, connection: duckdb.DuckDBPyConnection, shards: Sequence[StockedShard]
    ) -> set[int]:
        """Places of shards that hold a removed link more often than their verdicts remove it."""
        files = ", ".join(literal(str(self._index_files(shard)[1])) for shard in shards)
        claimed = ", ".join(literal(str(self.root.verdicts(shard.subset, shard.stem))) for shard in shards)
        found = connection.execute(
            f"""
            SELECT DISTINCT place FROM (
                SELECT file_index::integer AS place, link_key, count(*) AS rows FROM read_parquet([{files}])
                SEMI JOIN remembered USING (link_key) GROUP BY ALL
            ) LEFT JOIN (
                SELECT file_index::integer AS place, link_key, count(*) AS removed FROM read_parquet([{claimed}])
                WHERE reasons & {RESEARCH_BITS} <> 0 GROUP BY ALL
            ) USING (place, link_key) WHERE rows > coalesce(removed, 0)
            """
        ).fetchall()
        return {place for (place,) in found}

    # The whole proof

    def _verify_together(
        self,
        connection: duckdb.DuckDBPyConnection,
        published: Sequence[Published],
        digests: dict[Published, tuple[str, str, str]],
    ) -> dict[Published, Evidence]:
        shards = [files.shard for files in published]
        columns = shards[0].columns
        paths = [path for files in published for path in (files.safe, files.extra)]
        indexed = all(file.exists() for shard in shards for file in self._index_files(shard))
        with database.asking(f"verifying {len(published)} shards of {shards[0].subset}"):
            _create_published(connection, paths, columns)
            read = self._read(connection, shards, indexed=indexed)
            survivors = _survivors(connection, self.listed, columns)
            judged = _judge(connection, self.settings, self.keywords)
            hits = self._hits(connection, shards) if indexed else {}
            for place, each in enumerate(read):
                each.survivors = survivors[2 * place : 2 * place + 2]
                each.judged = judged[2 * place : 2 * place + 2]
                each.hits = hits.get(place, {})
            return {
                files: self._evidence(connection, files, digests[files], read[place])
                for place, files in enumerate(published)
            }

    def _read(
        self, connection: duckdb.DuckDBPyConnection, shards: Sequence[StockedShard], *, indexed: bool
    ) -> list["_Read"]:
        """Spell every published row, run by run; fill `suspect_rows (file, row)` and `hit (fingerprint)`."""
        connection.execute("CREATE OR REPLACE TEMP TABLE suspect_rows (file integer, row bigint)")
        connection.execute("CREATE OR REPLACE TEMP TABLE hit (fingerprint ubigint)")
        connection.execute("CREATE OR REPLACE TEMP VIEW source AS FROM published")
        read = [_Read() for _ in shards]
        asked = self._questions(shards[0])
        by_host = any(question.kind in index.HOST_KINDS for question in asked)
        all_spelled = "(SELECT file, fingerprint FROM spelled UNION ALL SELECT file, fingerprint FROM spelled_hosts)"
        files = [self._index_files(shard) for shard in shards]
        spellings, link_keys = (", ".join(literal(str(pair[which])) for pair in files) for which in (0, 1))
        for _ in index.runs(connection, max(shard.rows for shard in shards)):
            index.spell(connection, "run", asked, self.listed.salt, with_links=True)
            connection.execute(
                f"INSERT INTO hit SELECT DISTINCT fingerprint FROM {all_spelled} "
                "SEMI JOIN listed_fingerprints USING (fingerprint)"
            )
            connection.execute(
                "INSERT INTO suspect_rows SELECT file, row FROM spelled SEMI JOIN hit USING (fingerprint)"
            )
            if by_host:
                connection.execute(
                    "INSERT INTO suspect_rows SELECT file, row FROM row_hosts SEMI JOIN "
                    "(FROM spelled_hosts SEMI JOIN hit USING (fingerprint)) AS named USING (host)"
                )
            if indexed:
                missing = connection.execute(
                    f"""
                    SELECT place, count(*) FROM (SELECT file // 2 AS place, fingerprint FROM {all_spelled})
                    ANTI JOIN (
                        SELECT file_index::integer AS place, fingerprint FROM read_parquet([{spellings}])
                    ) AS known USING (place, fingerprint) GROUP BY place
                    """
                ).fetchall()
                for place, rows in missing:
                    read[place].missing += rows
            counted = connection.execute(
                """
                SELECT file // 2 AS place, count(*), sum(hash(link_key)::hugeint),
                    count(*) FILTER (link_key IN (SELECT link_key FROM remembered))
                FROM link_keys GROUP BY place
                """
            ).fetchall()
            for place, rows, total, back in counted:
                read[place].links += rows
                read[place].sum_of_links += int(total)
                read[place].back += back
        for place, rows in self._returned_rows(connection, shards):
            read[place].back += rows
        if indexed:
            self._count_links(connection, shards, link_keys, read)
        return read

    def _returned_rows(
        self, connection: duckdb.DuckDBPyConnection, shards: Sequence[StockedShard]
    ) -> list[tuple[int, int]]:
        """By place of a shard, rows that rules removed before and that are published where they were removed from.

        Several rows may have one key, and only some of them have gone: as many must be gone still.
        """
        named = ", ".join(
            f"({place}, {literal(shard.subset)}, {literal(shard.stem)})" for place, shard in enumerate(shards)
        )
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE ruled_out AS SELECT place, row_key, safe, research FROM memory "
            f"JOIN (VALUES {named}) AS here (place, subset, shard) USING (subset, shard)"
        )
        ((rows,),) = connection.execute("SELECT count(*) FROM ruled_out").fetchall()
        if not rows:
            return []
        row_key = keys.private_row_key_sql(self.listed.salt, "link::varchar", "text::varchar")
        claimed = ", ".join(literal(str(self.root.verdicts(shard.subset, shard.stem))) for shard in shards)
        return connection.execute(
            f"""
            WITH published_keys AS (
                SELECT place, row_key, count_if(part = 0) AS in_safe, count(*) AS in_research FROM (
                    SELECT file // 2 AS place, file % 2 AS part, {row_key} AS row_key FROM published
                ) SEMI JOIN ruled_out USING (place, row_key) GROUP BY ALL
            ), gone AS (
                SELECT file_index::integer AS place, row_key, count(*) AS from_safe,
                    count_if(reasons & {RESEARCH_BITS} <> 0) AS from_research
                FROM read_parquet([{claimed}]) GROUP BY ALL
            )
            SELECT place, count(*) FROM published_keys JOIN ruled_out USING (place, row_key)
            LEFT JOIN gone USING (place, row_key)
            WHERE (in_safe > 0 AND safe > coalesce(from_safe, 0))
            OR (in_research > 0 AND research > coalesce(from_research, 0))
            GROUP BY place
            """
        ).fetchall()

    def _count_links(
        self, connection: duckdb.DuckDBPyConnection, shards: Sequence[StockedShard], files: str, read: list["_Read"]
    ) -> None:
        """Hold the links of the index against those of kept rows and those that verdicts say are removed."""
        claimed = ", ".join(literal(str(self.root.verdicts(shard.subset, shard.stem))) for shard in shards)
        counted = connection.execute(
            f"""
            SELECT place, count(*) FILTER (known) - count(*) FILTER (NOT known),
                coalesce(sum(hash(link_key)::hugeint) FILTER (known), 0)
                - coalesce(sum(hash(link_key)::hugeint) FILTER (NOT known), 0)
            FROM (
                SELECT file_index::integer AS place, link_key, true AS known FROM read_parquet([{files}])
                UNION ALL SELECT file_index::integer, link_key, false FROM read_parquet([{claimed}])
                WHERE reasons & {RESEARCH_BITS} <> 0 AND link_key IS NOT NULL
            ) GROUP BY place
            """
        ).fetchall()
        expected = {place: (rows, int(total)) for place, rows, total in counted}
        for place, each in enumerate(read):
            if expected.get(place, (0, 0)) != (each.links, each.sum_of_links):
                each.missing += 1

    def _evidence(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: Published,
        digests: tuple[str, str, str],
        read: "_Read",
    ) -> Evidence:
        shard = files.shard
        schemas = [_schema(path) for path in (shard.parquet, files.safe, files.extra)]
        verdicts = self.root.verdicts(shard.subset, shard.stem)
        expected = _contents(connection, shard.parquet, verdicts)
        kept = [_contents(connection, path, None)[0] for path in (files.safe, files.extra)]
        source_rows = sum(content.rows for content in expected)
        safe, extra = read.judged
        lists = self.listed.digests
        return Evidence(
            subset=shard.subset,
            stem=shard.stem,
            key=self.key(shard, *digests),
            files_key=self._files_key(shard, *digests),
            lists=lists,
            hits={name: read.hits.get(name, _NO_HITS) for name in lists},
            questions=sorted(map(_written, self._questions(shard))),
            index_sha256=self._index_sha256(shard),
            source_sha256=digests[0],
            safe_sha256=digests[1],
            extra_sha256=digests[2],
            source_rows=source_rows,
            safe_rows=kept[0].rows,
            extra_rows=kept[1].rows,
            removed_rows=expected[2].rows,
            unaccounted_rows=abs(source_rows - kept[0].rows - kept[1].rows - expected[2].rows),
            altered_files=sum(kept[part] != expected[part] for part in (0, 1)),
            changed_schemas=sum(schema != schemas[0] for schema in schemas[1:]),
            listed_in_research=sum(read.survivors),
            listed_in_research_safe=read.survivors[0],
            unsafe_in_research=safe.with_keyword + extra.with_keyword,
            unsafe_in_research_safe=safe.unsafe,
            unscored_in_research_safe=safe.unscored,
            without_link=safe.without_link + extra.without_link,
            removed_before_in_research=read.back,
            missing_from_index=read.missing,
        )


def _written(question: index.Question) -> str:
    return f"{question.kind}:{question.form}"


@dataclass
class _Read:
    """What was found on reading the published rows of one shard."""

    links: int = 0  # rows with a link
    sum_of_links: int = 0  # of hashes of their keys
    back: int = 0  # rows that the ledger says were removed
    missing: int = 0  # from the index
    survivors: list[int] = field(default_factory=list)  # of the safe and the extra file
    judged: list["_Judged"] = field(default_factory=list)  # likewise
    hits: dict[str, str] = field(default_factory=dict)


@dataclass
class _Judged:
    """What the NSFW rules say of the rows of one published file."""

    unsafe: int = 0
    unscored: int = 0
    with_keyword: int = 0
    without_link: int = 0


@dataclass(frozen=True)
class _Content:
    """How many rows, and the sum of a 64-bit hash over all their values: what they are, whatever their order."""

    rows: int
    sum_of_hashes: int


def _create_published(connection: duckdb.DuckDBPyConnection, paths: list[Path], columns: Columns) -> None:
    """Define the view `published`: all rows of `paths`; `file` is the place in that list."""
    named = {part: getattr(columns, part) for part in Columns.model_fields}
    named |= {str(kind): getattr(columns, part) for kind, part in _IMAGES.items()}
    selected = ", ".join(
        f"{quoted(name) if name else 'NULL'}{'::varchar' if part == 'link' else ''} AS {part}"
        for part, name in named.items()
    )
    files = ", ".join(literal(str(path)) for path in paths)
    connection.execute(
        f"CREATE OR REPLACE TEMP VIEW published AS "
        f"SELECT file_index::integer AS file, file_row_number AS row, {selected} "
        f"FROM read_parquet([{files}], file_row_number = true, hive_partitioning = false)"
    )
    connection.execute(f"CREATE OR REPLACE TEMP TABLE files AS SELECT unnest(range({len(paths)}))::integer AS file")


def _survivors(connection: duckdb.DuckDBPyConnection, listed: Listed, columns: Columns) -> list[int]:
    """For each published file, how many of its rows some list names: suspects are compared by their whole keys."""
    connection.execute("CREATE OR REPLACE TEMP TABLE survivors (file integer, row bigint)")
    ((suspects,),) = connection.execute("SELECT count(*) FROM suspect_rows").fetchall()
    if suspects:
        listed.find_suspects(connection, "hit")
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE candidates AS FROM published "
            "SEMI JOIN (SELECT file, row FROM suspect_rows) AS named USING (file, row)"
        )
        for kind, part in _IMAGES.items():
            if kind in listed.kinds and getattr(columns, part):
                key = f"try_cast('0x' || left(lower({part}), 32) AS uhugeint)"
                _add(connection, f"SELECT file, row, {key} AS key FROM candidates", kind)
        _add_listed_links(connection, listed)
    counted = connection.execute(
        "SELECT count(DISTINCT row) FROM files LEFT JOIN survivors USING (file) GROUP BY file ORDER BY file"
    ).fetchall()
    return [count for (count,) in counted]


def _add_listed_links(connection: duckdb.DuckDBPyConnection, listed: Listed) -> None:
    """Spell the links of suspects in all the ways that the lists call for, and look each spelling up."""
    named = "FROM candidates WHERE link IS NOT NULL"
    for kind, function in _LINK_HASHES.items():
        for form in sorted(listed.forms.get(kind, ()), key=str):
            spell = links_rows.forms(None if form is None else [form])
            links_rows.create_keys(connection, named, {"key": hex_key(f"{function}(spelled)")}, spell)
            same_form = f"form IS NOT DISTINCT FROM {literal(form) if form else 'NULL'}"
            _add(connection, "SELECT file, row, key FROM odd_keys", kind, same_form)
    text_key = partial(keys.text_key_sql, listed.salt, text_sql="spelled")
    for kind, spell in ((Kind.LINK, links_rows.match_keys), (Kind.PREFIX, links_rows.prefixes)):
        if kind in listed.kinds:
            links_rows.create_keys(connection, named, {"key": text_key(kind)}, spell)
            _add(connection, "SELECT file, row, key FROM odd_keys", kind)
    if Kind.DOMAIN in listed.kinds:
        links_rows.sort_links(connection, "candidates")
        links_rows.create_hosts(connection, "candidates")
        links_rows.create_host_keys(connection, links.domain_candidates, text_key(Kind.DOMAIN))
        _add(connection, "SELECT file, row, key FROM row_hosts JOIN host_keys USING (host)", Kind.DOMAIN)


def _add(connection: duckdb.DuckDBPyConnection, keyed: str, kind: str, which: str = "true") -> None:
    """Count those of `keyed (file, row, key)` as survivors that entries of `kind` list."""
    connection.execute(
        f"INSERT INTO survivors SELECT file, row FROM ({keyed}) "
        f"WHERE key IN (SELECT key FROM listed_{kind} WHERE {which})"
    )


def _judge(connection: duckdb.DuckDBPyConnection, settings: Settings, keywords: Keywords) -> list["_Judged"]:
    """Hold the rows of each published file against the NSFW rules."""
    rule = settings.nsfw
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE judged AS
        SELECT file,
            CASE WHEN score IS NULL THEN tag IN ('UNSURE', 'NSFW')
                ELSE score > {rule.research_safe_above!r} END AS unsafe,
            CASE WHEN score IS NULL THEN tag = 'NSFW' ELSE score > {rule.research_above!r} END AS very_unsafe,
            score IS NULL AND (scored OR tag IS NULL OR tag NOT IN ('UNLIKELY', 'UNSURE', 'NSFW')) AS unscored,
            link IS NULL OR trim(link) = '' AS without_link,
            text
        FROM (
            SELECT file, link, text, upper(trim(nsfw)) AS tag, typeof(punsafe) <> '"NULL"' AS scored,
                CASE WHEN isfinite(try_cast(punsafe AS double)) AND try_cast(punsafe AS double) BETWEEN 0 AND 1
                THEN try_cast(punsafe AS double) END AS score
            FROM published
        )
        WHERE unsafe OR very_unsafe OR unscored OR without_link
        """
    )
    counted = connection.execute(
        """
        SELECT coalesce(count_if(unsafe), 0), coalesce(count_if(unscored), 0), coalesce(count_if(without_link), 0)
        FROM files LEFT JOIN judged USING (file) GROUP BY file ORDER BY file
        """
    ).fetchall()
    judged = [_Judged(unsafe, unscored, 0, without_link) for unsafe, unscored, without_link in counted]
    for batch in connection.sql("SELECT file, text::varchar AS text FROM judged WHERE very_unsafe").to_arrow_reader():
        for file, text in zip(batch["file"].to_pylist(), batch["text"].to_pylist(), strict=True):
            judged[file].with_keyword += keywords.hit(text)
    return judged


def _contents(connection: duckdb.DuckDBPyConnection, path: Path, verdicts: Path | None) -> list[_Content]:
    """What a file holds; with `verdicts`, divided as they say: rows for the safe file, for the extra file, removed."""
    with open_parquet(path, path.name) as file:
        columns = ", ".join(f"held.{quoted(name)}" for name in file.schema_arrow.names)
    part = "0"
    claimed = ""
    if verdicts is not None:
        part = f"CASE WHEN claimed.reasons IS NULL THEN 0 WHEN claimed.reasons & {RESEARCH_BITS} = 0 THEN 1 ELSE 2 END"
        claimed = f"LEFT JOIN read_parquet({literal(str(verdicts))}) AS claimed ON held.file_row_number = claimed.row"
    found = connection.execute(
        f"""
        SELECT {part} AS part, count(*), sum(hash({columns})::hugeint)
        FROM read_parquet({literal(str(path))}, file_row_number = true, hive_partitioning = false) AS held {claimed}
        GROUP BY part
        """
    ).fetchall()
    contents = {part: _Content(rows, int(total)) for part, rows, total in found}
    return [contents.get(part, _Content(0, 0)) for part in range(3)]


def _digests(files: Published) -> tuple[str, str, str]:
    """SHA-256 of source, safe and extra file, read now."""
    try:
        return sha256_file(files.shard.source), sha256_file(files.safe), sha256_file(files.extra)
    except ShardError as error:
        raise VerificationError(str(error)) from None


def _schema(path: Path) -> str:
    try:
        with open_parquet(path, str(path)) as file:
            return schema_digest(file.schema_arrow)
    except ShardError as error:
        raise VerificationError(str(error)) from None
