"""What is noted of chargers reaches the disk late, and costs little."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import gevent
import pytest

from gway.projects.ocpp.data import schema
from gway.projects.ocpp.data.codec import micros
from gway.projects.ocpp.data.notes import Notes
from gway.projects.ocpp.facts import Boot, ConnectorStatus
from gway.projects.sql.database import Database

from .conftest import START


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(tmp_path / "notes.sqlite", hub=gevent.get_hub(), lock_timeout_s=0.1)
    made.migrate(schema.COMPONENT, schema.STEPS)
    yield made
    made.close()


class Seconds:
    """A clock for what is due."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def last_seen(database: Database) -> list[int]:
    database.flush()
    return [row["last_seen_at"] for row in database.query("SELECT last_seen_at FROM chargers")]


def test_heartbeats_are_stored_every_ten_seconds_at_most(
    database: Database, seconds: Seconds
) -> None:
    kept = Notes(database, seconds)
    stored = []
    for second in range(40):
        kept.seen("CPX", None, START + timedelta(seconds=second))
        kept.store_due()
        stored.append(last_seen(database)[0])
        seconds.now += 1
    assert len(set(stored)) == 4
    assert database.counts["units"] - 40 == 4  # 40 are the flushes of this test


def test_a_boot_is_stored_at_once(database: Database, seconds: Seconds) -> None:
    kept = Notes(database, seconds)
    kept.seen("CPX", None, START)
    kept.store_due()
    kept.booted("CPX", Boot("V", "M"), "Accepted", START)
    kept.store_due()
    database.flush()
    assert database.query("SELECT registration FROM chargers") == [{"registration": "Accepted"}]


def test_many_chargers_are_stored_in_units_of_some_hundred(
    database: Database, seconds: Seconds
) -> None:
    kept = Notes(database, seconds)
    for number in range(450):
        kept.seen(f"CP{number}", None, START)
    before = database.counts["units"]
    kept.store_due()
    assert len(last_seen(database)) == 450
    assert database.counts["units"] - before == 3 + 1  # and the flush of this test


def test_a_charger_that_left_leaves_memory_once_it_is_stored(
    database: Database, seconds: Seconds
) -> None:
    kept = Notes(database, seconds)
    kept.connector("CPX", ConnectorStatus(1, "Available"), START)
    kept.disconnected("CPX", START)
    assert len(kept) == 1
    kept.store_due()
    database.flush()
    assert len(kept) == 0
    assert database.query("SELECT status FROM connectors") == [{"status": "Available"}]


def test_a_charger_that_came_back_meanwhile_stays_in_memory(
    database: Database, seconds: Seconds
) -> None:
    kept = Notes(database, seconds)
    kept.disconnected("CPX", START)
    kept.store_due()
    kept.connected("CPX", START)
    database.flush()
    assert len(kept) == 1


def test_what_could_not_be_stored_is_stored_later(
    tmp_path: Path, seconds: Seconds, database: Database
) -> None:
    refusing = Database(database.path, pragmas=("query_only = ON",))
    kept = Notes(refusing, seconds)
    kept.connector("CPX", ConnectorStatus(1, "Faulted"), START)
    kept.connector("CPX", ConnectorStatus(2, "Available"), START)
    kept.store_due()
    assert not refusing.healthy
    kept.connector("CPX", ConnectorStatus(1, "Charging"), START)
    kept._database = database
    kept.store_due()
    database.flush()
    found = database.query("SELECT connector_id, status FROM connectors ORDER BY connector_id")
    assert [tuple(row.values()) for row in found] == [(1, "Charging"), (2, "Available")]
    refusing.close()


def test_an_older_time_does_not_replace_a_newer_one(database: Database, seconds: Seconds) -> None:
    for at in (START, START - timedelta(hours=1)):
        kept = Notes(database, seconds)
        kept.seen("CPX", None, at)
        kept.store_due()
    assert last_seen(database) == [micros(START)]
