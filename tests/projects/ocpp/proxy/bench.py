"""One outlet on a bench: a clock, a store and a driver that write down what they are asked."""

from __future__ import annotations

from random import Random
from typing import Any

import msgspec

from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.outlet import Outlet
from gway.projects.ocpp.proxy.ports import CommandAnswer, LinkState, Options
from tests.projects.ocpp.proxy.world import Disk, FakeClock, MemoryStore

BOOT = b'{"chargePointVendor":"V","chargePointModel":"M"}'
_decode = msgspec.json.decode
_encode = msgspec.json.encode


class Bench:
    """Drives one outlet by hand.

    :param commits: let every commit through at once
    """

    def __init__(
        self,
        options: Options | None = None,
        *,
        charger_id: str = "CP1",
        store: Any = None,
        clock: FakeClock | None = None,
        governor: Governor | None = None,
        commits: bool = True,
        online: bool = True,
    ) -> None:
        self.charger_id = charger_id
        self.clock = clock or FakeClock()
        self.disk = Disk() if store is None else store.disk
        self.store = MemoryStore(self.disk) if store is None else store
        self.governor = governor or Governor()
        self.options = options or Options()
        self.commits = commits
        self.sent: list[tuple[int, bytes]] = []
        self.opened: list[float] = []
        self.opening = 0
        self.closed: list[tuple[int, str]] = []
        self.commands: list[tuple[int, str, Any]] = []
        self.dropped: list[str] = []
        self.alarm: float | None = None
        self.sequence = 0
        self.start_process(online=online)

    def start_process(self, *, online: bool = True) -> None:
        """Begin like a process that has just started, also after a kill."""
        self.alarm = None
        self.outlet = Outlet(
            self.charger_id,
            store=self.store,
            driver=self,
            clock=self.clock,
            governor=self.governor,
            options=self.options,
            chance=Random(1),
        )
        if (self.charger_id, "Boot") not in self.store.newest_of:
            self.store.put_latest(self.charger_id, "Boot", "BootNotification", BOOT)
        self.outlet.begin()
        if online:
            self.outlet.charger_online()
        self.flush()

    def kill(self) -> None:
        """End the process as kill -9 does, and start it again."""
        self.disk.kill()
        self.start_process()

    def flush(self) -> None:
        while self.commits and self.disk.waiting:
            self.disk.commit()

    # --- Driver ---

    def connect(self, charger_id: str, connection: int) -> None:
        self.opening = connection
        self.opened.append(self.clock.now)

    def send(self, charger_id: str, connection: int, text: bytes) -> None:
        self.sent.append((connection, text))

    def close(self, charger_id: str, connection: int, why: str) -> None:
        self.closed.append((connection, why))

    def wake(self, charger_id: str, at: float) -> None:
        self.alarm = at

    def command(self, charger_id: str, token: int, action: str, payload: bytes) -> None:
        self.commands.append((token, action, _decode(payload)))

    def drop_charger(self, charger_id: str, why: str) -> None:
        self.dropped.append(why)

    # --- what happens ---

    def open(self) -> Bench:
        """Let the connection be opened; waits for the moment if need be."""
        if not self.outlet.connection:
            self.reach(1_000, lambda: self.outlet.connection)
        self.outlet.connected(self.outlet.connection)
        self.flush()
        return self

    def boot(self) -> Bench:
        """Open, and have the Boot accepted if one is sent."""
        self.open()
        if self.outlet.state is LinkState.BOOTING:
            self.answer(status="Accepted", interval=300, currentTime="2027-01-01T00:00:00Z")
        return self

    def cut(self) -> None:
        self.outlet.lost(self.outlet.connection, "cut")
        self.flush()

    def receive(self, frame: list[Any], connection: int | None = None) -> None:
        number = self.outlet.connection if connection is None else connection
        self.outlet.received(number, _encode(frame))
        self.flush()

    def answer(self, **payload: Any) -> None:
        """Answer the last CALL that was sent."""
        self.receive([3, self.last[1], payload])

    def error(self, code: str) -> None:
        self.receive([4, self.last[1], code, "", {}])

    def pass_time(self, seconds: float) -> None:
        """Let time go by; alarms ring on the way."""
        until = self.clock.now + max(0.0, seconds)
        while self.alarm is not None and self.alarm <= until:
            self.clock.now = max(self.clock.now, self.alarm)
            self.alarm = None
            self.outlet.tick()
            self.flush()
        self.clock.now = max(self.clock.now, until)

    def reach(self, seconds: float, done: Any) -> bool:
        """Let time go by until something is so; tells whether it came in time."""
        until = self.clock.now + seconds
        while not done() and self.alarm is not None and self.alarm <= until:
            self.pass_time(self.alarm - self.clock.now)
        return bool(done())

    # --- what a charger tells ---

    def put(self, local_tx: int | None, action: str, **payload: Any) -> None:
        self.store.put(self.charger_id, local_tx, action, _encode(payload))
        self.outlet.look()
        self.flush()

    def put_start(self, local_tx: int, **more: Any) -> None:
        words = {"connectorId": 1, "idTag": "TAG", "meterStart": local_tx, "timestamp": "T1"}
        self.put(local_tx, "StartTransaction", **{**words, **more})

    def put_meter(self, local_tx: int, value: int = 1) -> None:
        sample = [{"timestamp": f"T{value}", "sampledValue": [{"value": str(value)}]}]
        self.put(local_tx, "MeterValues", connectorId=1, transactionId=local_tx, meterValue=sample)

    def put_stop(self, local_tx: int, **more: Any) -> None:
        words = {"transactionId": local_tx, "meterStop": 9_000, "timestamp": "T9"}
        self.put(local_tx, "StopTransaction", **{**words, **more})

    def status(self, status: str) -> None:
        payload = _encode({"connectorId": 1, "errorCode": "NoError", "status": status})
        self.store.put_latest(self.charger_id, "Status/1", "StatusNotification", payload)
        self.outlet.look()
        self.flush()

    # --- what was seen ---

    @property
    def last(self) -> list[Any]:
        """The last frame that was sent."""
        return list(_decode(self.sent[-1][1]))

    @property
    def calls(self) -> list[tuple[str, dict[str, Any]]]:
        """The CALLs that were sent, the Boot left out."""
        frames = [_decode(text) for _, text in self.sent]
        return [(f[2], f[3]) for f in frames if f[0] == 2 and f[2] != "BootNotification"]

    @property
    def actions(self) -> list[str]:
        return [_decode(text)[2] for _, text in self.sent if text.startswith(b"[2,")]

    def ask(self, action: str, message_id: str = "r1", **payload: Any) -> list[Any]:
        """Be the remote that commands; give what was sent last."""
        self.receive([2, message_id, action, payload])
        return self.last

    def charger_answers(self, payload: bytes = b'{"status":"Accepted"}') -> None:
        self.outlet.command_answered(self.commands[-1][0], CommandAnswer(payload))
        self.flush()
