"""The report: a page that stands alone, is escaped, can be read without colour, and tells the manifest's numbers."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from relaion_pipeline.layout import EDITIONS
from relaion_pipeline.release import plots, report
from relaion_pipeline.release.manifest import Manifest, Scores, WaiverRecord

VOID = {"meta", "br"}


class Page(HTMLParser):
    """Elements, ids, references and tables of a page; complains where tags do not match."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.tables: list[list[list[str]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in {"td", "th"}:
            self.tables[-1][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if "td" in self.open or "th" in self.open:
            self.tables[-1][-1][-1] += data

    def lines(self, first: str) -> dict[str, list[str]]:
        """The lines of the table whose first heading is `first`, by their own heading."""
        table = next(table for table in self.tables if table[0][0] == first)
        return {line[0]: [cell.replace(",", "") for cell in line[1:]] for line in table[1:]}


@pytest.fixture
def text(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


@pytest.fixture
def page(text: str) -> Page:
    return Page(text)


def test_it_refers_to_nothing_outside(page: Page, text: str) -> None:
    assert not {"script", "link", "iframe", "object", "embed", "img", "base", "form"} & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in {"src", "href", "xlink:href", "srcset", "action", "poster"}:
                assert value is not None
                assert value.startswith("#")
            if name == "style":
                assert "url(" not in re.sub(r"url\(#[\w-]+\)", "", value or "")
    assert "@import" not in text
    assert "url(" not in text[text.index("<style>") : text.index("</style>")]


def test_ids_are_unique_and_anchors_lead_somewhere(page: Page) -> None:
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in page.tags:
        wanted = [
            attributes.get("href"),
            attributes.get("xlink:href"),
            *re.findall(r"url\((#[\w-]+)\)", str(attributes)),
        ]
        assert all(each is None or each[1:] in ids for each in wanted)


def test_settings_are_escaped(page: Page, text: str, described: Manifest) -> None:
    assert described.title in page.text
    assert "<b>" not in text
    assert "C3P <i>|</i>" in page.text


def test_tables_hold_the_manifests_numbers(page: Page, described: Manifest) -> None:
    columns = [described.total, *described.subsets.values()]
    rows = page.lines("rows")
    assert rows["in the source"] == [str(each.rows) for each in columns]
    for edition in EDITIONS:
        assert rows[f"kept in {edition}"] == [str(each.kept[edition]) for each in columns]
    lists = page.lines("list")
    for feed in described.feeds:
        line = lists[f"{feed.partner}: {feed.name}"]
        assert line == [str(each.listed_by_feed[feed.name]) for each in columns]
    assert lists["any list (union)"] == [str(each.listed) for each in columns]
    reasons = page.lines("reason")
    assert reasons["removed in all"] == [str(sum(each.removed.values())) for each in columns]
    for words, reason in report.reasons(described):
        assert reasons[words] == [str(each.removed[reason]) for each in columns]


def test_pictures_have_their_numbers_in_tables(page: Page, described: Manifest) -> None:
    scores = described.statistics.scores
    lines = list(page.lines("score").values())
    assert [int(line[0]) for line in lines] == scores.source
    assert [int(line[1]) for line in lines] == scores.passing["research"]
    assert [int(line[2]) for line in lines] == scores.passing["research-safe"]
    hosts = page.lines("host")
    assert hosts == {each.host: [str(each.rows)] for each in described.statistics.hosts}


def test_inputs_are_named_by_digest(page: Page, described: Manifest) -> None:
    for shard in described.shards:
        assert shard.sha256 in page.text
    digests = [feed.sha256 for feed in described.feeds]
    assert None in digests
    assert any(digests)
    for digest in digests:
        assert digest is None or digest in page.text
    assert page.text.count("left out: the list is short") == digests.count(None)


def test_checks_and_waivers_are_told(page: Page, described: Manifest) -> None:
    for check in described.proof.checks:
        assert check in page.text
    waiver = WaiverRecord(
        kind="unanswerable-feed", feed="c3p-images", subset=None, entry=None, reason="<no> hashes", by="A. Person"
    )
    waived = Page(report.render(described.model_copy(update={"waivers": [waiver]})))
    assert waived.lines("what") == {"unanswerable feed": ["c3p-images", "all", "", "", "", "<no> hashes", "A. Person"]}


def test_every_picture_is_named_for_who_cannot_see_it(page: Page) -> None:
    pictures = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(pictures) == len(plots.all_figures())
    ids = {attributes.get("id") for tag, attributes in page.tags if tag == "title"}
    assert all(each["role"] == "img" and each["aria-labelledby"] in ids for each in pictures)


def test_a_phone_is_told_its_width_and_tables_scroll(page: Page, text: str) -> None:
    assert 'name="viewport" content="width=device-width' in text
    assert text.count("<table") == text.count('<div class="scroll"')


def test_a_dataset_without_scores_or_large_hosts_has_a_report(described: Manifest) -> None:
    nothing = [0] * 20
    scores = Scores(source=nothing, passing=dict.fromkeys(EDITIONS, nothing), unscored=described.total.rows)
    statistics = described.statistics.model_copy(update={"scores": scores, "hosts": []})
    page = Page(report.render(described.model_copy(update={"statistics": statistics})))
    assert "no scores" in page.text
    assert "No host has 10 rows" in page.text


def test_colours_contrast_in_both_modes() -> None:
    for mode in (0, 1):
        paper = plots.COLOURS["paper"][mode]
        for name, colours in plots.COLOURS.items():
            if name != "paper":
                needed = 3 if name == "source" else 4.5  # a thick line; text and thin lines
                assert contrast(colours[mode], paper) >= needed, name


def test_series_differ_without_colour(described: Manifest) -> None:
    picture = plots.svgs(described)["scores"]
    assert "stroke-dasharray" in picture
    assert "<pattern" in picture
    assert "stroke-width: 5" in picture
    assert not re.search(r"(fill|stroke): #(?!none)[0-9a-f]{6}", picture)  # all follow the reader's mode


@pytest.mark.parametrize(
    ("part", "whole", "told"),
    [(0, 10, "0.000 %"), (1, 10**9, "< 0.001 %"), (1, 3, "33.333 %"), (0, 0, "-")],
)
def test_a_share_that_is_something_never_reads_as_nothing(part: int, whole: int, told: str) -> None:
    assert report.share(part, whole) == told


def contrast(left: str, right: str) -> float:
    """Contrast ratio of two colours, as WCAG 2 has it."""

    def luminance(colour: str) -> float:
        parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(left), luminance(right)))
    return (high + 0.05) / (low + 0.05)
