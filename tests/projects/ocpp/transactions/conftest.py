"""Short ways to say what a charger said."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from gway.projects.ocpp.facts import TagDecision, TagStatus, Transaction
from gway.projects.ocpp.transactions.ledger import Ledger
from gway.projects.ocpp.transactions.words import (
    Metered,
    MeterWords,
    Recall,
    Started,
    StartWords,
    Stopped,
    StopWords,
)

NOON = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)


class Desk:
    """A ledger with a clock and a memory of everything, as a store would have it."""

    def __init__(self, charger_id: str = "CPX") -> None:
        self.now = NOON
        self.ids: Iterator[int] = count(1)
        self.store: dict[int, Transaction] = {}
        self.charger_id = charger_id
        self.restart()

    def restart(self) -> None:
        """Forget everything but the store."""
        held = [
            one
            for one in self.store.values()
            if one.state == "open" and one.charger_id == self.charger_id
        ]
        recall = Recall(self.store.get, self._recall_start, self._recall_stop)
        self.ledger = Ledger(self.charger_id, held, recall)

    def _recall_start(self, charger_id: str, words: StartWords) -> Transaction | None:
        for one in self.store.values():
            if (
                one.charger_id == charger_id
                and one.start_time_raw == words.time_raw
                and one.connector_id == words.connector_id
                and one.id_tag.casefold() == words.id_tag.casefold()
                and one.meter_start_wh == words.meter_start_wh
            ):
                return one
        return None

    def _recall_stop(self, charger_id: str, words: StopWords) -> Transaction | None:
        for one in self.store.values():
            if (one.charger_id, one.stop_time_raw) == (charger_id, words.time_raw):
                return one
        return None

    def later(self, minutes: float) -> None:
        self.now += timedelta(minutes=minutes)

    def start(
        self,
        connector_id: int = 1,
        id_tag: str = "ADA",
        meter_wh: int = 1_000,
        ago_min: float = 0,
        status: TagStatus = TagStatus.ACCEPTED,
        **more: Any,
    ) -> Started:
        time = self.now - timedelta(minutes=ago_min)
        words: dict[str, Any] = {
            "connector_id": connector_id,
            "id_tag": id_tag,
            "meter_start_wh": meter_wh,
            "time": time,
            "time_raw": time.isoformat(),
        }
        spoken = StartWords(**(words | more))
        known = self.ledger.find_start(spoken)
        if known is not None:
            return Started(known)
        started = self.ledger.start(spoken, TagDecision(status), next(self.ids), self.now)
        for closing in started.closed:
            self.store[closing.transaction.transaction_id] = closing.transaction
        self.store[started.transaction.transaction_id] = started.transaction
        return started

    def meter(
        self,
        transaction_id: int | None,
        energy_wh: int | None = None,
        connector_id: int = 1,
        ago_min: float = 0,
        **more: Any,
    ) -> Metered:
        words: dict[str, Any] = {
            "connector_id": connector_id,
            "transaction_id": transaction_id,
            "raw": b"[]",
            "time": self.now - timedelta(minutes=ago_min),
            "energy_wh": energy_wh,
        }
        metered = self.ledger.meter(MeterWords(**(words | more)), self.now)
        if metered.transaction is not None:
            self.store[metered.transaction.transaction_id] = metered.transaction
        return metered

    def stop(
        self, transaction_id: int, meter_wh: int = 4_500, ago_min: float = 0, **more: Any
    ) -> Stopped:
        time = self.now - timedelta(minutes=ago_min)
        words: dict[str, Any] = {
            "transaction_id": transaction_id,
            "meter_stop_wh": meter_wh,
            "time": time,
            "time_raw": time.isoformat(),
        }
        stopped = self.ledger.stop(StopWords(**(words | more)), self.now)
        if stopped.transaction is not None:
            self.store[stopped.transaction.transaction_id] = stopped.transaction
        return stopped


def data_of(energy_wh: int | None) -> MeterWords:
    """Make the transactionData of a stop."""
    return MeterWords(
        connector_id=0, transaction_id=None, raw=b"[{}]", time=NOON, energy_wh=energy_wh
    )


@pytest.fixture
def desk() -> Desk:
    return Desk()
