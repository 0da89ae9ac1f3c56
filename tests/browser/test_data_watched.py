"""In a real browser: the pages of the stored data and of the accounts follow what happens."""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin

import pytest
import websockets

from tests.browser.chargers import Chargers, draw

pytestmark = pytest.mark.flag("browser")


def watch(page: Any, url: str, eventually: Any) -> None:
    """Open a page that is told by events alone, and wait until it listens."""
    page.goto(url)
    page.evaluate(
        "document.querySelectorAll('[gw-refresh]')"
        ".forEach(one => one.setAttribute('gw-refresh', ''))"
    )
    metrics = urljoin(url, "/metrics")
    eventually(lambda: "gway_event_listeners 0.0" not in page.request.get(metrics).text())


def picture(page: Any) -> str:
    drawn: str = page.eval_on_selector("canvas", "one => one.toDataURL()")
    return drawn


def test_the_summary_follows_its_chargers(
    page: Any, site: Any, chargers: Chargers, eventually: Any
) -> None:
    watch(page, f"{site.url}/ocpp/data/charger-summary", eventually)
    page.get_by_text("No charger has connected yet.").wait_for()
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    chargers.do(charger.begin())
    row = page.locator("tbody tr", has_text="CPX")
    row.get_by_text("In session").wait_for()
    page.locator(".stat", has_text="1 session").wait_for()
    chargers.do(charger.end(3_500, "Local"))
    row.get_by_text("2.50 kWh").wait_for()
    assert row.get_by_text("In session").count() == 0
    assert (
        page.get_by_role("link", name="CSV")
        .get_attribute("href")
        .startswith("/ocpp/data/charger-summary.csv")
    )


def test_the_transactions_follow_and_leave_what_is_typed(
    page: Any, site: Any, chargers: Chargers, eventually: Any
) -> None:
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    watch(page, f"{site.url}/ocpp/data/charger-details", eventually)
    page.get_by_label("Tag").fill("half a ta")
    page.get_by_label("State").select_option("open")
    chargers.do(charger.begin("ADA"))
    page.get_by_role("row", name="ADA").get_by_text("open").wait_for()
    chargers.do(charger.end(3_500, "Local"))
    page.get_by_role("row", name="ADA").get_by_text("stopped").wait_for()
    assert page.get_by_label("Tag").input_value() == "half a ta"
    assert page.get_by_label("State").input_value() == "open"


def test_an_open_transaction_is_drawn_on_and_its_end_is_seen(
    page: Any, site: Any, chargers: Chargers, eventually: Any
) -> None:
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    chargers.do(charger.begin())
    watch(page, f"{site.url}/ocpp/data/transaction?transaction_id=1", eventually)
    page.get_by_text("No sample of power or energy came in this transaction yet.").wait_for()
    for step in (1, 2, 3):
        chargers.do(draw(charger, 1_000 + step * 500, step * 3_000))
    page.locator(".chart-area[data-drawn='4'] canvas").wait_for()  # with the start
    page.locator(".stat", has_text="9.0 kW").wait_for()
    page.get_by_text("1.50 kWh").first.wait_for()
    over = page.locator(".u-over").bounding_box()
    middle = over["y"] + over["height"] / 2
    page.mouse.move(over["x"] + over["width"] * 0.2, middle)
    page.mouse.down()
    page.mouse.move(over["x"] + over["width"] * 0.7, middle, steps=5)
    page.mouse.up()
    zoomed = page.locator(".u-legend .u-value").all_text_contents()
    chargers.do(draw(charger, 4_000, 12_000))
    page.locator(".chart-area[data-drawn='5']").wait_for()
    assert page.locator("canvas").count() == 1
    assert page.locator(".u-legend .u-value").all_text_contents()[0] == zoomed[0]
    drawn = picture(page)
    page.emulate_media(color_scheme="dark")
    eventually(lambda: picture(page) != drawn)
    page.emulate_media(color_scheme="light")
    eventually(lambda: picture(page) == drawn, 5)  # as closely as before
    page.mouse.move(0, 0)
    page.locator(".u-legend .u-value", has_text="12.00 kW at most").wait_for()
    assert page.get_by_role("link", name="Record (.dat)").count() == 0
    chargers.do(charger.end(5_000, "Local"))
    page.locator("h1 .badge", has_text="stopped").wait_for()
    page.get_by_role("link", name="Record (.dat)").wait_for()
    page.locator(".stat", has_text="Local").wait_for()
    assert page.locator("#transaction[gw-refresh]").count() == 0, "there is no more to come"


LIVE_TABLES = (
    ("/ocpp/data/charger-summary", "CP1", "CP2"),
    ("/ocpp/data/charger-details?sort=charger_id", "CP1", "CP2"),
    ("/ocpp/csms/refused-chargers?sort=charger_id", "BAD", "WRONG"),
)


@pytest.mark.parametrize(("path", "first", "last"), LIVE_TABLES)
def test_what_the_reader_asks_of_a_live_table_is_shown_at_once(
    page: Any, serve: Any, chargers: Chargers, path: str, first: str, last: str
) -> None:
    """No event and no timer helps: neither is there."""
    site = serve("ocpp.csms --unknown reject", "ocpp.data", "ocpp.keys")
    for charger_id in ("BAD", "WRONG"):
        with pytest.raises(websockets.InvalidStatus):
            chargers.connect(site.ws_url, charger_id)
    for charger_id in ("CP1", "CP2"):
        page.request.post(
            f"{site.url}/api/ocpp/csms/approve",
            data={"charger_id": charger_id, "force": True},
            headers={"Authorization": f"Bearer {site.token}"},
        )
        charger = chargers.connect(site.ws_url, charger_id)
        chargers.do(charger.boot())
        chargers.do(charger.begin())
    page.route("**/events?*", lambda route: route.abort())
    page.route("**/render/**", lambda route: route.abort())
    page.goto(site.url + path)
    rows = page.locator("tbody tr")
    rows.first.get_by_text(first, exact=True).wait_for()
    page.locator("thead a", has_text="Charger").click()
    rows.first.get_by_text(last, exact=True).wait_for()
    page.go_back()
    rows.first.get_by_text(first, exact=True).wait_for()
    page.locator("[data-filter]").fill(last)
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 1")
    rows.first.get_by_text(last, exact=True).wait_for()


def test_a_window_with_a_chart_does_not_keep_its_session(
    page: Any, site: Any, chargers: Chargers
) -> None:
    """What a chart asks for by itself carries the mark of what a page asks by itself."""
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    chargers.do(charger.begin())
    chargers.do(draw(charger, 2_500, 9_000))
    with page.expect_request("**/api/ocpp/data/time-series?*") as asked:
        page.goto(f"{site.url}/ocpp/data/time-series?span=day")
    assert asked.value.headers["x-gway-fragment"] == "1"


def test_a_chart_whose_data_cannot_be_read_says_that_it_is_old(
    page: Any, site: Any, chargers: Chargers
) -> None:
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    chargers.do(charger.begin())
    chargers.do(draw(charger, 2_500, 9_000))
    page.goto(f"{site.url}/ocpp/data/transaction?transaction_id=1")
    page.locator(".chart-area canvas").wait_for()
    page.route("**/api/ocpp/data/transaction-curves?*", lambda route: route.fulfill(status=503))
    chargers.do(draw(charger, 3_500, 9_000))
    page.locator(".chart-area .stale", has_text="Not current").wait_for()
    assert page.locator(".chart-area canvas").count() == 1
    page.unroute("**/api/ocpp/data/transaction-curves?*")
    chargers.do(draw(charger, 4_500, 9_000))
    page.locator(".chart-area .stale").wait_for(state="detached")


def test_energy_appears_where_there_was_none_and_grows(
    page: Any, site: Any, chargers: Chargers, eventually: Any
) -> None:
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    watch(page, f"{site.url}/ocpp/data/time-series?span=day", eventually)
    page.get_by_text("No charger shown here delivered energy").wait_for()
    chargers.do(charger.begin())
    chargers.do(draw(charger, 2_500, 9_000))
    page.locator(".chart-area[data-drawn='1'] canvas").wait_for()
    page.locator(".stat", has_text="1.50 kWh").wait_for()
    chargers.do(draw(charger, 3_500, 9_000))
    page.locator(".stat", has_text="2.50 kWh").wait_for()
    page.locator(".u-legend .u-value", has_text="2.50 kWh in all").wait_for()
    assert page.locator("canvas").count() == 1


def test_a_past_span_of_energy_is_not_asked_for_again(page: Any, site: Any) -> None:
    page.goto(f"{site.url}/ocpp/data/time-series?since=2024-01-01&until=2024-01-31")
    assert page.locator("[gw-render='time-series']").count() == 1
    assert page.locator("[gw-render='time-series'][gw-refresh]").count() == 0


def test_the_accounts_follow_and_what_is_shown_once_stays(
    page: Any, serve: Any, chromium: Any, eventually: Any
) -> None:
    site = serve("web.auth")
    page.goto(f"{site.url}/web/auth/users")
    page.get_by_label("Name").fill("ada")
    page.get_by_role("button", name="Make it").click()
    secret = page.locator(".auth-secret").text_content()
    other = chromium.new_context().new_page()
    sign_in(other, site, "ada", secret)
    page.goto(f"{site.url}/web/auth/login")
    sign_in(page, site, "ada", secret)
    watch(page, f"{site.url}/web/auth/tokens", eventually)
    page.get_by_label("What it is for").fill("one")
    page.get_by_role("button", name="Make it").click()
    once = page.locator(".auth-secret").text_content()
    other.goto(f"{site.url}/web/auth/tokens")
    other.get_by_label("What it is for").fill("two")
    other.get_by_role("button", name="Make it").click()
    page.get_by_role("row", name="two").wait_for()
    assert page.locator(".auth-secret").text_content() == once
    watch(page, f"{site.url}/web/auth/account", eventually)
    assert page.locator("#sessions tbody tr").count() == 2
    other.get_by_role("button", name="Sign out").click()
    page.wait_for_function("() => document.querySelectorAll('#sessions tbody tr').length === 1")
    other.context.close()


def sign_in(tab: Any, site: Any, name: str, password: str) -> None:
    tab.goto(f"{site.url}/web/auth/login")
    tab.get_by_label("Name").fill(name)
    tab.get_by_label("Password").fill(password)
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url(lambda url: "/web/auth/login" not in url)
