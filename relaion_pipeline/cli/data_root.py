"""Commands about a data root: making one, making releases in it, looking at it."""

import os
from pathlib import Path

import click
from rich.console import Console

from relaion_pipeline import report_tables, startup
from relaion_pipeline.cli.options import DATA, told
from relaion_pipeline.layout import DataRoot, write_text


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> None:
    """Write a commented relaion.toml into FOLDER, a new data root.

    \b
    Example:
        relaion init /srv/laion
    """
    from relaion_pipeline import template  # noqa: PLC0415  (imports pyarrow, as all that reads settings does)
    from relaion_pipeline.release import signature  # noqa: PLC0415  (imports cryptography)
    from relaion_pipeline.settings import SETTINGS_FILE  # noqa: PLC0415

    path = folder / SETTINGS_FILE
    if path.exists():
        raise click.ClickException(f"{path} is there already; edit it, or choose another folder")
    folder.mkdir(parents=True, exist_ok=True)
    write_text(path, template.settings_text(), mode=0o644)
    keywords = folder / "keywords.txt"
    if not keywords.exists():
        write_text(keywords, template.KEYWORDS, mode=0o644)
    for name in ("raw", "feeds"):
        (folder / name).mkdir(exist_ok=True)
    signature.ensure_key(DataRoot.at(folder))
    Console().print(
        f"Wrote {path}. Put shards under {folder / 'raw'} and lists under {folder / 'feeds'}, adjust the file, "
        f"then run: relaion release --data {folder}",
        soft_wrap=True,
        highlight=False,
    )


@click.command("sample")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@click.option("--rows", type=click.IntRange(min=1_000), default=30_000, show_default=True, help="Rows in all subsets.")
@click.option("--seed", type=int, default=1, show_default=True, help="Same seed, same bytes.")
@click.option("--hashes", type=click.IntRange(min=1), help="Entries in all lists.  [default: grows with the rows]")
@click.option(
    "--around",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Make a data root around this real shard instead (TSV or JSONL; read in place, repeatable).",
)
@click.option(
    "--listed", type=click.IntRange(min=1), default=200, show_default=True, help="With --around: links to list."
)
def make_sample(folder: Path, rows: int, seed: int, hashes: int | None, around: tuple[Path, ...], listed: int) -> None:
    """Make a data root with sample data in FOLDER: settings, lists and LAION-like shards.

    Which rows are listed stands beside FOLDER in FOLDER.truth.parquet, for tests.

    \b
    Examples:
        relaion sample demo --rows 300000 --seed 7
        relaion sample real --around captions.tsv --listed 200
    """
    from relaion_pipeline import sample  # noqa: PLC0415  (imports pyarrow)

    try:
        if around:
            summary = sample.adopt(folder, sources=list(around), listed=listed, seed=seed)
        else:
            with report_tables.bar("sample rows", rows) as advance:
                summary = sample.generate(folder, rows=rows, seed=seed, hashes=hashes, progress=advance)
    except (FileExistsError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    Console().print(
        f"Wrote {sum(summary.rows.values()):,} rows in {summary.shards} shards and "
        f"{sum(summary.entries.values()):,} list entries to {folder}. Next: relaion release --data {folder}",
        soft_wrap=True,
        highlight=False,
    )


@click.command()
@DATA
@click.option("--version", help="Name of the release.  [default: today's date and a number, 2026-01-31.001]")
@told
def release(data: Path, version: str | None) -> None:
    """Make a release from the feeds and shards as they are now; nothing changed means nothing to do.

    Interrupted or failed, it goes on where it stopped when run again. Its run shows in the UI (`relaion ui`).

    \b
    Example:
        relaion release --data demo
    """
    with startup.importing():
        from relaion_pipeline import launch  # noqa: PLC0415  (imports Dagster)

    outcome = launch.release(DataRoot.at(data), version)
    for run in outcome.cleared:
        click.echo(f"Run {run} had been killed; it is marked as failed.", err=True)
    if outcome.failures:
        left = (
            f"The release itself was made: {outcome.folder}"
            if outcome.made
            else "The last release, if any, is as it was."
        )
        raise click.ClickException("\n".join([*outcome.failures, left]))
    report_tables.show_release(outcome.folder, made=outcome.made)
    if outcome.newest is not None:
        click.echo(
            f"That is not the newest: {outcome.newest} is, and `relaion rollback` took current back from it. Changed "
            f"inputs make a new release; `relaion rollback {outcome.newest}` goes back to it."
        )
    if outcome.unpublished:
        click.echo(f"Not published yet to: {', '.join(outcome.unpublished)}. Run: relaion publish --data {data}")


@click.command()
@DATA
@told
def status(data: Path) -> None:
    """Show lists, shards and the current release, what changed since and has to be done again, and what to look at.

    \b
    Example:
        relaion status --data demo
    """
    from relaion_pipeline import status as statuses  # noqa: PLC0415  (reads and digests all inputs)

    report_tables.show_status(statuses.of(DataRoot.at(data)))


@click.command()
@DATA
@click.option("--new", is_flag=True, help="Make another key; the old one is kept under its fingerprint.")
@told
def key(data: Path, new: bool) -> None:
    """Show the public key that releases are signed with; make one where there is none.

    Hand it to those who check releases by another way than the releases take.

    \b
    Example:
        relaion key --data demo > demo.pub
    """
    from relaion_pipeline.release import signature  # noqa: PLC0415  (imports cryptography)

    root = DataRoot.at(data)
    public = signature.public_text(signature.new_key(root) if new else signature.ensure_key(root))
    click.echo(public, nl=False)
    click.echo(f"fingerprint {signature.fingerprint(public)}", err=True)


@click.command()
@DATA
@click.option("--port", type=int, default=3000, show_default=True, help="Port on this machine.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
def ui(data: Path, port: int, host: str) -> None:
    """Open the Dagster UI with its daemon on a data root. Stop it with Ctrl-C.

    \b
    Example:
        relaion ui --data demo
    """
    from relaion_pipeline import launch, settings  # noqa: PLC0415  (imports Dagster)
    from relaion_pipeline.settings import SETTINGS_FILE, SettingsError  # noqa: PLC0415

    root = DataRoot.at(data)
    try:
        if (root.path / SETTINGS_FILE).exists():
            settings.load(root.path)
    except SettingsError as error:
        raise click.ClickException(str(error)) from None
    command, environment = launch.ui_command(root, host, port)
    os.execvpe(command[0], command, environment)  # noqa: S606  (our own command, no shell)
