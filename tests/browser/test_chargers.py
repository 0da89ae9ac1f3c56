"""In a real browser: chargers are watched live, and obey the buttons of their page."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import websockets

from tests.browser.chargers import Chargers, Obedient, dd, detail, status

pytestmark = pytest.mark.flag("browser")

EVIL = "<img src=x onerror=alert(1)>"


@pytest.fixture
def charger(site: Any, chargers: Chargers) -> Obedient:
    """CPX, booted, without a session."""
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    chargers.do(charger.status(1, "Available"))
    return charger


@pytest.fixture
def tab(page: Any) -> Iterator[Any]:
    """A tab whose console must stay silent; what a page asks is answered with yes."""
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("dialog", lambda dialog: dialog.accept())
    yield page
    assert errors == []


# --- watching -------------------------------------------------------------------


def test_a_session_is_watched_live_on_its_card_and_its_page(
    tab: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    other = tab.context.new_page()
    for page, url in ((tab, status(site)), (other, detail(site))):
        page.goto(url)
        page.evaluate("window.sameDocument = true")
    card, state = tab.locator("#charger-CPX"), other.locator("#charger-state")
    chargers.do(charger.begin())
    for energy_wh, shown in ((1_500, "0.50 kWh"), (2_750, "1.75 kWh"), (9_000, "8.00 kWh")):
        chargers.do(charger.meter(energy_wh))
        for place in (card, state):
            dd(place, "Energy").get_by_text(shown, exact=True).wait_for()
    card.locator("header .badge").get_by_text("Charging").wait_for()
    chargers.hang_up()
    card.get_by_text("Offline").wait_for()
    state.get_by_text("Not connected").wait_for()
    assert tab.evaluate("window.sameDocument")
    assert other.evaluate("window.sameDocument")
    other.close()


def test_a_charger_with_many_connectors_makes_no_other_card_tall(
    tab: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    many = chargers.connect(site.ws_url, "CPY")
    chargers.do(many.boot())
    for connector_id in range(1, 9):
        chargers.do(many.status(connector_id, "Available"))
    tab.goto(status(site))
    tab.locator("#charger-CPY .connectors > li").nth(7).wait_for()
    for width in (360, 768, 1440, 1920):
        tab.set_viewport_size({"width": width, "height": 900})
        few, wide = (tab.locator(f"#charger-{one}").bounding_box() for one in ("CPX", "CPY"))
        assert few["height"] < 0.7 * wide["height"]
        assert (wide["width"] > 1.9 * few["width"]) is (width > 360)
        assert tab.evaluate("document.documentElement.scrollWidth") == width


def test_what_is_open_and_typed_stays_while_messages_come(
    tab: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    chargers.do(charger.begin())
    tab.goto(detail(site))
    tab.get_by_role("button", name="Soft Reset").click()
    panel = tab.locator("details.command", has_text="Session").first
    panel.locator("summary").click()
    panel.get_by_label("Tag").fill("HALF-A-T")
    command = tab.locator("#charger-commands details").first
    message = tab.locator("#charger-log li", has_text="BootNotification").last
    command.locator("summary").click()
    message.locator("summary").click()
    message = tab.locator(f"[id='{message.get_attribute('id')}']")
    for energy_wh in (2_000, 3_000, 4_000):
        chargers.do(charger.meter(energy_wh))
        dd(tab.locator("#charger-state"), "Energy").get_by_text(
            f"{energy_wh / 1000 - 1:.2f} kWh"
        ).wait_for()
        tab.locator("#charger-log li strong").first.get_by_text("MeterValues").wait_for()
    for place in (panel, command, message.locator("details")):
        assert place.evaluate("details => details.open")
    assert panel.get_by_label("Tag").input_value() == "HALF-A-T"
    assert "chargePoint" in message.get_by_label("Call", exact=True).text_content()
    assert "Accepted" in message.get_by_label("Answer").text_content()


def test_taking_gw_refresh_from_an_element_stops_that_element_alone(
    tab: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    chargers.do(charger.begin())
    chargers.do(charger.meter(1_500))
    tab.goto(detail(site))
    energy = dd(tab.locator("#charger-state"), "Energy")
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    tab.locator("#charger-state").evaluate("state => state.removeAttribute('gw-refresh')")
    for energy_wh in (2_500, 3_500):
        seen = tab.locator("#charger-log li").first.get_attribute("id")
        chargers.do(charger.meter(energy_wh))
        tab.wait_for_function(
            "seen => document.querySelector('#charger-log li').id !== seen", arg=seen
        )
    assert energy.text_content() == "0.50 kWh"
    assert any("message-log" in url for url in asked)
    assert not any("charger-state" in url for url in asked)


def test_chargers_and_messages_are_found_while_typing(
    tab: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    chargers.do(chargers.connect(site.ws_url, "YARD-2").boot())
    tab.goto(status(site))
    tab.keyboard.press("/")
    tab.keyboard.type("yard")
    tab.locator("#charger-CPX").wait_for(state="detached")
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.textContent.trim()") == "YARD-2"
    tab.keyboard.press("Enter")
    tab.wait_for_url(re.compile(r"charger-detail\?charger_id=YARD-2"))
    tab.goto(detail(site))
    tab.locator("#charger-log li", has_text="BootNotification").wait_for()
    tab.keyboard.press("/")
    tab.keyboard.type("StatusNot")
    tab.locator("#charger-log li", has_text="BootNotification").wait_for(state="detached")
    tab.keyboard.press("ArrowDown")
    assert "StatusNotification" in tab.evaluate("document.activeElement.textContent")


def test_a_transaction_leads_to_its_charger_and_back(
    tab: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    chargers.do(charger.begin())
    tab.goto(detail(site))
    dd(tab.locator("#charger-state"), "Transaction").get_by_role("link").click()
    tab.get_by_role("link", name="CPX", exact=True).click()
    tab.wait_for_url(re.compile(r"/ocpp/csms/charger-detail\?charger_id=CPX"))


def test_what_a_charger_sends_is_shown_as_text(tab: Any, site: Any, chargers: Chargers) -> None:
    dialogs: list[str] = []
    tab.on("dialog", lambda dialog: dialogs.append(dialog.message))
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot(vendor="<b>Acme</b>"))
    chargers.do(charger.status(2, "Faulted", error_code="OtherError", info=EVIL))
    chargers.do(charger.begin(tag="<i>ADA</i>"))
    for url in (status(site), detail(site)):
        tab.goto(url)
        tab.locator(".fault", has_text=EVIL).first.wait_for()
        assert tab.locator("main img, main dd b, main dd i, main td i").count() == 0
    tab.locator("#charger-state .page-head", has_text="<b>Acme</b> One").wait_for()
    tab.locator("#charger-transactions td", has_text="<i>ADA</i>").wait_for()
    assert dialogs == []


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_is_wider_than_the_screen(
    tab: Any, serve: Any, chargers: Chargers, eventually: Any, width: int
) -> None:
    site = serve("ocpp.csms --unknown reject", "ocpp.data")
    with pytest.raises(websockets.InvalidStatus):
        chargers.connect(site.ws_url, "A-CHARGER-THAT-IS-TURNED-AWAY-AND-HAS-A-LONG-ID")
    tab.set_viewport_size({"width": width, "height": 740})
    tab.goto(status(site))
    approve = tab.get_by_role("button", name="Approve A-CHARGER")
    approve.scroll_into_view_if_needed()
    long_id = tab.locator("tr[id^='refused-'] td").first.inner_text()
    assert tab.evaluate(TOO_WIDE) == []
    approve.click()
    approve.wait_for(state="detached")
    charger = chargers.connect(site.ws_url, long_id)
    chargers.do(charger.boot())
    chargers.do(charger.status(1, "Faulted", error_code="GroundFailure", info="N" * 50))
    chargers.do(charger.begin(tag="T" * 20, connector_id=2))
    for url in (status(site), detail(site, long_id)):
        tab.goto(url)
        for panel in tab.locator("details.panel > summary").all():
            panel.click()
        assert tab.evaluate(TOO_WIDE) == []


TOO_WIDE = """() => [...document.querySelectorAll("body *")].filter(element =>
    !element.closest(".table-scroll, .bar nav, .skip, pre, .hidden-visually") &&
    element.getBoundingClientRect().right > document.documentElement.clientWidth + 1
  ).map(element => element.outerHTML.slice(0, 80))
   .concat(document.documentElement.scrollWidth > document.documentElement.clientWidth
     ? ["the page scrolls sideways"] : [])"""


# --- commanding ------------------------------------------------------------------


def test_stop_ends_the_session_and_says_so_where_it_was_pressed(
    tab: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    chargers.do(charger.begin())
    tab.goto(detail(site))
    tab.get_by_role("button", name="Stop transaction").click()
    told = f"transaction {charger.transaction_id} stopped (Remote)"
    tab.locator("#answer-stop", has_text="Accepted").get_by_text(told).wait_for()
    tab.locator("#charger-commands summary", has_text="Accepted").get_by_text(told).wait_for()
    row = tab.locator(f"#transaction-{charger.transaction_id}")
    row.locator(".badge").get_by_text("stopped", exact=True).wait_for()
    row.get_by_text("2.50 kWh").wait_for()
    row.get_by_text("Remote").wait_for()
    tab.get_by_role("button", name="Stop transaction").wait_for(state="detached")


def test_a_command_that_was_not_confirmed_is_not_sent(
    page: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    page.on("dialog", lambda dialog: dialog.dismiss())
    page.goto(detail(site))
    page.get_by_role("button", name="Hard Reset").click()
    page.get_by_text("Availability and messages").click()
    page.get_by_role("button", name="Trigger", exact=True).click()
    page.locator("#charger-commands summary").get_by_text("TriggerMessage").wait_for()
    assert charger.asked == []


def test_soft_reset_is_followed_to_the_boot(tab: Any, site: Any, charger: Obedient) -> None:
    tab.goto(detail(site))
    tab.get_by_role("button", name="Soft Reset").click()
    for place in ("#answer-charger", "#charger-commands summary"):
        tab.locator(place, has_text="Accepted").get_by_text("the charger booted").wait_for()
    first = tab.locator("#answer-charger .answer").get_attribute("id")
    tab.get_by_role("button", name="Hard Reset").click()
    tab.locator(f"#{first}").wait_for(state="detached")
    tab.locator("#answer-charger").get_by_text("the charger booted").wait_for()
    assert charger.asked == ["Reset Soft", "Reset Hard"]


def test_a_session_is_started_from_the_page(tab: Any, site: Any, charger: Obedient) -> None:
    tab.goto(detail(site))
    panel = tab.locator("details.command", has_text="Session").first
    panel.locator("summary").click()
    panel.get_by_label("Tag").fill("ADA")
    panel.get_by_role("button", name="Start").click()
    panel.locator("#answer-remote_start").get_by_text("started").wait_for()
    assert dd(tab.locator("#charger-state"), "Tag").text_content() == "ADA"


def test_a_broken_payload_is_told_where_it_was_typed_and_stays_told(
    page: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    chargers.do(charger.begin())
    page.goto(detail(site))
    panel = page.locator("details.command", has_text="Any command")
    panel.locator("summary").click()
    panel.get_by_label("Action").select_option("Reset")
    panel.get_by_label("Payload").fill('{"type": ')
    panel.get_by_role("button", name="Send").click()
    panel.get_by_text("is not JSON").wait_for()
    for energy_wh in (2_000, 3_000):
        chargers.do(charger.meter(energy_wh))
        page.get_by_text(f"{energy_wh / 1000 - 1:.2f} kWh").first.wait_for()
    assert panel.get_by_text("is not JSON").is_visible()
    panel.get_by_label("Payload").fill('{"type": "Soft"}')
    panel.get_by_role("button", name="Send").click()
    panel.get_by_text("the charger booted").wait_for()
    assert panel.get_by_text("is not JSON").count() == 0


def test_a_charger_obeys_a_page_without_script(
    chromium: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    chargers.do(charger.begin())
    context = chromium.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(detail(site))
    tab.get_by_role("button", name="Stop transaction").click()
    tab.get_by_text("Accepted").first.wait_for()
    tab.get_by_role("link", name="Back to CPX").click()
    tab.locator("#charger-transactions").get_by_text("stopped").wait_for()
    context.close()


# --- transactions ------------------------------------------------------------------


def test_the_dates_above_the_transactions_choose_the_period(
    tab: Any, site: Any, charger: Obedient, chargers: Chargers
) -> None:
    chargers.do(charger.begin())
    chargers.do(charger.end(4_000, "Local"))
    tab.goto(detail(site))
    part = tab.locator("#charger-transactions")
    part.get_by_text("Begun in the last 24 hours, up to now: 1 transaction.").wait_for()
    tab.locator("#transactions").get_by_label("From").fill("2099-01-01T00:00")
    tab.locator("#transactions").get_by_label("From").blur()
    part.get_by_text("No transaction in this period.").wait_for()
    assert "since=2098" in tab.url or "since=2099" in tab.url
    tab.reload()
    part.get_by_text("No transaction in this period.").wait_for()
    assert tab.locator("#transactions").get_by_label("From").input_value() == "2099-01-01T00:00"
    tab.locator("#transactions").get_by_label("From").fill("2020-01-01T00:00")
    tab.locator("#transactions").get_by_label("From").blur()
    part.get_by_text("3.00 kWh").wait_for()
    tab.locator("#transactions").get_by_label("From").fill("")
    tab.locator("#transactions").get_by_label("From").blur()
    part.get_by_text("in the last 24 hours").wait_for()


# --- the first recipe -----------------------------------------------------------------


def test_the_first_recipe_shows_a_charger_that_charges(
    tab: Any, workspace: Any, eventually: Any
) -> None:
    state = workspace / "work" / "server.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "gway", "run", "etron/local", "--port", "0", "--ws_port", "0",
         "--interval", "1"],
        cwd=workspace,
        env={key: value for key, value in os.environ.items() if not key.startswith("GWAY_")},
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        eventually(state.exists, 20)
        tab.goto(json.loads(state.read_text())["url"])
        card = tab.locator("#charger-CPX")
        dd(card, "Energy").wait_for(timeout=20_000)
        card.get_by_role("link").click()
        energy = dd(tab.locator("#charger-state"), "Energy")
        energy.get_by_text(re.compile(r"0\.0[1-9] kWh")).wait_for(timeout=20_000)
        shown = energy.text_content()
        energy.get_by_text(shown).wait_for(state="detached", timeout=20_000)
        assert float(energy.text_content().split()[0]) > float(shown.split()[0])
        tab.get_by_role("button", name="Stop transaction").click()
        tab.locator("#charger-transactions .badge").get_by_text("stopped").wait_for()
    finally:
        process.terminate()
        assert process.wait(15) == 143
