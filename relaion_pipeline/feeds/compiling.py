"""One feed, compiled: its entries as keys, in a private Parquet file.

No link, domain or prefix stays readable in it: what screening needs of those are keyed hashes.
"""

import json
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline import links
from relaion_pipeline.feeds import keys, loading
from relaion_pipeline.feeds.declaration import Feed
from relaion_pipeline.feeds.entries import DIGEST_BYTES, TEXT_KINDS, Kind
from relaion_pipeline.feeds.guards import FeedCounts, Guard
from relaion_pipeline.layout import DataRoot, make_private, written_whole
from relaion_pipeline.provenance import COMPILING, code_version, key_of
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards.digests import DigestCache

COMPILED = pa.schema(
    [
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("high", pa.uint64(), nullable=False),  # the key's upper half: see `keys`
        pa.field("low", pa.uint64(), nullable=False),
        pa.field("entry", pa.uint64(), nullable=False),  # number in the feed, counted over its files
    ]
)
PREFIX_HOST = "prefix_host"
"""A kind made here: the host of a listed prefix, so that only links of such hosts are cut into prefixes."""

COMPILED_KINDS = [*(str(kind) for kind in Kind if kind is not Kind.UNMATCHABLE), PREFIX_HOST]
_METADATA_KEY = b"relaion.feed"


@dataclass(frozen=True)
class CompiledFeed:
    """A feed ready to be joined."""

    name: str
    key: str  # digest of the feed's files, its declaration and the code that compiled it
    files: dict[str, str]  # file relative to the data root -> SHA-256
    counts: FeedCounts


def compile_feed(
    name: str,
    settings: Settings,
    root: DataRoot,
    digests: DigestCache,
    progress: Callable[[int], None] = lambda _: None,
) -> CompiledFeed:
    """Compile a feed, unless it stands compiled from the same files. `progress` is told entries as they are read.

    Raises:
        FeedError: it cannot be read, or a guard refuses it.
    """
    feed = settings.feeds[name]
    files = files_of(feed, root, digests)
    declared = feed.model_dump(mode="json", exclude={"partner", "version"})
    key = key_of(name, files, declared, settings.waived_entries(name), code_version(COMPILING))
    path = root.compiled_feed(name)
    last = read_header(path)
    if last is not None and last.key == key:
        return last
    make_private(path.parent)
    guard = Guard(name, feed, last.counts if last else None, settings.waived_entries(name))
    salt = salt_of(root)
    with (
        written_whole(path) as temporary,
        pq.ParquetWriter(temporary, COMPILED, compression="zstd", use_dictionary=["kind"]) as writer,
    ):
        for batch in loading.load(name, feed, root.path):
            writer.write_batch(_keyed(batch, guard, salt))
            progress(batch.entries.num_rows)
        compiled = CompiledFeed(name, key, files, guard.finish())
        writer.add_key_value_metadata({_METADATA_KEY: json.dumps(asdict(compiled), sort_keys=True).encode()})
    return compiled


def files_of(feed: Feed, root: DataRoot, digests: DigestCache) -> dict[str, str]:
    """The files of a feed as they lie there, relative to the data root, and their SHA-256, in the order of reading.

    Raises:
        FeedError: there is none.
    """
    return {_relative(path, root): digests.sha256(path) for path in loading.files(feed, root.path)}


def read_header(path: Path) -> CompiledFeed | None:
    """What a compiled feed says of itself, or None where there is no readable one."""
    try:
        content = json.loads(pq.read_metadata(path).metadata[_METADATA_KEY])
        return CompiledFeed(**(content | {"counts": FeedCounts.from_json(content["counts"])}))
    except (OSError, pa.ArrowInvalid, KeyError, TypeError, ValueError):
        return None


def salt_of(root: DataRoot) -> bytes:
    """The data root's own secret, made when first asked for."""
    make_private(root.private)
    if not root.salt.exists():
        with written_whole(root.salt) as temporary:
            temporary.write_bytes(secrets.token_bytes(32))
    return root.salt.read_bytes()


def normalised(kind: Kind, text: str) -> str | None:
    """A listed link, domain or prefix in the spelling that rows are compared in; None where it can list nothing."""
    if kind is Kind.LINK:
        return links.match_key(links.refang(text))
    if kind is Kind.DOMAIN:
        return links.domain_key(links.refang(text))
    return links.prefix_key(links.refang(text))


def _keyed(batch: loading.FeedBatch, guard: Guard, salt: bytes) -> pa.RecordBatch:
    """The usable entries of a batch as keys; the guard sees all of them."""
    entries = batch.entries
    kinds = entries.column("kind")
    codes = kinds.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    names = kinds.dictionary.to_pylist()
    numbers = entries.column("entry").to_numpy() + np.uint64(batch.before)
    texts = [(Kind(name), np.flatnonzero(codes == code)) for code, name in enumerate(names) if name in TEXT_KINDS]
    spelled = np.full(len(codes), None, dtype=object)
    refused = np.zeros(len(codes), dtype=bool)
    for kind, places in texts:
        for place, text in zip(places, entries.column("text").take(pa.array(places)).to_pylist(), strict=True):
            spelled[place] = normalised(kind, text)
            refused[place] = spelled[place] is None
    usable = guard.see(batch, refused)
    found = _Keys()
    for code, name in enumerate(names):
        kind, places = Kind(name), np.flatnonzero(usable & (codes == code))
        if kind in DIGEST_BYTES and len(places):
            digests = entries.column("digest").take(pa.array(places)).cast(pa.binary(DIGEST_BYTES[kind]))
            raw = np.frombuffer(digests.buffers()[1], dtype=np.uint8).reshape(-1, DIGEST_BYTES[kind])
            found.add(kind, raw[: len(places)], numbers[places])
        elif kind in TEXT_KINDS and len(places):
            found.add_texts(kind, salt, spelled[places].tolist(), numbers[places])
            if kind is Kind.PREFIX:
                hosts = [links.host_of(text) or text for text in spelled[places].tolist()]
                found.add_texts(PREFIX_HOST, salt, hosts, numbers[places])
    return found.batch()


class _Keys:
    """Collects the keys of one batch."""

    def __init__(self) -> None:
        self._codes: list[npt.NDArray[np.int8]] = [np.empty(0, dtype=np.int8)]
        self._halves: list[tuple[keys.Words, keys.Words]] = [(np.empty(0, np.uint64), np.empty(0, np.uint64))]
        self._numbers: list[npt.NDArray[np.uint64]] = [np.empty(0, dtype=np.uint64)]

    def add(self, kind: str, digests: npt.NDArray[np.uint8], numbers: npt.NDArray[np.uint64]) -> None:
        """Add digests of shape (n, length of the digest), listed by the entries `numbers`."""
        self._codes.append(np.full(len(numbers), COMPILED_KINDS.index(kind), dtype=np.int8))
        self._halves.append(keys.split(digests, kind))
        self._numbers.append(numbers)

    def add_texts(self, kind: str, salt: bytes, texts: list[str], numbers: npt.NDArray[np.uint64]) -> None:
        """Add plain entries, as keyed digests."""
        digests = b"".join(keys.text_digest(salt, kind, text) for text in texts)
        self.add(kind, np.frombuffer(digests, dtype=np.uint8).reshape(len(texts), -1), numbers)

    def batch(self) -> pa.RecordBatch:
        """All keys, by `COMPILED`."""
        kinds = pa.DictionaryArray.from_arrays(
            pa.array(np.concatenate(self._codes)), pa.array(COMPILED_KINDS, pa.string())
        )
        high, low = (np.concatenate(halves) for halves in zip(*self._halves, strict=True))
        return pa.RecordBatch.from_arrays(
            [kinds, pa.array(high), pa.array(low), pa.array(np.concatenate(self._numbers))], schema=COMPILED
        )


def _relative(path: Path, root: DataRoot) -> str:
    return path.relative_to(root.path).as_posix() if path.is_relative_to(root.path) else str(path)
