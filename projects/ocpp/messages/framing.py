"""OCPP-J frames: what kind of message a text is, and what to answer when it is none.

`parse_frame` never raises. A Junk with a `message_id` is answered with a
CALLERROR; one without is only logged and counted: its id could not be read, or it
is itself an answer, and answers are not answered (SPEC-J 4.2).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from gway.projects.ocpp.messages.codec import DECODE_ERRORS
from gway.projects.ocpp.messages.examine import json_type, load_json
from gway.projects.ocpp.messages.faults import FORMATION, normalise_code, shorten

MAX_ID = 36  # SPEC-J 4.1.4


class _Frame(msgspec.Struct, array_like=True, forbid_unknown_fields=True, gc=False):
    message_id: str

    @property
    def long_id(self) -> bool:
        """Whether the message id is longer than OCPP allows; answered all the same."""
        return len(self.message_id) > MAX_ID


class Call(_Frame, tag=2):
    """A request."""

    action: str
    payload: msgspec.Raw


class CallResult(_Frame, tag=3):
    """An answer."""

    payload: msgspec.Raw


class CallError(_Frame, tag=4):
    """A refusal; `code` is spelled as 1.6 spells it where it is known."""

    code: str
    description: str = ""
    details: dict[str, Any] = {}


class Junk(msgspec.Struct, frozen=True, gc=False):
    """A frame that is no message.

    `message_id` is what to answer to, or None when nothing is to be answered;
    `reply_to` is the id of the call of ours that a broken answer was for.
    """

    message_id: str | None
    code: str
    rule: str
    reply_to: str | None = None


Message = Call | CallResult | CallError | Junk

_decode: Callable[[bytes | str], Call | CallResult | CallError] = msgspec.json.Decoder(
    Call | CallResult | CallError
).decode
_ESCAPE = re.compile(
    r"\\(?:u[dD][89abAB][\da-fA-F]{2}\\u[dD][c-fC-F][\da-fA-F]{2}|(u[dD][89a-fA-F])[\da-fA-F]{2}|.)",
    re.DOTALL,
)
_HEAD = re.compile(r'\s*\[\s*([234])\s*,\s*"((?:[^"\\\x00-\x1f]|\\["\\/bfnrt]){1,255})"\s*[,\]]')


def parse_frame(data: bytes | str) -> Message:
    """Tell what a frame is; never raises.

    :param data: the text of one WebSocket message
    """
    try:
        frame = _decode(data)
    except DECODE_ERRORS:
        return _parse_odd(data)
    return _named(frame)


def _named(frame: Call | CallResult | CallError) -> Message:
    if not frame.message_id:
        return Junk(None, FORMATION, "the message id is empty")
    if type(frame) is CallError:
        frame.code = normalise_code(frame.code)
    return frame


def _parse_odd(data: bytes | str) -> Message:
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
    except UnicodeDecodeError:
        return Junk(None, FORMATION, "not UTF-8")
    try:
        frame = load_json(text)
    except RecursionError:
        return _broken(text, "nested too deeply")
    except ValueError as error:
        return _broken(text, f"not JSON: {error}")
    if not isinstance(frame, list):
        return Junk(None, FORMATION, f"expected array, got {json_type(frame)}")
    return _parse_array(frame, text)


def _broken(text: str, rule: str) -> Junk:
    head = _HEAD.match(text)
    if head is None:
        return Junk(None, FORMATION, rule)
    try:
        message_id = str(load_json(f'"{head[2]}"'))
    except ValueError:
        return Junk(None, FORMATION, rule)
    return _junk(int(head[1]), message_id, rule)


def _junk(kind: int, message_id: str, rule: str) -> Junk:
    if kind == 2:
        return Junk(message_id, FORMATION, rule)
    return Junk(None, FORMATION, rule, reply_to=message_id)


def _parse_array(frame: list[object], text: str) -> Message:
    kind = frame[0] if frame else None
    if isinstance(kind, bool) or kind not in (2, 3, 4) or not isinstance(kind, int):
        return Junk(None, FORMATION, f"message type {shorten(kind)} is not 2, 3 or 4")
    message_id = frame[1] if len(frame) > 1 else None
    if not isinstance(message_id, str) or not message_id:
        return Junk(None, FORMATION, "the message id is not a text")
    if any("\ud800" <= character <= "\udfff" for character in message_id):
        return Junk(None, FORMATION, "the message id is not Unicode")
    if kind == 4 and len(frame) in (3, 4, 5):
        return _lenient_error(message_id, frame[2:])
    wanted = {2: 4, 3: 3, 4: 5}[kind]
    if len(frame) != wanted:
        return _junk(kind, message_id, f"{len(frame)} elements, {wanted} expected")
    if kind == 2 and not isinstance(frame[2], str):
        return _junk(kind, message_id, f"the action is of type {json_type(frame[2])}")
    try:
        return _named(_decode(_ESCAPE.sub(_mend, text)))
    except DECODE_ERRORS:
        return _junk(kind, message_id, "not readable as JSON text")


def _mend(escape: re.Match[str]) -> str:
    """Replace half of a surrogate pair: no character, but no reason to lose a transaction."""
    return "\\ufffd" if escape[1] else escape[0]


def _lenient_error(message_id: str, rest: list[object]) -> CallError:
    """Read a CALLERROR whose description or details are missing or of another type."""
    code, description = rest[0], rest[1] if len(rest) > 1 else ""
    details = rest[2] if len(rest) > 2 else {}
    return CallError(
        message_id,
        normalise_code(code if isinstance(code, str) else "GenericError"),
        description if isinstance(description, str) else "",
        details if isinstance(details, dict) else {"details": details},
    )
