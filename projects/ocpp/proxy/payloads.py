"""Puts one side's ids in the place of the other's, and touches nothing else (P6, P7).

A payload is changed where the number stands, so all other bytes stay as the charger
sent them. Only a payload that names the field twice, or in an odd spelling, is written
anew from its members, whose values stay as they are.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable

import msgspec

from gway.projects.ocpp.messages.codec import DECODE_ERRORS
from gway.projects.ocpp.messages.faults import FORMATION, PROPERTY, TYPE, Violation

STORABLE = 2**63

Find = Callable[[int], int | None]
Members = dict[str, msgspec.Raw]

PROFILES = {
    "SetChargingProfile": "csChargingProfiles",
    "RemoteStartTransaction": "chargingProfile",
}
_CONTEXT = re.compile(rb'"context"\s*:\s*"([^"]*)"')
_MEMBERS = msgspec.json.Decoder(Members)
_INTEGER = msgspec.json.Decoder(int)
_encode = msgspec.json.encode


class _Trigger(msgspec.Struct, rename="camel", gc=False):
    requested_message: str = ""
    connector_id: int | None = None


_TRIGGER = msgspec.json.Decoder(_Trigger)


class Unmapped(Exception):
    """An id that the other side does not know (yet)."""


def frame_text(message_id: str, action: str, payload: bytes) -> bytes:
    """Write a CALL around a payload that stays as it is."""
    return b'[2,"%b","%b",%b]' % (message_id.encode(), action.encode(), payload)


def with_transaction(payload: bytes, remote_tx: int) -> bytes:
    """Put the remote's transaction id into a MeterValues or StopTransaction.

    One without an id stays without: the charger gave none (SPEC 4.7).
    """
    return _replaced(payload, "transactionId", remote_tx)


def with_reservation(payload: bytes, find: Find) -> bytes:
    """Put the remote's reservation id into a StartTransaction; one of our own is left out."""
    if b"reservationId" not in payload and b"\\u" not in payload:
        return payload
    members = _members(payload)
    if "reservationId" not in members:
        return payload
    try:
        remote_id = find(_integer(members["reservationId"]))
    except Violation:
        remote_id = None
    if remote_id is None:
        del members["reservationId"]
        return _encode(members)
    return _replaced(payload, "reservationId", remote_id)


def command_for_charger(action: str, payload: bytes, local_tx: Find, reservation: Find) -> bytes:
    """Put our ids into a command of the remote.

    :param local_tx: finds our id of a transaction
    :param reservation: finds or makes our id of a reservation
    Errors: Unmapped; Violation when the payload cannot be read.
    """
    if action == "RemoteStopTransaction":
        return _mapped(payload, "transactionId", local_tx)
    if action in ("ReserveNow", "CancelReservation"):
        return _mapped(payload, "reservationId", reservation)
    outer = PROFILES.get(action)
    if outer is None:
        return payload
    members = _members(payload)
    inner = members.get(outer)
    if inner is None:
        return payload
    profile = bytes(inner)
    changed = _mapped(profile, "transactionId", local_tx)
    if changed == profile:
        return payload
    members[outer] = msgspec.Raw(changed)
    return _encode(members)


def asked_for(action: str, payload: bytes) -> tuple[str, int | None]:
    """Tell what a command makes the charger say: an action and a connector; "" nothing."""
    if action == "Reset":
        return "BootNotification", None
    if action not in ("TriggerMessage", "ExtendedTriggerMessage"):
        return "", None
    try:
        trigger = _TRIGGER.decode(payload)
    except DECODE_ERRORS:
        return "", None
    return trigger.requested_message, trigger.connector_id


def is_periodic(payload: bytes) -> bool:
    """Tell whether a MeterValues holds nothing but periodic samples."""
    return all(each == b"Sample.Periodic" for each in _CONTEXT.findall(payload))


def digest(action: str, payload: bytes, message_id: str = "") -> int:
    """Give 64 bits by which the same message is known again."""
    told = hashlib.blake2b(payload, digest_size=8, key=action.encode())
    if message_id:
        told.update(b"\0" + message_id.encode())
    return int.from_bytes(told.digest(), "big", signed=True)


def _mapped(payload: bytes, name: str, find: Find) -> bytes:
    value = _members(payload).get(name)
    if value is None:
        return payload
    found = find(_integer(value))
    if found is None:
        raise Unmapped(name)
    return _replaced(payload, name, found)


def _replaced(payload: bytes, name: str, number: int) -> bytes:
    """Write a number in the place of a member; one that is not there stays away."""
    members = _members(payload)
    if name not in members:
        return payload
    text, count = _NUMBERS[name].subn(rb"\g<1>%d" % number, payload)
    if count == 1 and b"\\u" not in payload:
        again = _members(text)
        if again.keys() == members.keys() and bytes(again[name]) == b"%d" % number:
            return text
    members[name] = msgspec.Raw(b"%d" % number)
    return _encode(members)


def _members(payload: bytes) -> Members:
    try:
        return _MEMBERS.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Violation(FORMATION, "the payload is not a JSON object", "object") from None


def _integer(value: msgspec.Raw) -> int:
    try:
        number = _INTEGER.decode(value)
    except msgspec.DecodeError:
        raise Violation(TYPE, "an id is not an integer", "integer") from None
    if not -STORABLE <= number < STORABLE:
        raise Violation(PROPERTY, "an id is beyond 64 bits", "integer")
    return number


_NUMBERS = {
    name: re.compile(rb'("%b"\s*:\s*)-?\d+(?=\s*[,}])' % name.encode())
    for name in ("transactionId", "reservationId")
}
