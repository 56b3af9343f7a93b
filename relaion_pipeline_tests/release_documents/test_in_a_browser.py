"""The report in a real browser: it fits a phone, loads nothing and works in dark mode."""

import json
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

CHROMIUM = shutil.which("chromium")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_page_fits_and_loads_nothing(folder: Path, width: int, mode: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=mode)
        asked, said = [], []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: said.append(message.text))
        page.goto((folder / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        sizes = json.loads(
            page.evaluate(
                "JSON.stringify([...document.querySelectorAll('svg text')].map(t => t.getBoundingClientRect().height))"
            )
        )
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        ink = page.evaluate("getComputedStyle(document.querySelector('#scores-axes_1 text')).fill")
        browser.close()
    assert asked == [(folder / "report.html").as_uri()]
    assert said == []
    assert min(sizes) >= 9
    assert (paper == "rgb(255, 255, 255)") == (mode == "light")
    assert (ink == "rgb(27, 32, 38)") == (mode == "light")
