"""The command line: `relaion`.

What belongs here: commands, their options and what they print. What does not: the work itself.
"""

import json
import os
import secrets
import sys
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from relaion_pipeline import __version__, report_tables
from relaion_pipeline.layout import EDITIONS, RESEARCH, DataRoot, make_private, write_text

DATA = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("data"),
    envvar="RELAION_DATA",
    show_default=True,
    show_envvar=True,
    help="The data root: the folder that holds relaion.toml.",
)

AS_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def _told(command: Callable[..., None]) -> Callable[..., None]:
    """Show an error that says what to do as one, without a traceback; the exit status is 1."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        from relaion_pipeline.errors import EXPECTED_ERRORS  # noqa: PLC0415  (imports DuckDB)

        try:
            command(*args, **options)
        except EXPECTED_ERRORS as error:
            raise click.ClickException(str(error)) from None

    return run


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="relaion")
def main() -> None:
    """Clean, prove and release Common Crawl-derived image-text metadata.

    \b
    A first release, on generated data:
        relaion sample demo --rows 30000
        relaion release --data demo
        relaion verify --data demo
        relaion ui --data demo
    """


@main.command()
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


@main.command("sample")
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


@main.command()
@DATA
@click.option("--version", help="Name of the release.  [default: today's date and a number, 2026-01-31.001]")
@_told
def release(data: Path, version: str | None) -> None:
    """Make a release from the feeds and shards as they are now; nothing changed means nothing to do.

    Interrupted or failed, it goes on where it stopped when run again. Its run shows in the UI (`relaion ui`).

    \b
    Example:
        relaion release --data demo
    """
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


@main.command()
@click.argument("release", default="current")
@DATA
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Whoever released it: their public key.")
@click.option("--edition", "editions", multiple=True, type=click.Choice(EDITIONS), help="The folder holds only this.")
@_told
def verify(release: str, data: Path, key: Path | None, editions: tuple[str, ...]) -> None:
    """Prove a release again: its files against its manifest, and against the feeds and shards as they are now.

    RELEASE is a version in the data root, or the folder of a release got from elsewhere: what needs no feeds and no
    source is then checked of it. Exit status 1 if anything differs.

    \b
    Examples:
        relaion verify --data demo
        relaion verify 2026-01-31.001 --data demo
        relaion verify downloads/2026-01-31.001 --key publisher.pub
        relaion verify downloads/safe-only --key publisher.pub --edition research-safe
    """
    from relaion_pipeline.audit import proof, published  # noqa: PLC0415  (imports DuckDB)
    from relaion_pipeline.release import signature  # noqa: PLC0415  (imports cryptography)

    trusted = signature.trusted_key(key) if key else None
    root = DataRoot.at(data)
    if proof.is_version(root, release):
        with report_tables.bars() as listener:
            findings = proof.of_release(root, release, listener, trusted)
    else:
        findings = published.examine(Path(release), trusted, editions or EDITIONS)
    report_tables.show_findings(findings)
    if not all(finding.passed for finding in findings):
        sys.exit(1)


def _number_or_all(_: click.Context, __: click.Parameter, value: str | None) -> int | str | None:
    if value is None or value == "all":
        return value
    if not value.isdecimal() or not int(value):
        raise click.BadParameter("give a number of shards, or all")
    return int(value)


@main.command()
@click.argument("release", default="current")
@DATA
@click.option("--recompute", metavar="N|all", callback=_number_or_all, help="Make so many shards again from source.")
@click.option("--seed", type=int, help="Draws those shards; the same seed draws the same.  [default: a random one]")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Where the page goes.  [default: private]"
)
@click.option(
    "--key", type=click.Path(dir_okay=False, path_type=Path), help="The public key to hold signatures against."
)
@_told
def audit(
    release: str, data: Path, recompute: int | str | None, seed: int | None, html: Path | None, key: Path | None
) -> None:
    """Audit a release: its inputs, each shard's way, all row counts, the proof, the gate, waivers, history.

    The report is printed and written as a page, by default private/audit/VERSION.html. Exit status 1 if a line failed.

    \b
    Examples:
        relaion audit --data demo
        relaion audit 2026-01-31.001 --data demo --recompute 3 --seed 7
        relaion audit --data demo --recompute all --html audit.html
    """
    from relaion_pipeline.audit import auditing, page  # noqa: PLC0415  (imports Jinja)
    from relaion_pipeline.release import signature  # noqa: PLC0415

    root = DataRoot.at(data)
    again = None
    if recompute is not None:
        drawn_by = seed if seed is not None else secrets.randbelow(2**32)
        again = auditing.Recompute(None if recompute == "all" else int(recompute), drawn_by)
    with report_tables.bars() as listener:
        found = auditing.of_release(root, release, listener, again, signature.trusted_key(key) if key else None)
    path = html or make_private(root.audit_page(found.version).parent) / root.audit_page(found.version).name
    write_text(path, page.render(found))
    report_tables.show_audit(found, path)
    if not found.passed:
        sys.exit(1)


@main.command()
@click.argument("link", required=False)
@click.option("--hash", "digest", help="Ask for a hash in hexadecimal instead: of an image, or of a link.")
@DATA
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
@_told
def explain(link: str | None, digest: str | None, data: Path, as_json: bool) -> None:
    """Tell what became of one LINK in all releases: where it stands or stood, since when it is gone, and why.

    Every spelling of the link is looked for. `-` reads it from standard input, so that it stays out of the shell's
    history. Needs the private files; that it was asked, and by whom, is noted in private/access.jsonl.

    \b
    Examples:
        relaion explain https://example.com/a.jpg --data demo
        relaion explain - --data demo < request.txt
        relaion explain --hash 9e107d9d372bb6826bd81d3542a419d6 --data demo
    """
    from relaion_pipeline import settings  # noqa: PLC0415  (imports pyarrow)
    from relaion_pipeline.audit import explain as explaining  # noqa: PLC0415  (imports DuckDB)

    if (link is None) == (digest is None):
        raise click.UsageError("give either a link or --hash")
    root = DataRoot.at(data)
    chosen = settings.load(root.path)
    if digest is not None:
        answer = explaining.of_hash(root, chosen, digest)
    else:
        asked = sys.stdin.readline().rstrip("\r\n") if link == "-" else str(link)
        answer = explaining.of_link(root, chosen, asked)
    if as_json:
        click.echo(json.dumps(asdict(answer)))
    else:
        report_tables.show_explanation(answer)


@main.command()
@DATA
@_told
def status(data: Path) -> None:
    """Show lists, shards and the current release, what changed since and has to be done again, and what to look at.

    \b
    Example:
        relaion status --data demo
    """
    from relaion_pipeline import status as statuses  # noqa: PLC0415  (reads and digests all inputs)

    report_tables.show_status(statuses.of(DataRoot.at(data)))


@main.command()
@DATA
@AS_JSON
@_told
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


@main.command()
@click.argument("before", required=False)
@click.argument("after", default="current")
@DATA
@AS_JSON
@_told
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


@main.command()
@click.argument("version")
@DATA
@_told
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


@main.command()
@click.argument("version", default="current")
@DATA
@click.option("--to", "only", multiple=True, help="Only to this destination of relaion.toml (repeatable).")
@click.option("--dry-run", is_flag=True, help="Verify, then only list what would be sent.")
@_told
def publish(version: str, data: Path, only: tuple[str, ...], dry_run: bool) -> None:
    """Verify a release and send it to the destinations that relaion.toml names; run again, it goes on.

    \b
    Examples:
        relaion publish --data demo --dry-run
        relaion publish 2026-01-31.001 --data demo --to mirror
    """
    from relaion_pipeline.publish import upload  # noqa: PLC0415  (imports DuckDB)

    with report_tables.bars() as listener:
        deliveries = upload.publish(DataRoot.at(data), version, listener, dry_run=dry_run, only=only)
    report_tables.show_deliveries(deliveries, dry_run=dry_run)


@main.command()
@DATA
@click.option("--new", is_flag=True, help="Make another key; the old one is kept under its fingerprint.")
@_told
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


@main.group()
def takedown() -> None:
    """Take requests to remove single links or images, and show what became of them.

    \b
    Examples:
        relaion takedown add --data demo --reference 2026/17 --ground privacy < links.txt
        relaion takedown list --data demo
    """


_GROUNDS = ("privacy", "court-order", "opt-out")
_HASHES = ("link-md5", "image-md5", "image-sha1", "image-sha256")


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
@_told
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
@_told
def list_takedowns(data: Path) -> None:
    """Show every request: reference, ground, date, number of entries, and how far it has come.

    \b
    Example:
        relaion takedown list --data demo
    """
    from relaion_pipeline import settings, takedowns  # noqa: PLC0415  (imports DuckDB)

    root = DataRoot.at(data)
    report_tables.show_takedowns(takedowns.requests(root, settings.load(root.path)))


@main.command()
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


@main.command()
@click.argument("source", type=click.File("r", encoding="utf-8", errors="surrogateescape"), default="-")
def forms(source: Any) -> None:
    """Show in which spellings links are matched: reads one link a line, prints one JSON object a line.

    \b
    Example:
        echo 'HTTP://Example.COM/a/../b' | relaion forms
    """
    from relaion_pipeline import links  # noqa: PLC0415  (imports the list of public suffixes)

    for line in source:
        click.echo(json.dumps(links.describe(line.rstrip("\r\n")), ensure_ascii=True))


@main.command()
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
