"""Reads what a remote answers, as leniently as it can be understood."""

from __future__ import annotations

from datetime import datetime

import msgspec

from gway.projects.ocpp.messages.codec import DECODE_ERRORS
from gway.projects.ocpp.messages.faults import (
    FORMATION,
    NOT_IMPLEMENTED,
    NOT_SUPPORTED,
    OCCURRENCE,
    PROPERTY,
    PROTOCOL,
    TYPE,
)
from gway.projects.ocpp.messages.times import parse_time

ACCEPTED = "Accepted"
CONCURRENT = "ConcurrentTx"
LONGEST_INTERVAL_S = 86_400
#: Answers that will be the same however often the message is sent (P10).
PERMANENT = frozenset(
    {FORMATION, PROPERTY, OCCURRENCE, TYPE, NOT_SUPPORTED, NOT_IMPLEMENTED, PROTOCOL}
)


class TagInfo(msgspec.Struct, gc=False):
    """An idTagInfo, as far as it matters here."""

    status: str = ACCEPTED


class Started(msgspec.Struct, rename="camel", gc=False):
    """A StartTransaction.conf."""

    transaction_id: int
    id_tag_info: TagInfo | None = None


class Booted(msgspec.Struct, rename="camel", gc=False):
    """A BootNotification.conf."""

    status: str
    interval: int = 0
    current_time: str = ""


class Beat(msgspec.Struct, rename="camel", gc=False):
    """A Heartbeat.conf."""

    current_time: str = ""


class Authorized(msgspec.Struct, rename="camel", gc=False):
    """An Authorize.conf."""

    id_tag_info: TagInfo


class _Confirmed(msgspec.Struct, gc=False):
    status: str = ""


class _Tagged(msgspec.Struct, rename="camel", gc=False):
    id_tag: str = ""


_started = msgspec.json.Decoder(Started).decode
_booted = msgspec.json.Decoder(Booted).decode
_beat = msgspec.json.Decoder(Beat).decode
_authorized = msgspec.json.Decoder(Authorized).decode
_confirmed = msgspec.json.Decoder(_Confirmed).decode
_tagged = msgspec.json.Decoder(_Tagged).decode


def started(payload: bytes) -> Started | None:
    """Read a StartTransaction.conf; None when it gives no usable id."""
    try:
        conf = _started(payload)
    except DECODE_ERRORS:
        return None
    return conf if -(2**63) <= conf.transaction_id < 2**63 else None


def booted(payload: bytes) -> Booted | None:
    """Read a BootNotification.conf; an interval beyond a day is a day."""
    try:
        conf = _booted(payload)
    except DECODE_ERRORS:
        return None
    conf.interval = min(conf.interval, LONGEST_INTERVAL_S)
    return conf


def authorized(payload: bytes) -> str:
    """Read the status of an Authorize.conf, "" when it cannot be read."""
    try:
        return _authorized(payload).id_tag_info.status
    except DECODE_ERRORS:
        return ""


def accepted(payload: bytes | None) -> bool:
    """Tell whether a charger said Accepted to a command."""
    try:
        return payload is not None and _confirmed(payload).status == ACCEPTED
    except DECODE_ERRORS:
        return False


def remote_time(payload: bytes) -> datetime | None:
    """Read the time of a Heartbeat.conf or BootNotification.conf."""
    try:
        return parse_time(_beat(payload).current_time)
    except DECODE_ERRORS:
        return None


def tag_of(payload: bytes) -> str:
    """Read the tag of a StartTransaction, "" when it cannot be read."""
    try:
        return _tagged(payload).id_tag
    except DECODE_ERRORS:
        return ""
