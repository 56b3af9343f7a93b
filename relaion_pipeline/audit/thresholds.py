"""Whether the published rows keep to the rule that the manifest states: told from the release's own files alone.

What belongs here: the NSFW threshold and missing scores. What does not: lists and keywords, which outsiders lack.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb

from relaion_pipeline import database
from relaion_pipeline.audit.verification import VerificationError
from relaion_pipeline.database import QueryError, literal, quoted
from relaion_pipeline.layout import RESEARCH_SAFE
from relaion_pipeline.release.manifest import Manifest, PublishedFile
from relaion_pipeline.settings import Columns
from relaion_pipeline.shards import ShardError, open_parquet, resolve

_AUTO = "auto"


def differences(
    release: Path, described: Manifest, progress: Callable[[int], None] = lambda _: None
) -> tuple[list[str], list[str]]:
    """Files of research-safe with rows above the threshold, and files with rows without a score, with how many rows.

    Raises:
        VerificationError: a file cannot be read.
    """
    above, unscored = [], []
    with duckdb.connect(config={"autoinstall_known_extensions": False, "autoload_known_extensions": False}) as db:
        for file in _present(release, described):
            high, missing = _count(db, release / file.path, file, described.nsfw.research_safe_above)
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


def _count(db: duckdb.DuckDBPyConnection, path: Path, file: PublishedFile, threshold: float) -> tuple[int, int]:
    """How many rows of a file are unsafe, and how many have no score. A tag counts where there is no score column."""
    try:
        with open_parquet(path, file.path) as parquet:
            columns = resolve(_columns(file), parquet.schema_arrow, name=file.path)
    except ShardError as error:
        raise VerificationError(str(error)) from None
    score = f"try_cast({quoted(columns.punsafe)} AS double)" if columns.punsafe else "NULL::double"
    tag = f"upper(trim({quoted(columns.nsfw)}))" if columns.nsfw else "NULL::varchar"
    # A column of nulls only is no score column: the tag counts then.
    scored = f"typeof({quoted(columns.punsafe)}) <> '\"NULL\"'" if columns.punsafe else "false"
    try:
        with database.asking(f"reading scores of {file.path}"):
            found = db.execute(
                f"""
                SELECT count(*) FILTER (score > {threshold!r} OR (score IS NULL AND tag IN ('UNSURE', 'NSFW'))),
                    count(*) FILTER (score IS NULL
                        AND (scored OR tag IS NULL OR tag NOT IN ('UNLIKELY', 'UNSURE', 'NSFW')))
                FROM (
                    SELECT CASE WHEN isfinite({score}) AND {score} BETWEEN 0 AND 1 THEN {score} END AS score,
                        {tag} AS tag, {scored} AS scored
                    FROM read_parquet({literal(str(path))}, hive_partitioning = false)
                )
                """
            ).fetchone()
    except QueryError as error:
        raise VerificationError(str(error)) from None
    assert found is not None  # a count has a row
    return int(found[0]), int(found[1])


def _columns(file: PublishedFile) -> str | Columns:
    return Columns.model_validate(file.columns) if file.columns else _AUTO
