"""Whether the published rows keep to the rule that the manifest states: told from the release's own files alone.

What belongs here: the NSFW threshold and missing scores. What does not: lists and keywords, which outsiders lack.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from relaion_pipeline import database
from relaion_pipeline.database import QueryError, literal, quoted
from relaion_pipeline.layout import RESEARCH_SAFE
from relaion_pipeline.release.manifest import Manifest, PublishedFile
from relaion_pipeline.settings import Columns
from relaion_pipeline.shards import ShardError, open_parquet, resolve

_AUTO = "auto"


def differences(
    release: Path, described: Manifest, progress: Callable[[int], None] = lambda _: None
) -> tuple[list[str], list[str]]:
    """Files of research-safe with rows above the threshold, and files with rows without a score, with how many rows."""
    above, unscored = [], []
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as db:
        for file in _present(release, described):
            try:
                columns = _columns(release / file.path, file, described)
                high, missing = _count(db, release / file.path, columns, described.nsfw.research_safe_above)
            except (ShardError, QueryError):  # one file that cannot be read hides nothing of the others
                unscored.append(f"{file.path}: its scores cannot be read")
                continue
            if high:
                above.append(f"{file.path}: {high} rows above {described.nsfw.research_safe_above}")
            if missing:
                unscored.append(f"{file.path}: {missing} rows without a score")
            progress(file.rows)
    return above, unscored


def _present(release: Path, described: Manifest) -> Iterator[PublishedFile]:
    """Files of research-safe that are there; what is missing is told where files are held against the manifest."""
    for file in described.files:
        if file.edition == RESEARCH_SAFE and ".." not in Path(file.path).parts and (release / file.path).is_file():
            yield file


def _columns(path: Path, file: PublishedFile, described: Manifest) -> Columns:
    """Which columns hold score and tag: as the manifest says, or else by preset."""
    with open_parquet(path, file.path) as parquet:
        schema = parquet.schema_arrow
    known = [column for column in described.columns.get(file.subset, []) if column.name in schema.names]
    named = {column.part: column.name for column in known if column.part}
    return resolve(Columns(**named) if "link" in named else _AUTO, schema, name=file.path)


def _count(db: duckdb.DuckDBPyConnection, path: Path, columns: Columns, threshold: float) -> tuple[int, int]:
    """How many rows of a file are unsafe, and how many have no score. A tag counts where there is no score column."""
    score = f"try_cast({quoted(columns.punsafe)} AS double)" if columns.punsafe else "NULL::double"
    tag = f"upper(trim({quoted(columns.nsfw)}))" if columns.nsfw else "NULL::varchar"
    # A column of nulls only is no score column: the tag counts then.
    scored = f"typeof({quoted(columns.punsafe)}) <> '\"NULL\"'" if columns.punsafe else "false"
    with database.asking(f"reading scores of {path.name}"):
        found = db.execute(
            f"""
            SELECT count(*) FILTER (score > {threshold!r} OR (score IS NULL AND tag IN ('UNSURE', 'NSFW'))),
                count(*) FILTER (score IS NULL AND (scored OR tag IS NULL OR tag NOT IN ('UNLIKELY', 'UNSURE', 'NSFW')))
            FROM (
                SELECT CASE WHEN isfinite({score}) AND {score} BETWEEN 0 AND 1 THEN {score} END AS score,
                    {tag} AS tag, {scored} AS scored
                FROM read_parquet({literal(str(path))}, hive_partitioning = false)
            )
            """
        ).fetchone()
    assert found is not None  # a count has a row
    return int(found[0]), int(found[1])
