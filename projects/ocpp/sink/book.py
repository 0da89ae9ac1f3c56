"""What is known of one charger over its connections, and the rules that need it.

Pure and bounded: times come with the frames, and what is too much is forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Any

import msgspec

from gway.projects.ocpp.messages.faults import shorten
from gway.projects.ocpp.messages.payloads_charger import (
    MeterValues,
    StartTransaction,
    StatusNotification,
    StopTransaction,
)
from gway.projects.ocpp.messages.shapes import Payload
from gway.projects.ocpp.messages.times import parse_time
from gway.projects.ocpp.sink.verdicts import Finding, finding

KEPT_TRANSACTIONS = 300
KEPT_CHARGERS = 1_000
UNKNOWN_ID = -1  # ERR 3.18: the charger never learned the id
OF_THE_WHOLE = frozenset({"Available", "Unavailable", "Faulted"})
ACCEPTED = "Accepted"


class Known(msgspec.Struct, gc=False):
    """A transaction as its start told it; `stopping` once it was stopped, `ended` once answered.

    :param words: a hash of the start, which is the same when it is sent again; chargers may
        write texts of any length
    """

    connector_id: int
    meter_start: int
    start_time: datetime | None
    words: int
    stopping: bool = False
    ended: bool = False


#: What is kept of a call until its answer: of a start the transaction, of a stop its id.
Memo = Known | int | None


class ChargerBook:
    """One charger: whether it was accepted, and its transactions."""

    __slots__ = ("boot", "transactions", "triggered")

    def __init__(self) -> None:
        self.boot = ""  # the status of the last BootNotification.conf
        self.transactions: OrderedDict[int, Known] = OrderedDict()
        self.triggered: set[str] = set()

    def judge_call(self, action: str, payload: Payload) -> list[Finding]:
        """Find what a charger's call breaks, by what was said before."""
        found: list[Finding] = []
        if self.boot not in ("", ACCEPTED) and action != "BootNotification":
            if action not in self.triggered:
                text = f"BootNotification was answered {self.boot}, nothing but it may be sent"
                found.append(finding("not-accepted", text))
            self.triggered.discard(action)
        judge = _JUDGES.get(type(payload))
        if judge is not None:
            judge(self, payload, found)
        return found

    def _status(self, payload: StatusNotification, found: list[Finding]) -> None:
        if payload.connector_id == 0 and payload.status not in OF_THE_WHOLE:
            text = f"{shorten(payload.status)} is no status of the whole charge point (connector 0)"
            found.append(finding("status-of-whole", text, "status"))

    def _start(self, payload: StartTransaction, found: list[Finding]) -> None:
        if payload.connector_id == 0:
            text = "a transaction is on a connector, numbered from 1"
            found.append(finding("start-on-whole", text, "connectorId"))
        for transaction_id, one in self.transactions.items():
            if one.ended or one.stopping or one.connector_id != payload.connector_id:
                continue
            if one.words != _start_words(payload):  # sent again, it is the same transaction
                text = f"transaction {transaction_id} on this connector was not stopped"
                found.append(finding("start-while-open", text, "connectorId"))

    def _stop(self, payload: StopTransaction, found: list[Finding]) -> None:
        known = self._find(payload.transaction_id, found)
        if known is None:
            return
        if known.ended:
            text = f"transaction {payload.transaction_id} was stopped, and that was answered"
            found.append(finding("stop-twice", text, "transactionId"))
        known.stopping = True
        if payload.meter_stop < known.meter_start:
            text = f"{payload.meter_stop} Wh, less than {known.meter_start} Wh at the start"
            found.append(finding("meter-backwards", text, "meterStop"))
        self._order(payload.timestamp, known, "timestamp", found)

    def _meter(self, payload: MeterValues, found: list[Finding]) -> None:
        transaction_id = payload.transaction_id
        if not isinstance(transaction_id, int):
            return
        known = self._find(transaction_id, found)
        if known is None:
            return
        if known.ended:
            text = f"transaction {transaction_id} was stopped before"
            found.append(finding("ended-transaction", text, "transactionId"))
        if payload.connector_id != known.connector_id:
            text = f"transaction {transaction_id} is on connector {known.connector_id}"
            found.append(finding("wrong-connector", text, "connectorId"))
        for index, value in enumerate(payload.meter_value[:1]):
            self._order(value.timestamp, known, f"meterValue[{index}].timestamp", found)

    def _find(self, transaction_id: int, found: list[Finding]) -> Known | None:
        known = self.transactions.get(transaction_id)
        if known is None and transaction_id != UNKNOWN_ID:
            text = f"no start of transaction {transaction_id} was seen"
            found.append(finding("unknown-transaction", text, "transactionId"))
        return known

    def _order(self, time: str, known: Known, path: str, found: list[Finding]) -> None:
        at = parse_time(time)
        if at is not None and known.start_time is not None and at < known.start_time:
            found.append(finding("time-order", f"{shorten(time)} is before the start", path))

    # --- answers ----------------------------------------------------------------

    def answered(self, memo: Memo, answer: Any) -> None:
        """Learn from the answer to a charger's call.

        :param memo: what `memo_of` gave of the call
        :param answer: the payload of the CALLRESULT
        """
        if isinstance(memo, Known):
            self.transactions.setdefault(answer.transaction_id, memo)
            if len(self.transactions) > KEPT_TRANSACTIONS:
                self.transactions.popitem(last=False)
        elif memo is not None:
            known = self.transactions.get(memo)
            if known is not None:
                known.ended = True


def memo_of(payload: Payload) -> Memo:
    """Give what has to be kept of a call until its answer comes, and no more."""
    if isinstance(payload, StartTransaction):
        return Known(
            payload.connector_id,
            payload.meter_start,
            parse_time(payload.timestamp),
            _start_words(payload),
        )
    return payload.transaction_id if isinstance(payload, StopTransaction) else None


def _start_words(start: StartTransaction) -> int:
    return hash((start.connector_id, start.id_tag, start.meter_start, start.timestamp))


_JUDGES: dict[type, Any] = {
    StatusNotification: ChargerBook._status,
    StartTransaction: ChargerBook._start,
    StopTransaction: ChargerBook._stop,
    MeterValues: ChargerBook._meter,
}


class Library:
    """The books of all chargers; of very many, those heard of least recently are forgotten."""

    def __init__(self) -> None:
        self._books: OrderedDict[str, ChargerBook] = OrderedDict()

    def of(self, charger: str) -> ChargerBook:
        """Give the book of a charger."""
        book = self._books.get(charger)
        if book is None:
            book = self._books[charger] = ChargerBook()
            if len(self._books) > KEPT_CHARGERS:
                self._books.popitem(last=False)
        else:
            self._books.move_to_end(charger)
        return book
