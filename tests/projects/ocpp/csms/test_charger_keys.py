"""Passwords of chargers at the real door: over sockets, before the upgrade."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest
import websocket
from websocket import WebSocketBadStatusException

from gway.projects.ocpp.csms.admission import FAILURES_PER_MINUTE

Run = Callable[..., Any]
Connect = Callable[[str, str | None], websocket.WebSocket]
HEX = "0001020304050607ffffffffffffffffffffffff"
VECTOR = "Basic QUwxMDAwOgABAgMEBQYH////////////////"  # of the security whitepaper
DEADLINE_S = 15


def basic(charger_id: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{charger_id}:{password}".encode()).decode()


def opened(csms: Any, charger_id: str, authorization: str | None) -> websocket.WebSocket:
    header = [] if authorization is None else [f"Authorization: {authorization}"]
    url = csms.charger_url(charger_id)
    return websocket.create_connection(
        url, subprotocols=["ocpp1.6"], header=header, timeout=DEADLINE_S
    )


@pytest.fixture
def connect(csms: Any) -> Iterator[Connect]:
    """Connect a charger until the end of the test."""
    with ExitStack() as lines:

        def open_line(charger_id: str, authorization: str | None) -> websocket.WebSocket:
            line = opened(csms, charger_id, authorization)
            lines.callback(line.shutdown)  # which also ends one that the server has closed
            return line

        yield open_line


def refusal(csms: Any, charger_id: str, authorization: str | None) -> tuple[int, dict[str, str]]:
    """Give status and headers of a handshake that has to be refused."""
    with pytest.raises(WebSocketBadStatusException) as refused:
        opened(csms, charger_id, authorization)
    return refused.value.status_code, refused.value.resp_headers or {}


def boots(line: websocket.WebSocket) -> str:
    words = {"chargePointVendor": "Acme", "chargePointModel": "One"}
    line.send(json.dumps([2, "boot", "BootNotification", words]))
    return str(json.loads(line.recv())[2]["status"])


@pytest.fixture
def csms(csms: Any, run: Run) -> Any:
    """A server that knows the key of AL1000."""
    assert run("ocpp.keys", "set-key", "AL1000", stdin=HEX).code == 0
    return csms


def test_the_right_password_connects_as_bytes_and_as_hex(csms: Any, connect: Connect) -> None:
    for authorization in (VECTOR, basic("AL1000", HEX)):
        line = connect("AL1000", authorization)
        assert boots(line) == "Accepted"
        line.close()


def test_without_the_right_password_there_is_no_upgrade(csms: Any) -> None:
    for authorization in (None, basic("AL1000", "wrong"), basic("OTHER", HEX), "Bearer x"):
        status, headers = refusal(csms, "AL1000", authorization)
        assert status == 401
        assert headers["www-authenticate"].startswith("Basic ")
    assert [row["charger_id"] for row in csms.api("csms/chargers")] == []
    assert HEX not in csms.output()


def test_a_key_set_in_another_process_counts_from_the_next_connection(
    csms: Any, connect: Connect, run: Run
) -> None:
    old = connect("AL1000", VECTOR)
    assert run("ocpp.keys", "set-key", "AL1000", stdin="another-key-of-AL1000").code == 0
    assert refusal(csms, "AL1000", VECTOR)[0] == 401
    assert boots(old) == "Accepted"
    connect("AL1000", basic("AL1000", "another-key-of-AL1000")).close()


def test_failed_passwords_count_towards_the_limit_of_a_minute(csms: Any) -> None:
    wrong = basic("AL1000", "wrong")
    told = [refusal(csms, "AL1000", wrong)[0] for _ in range(FAILURES_PER_MINUTE + 1)]
    assert told == [401] * FAILURES_PER_MINUTE + [429]
    assert refusal(csms, "AL1000", VECTOR)[0] == 429
    assert refusal(csms, "OTHER", basic("OTHER", HEX))[0] == 429  # the address counts, too


def test_passwords_tried_all_at_once_get_no_more_answers_than_one_by_one(csms: Any) -> None:
    def guess(number: int) -> int:
        return refusal(csms, "AL1000", basic("AL1000", f"wrong-{number}"))[0]

    with ThreadPoolExecutor(40) as guesses:
        told = list(guesses.map(guess, range(40)))
    assert sorted(set(told)) == [401, 429]
    assert told.count(401) == FAILURES_PER_MINUTE


def test_an_authenticated_newcomer_replaces_at_once_and_no_other_does(
    csms: Any, connect: Connect
) -> None:
    old = connect("AL1000", VECTOR)
    assert boots(old) == "Accepted"
    old.settimeout(0.2)
    assert refusal(csms, "AL1000", None)[0] == 401
    began = time.monotonic()
    new = connect("AL1000", VECTOR)
    assert time.monotonic() - began < 4  # a probe of the old one, which reads nothing, takes 5 s
    assert boots(new) == "Accepted"
    old.settimeout(DEADLINE_S)
    code, data = old.recv_data()
    assert (code, int.from_bytes(data[:2])) == (websocket.ABNF.OPCODE_CLOSE, 1008)


def test_a_connected_charger_takes_another_key(csms: Any, connect: Connect, run: Run) -> None:
    csms.stop()
    csms.start("-", "web", "app", "setup-app", "ocpp.keys")
    line = connect("AL1000", VECTOR)
    boots(line)
    given: list[str] = []

    def obey() -> None:
        _, message_id, action, payload = json.loads(line.recv())
        assert (action, payload["key"]) == ("ChangeConfiguration", "AuthorizationKey")
        given.append(payload["value"])
        line.send(json.dumps([3, message_id, {"status": "Accepted"}]))

    with ThreadPoolExecutor(1) as charger:
        obeyed = charger.submit(obey)
        done = run("ocpp.keys", "change-key", "AL1000", "--json")
        assert done.code == 0, done.stderr
        obeyed.result(DEADLINE_S)
    assert json.loads(done.stdout) == {"charger_id": "AL1000", "key": "changed"}
    assert refusal(csms, "AL1000", VECTOR)[0] == 401
    connect("AL1000", basic("AL1000", given[0])).close()
    (shown,) = csms.api("csms/commands", charger_id="AL1000")
    assert given[0] not in json.dumps(shown)


def test_required_keys_turn_away_who_has_none(csms: Any, connect: Connect) -> None:
    connect("CPX", None).close()
    csms.stop()
    csms.start("--require-keys", "-", "web", "app", "setup-app", "ocpp.keys")
    assert refusal(csms, "CPX", None)[0] == 401
    assert refusal(csms, "CPX", basic("CPX", HEX))[0] == 401
    connect("AL1000", VECTOR).close()
    answer = csms.api("keys/set-key", {"charger_id": "CPX", "key": HEX})
    assert answer == {"charger_id": "CPX", "key": "set"}
    connect("CPX", basic("CPX", HEX)).close()
