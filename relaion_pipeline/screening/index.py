"""The index of a shard: what lists can compare of its rows, small enough to be asked instead of the shard.

What belongs here: spelling out what lists can ask, the three files of an index, and whether they stand.
What does not: asking lists (`screen`), or what a match means (`matching`).

*Images* and *spellings* are fingerprints of all keys that entries can have: of image hashes, and of links, which are
many more: every hashed spelling that some feed calls for, match keys, hosts. Each run of `RUN_ROWS` rows is a row
group, sorted and without repetition; a fingerprint does not say which row it is of. The *links* are private keys of the
links as they are written, one for each row with a link, in such runs too, so that it can be told how often a link
occurs. All are Parquet, delta-encoded.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline import links
from relaion_pipeline.database import literal
from relaion_pipeline.feeds import keys
from relaion_pipeline.feeds.blocklist import Lists
from relaion_pipeline.feeds.compiling import PREFIX_HOST
from relaion_pipeline.feeds.entries import Kind
from relaion_pipeline.layout import DataRoot, make_private, write_text, written_whole
from relaion_pipeline.links import rows
from relaion_pipeline.links.canonical import without_www
from relaion_pipeline.links.vectorised import SAFE_BROWSING
from relaion_pipeline.provenance import SCREENING, code_version, key_of
from relaion_pipeline.shards.stock import StockedShard

IMAGE_KINDS = (Kind.IMAGE_MD5, Kind.IMAGE_SHA1, Kind.IMAGE_SHA256)
LINK_HASH_KINDS = (Kind.LINK_MD5, Kind.LINK_SHA1, Kind.LINK_SHA256)

RUN_ROWS = 1 << 20
"""Rows spelled at a time: some ten million fingerprints, which fit in the smallest memory limit."""

HOST_KINDS = {Kind.DOMAIN: links.domain_candidates, Kind.PREFIX: lambda host: [without_www(host)]}


SPELLED = (
    "(SELECT file, of_image, fingerprint FROM spelled UNION ALL SELECT file, false, fingerprint FROM spelled_hosts)"
)
"""The relation `(file, of_image, fingerprint)` of all that `spell` made."""


@dataclass(frozen=True, order=True)
class Question:
    """One thing that lists can compare of a row: a kind, and for hashed links the form in which they are hashed."""

    kind: str
    form: str = ""  # a form that a feed declares; empty: every spelling


@dataclass(frozen=True)
class Index:
    """What an index says of itself."""

    key: str  # digest of the rows that it was made from, and of the code
    questions: tuple[Question, ...]  # what it can answer
    spellings: int  # fingerprints in it
    bytes: int  # of all files


def questions(lists: Lists, image_kinds: frozenset[Kind]) -> frozenset[Question]:
    """What `lists` ask of rows that carry image hashes of `image_kinds`."""
    asked = {Question(kind) for kind in lists.kinds if kind in image_kinds or kind in {Kind.LINK, *HOST_KINDS}}
    for kind in lists.kinds & set(LINK_HASH_KINDS):
        asked |= {Question(kind, form or "") for form in lists.forms[kind]}
    return frozenset(asked)


def read(root: DataRoot, shard: StockedShard, salt: bytes) -> Index | None:
    """The index of a shard as it is now, or None where there is none."""
    try:
        content = json.loads(root.index_record(shard.subset, shard.stem).read_text(encoding="utf-8"))
        found = Index(**(content | {"questions": tuple(Question(**each) for each in content["questions"])}))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if found.key == _key(shard, salt) and all(file.exists() for file in files(root, shard)) else None


def files(root: DataRoot, shard: StockedShard) -> tuple[Path, Path, Path]:
    """The files of a shard's index: of images, spellings and links."""
    subset, stem = shard.subset, shard.stem
    return root.images_index(subset, stem), root.spellings_index(subset, stem), root.links_index(subset, stem)


def asked_of(kinds: Collection[Kind]) -> tuple[bool, bool]:
    """Whether images and whether spellings are what entries of `kinds` are asked of."""
    return any(kind in IMAGE_KINDS for kind in kinds), any(kind not in IMAGE_KINDS for kind in kinds)


def known_sql(root: DataRoot, shards: Sequence[StockedShard], kinds: Collection[Kind]) -> str:
    """The relation `(file, of_image, fingerprint)` of what the indexes of `shards` hold for entries of `kinds`."""
    parts = ["SELECT NULL::integer AS file, NULL::boolean AS of_image, NULL::ubigint AS fingerprint WHERE false"]
    for of_image, asked in zip((True, False), asked_of(kinds), strict=True):
        if not (asked and shards):
            continue
        path = root.images_index if of_image else root.spellings_index
        paths = ", ".join(literal(str(path(shard.subset, shard.stem))) for shard in shards)
        parts.append(f"SELECT file_index::integer, {of_image}, fingerprint FROM read_parquet([{paths}])")
    return f"({' UNION ALL '.join(parts)})"


def links_sql(root: DataRoot, shards: Sequence[StockedShard]) -> str:
    """The relation `(file, link_key)` of the links that the indexes of `shards` hold."""
    paths = ", ".join(literal(str(root.links_index(shard.subset, shard.stem))) for shard in shards)
    return f"(SELECT file_index::integer AS file, link_key FROM read_parquet([{paths}]))"


@contextmanager
def writing(
    root: DataRoot, shards: Sequence[StockedShard], asked: frozenset[Question], salt: bytes
) -> Iterator[Callable[[duckdb.DuckDBPyConnection], None]]:
    """Write the indexes of `shards`; call what is given after each `spell`. An exception leaves no index."""
    with ExitStack() as stack:
        writers = [stack.enter_context(_ShardWriter(root, shard, asked, salt)) for shard in shards]

        def add(connection: duckdb.DuckDBPyConnection) -> None:
            for of_image in (True, False):
                held = f"SELECT file, fingerprint FROM {SPELLED} WHERE of_image = {of_image} ORDER BY file, fingerprint"
                for place, column in _by_file(connection, held):
                    writers[place].add_fingerprints(_without_repetition(column), of_image=of_image)
            for place, column in _by_file(connection, "SELECT file, link_key FROM link_keys ORDER BY file, link_key"):
                writers[place].add_links(column)

        yield add


def _by_file(connection: duckdb.DuckDBPyConnection, query: str) -> Iterator[tuple[int, pa.Array]]:
    """The second column of `query`, whose first is the number of a file, ascending, cut by it."""
    table = connection.sql(query).to_arrow_table().combine_chunks()
    files, column = table.column(0).to_numpy(), table.column(1)
    places, starts = np.unique(files, return_index=True)
    for place, start, end in zip(places, starts, [*starts, len(files)][1:], strict=True):
        yield int(place), column.slice(start, end - start)


def _without_repetition(ordered: pa.Array) -> pa.Array:
    values = ordered.to_numpy()
    return ordered.filter(pa.array(np.concatenate([[True], values[1:] != values[:-1]])))


class _ShardWriter:
    """Writes the files of one shard's index, a row group for each run."""

    def __init__(self, root: DataRoot, shard: StockedShard, asked: frozenset[Question], salt: bytes) -> None:
        self._record = root.index_record(shard.subset, shard.stem)
        self._paths = files(root, shard)
        self._key, self._asked = _key(shard, salt), asked
        self._found = 0
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        make_private(self._record.parent)
        self._record.unlink(missing_ok=True)
        with ExitStack() as stack:
            self._images, self._spellings, self._links = (
                stack.enter_context(_writer(stack.enter_context(written_whole(path)), column))
                for path, column in zip(self._paths, ("fingerprint", "fingerprint", "link_key"), strict=True)
            )
            self._stack = stack.pop_all()
        return self

    def add_fingerprints(self, column: pa.Array, *, of_image: bool) -> None:
        self._found += len(column)
        _add_run(self._images if of_image else self._spellings, column)

    def add_links(self, column: pa.Array) -> None:
        _add_run(self._links, column)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)
        if kind is None:
            size = sum(path.stat().st_size for path in self._paths)
            described = Index(self._key, tuple(sorted(self._asked)), self._found, size)
            write_text(self._record, json.dumps(asdict(described)))


def _writer(path: Path, column: str) -> Any:
    return pq.ParquetWriter(
        path,
        pa.schema([pa.field(column, pa.uint64(), nullable=False)]),
        use_dictionary=False,
        column_encoding={column: "DELTA_BINARY_PACKED"},
        compression="none",  # what the encoding leaves is noise
    )


def _add_run(writer: Any, column: pa.Array) -> None:
    writer.write_table(pa.table([column], schema=writer.schema), row_group_size=len(column))


def spell(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    asked: frozenset[Question],
    salt: bytes,
    *,
    with_links: bool = False,
    among: str | None = None,
) -> None:
    """Spell the rows of `relation (file, row, link, <image kinds>)` in all that is `asked`.

    Where `among` names a table, spellings whose `fingerprint` it does not hold are left out.

    Fills `spelled (file, row, of_image, fingerprint)`, `spelled_hosts (file, host, fingerprint)` with each host of a
    file once, and, `with_links`, `link_keys (file, link_key)`. The view `row_hosts (file, row, host)` says which rows
    have a host.
    """
    connection.execute(
        "CREATE OR REPLACE TEMP TABLE spelled (file integer, row bigint, of_image boolean, fingerprint ubigint)"
    )
    connection.execute("CREATE OR REPLACE TEMP TABLE spelled_hosts (file integer, host varchar, fingerprint ubigint)")
    for kind in IMAGE_KINDS:
        if Question(kind) in asked:
            fingerprint = keys.image_fingerprint_sql(kind, kind)
            _insert(connection, f"SELECT file, row, {fingerprint} AS fingerprint FROM {relation}", among, of_image=True)
    if any(question.kind not in IMAGE_KINDS for question in asked):
        rows.sort_links(connection, relation)
        _spell_links(connection, relation, asked, salt, among)
    if with_links:
        key = keys.private_link_key_sql(salt, "link")
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE link_keys AS "
            f"SELECT file, {key} AS link_key FROM {relation} WHERE link IS NOT NULL"
        )


def _spell_links(
    connection: duckdb.DuckDBPyConnection, relation: str, asked: frozenset[Question], salt: bytes, among: str | None
) -> None:
    hashed = [question for question in asked if question.kind in LINK_HASH_KINDS]
    for form in sorted({question.form for question in hashed}):
        names = [form] if form else None
        in_python = f"FROM {relation} WHERE link IS NOT NULL" if form == SAFE_BROWSING else "FROM odd_links"
        kinds = sorted(Kind(question.kind) for question in hashed if question.form == form)
        columns = {str(kind): keys.link_fingerprint_sql(kind, "spelled") for kind in kinds}
        rows.create_keys(connection, in_python, columns, rows.forms(names))
        for kind in kinds:
            _insert(connection, f"SELECT file, row, {kind}::ubigint AS fingerprint FROM odd_keys", among)
        if form != SAFE_BROWSING:
            # Each spelling is made once for all kinds: what stands in a list of keys may be several.
            keyed = rows.keys_in_sql(relation, names, partial(_fingerprints_sql, kinds))
            _insert(connection, f"SELECT file, row, key AS fingerprint FROM ({keyed})", among)
    if Question(Kind.LINK) in asked:
        fingerprint = keys.text_fingerprint_sql(salt, Kind.LINK, "spelled")
        rows.create_keys(connection, "FROM odd_links", {"key": fingerprint}, rows.match_keys)
        _insert(connection, "SELECT file, row, key::ubigint AS fingerprint FROM odd_keys", among)
        plain = rows.match_keys_in_sql(relation)
        _insert(connection, f"SELECT file, row, {fingerprint} AS fingerprint FROM ({plain})", among)
    by_host = [kind for kind in HOST_KINDS if Question(kind) in asked]
    if by_host:
        rows.create_hosts(connection, relation)
    for kind in by_host:
        of_lists = PREFIX_HOST if kind is Kind.PREFIX else kind
        rows.create_host_keys(connection, HOST_KINDS[kind], keys.text_fingerprint_sql(salt, of_lists, "spelled"))
        connection.execute(
            "INSERT INTO spelled_hosts SELECT file, host, key::ubigint FROM "
            f"(SELECT DISTINCT file, host FROM row_hosts) JOIN host_keys USING (host) WHERE {_wanted('key', among)}"
        )


def _fingerprints_sql(kinds: list[Kind], spelled: str) -> str:
    return ", ".join(keys.link_fingerprint_sql(kind, spelled) for kind in kinds)


def runs(connection: duckdb.DuckDBPyConnection, most: int) -> Iterator[None]:
    """Define the view `run` over each run of the view `source` in turn; `most` rows are in its longest file."""
    for start in range(0, max(most, 1), RUN_ROWS):
        connection.execute(
            f"CREATE OR REPLACE TEMP VIEW run AS SELECT * FROM source WHERE row >= {start} AND row < {start + RUN_ROWS}"
        )
        yield


def _insert(connection: duckdb.DuckDBPyConnection, keyed: str, among: str | None, *, of_image: bool = False) -> None:
    connection.execute(
        f"INSERT INTO spelled SELECT file, row, {of_image}, fingerprint FROM ({keyed}) "
        f"WHERE {_wanted('fingerprint', among)}"
    )


def _wanted(fingerprint: str, among: str | None) -> str:
    return f"{fingerprint} IN (SELECT fingerprint FROM {among})" if among else f"{fingerprint} IS NOT NULL"


def _key(shard: StockedShard, salt: bytes) -> str:
    return key_of(
        shard.source_sha256, shard.scores_sha256, shard.columns.model_dump(), salt.hex(), code_version(SCREENING)
    )
