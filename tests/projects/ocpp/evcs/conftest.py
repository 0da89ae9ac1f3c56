"""A charge point in virtual time, in front of a central system made of a table."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from importlib import resources
from typing import Any

import jsonschema
import pytest

from gway.projects.ocpp.evcs.chargepoint import Actions, ChargePoint, Need
from gway.projects.ocpp.evcs.driver import Driver
from gway.projects.ocpp.evcs.registration import Identity

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
Json = dict[str, Any]


@cache
def schema(name: str) -> jsonschema.Draft4Validator:
    """The JSON schema of a message, from a package that is not ours."""
    text = (resources.files("ocpp.v16") / "schemas" / f"{name}.json").read_text("utf-8-sig")
    # Decimal, or 0.1 would not divide 0.3.
    return jsonschema.Draft4Validator(json.loads(text, parse_float=Decimal))


def valid(name: str, frame_text: str, index: int) -> Json:
    payload: Json = json.loads(frame_text, parse_float=Decimal)[index]
    schema(name).validate(payload)
    return payload


@dataclass
class World:
    """Time, a link, and a central system that answers from `answers`.

    An answer is a payload, a function of the request, or None for silence; a
    string is a CALLERROR code.
    """

    point: ChargePoint
    driver: Driver | None = None
    now: datetime = START
    wake_at: datetime | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    sent: list[tuple[datetime, str, Json]] = field(default_factory=list)
    results: dict[str, list[Any]] = field(default_factory=dict)
    hang_ups: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    waiting: list[tuple[str, str, Json]] = field(default_factory=list)
    silent: bool = False
    ids: Any = field(default_factory=lambda: itertools.count(1))
    transactions: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        accepted = {"idTagInfo": {"status": "Accepted"}}
        self.answers = {
            "BootNotification": lambda _: {
                "status": "Accepted",
                "currentTime": self.now.isoformat(),
                "interval": 300,
            },
            "Heartbeat": lambda _: {"currentTime": self.now.isoformat()},
            "Authorize": accepted,
            "StartTransaction": lambda _: {**accepted, "transactionId": next(self.transactions)},
            **self.answers,
        }

    # --- time -------------------------------------------------------------------

    def run(self, seconds: float, until: Callable[[], object] | None = None) -> World:
        """Let time pass, or stop early when a condition holds."""
        end = self.now + timedelta(seconds=seconds)
        turns = 0
        while not (until is not None and until()):
            if self.wake_at is None or self.wake_at > end:
                self.now = end
                self.do(self.point.tick(self.now))
                break
            turns = turns + 1 if self.wake_at <= self.now else 0
            assert turns < 100, "time stands still"
            self.now = max(self.now, self.wake_at)
            self.do(self.point.tick(self.now))
        if until is not None:
            assert until(), f"not within {seconds} s"
        return self

    # --- link -------------------------------------------------------------------

    def connect(self) -> World:
        self.do(self.point.connected(self.now))
        return self

    def cut(self) -> World:
        self.waiting.clear()
        self.do(self.point.disconnected(self.now))
        return self

    def do(self, actions: Actions) -> None:
        self.wake_at = actions.wake_at
        self.notes += actions.notes
        for frame in actions.frames:
            self._take(frame.decode())
        if actions.hang_up_s is not None:
            self.hang_ups.append(actions.hang_up_s)
            self.waiting.clear()
        while self.waiting and not self.silent:
            self._reply(*self.waiting.pop(0))

    def _take(self, text: str) -> None:
        kind, message_id, *rest = json.loads(text)
        if kind == 2:
            payload = valid(rest[0], text, 3)
            self.sent.append((self.now, rest[0], payload))
            self.waiting.append((message_id, rest[0], payload))
        else:
            self.results.setdefault(message_id, []).append([kind, *rest])
            if kind == 3 and "/" in message_id:
                valid(message_id.split("/")[0] + "Response", text, 2)

    def _reply(self, message_id: str, action: str, request: Json) -> None:
        answer = self.answers.get(action, {})
        if callable(answer):
            answer = answer(request)
        if isinstance(answer, str):
            self.do(self.point.received(json.dumps([4, message_id, answer, "", {}]), self.now))
        elif answer is not None:
            self.do(self.point.received(json.dumps([3, message_id, answer]), self.now))

    def resume(self) -> None:
        """Answer what was left unanswered while `silent`."""
        self.silent = False
        while self.waiting:
            self._reply(*self.waiting.pop(0))

    # --- asking -----------------------------------------------------------------

    def command(self, action: str, payload: Json | None = None) -> Any:
        """Send a CALL and give the payload, or the code of the CALLERROR."""
        message_id = f"{action}/{next(self.ids)}"[-36:]
        text = json.dumps([2, message_id, action, payload or {}])
        self.do(self.point.received(text, self.now))
        (answer,) = self.results[message_id]
        return answer[1]

    def plug(self, connector_id: int = 1) -> World:
        self.do(self.point.plug(connector_id, self.now))
        return self

    def unplug(self, connector_id: int = 1) -> World:
        self.do(self.point.unplug(connector_id, self.now))
        return self

    def tag(self, id_tag: str = "TAG", connector_id: int = 1) -> World:
        self.do(self.point.present(connector_id, id_tag, self.now))
        return self

    # --- looking ----------------------------------------------------------------

    def of(self, *actions: str) -> list[Json]:
        """The payloads sent for these actions, in order."""
        return [payload for _, action, payload in self.sent if action in actions]

    def actions(self) -> list[str]:
        return [action for _, action, _ in self.sent]

    def statuses(self, connector_id: int = 1) -> list[str]:
        told = self.of("StatusNotification")
        return [one["status"] for one in told if one["connectorId"] == connector_id]

    def forget(self) -> World:
        """Look only at what is sent from now on."""
        self.sent.clear()
        return self


Make = Callable[..., World]


@pytest.fixture
def world() -> Make:
    """Make a charge point; `repeat` adds a driver who makes so many sessions."""

    def make(
        *,
        repeat: int | None = 0,
        connectors: int = 1,
        duration_s: float = 60,
        interval_s: int = 10,
        kwh: tuple[float, float] = (30, 60),
        answers: Json | None = None,
        connect: bool = True,
        seed: int = 1,
        **options: Any,
    ) -> World:
        driver = Driver("DRIVER", repeat=repeat) if repeat != 0 else None
        ids = (f"m{number}" for number in itertools.count(1))
        point = ChargePoint(
            Identity("CPX"),
            Need(kwh[0], kwh[1], duration_s, interval_s),
            connectors=connectors,
            rng=random.Random(seed),
            new_id=lambda: next(ids),
            person=driver,
            **options,
        )
        made = World(point, driver, answers=answers or {})
        return made.connect() if connect else made

    return make
