"""Commands that prove and explain what was released."""

import json
import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from relaion_pipeline import report_tables
from relaion_pipeline.cli.options import DATA, told
from relaion_pipeline.layout import EDITIONS, DataRoot, make_private, write_text


@click.command()
@click.argument("release", default="current")
@DATA
@click.option("--key", type=click.Path(dir_okay=False, path_type=Path), help="Whoever released it: their public key.")
@click.option("--edition", "editions", multiple=True, type=click.Choice(EDITIONS), help="The folder holds only this.")
@told
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
        with report_tables.bars(proof.source_rows(root, release)) as listener:
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


@click.command()
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
@told
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
    from relaion_pipeline.audit import auditing, page, proof  # noqa: PLC0415  (imports Jinja)
    from relaion_pipeline.release import signature  # noqa: PLC0415

    root = DataRoot.at(data)
    again = None
    if recompute is not None:
        drawn_by = seed if seed is not None else secrets.randbelow(2**32)
        again = auditing.Recompute(None if recompute == "all" else int(recompute), drawn_by)
    with report_tables.bars(proof.source_rows(root, release), unknown=["recomputed"]) as listener:
        found = auditing.of_release(root, release, listener, again, signature.trusted_key(key) if key else None)
    path = html or make_private(root.audit_page(found.version).parent) / root.audit_page(found.version).name
    write_text(path, page.render(found))
    report_tables.show_audit(found, path)
    if not found.passed:
        sys.exit(1)


@click.command()
@click.argument("link", required=False)
@click.option("--hash", "digest", help="Ask for a hash in hexadecimal instead: of an image, or of a link.")
@DATA
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of tables.")
@told
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


@click.command()
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
