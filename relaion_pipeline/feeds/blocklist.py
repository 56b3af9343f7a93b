"""The blocklist: every compiled feed in one private DuckDB file, a table of keys for each kind of entry."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb

from relaion_pipeline import database
from relaion_pipeline.feeds import compiling
from relaion_pipeline.feeds.compiling import CompiledFeed
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import PRIVATE_FILE_MODE, DataRoot, make_private, write_text, written_whole
from relaion_pipeline.provenance import code_version, key_of
from relaion_pipeline.settings import Settings

MATCHABLE = tuple(kind for kind in Kind if kind is not Kind.UNMATCHABLE)


class BlocklistError(Exception):
    """The blocklist is missing or older than the feeds; the message says what to run."""


@dataclass(frozen=True)
class Lists:
    """What the blocklist attached to a connection as `blocklist` holds."""

    kinds: frozenset[Kind]  # kinds with at least one entry
    forms: dict[Kind, frozenset[str | None]]  # forms that feeds of each kind declare; None: a feed declares none
    salt: bytes


@dataclass(frozen=True)
class Blocklist:
    """All feeds of a dataset, ready to be joined."""

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

    @contextmanager
    def attached(self, connection: duckdb.DuckDBPyConnection) -> Iterator[Lists]:
        """Attach the tables, read-only, as `blocklist`: `feeds (id, name, link_form)` and a table for each kind."""
        connection.execute(f"ATTACH {database.literal(str(self.root.blocklist))} AS blocklist (READ_ONLY)")
        try:
            forms = {
                kind: frozenset(self.link_forms[name] for name in names) for kind, names in self.feeds_by_kind.items()
            }
            yield Lists(frozenset(self.feeds_by_kind), forms, compiling.salt_of(self.root))
        finally:
            connection.execute("DETACH blocklist")


def build(feeds: Sequence[CompiledFeed], settings: Settings, root: DataRoot) -> Blocklist:
    """Put compiled feeds together, unless they stand so already."""
    blocklist = _described(feeds, settings, root)
    if _read_digest(root) == blocklist.digest and root.blocklist.exists():
        return blocklist
    root.blocklist_record.unlink(missing_ok=True)
    make_private(root.private)
    with (
        written_whole(root.blocklist) as temporary,
        database.asking("compiling the blocklist"),
        database.connect(root, settings.limits) as connection,
    ):
        temporary.unlink()  # DuckDB makes its files itself
        connection.execute(f"ATTACH {database.literal(str(temporary))} AS built")
        connection.execute("CREATE TABLE built.feeds (id usmallint, name varchar, link_form varchar)")
        for kind in compiling.COMPILED_KINDS:
            connection.execute(f"CREATE TABLE built.{kind} (key uhugeint, feed usmallint, entry uinteger)")
        for number, feed in enumerate(blocklist.feeds):
            connection.execute(
                "INSERT INTO built.feeds VALUES (?, ?, ?)", [number, feed.name, blocklist.link_forms[feed.name]]
            )
            for kind in compiling.COMPILED_KINDS:
                _insert(connection, kind, number, root.compiled_feed(feed.name))
        connection.execute("DETACH built")
        temporary.chmod(PRIVATE_FILE_MODE)
    write_text(root.blocklist_record, json.dumps({"digest": blocklist.digest}))
    return blocklist


def read(settings: Settings, root: DataRoot) -> Blocklist:
    """The blocklist as it was built last.

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
    return Blocklist(root, key_of([feed.key for feed in ordered], code_version()), ordered, link_forms)


def _insert(connection: duckdb.DuckDBPyConnection, kind: str, number: int, path: Path) -> None:
    connection.execute(
        f"INSERT INTO built.{kind} SELECT (high::uhugeint << 64) | low::uhugeint, {number}, entry "
        f"FROM read_parquet({database.literal(str(path))}) WHERE kind = '{kind}'"
    )


def _read_digest(root: DataRoot) -> str | None:
    try:
        return str(json.loads(root.blocklist_record.read_text(encoding="utf-8"))["digest"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
