"""A release engineer's way through the UI, in a real browser. The tests build on one another, in this order."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Locator, Page, expect

from relaion_pipeline import sample
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import versions
from relaion_pipeline.verification.gate import ALL_CHECKS
from relaion_pipeline_tests.browser import ui
from relaion_pipeline_tests.browser.ui import Seen, Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not ui.available(), reason=f"there is no {ui.CHROMIUM}"),
]

GROUPS = ("inputs", "feeds", "2B_en", "2B_multi", "1B_nolang", "release")
RUN_TIMEOUT = 120_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ui")
    sample.generate(folder / "root", rows=3_000, seed=5)
    with ui.serving(folder / "root", folder / "server") as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[tuple[Page, Seen]]:
    expect.set_options(timeout=20_000)
    with ui.chromium() as opened:
        yield opened


@pytest.fixture
def page(browser: tuple[Page, Seen]) -> Page:
    return browser[0]


def button(page: Page, name: str) -> Locator:
    """A button by what is written on it; its full name begins with that of its icon."""
    return page.get_by_role("button", name=re.compile(rf"(^|\s){name}$"))


def launch(page: Page, name: str) -> None:
    """Press a button that launches a run. The page ignores it until it has read the definitions."""
    told = page.get_by_text("Launched run").first
    for _ in range(3):
        button(page, name).click()
        try:
            expect(told).to_be_visible(timeout=8_000)
        except AssertionError:
            continue
        return
    expect(told).to_be_visible()


def total(page: Page, name: str) -> Locator:
    """The last cell of a line of the table of removals."""
    return page.locator("tr").filter(has=page.locator("td", has_text=re.compile(f"^{name}$"))).last.locator("td").last


def listed_by(root: Path, feed: str) -> int:
    """How many rows the sample planted for a feed."""
    truth = pq.read_table(root.with_name(f"{root.name}.truth.parquet")).to_pylist()
    return len({(row["subset"], row["shard"], row["row"]) for row in truth if row["feed"] == feed})


def test_the_graph_shows_every_group(server: Server, page: Page) -> None:
    page.goto(f"{server.address}/asset-groups")
    expect(button(page, "Materialize all")).to_be_visible()
    for group in GROUPS:
        expect(page.get_by_text(group, exact=True).last).to_be_visible()
    expect(page.get_by_text("Join the Dagster community")).to_have_count(0)


def test_materialize_all_makes_a_release(server: Server, page: Page) -> None:
    page.goto(f"{server.address}/asset-groups")
    launch(page, "Materialize all")
    page.goto(f"{server.address}/runs")
    expect(page.get_by_text(f"{len(ALL_CHECKS) + 1} checks")).to_be_visible()
    expect(page.get_by_text("Success", exact=True)).to_have_count(1, timeout=RUN_TIMEOUT)
    root = DataRoot.at(server.root)
    (version,) = versions.released(root)
    assert versions.current(root) == root.release(version)


def test_a_slice_can_be_materialised(server: Server, page: Page) -> None:
    page.goto(f"{server.address}/assets/2B-en/screened-00")
    launch(page, "Materialize")
    page.goto(f"{server.address}/runs")
    expect(page.get_by_text("2B-en / screened-00").first).to_be_visible()
    expect(page.get_by_text("Success", exact=True)).to_have_count(2, timeout=RUN_TIMEOUT)  # the first made the release
    assert len(versions.released(DataRoot.at(server.root))) == 1


@pytest.mark.parametrize("asset", ["release", "edition_set"])
def test_the_table_of_removals_is_shown(server: Server, page: Page, asset: str) -> None:
    page.goto(f"{server.address}/assets/{asset}")
    feeds = tomllib.loads((server.root / "relaion.toml").read_text())["feeds"]
    for feed in feeds:
        expect(total(page, f"listed by {feed}")).to_have_text(f"{listed_by(server.root, feed):,}")
    expect(total(page, "rows in")).to_have_text("3,000")


def test_the_checks_of_the_gate_are_shown_as_passed(server: Server, page: Page) -> None:
    page.goto(f"{server.address}/assets/edition_set?view=checks")
    expect(page.get_by_text("no_listed_row_in_research", exact=True).first).to_be_visible()
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(len(ALL_CHECKS))
    expect(page.get_by_text("Failed", exact=True)).to_have_count(0)


def test_a_check_fails_when_a_published_file_was_changed(server: Server, page: Page) -> None:
    page.goto(f"{server.address}/assets/release?view=checks")
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    current = versions.current(DataRoot.at(server.root))
    assert current is not None
    published = min((current / "research" / "2B-en").iterdir())
    content = bytearray(published.read_bytes())
    content[len(content) // 2] ^= 1
    published.unlink()  # a hard link: research-safe keeps its own
    published.write_bytes(content)
    button(page, "Execute").click()
    expect(page.get_by_text("Failed", exact=True).last).to_be_visible(timeout=RUN_TIMEOUT)
    expect(page.get_by_text("Passed", exact=True)).to_have_count(0)
    page.get_by_text("[Show Markdown]").first.click()
    expect(page.get_by_text(published.name).first).to_be_visible()


def test_nothing_outside_this_machine_was_asked(server: Server, browser: tuple[Page, Seen]) -> None:
    """Neither by the page, nor by any process of the server: telemetry is off, Great Expectations' too."""
    _, seen = browser
    assert seen.hosts == {server.address.removeprefix("http://")}
    asked = server.connected_to()
    assert asked.count("process") >= 3
    assert set(asked) - {"process", "unix", "127.0.0.1", "::1", "localhost"} == set()


def test_the_page_met_no_error(browser: tuple[Page, Seen]) -> None:
    _, seen = browser
    assert seen.errors == []


def test_the_server_warns_of_nothing(server: Server) -> None:
    told = server.log.read_text()
    assert "Warning" not in told
    assert "Traceback" not in told
