"""Commands about the releases there are: listing, comparing, going back, sending out."""

import json
from pathlib import Path

import click

from relaion_pipeline import report_tables
from relaion_pipeline.cli.options import AS_JSON, DATA, told
from relaion_pipeline.layout import DataRoot


@click.command()
@DATA
@AS_JSON
@told
def releases(data: Path, as_json: bool) -> None:
    """List all releases: what each held, why it came to be, where it was published, and which is current.

    \b
    Example:
        relaion releases --data demo
    """
    from relaion_pipeline.history import releases as past  # noqa: PLC0415  (imports DuckDB)

    found = past.all_of(DataRoot.at(data))
    if as_json:
        click.echo(json.dumps([each.as_json() for each in found], indent=1))
    else:
        report_tables.show_releases(found)


@click.command()
@click.argument("before", required=False)
@click.argument("after", default="current")
@DATA
@AS_JSON
@told
def diff(before: str | None, after: str, data: Path, as_json: bool) -> None:
    """Compare release BEFORE with release AFTER: counts by subset and reason, and the inputs that changed.

    AFTER is the current release where it is left out, BEFORE the one before that.

    \b
    Examples:
        relaion diff --data demo
        relaion diff 2026-01-31.001 2026-02-28.001 --data demo --json
    """
    from relaion_pipeline.history import comparison  # noqa: PLC0415  (imports DuckDB)

    found = comparison.compare(DataRoot.at(data), before, after)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=1))
    else:
        report_tables.show_comparison(found)


@click.command()
@click.argument("version")
@DATA
@told
def rollback(version: str, data: Path) -> None:
    """Make release VERSION current, once its files are found whole. No release is changed or removed.

    It holds until changed inputs make a newer release; `relaion rollback` to the newest takes it back.

    \b
    Example:
        relaion rollback 2026-01-31.001 --data demo
    """
    from relaion_pipeline import launch  # noqa: PLC0415  (imports Dagster)

    made = launch.roll_back(DataRoot.at(data), version)
    click.echo(f"current was {made.was or 'nothing'} and is {made.to}.")
    if made.to != made.newest:
        click.echo(
            f"{made.newest} is newer: {made.to} may hold rows that lists named since. Compare with: "
            f"relaion diff {made.to} {made.newest}"
        )


@click.command()
@click.argument("version", default="current")
@DATA
@click.option("--to", "only", multiple=True, help="Only to this destination of relaion.toml (repeatable).")
@click.option("--dry-run", is_flag=True, help="Verify, then only list what would be sent.")
@told
def publish(version: str, data: Path, only: tuple[str, ...], dry_run: bool) -> None:
    """Verify a release and send it to the destinations that relaion.toml names; run again, it goes on.

    \b
    Examples:
        relaion publish --data demo --dry-run
        relaion publish 2026-01-31.001 --data demo --to mirror
    """
    from relaion_pipeline.audit import proof  # noqa: PLC0415  (imports DuckDB)
    from relaion_pipeline.publish import upload  # noqa: PLC0415

    root = DataRoot.at(data)
    with report_tables.bars(proof.source_rows(root, version)) as listener:
        deliveries = upload.publish(root, version, listener, dry_run=dry_run, only=only)
    report_tables.show_deliveries(deliveries, dry_run=dry_run)
