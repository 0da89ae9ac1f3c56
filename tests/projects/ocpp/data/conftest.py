"""A site without sockets: facts are told to the store as the central system tells them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gway.projects.ocpp.data.store import Store
from gway.projects.ocpp.facts import Reading, Transaction
from gway.projects.ocpp.receipts import Receipt
from gway.resolver import Gateway, install

START = datetime(2024, 5, 17, 12, 0, tzinfo=UTC)


def iso(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def meter_value(time: datetime | str, *values: dict[str, str]) -> dict[str, Any]:
    return {
        "timestamp": time if isinstance(time, str) else iso(time),
        "sampledValue": list(values),
    }


def power_sample(watts: float) -> dict[str, str]:
    return {"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"}


class Site:
    """Tells facts to a gateway's store and settles their receipts."""

    def __init__(self, workspace: Path) -> None:
        self.at = START
        self.gateway = self._begin(workspace)

    def _begin(self, workspace: Path) -> Gateway:
        gateway = Gateway(workspace, now=lambda: self.at)
        install(gateway)
        gateway.load("ocpp.data")
        return gateway

    @property
    def store(self) -> Store:
        return self.gateway.service(Store)

    @property
    def records(self) -> Path:
        return self.gateway.workspace.root / "work" / "ocpp" / "records"

    def advance(self, **amount: float) -> datetime:
        self.at += timedelta(**amount)
        return self.at

    def tell(self, fact: str, **words: Any) -> None:
        """Tell a fact that carries no receipt."""
        assert self.gateway.plugins.emit(fact, **words) == 0

    def settle(self, fact: str, **words: Any) -> list[BaseException | None]:
        """Tell a money fact and give what the charger's answer would depend on."""
        receipt = Receipt()
        self.gateway.plugins.emit(fact, **words, at=self.at, receipt=receipt)
        outcome: list[BaseException | None] = []
        receipt.settle(outcome.append)
        return outcome

    def ask(self, decision: str, **words: Any) -> Any:
        return self.gateway.plugins.decide(decision, **words)

    def query(self, sql: str, *params: object) -> list[dict[str, Any]]:
        return self.store.database.query(sql, params)

    # --- sessions ------------------------------------------------------------

    def start(self, charger_id: str = "CPX", **words: Any) -> Transaction:
        given: dict[str, Any] = {
            "transaction_id": words.get("transaction_id")
            or self.ask("ocpp_next_transaction_id", charger_id=charger_id),
            "charger_id": charger_id,
            "connector_id": 1,
            "id_tag": "TAG1",
            "meter_start_wh": 1_000,
            "start_time": self.at,
            "start_time_raw": iso(self.at),
            "started_at": self.at,
        }
        transaction = Transaction(**{**given, **words})
        assert self.settle("ocpp_transaction_started", transaction=transaction) == [None]
        return transaction

    def meter(
        self, transaction: Transaction, energy_wh: int, *values: dict[str, str], **words: Any
    ) -> Transaction:
        after = msgspec.structs.replace(
            transaction,
            last_energy_wh=energy_wh,
            power_w=7_200.0,
            last_sample_at=self.at,
            last_sample_time=self.at,
        )
        reading = self.reading(transaction, energy_wh, *values, **words)
        outcome = self.settle("ocpp_meter_values_received", reading=reading, transaction=after)
        assert outcome == [None]
        return after

    def reading(
        self, transaction: Transaction, energy_wh: int, *values: dict[str, str], **words: Any
    ) -> Reading:
        content = [meter_value(self.at, {"value": str(energy_wh)}, *values)]
        given: dict[str, Any] = {
            "charger_id": transaction.charger_id,
            "connector_id": transaction.connector_id,
            "transaction_id": transaction.transaction_id,
            "inferred": False,
            "raw": json.dumps(content).encode(),
            "samples_time": self.at,
            "at": self.at,
            "energy_wh": energy_wh,
            "power_w": 7_200.0,
        }
        return Reading(**{**given, **words})

    def stop(
        self,
        transaction: Transaction,
        meter_stop_wh: int = 4_500,
        reading: Reading | None = None,
        **words: Any,
    ) -> Transaction:
        given: dict[str, Any] = {
            "state": "stopped",
            "stop_id_tag": transaction.id_tag,
            "meter_stop_wh": meter_stop_wh,
            "stop_time": self.at,
            "stop_time_raw": iso(self.at),
            "stopped_at": self.at,
            "stop_reason": "Local",
            "energy_wh": meter_stop_wh - transaction.meter_start_wh,
            "energy_source": "registers",
        }
        stopped = msgspec.structs.replace(transaction, **{**given, **words})
        outcome = self.settle("ocpp_transaction_stopped", transaction=stopped, reading=reading)
        assert outcome == [None]
        return stopped

    def session(self, charger_id: str = "CPX", energy_wh: int = 3_500, **words: Any) -> Transaction:
        """Charge for an hour with a reading in the middle."""
        started = self.start(charger_id, **words)
        self.advance(minutes=30)
        metered = self.meter(started, started.meter_start_wh + energy_wh // 2)
        self.advance(minutes=30)
        return self.stop(metered, started.meter_start_wh + energy_wh)

    def restart(self) -> None:
        """End the process, as far as the store can tell."""
        self.gateway.close()
        self.gateway = self._begin(self.gateway.workspace.root)


@pytest.fixture
def site(workspace: Path) -> Iterator[Site]:
    before = install(None)
    made = Site(workspace)
    yield made
    made.gateway.close()
    install(before)
