"""StartTransaction, line by line of the rules."""

import pytest
from msgspec.structs import replace

from gway.projects.ocpp.facts import TagDecision, TagStatus, Transaction
from gway.projects.ocpp.transactions.rules import Flag, Why, limit_concurrency


def test_a_start_opens_a_transaction_with_both_clocks(desk):
    started = desk.start(ago_min=2).transaction
    assert started.state == "open"
    assert started.started_at == desk.now
    assert (started.started_at - started.start_time).total_seconds() == 120


def test_the_same_start_again_is_the_same_transaction(desk):
    first = desk.start().transaction
    assert desk.start().transaction is first
    assert len(desk.store) == 1


def test_the_same_start_after_its_stop_is_still_the_same_transaction(desk):
    first = desk.start().transaction
    desk.stop(first.transaction_id)
    assert desk.start().transaction.transaction_id == first.transaction_id
    assert len(desk.ledger) == 0


def test_the_same_start_after_a_restart_is_found_in_the_store(desk):
    first = desk.start().transaction
    desk.stop(first.transaction_id)
    desk.restart()
    assert desk.start().transaction.transaction_id == first.transaction_id


def test_the_same_start_with_the_tag_spelled_otherwise_is_the_same(desk):
    first = desk.start(id_tag="AdA").transaction
    assert desk.start(id_tag="aDa").transaction is first
    assert first.id_tag == "AdA"


@pytest.mark.parametrize(
    "change",
    [{"meter_wh": 1_001}, {"id_tag": "BOB"}, {"connector_id": 2}, {"time_raw": "other"}],
    ids=lambda change: next(iter(change)),
)
def test_a_start_that_differs_in_one_word_is_another_transaction(desk, change):
    first = desk.start().transaction
    assert desk.start(**change).transaction.transaction_id != first.transaction_id


@pytest.mark.parametrize(
    "status",
    [TagStatus.INVALID, TagStatus.BLOCKED, TagStatus.EXPIRED, TagStatus.CONCURRENT_TX],
)
def test_a_refused_tag_gets_a_real_transaction(desk, status):
    started = desk.start(status=status).transaction
    assert started.transaction_id > 0
    assert started.tag_status is status
    assert desk.store[started.transaction_id].state == "open"


def test_connectors_are_independent(desk):
    one, two = desk.start(1).transaction, desk.start(2).transaction
    desk.stop(one.transaction_id)
    assert [held.transaction_id for held in desk.ledger] == [two.transaction_id]


def test_the_next_start_on_a_connector_closes_the_one_that_never_stopped(desk):
    ghost = desk.start().transaction
    desk.meter(ghost.transaction_id, 3_000)
    desk.later(5)
    (closing,) = desk.start(meter_wh=3_200).closed
    assert closing.why is Why.NEXT_START
    assert closing.transaction.transaction_id == ghost.transaction_id
    assert closing.transaction.state == "inferred"
    assert (closing.transaction.energy_wh, closing.transaction.energy_source) == (
        2_000,
        "last sample",
    )


def test_a_start_from_an_old_queue_does_not_close_a_newer_transaction(desk):
    newer = desk.start().transaction
    assert desk.start(ago_min=60).closed == ()
    assert newer.transaction_id in {held.transaction_id for held in desk.ledger}


@pytest.mark.parametrize(("ago_min", "flags"), [(14, ()), (16, (Flag.HISTORICAL,)), (-60, ())])
def test_a_start_older_than_fifteen_minutes_is_historical(desk, ago_min, flags):
    assert desk.start(ago_min=ago_min).transaction.flags == flags


def test_a_start_of_a_clock_that_ran_ahead_does_not_stay_open_for_ever(desk):
    ghost = desk.start(ago_min=-60 * 24 * 365).transaction
    desk.later(1)
    (closing,) = desk.start(meter_wh=2_000).closed
    assert closing.transaction.transaction_id == ghost.transaction_id
    assert len(desk.ledger) == 1


def test_a_start_that_was_queued_closes_no_later_one_of_a_clock_that_is_a_little_ahead(desk):
    desk.start(ago_min=-5)
    assert desk.start(meter_wh=500, ago_min=60).closed == ()


def test_a_start_with_an_unreadable_time_is_kept_and_flagged(desk):
    started = desk.start(time=None, time_raw="yesterday").transaction
    assert started.flags == (Flag.BAD_TIMESTAMP,)
    assert started.start_time_raw == "yesterday"


def elsewhere_of(charger_id: str, connector_id: int, transaction: Transaction) -> Transaction:
    return replace(
        transaction,
        charger_id=charger_id,
        connector_id=connector_id,
        transaction_id=hash((charger_id, connector_id)),
    )


@pytest.mark.parametrize(
    ("limit", "elsewhere", "status"),
    [
        (None, [("CPX", 2), ("CPY", 1)], TagStatus.ACCEPTED),
        (1, [], TagStatus.ACCEPTED),
        (1, [("CPX", 1)], TagStatus.ACCEPTED),
        (1, [("CPX", 2)], TagStatus.CONCURRENT_TX),
        (1, [("CPY", 1)], TagStatus.CONCURRENT_TX),
        (2, [("CPY", 1)], TagStatus.ACCEPTED),
        (2, [("CPY", 1), ("CPY", 1)], TagStatus.ACCEPTED),
        (2, [("CPY", 1), ("CPZ", 1)], TagStatus.CONCURRENT_TX),
    ],
)
def test_concurrent_starts_of_a_tag_are_limited_elsewhere_only(desk, limit, elsewhere, status):
    sample = desk.start().transaction
    decision = TagDecision(TagStatus.ACCEPTED, concurrent_limit=limit)
    others = [elsewhere_of(charger, connector, sample) for charger, connector in elsewhere]
    assert limit_concurrency(decision, others, "CPX", 1).status is status


def test_a_refusal_is_never_turned_into_concurrent_tx(desk):
    sample = desk.start().transaction
    blocked = TagDecision(TagStatus.BLOCKED, concurrent_limit=1)
    assert limit_concurrency(blocked, [sample], "CPZ", 1) is blocked


def test_a_refused_transaction_elsewhere_does_not_count(desk):
    refused = desk.start(status=TagStatus.CONCURRENT_TX).transaction
    decision = TagDecision(TagStatus.ACCEPTED, concurrent_limit=1)
    assert limit_concurrency(decision, [refused], "CPZ", 1).status is TagStatus.ACCEPTED
