"""The shapes that OCPP hooks pass around; no I/O, no wire format, no version words.

Times are aware UTC. `at` and names ending in `_at` are the server's clock, names
ending in `_time` are what the charger said (None when it could not be read; the
text it sent is kept beside it). Energy is integer Wh, power W, state of charge %.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Literal

import msgspec

Direction = Literal["in", "out"]


class Purpose(StrEnum):
    """Why a tag is asked about."""

    AUTHORIZE = "authorize"
    START = "start"
    STOP = "stop"


class TagStatus(StrEnum):
    """The five answers OCPP 1.6 has for a tag (SPEC 7.2)."""

    ACCEPTED = "Accepted"
    BLOCKED = "Blocked"
    EXPIRED = "Expired"
    INVALID = "Invalid"
    CONCURRENT_TX = "ConcurrentTx"


class TagDecision(msgspec.Struct, frozen=True):
    """What a tag may do, and why: `source` names the rule that decided."""

    status: TagStatus
    reason: str = ""
    source: str = ""
    expiry: datetime | None = None
    parent_id_tag: str | None = None
    concurrent_limit: int | None = None


class Verdict(StrEnum):
    """What becomes of a charger that knocks."""

    ACCEPT = "accept"
    PENDING = "pending"
    REJECT = "reject"


class Admission(msgspec.Struct, frozen=True):
    """The decision on a handshake; `status` is the HTTP status of a refusal.

    `authenticated` says that the charger proved who it is: only such a newcomer may
    take the place of a living connection.
    """

    verdict: Verdict
    status: int = 404
    reason: str = ""
    authenticated: bool = False


class Knock(msgspec.Struct, frozen=True):
    """A charger that asks to be let in, before the upgrade.

    `passed_on` says that a proxy stands in between: unless it is trusted, `remote_addr` is its.
    """

    charger_id: str
    remote_addr: str
    user: str | None = None
    password: bytes | None = None
    tls: bool = False
    passed_on: bool = False

    def __repr__(self) -> str:
        """Leave the password out of traces and logs."""
        return f"Knock({self.charger_id!r}, {self.remote_addr!r}, user={self.user!r})"


class Link(msgspec.Struct, frozen=True):
    """One accepted connection of one charger; `link_id` is unique in this process."""

    link_id: int
    charger_id: str
    remote_addr: str
    subprotocol: str
    connected_at: datetime


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One OCPP frame as it went over the wire.

    `kind` is "call", "result", "error" or "junk"; `rule` names what is wrong with
    it ("" when nothing is).
    """

    charger_id: str
    link_id: int
    direction: Direction
    text: str
    at: datetime
    kind: str = ""
    message_id: str = ""
    action: str = ""
    rule: str = ""


class Boot(msgspec.Struct, frozen=True, gc=False):
    """What a charger said of itself in its last BootNotification."""

    vendor: str
    model: str
    serial: str | None = None
    firmware: str | None = None
    iccid: str | None = None
    imsi: str | None = None
    meter_type: str | None = None
    meter_serial: str | None = None


class ConnectorStatus(msgspec.Struct, frozen=True, gc=False):
    """The last StatusNotification of a connector (0 is the whole charger)."""

    connector_id: int
    status: str
    error_code: str = "NoError"
    info: str | None = None
    vendor_id: str | None = None
    vendor_error_code: str | None = None
    time: datetime | None = None
    at: datetime | None = None


class Transaction(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """A charging transaction as far as it is known.

    `state` is "open", "stopped" (the charger said so) or "inferred" (closed by us
    with the best register seen; reopened when the charger's stop arrives).
    `energy_source` is "registers", "transactionData", "last sample" or "".
    `flags` are words such as "meter-backwards", "time-order", "bad-timestamp",
    "historical", "reason-implied", "conflicting-stop".
    """

    transaction_id: int
    charger_id: str
    connector_id: int
    id_tag: str
    meter_start_wh: int
    start_time: datetime | None
    start_time_raw: str
    started_at: datetime
    reservation_id: int | None = None
    tag_status: TagStatus = TagStatus.ACCEPTED
    tag_reason: str = ""
    parent_id_tag: str | None = None
    state: Literal["open", "stopped", "inferred"] = "open"
    last_energy_wh: int | None = None
    power_w: float | None = None
    soc_percent: float | None = None
    last_sample_at: datetime | None = None
    last_sample_time: datetime | None = None
    stop_id_tag: str | None = None
    meter_stop_wh: int | None = None
    stop_time: datetime | None = None
    stop_time_raw: str = ""
    stopped_at: datetime | None = None
    stop_reason: str = ""
    energy_wh: int | None = None
    energy_source: str = ""
    flags: tuple[str, ...] = ()


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One sampled value with the defaults of SPEC 7 filled in; the raw text is kept."""

    time: datetime | None
    time_raw: str
    value: str
    measurand: str = "Energy.Active.Import.Register"
    unit: str = "Wh"
    context: str = "Sample.Periodic"
    location: str = "Outlet"
    phase: str = ""
    format: str = "Raw"


class Reading(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """One MeterValues message, or the transactionData of a stop.

    `transaction_id` is the one it belongs to after matching (None: to no
    transaction), `inferred` says that we matched it and not the charger. `raw` is
    the meterValue array as JSON, exactly as received. `energy_wh`, `power_w`,
    `soc_percent` are the latest of each in it, normalised; None when absent.
    """

    charger_id: str
    connector_id: int
    transaction_id: int | None
    inferred: bool
    raw: bytes
    samples_time: datetime | None
    at: datetime
    energy_wh: int | None = None
    power_w: float | None = None
    soc_percent: float | None = None
    origin: Literal["MeterValues", "transactionData"] = "MeterValues"
    flags: tuple[str, ...] = ()


class Orphan(msgspec.Struct, kw_only=True, frozen=True):
    """A money message that belongs to no transaction we may touch."""

    charger_id: str
    action: str
    reason: str
    payload: bytes
    at: datetime


class ErrorReport(msgspec.Struct, frozen=True):
    """A fault that a charger reported in a StatusNotification."""

    charger_id: str
    connector_id: int
    error_code: str
    status: str
    info: str | None
    vendor_id: str | None
    vendor_error_code: str | None
    time: datetime | None
    at: datetime


class SecurityEvent(msgspec.Struct, frozen=True):
    """Something about its security that a charger reported (SEC 3, A04)."""

    charger_id: str
    type: str
    tech_info: str | None
    time: datetime | None
    time_raw: str
    at: datetime


class CommandState(StrEnum):
    """Where a command to a charger stands."""

    QUEUED = "queued"
    SENT = "sent"
    ANSWERED = "answered"
    TIMED_OUT = "timed out"
    FAILED = "failed"
    REFUSED = "refused"
    UNCERTAIN = "uncertain"


class Command(msgspec.Struct, kw_only=True):
    """A CALL of ours to a charger, its answer, and its effect where OCPP has one.

    `status` is the charger's word ("Accepted", "Rejected", ...); `effect` tells
    what followed, such as "transaction 17 started". "refused" was never sent,
    "uncertain" was sent on a connection that ended before the answer. `late` marks
    an answer that came after the time limit.
    """

    command_id: str
    charger_id: str
    action: str
    payload: dict[str, object]
    queued_at: datetime
    state: CommandState = CommandState.QUEUED
    sent_at: datetime | None = None
    answered_at: datetime | None = None
    answer: dict[str, object] | None = None
    status: str = ""
    error_code: str = ""
    error: str = ""
    effect: str = ""
    late: bool = False
    effect_at: datetime | None = None


class ConfigurationKey(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A configuration key as its charger told it; the value of a secret is hidden.

    `pending` is what it becomes when the charger restarts (RebootRequired); None: nothing else.
    """

    name: str
    value: str
    readonly: bool = False
    pending: str | None = None


class ChargerConfiguration(msgspec.Struct, frozen=True):
    """What a charger told of its configuration, with the changes that it accepted since.

    `read_at` is when all keys were read last; None when they never were.
    """

    keys: tuple[ConfigurationKey, ...] = ()
    read_at: datetime | None = None


class ChargerMemory(msgspec.Struct, kw_only=True, frozen=True, gc=False):
    """What the store remembers of a charger when it connects again."""

    charger_id: str
    registration: str = ""
    boot: Boot | None = None
    connectors: tuple[ConnectorStatus, ...] = ()
    open_transactions: tuple[Transaction, ...] = ()
    last_seen_at: datetime | None = None
