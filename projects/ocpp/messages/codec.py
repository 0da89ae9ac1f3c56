"""Decode, validate and encode payloads: one pass, and a closer look only at what fails."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from gway.projects.ocpp.messages.catalogue import ACTIONS, MONEY_ACTIONS
from gway.projects.ocpp.messages.checks import Check, late_check
from gway.projects.ocpp.messages.examine import Fault, examine, load_json
from gway.projects.ocpp.messages.faults import (
    FORMATION,
    INTERNAL,
    NOT_IMPLEMENTED,
    NOT_SUPPORTED,
    PRIORITY,
    Violation,
    normalise_code,
    shorten,
)
from gway.projects.ocpp.messages.shapes import Payload

Raw = bytes | str | msgspec.Raw
# What the decoders raise: malformed or wrong input, bad UTF-8, a number of
# thousands of digits, nesting deeper than the interpreter allows.
DECODE_ERRORS = (msgspec.MsgspecError, ValueError, RecursionError, OverflowError)

MAX_FLAGS = 20

_encode = msgspec.json.encode


class Codec:
    """The decoder of one kind of payload, compiled at its first use."""

    __slots__ = ("_check", "_decode", "cls")

    def __init__(self, cls: type[Payload]) -> None:
        self.cls = cls
        self._check: Check | None = None
        self._decode: Callable[[Raw], Payload] = self._compile

    def _compile(self, raw: Raw) -> Payload:
        self._check = late_check(self.cls)
        self._decode = msgspec.json.Decoder(self.cls).decode
        return self._decode(raw)

    def decode(self, raw: Raw) -> Payload:
        """Decode a valid payload, or raise the Violation that answers it."""
        try:
            payload = self._decode(raw)
        except DECODE_ERRORS:
            return self._decode_slowly(raw)
        if self._check is not None and not self._check(payload):
            return self._decode_slowly(raw)
        return payload

    def _decode_slowly(self, raw: Raw) -> Payload:
        payload, faults = self.examine(raw)
        if faults:
            raise judge(faults)
        return payload

    def read(self, raw: Raw) -> tuple[Payload, Sequence[Fault]]:
        """Decode a payload or give the nearest to it, and its faults.

        Raises Violation for what is not JSON.
        """
        try:
            payload = self._decode(raw)
        except DECODE_ERRORS:
            return self.examine(raw)
        if self._check is not None and not self._check(payload):
            return self.examine(raw)
        return payload, ()

    def examine(self, raw: Raw) -> tuple[Payload, list[Fault]]:
        """Find the nearest struct to a payload, and all its faults, without haste."""
        try:
            value = load_json(raw if isinstance(raw, str) else bytes(raw))
        except RecursionError:
            raise Violation(FORMATION, "the payload is nested too deeply", "json") from None
        except ValueError as error:
            raise Violation(FORMATION, f"the payload is not JSON: {error}", "json") from None
        return examine({} if value is None else value, self.cls)


def judge(faults: Sequence[Fault]) -> Violation:
    """Make one Violation of several faults.

    FormationViolation goes before OccurenceConstraintViolation, that before
    TypeConstraintViolation, that before PropertyConstraintViolation; of two with
    the same code the one found first counts: unknown properties in the order
    received, known ones in the order of their description.
    """
    worst = min(faults, key=lambda fault: PRIORITY.index(fault.code))
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Violation(worst.code, worst.text + more, worst.rule)


REQUESTS = {name: Codec(action.request) for name, action in ACTIONS.items()}
RESPONSES = {name: Codec(action.response) for name, action in ACTIONS.items()}
_BY_TYPE = {codec.cls: codec for codec in (*REQUESTS.values(), *RESPONSES.values())}


def decode_request(action: str, raw: Raw, served: frozenset[str] | None = None) -> Payload:
    """Decode and validate the payload of a CALL; `null` counts as `{}`.

    :param action: the action as received
    :param raw: the payload as received
    :param served: the actions this side serves (default: all); others are NotSupported
    Raises Violation.
    """
    codec = REQUESTS.get(action)
    if codec is None:
        text = f"{shorten(action)} is no action of OCPP 1.6"
        raise Violation(NOT_IMPLEMENTED, text, "action")
    if served is not None and action not in served:
        raise Violation(NOT_SUPPORTED, f"{action} is not served here", "served")
    return codec.decode(raw)


def decode_response(action: str, raw: Raw) -> Payload:
    """Decode and validate the payload of a CALLRESULT that answers `action`.

    Raises Violation.
    """
    return RESPONSES[action].decode(raw)


def salvage(action: str, raw: Raw) -> tuple[Payload, tuple[str, ...]]:
    """Decode a money message whose required fields are there, however odd they are.

    Flags are `rule:path`, such as `date-time:timestamp`, `enum:reason`,
    `length:idTag`, `unknown:vendorExtra`, `type:meterStart`; see `examine` for
    what stands in for a value that cannot be read. Of very many flags the first 20
    are given, and "more". Raises Violation when the payload is no object or lacks a
    required field of its own.

    :param action: StartTransaction, StopTransaction or MeterValues
    """
    if action not in MONEY_ACTIONS:
        raise ValueError(f"{action} is not a money message")
    payload, faults = REQUESTS[action].read(raw)
    fatal = [f for f in faults if f.rule == "object" or (f.rule == "missing" and _at_top(f.path))]
    if fatal:
        raise judge(fatal)
    flags = tuple(f"{fault.rule}:{fault.path}" for fault in faults[:MAX_FLAGS])
    return payload, flags if len(faults) <= MAX_FLAGS else (*flags, "more")


def _at_top(path: str) -> bool:
    return "." not in path and "[" not in path


def encode_call(message_id: str, action: str, payload: Payload | dict[str, Any]) -> bytes:
    """Write a CALL; the payload is validated first, and a dict keeps its order.

    Raises Violation.
    """
    codec = REQUESTS.get(action)
    if codec is None:
        text = f"{shorten(action)} is no action of OCPP 1.6"
        raise Violation(NOT_IMPLEMENTED, text, "action")
    return _encode((2, message_id, action, _checked(codec, payload)))


def encode_result(
    message_id: str, payload: Payload | dict[str, Any], action: str | None = None
) -> bytes:
    """Write a CALLRESULT; the payload is validated first, and a dict keeps its order.

    :param action: the action that is answered; needed when the payload is a dict
    Raises Violation.
    """
    if action is not None:
        codec = RESPONSES[action]
    elif isinstance(payload, dict):
        raise TypeError("encode_result needs the action when the payload is a dict")
    else:
        codec = _BY_TYPE[type(payload)]
    return _encode((3, message_id, _checked(codec, payload)))


def encode_error(
    message_id: str, code: str, description: str = "", details: dict[str, Any] | None = None
) -> bytes:
    """Write a CALLERROR; the code is spelled as 1.6 spells it, details are an object.

    :param description: cut to 255 characters (SPEC-J 4.2.3)
    """
    return _encode((4, message_id, normalise_code(code), description[:255], details or {}))


def _checked(codec: Codec, payload: Payload | dict[str, Any]) -> msgspec.Raw:
    """Encode a payload and read it back, so that nothing invalid is ever sent."""
    if isinstance(payload, Payload) and type(payload) is not codec.cls:
        text = f"{type(payload).__name__} is not {codec.cls.__name__}"
        raise Violation(INTERNAL, text, "type")
    raw = _encode(payload)
    codec.decode(raw)
    return msgspec.Raw(raw)
