"""Chargers that keep their word: a money message is repeated until it is answered.

Each runs in a thread and charges on two connectors at once. What it was told, and
what it said, is kept to be compared with the store.
"""

from __future__ import annotations

import json
import random
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import websocket
from durability_site import Site

ANSWER_TIMEOUT_S = 5.0
GIVE_UP_S = 20.0


@dataclass
class Session:
    """One charging session, as the charger knows it."""

    charger_id: str
    connector_id: int
    id_tag: str
    meter_start_wh: int
    start_time: str
    transaction_id: int = 0
    samples: list[tuple[str, int]] = field(default_factory=list)
    meter_stop_wh: int | None = None

    @property
    def meter_wh(self) -> int:
        return self.samples[-1][1] if self.samples else self.meter_start_wh


class Charger(threading.Thread):
    """Charges, session after session, until told to finish the one it is in.

    :param seed: makes its choices repeatable
    """

    def __init__(self, charger_id: str, site: Site, *, seed: int) -> None:
        super().__init__(name=charger_id, daemon=True)
        self.charger_id = charger_id
        self.site = site
        self.finish = threading.Event()
        self.sessions: list[Session] = []
        self.answered = 0
        self.repeats = 0
        self.last_message_id = ""
        self.refused: list[str] = []
        self.failure: BaseException | None = None
        self._chance = random.Random(seed)
        self._socket: websocket.WebSocket | None = None
        self._time = datetime.now(UTC)
        self._meter_wh = {1: 0, 2: 50_000}

    def __enter__(self) -> Charger:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()

    def run(self) -> None:
        try:
            self.say("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})
            while not self.finish.is_set():
                self.charge_on_both()
        except BaseException as error:  # noqa: BLE001 - told by the test that owns the thread
            self.failure = error
        finally:
            self.hang_up()

    def charge_on_both(self) -> None:
        """Charge on both connectors at the same time, a few samples each."""
        pair = [self.start_session(connector_id) for connector_id in (1, 2)]
        for _ in range(self._chance.randint(2, 6)):
            self.sample(self._chance.choice(pair))
        for session in pair:
            self.stop_session(session)

    def start_session(self, connector_id: int) -> Session:
        session = Session(
            self.charger_id,
            connector_id,
            f"TAG-{self.charger_id}-{connector_id}",
            self._meter_wh[connector_id],
            self._now(),
        )
        self.sessions.append(session)
        answer = self.say(
            "StartTransaction",
            {
                "connectorId": connector_id,
                "idTag": session.id_tag,
                "meterStart": session.meter_start_wh,
                "timestamp": session.start_time,
            },
        )
        session.transaction_id = int(str(answer["transactionId"]))
        return session

    def sample(self, session: Session) -> None:
        moment, energy_wh = self._now(), session.meter_wh + self._chance.randint(1, 500)
        session.samples.append((moment, energy_wh))
        sampled = [{"value": str(energy_wh), "measurand": "Energy.Active.Import.Register"}]
        self.say(
            "MeterValues",
            {
                "connectorId": session.connector_id,
                "transactionId": session.transaction_id,
                "meterValue": [{"timestamp": moment, "sampledValue": sampled}],
            },
        )

    def stop_session(self, session: Session) -> None:
        meter_stop_wh = session.meter_wh + self._chance.randint(0, 100)
        self.say(
            "StopTransaction",
            {
                "transactionId": session.transaction_id,
                "idTag": session.id_tag,
                "meterStop": meter_stop_wh,
                "timestamp": self._now(),
                "reason": "Local",
            },
        )
        session.meter_stop_wh = meter_stop_wh
        self._meter_wh[session.connector_id] = meter_stop_wh

    def say(self, action: str, payload: dict[str, object]) -> dict[str, object]:
        """Send a call until it is answered, under the same id or a new one."""
        message_id = uuid.uuid4().hex
        deadline = time.monotonic() + GIVE_UP_S
        while time.monotonic() < deadline:
            try:
                connection = self._connection()
                connection.send(json.dumps([2, message_id, action, payload]))
                answer = self._answer_to(connection, message_id)
            except (websocket.WebSocketException, OSError):
                self.repeats += 1
                self.hang_up()
                if self._chance.random() < 0.5:
                    message_id = uuid.uuid4().hex
                continue
            if answer[0] != 3:
                self.refused.append(f"{action}: {answer}")
                raise AssertionError(f"{self.charger_id}: {action} was answered {answer}")
            self.answered += 1
            self.last_message_id = message_id
            return dict(answer[2])
        raise AssertionError(f"{self.charger_id}: {action} was not answered in {GIVE_UP_S} s")

    def _answer_to(self, connection: websocket.WebSocket, message_id: str) -> list:
        while True:
            message = json.loads(connection.recv())
            if message[0] != 2 and message[1] == message_id:
                return message
            if message[0] == 2:
                connection.send(json.dumps([4, message[1], "NotSupported", "", {}]))

    def _connection(self) -> websocket.WebSocket:
        if self._socket is None:
            if not self.site.up.wait(ANSWER_TIMEOUT_S):
                raise TimeoutError("the server is down")
            self._socket = websocket.create_connection(
                self.site.url(self.charger_id),
                subprotocols=["ocpp1.6"],
                timeout=ANSWER_TIMEOUT_S,
                suppress_origin=True,
            )
        return self._socket

    def hang_up(self) -> None:
        """Drop the connection, if there is one."""
        connection, self._socket = self._socket, None
        if connection is not None:
            connection.shutdown()

    def _now(self) -> str:
        """Give the time, a millisecond later than last time at least."""
        self._time = max(datetime.now(UTC), self._time + timedelta(milliseconds=1))
        return self._time.isoformat(timespec="milliseconds").replace("+00:00", "Z")
