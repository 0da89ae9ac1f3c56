"""Answers a charger so that it goes on, whatever it asks: every tag, every start is accepted.

What is malformed gets the CALLERROR that OCPP-J wants; a money message with its required
fields is answered however odd it is, as a central system has to (SPEC 4.7, 4.8, 4.10).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from datetime import datetime

from gway.projects.ocpp.messages import payloads_charger as charger
from gway.projects.ocpp.messages.catalogue import CHARGE_POINT_ACTIONS, MONEY_ACTIONS
from gway.projects.ocpp.messages.codec import (
    RESPONSES,
    decode_request,
    encode_error,
    encode_result,
    salvage,
)
from gway.projects.ocpp.messages.faults import PROTOCOL, Violation
from gway.projects.ocpp.messages.framing import Call, parse_frame
from gway.projects.ocpp.messages.shapes import IdTagInfo, Payload
from gway.projects.ocpp.messages.times import format_time

REMEMBERED_STARTS = 1_000
REMEMBERED = 8  # answers of a connection, for a call that is sent again
LONGEST_REMEMBERED = 255
EPOCH_S = 1_577_836_800  # 2020: ids counted in seconds from then fit OCPP's integers until 2088

Words = tuple[object, ...]


class TransactionIds:
    """Fresh transaction ids without a file: a run begins at its time in seconds.

    More than one start per second on average, over a run, would be needed to meet an id again.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._next = max(1, int(now().timestamp()) - EPOCH_S)
        self._given: OrderedDict[int, int] = OrderedDict()

    def of(self, words: Words) -> int:
        """Give the id of a start; the same one again if the charger repeats itself."""
        key = hash(words)  # of texts that may be long
        found = self._given.get(key)
        if found is None:
            found = self._given[key] = self._next
            self._next += 1
            if len(self._given) > REMEMBERED_STARTS:
                self._given.popitem(last=False)
        return found


class Answers:
    """The answers to one charger on one connection."""

    def __init__(
        self,
        charger_id: str,
        ids: TransactionIds,
        now: Callable[[], datetime],
        interval_s: int,
    ) -> None:
        self._charger_id = charger_id
        self._ids = ids
        self._now = now
        self._interval_s = interval_s
        self._given: OrderedDict[str, tuple[int, bytes]] = OrderedDict()

    def to(self, data: bytes) -> bytes | None:
        """Give the answer to a frame; None if it is to be left without one."""
        frame = parse_frame(data)
        if isinstance(frame, Call):
            return self._once(frame, data)
        message_id = getattr(frame, "message_id", None)
        code = getattr(frame, "rule", None)
        if code is None or message_id is None:  # an answer, or one that cannot be answered
            return None
        return encode_error(message_id, frame.code, frame.rule)  # type: ignore[union-attr]

    def _once(self, call: Call, data: bytes) -> bytes:
        """Answer a call; the same bytes again get the same answer again."""
        known = self._given.get(call.message_id)
        if known is not None:
            if known[0] == hash(data):
                return known[1]
            return encode_error(call.message_id, PROTOCOL, "this message id was used before")
        text = self._answer(call)
        if len(call.message_id) <= LONGEST_REMEMBERED:
            self._given[call.message_id] = (hash(data), text)
            if len(self._given) > REMEMBERED:
                self._given.popitem(last=False)
        return text

    def _answer(self, call: Call) -> bytes:
        try:
            if call.action in MONEY_ACTIONS:
                payload, _ = salvage(call.action, call.payload)
            else:
                payload = decode_request(call.action, call.payload, CHARGE_POINT_ACTIONS)
            return encode_result(call.message_id, self._payload(call.action, payload))
        except Violation as violation:
            return encode_error(call.message_id, violation.code, violation.description)

    def _payload(self, action: str, asked: Payload) -> Payload:
        accepted = IdTagInfo(status="Accepted")
        match asked:
            case charger.BootNotification():
                return charger.BootNotificationConf(
                    "Accepted", format_time(self._now()), self._interval_s
                )
            case charger.Heartbeat():
                return charger.HeartbeatConf(format_time(self._now()))
            case charger.Authorize():
                return charger.AuthorizeConf(accepted)
            case charger.StartTransaction():
                words = (self._charger_id, asked.connector_id, asked.id_tag)
                again = (*words, asked.meter_start, asked.timestamp)
                return charger.StartTransactionConf(accepted, self._ids.of(again))
            case charger.StopTransaction():
                return charger.StopTransactionConf(accepted if asked.id_tag else None)
            case charger.DataTransfer():
                return charger.DataTransferConf("Accepted")
            case charger.SignCertificate():
                return charger.SignCertificateConf("Rejected")  # nobody here signs anything
        return RESPONSES[action].cls()
