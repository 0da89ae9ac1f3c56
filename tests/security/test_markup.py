"""Every field that a charger can fill, with everything that could be markup, on every page."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from gway.resolver import Gateway
from gway.web.mounts import Handler
from gway.web.routes import Site

from .conftest import Charger, Eventually, Serve, Server

# At most 20 letters, as many as an idTag has, so that they fit into every field.
PAYLOADS = [
    "<img src=x onload=a>",
    "<svg/onload=xss()>",
    "<script>xss(1)",
    "</title><b>xss",
    '"onfocus=\'xss()" a=',
    "'-xss()-'\"><i>",
    "</textarea><xss>",
    "--><xss>",
    "javascript:xss()//<",
    "{{!xss}}<%xss%><xss>",
    "&lt;xss&gt;<xss>",
    "]]></script><xss>",
]
PROJECTS = ("ocpp.csms", "ocpp.data", "ocpp.rfid", "ocpp.keys", "ocpp.evcs")


def told_by(charger: Charger, text: str) -> int:
    """Fill every field of every message with a text, sound messages and broken ones; give the id
    of a transaction that is open."""
    boot = ["chargePointVendor", "chargePointModel", "chargePointSerialNumber", "iccid", "imsi"]
    more = ["chargeBoxSerialNumber", "firmwareVersion", "meterType", "meterSerialNumber"]
    charger.call("BootNotification", dict.fromkeys([*boot, *more], text))
    charger.call("Authorize", {"idTag": text})
    charger.call("DataTransfer", dict.fromkeys(["vendorId", "messageId", "data"], text))
    fault = {"connectorId": 1, "errorCode": "OtherError", "status": "Faulted"}
    charger.call(
        "StatusNotification", fault | dict.fromkeys(["info", "vendorId", "vendorErrorCode"], text)
    )
    for action, key in (
        ("DiagnosticsStatusNotification", "status"),
        ("Heartbeat", "x"),
        (text, text),
    ):
        charger.call(action, {key: text})
    ended = charger.start(tag=text)
    sampled = ["value", "context", "format", "measurand", "phase", "location", "unit"]
    for unit in ({"unit": "Wh"}, {}):
        sample = dict.fromkeys(sampled, text) | {"value": "1000"} | unit
        values = [{"timestamp": "2024-01-01T12:00:00Z", "sampledValue": [sample]}]
        charger.call(
            "MeterValues", {"connectorId": 1, "transactionId": ended, "meterValue": values}
        )
    stop = {"transactionId": ended, "meterStop": 5_000, "timestamp": text, "reason": text}
    charger.call("StopTransaction", stop | {"idTag": text})
    charger.send(json.dumps([2, text[:36], text, {text: text}]))
    charger.send(json.dumps([4, text[:36], text, text, {text: text}]))
    return charger.start(connector_id=2, tag=text)


def pages(gw: Gateway) -> Iterator[Handler]:
    """Give the functions of all pages and fragments."""
    site = gw.service(Site)
    for project in PROJECTS:
        gw.load(project)
        place = site.mount(project)
        for kind in ("view", "render"):
            for handler in place.of_kind(kind):
                if handler.method == "GET":
                    yield handler


def addresses(handler: Handler, known: dict[str, Any]) -> Iterator[str]:
    """Give addresses of a page: with what it must know, and with each value besides."""
    prefix = "" if handler.kind == "view" else "/render"
    base = f"{prefix}/{handler.project.replace('.', '/')}/{handler.name.replace('_', '-')}"
    names = [param.name for param in handler.signature.params]
    needed = {
        param.name: known.get(param.name) for param in handler.signature.params if param.required
    }
    needed = {name: value for name, value in needed.items() if value is not None}
    yield f"{base}?{urlencode(needed)}"
    for name in names:
        for value in (known.get(name), known["text"]):
            if value is not None:
                yield f"{base}?{urlencode({**needed, name: value})}"


class Inspector(HTMLParser):
    """Notes everything in a page that would run, and every element that nobody wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if "xss" in tag or (tag == "script" and "src" not in given) or tag in ("iframe", "object"):
            self.found.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or "xss" in name or name == "style":
                self.found.append(f"{name}={value}")
            told = re.sub(r"\s", "", value or "").lower()
            if name in ("href", "src", "action", "formaction") and told.startswith(
                ("javascript:", "data:")
            ):
                self.found.append(f"{name}={value}")


@pytest.fixture
def site(serve: Serve) -> Server:
    return serve("ocpp.keys", "ocpp.evcs")


def test_nothing_that_a_charger_says_is_markup_on_any_page(
    site: Server, gw: Gateway, eventually: Eventually
) -> None:
    handlers = list(pages(gw))
    assert len(handlers) > 15
    shown = looked = 0
    for number, text in enumerate(PAYLOADS):
        charger_id = f"CP{number} #[HOME]+?é"
        charger = site.charger(charger_id)
        transaction_id = told_by(charger, text)
        stored = f"data/transaction?transaction_id={transaction_id}"
        eventually(lambda: site.ask("GET", f"/api/ocpp/{stored}").status == 200)  # noqa: B023
        known = dict.fromkeys(("id_tag", "q", "text", "find"), text)
        known |= {"charger_id": charger_id, "chargers": charger_id, "connector_id": "1"}
        known["transaction_id"] = str(transaction_id)
        wanted = [address for handler in handlers for address in addresses(handler, known)]
        for address in [*wanted, f"/{quote(text)}", f"/ocpp/csms/{quote(text)}"]:
            answer = site.ask("GET", address, headers={"Accept": "text/html"})
            assert answer.status < 500, address
            if not answer.header("Content-Type").startswith("text/html"):
                continue
            looked += 1
            page = answer.text
            assert text not in page, (address, text)
            inspector = Inspector()
            inspector.feed(page)
            assert inspector.found == [], (address, text)
            shown += text.replace("&", "&amp;").replace("<", "&lt;")[:6] in page
    assert looked > 500
    assert shown > 50  # the fields are shown, or nothing would be proved
    assert "Traceback" not in site.logs


@pytest.mark.parametrize("text", PAYLOADS)
def test_each_of_them_would_be_seen_if_it_were_not_escaped(text: str) -> None:
    inspector = Inspector()
    inspector.feed(f"<p>{text}</p><input value=\"{text}\"><a href='{text}'>x</a>")
    assert inspector.found or re.search("<[bi]>", text)
