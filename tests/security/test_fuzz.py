"""Nonsense over real sockets: every CALL is answered once, and nothing falls over."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import urlencode

import pytest

from .conftest import Server
from .nonsense import answered_id, frame

FRAMES = 400


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_a_charger_sends_every_call_is_answered_once_and_the_line_stays(
    server: Server, seed: int
) -> None:
    random = Random(seed)
    charger = server.charger(f"CP{seed}")
    due: Counter[str] = Counter()
    perhaps: set[str] = set()
    heard: Counter[str] = Counter()
    kinds: Counter[int] = Counter()
    for number in range(FRAMES):
        text, check = frame(random, f"m{number}"), f"check-{number}"
        charger.send(text)
        charger.send(json.dumps([2, check, "Heartbeat", {}]))
        wanted = [check]
        try:
            wanted += [one for one in [answered_id(text)] if one is not None]
        except ValueError:
            perhaps.add(f"m{number}")
        due.update(wanted)
        while any(heard[one] < due[one] for one in wanted):
            answer = charger.receive()
            heard[answer[1]] += 1
            kinds[answer[0]] += 1
            assert answer[2] != "InternalError", text[:500]
    assert {one: count for one, count in heard.items() if one not in perhaps} == due
    assert all(heard[one] <= 1 for one in perhaps - due.keys())
    assert kinds[3] - FRAMES > FRAMES / 10
    assert kinds[4] > FRAMES / 10
    assert server.alive()
    assert "Traceback" not in server.logs
    assert " ERROR " not in server.logs


SENSIBLE: dict[str, Any] = {
    "charger_id": "CP1",
    "action": "ClearCache",
    "id_tag": "ADA",
    "transaction_id": 1,
    "wait_s": 0,  # no charger here answers a command
}
ODD_VALUES: list[Any] = [
    *(None, True, -1, 0, 1.5, 2**31, 2**63, 10**400, [], ["a"], [[]], {}, {"a": 1}),
    *("", "CP1", "[HOME]", "../../etc/passwd", "%2e%2e", "\0", "x" * 50_000, "é\u202e", "<b>"),
    *("nan", "-inf", "1e400", "9999-12-31", "0001-01-01T00:00:00+14:00", "\ud800", "=1+1"),
]
BODIES = [b"[]", b"null", b"1", b"{", b"\xff", b"{}{}", b"[" * 100_000, b'{"a":' * 50_000]


def test_no_value_makes_an_api_function_fail(server: Server) -> None:
    """Some of it succeeds, most is refused; a 500 is a mistake of ours."""
    server.charger("CP1").start()
    statuses: Counter[int] = Counter()
    operations = [
        (method.upper(), path, parameters(operation))
        for path, offered in server.ask("GET", "/openapi.json").json["paths"].items()
        for method, operation in offered.items()
    ]
    assert len(operations) > 20
    for method, path, names in operations:
        for query, body in attempts(method, names):
            answer = server.ask(method, f"{path}?{query}", body)
            statuses[answer.status] += 1
            assert answer.status < 500, (method, path, query[:200], (body or b"")[:200])
    assert statuses[200] > 20
    assert statuses[400] > 100
    assert "Traceback" not in server.logs


def attempts(method: str, names: list[str]) -> Iterator[tuple[str, bytes | None]]:
    """Give queries and bodies: each parameter with each odd value, the others as they should be."""
    sensible = {name: SENSIBLE[name] for name in names if name in SENSIBLE}
    for name in names:
        for odd in ODD_VALUES if name != "wait_s" else ():
            values = sensible | {name: odd}
            if method in ("GET", "DELETE"):
                texts = {key: str(value)[:2_000] for key, value in values.items()}
                yield urlencode(texts, errors="replace"), None
            else:
                yield "", json.dumps(values).encode()
    yield from () if method in ("GET", "DELETE") else (("", body) for body in BODIES)


def parameters(operation: dict[str, Any]) -> list[str]:
    """Give the names of what a function takes, by its description."""
    named = [one["name"] for one in operation.get("parameters", [])]
    if "requestBody" in operation:
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        named += schema.get("properties", {})
    return named
