"""Commands that take requests to remove single links or images."""

import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from relaion_pipeline import report_tables
from relaion_pipeline.cli.options import DATA, told
from relaion_pipeline.layout import DataRoot

_GROUNDS = ("privacy", "court-order", "opt-out")
_HASHES = ("link-md5", "image-md5", "image-sha1", "image-sha256")


@click.group()
def takedown() -> None:
    """Take requests to remove single links or images, and show what became of them.

    \b
    Examples:
        relaion takedown add --data demo --reference 2026/17 --ground privacy < links.txt
        relaion takedown list --data demo
    """


@takedown.command("add")
@click.argument("entries", nargs=-1)
@DATA
@click.option("--reference", required=True, help="Number of the case or letter, for the record.")
@click.option(
    "--ground",
    required=True,
    type=click.Choice(_GROUNDS),
    help="On what ground it is requested.",
)
@click.option("--hash", "kind", type=click.Choice(_HASHES), help="The entries are hashes of this kind, in hex.")
@click.option("--file", "source", type=click.File("r", encoding="utf-8"), help="Read entries from here, one a line.")
@told
def add_takedown(
    entries: tuple[str, ...], data: Path, reference: str, ground: str, kind: str | None, source: Any
) -> None:
    """Append ENTRIES, plain links or hashes, to the list of takedown requests; the next release removes their rows.

    Without ENTRIES and --file they are read from standard input, one a line: so they stay out of the shell's history.

    \b
    Examples:
        relaion takedown add --data demo --reference 2026/17 --ground privacy < links.txt
        relaion takedown add --data demo --reference C-4/26 --ground court-order --hash image-sha256 --file hashes.txt
    """
    from relaion_pipeline import settings, takedowns  # noqa: PLC0415  (imports DuckDB)
    from relaion_pipeline.takedowns import Entry, Ground  # noqa: PLC0415  (imports DuckDB)

    lines = source or (sys.stdin if not entries else ())
    given = [*entries, *(line.strip() for line in lines)]
    root = DataRoot.at(data)
    added = takedowns.add(
        root,
        settings.load(root.path),
        [each for each in given if each],
        Entry(kind or Entry.LINK),
        reference=reference,
        ground=Ground(ground),
        today=datetime.now(UTC).date(),
    )
    click.echo(f"{added:,} entries added under {reference}; run: relaion release --data {data}")


@takedown.command("list")
@DATA
@told
def list_takedowns(data: Path) -> None:
    """Show every request: reference, ground, date, number of entries, and how far it has come.

    \b
    Example:
        relaion takedown list --data demo
    """
    from relaion_pipeline import settings, takedowns  # noqa: PLC0415  (imports DuckDB)

    root = DataRoot.at(data)
    report_tables.show_takedowns(takedowns.requests(root, settings.load(root.path)))
