"""One connection of a charger: what comes in, what goes out, whose turn it is."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec import Raw
from msgspec.json import encode

from gway.projects.ocpp.csms.charger import PENDING, REJECTED, Charger
from gway.projects.ocpp.csms.effects import Event
from gway.projects.ocpp.csms.money import Settlement
from gway.projects.ocpp.csms.runtime import LARGE, LARGE_COUNTS
from gway.projects.ocpp.facts import Direction, Frame, Link
from gway.projects.ocpp.messages.catalogue import DURABLE_ACTIONS, MONEY_ACTIONS, SERVED
from gway.projects.ocpp.messages.codec import (
    decode_request,
    encode_error,
    encode_result,
    salvage,
)
from gway.projects.ocpp.messages.faults import INTERNAL, PROTOCOL, SECURITY, Violation
from gway.projects.ocpp.messages.framing import (
    MAX_ID,
    Call,
    CallError,
    CallResult,
    Junk,
    parse_frame,
)
from gway.projects.ocpp.messages.hiding import may_hold_secret
from gway.projects.ocpp.messages.payloads_charger import MeterValuesConf, StatusNotificationConf
from gway.projects.ocpp.messages.shapes import Payload

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem
    from gway.projects.ocpp.csms.runtime import Timer
    from gway.projects.ocpp.facts import Command
    from gway.web.ws import Connection

log = logging.getLogger("ocpp.csms")

REMEMBERED = 8  # answers kept for a call that is sent again
PAUSE_AT = LARGE_COUNTS - 1  # messages waiting; a charger has one CALL under way (SPEC-J 4.1.1)
RESUME_AT = 8
LONGEST_REMEMBERED = 255  # a message id that is kept for repetitions
LONGEST_ACTION = 40


class Session:
    """Serves one connection, from its opening to its end.

    `pending` is our CALL that the charger has not answered yet.
    """

    __slots__ = (
        "answers",
        "central",
        "charger",
        "connection",
        "ended",
        "late",
        "link",
        "paused",
        "pending",
        "timer",
        "waiting",
    )

    def __init__(
        self, central: CentralSystem, charger: Charger, connection: Connection, link: Link
    ) -> None:
        self.central = central
        self.charger = charger
        self.connection = connection
        self.link = link
        self.waiting = 0
        self.paused = False
        self.ended: tuple[int, str] | None = None
        self.answers: dict[str, tuple[int, bytes | None]] | None = None
        self.pending: Command | None = None
        self.timer: Timer | None = None
        self.late: dict[str, Command] | None = None

    # --- callbacks of the loop: must not block -------------------------------

    def on_text(self, data: str | bytes) -> None:
        """Queue a message; a charger that sends faster than it is served has to wait."""
        self.waiting += 1 if len(data) < LARGE else LARGE_COUNTS
        if self.waiting > PAUSE_AT and not self.paused:
            self.paused = True
            self.connection.pause()
        self.central.runtime.put((self, data.encode() if isinstance(data, str) else data))

    def on_close(self, code: int, reason: str) -> None:
        """Note the end; what came before it is still served."""
        self.ended = (code, reason)
        if self.charger.session is self:
            self.charger.session = None
        self.central.runtime.put((self, None))

    # --- in a worker ----------------------------------------------------------

    def take(self, data: bytes | None) -> None:
        """Serve one message, or the end of the connection (None)."""
        if data is None:
            self.central.left(self)
            return
        if len(data) < LARGE:
            self.done_with(1)
            self._take(data)
            return
        try:
            self._take(data)
        finally:
            self.done_with(LARGE_COUNTS)

    def done_with(self, messages: int) -> None:
        """Let the charger go on sending when little of what it sent is left."""
        self.waiting -= messages
        if self.paused and self.waiting <= RESUME_AT:
            self.paused = False
            self.connection.resume()

    def _take(self, data: bytes) -> None:
        at = self.central.now()
        charger = self.charger
        charger.last_at = at
        self.central.counters.received += 1
        frame = self.central.runtime.aside(len(data), parse_frame, data)
        self._note("in", data, at, frame)
        if type(frame) is Call:
            self._serve(frame, data, at)
        elif type(frame) is Junk:
            self._junk(frame, at)
        elif isinstance(frame, CallResult | CallError):
            self.central.commands.answered(self, frame, at)

    def _serve(self, call: Call, data: bytes, at: datetime) -> None:
        """Answer a CALL, once, whatever it is."""
        digest = hash(data)
        answers = self.answers
        if answers is None:
            answers = self.answers = {}
        known = answers.get(call.message_id)
        if known is not None:
            self._repeated(call, known, digest)
            return
        charger = self.charger
        action = call.action
        charger.last_action = action[:LONGEST_ACTION]
        if len(call.message_id) > MAX_ID:
            self.central.counters.long_ids += 1
        if len(call.message_id) <= LONGEST_REMEMBERED:
            answers[call.message_id] = (digest, None)
            if len(answers) > REMEMBERED:
                del answers[next(iter(answers))]
        if charger.registration in (PENDING, REJECTED) and action != "BootNotification":
            why = f"this charger is {charger.registration.lower()}, not accepted"
            self.refuse(call.message_id, SECURITY, why)  # ERR-J 3.8
            return
        try:
            payload, text = self._handle(call, at)
        except Violation as violation:
            self.refuse(call.message_id, violation.code, violation.description)
        except Exception:
            log.exception("%s: %s failed", charger.charger_id, action)
            self.refuse(call.message_id, INTERNAL, "the central system failed")
        else:
            self._finish(call, payload, text, at)

    def _handle(self, call: Call, at: datetime) -> tuple[Payload, bytes | None]:
        """Give a message's payload and its CALLRESULT; money messages are answered by and by."""
        charger = self.charger
        action = call.action
        charger.spoke = True
        raw = call.payload
        aside = self.central.runtime.aside
        if action in MONEY_ACTIONS:
            payload, flags = aside(len(raw), salvage, action, raw)
            Settlement(self, call, payload, flags, at).run()
            return payload, None
        payload = aside(len(raw), decode_request, action, raw, SERVED)
        if action in DURABLE_ACTIONS:
            Settlement(self, call, payload, (), at).run()
            return payload, None
        answer = self.central.handlers.plain[action](charger, payload, at)
        return payload, _result(call.message_id, answer)

    def _finish(self, call: Call, payload: Payload, text: bytes | None, at: datetime) -> None:
        """Answer; what fails from here on is told in the log and not by a second answer."""
        central = self.central
        charger = self.charger
        try:
            if text is not None:
                self._keep(call.message_id, text, "result")
            if charger.expecting is not None:
                connector_id = getattr(payload, "connector_id", None)
                event = Event("message", action=call.action, connector_id=connector_id)
                central.observe(charger, event, at)
            central.seen(charger, at)
            central.changed(charger, call.action)
        except Exception:
            log.exception("%s: what follows %s failed", charger.charger_id, call.action)

    def _repeated(self, call: Call, known: tuple[int, bytes | None], digest: int) -> None:
        """Answer a message id that was used before on this connection."""
        self.central.counters.repeated += 1
        if known[0] != digest:
            text = encode_error(call.message_id, PROTOCOL, "this message id was used before")
            self.send(text, "error", call.message_id)
        elif known[1] is not None:
            self.send(known[1], "result", call.message_id)

    def _junk(self, junk: Junk, at: datetime) -> None:
        """Answer what is no message, if it can be answered; the socket stays open."""
        self.central.counters.junk += 1
        log.debug("%s sent what is no message: %s", self.charger.charger_id, junk.rule)
        if junk.message_id is not None:
            text = encode_error(junk.message_id, junk.code, junk.rule)
            self.send(text, "error", junk.message_id)
        elif junk.reply_to is not None:
            broken = CallError(junk.reply_to, junk.code, junk.rule)
            self.central.commands.answered(self, broken, at)

    # --- from anywhere --------------------------------------------------------

    def reply(self, message_id: str, answer: Payload) -> None:
        """Send a CALLRESULT, and keep it for a repetition of the call."""
        self._keep(message_id, _result(message_id, answer), "result")

    def refuse(self, message_id: str, code: str, description: str) -> None:
        """Send a CALLERROR, and keep it for a repetition of the call."""
        self.central.counters.refused += 1
        self._keep(message_id, encode_error(message_id, code, description), "error")

    def _keep(self, message_id: str, text: bytes, kind: str) -> None:
        answers = self.answers
        if answers is not None and message_id in answers:
            answers[message_id] = (answers[message_id][0], text)
        self.send(text, kind, message_id)

    def send(self, text: bytes, kind: str, message_id: str) -> None:
        """Send an answer; one that can reach nobody any more is dropped.

        :param kind: "result" or "error", for those who log frames
        """
        if not self.connection.open:
            return
        self.connection.send(text)
        central = self.central
        central.counters.sent += 1
        at = central.now()
        central.frames.add(self.charger.charger_id, "out", at, text)
        if central.tells("ocpp_frame"):
            self._tell("out", text, at, kind, message_id, "", "")

    def send_call(self, text: bytes, command: Command) -> None:
        """Send a call of ours; a password in it goes to the charger and nowhere else."""
        self.connection.send(text)
        central = self.central
        central.counters.sent += 1
        at = central.now()
        if may_hold_secret(text.decode("utf-8", "replace")):
            text = encode((2, command.command_id, command.action, command.payload))
        central.frames.add(self.charger.charger_id, "out", at, text)
        if central.tells("ocpp_frame"):
            self._tell("out", text, at, "call", command.command_id, command.action, "")

    def _note(
        self,
        direction: Direction,
        data: bytes,
        at: datetime,
        frame: Call | CallResult | CallError | Junk,
    ) -> None:
        central = self.central
        central.frames.add(self.charger.charger_id, direction, at, data)
        if not central.tells("ocpp_frame"):
            return
        if isinstance(frame, Junk):
            self._tell(direction, data, at, "junk", frame.message_id or "", "", frame.rule)
        else:
            kind = _KINDS[type(frame)]
            action = frame.action if isinstance(frame, Call) else ""
            self._tell(direction, data, at, kind, frame.message_id, action, "")

    def _tell(
        self,
        direction: Direction,
        data: bytes,
        at: datetime,
        kind: str,
        message_id: str,
        action: str,
        rule: str,
    ) -> None:
        frame = Frame(
            charger_id=self.charger.charger_id,
            link_id=self.link.link_id,
            direction=direction,
            text=data.decode("utf-8", "replace"),
            at=at,
            kind=kind,
            message_id=message_id,
            action=action,
            rule=rule,
        )
        self.central.emit("ocpp_frame", frame=frame)


# Most messages are answered with an object that has no members: nothing to validate.
_EMPTY = frozenset({MeterValuesConf, StatusNotificationConf})
_NOTHING = Raw(b"{}")


def _result(message_id: str, answer: Payload) -> bytes:
    if type(answer) in _EMPTY:
        return encode((3, message_id, _NOTHING))
    return encode_result(message_id, answer)


_KINDS: dict[type, str] = {Call: "call", CallResult: "result", CallError: "error"}
