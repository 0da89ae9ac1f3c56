"""Judges the frames of one connection, both directions, against the rules of OCPP 1.6-J.

Pure: no clock, no I/O. The same judge serves the live logger and `validate`.
"""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from hashlib import blake2b
from typing import Any

import msgspec

from gway.projects.ocpp.messages.catalogue import (
    CENTRAL_SYSTEM_ACTIONS,
    CHARGE_POINT_ACTIONS,
)
from gway.projects.ocpp.messages.codec import REQUESTS, RESPONSES, Codec
from gway.projects.ocpp.messages.examine import load_json
from gway.projects.ocpp.messages.faults import ERROR_CODES, Violation, shorten
from gway.projects.ocpp.messages.framing import MAX_ID, Call, CallError, CallResult, parse_frame
from gway.projects.ocpp.messages.payloads_central import TriggerMessage
from gway.projects.ocpp.messages.payloads_charger import BootNotificationConf
from gway.projects.ocpp.messages.shapes import Payload
from gway.projects.ocpp.sink.book import ChargerBook, Memo, memo_of
from gway.projects.ocpp.sink.clockwork import judge_times
from gway.projects.ocpp.sink.verdicts import Finding, Kind, finding, paragraph_of

LATE_AFTER_S = 30.0
KEPT_IDS = 1_000
KEPT_CALLS = 64
MAX_FAULTS = 20
LONGEST_ACTION = 60
LONGEST_KEY = 64


class Asked(msgspec.Struct, gc=False):
    """A CALL that waits for its answer; `told` when another one overtook it.

    :param name: its message id, for people
    """

    action: str
    name: str
    at: datetime | None
    memo: Memo = None
    told: bool = False


class Judged(msgspec.Struct, gc=False):
    """What a frame is; `action` of an answer is that of its call, `latency_ms` its age."""

    type: Kind
    action: str = ""
    message_id: str = ""
    latency_ms: float | None = None
    findings: list[Finding] = []
    code: str = ""


class _Side:
    """What one side has asked on this connection."""

    __slots__ = ("answered", "pending", "used")

    def __init__(self) -> None:
        self.pending: OrderedDict[str, Asked] = OrderedDict()
        self.used: OrderedDict[str, None] = OrderedDict()
        self.answered: OrderedDict[str, None] = OrderedDict()


class Conversation:
    """One connection of a charger, from its opening on.

    :param book: what is known of the charger
    :param late_after_s: age of a call from which its answer is late
    :param ocpp16: judge actions and payloads, too; without, only the frames of OCPP-J
    """

    def __init__(
        self, book: ChargerBook, *, late_after_s: float = LATE_AFTER_S, ocpp16: bool = True
    ) -> None:
        self.book = book
        self._late_after_s = late_after_s
        self._ocpp16 = ocpp16
        self._sides = {"in": _Side(), "out": _Side()}
        self._missed_boot = False

    def judge(self, data: bytes | str, direction: str, at: datetime | None = None) -> Judged:
        """Judge one frame and remember what later ones need.

        :param data: the text of one WebSocket message
        :param direction: "in" from the charger, "out" to it
        :param at: when it passed, aware; None when that is not known
        """
        frame = parse_frame(data)
        if isinstance(frame, Call):
            return self._call(frame, direction, at)
        if isinstance(frame, CallResult | CallError):
            return self._answer(frame, data, direction, at)
        message_id = frame.message_id or frame.reply_to or ""
        side = self._sides["out" if direction == "in" else "in"]
        asked = side.pending.pop(_key(message_id), None)
        said = finding("framing", frame.rule)
        return Judged("junk", asked.action if asked else "", message_id, None, [said])

    def asks(self, message_id: str) -> str | None:
        """Tell who waits for an answer with this id: "in" the charger, "out" the other side."""
        for direction, side in self._sides.items():
            if _key(message_id) in side.pending:
                return direction
        return None

    def unanswered(self) -> list[tuple[str, str]]:
        """List the calls that wait for an answer: direction and action."""
        return [
            (direction, asked.action)
            for direction, side in self._sides.items()
            for asked in side.pending.values()
        ]

    # --- calls ------------------------------------------------------------------

    def _call(self, call: Call, direction: str, at: datetime | None) -> Judged:
        side = self._sides[direction]
        found = self._ids(call.message_id, side, at)
        action = call.action
        asked = Asked(action[:LONGEST_ACTION], shorten(call.message_id), at)
        if self._ocpp16:
            payload = self._request(action, call.payload, direction, at, found)
            asked.memo = None if payload is None else memo_of(payload)
        _keep(side.pending, _key(call.message_id), asked, KEPT_CALLS)
        return Judged("call", asked.action, call.message_id, None, found)

    def _ids(self, message_id: str, side: _Side, at: datetime | None) -> list[Finding]:
        found: list[Finding] = []
        if len(message_id) > MAX_ID:
            text = f"the message id has {len(message_id)} characters, at most {MAX_ID} allowed"
            found.append(finding("message-id-length", text))
        key = _key(message_id)
        if key in side.used:
            text = "this message id was used before on this connection"
            found.append(finding("duplicate-id", text))
        for other, asked in side.pending.items():
            if asked.told or other == key:
                continue
            asked.told = True  # one that is never answered is told once
            if not self._given_up(asked, at):
                text = f"{asked.action} {asked.name} was not answered yet"
                found.append(finding("call-in-flight", text))
        _keep(side.used, key, None, KEPT_IDS)
        return found

    def _given_up(self, asked: Asked, at: datetime | None) -> bool:
        """Tell whether a call is so old that its sender need not wait any longer."""
        age_s = _age_s(asked, at)
        return age_s is not None and age_s > self._late_after_s

    def _request(
        self, action: str, raw: Any, direction: str, at: datetime | None, found: list[Finding]
    ) -> Payload | None:
        codec = REQUESTS.get(action)
        if codec is None:
            text = f"{shorten(action)} is no action of OCPP 1.6"
            found.append(finding("unknown-action", text))
            return None
        allowed = CHARGE_POINT_ACTIONS if direction == "in" else CENTRAL_SYSTEM_ACTIONS
        if action not in allowed:
            who = "a charge point" if direction == "in" else "a central system"
            found.append(finding("wrong-side", f"{action} is nothing that {who} asks"))
        payload = _read(codec, raw, paragraph_of(action, answer=False), found)
        if payload is None:
            return None
        found += judge_times(payload, at if direction == "in" else None)
        if direction == "in":
            self._boot(action, found)
            found += self.book.judge_call(action, payload)
        elif isinstance(payload, TriggerMessage) and (
            payload.requested_message in CHARGE_POINT_ACTIONS
        ):
            self.book.triggered.add(payload.requested_message)
        return payload

    def _boot(self, action: str, found: list[Finding]) -> None:
        if self.book.boot or self._missed_boot or action == "BootNotification":
            return
        self._missed_boot = True  # told once: all that follow would be guilty of the same
        text = f"{action} before any BootNotification of this charger was answered"
        found.append(finding("boot-first", text))

    # --- answers ------------------------------------------------------------------

    def _answer(
        self,
        answer: CallResult | CallError,
        data: bytes | str,
        direction: str,
        at: datetime | None,
    ) -> Judged:
        side = self._sides["out" if direction == "in" else "in"]
        key = _key(answer.message_id)
        asked = side.pending.pop(key, None)
        kind: Kind = "result" if isinstance(answer, CallResult) else "error"
        judged = Judged(kind, message_id=answer.message_id, findings=[])
        if isinstance(answer, CallError):
            judged.code = answer.code[:LONGEST_ACTION]
            judged.findings += _judge_code(data)
        if asked is None:
            rule = "answered-twice" if key in side.answered else "answer-without-call"
            text = "this id was answered before" if rule == "answered-twice" else "nobody asked"
            judged.findings.insert(0, finding(rule, text))
            return judged
        _keep(side.answered, key, None, KEPT_IDS)
        judged.action = asked.action
        age_s = _age_s(asked, at)
        if age_s is not None:
            judged.latency_ms = round(age_s * 1000, 1)
            if age_s > self._late_after_s:
                text = f"after {age_s:.1f} s, {self._late_after_s:g} s are allowed"
                judged.findings.append(finding("late-answer", text))
        codec = RESPONSES.get(asked.action)
        if self._ocpp16 and codec is not None and isinstance(answer, CallResult):
            self._result(asked, codec, answer, direction, judged.findings)
        return judged

    def _result(
        self, asked: Asked, codec: Codec, answer: CallResult, direction: str, found: list[Finding]
    ) -> None:
        paragraph = paragraph_of(asked.action, answer=True)
        payload = _read(codec, answer.payload, paragraph, found)
        if payload is None:
            return
        found += judge_times(payload, None)
        if direction == "out":
            if isinstance(payload, BootNotificationConf):
                self.book.boot = payload.status[:LONGEST_ACTION]
            self.book.answered(asked.memo, payload)


def _read(codec: Codec, raw: Any, paragraph: str, found: list[Finding]) -> Payload | None:
    """Read a payload, or the nearest to it, and add its faults to the findings."""
    try:
        payload, faults = codec.read(raw)
    except Violation as violation:
        found.append(Finding(f"schema.{violation.rule}", paragraph, violation.description))
        return None
    for fault in faults[:MAX_FAULTS]:
        found.append(Finding(f"schema.{fault.rule}", paragraph, fault.text, fault.path))
    return payload


def _judge_code(data: bytes | str) -> list[Finding]:
    """Look at the code of a CALLERROR as it was spelled; the parser is more generous."""
    try:
        frame = load_json(data)
    except (ValueError, RecursionError):
        return []
    if not isinstance(frame, list) or len(frame) < 3:
        return []
    found = []
    if frame[2] not in ERROR_CODES:
        text = f"{shorten(frame[2])} is no error code of OCPP 1.6"
        found.append(finding("error-code", text))
    if len(frame) != 5 or not isinstance(frame[3], str) or not isinstance(frame[4], dict):
        text = "a CALLERROR is [4, id, code, description, {details}]"
        found.append(finding("framing", text))
    return found


def _age_s(asked: Asked, at: datetime | None) -> float | None:
    if at is None or asked.at is None:
        return None
    return max(0.0, (at - asked.at).total_seconds())


def _key(message_id: str) -> str:
    """Give what is remembered of a message id, which may be as long as a frame."""
    if len(message_id) <= LONGEST_KEY:
        return message_id
    return blake2b(message_id.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def _keep(kept: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    """Remember something, and forget the oldest of too much."""
    kept[key] = value
    if len(kept) > most:
        kept.popitem(last=False)
