"""The command for holders of old copies. It must load neither Dagster nor Great Expectations."""

import os
from pathlib import Path
from typing import Any

import click

from relaion_pipeline import report_tables
from relaion_pipeline.layout import EDITIONS, RESEARCH


@click.command()
@click.argument("copy", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--removals", type=click.Path(exists=True, path_type=Path), help="A release, or the folder removals/ of one."
)
@click.option("--release", type=click.Path(exists=True, path_type=Path), help="Keep only rows that this release holds.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where the clean copy goes.")
@click.option("--in-place", is_flag=True, help="Change the copy itself; safe against a crash.")
@click.option("--dry-run", is_flag=True, help="Count what would go, and write nothing.")
@click.option(
    "--edition", type=click.Choice(EDITIONS), default=RESEARCH, show_default=True, help="Which edition's lists."
)
@click.option(
    "--by",
    type=click.Choice(("either", "row", "link")),
    default="either",
    show_default=True,
    help="Compare link and text (row), the link alone, or take out what either names.",
)
@click.option("--columns", default="auto", show_default=True, help="Column preset; see docs/shards.md.")
@click.option("--link-column", help="Column (or JSON key) of the image link.")
@click.option("--text-column", help="Column (or JSON key) of the text.")
@click.option("--unread", multiple=True, metavar="PATTERN", help="Names of files to pass on unread (repeatable).")
@click.option("--jobs", type=click.IntRange(min=1), help="Files at a time.  [default: one for each core]")
def clean(copy: Path, **options: Any) -> None:
    """Take out of COPY, a file or folder, what an edition lacks: metadata, or img2dataset's output.

    COPY is left alone unless --in-place is given. Interrupted, it goes on where it stopped when run again.
    Exit status 1 if any file could not be cleaned; such files are named and left as they are.

    \b
    Examples:
        relaion clean laion5b/ --removals releases/current --out clean/
        relaion clean images/ --removals removals/ --in-place
        relaion clean captions.tsv --release releases/current --by link --out clean/
    """
    from relaion_pipeline import clean as cleaning  # noqa: PLC0415  (imports multiprocessing and DuckDB)

    if (options["removals"] is None) == (options["release"] is None):
        raise click.UsageError("give either --removals or --release")
    if sum((options["out"] is not None, options["in_place"], options["dry_run"])) != 1:
        raise click.UsageError("give one of --out, --in-place and --dry-run")
    if options["text_column"] and not options["link_column"]:
        raise click.UsageError("--text-column needs --link-column")
    by = cleaning.By(options["by"])
    request = cleaning.Request(
        copy=copy,
        removals=options["removals"],
        release=options["release"],
        out=options["out"],
        edition=options["edition"],
        by=by,
        choice=cleaning.Choice(
            options["columns"], options["link_column"], options["text_column"], by is not cleaning.By.LINK
        ),
        unread=options["unread"],
        jobs=options["jobs"] or os.cpu_count() or 1,
        dry_run=options["dry_run"],
    )
    try:
        with report_tables.bytes_bar("cleaning") as started:
            outcome = cleaning.clean(request, started)
    except cleaning.CleanError as error:
        raise click.ClickException(str(error)) from None
    report_tables.show_cleaned(outcome, dry_run=options["dry_run"])
    if outcome.failures:
        raise click.ClickException("\n".join(outcome.failures))
