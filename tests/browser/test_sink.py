"""In a real browser: messages appear as they come, are filtered and opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

pytestmark = pytest.mark.flag("browser")

BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
EVIL = "<img src=x onerror=alert(1)>"
ROWS = ".sink-list > li"


@pytest.fixture
def site(serve: Any) -> Any:
    return serve("ocpp.sink")


def charger(site: Any, charger_id: str) -> Any:
    return connect(f"{site.ws_url}/{charger_id}", subprotocols=["ocpp1.6"])


def say(socket: Any, *frames: str) -> None:
    for frame in frames:
        socket.send(frame)
        socket.recv()


def test_messages_appear_as_they_come_and_open(page: Any, site: Any) -> None:
    page.goto(f"{site.url}/ocpp/sink/messages")
    assert page.locator(".empty").first.inner_text() == "No message yet."
    with charger(site, "CP1") as socket:
        say(socket, BOOT)
        page.wait_for_selector(f"{ROWS}:has-text('BootNotification answer')")
        row = page.locator(ROWS, has_text="BootNotification answer")
        row.locator("summary").click()
        assert '"status": "Accepted"' in row.locator("pre").inner_text()
        say(socket, '[2,"a","Heartbeat",{"x":1}]')
        page.wait_for_selector(f"{ROWS} .badge:has-text('schema.unknown')")
        # What the reader opened stays open while new messages come.
        assert row.locator("pre").is_visible()
        page.wait_for_selector("#stats td:has-text('Heartbeat')")


def test_filters_keep_what_was_asked_for_while_messages_come(page: Any, site: Any) -> None:
    with charger(site, "CP1") as one, charger(site, "CP2") as two:
        say(one, BOOT)
        say(two, BOOT)
        page.goto(f"{site.url}/ocpp/sink/messages")
        page.select_option("select[name=charger]", "CP2")
        page.wait_for_function(
            "() => !document.querySelector('#messages').innerText.includes('CP1')"
        )
        page.check("input[name=violations]")
        page.wait_for_selector("#messages .empty")
        assert "charger=CP2" in page.url
        say(one, '[2,"a","Heartbeat",{"x":1}]')
        say(two, '[2,"a","Heartbeat",{"x":1}]')
        page.wait_for_selector(f"{ROWS} .badge:has-text('schema.unknown')")
        assert page.locator(ROWS).count() == 1
        page.fill("input[name=q]", "nothing has this")
        page.press("input[name=q]", "Enter")
        page.wait_for_selector("#messages .empty")


def test_hostile_names_are_shown_as_text(page: Any, site: Any) -> None:
    with charger(site, "%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E") as socket:
        say(socket, BOOT, json.dumps([2, EVIL, "DataTransfer", {"vendorId": EVIL}]))
        page.goto(f"{site.url}/ocpp/sink/messages")
        page.wait_for_selector(f"{ROWS}:has-text('DataTransfer')")
        assert page.locator("#content img").count() == 0
        assert EVIL in page.locator("#messages").inner_text()


def test_the_log_is_downloaded(page: Any, site: Any, workspace: Path, eventually: Any) -> None:
    with charger(site, "CP1") as socket:
        say(socket, BOOT)
        page.goto(f"{site.url}/ocpp/sink/messages")
        page.wait_for_selector(f"{ROWS}:has-text('BootNotification answer')")
        log = workspace / "work" / "ocpp" / "sink" / "sink.jsonl"
        eventually(lambda: '"result"' in log.read_text())
        with page.expect_download() as download:
            page.get_by_role("link", name="Download the log").click()
        assert download.value.suggested_filename == "sink.jsonl"
        got = Path(download.value.path()).read_text()
        assert got == log.read_text()


@pytest.mark.parametrize("width", [360, 1440])
def test_the_page_fits_every_window(page: Any, site: Any, width: int) -> None:
    with charger(site, "A-CHARGER-WITH-A-LONG-NAME-0123456789") as socket:
        say(socket, BOOT, '[2,"a","Heartbeat",{"x":1}]')
        page.set_viewport_size({"width": width, "height": 800})
        page.goto(f"{site.url}/ocpp/sink/messages")
        page.wait_for_selector(f"{ROWS} .badge:has-text('schema.unknown')")
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        assert wide <= 0
