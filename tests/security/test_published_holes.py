"""The holes of other central systems that were published in 2026, tried on this one.

CVE-2026-20781 and -26288: chargers are not asked who they are; -20748 and -24912: a second
connection shadows the first; -25114: passwords can be tried without limit; -20733: charger
ids are public; -28230: any charger stops any transaction.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
import websocket

from gway.projects.ocpp.csms.central import CentralSystem
from gway.resolver import Gateway
from gway.web.auth import Visitor
from gway.web.request import Request
from gway.web.routes import Site

from .conftest import Closed, Serve, Server, now

PORTER = '''
"""A user's own plugin: one password opens the door to every charger."""

from gway import hookimpl
from gway.projects.ocpp.facts import Admission, Verdict


@hookimpl
def ocpp_admit(knock):
    if knock.password == b"open sesame":
        return Admission(verdict=Verdict.ACCEPT, authenticated=True)
    return Admission(verdict=Verdict.REJECT, status=401, reason="who are you?")


def setup_app():
    """Set up."""
'''
RIGHT = "open sesame"
TRIES = 10


@pytest.fixture
def guarded(workspace: Path, serve: Serve) -> Server:
    """A server whose owner wrote a plugin that asks chargers for a password."""
    (workspace / "projects/porter.py").write_text(PORTER)
    return serve("porter")


# --- CVE-2026-20781, CVE-2026-26288: no authentication ---


def test_a_charger_without_the_password_gets_a_401_and_no_connection(guarded: Server) -> None:
    for password in (None, "", "open sesame!", "Open Sesame"):
        refusal = guarded.refusal("CP1", password)
        assert refusal.status == 401
        assert refusal.header("WWW-Authenticate").startswith("Basic ")
    assert guarded.api("csms/chargers") == []


def test_a_charger_with_the_password_is_let_in_and_may_only_be_itself(guarded: Server) -> None:
    assert "currentTime" in guarded.charger("CP1", RIGHT).call("Heartbeat")
    (row,) = guarded.api("csms/chargers")
    assert (row["charger_id"], row["connected"]) == ("CP1", True)


# --- CVE-2026-20748, CVE-2026-24912: the second connection shadows the first ---


def test_no_page_is_a_charger_under_a_name_that_its_author_leads_here(server: Server) -> None:
    """A browser on this machine would pass for a charger of this machine."""
    address = server.record["ws_url"]
    port = address.rpartition(":")[2]
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(
            f"{address}/ocpp/csms/CPX",
            subprotocols=["ocpp1.6"],
            host=f"evil.example:{port}",
            origin=f"http://evil.example:{port}",
            header=["User-Agent: Mozilla/5.0 (X11; Linux x86_64) Chrome/130.0 Safari/537.36"],
            timeout=10,
        )
    assert refused.value.status_code == 403
    assert server.api("csms/chargers") == []


def test_nobody_takes_the_place_of_a_charger_that_is_there(server: Server) -> None:
    real = server.charger("CP1")
    assert "currentTime" in real.call("Heartbeat")
    assert server.refusal("CP1").status == 403
    order(server, "CP1")
    assert real.receive()[:3:2] == [2, "ClearCache"]


def test_a_charger_that_proved_who_it_is_replaces_its_old_connection(guarded: Server) -> None:
    old = guarded.charger("CP1", RIGHT)
    new = guarded.charger("CP1", RIGHT)
    with pytest.raises(Closed, match="1008"):
        old.receive()
    order(guarded, "CP1")
    assert new.receive()[:3:2] == [2, "ClearCache"]
    assert "currentTime" in new.call("Heartbeat")


def order(server: Server, charger_id: str) -> None:
    """Send a charger a command, without waiting for its answer."""
    words = {"charger_id": charger_id, "action": "ClearCache", "payload": {}, "wait_s": 0}
    assert server.ask("POST", "/api/ocpp/csms/send", json.dumps(words).encode()).status == 200


# --- CVE-2026-25114: no limit of tries ---


def test_after_ten_wrong_passwords_even_the_right_one_has_to_wait(guarded: Server) -> None:
    for number in range(TRIES):
        assert guarded.refusal("CP1", f"guess {number}").status == 401
    for charger_id in ("CP1", "CP2"):  # the address has to wait, whoever it says it is
        refusal = guarded.refusal(charger_id, RIGHT)
        assert refusal.status == 429
        assert int(refusal.header("Retry-After")) > 0


# --- CVE-2026-20733: ids are public ---


class NobodySignedIn:
    """Accounts of people none of whom asks."""

    def exist(self) -> bool:
        return True

    def visitor(self, request: Request) -> Visitor | None:
        return None


def test_a_stranger_learns_no_charger_id_from_any_address(gw: Gateway) -> None:
    site = gw.service(Site)
    for project in ("ocpp.csms", "ocpp.data", "ocpp.rfid", "ocpp.evcs"):
        gw.load(project)
        site.mount(project)
    gw.serving = True
    gw.service(CentralSystem).register("HIDDEN-1", "Accepted")
    assert b"HIDDEN-1" in ask(site, "GET", "/api/ocpp/csms/chargers")[1]
    site.gate.accounts = NobodySignedIn()
    addresses = {"/", "/metrics", "/openapi.json", "/events?topic=ocpp:HIDDEN-1", "/none"}
    for mount in site.mounts.values():
        for kind, name in mount.handlers:
            address = f"{'' if kind == 'view' else f'/{kind}'}{mount.path}/{name}"
            addresses |= {f"{address}?charger_id=HIDDEN-1", f"{address}.json"}
    assert len(addresses) > 50
    for address in addresses:
        for method in ("GET", "POST", "PUT", "DELETE"):
            status, body = ask(site, method, address)
            assert status == 401, (method, address)
            assert b"HIDDEN-1" not in body
    for address in ("/healthz", "/readyz"):
        assert b"HIDDEN-1" not in ask(site, "GET", address)[1]


def ask(site: Site, method: str, address: str) -> tuple[int, bytes]:
    path, _, query = address.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": "127.0.0.1",
        "wsgi.input": io.BytesIO(),
    }
    statuses: list[str] = []
    body = site.wsgi_app(environ, lambda status, headers: statuses.append(status))
    return int(statuses[0].split()[0]), b"".join(body)


def test_the_door_says_the_same_of_a_charger_that_is_known_and_of_one_that_is_not(
    guarded: Server,
) -> None:
    assert "currentTime" in guarded.charger("KNOWN", RIGHT).call("Heartbeat")
    known, unknown = guarded.refusal("KNOWN"), guarded.refusal("UNKNOWN")
    assert (known.status, known.body) == (unknown.status, unknown.body)


# --- CVE-2026-28230: any charger stops any transaction ---


def test_a_charger_cannot_stop_or_feed_the_transaction_of_another(server: Server) -> None:
    ada, mallory = server.charger("CP1"), server.charger("CP2")
    transaction_id = ada.start(meter_wh=1_000)
    assert mallory.stop(transaction_id, 9_999_999) == {}
    sample = {"timestamp": now(), "sampledValue": [{"value": "9999999"}]}
    words = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [sample]}
    assert mallory.call("MeterValues", words) == {}
    found = server.api("data/transaction", transaction_id=str(transaction_id))
    assert (found["charger_id"], found["state"]) == ("CP1", "open")
    assert ada.stop(transaction_id, 4_500) == {}
    found = server.api("data/transaction", transaction_id=str(transaction_id))
    assert (found["state"], found["energy_wh"], found["meter_stop_wh"]) == ("stopped", 3_500, 4_500)
