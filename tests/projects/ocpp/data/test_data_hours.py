"""Energy by hour: always what the readings say, whatever is said of a session later."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gway.projects.ocpp.data import codec, hours, schema, timeseries
from gway.projects.ocpp.data.events import FLAGS
from gway.projects.ocpp.facts import ConnectorStatus
from gway.projects.ocpp.transactions.rules import Why
from gway.projects.sql import migrations

from .conftest import START, Site, iso

HOUR = hours.HOUR


def stored(site: Site) -> dict[int, float]:
    """What each hour of the day holds."""
    rows = site.query("SELECT hour, sum(energy_wh) AS wh FROM energy_hours GROUP BY hour")
    return {row["hour"] % 24: row["wh"] for row in rows}


def span(days: int = 1) -> timeseries.Window:
    begin = int(START.timestamp()) // 86_400 * 86_400 * timeseries.MICROS
    return timeseries.Window(begin, begin + days * 24 * HOUR, HOUR)


def both(site: Site, charger_id: str = "CPX") -> tuple[list[float], list[float]]:
    """Energy by the hours that were kept, and by the readings."""
    return site.store.database.read(
        lambda one: (
            hours.energy(one, charger_id, span(3)),
            timeseries.energy(one, charger_id, span(3)),
        )
    )


def settle_revised(site: Site, transaction: Any) -> None:
    assert site.settle("ocpp_transaction_revised", transaction=transaction) == [None]


def test_a_session_has_its_hours_in_the_commit_that_ends_it(site: Site) -> None:
    site.at += timedelta(minutes=30)
    started = site.start()
    assert stored(site) == {}
    site.advance(hours=1)
    metered = site.meter(started, 3_000)
    assert stored(site) == {}
    site.advance(hours=1)
    site.stop(metered, 4_000)
    assert stored(site) == pytest.approx({12: 1_000, 13: 1_500, 14: 500})


def test_hours_and_readings_tell_the_same(site: Site) -> None:
    for length in (5, 50, 170, 600):
        started = site.start()
        for part in (1, 2, 3):
            site.advance(minutes=length / 4)
            started = site.meter(started, 1_000 + part * length * 10)
        site.advance(minutes=length / 4)
        site.stop(started, 1_000 + length * 50)
    site.meter(site.start(), 2_000)
    kept, read = both(site)
    assert kept == pytest.approx(read)
    assert sum(kept) == pytest.approx(825 * 50 + 1_000)


def test_a_session_that_goes_on_after_all_has_no_hours_until_it_ends_again(site: Site) -> None:
    started = site.start()
    site.advance(hours=1)
    closed = msgspec.structs.replace(
        started, state="inferred", stopped_at=site.at, energy_wh=500, energy_source="last sample"
    )
    site.tell("ocpp_transaction_closed", transaction=closed, why="operator", at=site.at)
    assert stored(site) == {12: 500}
    settle_revised(site, msgspec.structs.replace(started, flags=("reopened",)))
    assert stored(site) == {}
    site.advance(hours=1)
    site.stop(started, 3_000)
    assert stored(site) == {12: 1_000, 13: 1_000}


def test_a_correction_replaces_the_hours(site: Site) -> None:
    stopped = site.session(energy_wh=1_000)
    settle_revised(site, msgspec.structs.replace(stopped, energy_wh=2_000))
    assert sum(stored(site).values()) == pytest.approx(2_000)


def test_values_after_the_stop_move_energy_and_add_none(site: Site) -> None:
    started = site.start()
    middle = site.at + timedelta(hours=1)
    site.advance(hours=2)
    stopped = site.stop(started, 3_000)
    assert stored(site) == {12: 1_000, 13: 1_000}
    late = site.reading(stopped, 2_500, at=middle, samples_time=middle)
    said = {"reading": late, "transaction": stopped}
    assert site.settle("ocpp_meter_values_received", **said) == [None]
    assert stored(site) == {12: 1_500, 13: 500}


def test_a_session_too_long_to_be_true_is_read_and_not_spread_over_years(site: Site) -> None:
    began = START - timedelta(days=9_000)
    started = site.start(start_time=began, start_time_raw=iso(began), flags=("historical",))
    site.advance(hours=2)
    site.stop(started, 10_000_000)
    assert site.query("SELECT * FROM energy_hours") == []
    assert [row["transaction_id"] for row in site.query("SELECT * FROM long_sessions")] == [1]
    kept, read = both(site)
    assert kept == pytest.approx(read)
    assert sum(kept) > 0


def test_a_database_of_the_first_version_gets_its_hours(tmp_path: Any, site: Site) -> None:
    site.session("CP1", 3_000)
    site.session("CP2", 5_000)
    site.start("CP1")
    expected = site.query("SELECT * FROM energy_hours")
    path = tmp_path / "old.sqlite"
    old = sqlite3.connect(path, isolation_level=None)
    migrations.migrate(old, "old", schema.COMPONENT, schema.STEPS[:1])
    for table in ("transactions", "readings"):
        for row in site.query(f"SELECT * FROM {table}"):
            marks = ", ".join("?" * len(row))
            old.execute(f"INSERT INTO {table} VALUES ({marks})", tuple(row.values()))
    assert migrations.migrate(old, "old", schema.COMPONENT, schema.STEPS) == len(schema.STEPS) - 1
    assert migrations.version(old, schema.COMPONENT) == len(schema.STEPS)
    old.row_factory = sqlite3.Row
    found = [dict(row) for row in old.execute("SELECT * FROM energy_hours")]
    old.close()
    assert len(expected) > 1
    assert found == expected


def test_flags_that_had_spaces_in_them_become_words_that_the_page_explains(
    tmp_path: Any, site: Site
) -> None:
    site.start("CP1")
    (row,) = site.query("SELECT * FROM transactions")
    old = sqlite3.connect(tmp_path / "old.sqlite", isolation_level=None)
    migrations.migrate(old, "old", schema.COMPONENT, schema.STEPS[:-1])
    marks = ", ".join("?" * len(row))
    for number, why in enumerate(Why, 1):
        flags = f"historical closed: {why} after-stop"
        changed = {**row, "transaction_id": number, "sequence": number} | {
            "connector_id": number,
            "flags": flags,
        }
        old.execute(f"INSERT INTO transactions VALUES ({marks})", tuple(changed.values()))
    migrations.migrate(old, "old", schema.COMPONENT, schema.STEPS)
    found = [flags.split() for (flags,) in old.execute("SELECT flags FROM transactions")]
    old.close()
    assert found == [["historical", why.flag, "after-stop"] for why in Why]
    assert {why.flag for why in Why} <= FLAGS.keys()


# --- what changed and when ------------------------------------------------------


def report(site: Site, status: str, connector_id: int = 1) -> None:
    said = ConnectorStatus(connector_id=connector_id, status=status, time=site.at, at=site.at)
    site.tell("ocpp_connector_changed", charger_id="CPX", status=said, at=site.at)


def test_a_status_is_kept_when_it_changes_and_not_when_it_is_repeated(site: Site) -> None:
    for status in ("Available", "Available", "Charging", "Available"):
        report(site, status)
        site.advance(seconds=10)
        report(site, "Available", connector_id=2)
    found = site.query("SELECT * FROM status_changes WHERE connector_id = 1 ORDER BY at")
    assert [row["status"] for row in found] == ["Available", "Charging", "Available"]
    assert len(site.query("SELECT * FROM status_changes WHERE connector_id = 2")) == 1


def test_corrections_are_kept_with_their_time(site: Site) -> None:
    stopped = site.session()
    site.advance(minutes=5)
    for energy_wh in (4_000, 4_100):  # each message after the end is one; the words count once
        settle_revised(
            site, msgspec.structs.replace(stopped, energy_wh=energy_wh, flags=("late-stop",))
        )
    rows = site.query("SELECT transaction_id, energy_wh, flags, at FROM revisions")
    assert [(row["energy_wh"], row["flags"]) for row in rows] == [(4_000, "late-stop")]
    assert rows[0]["at"] == codec.micros(site.at)
