"""Makes the pictures of the UI anew: `python -m relaion_pipeline_tests.browser.screenshots [PICTURE ...]`."""

import subprocess
import sys
import tempfile
from pathlib import Path
from urllib.parse import quote

import dagster as dg
from playwright.sync_api import Page, expect

from relaion_pipeline import sample
from relaion_pipeline.automation import RELEASE_SCHEDULE, RELEASE_SENSOR
from relaion_pipeline.layout import DataRoot
from relaion_pipeline_tests.browser import ui
from relaion_pipeline_tests.orchestration import runs

IMAGES = Path(__file__).parents[2] / "docs" / "images"
EXPANDED = ("2B_en", "release")
AUTOMATION = """
[automation]
sensor = true
cron = "0 3 * * 1"
timezone = "Europe/Berlin"
max_release_age_days = 31

[notify]
webhook_variable = "RELAION_WEBHOOK"
"""
WIDE = {"width": 2000, "height": 1250}
TALL = {"width": 2000, "height": 1650}


def widen(page: Page) -> None:
    """Hide the navigation, which the UI remembers from page to page, and fit the graph to the wider page."""
    hide = page.get_by_role("button", name="Hide navigation")
    show = page.get_by_role("button", name="panel_show_left")  # hidden, its button is an icon
    expect(hide.or_(show).first).to_be_visible()
    if hide.is_visible():
        hide.click()
        expect(show).to_be_visible()
    page.reload()


def graph(page: Page, address: str, _: Path) -> None:
    """All groups; one subset and the release show their assets."""
    page.set_viewport_size(WIDE)
    groups = ",".join(f"global@global:{group}" for group in EXPANDED)
    page.goto(f"{address}/asset-groups?expanded={groups}")
    expect(page.get_by_text("edition_set", exact=True).last).to_be_visible()
    widen(page)
    expect(page.get_by_text("edition_set", exact=True).last).to_be_visible()
    page.get_by_label("zoom_out").last.click()
    page.wait_for_timeout(4_000)  # statuses arrive one by one
    page.screenshot(path=IMAGES / "asset-graph.png")


def stale_feed(page: Page, address: str, root: Path) -> None:
    """One feed changed: what depends on it is out of date, and nothing else is."""
    with (root / "feeds" / "hrw" / "links.txt").open("a", encoding="utf-8") as file:
        file.write("https://added.example/one.jpg\n")
    feed = dg.AssetKey(["feeds", "hrw-links"])
    assert runs.execute(DataRoot.at(root), assets=[feed]).success
    page.set_viewport_size(TALL)
    wanted = ["feeds/hrw-links", "feeds/iwf-images", "blocklist", "1B-nolang/*", "ledger", "edition_set", "release"]
    chosen = " or ".join(f'key:"{key}"' for key in wanted)
    groups = ",".join(f"global@global:{name}" for name in ("feeds", "1B_nolang", "release"))
    page.goto(f"{address}/asset-groups~{quote(chosen, safe='')}?expanded={groups}")
    expect(page.get_by_text("edition_set", exact=True).last).to_be_visible()
    widen(page)
    expect(page.get_by_text("edition_set", exact=True).last).to_be_visible()
    page.get_by_label("zoom_out").last.click()  # the graph is fitted to its width alone
    page.wait_for_timeout(5_000)  # statuses arrive one by one
    page.screenshot(path=IMAGES / "stale-feed.png")


def metadata(page: Page, address: str, _: Path) -> None:
    """What was removed, as the release says it."""
    page.set_viewport_size(ui.SIZE)
    page.goto(f"{address}/assets/release")
    for section in ("Status", "Description"):
        page.get_by_role("button", name=section).first.click()
    page.get_by_placeholder("Filter metadata keys").fill("removals")
    expect(page.get_by_text("kept in research-safe").last).to_be_visible()
    page.wait_for_timeout(1_000)
    page.screenshot(path=IMAGES / "release-metadata.png")


def automation(page: Page, address: str, _: Path) -> None:
    """Schedule and sensors, all running."""
    page.set_viewport_size({"width": 1600, "height": 640})
    page.goto(f"{address}/automation")
    expect(page.get_by_text(RELEASE_SENSOR)).to_be_visible()
    expect(page.get_by_text(RELEASE_SCHEDULE)).to_be_visible()
    page.wait_for_timeout(20_000)  # each has looked once
    page.screenshot(path=IMAGES / "automation.png")


PICTURES = {"graph": graph, "metadata": metadata, "automation": automation, "stale-feed": stale_feed}
"""In this order: the last one changes a feed."""


def main() -> None:
    wanted = sys.argv[1:] or list(PICTURES)
    if unknown := set(wanted) - set(PICTURES):
        sys.exit(f"no such picture: {', '.join(sorted(unknown))}; there are {', '.join(PICTURES)}")
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "demo"
        sample.generate(root, rows=60_000, seed=1)
        with (root / "relaion.toml").open("a") as settings:
            settings.write(AUTOMATION)
        relaion = Path(sys.executable).with_name("relaion")
        subprocess.run([relaion, "release", "--data", root], check=True)
        with ui.serving(root, Path(scratch) / "server") as server, ui.chromium() as (page, _):
            for name, take in PICTURES.items():
                if name in wanted:
                    take(page, server.address, root)


if __name__ == "__main__":
    main()
