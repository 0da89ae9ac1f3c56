"""Readings that a charger sends again, because it never got an answer, are stored once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from .conftest import Site


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
