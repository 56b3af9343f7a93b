"""What became of one link, or of the rows of one hash, in all releases: for takedowns and partners' questions.

Needs the data root's private files. Says nothing of other links, and notes in an access log that it was asked; what was
asked stands there as a keyed hash.
"""

import getpass
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np

from relaion_pipeline import database, links
from relaion_pipeline.database import literal
from relaion_pipeline.feeds import compiling, keys
from relaion_pipeline.feeds.blocklist import MATCHABLE
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.history import releases
from relaion_pipeline.layout import EDITIONS, PRIVATE_FILE_MODE, DataRoot, make_private
from relaion_pipeline.ledger import segments
from relaion_pipeline.release import editions
from relaion_pipeline.release.assemble import published_name
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.screening import index, matching
from relaion_pipeline.screening.verdicts import BIT, Reason
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards.stock import StockedShard

_KINDS_OF_LENGTH = {
    32: (Kind.IMAGE_MD5, Kind.LINK_MD5),
    40: (Kind.IMAGE_SHA1, Kind.LINK_SHA1),
    64: (Kind.IMAGE_SHA256, Kind.LINK_SHA256),
}
_FUNCTION = {Kind.LINK_MD5: hashlib.md5, Kind.LINK_SHA1: hashlib.sha1, Kind.LINK_SHA256: hashlib.sha256}


class ExplainError(Exception):
    """The question cannot be answered; the message says why."""


@dataclass(frozen=True)
class FoundRow:
    """One row with the link, and what became of it."""

    subset: str
    shard: str
    row: int  # 0-based position in the shard
    as_asked: bool  # whether its link is spelled just as asked
    reasons: tuple[str, ...]  # why it goes; none: it stays
    feeds: tuple[str, ...]  # that list it, or a row with its link
    forms: tuple[str, ...]  # spellings in which its link matched
    removed_since: str | None  # the first release that was without it
    feed_versions: dict[str, str]  # of the feeds that removed it first
    present_in: dict[str, tuple[str, ...]]  # release -> editions that hold it


@dataclass(frozen=True)
class Explanation:
    """The answer to one question."""

    asked: str  # "link" or "hash": never what it was
    rows: tuple[FoundRow, ...]
    shards_asked: int
    every_spelling: bool  # False: no list in use has other spellings in the index, so only this one was looked for
    releases: tuple[str, ...]  # that are there to be looked into


def of_link(root: DataRoot, settings: Settings, link: str) -> Explanation:
    """What happened to `link`, in whatever spelling rows write it.

    Raises:
        ExplainError: a shard was not screened as it is now.
    """
    if not link.strip():
        raise ExplainError("no link was given: name it, or pipe it in with `-`")
    _log(root, "link", link)
    return _Answer(root, settings).of_link(link)


def of_hash(root: DataRoot, settings: Settings, digest: str) -> Explanation:
    """What happened to rows whose image, or whose link in some spelling, has this hash in hexadecimal.

    Raises:
        ExplainError: it is no MD5, SHA-1 or SHA-256, or a shard was not screened as it is now.
    """
    text = digest.strip().lower()
    if len(text) not in _KINDS_OF_LENGTH or not re.fullmatch("[0-9a-f]+", text):
        raise ExplainError("that is no MD5, SHA-1 or SHA-256 in hexadecimal")
    _log(root, "hash", text)
    return _Answer(root, settings).of_hash(text)


class _Answer:
    """Looks for rows by the indexes, then in the shards that these name."""

    def __init__(self, root: DataRoot, settings: Settings) -> None:
        self._root, self._settings = root, settings
        self._inputs = Inputs(root, settings)
        self._salt = compiling.salt_of(root)
        self._releases = [each.version for each in releases.all_of(root) if each.there]

    def of_link(self, link: str) -> Explanation:
        key = links.match_key(link)
        with self._asking() as connection:
            spelled = ", ".join(f"({literal(text)})" for text in sorted({link, *links.forms(link).values()}))
            connection.execute(
                f"CREATE TEMP TABLE sought AS SELECT {keys.private_link_key_sql(self._salt, 'spelled')} AS link_key, "
                f"{keys.link_fingerprint_sql(Kind.LINK_MD5, 'spelled')} AS fingerprint "
                f"FROM (VALUES {spelled}) AS t (spelled)"
            )
            shards, found = self._shards(connection), []
            for shard in shards:
                matching.create_source(connection, [shard.parquet], shard.columns, frozenset())
                exact = connection.execute("SELECT row, link FROM source WHERE link = ?", [link]).fetchall()
                suspects = self._spelled_alike(connection, shard, Kind.LINK_MD5)
                rows = dict(exact) | {row: text for row, text in suspects.items() if links.match_key(text) == key}
                found += self._explained(connection, shard, rows, link)
        return self._answer("link", found, len(shards), Kind.LINK_MD5)

    def of_hash(self, digest: str) -> Explanation:
        image, hashed = _KINDS_OF_LENGTH[len(digest)]
        raw = np.frombuffer(bytes.fromhex(digest), dtype=np.uint8).reshape(1, -1)
        fingerprints = [
            int(keys.fingerprints(keys.split(raw, kind)[1], kind)[0]) for kind in _KINDS_OF_LENGTH[len(digest)]
        ]
        with self._asking() as connection:
            connection.execute(
                f"CREATE TEMP TABLE sought AS SELECT NULL::ubigint AS link_key, unnest({fingerprints}::ubigint[]) "
                "AS fingerprint"
            )
            shards, found = self._shards(connection), []
            for shard in shards:
                column = matching.hash_column(image, shard.columns)
                matching.create_source(connection, [shard.parquet], shard.columns, frozenset([image] if column else []))
                query = f"SELECT row, coalesce(link, '') FROM source WHERE lower(trim({image})) = ?"
                rows = dict(connection.execute(query, [digest]).fetchall()) if column else {}
                for row, link in self._spelled_alike(connection, shard, hashed).items():
                    hashes = (
                        _FUNCTION[hashed](text.encode("utf-8", "surrogatepass")) for text in links.forms(link).values()
                    )
                    if any(each.hexdigest() == digest for each in hashes):
                        rows[row] = link
                found += self._explained(connection, shard, rows, None)
        return self._answer("hash", found, len(shards), hashed)

    @contextmanager
    def _asking(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with (
            database.connect(self._root, self._settings.limits) as connection,
            database.asking("looking for what was asked"),
        ):
            yield connection

    def _shards(self, connection: duckdb.DuckDBPyConnection) -> list[StockedShard]:
        """The shards whose index knows what is sought."""
        shards = self._inputs.shards
        for shard in shards:
            if index.read(self._root, shard, self._salt) is None:
                raise ExplainError(f"{shard.name}: was not screened as it is now; run: relaion release")
        if not shards:
            return []
        places = connection.execute(
            f"""
            SELECT DISTINCT file FROM {index.known_sql(self._root, shards, MATCHABLE)}
            SEMI JOIN (FROM sought WHERE fingerprint IS NOT NULL) AS s USING (fingerprint)
            UNION SELECT DISTINCT file FROM {index.links_sql(self._root, shards)}
            SEMI JOIN (FROM sought WHERE link_key IS NOT NULL) AS s USING (link_key) ORDER BY 1
            """
        ).fetchall()
        return [shards[place] for (place,) in places]

    def _spelled_alike(self, connection: duckdb.DuckDBPyConnection, shard: StockedShard, kind: Kind) -> dict[int, str]:
        """Row to link, of rows of the view `source` that have a spelling with a fingerprint that is sought."""
        rows: dict[int, str] = {}
        for _ in index.runs(connection, shard.rows):
            index.spell(connection, "run", frozenset([index.Question(kind)]), self._salt, among="sought")
            rows |= dict(
                connection.execute("SELECT row, link FROM run WHERE row IN (SELECT row FROM spelled)").fetchall()
            )
        return rows

    def _explained(
        self, connection: duckdb.DuckDBPyConnection, shard: StockedShard, rows: dict[int, str], asked: str | None
    ) -> list[FoundRow]:
        """What became of `rows` (row to link) of a shard."""
        if not rows:
            return []
        numbers = ", ".join(map(str, rows))
        verdicts = literal(str(self._root.verdicts(shard.subset, shard.stem)))
        told = {
            row: rest
            for row, *rest in connection.execute(
                f"SELECT row, reasons, feeds, forms, row_key FROM read_parquet({verdicts}) WHERE row IN ({numbers})"
            ).fetchall()
        }
        ledger = self._inputs.ledger
        ledger.create_entries(connection)
        versions = {head.release: head.feeds for head in ledger.heads}
        found = []
        for row, link in sorted(rows.items()):
            reasons, feeds, forms, row_key = told.get(row, (0, [], [], None))
            first = connection.execute(
                f"SELECT release, feeds FROM ledger WHERE subset = ? AND shard = ? AND row_key = ? "
                f"ORDER BY {segments.EFFECT_SQL} DESC, release LIMIT 1",
                [shard.subset, shard.stem, row_key],
            ).fetchall()
            since, first_feeds = first[0] if first else (None, [])
            found.append(
                FoundRow(
                    subset=shard.subset,
                    shard=shard.stem,
                    row=row,
                    as_asked=asked is None or link == asked,
                    reasons=tuple(str(reason) for reason in Reason if reasons & BIT[reason]),
                    feeds=tuple(feeds),
                    forms=tuple(forms),
                    removed_since=since,
                    feed_versions={feed: versions[since].get(feed, "") for feed in first_feeds} if since else {},
                    present_in=self._present_in(connection, shard, link),
                )
            )
        return found

    def _present_in(
        self, connection: duckdb.DuckDBPyConnection, shard: StockedShard, link: str
    ) -> dict[str, tuple[str, ...]]:
        """Releases, and their editions, whose file of this shard holds the link, read off the files."""
        present = {}
        column = database.quoted(shard.columns.link)
        for version in self._releases:
            holding = []
            for edition in EDITIONS:
                parts = [editions.SAFE] if edition == EDITIONS[1] else list(editions.PARTS)
                names = [published_name(edition, shard.subset, shard.stem, part) for part in parts]
                paths = [self._root.release(version) / name for name in names]
                files = ", ".join(literal(str(path)) for path in paths if path.exists())
                if not files:
                    continue
                ((rows,),) = connection.execute(
                    f"SELECT count(*) FROM read_parquet([{files}], hive_partitioning = false) "
                    f"WHERE {column}::varchar = ?",
                    [link],
                ).fetchall()
                if rows:
                    holding.append(edition)
            if holding:
                present[version] = tuple(holding)
        return present

    def _answer(self, asked: str, found: list[FoundRow], shards: int, kind: Kind) -> Explanation:
        every = all(
            index.Question(kind) in known.questions
            for shard in self._inputs.shards
            if (known := index.read(self._root, shard, self._salt)) is not None
        )
        return Explanation(asked, tuple(found), shards, every, tuple(self._releases))


def _log(root: DataRoot, what: str, asked: str) -> None:
    """Note who asked; what they asked as a keyed hash, so that the log itself gives nothing away."""
    line = {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "user": getpass.getuser(),
        "asked": what,
        "key": hashlib.blake2b(asked.encode("utf-8", "surrogatepass"), key=compiling.salt_of(root)).hexdigest()[:16],
    }
    make_private(root.private)
    handle = os.open(root.access_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, PRIVATE_FILE_MODE)
    with os.fdopen(handle, "a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
