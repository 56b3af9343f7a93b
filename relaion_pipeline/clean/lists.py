"""Where the keys come from: the removal lists of a release, or the rows of one of its editions."""

import hashlib
from pathlib import Path

import duckdb

from relaion_pipeline.clean.errors import CleanError
from relaion_pipeline.clean.judging import By, Judge
from relaion_pipeline.database import literal
from relaion_pipeline.release import removal_lists
from relaion_pipeline.release.removal_lists import KINDS, LINKS, REMOVALS, ROWS, RemovalListError
from relaion_pipeline.shards import ShardError, open_parquet, resolve
from relaion_pipeline.shards.presets import AUTO

_KEYS_PER_BATCH = 1 << 17
_MEMORY = "512MiB"
_RELEASE_SALT = "release"


def of_removals(folder: Path, edition: str, by: By, scratch: Path) -> Judge:
    """Judge by the removal lists in `folder`: a release, its `removals/`, or the folder of an edition in it.

    Raises:
        CleanError: there are no lists, they are damaged, or not of this edition.
    """
    places = (folder / REMOVALS / edition, folder / edition, folder)
    found = next((place for place in places if (place / f"{ROWS}.parquet").is_file()), None)
    if found is None:
        raise CleanError(
            f"{folder}: no removal lists of edition '{edition}' there; name a release, or the folder `removals` of one"
        )
    digest = hashlib.sha256()
    salts, keys = set(), {}
    try:
        for kind in KINDS:
            path = found / f"{kind}.parquet"
            head = removal_lists.read_head(path)
            if (head.edition, head.kind) != (edition, kind):
                raise CleanError(f"{path}: it is the list of {head.kind} of '{head.edition}'; choose --edition")
            salts.add(head.salt)
            keys[kind] = scratch / f"{kind}.u64"
            with keys[kind].open("wb") as file:
                for piece in removal_lists.read_keys(path):
                    file.write(piece.tobytes())
                    digest.update(piece.tobytes())
    except RemovalListError as error:
        raise CleanError(str(error)) from None
    if len(salts) != 1:
        raise CleanError(f"{found}: its lists have different salts; they are not of one release")
    salt = salts.pop()
    return Judge(salt, by, keys, keeps=False, digest=f"{digest.hexdigest()} {salt} {by} removals")


def of_release(folder: Path, edition: str, by: By, scratch: Path) -> Judge:
    """Judge by the rows of an edition of the release in `folder`: what it does not hold goes.

    Raises:
        CleanError: there is no such edition, or a file of it cannot be read.
    """
    files = sorted((folder / edition).rglob("*.parquet"))
    if not files:
        raise CleanError(f"{folder}: no files of edition '{edition}' there; name the folder of a release")
    kind = LINKS if by is By.LINK else ROWS
    keys = scratch / f"{kind}.u64"
    digest = hashlib.sha256()
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY,
        "temp_directory": str(scratch),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    try:
        with duckdb.connect(config=config) as connection, keys.open("wb") as file:
            connection.execute("CREATE TEMP TABLE held (key UBIGINT)")
            for path in files:
                connection.execute(
                    f"INSERT INTO held SELECT {_key(path, kind)} FROM read_parquet({literal(str(path))})"
                )
            for batch in connection.sql("SELECT DISTINCT key FROM held ORDER BY key").to_arrow_reader(_KEYS_PER_BATCH):
                piece = batch.column(0).to_numpy().tobytes()
                file.write(piece)
                digest.update(piece)
    except (duckdb.Error, ShardError) as error:
        reason = str(error) if isinstance(error, ShardError) else type(error).__name__
        raise CleanError(f"{folder}: the rows of '{edition}' cannot be read ({reason})") from None
    return Judge(
        _RELEASE_SALT, By.LINK if by is By.LINK else By.ROW, {kind: keys}, keeps=True, digest=digest.hexdigest()
    )


def _key(path: Path, kind: str) -> str:
    with open_parquet(path, str(path)) as file:
        columns = resolve(AUTO, file.schema_arrow, name=str(path))
        link = removal_lists.bytes_sql(columns.link, file.schema_arrow)
        text = removal_lists.bytes_sql(columns.text, file.schema_arrow)
    return removal_lists.key_sql(_RELEASE_SALT, kind, link, text)
