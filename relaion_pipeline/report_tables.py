"""What the terminal shows: progress bars while work goes on, tables when it is done."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import datetime
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from relaion_pipeline.layout import EDITIONS
from relaion_pipeline.progress import Listener

if TYPE_CHECKING:  # what a command shows it has imported: `relaion clean` is not to wait for the rest
    from relaion_pipeline.audit.explain import Explanation
    from relaion_pipeline.audit.lines import Audit
    from relaion_pipeline.audit.published import Finding
    from relaion_pipeline.clean import Outcome
    from relaion_pipeline.history.changes import Change
    from relaion_pipeline.history.comparison import Comparison, Line
    from relaion_pipeline.history.releases import PastRelease
    from relaion_pipeline.publish.upload import Delivery
    from relaion_pipeline.status import Status
    from relaion_pipeline.takedowns import Request

_SHOWN_LINES = 24
_SET_ASIDE = ("malformed", "unmatchable", "withdrawn", "quarantined")


@contextmanager
def bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show one progress bar; yields a function to tell progress to."""
    with _progress() as shown:
        task = shown.add_task(name, total=total)
        yield lambda advance: shown.advance(task, advance)


@contextmanager
def bars(total: int | None, unknown: Collection[str] = ()) -> Iterator[Listener]:
    """Show a progress bar for each stage as it begins, each of `total` rows; yields who is to be told.

    Of the stages `unknown` it cannot be said how many rows they have.
    """
    with _progress() as shown:
        tasks: dict[str, TaskID] = {}
        one_at_a_time = Lock()  # stages are told of from several threads

        def told(stage: str, rows: int) -> None:
            with one_at_a_time:
                if stage not in tasks:
                    tasks[stage] = shown.add_task(stage, total=None if stage in unknown else total)
                shown.advance(tasks[stage], rows)

        yield told


@contextmanager
def bytes_bar(name: str) -> Iterator[Callable[[int], Callable[[int], None]]]:
    """Show one progress bar of bytes; yields a function that takes how many there are and returns whom to tell."""
    columns = (TextColumn("{task.description:>12}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, TimeRemainingColumn(), console=Console(stderr=True)) as shown:
        task = shown.add_task(name, total=None)

        def started(total: int) -> Callable[[int], None]:
            shown.update(task, total=total)
            return lambda advance: shown.advance(task, advance)

        yield started


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description:>12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("rows"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
    )


def show_release(folder: Path | None, *, made: bool) -> None:
    """Print what a release holds, and where it lies."""
    from relaion_pipeline.release import manifest  # noqa: PLC0415  (imports pydantic)
    from relaion_pipeline.screening.verdicts import Reason  # noqa: PLC0415  (imports pyarrow)

    console = Console()
    assert folder is not None  # a run that did not fail has made or found one
    described = manifest.read(folder)
    table = Table(title=f"{described.title}, release {described.release}", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("rows")
    columns = [*described.subsets.items(), ("all", described.total)]
    for name, _ in columns:
        table.add_column(name, justify="right")

    def add(name: str, numbers: list[int], *, style: str | None = None) -> None:
        table.add_row(name, *(f"{number:,}" for number in numbers), style=style)

    counts = [each for _, each in columns]
    add("in", [each.rows for each in counts], style="bold")
    for reason in Reason:
        if described.total.removed.get(reason):
            add(f"removed: {reason.replace('_', ' ')}", [each.removed[reason] for each in counts])
    for edition in EDITIONS:
        add(f"kept in {edition}", [each.kept[edition] for each in counts], style="bold")
    table.add_section()
    for feed in sorted(described.total.listed_by_feed):
        add(f"listed by {feed}", [each.listed_by_feed[feed] for each in counts])
    add("listed by any (feeds overlap)", [each.listed for each in counts], style="bold")
    add("not screened by image", [each.not_screened_by_image for each in counts])
    console.print(table)
    said = "Released" if made else "Nothing changed since the last release"
    console.print(f"{said}: {folder}", soft_wrap=True, highlight=False)


def show_deliveries(deliveries: "list[Delivery]", *, dry_run: bool) -> None:
    """Print what was sent where; of a dry run every file that would go."""
    console = Console()
    for each in deliveries:
        size = sum(item.bytes for item in each.sent)
        if dry_run:
            table = Table(title=f"{each.destination}: {each.where}", box=box.SIMPLE_HEAD, title_justify="left")
            table.add_column("would be sent", overflow="fold")
            table.add_column("bytes", justify="right")
            for item in each.sent:
                table.add_row(escape(item.name), f"{item.bytes:,}")
            console.print(table)
        console.print(
            f"{each.destination}: {'would send' if dry_run else 'sent'} {len(each.sent):,} files, {size:,} bytes, to "
            f"{each.where}; {len(each.there):,} were there",
            soft_wrap=True,
            highlight=False,
            markup=False,
        )


def show_findings(findings: "list[Finding]") -> None:
    """Print what was proved and what was not."""
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("", "checked", "found"):
        table.add_column(column)
    for finding in findings:
        table.add_row(
            "[green]ok[/]" if finding.passed else "[red]FAILED[/]", finding.name.replace("_", " "), finding.detail
        )
    console = Console()
    console.print(table)
    failed = sum(not finding.passed for finding in findings)
    console.print(f"{failed} of {len(findings)} checks failed." if failed else f"All {len(findings)} checks passed.")


def show_explanation(answer: "Explanation") -> None:
    """Print what became of the rows that were asked for."""
    console = Console()
    for found in answer.rows:
        table = Table(show_header=False, box=None, title=f"{found.subset}, {found.shard}, row {found.row}")
        table.title_justify = "left"
        present = "; ".join(f"{release} ({', '.join(holding)})" for release, holding in found.present_in.items())
        versions = ", ".join(f"{feed}, version {version}" for feed, version in found.feed_versions.items())
        table.add_row("spelled", "as asked" if found.as_asked else "otherwise")
        table.add_row("goes because", ", ".join(reason.replace("_", " ") for reason in found.reasons) or "it stays")
        table.add_row("listed now by", ", ".join(found.feeds) or "no list")
        table.add_row("forms that matched", ", ".join(found.forms) or "none")
        table.add_row("gone since", found.removed_since or "no release")
        table.add_row("on the word of", versions or "no list")
        table.add_row("stands in", present or "no release that is there")
        console.print(table)
        console.print()
    rows = f"{len(answer.rows):,} rows" if len(answer.rows) != 1 else "1 row"
    console.print(f"{rows} found in {answer.shards_asked} shards; {len(answer.releases)} releases looked into.")
    if not answer.every_spelling:
        console.print("Only this very spelling was looked for: no list in use calls for others, so none is indexed.")


def show_audit(audit: "Audit", page: Path) -> None:
    """Print an auditor's report: every line that is not plainly right, and how many are, of each part."""
    from relaion_pipeline.audit.lines import State  # noqa: PLC0415

    console = Console()
    styles = {State.OK: "green", State.FAILED: "red", State.UNKNOWN: "yellow", State.TOLD: ""}
    console.print(f"{audit.title}, release {audit.version}", highlight=False, markup=False)
    for section in audit.sections:
        console.print(section.title, style="bold", highlight=False, markup=False)
        table = Table(box=None, show_header=False, pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        table.add_column(overflow="fold")
        right = [line for line in section.lines if line.state is State.OK]
        shown = section.lines if len(right) <= _SHOWN_LINES else [line for line in section.lines if line not in right]
        for line in shown:
            table.add_row(str(line.state), escape(line.what), escape(line.detail), style=styles[line.state])
        if len(shown) < len(section.lines):
            table.add_row("ok", f"{len(right):,} lines", "each is in the page", style=styles[State.OK])
        console.print(Padding(table, (0, 0, 1, 2)))
    failed = sum(section.failed for section in audit.sections)
    console.print(f"The audit failed: {failed} lines." if failed else "The audit passed.", highlight=False)
    console.print(f"Page: {page}", soft_wrap=True, highlight=False, markup=False)


def show_status(status: "Status") -> None:
    """Print where a data root stands."""
    console = Console()
    set_aside = [name for name in _SET_ASIDE if any(f.counts and getattr(f.counts, name) for f in status.feeds)]
    feeds = Table(title="Lists", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("feed", "partner", "version"):
        feeds.add_column(column, no_wrap=column == "feed")
    for column in ("entries", *set_aside):
        feeds.add_column(column, justify="right")
    feeds.add_column("")
    for feed in status.feeds:
        numbers = [getattr(feed.counts, name) for name in ("usable", *set_aside)] if feed.counts else []
        shown = [f"{number:,}" for number in numbers] or ["not read yet", *[""] * len(set_aside)]
        feeds.add_row(feed.name, feed.partner, feed.version, *shown, "changed" if feed.changed else "")
    console.print(feeds)
    subsets = Table(title="Shards", box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("subset", "shards", "MiB", "slices"):
        subsets.add_column(column, justify="left" if column == "subset" else "right")
    for subset in status.subsets:
        subsets.add_row(subset.name, f"{subset.shards:,}", f"{subset.bytes / 2**20:,.1f}", str(subset.slices))
    console.print(subsets)
    for warning in status.warnings:
        console.print(f"[yellow]warning[/] {escape(warning)}", soft_wrap=True, highlight=False)
    _show_standing(console, status)


def _show_standing(console: Console, status: "Status") -> None:
    """What is current, and what the next run would do."""
    from relaion_pipeline.history.changes import Stage  # noqa: PLC0415  (imports pyarrow)

    if status.newest is None:
        console.print("No release yet; run: relaion release")
        return
    if not status.unchanged:
        _show_changes(console, status.why, f"Changed since release {status.newest}", stages=True)
        total = sum(subset.shards for subset in status.subsets)
        told = [
            str(stage) if stage is Stage.RELEASE else f"{stage}: {n:,} of {total:,} shards"
            for stage, n in status.stale.items()
        ]
        console.print("To do again", *told, sep="\n  ", highlight=False, markup=False)
    if status.surplus:
        console.print(f"The next release removes, by \\[retention]: {', '.join(status.surplus)}", highlight=False)
    said = "made from just these inputs" if status.unchanged else "inputs changed since; run: relaion release"
    if status.current == status.newest:
        console.print(f"Current release: {status.current}, {said}", highlight=False)
    else:
        console.print(f"Current release: {status.current}, not the newest. {status.newest}: {said}", highlight=False)


def _show_changes(console: Console, changes: "tuple[Change, ...] | None", title: str, *, stages: bool = False) -> None:
    """Print what changed, with `stages` also what that puts behind."""
    if changes is None:
        console.print(f"{title}: not known, since a record does not say what went in", highlight=False)
        return
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left")
    for column in ("what changed", "so these are behind") if stages else ("what changed",):
        table.add_column(column, overflow="fold")
    for change in changes:
        table.add_row(escape(change.text), *([", ".join(change.stages)] if stages else []))
    if not changes:
        table.add_row("nothing")
    console.print(table)


def show_releases(releases: "list[PastRelease]") -> None:
    """Print all releases, oldest first."""
    console = Console()
    if not releases:
        console.print("No release yet; run: relaion release")
        return
    table = Table(title="Releases", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("release (UTC)", no_wrap=True)
    table.add_column("rows", justify="right")
    table.add_column("")
    table.add_column("why", overflow="fold")
    for each in releases:
        counts = _counted(each)
        numbers, names = ("\n".join(column) for column in zip(*counts, strict=True))
        table.add_row(escape("\n".join(_said(each))), numbers, names, escape("\n".join(each.why)))
        table.add_section()
    console.print(table)


def _said(release: "PastRelease") -> Iterator[str]:
    """Version, time and state of a release, a line each."""
    yield release.version
    if release.record and release.record.made_at:
        yield f"{datetime.fromisoformat(release.record.made_at):%Y-%m-%d %H:%M}"
    if release.current:
        yield "current"
    if not release.there:
        yield "removed by retention"
    for destination, when in release.published.items():
        yield f"{destination}: {when[:10] if when else 'not whole'}"


def _counted(release: "PastRelease") -> list[tuple[str, str]]:
    """Rows of a release and what they are."""
    if release.described is None:
        return [("", "its manifest cannot be read")]
    total = release.described.total
    kept = [(total.kept[edition], edition) for edition in EDITIONS]
    removed = [(rows, f"removed: {reason.replace('_', ' ')}") for reason, rows in total.removed.items() if rows]
    waivers = [(len(release.described.waivers), "waivers")] if release.described.waivers else []
    return [(f"{number:,}", name) for number, name in [(total.rows, "in"), *kept, *removed, *waivers]]


def show_comparison(found: "Comparison") -> None:
    """Print two releases side by side."""
    from relaion_pipeline.history.changes import describe_waiver  # noqa: PLC0415  (imports pyarrow)

    console = Console()
    before, after = found.before.release, found.after.release
    table = Table(title=f"{after} against {before}", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("rows", min_width=19)
    table.add_column("subset")
    for column in (before, after, "change"):
        table.add_column(column, justify="right")
    for what, grouped in groupby(found.lines, key=lambda line: line.what):
        lines = list(grouped)
        if any(line.before or line.after for line in lines):
            _add_lines(table, what.replace(".", ": ", 1).replace("_", " "), lines)
    console.print(table)
    _show_changes(console, found.changes, "Inputs")
    for waiver in found.after.waivers:
        console.print(f"waiver in force: {describe_waiver(waiver.model_dump())}", highlight=False, markup=False)
    told = ", ".join(f"{number:,} {what}" for what, number in found.files.items())
    console.print(f"Files of editions: {told}", highlight=False)


def _add_lines(table: Table, name: str, lines: "list[Line]") -> None:
    for line in lines:
        difference = f"{line.difference:+,}" if line.difference else ""
        table.add_row(escape(name), line.subset, f"{line.before:,}", f"{line.after:,}", difference)
        name = ""
    table.add_section()


def show_cleaned(outcome: "Outcome", *, dry_run: bool) -> None:
    """Print what was taken out of a copy, in counts."""
    table = Table(title="Would be cleaned" if dry_run else "Cleaned", box=box.SIMPLE_HEAD, title_justify="left")
    table.add_column("kind")
    for column in ("units", "rows", "rows removed", "samples", "samples removed"):
        table.add_column(column, justify="right")
    for kind, counted in outcome.counted.items():
        numbers = (outcome.units[kind], counted.rows, counted.rows_removed, counted.samples, counted.samples_removed)
        table.add_row(kind, *(f"{number:,}" for number in numbers))
    console = Console()
    console.print(table)
    console.print(
        f"{len(outcome.failures)} files could not be cleaned." if outcome.failures else "Every file was read."
    )


def show_takedowns(requests: "list[Request]") -> None:
    """Print takedown requests and how far each has come; never what was requested."""
    console = Console()
    if not requests:
        console.print("No takedown requests yet; relaion takedown add takes them.")
        return
    table = Table(box=box.SIMPLE_HEAD)
    for column in ("reference", "ground", "asked", "entries", "state"):
        table.add_column(column, justify="right" if column == "entries" else "left")
    for each in requests:
        told = "requested" if each.removed_in is None else f"removed in release {each.removed_in}"
        state = f"{told}, and in all published editions" if each.everywhere else told
        table.add_row(escape(each.reference), escape(each.ground), escape(each.asked), f"{each.entries:,}", state)
    console.print(table)
