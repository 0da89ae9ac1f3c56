"""Readings that a charger sends again, because it never got an answer, are stored once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from gway.projects.ocpp.data.repeats import KEPT, LastReadings
from gway.projects.ocpp.facts import Reading
from gway.projects.ocpp.receipts import Receipt

from .conftest import START, Site


def count(site: Site) -> int:
    return int(site.query("SELECT count(*) AS n FROM readings")[0]["n"])


@pytest.mark.parametrize("restart", [False, True])
def test_a_repeated_reading_is_stored_once(site: Site, restart: bool) -> None:
    started = site.start()
    reading = site.reading(started, 1_500)
    words = {"reading": reading, "transaction": started}
    assert site.settle("ocpp_meter_values_received", **words) == [None]
    if restart:
        site.restart()
    again = replace(reading, at=reading.at + timedelta(seconds=40))
    assert site.settle("ocpp_meter_values_received", **(words | {"reading": again})) == [None]
    assert count(site) == 1


def test_readings_that_differ_or_belong_elsewhere_are_all_stored(site: Site) -> None:
    one, other = site.start(connector_id=1), site.start(connector_id=2)
    for transaction, energy_wh in ((one, 1_500), (other, 1_500), (one, 1_600), (one, 1_500)):
        site.meter(transaction, energy_wh)
    assert count(site) == 4


def test_a_reading_that_could_not_be_stored_is_stored_when_it_is_repeated(site: Site) -> None:
    started = site.start()
    site.meter(started, 1_500)
    reading = site.reading(started, 1_600)
    refused = Receipt()
    words = {"reading": reading, "transaction": started, "at": site.at}
    site.gateway.plugins.emit("ocpp_meter_values_received", **words, receipt=refused)
    assert count(site) == 1  # it was told, and never submitted
    site.meter(started, 1_600)
    assert count(site) == 2
    site.meter(started, 1_600)
    assert count(site) == 2


def test_what_is_remembered_is_bounded_and_forgetting_is_harmless() -> None:
    last = LastReadings()
    one, other = (
        Reading(
            charger_id="C",
            connector_id=1,
            transaction_id=1,
            inferred=False,
            raw=raw,
            samples_time=None,
            at=START,
        )
        for raw in (b"[1]", b"[2]")
    )
    assert [last.differs(each) for each in (one, other, other, one)] == [False, True, False, True]
    last.forget(1)
    assert not last.differs(other)
    for transaction_id in range(2, 2 * KEPT):
        last.differs(replace(one, transaction_id=transaction_id))
    assert not last.differs(replace(other, transaction_id=1))
    assert len(last) <= KEPT


def test_readings_of_no_transaction_are_all_stored(site: Site) -> None:
    reading = site.reading(site.start(), 1_500, transaction_id=None)
    for _ in range(2):
        words = {"reading": reading, "transaction": None}
        assert site.settle("ocpp_meter_values_received", **words) == [None]
    assert count(site) == 2


def test_a_stop_may_bring_what_the_last_reading_brought(site: Site) -> None:
    started = site.start()
    after = site.meter(started, 1_500)
    data = site.reading(started, 1_500, origin="transactionData")
    stopped = replace(after, state="stopped", stopped_at=site.at)
    outcome = site.settle("ocpp_transaction_stopped", transaction=stopped, reading=data)
    assert outcome == [None]
    assert count(site) == 2
