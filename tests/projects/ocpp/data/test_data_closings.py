"""Closings that no charger repeats: kept until the disk takes them, and no longer."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gway.projects.ocpp.data.codec import micros
from gway.projects.ocpp.facts import ErrorReport, Transaction

from .conftest import START, Site

WHY = "next start" + " " * 20_000  # does not fit into what is left of a full database


def room(site: Site, pages: int) -> None:
    """Let the database grow to so many pages; it never shrinks by this."""
    connection = site.store.database._committer.connection()
    connection.execute(f"PRAGMA max_page_count = {pages}")


def fill(site: Site) -> None:
    room(site, 1)


def free(site: Site) -> None:
    """Make room; the next write tells that there is some."""
    room(site, 2**30)
    report = ErrorReport("CPX", 1, "OtherError", "Faulted", None, None, None, None, START)
    site.tell("ocpp_error_reported", report=report)
    assert site.store.database.healthy


def look(site: Site) -> None:
    """Do what happens every second in a process that serves."""
    site.store._tick()


def close(site: Site, started: Transaction) -> Transaction:
    closed = msgspec.structs.replace(
        started, state="inferred", meter_stop_wh=2_000, stopped_at=site.at, energy_wh=1_000
    )
    site.tell("ocpp_transaction_closed", transaction=closed, why=WHY, at=site.at)
    return closed


def stored(site: Site) -> list[dict[str, Any]]:
    return site.query("SELECT state, meter_stop_wh FROM transactions")


def notes(site: Site) -> list[dict[str, Any]]:
    return site.query("SELECT trim(why) AS why, at FROM closings")


def test_a_closing_that_the_disk_refused_is_stored_when_there_is_room(site: Site) -> None:
    started = site.start()
    fill(site)
    closed = close(site, started)
    look(site)
    assert stored(site) == [{"state": "open", "meter_stop_wh": None}]
    free(site)
    look(site)
    look(site)
    assert not site.store.closings
    assert notes(site) == [{"why": "next start", "at": micros(START)}]
    assert (site.records / "CPX/1_1.dat").exists()
    site.restart()
    assert site.ask("ocpp_recall_transaction", transaction_id=1) == closed
    assert site.ask("ocpp_open_transactions", id_tag=None, charger_id="CPX") == []


def test_until_it_is_stored_memory_has_the_later_word(site: Site) -> None:
    started, other = site.start(connector_id=1), site.start(connector_id=2)
    fill(site)
    closed = close(site, started)
    assert site.ask("ocpp_recall_transaction", transaction_id=1) == closed
    assert site.ask("ocpp_recall_charger", charger_id="CPX").open_transactions == (other,)
    assert site.ask("ocpp_open_transactions", id_tag=None, charger_id=None) == [other]


@pytest.mark.parametrize("fact", ["ocpp_transaction_stopped", "ocpp_transaction_revised"])
def test_a_later_word_of_the_charger_is_not_undone_by_a_closing_that_waited(
    site: Site, fact: str
) -> None:
    started = site.start()
    fill(site)
    closed = close(site, started)
    free(site)
    words: dict[str, Any] = {"transaction": msgspec.structs.replace(closed, meter_stop_wh=4_500)}
    if fact == "ocpp_transaction_stopped":
        words = {"transaction": msgspec.structs.replace(closed, state="stopped"), "reading": None}
    assert site.settle(fact, **words) == [None]
    look(site)
    assert len(notes(site)) == 1
    assert site.ask("ocpp_recall_transaction", transaction_id=1) == words["transaction"]


def test_a_closing_that_waits_is_tried_a_last_time_at_the_end(site: Site) -> None:
    started = site.start()
    fill(site)
    close(site, started)
    room(site, 2**30)
    site.restart()
    assert stored(site) == [{"state": "inferred", "meter_stop_wh": 2_000}]


def test_what_is_lost_at_the_end_is_told(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    started = site.start()
    fill(site)
    close(site, started)
    site.restart()
    assert "1 closings are lost" in caplog.text
    assert stored(site)[0]["state"] == "open"


def test_a_closing_that_no_table_takes_is_told_and_given_up(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    broken = msgspec.structs.replace(site.start(), state=None)
    site.tell("ocpp_transaction_closed", transaction=broken, why="x", at=site.at)
    assert "closing transaction 1 was not stored" in caplog.text
    assert not site.store.closings
