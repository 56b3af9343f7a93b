"""The verifier's own reading of the partners' lists: straight from their files, sharing no result with the blocklist.

What is stored are whole digests' first 128 bits read as hexadecimal, and keyed digests of plain entries, so that the
file keeps nothing readable.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from relaion_pipeline import database, links
from relaion_pipeline.feeds import loading
from relaion_pipeline.feeds.compiling import PREFIX_HOST
from relaion_pipeline.feeds.entries import DIGEST_BYTES, TEXT_KINDS, Kind
from relaion_pipeline.feeds.guards import Guard
from relaion_pipeline.layout import PRIVATE_FILE_MODE, DataRoot, make_private, write_text, written_whole
from relaion_pipeline.provenance import code_version, key_of
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards.digests import sha256_file

KINDS = tuple(kind for kind in Kind if kind is not Kind.UNMATCHABLE)
TABLES = (*(str(kind) for kind in KINDS), PREFIX_HOST)


@dataclass(frozen=True)
class Listed:
    """Where the verifier's reading of the lists lies, and what it holds."""

    path: Path
    digest: str  # of the feeds' files, declarations and code
    kinds: frozenset[Kind]
    forms: dict[Kind, frozenset[str | None]]  # forms that feeds of each kind declare; None: a feed declares none

    @contextmanager
    def attached(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Attach as `listed`, read-only: for each kind a table `(key uhugeint, form varchar)`."""
        connection.execute(f"ATTACH {database.literal(str(self.path))} AS listed (READ_ONLY)")
        try:
            yield
        finally:
            connection.execute("DETACH listed")


def hex_key(hex_sql: str) -> str:
    """SQL for the verifier's key of a digest in hexadecimal."""
    return f"('0x' || left({hex_sql}, 32))::uhugeint"


def text_key(kind: str, digest: str, text_sql: str) -> str:
    """SQL for the verifier's key of a plain link, domain or prefix; `digest` is that of the lists (`Listed`)."""
    return hex_key(f"sha256('{digest}{kind}' || {text_sql})")


def read_lists(settings: Settings, root: DataRoot) -> Listed:
    """Read every feed from the partners' files, unless that stands already for just these files.

    Raises:
        FeedError: a feed cannot be read, or a guard refuses it.
    """
    files = {
        name: [(path.name, sha256_file(path)) for path in loading.files(feed, root.path)]
        for name, feed in settings.feeds.items()
    }
    declared = settings.model_dump(mode="json", include={"feeds", "waivers"})
    digest = key_of(files, declared, code_version())
    record = root.verifier_lists.with_suffix(".json")
    known = _read(record, digest, root)
    if known is not None and known.path.exists():
        return known
    record.unlink(missing_ok=True)
    make_private(root.private)
    forms: dict[Kind, set[str | None]] = {}
    with (
        written_whole(root.verifier_lists) as temporary,
        database.asking("reading the lists for verification"),
        database.connect(root, settings.limits) as connection,
    ):
        temporary.unlink()  # DuckDB makes its files itself
        connection.execute(f"ATTACH {database.literal(str(temporary))} AS listed")
        for kind in TABLES:
            connection.execute(f"CREATE TABLE listed.{kind} (key uhugeint, form varchar)")
        for name in settings.feeds:
            for kind in _read_feed(name, settings, root, connection, digest):
                forms.setdefault(kind, set()).add(settings.feeds[name].link_form)
        connection.execute("DETACH listed")
        temporary.chmod(PRIVATE_FILE_MODE)
    found = Listed(
        root.verifier_lists, digest, frozenset(forms), {kind: frozenset(named) for kind, named in forms.items()}
    )
    content = {"digest": digest, "forms": {str(kind): sorted(named, key=str) for kind, named in found.forms.items()}}
    write_text(record, json.dumps(content))
    return found


def _read_feed(
    name: str, settings: Settings, root: DataRoot, connection: duckdb.DuckDBPyConnection, digest: str
) -> set[Kind]:
    feed = settings.feeds[name]
    guard = Guard(name, feed, waived=settings.waived_entries(name))
    found: set[Kind] = set()
    for batch in loading.load(name, feed, root.path):
        entries = batch.entries
        codes = entries.column("kind").indices.fill_null(-1).to_numpy(zero_copy_only=False)
        names = entries.column("kind").dictionary.to_pylist()
        spelled = _spelled_texts(entries, codes, names)
        plain = np.isin(codes, [code for code, name in enumerate(names) if name in TEXT_KINDS])
        usable = guard.see(batch, plain & np.asarray(spelled.is_null()))
        for code, kind in enumerate(map(Kind, names)):
            places = pa.array(np.flatnonzero(usable & (codes == code)))
            if not len(places):
                continue
            found.add(kind)
            if kind in DIGEST_BYTES:
                _insert(connection, kind, hex_key("hex(value)"), entries.column("digest").take(places), feed.link_form)
                continue
            texts = spelled.take(places)
            _insert(connection, kind, text_key(kind, digest, "value"), texts, feed.link_form)
            if kind is Kind.PREFIX:
                hosts = pa.array([links.host_of(text) for text in texts.to_pylist()], pa.string())
                _insert(connection, PREFIX_HOST, text_key(PREFIX_HOST, digest, "value"), hosts, None)
    guard.finish()
    return found


def _insert(connection: duckdb.DuckDBPyConnection, kind: str, key: str, values: pa.Array, form: str | None) -> None:
    connection.register("entries", pa.table({"value": values}))
    connection.execute(f"INSERT INTO listed.{kind} SELECT {key}, ? FROM entries", [form])
    connection.unregister("entries")


def _spelled_texts(entries: pa.RecordBatch, codes: npt.NDArray[np.int8], names: list[str]) -> pa.Array:
    """Links, domains and prefixes in the spelling that rows are compared in; null for what is none of these."""
    texts = entries.column("text")
    if texts.null_count == len(texts):
        return texts
    spell = {Kind.LINK: links.match_key, Kind.DOMAIN: links.domain_key, Kind.PREFIX: links.prefix_key}
    pairs = zip(codes.tolist(), texts.to_pylist(), strict=True)
    return pa.array(
        [spell[Kind(names[code])](links.refang(text)) if text else None for code, text in pairs], pa.string()
    )


def _read(record: Path, digest: str, root: DataRoot) -> Listed | None:
    try:
        content = json.loads(record.read_text(encoding="utf-8"))
        if content["digest"] != digest:
            return None
        forms = {Kind(kind): frozenset(named) for kind, named in content["forms"].items()}
        return Listed(root.verifier_lists, digest, frozenset(forms), forms)
    except (OSError, ValueError, KeyError, TypeError):
        return None
