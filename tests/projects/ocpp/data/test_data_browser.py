"""The chart in a real browser: drawn from our own files, in the theme's colours."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from .conftest import START, Site

CHROMIUM = Path("/usr/bin/chromium")
SET_UP = ("web", "app", "setup-app", "ocpp.data", "-")
START_UP = ("web", "server", "start-app", "--port", "0", "--ws-port", "0")

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium")


@pytest.fixture
def url(site: Site, eventually: Any) -> Iterator[str]:
    """A server on a store with two chargers."""
    for _ in range(3):
        site.session("CP1", 3_000)
        site.session("CP2", 2_000)
    site.gateway.close()
    root = site.gateway.workspace.root
    server = subprocess.Popen([sys.executable, "-m", "gway", *SET_UP, *START_UP], cwd=root)
    recorded = root / "work" / "server.json"
    try:
        eventually(recorded.exists, timeout_s=20)
        yield json.loads(recorded.read_text())["url"]
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) in (0, 143)


@pytest.fixture
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        made = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"]
        )
        yield made
        made.close()


def test_the_chart_is_drawn_offline_in_light_and_dark(url: str, browser: Any) -> None:
    problems: list[str] = []
    strangers: list[str] = []
    strokes = []
    day = f"{START:%Y-%m-%d}"
    page = browser.new_page()
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda r: strangers.append(r.url) if not r.url.startswith(url) else None)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.goto(f"{url}/ocpp/data/time-series?since={day}&until={day}&step=hour")
        figure = page.wait_for_selector("figure[data-drawn='2']")
        assert figure.query_selector("canvas").bounding_box()["width"] > 200
        marker = figure.query_selector(".u-legend tr:nth-child(2) .u-marker")
        strokes.append(marker.evaluate("one => getComputedStyle(one).borderTopColor"))
    page.click("#time-series-table > summary")
    assert page.locator("#time-series-table tbody tr").count() == 24
    page.close()
    assert strokes[0] != strokes[1]
    assert problems == []
    assert strangers == []


def test_a_chart_without_data_says_so_and_opens_the_table(url: str, browser: Any) -> None:
    page = browser.new_page()
    page.route("**/api/ocpp/data/time-series**", lambda route: route.fulfill(status=503))
    page.goto(f"{url}/ocpp/data/time-series?since={START:%Y-%m-%d}")
    page.wait_for_selector("#time-series-table[open]")
    assert "No chart" in page.text_content(".time-series-plot")
    page.close()
