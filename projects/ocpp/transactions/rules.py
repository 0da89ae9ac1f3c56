"""What the rules of OCPP say about single values: time, tags, energy, flags."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from gway.projects.ocpp.facts import Reading, Sample, TagDecision, TagStatus, Transaction

HISTORICAL_AFTER = timedelta(minutes=15)
AHEAD = timedelta(minutes=15)
ID_LIMIT = 2**31


class Flag(StrEnum):
    """What is odd about a money message that was accepted all the same."""

    BAD_TIMESTAMP = "bad-timestamp"
    HISTORICAL = "historical"
    TIME_ORDER = "time-order"
    METER_BACKWARDS = "meter-backwards"
    BELOW_SAMPLES = "stop-below-samples"
    REASON_IMPLIED = "reason-implied"
    ID_MATCHED = "id-matched"
    AFTER_STOP = "after-stop"
    REOPENED = "reopened"
    LATE_STOP = "late-stop"
    CONFLICTING_STOP = "conflicting-stop"


class Why(StrEnum):
    """Why a transaction was closed without its charger's word."""

    NEXT_START = "next start"
    AVAILABLE = "connector available"
    BOOT = "restart of the charger"
    OPERATOR = "operator"

    @property
    def flag(self) -> str:
        """What a transaction that was closed for it is marked with: one word, as all flags."""
        return f"closed-{self.replace(' ', '-')}"


def same_tag(one: str, other: str) -> bool:
    """Tell whether two tags are the same; OCPP compares them without case (SPEC 7.28)."""
    return one.casefold() == other.casefold()


def is_historical(time: datetime | None, at: datetime) -> bool:
    """Tell whether a message was queued so long that it says nothing about now."""
    return time is not None and at - time > HISTORICAL_AFTER


def is_ahead(time: datetime, at: datetime) -> bool:
    """Tell whether a message came so long before its own time that its clock must be wrong."""
    return time - at > AHEAD


def is_valid_id(transaction_id: int) -> bool:
    """Tell whether a charger's transactionId can be one of ours (errata 3.18 sends -1)."""
    return 0 < transaction_id < ID_LIMIT


def with_flags(flags: tuple[str, ...], *more: str) -> tuple[str, ...]:
    """Add flags, each once, in the order in which they came up."""
    return flags + tuple(dict.fromkeys(str(flag) for flag in more if flag not in flags))


def time_flags(time: datetime | None, not_before: datetime | None, at: datetime) -> tuple[str, ...]:
    """Name what is odd about a charger's time: unreadable, before its start, or old."""
    if time is None:
        return (Flag.BAD_TIMESTAMP.value,)
    flags: tuple[str, ...] = ()
    if not_before is not None and time < not_before:
        flags = (Flag.TIME_ORDER.value,)
    if at - time > HISTORICAL_AFTER:
        flags = (*flags, Flag.HISTORICAL.value)
    return flags


def energy_of(
    transaction: Transaction, meter_stop_wh: int, data: Reading | None
) -> tuple[int | None, str]:
    """Say how much was charged, and where the figure comes from.

    Both registers of the messages come first; a stop register below the start is
    replaced by the last register in transactionData, then by the last sample.
    """
    candidates = (
        (meter_stop_wh, "registers"),
        (data.energy_wh if data is not None else None, "transactionData"),
        (transaction.last_energy_wh, "last sample"),
    )
    for register, source in candidates:
        if register is not None and register >= transaction.meter_start_wh:
            return register - transaction.meter_start_wh, source
    return None, ""


def limit_concurrency(
    decision: TagDecision, others: Iterable[Transaction], charger_id: str, connector_id: int
) -> TagDecision:
    """Turn an accepted start into ConcurrentTx when the tag already charges elsewhere.

    A transaction on the very connector that starts does not count: it is over, or
    this is its repetition.
    """
    limit = decision.concurrent_limit
    if decision.status is not TagStatus.ACCEPTED or limit is None:
        return decision
    elsewhere = {
        other.transaction_id
        for other in others
        if other.state == "open"
        and other.tag_status is TagStatus.ACCEPTED
        and (other.charger_id, other.connector_id) != (charger_id, connector_id)
    }
    if len(elsewhere) < limit:
        return decision
    return msgspec.structs.replace(
        decision,
        status=TagStatus.CONCURRENT_TX,
        reason=f"{len(elsewhere)} open already, the limit is {limit}",
    )


def sample_key(sample: Sample) -> tuple[object, ...]:
    """Give what makes two sampled values the same measurement, whoever sent them."""
    return (
        sample.time or sample.time_raw,
        sample.measurand,
        sample.phase,
        sample.location,
        sample.context,
    )
