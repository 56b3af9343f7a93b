"""Removal lists of a release: what the source has and an edition lacks, as keys that nobody can read a link from.

What belongs here: which keys are listed, and whether listed rows are few enough among them to be published.
What does not: the files' format (`removal_lists`).

A row's key is listed if any removed row has its link and text. A link's key is listed only if no row of the edition
has the link any more: else holders would lose rows that the edition keeps.
"""

from collections.abc import Sequence
from pathlib import Path

import duckdb

from relaion_pipeline import database
from relaion_pipeline.database import literal
from relaion_pipeline.layout import EDITIONS, RESEARCH, RESEARCH_SAFE, DataRoot
from relaion_pipeline.release import removal_lists
from relaion_pipeline.release.inputs import Inputs
from relaion_pipeline.release.manifest import RemovalList, Removals
from relaion_pipeline.release.public_keys import PublicKeys
from relaion_pipeline.release.readiness import ReleaseRefusedError
from relaion_pipeline.release.removal_lists import KINDS, LINKS, ROWS, Head, ListWriter
from relaion_pipeline.screening import verdicts
from relaion_pipeline.screening.verdicts import BIT, HIDDEN_BITS, Reason
from relaion_pipeline.settings import Settings
from relaion_pipeline.shards.stock import StockedShard

_KEYS_PER_BATCH = 1 << 17
_SECRET_BITS = HIDDEN_BITS - BIT[Reason.COVER]


def write(root: DataRoot, inputs: Inputs, folder: Path) -> Removals:
    """Write the lists of all editions below `folder`, and return what the manifest says of them.

    Raises:
        ReleaseRefusedError: listed rows are more than their set share of a list; nothing is to be published.
    """
    settings = inputs.settings
    with (
        database.asking("listing what the editions lack"),
        database.connect(root, settings.limits) as connection,
    ):
        _create_removed(connection, root, inputs.shards, settings.removals.salt_of(settings.dataset))
        lists = [_write_edition(connection, folder, edition, settings) for edition in EDITIONS]
        (listed,) = connection.execute(
            "SELECT count(DISTINCT row_key), count(DISTINCT link_key) FROM removed WHERE secret"
        ).fetchall()
    _refuse_conspicuous(lists, listed, settings)
    return Removals(
        salt=settings.removals.salt_of(settings.dataset),
        max_listed_share=settings.removals.max_listed_share,
        lists=lists,
    )


def _refuse_conspicuous(lists: Sequence[RemovalList], listed: tuple[int, int], settings: Settings) -> None:
    """Refuse lists in which listed keys, of rows and of links, are too many among the ordinary ones."""
    allowed = settings.removals.max_listed_share
    problems = [
        f"removals/{each.edition}, list of {what}: {secret:,} are listed and it holds {keys:,} keys, a share of "
        f"{secret / max(keys, 1):.4g}; at most {allowed:g} is allowed"
        for each in lists
        for what, secret, keys in zip(("rows", "links"), listed, (each.row_keys, each.link_keys), strict=True)
        if secret > allowed * keys
    ]
    if problems:
        raise ReleaseRefusedError(
            "Listed rows would stand out in the removal lists, so nothing was released:\n"
            + "\n".join(problems)
            + "\nRelease more rows together, so that more ordinary ones are removed with them; "
            "or raise `max_listed_share` under [removals] in relaion.toml, knowing that it is how well a guess "
            "at a listed row does"
        )


def _create_removed(
    connection: duckdb.DuckDBPyConnection, root: DataRoot, shards: Sequence[StockedShard], salt: str
) -> None:
    """Fill `removed`, the keys of rows that an edition lacks, and `standing`, those of kept rows with such a link.

    Secret are rows that go for a list's sake; not their cover.
    """
    files = ", ".join(literal(str(root.verdicts(shard.subset, shard.stem))) for shard in shards)
    connection.execute(
        f"CREATE TEMP TABLE gone AS SELECT file_index::INTEGER AS place, row, "
        f"reasons & {verdicts.RESEARCH_BITS} <> 0 AS leaves_research, reasons & {_SECRET_BITS} <> 0 AS secret "
        f"FROM read_parquet([{files}])"
    )
    PublicKeys(connection, root, shards, salt).create_known("gone")
    connection.execute(
        "CREATE TEMP TABLE removed AS SELECT row_key, link_key, leaves_research, secret "
        "FROM gone JOIN known USING (place, row)"
    )
    connection.execute(
        "CREATE TEMP TABLE standing AS SELECT row_key, link_key FROM known ANTI JOIN gone USING (place, row)"
    )


def _write_edition(
    connection: duckdb.DuckDBPyConnection, folder: Path, edition: str, settings: Settings
) -> RemovalList:
    """Write an edition's two lists. research keeps rows that research-safe lacks, so their links stand in it."""
    gone = {RESEARCH: "leaves_research", RESEARCH_SAFE: "true"}[edition]
    kept = f"SELECT row_key, link_key FROM standing UNION ALL SELECT row_key, link_key FROM removed WHERE NOT ({gone})"
    wanted = {
        ROWS: f"SELECT DISTINCT row_key AS key FROM removed WHERE {gone} ORDER BY key",
        LINKS: f"SELECT DISTINCT link_key AS key FROM removed WHERE {gone} "
        f"AND link_key NOT IN (SELECT link_key FROM ({kept})) ORDER BY key",
    }
    keys = {}
    for kind in KINDS:
        path = removal_lists.path_of(folder, edition, kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        salt = settings.removals.salt_of(settings.dataset)
        with ListWriter(path, Head(settings.dataset.name, edition, kind, salt)) as writer:
            for batch in connection.sql(wanted[kind]).to_arrow_reader(_KEYS_PER_BATCH):
                writer.write(batch.column(0).to_numpy())
        keys[kind] = writer.keys
    ((rows, alike),) = connection.execute(
        f"SELECT (SELECT count(*) FROM removed WHERE {gone}), "
        f"(SELECT count(*) FROM ({kept}) SEMI JOIN (FROM removed WHERE {gone}) AS r USING (row_key))"
    ).fetchall()
    return RemovalList(edition=edition, rows=rows, row_keys=keys[ROWS], link_keys=keys[LINKS], kept_alike=alike)
