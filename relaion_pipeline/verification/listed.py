"""The verifier's own reading of the partners' lists: straight from their files, sharing no result with the blocklist.

What is stored are whole digests' first 128 bits, read as hexadecimal is, and keyed digests of plain entries, so that
the files keep nothing readable; and each entry's fingerprint, by which indexes of shards are asked.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline import links
from relaion_pipeline.database import literal
from relaion_pipeline.feeds import compiling, keys, loading
from relaion_pipeline.feeds.blocklist import MATCHABLE
from relaion_pipeline.feeds.compiling import PREFIX_HOST
from relaion_pipeline.feeds.entries import DIGEST_BYTES, TEXT_KINDS, Kind
from relaion_pipeline.feeds.guards import Guard
from relaion_pipeline.layout import DataRoot, make_private, written_whole
from relaion_pipeline.provenance import VERIFYING, code_version, key_of
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards.digests import sha256_file

KINDS = MATCHABLE
LISTED = pa.schema(
    [
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("high", pa.uint64(), nullable=False),
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("fingerprint", pa.uint64(), nullable=False),  # of a prefix: that of its host
        pa.field("mark", pa.uint64(), nullable=False),  # tells entries with one fingerprint apart
    ]
)
_DIGEST, _KINDS = b"relaion.digest", b"relaion.kinds"


@dataclass(frozen=True)
class ListedFeed:
    """One feed as the verifier read it."""

    name: str
    path: Path
    digest: str  # of its files, declaration and code
    kinds: frozenset[Kind]
    form: str | None  # in which its links are hashed; None: it does not say


@dataclass(frozen=True)
class Listed:
    """All feeds as the verifier read them."""

    feeds: tuple[ListedFeed, ...]
    salt: bytes

    @property
    def kinds(self) -> frozenset[Kind]:
        """Kinds with at least one entry."""
        return frozenset(kind for feed in self.feeds for kind in feed.kinds)

    @property
    def forms(self) -> dict[Kind, frozenset[str | None]]:
        """Kind -> forms that its feeds declare; None: a feed declares none."""
        return {kind: frozenset(feed.form for feed in self.feeds if kind in feed.kinds) for kind in self.kinds}

    @property
    def digests(self) -> dict[str, str]:
        """Feed -> digest of all that its entries depend on."""
        return {feed.name: feed.digest for feed in self.feeds}

    def only(self, names: Collection[str]) -> "Listed":
        """Only the feeds `names`, as far as they are there."""
        return replace(self, feeds=tuple(feed for feed in self.feeds if feed.name in names))

    def naming(self, connection: duckdb.DuckDBPyConnection, fingerprints: str) -> "Listed":
        """As if the feeds held only those kinds of which an entry has one of `fingerprints`, the name of a table."""
        feeds = []
        for feed in self.feeds:
            found = connection.execute(
                f"SELECT DISTINCT kind FROM read_parquet({literal(str(feed.path))}) "
                f"SEMI JOIN {fingerprints} USING (fingerprint)"
            ).fetchall()
            feeds.append(replace(feed, kinds=frozenset(Kind(kind) for (kind,) in found)))
        return replace(self, feeds=tuple(feeds))

    def open(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Fill `listed_fingerprints (feed, fingerprint, mark)` with all entries."""
        parts = ["SELECT NULL::varchar AS feed, NULL::ubigint AS fingerprint, NULL::ubigint AS mark WHERE false"]
        parts += [
            f"SELECT {literal(feed.name)}, fingerprint, mark FROM read_parquet({literal(str(feed.path))})"
            for feed in self.feeds
        ]
        connection.execute(f"CREATE OR REPLACE TEMP TABLE listed_fingerprints AS {' UNION ALL '.join(parts)}")

    def find_suspects(self, connection: duckdb.DuckDBPyConnection, fingerprints: str) -> None:
        """Fill a table `listed_<kind> (key uhugeint, form)` for each kind with the entries that have one of them."""
        for kind in KINDS:
            parts = ["SELECT NULL::uhugeint AS key, NULL::varchar AS form WHERE false"]
            parts += [
                f"SELECT (high::uhugeint << 64) | low::uhugeint, {literal(feed.form) if feed.form else 'NULL'} "
                f"FROM read_parquet({literal(str(feed.path))}) SEMI JOIN {fingerprints} USING (fingerprint) "
                f"WHERE kind = '{kind}'"
                for feed in self.feeds
                if kind in feed.kinds
            ]
            connection.execute(f"CREATE OR REPLACE TEMP TABLE listed_{kind} AS {' UNION ALL '.join(parts)}")


def hex_key(hex_sql: str) -> str:
    """SQL for the verifier's key of a digest in hexadecimal."""
    return f"('0x' || left({hex_sql}, 32))::uhugeint"


def read_lists(settings: Settings, root: DataRoot, sha256: Callable[[Path], str] = sha256_file) -> Listed:
    """Read every feed from the partners' files, but those that stand for just their files already.

    `sha256` tells the digests of these files.

    Raises:
        FeedError: a feed cannot be read, or a guard refuses it.
    """
    feeds = tuple(_read_feed(name, settings, root, sha256) for name in settings.feeds)
    return Listed(feeds, compiling.salt_of(root))


def _read_feed(name: str, settings: Settings, root: DataRoot, sha256: Callable[[Path], str]) -> ListedFeed:
    feed, path = settings.feeds[name], root.verifier_list(name)
    files = [(file.name, sha256(file)) for file in loading.files(feed, root.path)]
    waived = settings.waived_entries(name)
    digest = key_of(name, files, feed.model_dump(mode="json"), waived, code_version(VERIFYING))
    kinds = _kinds_of(path, digest)
    if kinds is None:
        make_private(path.parent)
        guard = Guard(name, feed, waived=waived)
        kinds = set()
        with (
            written_whole(path) as temporary,
            pq.ParquetWriter(temporary, LISTED, use_dictionary=["kind"], compression="none") as writer,  # noise
        ):
            for batch in loading.load(name, feed, root.path):
                for kind, digested, fingerprint, mark in _keyed(batch, guard, compiling.salt_of(root)):
                    kinds.add(kind)
                    writer.write_batch(_rows(kind, digested, fingerprint, mark))
            guard.finish()
            writer.add_key_value_metadata({_DIGEST: digest.encode(), _KINDS: ",".join(sorted(kinds)).encode()})
    return ListedFeed(name, path, digest, frozenset(kinds), feed.link_form)


_Digests = npt.NDArray[np.uint8]  # shape (n, length of the digest)


def _keyed(
    batch: loading.FeedBatch, guard: Guard, salt: bytes
) -> Iterator[tuple[Kind, _Digests, keys.Words, keys.Words]]:
    """The usable entries of a batch by kind: digests, fingerprints, marks."""
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
        if kind in DIGEST_BYTES:
            raw = entries.column("digest").take(places).cast(pa.binary(DIGEST_BYTES[kind]))
            digests = np.frombuffer(raw.buffers()[1], dtype=np.uint8).reshape(-1, DIGEST_BYTES[kind])[: len(places)]
        else:
            texts = spelled.take(places).to_pylist()
            digests = _text_digests(salt, kind, texts)
        fingerprints = keys.fingerprints(keys.split(digests, kind)[1], kind)
        marks = fingerprints
        if kind is Kind.PREFIX:
            hosts = _text_digests(salt, PREFIX_HOST, [links.host_of(text) or text for text in texts])
            fingerprints = keys.fingerprints(keys.split(hosts, PREFIX_HOST)[1], PREFIX_HOST)
        yield kind, digests, fingerprints, marks


def _text_digests(salt: bytes, kind: str, texts: Sequence[str]) -> _Digests:
    joined = b"".join(keys.text_digest(salt, kind, text) for text in texts)
    return np.frombuffer(joined, dtype=np.uint8).reshape(len(texts), -1)


def _rows(kind: Kind, digests: _Digests, fingerprints: keys.Words, marks: keys.Words) -> pa.RecordBatch:
    halves = np.ascontiguousarray(digests[:, :16]).view(">u8").astype(np.uint64)
    codes = pa.array(np.full(len(digests), KINDS.index(kind), dtype=np.int8))
    kinds = pa.DictionaryArray.from_arrays(codes, pa.array([str(each) for each in KINDS], pa.string()))
    columns = [kinds, *(pa.array(values) for values in (halves[:, 0], halves[:, 1], fingerprints, marks))]
    return pa.RecordBatch.from_arrays(columns, schema=LISTED)


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


def _kinds_of(path: Path, digest: str) -> set[Kind] | None:
    """The kinds in a feed's file if it was read from just these files, else None."""
    try:
        metadata = pq.read_metadata(path).metadata
        if metadata[_DIGEST].decode() != digest:
            return None
        return {Kind(kind) for kind in metadata[_KINDS].decode().split(",") if kind}
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None
