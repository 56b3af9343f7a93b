"""Proving edition files right: read again as they will be published, against the original shards and lists.

Nothing that screening concluded is believed. The verdicts enter as a claim only: the rows they do not name must be
in the files, value for value, and nothing else may be.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import duckdb

from relaion_pipeline import database, links
from relaion_pipeline.database import literal, quoted
from relaion_pipeline.feeds.compiling import PREFIX_HOST
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.links import rows as links_rows
from relaion_pipeline.links.canonical import without_www
from relaion_pipeline.links.vectorised import SAFE_BROWSING
from relaion_pipeline.provenance import code_version, key_of
from relaion_pipeline.screening.keywords import Keywords
from relaion_pipeline.screening.verdicts import RESEARCH_BITS
from relaion_pipeline.settings import Columns, Settings
from relaion_pipeline.shards import ShardError, open_parquet, schema_digest, sha256_file
from relaion_pipeline.shards.stock import StockedShard, asked_together
from relaion_pipeline.verification import evidence as evidence_files
from relaion_pipeline.verification.evidence import Evidence
from relaion_pipeline.verification.listed import Listed, hex_key, text_key

_IMAGES = {Kind.IMAGE_MD5: "md5", Kind.IMAGE_SHA1: "sha1", Kind.IMAGE_SHA256: "sha256"}
_LINK_HASHES = {Kind.LINK_MD5: "md5", Kind.LINK_SHA1: "sha1", Kind.LINK_SHA256: "sha256"}


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

    def verify(
        self,
        published: Sequence[Published],
        progress: Callable[[int], None] = lambda _: None,
        known: Callable[[StockedShard], Evidence | None] = lambda _: None,
    ) -> list[Evidence]:
        """Find out about every shard what `Evidence` says; judging is the gate's.

        `known` may offer evidence that was found before: it stands if it was found for just these bytes, lists,
        rules and code. `progress` is told the source rows of each shard that is done.

        Raises:
            VerificationError: a file cannot be read.
        """
        with ThreadPoolExecutor(database.threads(self.settings.limits)) as pool:
            digests = dict(zip(published, pool.map(_digests, published), strict=True))
        found: dict[Published, Evidence] = {}
        for files in published:
            earlier = known(files.shard)
            if earlier is not None and earlier.key == self.key(files.shard, *digests[files]):
                found[files] = earlier
                progress(files.shard.rows)
        for together in asked_together([f for f in published if f not in found], lambda files: files.shard):
            found.update(zip(together, self._verify_together(together, digests, progress), strict=True))
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
        """Digest of what is verified (by SHA-256), and against what."""
        return key_of(
            [source, safe, extra],
            shard.scores_sha256,
            self.listed.digest,
            self.keywords.digest,
            self.settings.nsfw.model_dump(mode="json"),
            code_version(),
        )

    def _verify_together(
        self,
        published: Sequence[Published],
        digests: dict[Published, tuple[str, str, str]],
        progress: Callable[[int], None],
    ) -> list[Evidence]:
        columns = published[0].shard.columns
        paths = [path for files in published for path in (files.safe, files.extra)]
        with (
            database.asking(f"verifying {len(published)} shards of {published[0].shard.subset}"),
            database.connect(self.root, self.settings.limits) as connection,
            self.listed.attached(connection),
        ):
            _create_published(connection, paths, columns)
            survivors = _survivors(connection, self.listed, columns)
            judged = _judge(connection, self.settings, self.keywords)
            found = []
            for place, files in enumerate(published):
                found.append(
                    self._evidence(connection, files, digests[files], survivors[2 * place :], judged[2 * place :])
                )
                progress(files.shard.rows)
        return found

    def _evidence(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: Published,
        digests: tuple[str, str, str],
        survivors: list[int],
        judged: list["_Judged"],
    ) -> Evidence:
        shard = files.shard
        schemas = [_schema(path) for path in (shard.parquet, files.safe, files.extra)]
        verdicts = self.root.verdicts(shard.subset, shard.stem)
        expected = _contents(connection, shard.parquet, verdicts)
        kept = [_contents(connection, path, None)[0] for path in (files.safe, files.extra)]
        source_rows = sum(content.rows for content in expected)
        safe, extra = judged[0], judged[1]
        return Evidence(
            subset=shard.subset,
            stem=shard.stem,
            key=self.key(shard, *digests),
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
            listed_in_research=survivors[0] + survivors[1],
            listed_in_research_safe=survivors[0],
            unsafe_in_research=safe.with_keyword + extra.with_keyword,
            unsafe_in_research_safe=safe.unsafe,
            unscored_in_research_safe=safe.unscored,
            without_link=safe.without_link + extra.without_link,
        )


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
    selected = ", ".join(f"{quoted(name) if name else 'NULL'} AS {part}" for part, name in named.items())
    files = ", ".join(literal(str(path)) for path in paths)
    connection.execute(
        f"CREATE TEMP VIEW published AS SELECT file_index::integer AS file, file_row_number AS row, {selected} "
        f"FROM read_parquet([{files}], file_row_number = true, hive_partitioning = false)"
    )
    connection.execute(f"CREATE TEMP TABLE files AS SELECT unnest(range({len(paths)}))::integer AS file")


def _survivors(connection: duckdb.DuckDBPyConnection, listed: Listed, columns: Columns) -> list[int]:
    """For each published file, how many of its rows some list names."""
    connection.execute("CREATE TEMP TABLE survivors (file integer, row bigint)")
    for kind, part in _IMAGES.items():
        if kind in listed.kinds and getattr(columns, part):
            key = f"try_cast('0x' || left(lower({part}), 32) AS uhugeint)"
            connection.execute(
                f"INSERT INTO survivors SELECT file, row FROM published WHERE {key} IN (SELECT key FROM listed.{kind})"
            )
    _add_listed_links(connection, listed)
    counted = connection.execute(
        "SELECT count(DISTINCT row) FROM files LEFT JOIN survivors USING (file) GROUP BY file ORDER BY file"
    ).fetchall()
    return [count for (count,) in counted]


def _add_listed_links(connection: duckdb.DuckDBPyConnection, listed: Listed) -> None:
    """Spell every published link in all the ways that the lists call for, and look each spelling up."""
    links_rows.sort_links(connection, "published")
    hashed = {kind: function for kind, function in _LINK_HASHES.items() if kind in listed.kinds}
    for form in sorted({form for kind in hashed for form in listed.forms[kind]}, key=str):
        called_for = {kind: function for kind, function in hashed.items() if form in listed.forms[kind]}
        names = None if form is None else [form]
        in_python = "FROM published WHERE link IS NOT NULL" if form == SAFE_BROWSING else "FROM odd_links"
        keys = {str(kind): _hashed_key(function, "spelled") for kind, function in called_for.items()}
        links_rows.create_keys(connection, in_python, keys, links_rows.forms(names))
        for kind, function in called_for.items():
            same_form = f"form IS NOT DISTINCT FROM {literal(form) if form else 'NULL'}"
            _add(connection, f"SELECT file, row, {kind} AS key FROM odd_keys", kind, same_form)
            if form != SAFE_BROWSING:
                plain = links_rows.keys_in_sql("published", names, partial(_hashed_key, function))
                _add(connection, plain, kind, same_form)
    if Kind.LINK in listed.kinds:
        key = text_key(Kind.LINK, listed.digest, "spelled")
        links_rows.create_keys(connection, "FROM odd_links", {"key": key}, links_rows.match_keys)
        _add(connection, "FROM odd_keys", Kind.LINK)
        plain = links_rows.match_keys_in_sql("published")
        _add(connection, f"SELECT file, row, {key} AS key FROM ({plain})", Kind.LINK)
    if Kind.DOMAIN in listed.kinds or Kind.PREFIX in listed.kinds:
        links_rows.create_hosts(connection, "published")
    if Kind.DOMAIN in listed.kinds:
        key = text_key(Kind.DOMAIN, listed.digest, "spelled")
        links_rows.create_host_keys(connection, links.domain_candidates, key)
        _add(connection, "SELECT file, row, key FROM row_hosts JOIN host_keys USING (host)", Kind.DOMAIN)
    if Kind.PREFIX in listed.kinds:
        key = text_key(PREFIX_HOST, listed.digest, "spelled")
        links_rows.create_host_keys(connection, lambda host: [without_www(host)], key)
        named = (
            f"FROM published SEMI JOIN (SELECT file, row FROM row_hosts JOIN host_keys USING (host) "
            f"WHERE key IN (SELECT key FROM listed.{PREFIX_HOST})) AS named USING (file, row)"
        )
        prefix_key = {"key": text_key(Kind.PREFIX, listed.digest, "spelled")}
        links_rows.create_keys(connection, named, prefix_key, links_rows.prefixes)
        _add(connection, "FROM odd_keys", Kind.PREFIX)


def _hashed_key(function: str, spelled: str) -> str:
    return hex_key(f"{function}({spelled})")


def _add(connection: duckdb.DuckDBPyConnection, keyed: str, kind: str, which: str = "true") -> None:
    """Count those of `keyed (file, row, key)` as survivors that entries of `kind` list."""
    connection.execute(
        f"INSERT INTO survivors SELECT file, row FROM ({keyed}) "
        f"WHERE key IN (SELECT key FROM listed.{kind} WHERE {which})"
    )


def _judge(connection: duckdb.DuckDBPyConnection, settings: Settings, keywords: Keywords) -> list["_Judged"]:
    """Hold the rows of each published file against the NSFW rules."""
    rule = settings.nsfw
    connection.execute(
        f"""
        CREATE TEMP TABLE judged AS
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
