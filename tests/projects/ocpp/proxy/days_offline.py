"""A hundred chargers queue 100,000 messages, then the remote is back: prints what it cost.

Run as `python -m tests.projects.ocpp.proxy.days_offline FOLDER`; a process of its own,
because the memory of the whole process is measured.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from pathlib import Path
from random import Random

import msgspec

from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.outlet import Outlet
from gway.projects.ocpp.proxy.ports import Options
from gway.projects.ocpp.proxy.store import Store, open_store
from gway.projects.sql.database import Database
from tests.projects.ocpp.proxy.world import EPOCH, FakeClock

CHARGERS = [f"CP{number:03d}" for number in range(100)]
MESSAGES = 100_000
DRAINED = 4_000
SAMPLED = [
    {"value": "123456", "unit": "Wh", "measurand": "Energy.Active.Import.Register"},
    {"value": "11040.5", "unit": "W", "measurand": "Power.Active.Import"},
    {"value": "16.1", "unit": "A", "measurand": "Current.Import", "phase": "L1"},
    {"value": "16.0", "unit": "A", "measurand": "Current.Import", "phase": "L2"},
    {"value": "15.9", "unit": "A", "measurand": "Current.Import", "phase": "L3"},
    {"value": "57", "unit": "Percent", "measurand": "SoC"},
]


class Remote:
    """A driver whose remote answers everything at once, when it is there."""

    def __init__(self) -> None:
        self.outlets: dict[str, Outlet] = {}
        self.calls: list[tuple[str, int, bytes]] = []
        self.dialled: list[tuple[str, int]] = []
        self.answered = 0

    def connect(self, charger_id: str, connection: int) -> None:
        self.dialled.append((charger_id, connection))

    def send(self, charger_id: str, connection: int, text: bytes) -> None:
        self.calls.append((charger_id, connection, text))

    def close(self, charger_id: str, connection: int, why: str) -> None:
        raise AssertionError(why)

    def wake(self, charger_id: str, at: float) -> None:
        """All are ticked anyway."""

    def command(self, charger_id: str, token: int, action: str, payload: bytes) -> None:
        raise AssertionError(action)

    def drop_charger(self, charger_id: str, why: str) -> None:
        raise AssertionError(why)

    def refuse_all(self) -> None:
        dialled, self.dialled = self.dialled, []
        for charger_id, connection in dialled:
            self.outlets[charger_id].refused(connection, 0, "away")

    def open_all(self) -> None:
        dialled, self.dialled = self.dialled, []
        for charger_id, connection in dialled:
            self.outlets[charger_id].connected(connection)

    def answer_all(self) -> None:
        calls, self.calls = self.calls, []
        for charger_id, connection, text in calls:
            _, message_id, action, _ = msgspec.json.decode(text)
            conf: dict[str, object] = {}
            if action == "BootNotification":
                conf = {"status": "Accepted", "interval": 300}
            elif action == "StartTransaction":
                conf = {"transactionId": self.answered + 1}
            self.answered += action != "BootNotification"
            answer = msgspec.json.encode([3, message_id, conf])
            self.outlets[charger_id].received(connection, answer)


def queue(store: Store, first: int, count: int) -> None:
    """Put messages of running transactions, five hundred to a commit."""
    for begin in range(first, first + count, 500):
        unit = store.database.unit()
        for number in range(begin, min(begin + 500, first + count)):
            charger = CHARGERS[number % len(CHARGERS)]
            value = [{"timestamp": f"2027-01-01T{number}", "sampledValue": SAMPLED}]
            payload = {"connectorId": 1, "transactionId": 1, "meterValue": value}
            action = "MeterValues" if number >= len(CHARGERS) else "StartTransaction"
            store.put(unit, charger, 1, action, msgspec.json.encode(payload), EPOCH)
        store.database.wait_for(unit)


def rss() -> int:
    """Give the memory of this process in bytes."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(folder: Path) -> dict[str, float]:
    """Queue, look, drain; give sizes in bytes and times in seconds."""
    path = folder / "ocpp.sqlite"
    database = Database(path)
    store = open_store(database, "ws://remote.example/ocpp")
    clock, remote, governor = FakeClock(), Remote(), Governor()
    for charger_id in CHARGERS:
        unit = database.unit()
        store.put_latest(unit, charger_id, "Boot", "BootNotification", b'{"chargePointVendor":"V"}')
        database.wait_for(unit)
        outlet = remote.outlets[charger_id] = Outlet(
            charger_id,
            store=store,
            driver=remote,
            clock=clock,
            governor=governor,
            options=Options(),
            chance=Random(1),
        )
        outlet.begin()
        outlet.charger_online()
        remote.refuse_all()
    queue(store, 0, 1_000)  # warm: statements, caches
    empty = time.perf_counter()
    queue(store, 1_000, 1_000)
    empty = (time.perf_counter() - empty) / 1_000
    before, size = rss(), path.stat().st_size
    queue(store, 2_000, MESSAGES - 2_000)
    for outlet in remote.outlets.values():
        outlet.look()
    offline = rss()
    files = sum(each.stat().st_size for each in folder.iterdir())
    live = time.perf_counter()
    queue(store, MESSAGES, 2_000)
    live = (time.perf_counter() - live) / 2_000
    most, answered, began, spent = offline, remote.answered, clock.now, time.process_time()
    while remote.answered - answered < DRAINED:
        clock.now += 0.005
        for outlet in remote.outlets.values():
            outlet.tick()
        remote.open_all()
        remote.answer_all()
        if remote.answered % 500 == 0:
            most = max(most, rss())
    spent = time.process_time() - spent
    figures = {
        "offline_rss": offline - before,
        "draining_rss": max(most, rss()) - before,
        "disk": files - size,
        "seconds_of_cpu_per_message": spent / DRAINED,
        "seconds_per_message_with_a_queue": live,
        "seconds_per_message_without": empty,
        "messages_per_second": DRAINED / (clock.now - began),
    }
    database.close()
    return figures


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
