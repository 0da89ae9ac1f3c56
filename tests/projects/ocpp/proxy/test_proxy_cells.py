"""Three messages, five moments, three faults: whatever breaks when, the remote has it once.

Each cell lets a session go as far as one message, breaks something at one moment of its
way to the remote, and then lets the session end. Nothing in the processes under test
knows of this: the moments are found by the frames between them and by a lock on the
local database.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from tests.fault_proxy import Held
from tests.projects.ocpp.proxy.conftest import Charger, Pair, Server, samples

pytestmark = pytest.mark.flag("proxy")

MESSAGES = ("StartTransaction", "MeterValues", "StopTransaction")
MOMENTS = ("before send", "sent", "remote committed", "answer read", "map committed")
FAULTS = ("cut", "kill local", "kill remote")
NUMBERS = itertools.count(1)


class Cell:
    """A session of a charger of its own, with words that no other has."""

    def __init__(self, sites: Pair, eventually: Any) -> None:
        self.sites = sites
        self.eventually = eventually
        number = next(NUMBERS)
        self.charger: Charger = sites.charger(f"CELL{number}")
        self.times = [f"2026-03-{day:02}T{number % 24:02}:{number:02}:00Z" for day in (1, 2, 3)]
        self.started = 0
        self.charger.boot()
        eventually(lambda: sites.row(self.charger.charger_id).get("link") == "online", 15)

    def say(self, action: str) -> None:
        """Say what the charger says next."""
        if action == "StartTransaction":
            self.started = self.charger.start(1_000, self.times[0])
        elif action == "MeterValues":
            self.charger.values(self.started, 2_500, at=self.times[1])
        else:
            self.charger.stop(self.started, 4_000, self.times[2])

    def is_told(self) -> bool:
        return self.sites.row(self.charger.charger_id).get("pending", 0) == 0

    def waits(self) -> bool:
        return self.sites.row(self.charger.charger_id)["pending"] == 1

    def hold_call(self, action: str) -> Held:
        """Keep the message back on its way to the remote."""
        at = self.times[MESSAGES.index(action)]
        return self.sites.between.hold(lambda way, text: way == "up" and at in text)

    def hold_answer(self, call: Held) -> Held:
        """Keep the remote's answer back: it is given when the remote has committed."""
        message_id = json.loads(call.wait())[1]
        start = f'[3,"{message_id}"'
        held = self.sites.between.hold(lambda way, text: way == "down" and text.startswith(start))
        call.let_go()
        held.wait()
        return held


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("action", MESSAGES)
def test_a_session_arrives_once_whatever_breaks(
    shared_pair: Pair, eventually: Any, action: str, moment: str, fault: str
) -> None:
    cell = Cell(shared_pair, eventually)
    before = MESSAGES[: MESSAGES.index(action)]
    for each in before:
        cell.say(each)
    eventually(cell.is_told, 15)
    try:
        break_at(cell, action, moment, fault)
    finally:
        recover(shared_pair)
    for each in MESSAGES[MESSAGES.index(action) + 1 :]:
        cell.say(each)
    shared_pair.sync()
    eventually(cell.is_told, 30)
    check(shared_pair, cell)
    cell.charger.leave()


def break_at(cell: Cell, action: str, moment: str, fault: str) -> None:
    """Let the message go as far as the moment, then break something."""
    if moment == "before send":
        cell.sites.between.partition()
        cell.say(action)
        cell.eventually(cell.waits)
        do(cell.sites, fault)
        return
    if moment == "map committed":
        cell.say(action)
        cell.eventually(cell.is_told, 15)
        do(cell.sites, fault)
        return
    call = cell.hold_call(action)
    cell.say(action)
    call.wait()
    if moment == "sent":
        do(cell.sites, fault)
        return
    answer = cell.hold_answer(call)
    if moment == "remote committed":
        do(cell.sites, fault)
        return
    with locked(cell.sites.local):
        answer.let_go()
        assert answer.pipe is not None
        answer.pipe.ping_client()
        do(cell.sites, fault)


def do(sites: Pair, fault: str) -> None:
    """Break something."""
    if fault == "cut":
        sites.between.cut()
    elif fault == "kill local":
        sites.local.kill()
    else:
        sites.remote.kill()
        sites.between.cut()  # what the dead one's kernel says, past frames that are held


def recover(sites: Pair) -> None:
    """Start again what was killed."""
    for server, start in ((sites.local, sites.local.start), (sites.remote, sites.restart_remote)):
        if server.process is not None and server.process.poll() is not None:
            start()
    sites.between.heal()


@contextmanager
def locked(server: Server) -> Iterator[None]:
    """Let a site commit nothing for a moment."""
    connection = sqlite3.connect(server.database, timeout=10, isolation_level=None)
    with closing(connection):
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        finally:
            connection.execute("ROLLBACK")


def check(sites: Pair, cell: Cell) -> None:
    """Compare both databases: one transaction, the same words, samples and energy."""
    sides = []
    for server in (sites.local, sites.remote):
        sql = "SELECT * FROM transactions WHERE charger_id = ?"
        rows = server.rows(sql, cell.charger.charger_id)
        assert len(rows) == 1, f"{server.site}: {rows}"
        row = rows[0]
        words = ("id_tag", "meter_start_wh", "start_time_raw", "meter_stop_wh", "stop_time_raw")
        sides.append(
            [row["state"], row["energy_wh"], *(row[one] for one in words), samples(server, row)]
        )
        assert len(samples(server, row)) == 1
        ids = row["transaction_id"]
    assert sides[0] == sides[1]
    assert sides[0][:2] == ["stopped", 3_000]
    sql = "SELECT remote_tx FROM txmap WHERE charger_id = ?"
    assert sites.local.rows(sql, cell.charger.charger_id) == [{"remote_tx": ids}]
