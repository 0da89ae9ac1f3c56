"""Chargers that do anything at any time, against a model of what has to be kept."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from gway.projects.ocpp.data import codec, schema
from gway.projects.ocpp.data.ids import TransactionIds
from gway.projects.ocpp.transactions.ledger import Ledger
from gway.projects.sql.writer import DirectWriter
from gway.resolver import install

HERE = str(Path(__file__).resolve().parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from csms_machine import Chargers  # noqa: E402

BOUND = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
# To find a planted bug is enough: nobody needs its shortest example.
HUNT = settings(BOUND, phases=[Phase.generate], report_multiple_bugs=False)


@pytest.fixture
def machine(make_site: Any, workspace: Path) -> Iterator[Callable[[], Chargers]]:
    """Make state machines, each in a folder of its own."""
    numbers = itertools.count()
    before = install(None)
    yield lambda: Chargers(make_site, workspace / str(next(numbers)))
    install(before)


def test_whatever_chargers_do_is_kept_once_and_answered_once(machine: Any) -> None:
    run_state_machine_as_test(machine, settings=BOUND)


# --- the machine itself -------------------------------------------------------

Plant = Callable[[pytest.MonkeyPatch], None]


def no_deduplication(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "find_start", lambda self, words: None)
    index = "CREATE UNIQUE INDEX transaction_starts"
    assert index in schema.FIRST
    steps = (schema.FIRST.replace(index, "CREATE INDEX x"), *schema.STEPS[1:])
    patch.setattr(schema, "STEPS", steps)


def answer_before_commit(patch: pytest.MonkeyPatch) -> None:
    submit = DirectWriter.submit

    def answer_first(self: DirectWriter, unit: Any, done: Any) -> None:
        done(None)
        submit(self, unit, lambda error: None)

    patch.setattr(DirectWriter, "submit", answer_first)


def anybody_stops(patch: pytest.MonkeyPatch) -> None:
    find = Ledger.find

    def find_any(self: Ledger, transaction_id: int) -> Any:
        return find(self, transaction_id) or self.recall.transaction(transaction_id)

    patch.setattr(Ledger, "find", find_any)


def last_stop_wins(patch: pytest.MonkeyPatch) -> None:
    stop = Ledger.stop

    def stop_again(self: Ledger, words: Any, at: datetime) -> Any:
        known = self.find(words.transaction_id)
        if known is not None and known.stop_time_raw != words.time_raw:
            self._remember(msgspec.structs.replace(known, state="open"))
        return stop(self, words, at)

    patch.setattr(Ledger, "stop", stop_again)


def ids_begin_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(TransactionIds, "_reserve_now", lambda self: 1)


def readings_twice(patch: pytest.MonkeyPatch) -> None:
    assert codec.INSERT_READING_ONCE != codec.INSERT_READING
    patch.setattr(codec, "INSERT_READING_ONCE", codec.INSERT_READING)


def lost_ids_are_not_matched(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Ledger, "_match_stop", lambda self, words: (None, "nobody looked"))


@pytest.mark.parametrize(
    "plant",
    [
        no_deduplication,
        answer_before_commit,
        anybody_stops,
        last_stop_wins,
        ids_begin_again,
        readings_twice,
        lost_ids_are_not_matched,
    ],
    ids=lambda plant: plant.__name__,
)
def test_the_machine_finds(machine: Any, monkeypatch: pytest.MonkeyPatch, plant: Plant) -> None:
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=HUNT)
