"""The report's pictures, drawn from the manifest: the same numbers give the same bytes.

What belongs here: figures, and turning them into inline SVG (report) or PNG (the Dagster UI).
Series differ in pattern and line as well as in colour; in the report colours follow the reader's light or dark mode.
"""

import re
from collections.abc import Callable
from io import BytesIO, StringIO
from typing import Any
from xml.etree import ElementTree as ET

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from relaion_pipeline.layout import RESEARCH, RESEARCH_SAFE
from relaion_pipeline.release.manifest import Manifest
from relaion_pipeline.screening.verdicts import Reason

COLOURS = {
    "ink": ("#1b2026", "#e8ebee"),
    "muted": ("#5a636d", "#a9b2bb"),
    "paper": ("#ffffff", "#15191d"),
    "source": ("#7b8490", "#8d97a2"),
    "research": ("#a34a00", "#ffab66"),
    "safe": ("#0b62a8", "#74b9f5"),
}
"""Name to colour in light and in dark mode."""

REASONS = {
    Reason.LISTED_IMAGE: "listed image",
    Reason.LISTED_LINK: "listed link",
    Reason.LISTED_DOMAIN: "listed domain",
    Reason.LISTED_PREFIX: "listed prefix",
    Reason.SAME_LINK: "same link",
    Reason.REMOVED_BEFORE: "removed before",
    Reason.COVER: "cover",
    Reason.NO_LINK: "no link",
    Reason.UNREADABLE_HASH: "unreadable hash",
    Reason.UNSAFE_KEYWORD: "very unsafe, keyword",
    Reason.RULED_OUT_BEFORE: "ruled out before",
    Reason.UNSAFE: "unsafe (safe edition)",
    Reason.NO_SCORE: "no score (safe edition)",
    Reason.UNSAFE_BEFORE: "unsafe before (safe edition)",
}

_LIGHT = {name: light for name, (light, _) in COLOURS.items()}
_WIDTH = 4.9  # inches; a phone shows it at nearly its own size
_SVG = "{http://www.w3.org/2000/svg}"
_XLINK = "{http://www.w3.org/1999/xlink}href"
_STYLE: dict[Any, Any] = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 11,
    "text.color": _LIGHT["ink"],
    "axes.edgecolor": _LIGHT["muted"],
    "axes.labelcolor": _LIGHT["ink"],
    "axes.spines.right": False,
    "axes.spines.top": False,
    "xtick.color": _LIGHT["muted"],
    "xtick.labelcolor": _LIGHT["ink"],
    "ytick.color": _LIGHT["muted"],
    "ytick.labelcolor": _LIGHT["ink"],
    "legend.frameon": False,
    "hatch.linewidth": 0.8,
    "svg.fonttype": "none",
    "text.parse_math": False,
}
_MILLION, _THOUSAND = 1_000_000, 1_000


def all_figures() -> dict[str, tuple[str, Callable[[Manifest], Figure | None]]]:
    """Name to title and drawing function; one gives None where there is nothing to draw."""
    return {
        "scores": ("Distribution of the score in the source and in both editions", _scores),
        "reasons": ("Rows removed by reason", _reasons),
        "hosts": ("Hosts with most rows in research", _hosts),
    }


def svgs(manifest: Manifest) -> dict[str, str]:
    """Name to SVG, to be put into a page that defines the colours as `--ink` and so on."""
    return {name: _as_svg(figure, name, title) for name, title, figure in _drawn(manifest)}


def pngs(manifest: Manifest) -> dict[str, tuple[str, bytes]]:
    """Name to title and PNG, on white."""
    pictures = {}
    for name, title, figure in _drawn(manifest):
        file = BytesIO()
        with mpl.rc_context(_STYLE):
            figure.savefig(file, format="png", dpi=110, facecolor="white", metadata={"Software": None})
        pictures[name] = (title, file.getvalue())
    return pictures


def _drawn(manifest: Manifest) -> list[tuple[str, str, Figure]]:
    with mpl.rc_context(_STYLE):
        drawn = [(name, title, draw(manifest)) for name, (title, draw) in all_figures().items()]
    return [(name, title, figure) for name, title, figure in drawn if figure is not None]


def _figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    return figure, figure.add_subplot()


def _short(number: float, _: Any = None) -> str:
    """1200000 as 1.2M."""
    for unit, sign in ((_THOUSAND * _MILLION, "G"), (_MILLION, "M"), (_THOUSAND, "k")):
        if number >= unit:
            return f"{number / unit:.3g}{sign}"
    return f"{number:.3g}"


def _logarithmic(axis: Any, most: int) -> None:
    """Ticks at powers of ten, from below one up to `most`."""
    axis.set_major_locator(FixedLocator([10**power for power in range(len(str(most)) + 1)]))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(_short))


def _scores(manifest: Manifest) -> Figure | None:
    scores = manifest.statistics.scores
    if not any(scores.source):
        return None
    figure, axes = _figure(3.9)
    edges = [place / len(scores.source) for place in range(len(scores.source) + 1)]
    axes.set_yscale("log", nonpositive="clip")
    safe, research = scores.passing[RESEARCH_SAFE], scores.passing[RESEARCH]
    axes.stairs(safe, edges, baseline=0.5, fill=True, facecolor="none", edgecolor=_LIGHT["safe"], hatch="////",
                linewidth=1, label=RESEARCH_SAFE)  # fmt: skip
    axes.stairs(scores.source, edges, baseline=0.5, color=_LIGHT["source"], linewidth=5, label="source")
    axes.stairs(research, edges, baseline=0.5, color=_LIGHT["research"], linewidth=1.8, linestyle="--", label=RESEARCH)
    most = max(scores.source)
    axes.set_ylim(0.5, most * 30)
    axes.set_xlim(0, 1)
    _logarithmic(axes.yaxis, most)
    for threshold, edition, place in (
        (manifest.nsfw.research_safe_above, RESEARCH_SAFE, "left"),
        (manifest.nsfw.research_above, RESEARCH, "right"),
    ):
        axes.axvline(threshold, color=_LIGHT["ink"], linewidth=1.2, linestyle=":")
        gap = 0.012 if place == "left" else -0.012
        axes.text(threshold + gap, most * 1.6, f"{edition}\n{threshold:g}", ha=place, va="bottom", fontsize=10)
    axes.set_xlabel("score (punsafe)")
    axes.set_ylabel("rows, logarithmic")
    axes.legend(
        loc="lower center", bbox_to_anchor=(0.42, 1.0), ncols=3, columnspacing=0.9, handlelength=1.8, handletextpad=0.5
    )
    return figure


def _reasons(manifest: Manifest) -> Figure | None:
    removed = [(text, manifest.total.removed.get(reason, 0)) for reason, text in REASONS.items()]
    shown = [(text, rows) for text, rows in removed if rows]
    return _bars(shown, "rows, logarithmic", "safe", "////", logarithmic=True) if shown else None


def _hosts(manifest: Manifest) -> Figure | None:
    shown = [(_elided(each.host), each.rows) for each in manifest.statistics.hosts]
    return _bars(shown, "rows", "research", "....", logarithmic=False) if shown else None


def _elided(host: str, most: int = 26) -> str:
    return host if len(host) <= most else f"{host[: most // 2 - 2]}...{host[-most // 2 + 1 :]}"


def _bars(shown: list[tuple[str, int]], unit: str, colour: str, hatch: str, *, logarithmic: bool) -> Figure:
    """Horizontal bars, each with its number at its end."""
    figure, axes = _figure(0.75 + 0.27 * len(shown))
    names, rows = [name for name, _ in shown], [number for _, number in shown]
    places = range(len(shown))
    axes.barh(places, rows, height=0.62, facecolor="none", edgecolor=_LIGHT[colour], hatch=hatch, linewidth=1.2)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.set_xlabel(unit)
    if logarithmic:
        axes.set_xscale("log")
        _logarithmic(axes.xaxis, max(rows))
        axes.set_xlim(0.5, max(rows) * 12)
    else:
        axes.set_xlim(0, max(rows) * 1.22)
        axes.xaxis.set_major_formatter(FuncFormatter(_short))
        axes.locator_params(axis="x", nbins=4)
    for place, number in zip(places, rows, strict=True):
        axes.annotate(f"{number:,}", (number, place), (4, 0), textcoords="offset points", va="center", fontsize=10)
    axes.tick_params(axis="y", length=0)
    return figure


def _as_svg(figure: Figure, name: str, title: str) -> str:
    """A figure as an element of a page: without metadata and style sheet, with ids of its own and named colours."""
    file = StringIO()
    with mpl.rc_context(_STYLE | {"svg.hashsalt": name}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ET.fromstring(file.getvalue())  # noqa: S314  (written just above)
    for parent in list(root.iter()):
        for child in [child for child in parent if child.tag in {f"{_SVG}metadata", f"{_SVG}style"}]:
            parent.remove(child)
        for key, value in parent.attrib.items():
            parent.set(key, _own_ids(key, value, name))
    for key in ("width", "height"):
        root.attrib.pop(key)
    root.attrib |= {"role": "img", "aria-labelledby": f"{name}-title", "stroke-linejoin": "round"}
    heading = ET.Element(f"{_SVG}title", {"id": f"{name}-title"})
    heading.text = title
    root.insert(0, heading)
    ET.register_namespace("", _SVG.strip("{}"))
    ET.register_namespace("xlink", _XLINK.partition("}")[0].strip("{"))
    text = ET.tostring(root, encoding="unicode")
    for colour, light in _LIGHT.items():
        text = re.sub(re.escape(light), f"var(--{colour})", text, flags=re.IGNORECASE)
    return text


def _own_ids(key: str, value: str, name: str) -> str:
    """An attribute's value with ids that no other picture of the page has."""
    if key == "id":
        return f"{name}-{value}"
    return value.replace("#", f"#{name}-", 1) if key == _XLINK else value.replace("url(#", f"url(#{name}-")
