"""What a release engineer sees when nobody clicked: the automation, and the run that it launched."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from relaion_pipeline import sample
from relaion_pipeline.automation import KILLED_SENSOR, RELEASE_SCHEDULE, RELEASE_SENSOR
from relaion_pipeline.layout import DataRoot
from relaion_pipeline.release import versions
from relaion_pipeline_tests.browser import ui
from relaion_pipeline_tests.browser.ui import Seen, Server

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not ui.available(), reason=f"there is no {ui.CHROMIUM}"),
]

AUTOMATION = """
[automation]
sensor = true
quiet_seconds = 2
poll_seconds = 5
cron = "0 3 * * 1"
max_release_age_days = 31
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("automation")
    sample.generate(folder / "root", rows=3_000, seed=5)
    with (folder / "root" / "relaion.toml").open("a") as settings:
        settings.write(AUTOMATION)
    with ui.serving(folder / "root", folder / "server") as running:
        yield running


@pytest.fixture(scope="module")
def browser(server: Server) -> Iterator[tuple[Page, Seen]]:
    expect.set_options(timeout=20_000)
    with ui.chromium() as opened:
        yield opened


def test_a_release_stands_without_a_click(server: Server, browser: tuple[Page, Seen], tmp_path: Path) -> None:
    page, seen = browser
    page.goto(f"{server.address}/automation")
    for name in (RELEASE_SENSOR, RELEASE_SCHEDULE, KILLED_SENSOR):
        expect(page.get_by_text(name, exact=True)).to_be_visible()
    expect(page.locator("input[type=checkbox]:checked")).to_have_count(3)  # their switches
    root, deadline = DataRoot.at(server.root), time.monotonic() + 120
    while not versions.released(root) and time.monotonic() < deadline:
        page.wait_for_timeout(1_000)
    page.screenshot(path=tmp_path / "automation.png")
    page.goto(f"{server.address}/runs")
    expect(page.get_by_text("Success", exact=True)).to_have_count(1, timeout=60_000)
    expect(page.get_by_text(RELEASE_SENSOR).first).to_be_visible()  # who launched it
    page.screenshot(path=tmp_path / "runs.png")
    assert len(versions.released(root)) == 1
    page.goto(f"{server.address}/assets/release")
    expect(page.get_by_text("Freshness policy").first).to_be_visible()
    expect(page.get_by_text("Not evaluated")).to_have_count(0, timeout=60_000)  # the daemon judged it
    page.screenshot(path=tmp_path / "release.png")
    assert seen.errors == []
    assert seen.hosts == {server.address.removeprefix("http://")}
    assert "Traceback" not in server.log.read_text()
