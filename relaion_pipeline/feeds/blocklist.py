"""The blocklist: all compiled feeds together, as keys that rows are compared with.

It is no file of its own: feeds stand compiled, each in its Parquet file, and a change of one leaves the others alone.
Rows meet the lists in two steps. Fingerprints, a few bytes of each key, say which entries can name a row of a shard at
all; only those `suspects` are then compared by their whole keys.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import duckdb

from relaion_pipeline import database
from relaion_pipeline.feeds import compiling, keys
from relaion_pipeline.feeds.compiling import COMPILED_KINDS, PREFIX_HOST, CompiledFeed
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import DataRoot, make_private, write_text
from relaion_pipeline.provenance import COMPILING, code_version, key_of
from relaion_pipeline.settings import Settings

_ENTRIES = {
    "kind": "utinyint",
    "feed": "usmallint",
    "key": "uhugeint",
    "host": "uhugeint",
    "fingerprint": "ubigint",
    "mark": "ubigint",
}
MATCHABLE = tuple(kind for kind in Kind if kind is not Kind.UNMATCHABLE)


def kind_id(kind: str) -> int:
    """The number by which tables name a kind."""
    return COMPILED_KINDS.index(kind)


class BlocklistError(Exception):
    """The blocklist is missing or older than the feeds; the message says what to run."""


@dataclass(frozen=True)
class Lists:
    """What the tables that `Blocklist.open` made hold."""

    kinds: frozenset[Kind]  # kinds with at least one entry
    forms: dict[Kind, frozenset[str | None]]  # forms that feeds of each kind declare; None: a feed declares none
    salt: bytes


@dataclass(frozen=True)
class Blocklist:
    """All feeds of a dataset, ready to be compared with rows."""

    root: DataRoot
    digest: str  # of the feeds' files, their declarations and the code that compiled them
    feeds: tuple[CompiledFeed, ...]
    link_forms: dict[str, str | None]  # feed -> the form it declares

    @cached_property
    def feeds_by_kind(self) -> dict[Kind, list[str]]:
        """Names of the feeds that hold entries of each kind that can be matched."""
        return {
            kind: names
            for kind in MATCHABLE
            if (names := [feed.name for feed in self.feeds if feed.counts.by_kind.get(str(kind))])
        }

    @cached_property
    def keys_by_feed(self) -> dict[str, str]:
        """Feed -> digest of all that its entries depend on."""
        return {feed.name: feed.key for feed in self.feeds}

    @cached_property
    def lists(self) -> Lists:
        """What is listed, by kind and form."""
        forms = {kind: frozenset(self.link_forms[name] for name in names) for kind, names in self.feeds_by_kind.items()}
        return Lists(frozenset(self.feeds_by_kind), forms, compiling.salt_of(self.root))

    def open(self, connection: duckdb.DuckDBPyConnection, names: Collection[str]) -> None:
        """Make what indexes are asked about: the feeds `names`.

        `blocklist.feeds (id, name, link_form)` names all feeds; `blocklist.fingerprints (feed, kind, fingerprint,
        mark)` holds every entry: a shard that has the fingerprint can have rows that the entry names, and `mark` stands
        for the entry. `find_suspects` makes a table of keys for each kind.
        """
        connection.execute("CREATE SCHEMA IF NOT EXISTS blocklist")
        connection.execute("CREATE OR REPLACE TABLE blocklist.feeds (id usmallint, name varchar, link_form varchar)")
        for number, feed in enumerate(self.feeds):
            connection.execute(
                "INSERT INTO blocklist.feeds VALUES (?, ?, ?)", [number, feed.name, self.link_forms[feed.name]]
            )
        wanted = [number for number, feed in enumerate(self.feeds) if feed.name in names]
        connection.execute(
            "CREATE OR REPLACE TABLE blocklist.fingerprints AS "
            f"SELECT feed, kind, fingerprint, mark FROM ({self._entries(wanted)})"
        )

    def find_suspects(self, connection: duckdb.DuckDBPyConnection, fingerprints: str) -> None:
        """Fill a table `blocklist.<kind> (key, feed)` for each kind with entries of any feed that have a fingerprint.

        The table `suspects` holds them all, with `kind` and `fingerprint`. `fingerprints` is a relation with a column
        `fingerprint`. A suspect prefix brings its host along.
        """
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE suspects AS "
            f"FROM ({self._entries(range(len(self.feeds)))}) SEMI JOIN {fingerprints} AS named USING (fingerprint)"
        )
        for kind in COMPILED_KINDS:
            found = f"SELECT key, feed FROM suspects WHERE kind = {kind_id(kind)}"
            if kind == PREFIX_HOST:
                found = f"SELECT DISTINCT host AS key, feed FROM suspects WHERE kind = {kind_id(Kind.PREFIX)}"
            connection.execute(f"CREATE OR REPLACE TABLE blocklist.{kind} AS {found}")

    def _entries(self, numbers: Sequence[int]) -> str:
        """SELECT of `kind, feed, key, host, fingerprint, mark` over compiled feeds.

        A prefix has the fingerprint of its host, since links are cut into prefixes only where the host is listed.
        """
        parts = [f"SELECT {', '.join(f'NULL::{kind} AS {name}' for name, kind in _ENTRIES.items())} WHERE false"]
        for number in numbers:
            feed = self.feeds[number]
            path = database.literal(str(self.root.compiled_feed(feed.name)))
            for kind in MATCHABLE:
                if not feed.counts.by_kind.get(str(kind)):
                    continue
                if kind is Kind.PREFIX:
                    listed = (
                        f"(SELECT entry, high, low FROM read_parquet({path}) WHERE kind = '{kind}') AS listed "
                        f"JOIN (SELECT entry, high AS host_high, low AS host_low FROM read_parquet({path}) "
                        f"WHERE kind = '{PREFIX_HOST}') AS hosts USING (entry)"
                    )
                    host = "(host_high::uhugeint << 64) | host_low::uhugeint"
                    fingerprint = keys.fingerprint_of_low_sql(PREFIX_HOST, "host_low")
                    mark = "low"
                else:
                    listed, host = f"read_parquet({path})", "NULL::uhugeint"
                    fingerprint = keys.fingerprint_of_low_sql(kind, "low")
                    mark = fingerprint
                condition = "" if kind is Kind.PREFIX else f" WHERE kind = '{kind}'"
                parts.append(
                    f"SELECT {kind_id(kind)}, {number}, (high::uhugeint << 64) | low::uhugeint, {host}, {fingerprint}, "
                    f"{mark} FROM {listed}{condition}"
                )
        return " UNION ALL ".join(parts)


def build(feeds: Sequence[CompiledFeed], settings: Settings, root: DataRoot) -> Blocklist:
    """Put compiled feeds together, and record that these are the ones."""
    blocklist = _described(feeds, settings, root)
    make_private(root.private)
    if _read_digest(root) != blocklist.digest:
        write_text(root.blocklist_record, json.dumps({"digest": blocklist.digest}))
    return blocklist


def read(settings: Settings, root: DataRoot) -> Blocklist:
    """The blocklist as it was put together last.

    Raises:
        BlocklistError: there is none, or a feed was compiled anew since.
    """
    feeds = [compiling.read_header(root.compiled_feed(name)) for name in settings.feeds]
    missing = [name for name, feed in zip(settings.feeds, feeds, strict=True) if feed is None]
    if missing:
        raise BlocklistError(f"feeds not compiled yet: {', '.join(missing)}; materialise them and `blocklist`")
    blocklist = _described([feed for feed in feeds if feed], settings, root)
    if _read_digest(root) != blocklist.digest:
        raise BlocklistError("the blocklist is older than its feeds; materialise `blocklist`")
    return blocklist


def _described(feeds: Sequence[CompiledFeed], settings: Settings, root: DataRoot) -> Blocklist:
    ordered = tuple(sorted(feeds, key=lambda feed: feed.name))
    link_forms = {feed.name: settings.feeds[feed.name].link_form for feed in ordered}
    return Blocklist(root, key_of([feed.key for feed in ordered], code_version(COMPILING)), ordered, link_forms)


def _read_digest(root: DataRoot) -> str | None:
    try:
        return str(json.loads(root.blocklist_record.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
