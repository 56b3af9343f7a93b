"""`report.html`: a release on one page that needs nothing else, made from its manifest alone."""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from relaion_pipeline.layout import EDITIONS
from relaion_pipeline.release import plots
from relaion_pipeline.release.manifest import Manifest
from relaion_pipeline.screening.verdicts import Reason
from relaion_pipeline.verification.gate import ALL_CHECKS

_REASONS = {
    Reason.LISTED_IMAGE: "the image is on a list",
    Reason.LISTED_LINK: "the link is on a list",
    Reason.LISTED_DOMAIN: "the domain is on a list",
    Reason.LISTED_PREFIX: "the link lies below a listed one",
    Reason.SAME_LINK: "the link of another row whose image is on a list",
    Reason.REMOVED_BEFORE: "an earlier release removed it for a list's sake",
    Reason.COVER: "an ordinary row, removed so that listed ones do not stand out",
    Reason.NO_LINK: "no link, so nothing to compare with lists",
    Reason.UNREADABLE_HASH: "an image hash is given but is none",
    Reason.UNSAFE_KEYWORD: "very unsafe by score, and a keyword in the text",
    Reason.RULED_OUT_BEFORE: "an earlier release removed it by a rule",
    Reason.UNSAFE: "unsafe by score; from research-safe only",
    Reason.NO_SCORE: "no score; from research-safe only",
    Reason.UNSAFE_BEFORE: "an earlier release removed it from research-safe; from that only",
}


def environment(package: str = "relaion_pipeline.release") -> Environment:
    """Templates of a package; what they print into HTML is escaped. Into Markdown it goes through `cell`."""
    made = Environment(
        loader=PackageLoader(package),
        autoescape=select_autoescape(enabled_extensions=("html.j2",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters |= {"number": number, "share": share, "size": size}
    return made


def render(manifest: Manifest) -> str:
    """The whole page."""
    pictures = {name: Markup(svg) for name, svg in plots.svgs(manifest).items()}  # noqa: S704  (drawn, not given)
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            m=manifest,
            editions=EDITIONS,
            columns=[("all", manifest.total), *manifest.subsets.items()],
            reasons=reasons(manifest),
            bins=_bins(manifest),
            promises={check.name: check.promise for check in ALL_CHECKS},
            colours=plots.COLOURS,
            pictures=pictures,
            titles={name: title for name, (title, _) in plots.all_figures().items()},
        )
    )


def reasons(manifest: Manifest) -> list[tuple[str, str]]:
    """In words and by name, the reasons for which any row was removed, in the order in which they count."""
    return [(text, str(reason)) for reason, text in _REASONS.items() if manifest.total.removed.get(reason)]


def number(value: int) -> str:
    """1234567 as 1,234,567."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """A part of a whole in percent; what is more than nothing never reads as zero."""
    if not whole:
        return "-"
    percent = 100 * part / whole
    if part and percent < 0.001:  # noqa: PLR2004
        return "< 0.001 %"
    return f"{percent:.3f} %"


def size(value: int) -> str:
    """Bytes for people."""
    amount = float(value)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _bins(manifest: Manifest) -> list[dict[str, Any]]:
    scores = manifest.statistics.scores
    width = 1 / len(scores.source)
    return [
        {
            "bin": f"{place * width:.2f} to {(place + 1) * width:.2f}",
            "source": source,
            **{edition: scores.passing[edition][place] for edition in EDITIONS},
        }
        for place, source in enumerate(scores.source)
    ]
