"""StopTransaction, line by line of the rules."""

import pytest

from gway.projects.ocpp.transactions.ledger import RECENT
from gway.projects.ocpp.transactions.rules import Flag
from gway.projects.ocpp.transactions.words import StopKind

from .conftest import Desk, data_of


def test_a_stop_ends_the_transaction_and_counts_its_registers(desk):
    started = desk.start(meter_wh=1_000).transaction
    desk.later(30)
    stopped = desk.stop(started.transaction_id, 4_500, reason="EVDisconnected").transaction
    assert stopped.state == "stopped"
    assert (stopped.energy_wh, stopped.energy_source) == (3_500, "registers")
    assert (stopped.stop_reason, stopped.flags) == ("EVDisconnected", ())
    assert len(desk.ledger) == 0


def test_a_stop_after_a_restart_reaches_its_transaction(desk):
    started = desk.start(meter_wh=1_000).transaction
    desk.restart()
    stopped = desk.stop(started.transaction_id, 4_500)
    assert stopped.kind is StopKind.STOPPED
    assert stopped.transaction.energy_wh == 3_500


def test_an_absent_reason_is_local_and_marked_as_implied(desk):
    stopped = desk.stop(desk.start().transaction.transaction_id).transaction
    assert stopped.stop_reason == "Local"
    assert Flag.REASON_IMPLIED in stopped.flags


def test_the_same_stop_again_changes_nothing(desk):
    started = desk.start().transaction
    first = desk.stop(started.transaction_id).transaction
    again = desk.stop(started.transaction_id)
    assert again.kind is StopKind.REPEAT
    assert again.transaction is first


@pytest.mark.parametrize("restart", [False, True])
def test_a_different_second_stop_is_a_conflict_and_the_first_wins(desk, restart):
    started = desk.start().transaction
    first = desk.stop(started.transaction_id, 4_500).transaction
    if restart:
        desk.restart()
    second = desk.stop(started.transaction_id, 9_999)
    assert second.kind is StopKind.CONFLICT
    assert second.transaction.meter_stop_wh == first.meter_stop_wh == 4_500
    assert second.transaction.flags == (*first.flags, Flag.CONFLICTING_STOP)


def test_an_unknown_id_is_an_orphan(desk):
    stopped = desk.stop(4711)
    assert stopped.kind is StopKind.ORPHAN
    assert "4711" in stopped.reason


def test_another_chargers_transaction_is_an_orphan_and_untouched(desk):
    started = desk.start().transaction
    thief = Desk("THIEF")
    thief.store = desk.store
    assert thief.stop(started.transaction_id).kind is StopKind.ORPHAN
    assert desk.store[started.transaction_id] == started


def test_a_stop_without_an_id_is_known_again_after_a_restart(desk):
    desk.start(1, id_tag="ADA")
    bob = desk.start(2, id_tag="BOB").transaction
    ended = desk.stop(-1, 4_500, id_tag="ADA").transaction
    desk.restart()
    again = desk.stop(-1, 4_500)  # alone it would fit what Bob is charging
    assert (again.kind, again.transaction) == (StopKind.REPEAT, ended)
    assert desk.stop(-1, 5_500).transaction.transaction_id == bob.transaction_id


def test_a_stop_without_an_id_is_matched_to_the_one_open_transaction(desk):
    started = desk.start(id_tag="ADA").transaction
    stopped = desk.stop(-1, 4_500, id_tag="ada")
    assert stopped.transaction.transaction_id == started.transaction_id
    assert Flag.ID_MATCHED in stopped.transaction.flags
    assert desk.stop(-1, 4_500, id_tag="ada").kind is StopKind.REPEAT


@pytest.mark.parametrize(
    "words",
    [{"id_tag": "BOB"}, {"meter_wh": 10}, {"ago_min": 60}],
    ids=["other tag", "register below the start", "before the start"],
)
def test_a_stop_without_an_id_that_does_not_fit_is_an_orphan(desk, words):
    started = desk.start(id_tag="ADA").transaction
    assert desk.stop(-1, **words).kind is StopKind.ORPHAN
    assert desk.store[started.transaction_id].state == "open"


def test_a_stop_without_an_id_that_fits_two_transactions_ends_neither(desk):
    desk.start(1)
    desk.start(2)
    assert desk.stop(-1).kind is StopKind.ORPHAN
    assert len(desk.ledger) == 2


def test_a_stop_register_below_the_start_is_flagged_and_samples_count(desk):
    started = desk.start(meter_wh=1_000).transaction
    desk.meter(started.transaction_id, 2_200)
    stopped = desk.stop(started.transaction_id, 0).transaction
    assert Flag.METER_BACKWARDS in stopped.flags
    assert (stopped.energy_wh, stopped.energy_source) == (1_200, "last sample")


def test_transaction_data_counts_before_samples_when_registers_fail(desk):
    started = desk.start(meter_wh=1_000).transaction
    desk.meter(started.transaction_id, 2_200)
    stopped = desk.stop(started.transaction_id, 0, data=data_of(2_500))
    assert stopped.transaction.energy_wh == 1_500
    assert stopped.transaction.energy_source == "transactionData"
    assert stopped.reading.transaction_id == started.transaction_id
    assert stopped.reading.origin == "transactionData"


def test_energy_is_unknown_when_every_register_runs_backwards(desk):
    started = desk.start(meter_wh=1_000).transaction
    stopped = desk.stop(started.transaction_id, 0).transaction
    assert (stopped.energy_wh, stopped.energy_source) == (None, "")


def test_a_stop_below_the_samples_is_flagged(desk):
    started = desk.start(meter_wh=1_000).transaction
    desk.meter(started.transaction_id, 5_000)
    stopped = desk.stop(started.transaction_id, 4_500).transaction
    assert Flag.BELOW_SAMPLES in stopped.flags
    assert stopped.energy_wh == 3_500


@pytest.mark.parametrize(
    ("words", "flag"),
    [
        ({"time": None}, Flag.BAD_TIMESTAMP),
        ({"ago_min": 10}, Flag.TIME_ORDER),
        ({"ago_min": 20}, Flag.HISTORICAL),
    ],
)
def test_odd_times_of_a_stop_are_accepted_and_flagged(desk, words, flag):
    started = desk.start().transaction
    desk.later(5)
    stopped = desk.stop(started.transaction_id, **words)
    assert stopped.kind is StopKind.STOPPED
    assert flag in stopped.transaction.flags


def test_a_late_stop_replaces_what_was_inferred(desk):
    ghost = desk.start(meter_wh=1_000).transaction
    desk.meter(ghost.transaction_id, 3_000)
    desk.later(1)
    desk.start(meter_wh=3_400)
    stopped = desk.stop(ghost.transaction_id, 3_300)
    assert stopped.kind is StopKind.STOPPED
    assert (stopped.transaction.state, stopped.transaction.energy_wh) == ("stopped", 2_300)
    assert Flag.LATE_STOP in stopped.transaction.flags
    assert len(desk.ledger) == 1


def test_a_late_stop_of_an_inferred_one_is_found_after_a_restart(desk):
    ghost = desk.start().transaction
    desk.later(1)
    desk.start(meter_wh=3_400)
    desk.restart()
    assert desk.stop(ghost.transaction_id, 3_300).kind is StopKind.STOPPED


def test_only_the_last_few_ended_transactions_stay_in_memory(desk):
    for _ in range(RECENT + 3):
        desk.later(1)
        desk.stop(desk.start().transaction.transaction_id)
    held = [key for key in desk.store if desk.ledger._recent.get(key)]
    assert held == sorted(desk.store)[-RECENT:]
