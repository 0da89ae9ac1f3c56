"""The charts in a real browser: drawn from our own files, in the theme's colours, usable."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from .conftest import START, Site, power_sample

CHROMIUM = Path("/usr/bin/chromium")
SET_UP = ("web", "app", "setup-app", "ocpp.data", "-")
START_UP = ("web", "server", "start-app", "--port", "0", "--ws-port", "0")
DAY = f"{START:%Y-%m-%d}"

pytestmark = [
    pytest.mark.flag("browser"),
    pytest.mark.skipif(not CHROMIUM.exists(), reason="needs Chromium"),
]


@pytest.fixture
def url(site: Site, eventually: Any) -> Iterator[str]:
    """A server on a store with two chargers, the last session of which has many samples."""
    for _ in range(3):
        site.session("CP1", 3_000)
        site.session("CP2", 2_000)
    started = metered = site.start("CP1")  # number 7
    for minute in range(1, 60):
        site.advance(minutes=1 if minute != 30 else 20)  # samples stay away once
        metered = site.meter(started, 1_000 + 100 * minute, power_sample(6_000 + minute))
    site.advance(minutes=1)
    site.stop(metered, 7_000)
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


@pytest.fixture
def tab(url: str, browser: Any) -> Iterator[Any]:
    """A tab; the test fails if anything is said on the console or asked of a stranger."""
    wrong: list[str] = []
    page = browser.new_page(viewport={"width": 1440, "height": 900}, timezone_id="Europe/Berlin")
    page.set_default_timeout(10_000)
    page.on("console", lambda message: wrong.append(message.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda r: wrong.append(r.url) if not r.url.startswith(url) else None)
    yield page
    page.close()
    assert [text for text in wrong if "willReadFrequently" not in text] == []  # our own looking


def spans(page: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def ink(page: Any, selector: str = ".chart-box canvas") -> int:
    """Count the pixels of a chart that are not empty."""
    count: int = page.eval_on_selector(
        selector,
        "one => one.getContext('2d').getImageData(0, 0, one.width, one.height).data"
        ".reduce((sum, value, index) => sum + (index % 4 === 3 && value > 0 ? 1 : 0), 0)",
    )
    return count


def brightness(page: Any) -> float:
    """Tell how bright a chart's lines and letters are, 0 to 255."""
    mean: float = page.eval_on_selector(
        ".chart-box canvas",
        "one => { const ink = one.getContext('2d').getImageData(0, 0, one.width, one.height);"
        " const data = ink.data;"
        " let sum = 0, count = 0; for (let at = 0; at < data.length; at += 4)"
        " if (data[at + 3] > 200) { sum += data[at] + data[at + 1] + data[at + 2]; count += 3; }"
        " return sum / count; }",
    )
    return mean


def legend(page: Any) -> list[str]:
    found: list[str] = page.locator(".u-legend .u-value").all_text_contents()
    return found


def fits(page: Any) -> bool:
    wide: bool = page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    return wide


@pytest.mark.parametrize("width", [360, 1440])
def test_the_chart_is_drawn_offline_in_light_and_dark(url: str, tab: Any, width: int) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    strokes = []
    for scheme in ("light", "dark"):
        tab.emulate_media(color_scheme=scheme)
        tab.goto(f"{url}/ocpp/data/time-series?since={DAY}&until={DAY}&step=hour")
        figure = tab.wait_for_selector(".chart-area[data-drawn='2']")
        assert figure.query_selector("canvas").bounding_box()["width"] > 200
        assert ink(tab) > 2_000
        assert fits(tab)
        marker = figure.query_selector(".u-legend tr:nth-child(2) .u-marker")
        strokes.append(marker.evaluate("one => getComputedStyle(one).borderTopColor"))
    tab.click("#time-series-table > summary")
    assert tab.locator("#time-series-table tbody tr").count() == 24
    assert strokes[0] != strokes[1]


def test_the_colours_follow_the_theme_while_the_page_is_open(
    url: str, tab: Any, eventually: Any
) -> None:
    tab.emulate_media(color_scheme="light")
    tab.goto(f"{url}/ocpp/data/time-series?since={DAY}&until={DAY}&chargers=CP1&step=hour")
    tab.wait_for_selector(".chart-area[data-drawn]")
    light = brightness(tab)
    tab.emulate_media(color_scheme="dark")
    eventually(lambda: abs(brightness(tab) - light) > 20)
    dark = brightness(tab)
    tab.evaluate("document.documentElement.setAttribute('data-theme', 'light')")
    eventually(lambda: abs(brightness(tab) - light) < 5)
    assert abs(dark - light) > 20


def test_the_legend_says_what_there_is_before_anything_is_pointed_at(url: str, tab: Any) -> None:
    tab.goto(f"{url}/ocpp/data/time-series?since={DAY}&until={DAY}&step=hour")
    tab.wait_for_selector(".chart-area[data-drawn='2']")
    # Midnight in UTC is two in the morning in Berlin; dates are ISO whatever the language.
    assert legend(tab)[0] == "2024-05-17 02:00 to 2024-05-18 02:00"
    assert legend(tab)[2] == "6.00 kWh in all"
    caption = tab.locator("figcaption").text_content()
    assert "from 2024-05-17 02:00 to 2024-05-18 02:00; between" in caption


def test_in_the_legend_those_come_last_that_gave_nothing(url: str, tab: Any) -> None:
    last = "since=2024-05-17T18:30:00Z&until=2024-05-17T21:00:00Z"  # when CP1 alone charged
    tab.goto(f"{url}/ocpp/data/time-series?chargers=CP2&chargers=CP1&step=hour&{last}")
    tab.wait_for_selector(".chart-area[data-drawn='2']")
    labels = tab.locator(".u-legend .u-label").all_text_contents()
    assert labels == ["Interval", "CP1", "CP2"]
    marks = [each.evaluate("mark => getComputedStyle(mark).backgroundImage")
             for each in tab.locator(".u-legend .u-marker").all()[-2:]]  # fmt: skip
    assert marks[0] != marks[1]
    assert all(mark.startswith("repeating-linear-gradient") for mark in marks)


def test_a_drag_asks_the_server_for_finer_steps_and_reset_leads_back(url: str, tab: Any) -> None:
    tab.goto(f"{url}/ocpp/data/time-series?since={DAY}&until={DAY}&step=hour")
    tab.wait_for_selector(".chart-area[data-drawn='2']")
    box = tab.locator(".u-over").bounding_box()
    middle = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + box["width"] * 0.5, middle)
    tab.mouse.down()
    tab.mouse.move(box["x"] + box["width"] * 0.6, middle, steps=5)
    tab.mouse.up()
    tab.wait_for_url("**/time-series?*T*")
    tab.wait_for_selector(".chart-area[data-drawn='2']")
    assert spans(tab)["since"].startswith(f"{DAY}T1")
    assert "step" not in spans(tab)
    assert "intervals of 5 minutes" in tab.text_content("figcaption")
    tab.go_back()
    tab.wait_for_selector(".chart-area[data-drawn='2']")
    assert "intervals of an hour" in tab.text_content("figcaption")
    tab.click("#time-series-reset")
    tab.wait_for_selector("text=No charger shown here delivered energy")


def test_the_keyboard_zooms_moves_and_reads_the_table(url: str, tab: Any) -> None:
    tab.goto(f"{url}/ocpp/data/time-series?since={DAY}&until={DAY}&chargers=CP1")
    tab.focus("text=Closer")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**06*")
    assert spans(tab)["until"] == f"{DAY}T18:00:00.000Z"
    tab.wait_for_selector(".chart-area[data-drawn='1']")
    tab.focus("#time-series-table > summary")
    tab.keyboard.press("Enter")
    tab.focus("#time-series-table thead a >> nth=1")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("#time-series-table[open] th[aria-sort='ascending'] >> text=CP1")


def test_without_energy_the_page_says_so_and_leads_on(url: str, tab: Any) -> None:
    tab.goto(f"{url}/ocpp/data/time-series?since=2020-01-01&until=2020-01-31")
    assert tab.locator("canvas").count() == 0
    assert "delivered energy between" in tab.text_content(".empty")
    tab.click("text=Show the last year")
    assert spans(tab) == {"span": "year"}


def test_a_transaction_is_drawn_and_broken_where_samples_stayed_away(url: str, tab: Any) -> None:
    for width in (1440, 360):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.goto(f"{url}/ocpp/data/transaction?transaction_id=7")
        tab.wait_for_selector(".chart-area[data-drawn='61']")
        assert ink(tab) > 2_000
        assert fits(tab)
    assert legend(tab)[1:] == ["6.06 kW at most", "6.00 kWh at most"]
    with tab.expect_download() as download:
        tab.click("text=Record (.dat)")
    record = json.loads(Path(download.value.path()).read_text())
    assert download.value.suggested_filename == "1_7.dat"
    assert record["energyWh"] == 6_000


def test_a_chart_without_data_says_so_and_opens_the_table(url: str, browser: Any) -> None:
    page = browser.new_page()
    page.route("**/api/ocpp/data/time-series**", lambda route: route.fulfill(status=503))
    until = START + timedelta(days=1)
    page.goto(f"{url}/ocpp/data/time-series?since={DAY}&until={until:%Y-%m-%d}")
    page.wait_for_selector("#time-series-table[open]")
    assert "No chart" in page.text_content(".chart-plot")
    page.close()
