"""The public keys of rows that removal lists are made of, kept for each shard, so that a release reads what changed.

What belongs here: which rows' keys a release needs, finding them, and the private file in which each shard's stand.
What does not: what the lists say (`removals`), and what a key is (`removal_lists`).

A release needs the keys of all removed rows, and of all rows that are kept although a removed row, in whatever shard,
has their link. The file of a shard holds the keys of some of its rows, by row number. They depend on the shard and the
salts alone: verdicts decide only which rows are asked for, and rows that are not asked for any more do no harm. How
often a link stands in a shard is told by its index; a shard is read where it holds a removed link more often than rows
of that link are known, or where verdicts name a row that is not.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from relaion_pipeline.database import literal, quoted
from relaion_pipeline.feeds import compiling, keys
from relaion_pipeline.layout import DataRoot, make_private, written_whole
from relaion_pipeline.provenance import LISTING, code_version, key_of
from relaion_pipeline.release import removal_lists
from relaion_pipeline.release.removal_lists import LINKS, ROWS
from relaion_pipeline.screening import index
from relaion_pipeline.shards.stock import StockedShard, asked_together

_KNOWN = pa.schema(
    [
        pa.field("row", pa.int64(), nullable=False),  # 0-based position in the shard, ascending
        pa.field("row_key", pa.uint64(), nullable=False),
        pa.field("link_key", pa.uint64(), nullable=False),
        pa.field("own", pa.uint64()),  # private key of the link as this shard's index has it; null without a link
        pa.field("other", pa.uint64()),  # as the index of a shard would that holds bytes where this one holds text
    ]
)
_METADATA_KEY = b"relaion.public_keys"


@dataclass(frozen=True)
class PublicKeys:
    """Finds the keys of rows of `shards`, on a connection of its caller."""

    connection: duckdb.DuckDBPyConnection
    root: DataRoot
    shards: Sequence[StockedShard]
    salt: str  # of the lists

    def create_known(self, gone: str) -> None:
        """Define the view `known (place, row, row_key, link_key)`; `place` is a shard's in the list of all.

        It holds, each once, all rows of the relation `gone (place, row)`, all others with the link of one, and maybe
        more. Shards are read only for keys that are not kept yet.
        """
        for shard in self.shards:
            if not self._stands(shard):
                self._write(shard, _KNOWN.empty_table())
        files = _listed(self._path(shard) for shard in self.shards)
        self.connection.execute(
            f"CREATE OR REPLACE TEMP VIEW known AS SELECT file_index::INTEGER AS place, * FROM read_parquet([{files}])"
        )
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE unknown AS SELECT place, row FROM {gone} ANTI JOIN known USING (place, row)"
        )
        self._find("SEMI JOIN unknown USING (place, row)")
        self._create_unknown_links(gone)
        self._find(
            f"SEMI JOIN unknown ON source.place = unknown.place AND {self._own} = own "
            "ANTI JOIN known ON source.place = known.place AND source.row = known.row"
        )
        self.connection.execute("DROP TABLE unknown")

    def _create_unknown_links(self, gone: str) -> None:
        """Fill `unknown (place, own)`: links of rows of `gone` that a shard holds more often than its keys are known.

        A row without a link is in no index; such rows are never kept, so that none is missed.
        """
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE sought AS WITH removed AS (FROM known SEMI JOIN {gone} USING (place, row)) "
            "SELECT own FROM removed WHERE own IS NOT NULL UNION SELECT other FROM removed WHERE other IS NOT NULL"
        )
        self.connection.execute("CREATE OR REPLACE TEMP TABLE unknown (place INTEGER, own UBIGINT)")
        indexed = []
        for place, shard in enumerate(self.shards):
            if index.read(self.root, shard, self._private_salt):
                indexed.append(place)
            else:  # it cannot be asked, so the shard is read
                self.connection.execute(f"INSERT INTO unknown SELECT {place}, own FROM sought")
        if indexed:
            held = index.links_sql(self.root, [self.shards[place] for place in indexed])
            self.connection.execute(
                f"""
                INSERT INTO unknown SELECT place, own FROM (
                    SELECT {indexed}[file + 1] AS place, link_key AS own, count(*) AS rows
                    FROM {held} SEMI JOIN sought ON link_key = own GROUP BY ALL
                ) LEFT JOIN (
                    SELECT place, own, count(*) AS found FROM known GROUP BY ALL
                ) USING (place, own) WHERE rows > coalesce(found, 0)
                """
            )
        self.connection.execute("DROP TABLE sought")

    def _find(self, rows: str) -> None:
        """Add to the files of all shards of `unknown` those of `rows` of `source`."""
        places = {place for (place,) in self.connection.execute("SELECT DISTINCT place FROM unknown").fetchall()}
        unknown = [(place, shard) for place, shard in enumerate(self.shards) if place in places]
        for together in asked_together(unknown, lambda each: each[1]):
            self._create_found(together, rows)
            for place, shard in together:
                columns = ", ".join(_KNOWN.names)
                table = self.connection.sql(
                    f"FROM read_parquet({literal(str(self._path(shard)))}) "
                    f"UNION ALL SELECT {columns} FROM found WHERE place = {place} ORDER BY row"
                ).to_arrow_table()
                self._write(shard, table.cast(_KNOWN))

    def _create_found(self, together: Sequence[tuple[int, StockedShard]], rows: str) -> None:
        """Fill `found` with the keys of `rows` of `source (place, row, link, link_bytes, text_bytes)`, some shards."""
        shard = together[0][1]
        schema = pq.read_schema(shard.parquet)
        columns, link = shard.columns, quoted(shard.columns.link)
        # Bytes that are no text have no other key: no shard can hold them as text.
        other = "try(decode(link))" if removal_lists.is_bytes(columns.link, schema) else "link_bytes::VARCHAR"
        files = _listed(each.parquet for _, each in together)
        self.connection.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE found AS
            WITH source AS (
                SELECT {[place for place, _ in together]}[file_index::BIGINT + 1] AS place, file_row_number AS row,
                    {link} AS link, {removal_lists.bytes_sql(columns.link, schema)} AS link_bytes,
                    {removal_lists.bytes_sql(columns.text, schema)} AS text_bytes
                FROM read_parquet([{files}], file_row_number = true, hive_partitioning = false)
            )
            SELECT place, row, {removal_lists.key_sql(self.salt, ROWS, "link_bytes", "text_bytes")} AS row_key,
                {removal_lists.key_sql(self.salt, LINKS, "link_bytes")} AS link_key, {self._own} AS own,
                CASE WHEN link IS NOT NULL THEN {keys.private_link_key_sql(self._private_salt, other)} END AS other
            FROM (FROM source {rows})
            """
        )

    @cached_property
    def _private_salt(self) -> bytes:
        return compiling.salt_of(self.root)

    @cached_property
    def _own(self) -> str:
        """SQL for the private key of a row's link as its shard's index has it."""
        return keys.private_link_key_sql(self._private_salt, "link::VARCHAR")

    # The files

    def _path(self, shard: StockedShard) -> Path:
        return self.root.public_keys(shard.subset, shard.stem)

    def _stands(self, shard: StockedShard) -> bool:
        try:
            metadata = pq.read_schema(self._path(shard)).metadata or {}
        except (OSError, pa.ArrowInvalid):
            return False
        return bool(metadata.get(_METADATA_KEY) == self._key(shard).encode())

    def _write(self, shard: StockedShard, known: pa.Table) -> None:
        path = self._path(shard)
        make_private(path.parent)
        with written_whole(path) as temporary:
            marked = known.replace_schema_metadata({_METADATA_KEY: self._key(shard).encode()})
            pq.write_table(marked, temporary, compression="none", use_dictionary=False)

    def _key(self, shard: StockedShard) -> str:
        """Digest of all that the keys of a shard's rows depend on."""
        return key_of(
            shard.source_sha256,
            shard.scores_sha256,
            shard.rows,
            shard.columns.model_dump(),
            shard.schema_sha256,
            self.salt,
            self._private_salt.hex(),
            code_version(LISTING),
        )


def _listed(files: Iterable[Path]) -> str:
    return ", ".join(literal(str(file)) for file in files)
