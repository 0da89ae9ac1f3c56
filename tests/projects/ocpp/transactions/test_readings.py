"""MeterValues, and transactions that nobody stopped."""

from datetime import timedelta

import pytest

from gway.projects.ocpp.facts import Sample
from gway.projects.ocpp.transactions.rules import Flag, Why, sample_key

from .conftest import NOON, Desk


def test_meter_values_with_an_id_reach_their_transaction(desk):
    started = desk.start().transaction
    metered = desk.meter(started.transaction_id, 1_500, power_w=7_000.0, soc_percent=40.0)
    assert metered.reading.transaction_id == started.transaction_id
    assert not metered.reading.inferred
    assert not metered.revised
    now = metered.transaction
    assert (now.last_energy_wh, now.power_w, now.soc_percent) == (1_500, 7_000.0, 40.0)
    assert now.last_sample_at == desk.now


def test_meter_values_after_a_restart_reach_their_transaction(desk):
    started = desk.start().transaction
    desk.restart()
    assert desk.meter(started.transaction_id, 1_500).transaction.last_energy_wh == 1_500


@pytest.mark.parametrize(("transaction_id", "inferred"), [(None, True), (-1, True)])
def test_meter_values_without_an_id_are_matched_by_connector(desk, transaction_id, inferred):
    desk.start(1)
    two = desk.start(2).transaction
    metered = desk.meter(transaction_id, 1_500, connector_id=2)
    assert metered.reading.transaction_id == two.transaction_id
    assert metered.reading.inferred is inferred


def test_meter_values_of_the_whole_charger_belong_to_no_transaction(desk):
    desk.start(1)
    metered = desk.meter(None, 9_000, connector_id=0)
    assert metered.reading.transaction_id is None
    assert metered.orphan == ""


def test_meter_values_from_before_the_start_are_not_matched_to_it(desk):
    desk.start()
    assert desk.meter(None, 900, ago_min=10).transaction is None


@pytest.mark.parametrize("transaction_id", [99, -1])
def test_meter_values_of_no_transaction_of_ours_are_orphans(desk, transaction_id):
    metered = desk.meter(transaction_id, 1_500)
    assert metered.transaction is None
    assert str(transaction_id) in metered.orphan


def test_meter_values_cannot_touch_another_chargers_transaction(desk):
    started = desk.start().transaction
    thief = Desk("THIEF")
    thief.store = desk.store
    assert thief.meter(started.transaction_id, 9_999).orphan
    assert desk.store[started.transaction_id] == started


def test_old_meter_values_do_not_change_what_is_shown_live(desk):
    started = desk.start(ago_min=60).transaction
    metered = desk.meter(started.transaction_id, 1_500, ago_min=50, power_w=7_000.0)
    assert Flag.HISTORICAL in metered.reading.flags
    assert metered.transaction.power_w is None
    assert metered.transaction.last_energy_wh == 1_500


def test_meter_values_out_of_order_are_flagged_and_the_newest_counts(desk):
    started = desk.start(ago_min=10).transaction
    desk.meter(started.transaction_id, 3_000)
    metered = desk.meter(started.transaction_id, 2_000, ago_min=5)
    assert Flag.TIME_ORDER in metered.reading.flags
    assert metered.transaction.last_energy_wh == 3_000


def test_one_sample_of_the_future_does_not_make_all_that_follow_look_old(desk):
    transaction_id = desk.start().transaction.transaction_id
    desk.meter(transaction_id, 2_000, ago_min=-60 * 24 * 365)
    desk.later(1)
    metered = desk.meter(transaction_id, 3_000)
    assert metered.transaction.last_energy_wh == 3_000
    assert metered.reading.flags == ()


def test_meter_values_with_an_unreadable_time_count_and_are_flagged(desk):
    started = desk.start().transaction
    metered = desk.meter(started.transaction_id, 3_000, time=None)
    assert Flag.BAD_TIMESTAMP in metered.reading.flags
    assert metered.transaction.last_energy_wh == 3_000


def test_meter_values_after_the_stop_are_kept_and_change_nothing(desk):
    started = desk.start().transaction
    stopped = desk.stop(started.transaction_id).transaction
    metered = desk.meter(started.transaction_id, 9_000)
    assert metered.transaction == stopped
    assert Flag.AFTER_STOP in metered.reading.flags


def test_a_connector_that_becomes_available_closes_its_transaction(desk):
    started = desk.start(1).transaction
    desk.start(2)
    desk.meter(started.transaction_id, 2_000)
    desk.later(5)
    (closing,) = desk.ledger.connector_says(1, "Available", desk.now, desk.now)
    assert closing.why is Why.AVAILABLE
    assert closing.transaction.transaction_id == started.transaction_id
    assert (closing.transaction.state, closing.transaction.energy_wh) == ("inferred", 1_000)
    assert len(desk.ledger) == 1


@pytest.mark.parametrize(
    ("connector_id", "status", "ago_min"),
    [
        (0, "Available", 0),
        (1, "Charging", 0),
        (1, "Preparing", 0),
        (1, "Finishing", 0),
        (1, "Faulted", 0),
        (1, "Available", 12),
        (1, "Available", 30),
        (2, "Available", 0),
    ],
)
def test_other_statuses_and_old_ones_close_nothing(desk, connector_id, status, ago_min):
    desk.start(1, ago_min=10)
    time = desk.now - timedelta(minutes=ago_min)
    assert desk.ledger.connector_says(connector_id, status, time, desk.now) == ()


def test_a_boot_alone_closes_nothing(desk):
    desk.start()
    desk.ledger.booted()
    assert len(desk.ledger) == 1


def test_a_free_connector_after_a_boot_closes_what_the_charger_lost(desk):
    desk.start()
    desk.ledger.booted()
    (closing,) = desk.ledger.connector_says(1, "Preparing", desk.now, desk.now)
    assert closing.why is Why.BOOT


def test_meter_values_after_a_boot_prove_that_charging_goes_on(desk):
    started = desk.start().transaction
    desk.ledger.booted()
    desk.meter(started.transaction_id, 2_000)
    assert desk.ledger.connector_says(1, "Preparing", desk.now, desk.now) == ()


def test_live_meter_values_reopen_what_we_had_given_up(desk):
    started = desk.start().transaction
    desk.ledger.connector_says(1, "Available", desk.now, desk.now)
    metered = desk.meter(started.transaction_id, 2_000)
    assert metered.revised
    assert metered.transaction.state == "open"
    assert Flag.REOPENED in metered.transaction.flags
    assert desk.ledger.on_connector(1) is metered.transaction


def test_late_samples_of_a_given_up_transaction_raise_its_estimate(desk):
    ghost = desk.start(meter_wh=1_000).transaction
    desk.later(1)
    desk.start(meter_wh=3_400)
    metered = desk.meter(ghost.transaction_id, 3_300)
    assert (metered.transaction.state, metered.transaction.energy_wh) == ("inferred", 2_300)


def test_an_operator_closes_everything_that_is_open(desk):
    desk.start(1)
    desk.start(2)
    closings = desk.ledger.close_open(desk.now)
    assert [closing.why for closing in closings] == [Why.OPERATOR, Why.OPERATOR]
    assert {closing.transaction.state for closing in closings} == {"inferred"}
    assert len(desk.ledger) == 0


def test_a_repeated_measurement_is_the_same():
    one = Sample(time=NOON, time_raw="t", value="5", phase="L1")
    again = Sample(time=NOON, time_raw="other text", value="5", phase="L1")
    assert sample_key(one) == sample_key(again)


@pytest.mark.parametrize(
    "change",
    [
        {"time": NOON + timedelta(seconds=1)},
        {"measurand": "Current.Import"},
        {"phase": "L2"},
        {"location": "Inlet"},
        {"context": "Transaction.End"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_measurements_that_differ_in_one_respect_are_two(change):
    words = {"time": NOON, "time_raw": "t", "value": "5", "phase": "L1"}
    assert sample_key(Sample(**words)) != sample_key(Sample(**(words | change)))
