"""In a real browser: the cards of many chargers, and one charger's commands and messages."""

from __future__ import annotations

from typing import Any

import pytest
import websockets
from ocpp.v16 import call

from tests.browser.chargers import Chargers, dd, detail, draw, status

pytestmark = pytest.mark.flag("browser")


def shown(page: Any) -> list[str]:
    return [one.removeprefix("charger-") for one in page.eval_on_selector_all(
        "li.charger", "cards => cards.map(card => card.id)"
    )]  # fmt: skip


def test_cards_are_found_and_ordered_by_the_address_and_stay_so_live(
    page: Any, site: Any, chargers: Chargers
) -> None:
    page.goto(status(site))
    page.get_by_text("No charger has connected yet.").wait_for()
    held = {one: chargers.connect(site.ws_url, one) for one in ("CP1", "CP2", "CP10")}
    for charger, power_w in ((held["CP2"], 11_000), (held["CP10"], 3_000)):
        chargers.do(charger.boot())
        chargers.do(charger.begin())
        chargers.do(draw(charger, 1_500, power_w))
    chargers.do(held["CP1"].boot())
    page.locator("#charger-CP1").wait_for()
    chargers.do(held["CP10"].status(2, "Faulted", error_code="GroundFailure"))
    page.locator("#charger-CP10 .fault").wait_for()
    assert shown(page) == ["CP10", "CP1", "CP2"], "the one with a fault first"
    page.get_by_label("Order").select_option("Most power first")
    page.wait_for_url("**/charger-status?sort=-power")
    page.locator("li.charger:first-child#charger-CP2").wait_for()
    assert shown(page) == ["CP2", "CP10", "CP1"]
    chargers.do(draw(held["CP10"], 2_500, 22_000))
    page.locator("li.charger:first-child#charger-CP10").wait_for()
    page.get_by_label("Status").select_option("Faulted")
    page.wait_for_function("() => document.querySelectorAll('li.charger').length === 1")
    page.reload()
    assert shown(page) == ["CP10"]
    assert page.get_by_label("Order").input_value() == "-power"
    page.get_by_label("Find a charger").fill("nobody")
    page.get_by_label("Find a charger").press("Enter")
    page.get_by_text("No charger fits this filter.").wait_for()


def test_a_session_draws_its_power_and_counts_on_until_its_charger_is_away(
    page: Any, site: Any, chargers: Chargers
) -> None:
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    chargers.do(charger.begin())
    page.goto(status(site))
    card = page.locator("#charger-CPX")
    card.locator("svg.sparkline").wait_for()
    height = card.bounding_box()["height"]
    for step in (1, 2, 3):
        chargers.do(draw(charger, 1_000 + step * 500, step * 3_000))
    dd(card, "Power").get_by_text("9.0 kW").wait_for()
    line = card.locator("svg.sparkline[role=img] polyline")
    line.wait_for()
    assert len(line.get_attribute("points").split()) == 3
    assert card.bounding_box()["height"] == height, "nothing moved"
    # Taken from renewal, the time can only go on by counting.
    page.evaluate("document.querySelector('#charger-cards').removeAttribute('gw-refresh')")
    counted = card.locator("[data-counts]")
    first = counted.text_content()
    page.wait_for_function(
        "first => document.querySelector('[data-counts]').textContent !== first", arg=first
    )
    chargers.hang_up()
    page.reload()
    card.get_by_text("Offline").wait_for()
    card.get_by_text("last seen").wait_for()
    assert card.locator("[data-counts]").count() == 0
    assert "9.0 kW" not in card.text_content()


def test_a_charger_with_a_wrong_address_shows_up_with_what_helps(
    page: Any, site: Any, chargers: Chargers
) -> None:
    page.goto(status(site))

    async def knock() -> None:
        await websockets.connect(f"{site.ws_url}/ocpp/CP7", subprotocols=["ocpp1.6"])

    with pytest.raises(websockets.InvalidStatus):
        chargers.do(knock())
    row = page.locator("tr", has_text="/ocpp/CP7")
    row.get_by_text(f"Set the charger's address to {site.ws_url}/ocpp/csms/CP7").wait_for()
    assert row.get_by_role("button").count() == 0, "approving it would not help"


def test_a_command_unfolds_below_its_form(page: Any, site: Any, chargers: Chargers) -> None:
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    chargers.do(charger.status(1, "Available"))
    page.goto(detail(site))
    panel = page.locator("details.command", has_text="Session").first
    panel.locator("summary").first.click()
    panel.get_by_label("Id tag").fill("ADA")
    panel.get_by_role("button", name="Start").click()
    answer = panel.locator("#answer-remote_start")
    answer.get_by_text("transaction 1 started").wait_for()
    steps = [" ".join(one.split()) for one in answer.locator(".steps > li > span:first-child")
             .all_text_contents()]  # fmt: skip
    assert steps == ["queued", "sent", "answered Accepted", "transaction 1 started"]
    assert answer.locator(".steps time").count() == 4
    form = panel.locator("form", has=page.get_by_role("button", name="Start"))
    assert (
        answer.bounding_box()["y"] < form.bounding_box()["y"] + form.bounding_box()["height"] + 40
    )


def test_messages_are_filtered_held_and_opened(page: Any, site: Any, chargers: Chargers) -> None:
    charger = chargers.connect(site.ws_url)
    chargers.do(charger.boot())
    chargers.do(charger.status(1, "Available"))
    page.goto(detail(site) + "&since=2020-01-01T00:00:00Z")
    log = page.locator("#charger-log")
    names = log.locator("li strong")
    names.get_by_text("BootNotification").wait_for()
    page.locator("#messages-title + button").click()
    page.get_by_role("button", name="Resume").wait_for()
    with page.expect_response(lambda answer: "charger-state" in answer.url):
        chargers.do(charger.call(call.Heartbeat()))
    assert "Heartbeat" not in names.all_text_contents()
    page.get_by_role("button", name="Resume").click()
    names.get_by_text("Heartbeat").wait_for()
    page.locator(".log-filter").get_by_label("Action").select_option("BootNotification")
    page.wait_for_function("() => document.querySelectorAll('#charger-log li').length === 1")
    assert "since=2020-01-01" in page.url, "what the other form chose stays"
    entry = log.locator("li").first
    entry.locator("summary").click()
    assert "chargePointVendor" in entry.get_by_label("Call", exact=True).text_content()
    assert "Accepted" in entry.get_by_label("Answer").text_content()
    assert " ms" in entry.locator("summary").text_content()
    page.locator(".log-filter").get_by_label("Only errors").check()
    log.get_by_text("fits this filter").wait_for()
    page.reload()
    log.get_by_text("fits this filter").wait_for()
