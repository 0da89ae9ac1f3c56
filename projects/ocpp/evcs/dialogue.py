"""The frames of a charge point: what comes in, what answers it, what goes out; pure."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from gway.projects.ocpp.evcs.calls import Outbox
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS
from gway.projects.ocpp.messages.codec import (
    decode_request,
    decode_response,
    encode_call,
    encode_error,
    encode_result,
)
from gway.projects.ocpp.messages.faults import PROTOCOL, SECURITY, Violation
from gway.projects.ocpp.messages.framing import Call, CallError, CallResult, Junk, parse_frame
from gway.projects.ocpp.messages.shapes import Payload

ANSWERS_KEPT = 32
"""Answers kept for a CALL that is sent again."""


@dataclass(slots=True)
class Dialogue:
    """One side of an OCPP-J conversation.

    :param serve: makes the answer to a valid request; may raise Violation
    :param stranger: called when the central system says that it does not know us
    """

    outbox: Outbox
    serve: Callable[[str, Payload, datetime], Payload]
    stranger: Callable[[datetime], None]
    send: Callable[[bytes], None]
    note: Callable[[str], None]
    counts: Counter[str] = field(default_factory=Counter)
    last: str = ""
    _answered: OrderedDict[str, tuple[bytes, bytes]] = field(default_factory=OrderedDict)

    def begin(self) -> None:
        """Start anew on a fresh link: message ids count per connection (SPEC-J 4.1.4)."""
        self._answered.clear()

    def pump(self, now: datetime, accepted: bool) -> None:
        """Send the next call of ours, if one may be sent."""
        entry = self.outbox.take(now, accepted)
        if entry is not None:
            self.send(encode_call(entry.message_id, entry.action, entry.build()))
            self.counts[entry.action] += 1
            self.last = entry.action

    def received(self, raw: bytes, now: datetime) -> list[bytes]:
        """Take a frame in; return the answers, which go before everything else."""
        frame = parse_frame(raw)
        if isinstance(frame, Call):
            return [self._serve(frame, raw, now)]
        if isinstance(frame, CallResult):
            self._take_result(frame, now)
        elif isinstance(frame, CallError):
            self._take_error(frame, now)
        else:
            return self._take_junk(frame, now)
        return []

    def _take_result(self, frame: CallResult, now: datetime) -> None:
        entry = self.outbox.settle(frame.message_id)
        if entry is None:
            return
        try:
            answer = decode_response(entry.action, frame.payload)
        except Violation as fault:
            self.note(f"{entry.action} got a bad answer: {fault.description}")
            self.outbox.reject(entry, "answered badly", now)
            return
        if entry.answered is not None:
            entry.answered(answer, now)

    def _take_error(self, frame: CallError, now: datetime) -> None:
        entry = self.outbox.settle(frame.message_id)
        if entry is None:
            return
        self.note(f"{entry.action} was answered {frame.code}")
        if frame.code != SECURITY or entry.action == "BootNotification":
            self.outbox.reject(entry, f"refused ({frame.code})", now)
            return
        # ERR-J 3.8: it does not know us (any more); introduce ourselves, then go on.
        if entry.money:
            self.outbox.put(entry, first=True)
        else:
            self.outbox.reject(entry, "not accepted", now)
        self.stranger(now)

    def _take_junk(self, junk: Junk, now: datetime) -> list[bytes]:
        self.counts["junk"] += 1
        if junk.reply_to is not None:
            entry = self.outbox.settle(junk.reply_to)
            if entry is not None:
                self.outbox.reject(entry, "answered badly", now)
        elif junk.message_id is not None:
            return [encode_error(junk.message_id, junk.code, junk.rule)]
        return []

    def _serve(self, call: Call, raw: bytes, now: datetime) -> bytes:
        known = self._answered.get(call.message_id)
        if known is not None:
            if known[0] == raw:
                return known[1]
            return encode_error(call.message_id, PROTOCOL, "this message id was used before")
        self.last = call.action
        answer = self._answer(call, now)
        self._answered[call.message_id] = (raw, answer)
        if len(self._answered) > ANSWERS_KEPT:
            self._answered.popitem(last=False)
        return answer

    def _answer(self, call: Call, now: datetime) -> bytes:
        try:
            request = decode_request(call.action, call.payload, CENTRAL_SYSTEM_ACTIONS)
            answer = self.serve(call.action, request, now)
        except Violation as fault:
            return encode_error(call.message_id, fault.code, fault.description)
        self.note(f"{call.action}: {getattr(answer, 'status', 'done')}")
        return encode_result(call.message_id, answer)
