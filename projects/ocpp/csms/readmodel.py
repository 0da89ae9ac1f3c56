"""What pages, the API and the command line see of chargers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gway.errors import UsageError
from gway.projects.ocpp.csms.charger import PENDING, Charger
from gway.projects.ocpp.csms.commands import is_over
from gway.projects.ocpp.csms.framelog import describe
from gway.projects.ocpp.facts import Command, ConnectorStatus, Transaction

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem
    from gway.projects.ocpp.csms.configuration import Configuration

Row = dict[str, Any]
Sort = Literal[
    "alarms",
    "id",
    "-id",
    "power",
    "-power",
    "energy",
    "-energy",
    "last_seen",
    "-last_seen",
]


class Status(StrEnum):
    """What a charger or a connector can be found by."""

    AVAILABLE = "Available"
    PREPARING = "Preparing"
    CHARGING = "Charging"
    SUSPENDED_EV = "SuspendedEV"
    SUSPENDED_EVSE = "SuspendedEVSE"
    FINISHING = "Finishing"
    RESERVED = "Reserved"
    UNAVAILABLE = "Unavailable"
    FAULTED = "Faulted"
    CONNECTED = "Connected"
    PENDING = "Pending"
    REJECTED = "Rejected"
    OFFLINE = "Offline"


def status_of(text: str) -> str:
    """Give a status as OCPP writes it, whatever its case; empty for none.

    Errors: UsageError, which lists what there is.
    """
    known = {one.value.lower(): one.value for one in Status}
    wanted = text.strip().lower()
    if wanted and wanted not in known:
        raise UsageError(f"no status is called {text!r}", f"one of {', '.join(known.values())}")
    return known.get(wanted, "")


AT_A_STRETCH = 100  # rows made before others have their turn: a few milliseconds


def list_chargers(
    central: CentralSystem,
    *,
    search: str = "",
    status: str | None = None,
    faulted: bool = False,
    sort: Sort = "alarms",
) -> list[Row]:
    """List the chargers that fit, as `find_chargers` gives them."""
    found = find_chargers(central, search=search, status=status, faulted=faulted, sort=sort)
    return charger_rows(central, found)


def charger_rows(central: CentralSystem, chargers: Iterable[Charger]) -> list[Row]:
    """Make the rows of chargers; others have their turn in between."""
    now = central.now()
    rows: list[Row] = []
    for charger in chargers:
        rows.append(charger_row(charger, now))
        if not len(rows) % AT_A_STRETCH:
            central.runtime.breathe()
    return rows


def find_chargers(
    central: CentralSystem,
    *,
    search: str = "",
    status: str | None = None,
    faulted: bool = False,
    sort: Sort = "alarms",
) -> list[Charger]:
    """Find the chargers that fit, in an order.

    :param search: what is in their id, or in the vendor's or the model's name
    :param status: theirs, or that of one of their connectors
    :param sort: "alarms" has those with a fault first, then those that wait for approval,
        those that went away in a session, the connected and the others, each by id
    """
    central.recall_all()
    part, wanted = search.strip().lower(), (status or "").lower()
    found: list[Charger] = []
    for number, charger in enumerate(tuple(central.chargers.values()), start=1):
        if not number % (10 * AT_A_STRETCH):
            central.runtime.breathe()
        fits = _has_text(charger, part) and _has_status(charger, wanted)
        if fits and not (faulted and not charger.faults):
            found.append(charger)
    found.sort(key=_id_key)
    key, reverse = _ORDERS[sort.removeprefix("-")], sort.startswith("-")
    if reverse or key is not _id_key:
        # What is not known comes last in both directions.
        known = [one for one in found if key(one) is not None]
        known.sort(key=key, reverse=reverse)
        known += [one for one in found if key(one) is None]
        return known
    return found


def _has_text(charger: Charger, part: str) -> bool:
    if not part or part in charger.charger_id.lower():
        return True
    boot = charger.boot
    return boot is not None and part in f"{boot.vendor} {boot.model}".lower()


def _has_status(charger: Charger, wanted: str) -> bool:
    return (
        not wanted
        or charger.status.lower() == wanted
        or any(key and one.status.lower() == wanted for key, one in charger.connectors.items())
    )


@lru_cache(maxsize=20_000)
def natural(charger_id: str) -> tuple[tuple[int, int, str], ...]:
    """Give a key that sorts CP2 before CP10."""
    parts = _DIGITS.split(charger_id.casefold())
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part)


def _id_key(charger: Charger) -> Any:
    return natural(charger.charger_id), charger.charger_id


def _alarm_key(charger: Charger) -> Any:
    if charger.faults:
        return 0
    if charger.registration == PENDING:
        return 1
    if charger.connected:
        return 3
    return 2 if charger.ledger else 4


def _power_key(charger: Charger) -> Any:
    return power_of(charger)


def _energy_key(charger: Charger) -> Any:
    return _total([energy_so_far(one) for one in charger.ledger or ()])


def _seen_key(charger: Charger) -> Any:
    return charger.last_at


_DIGITS = re.compile(r"(\d{1,18})")
_ORDERS: Mapping[str, Callable[[Charger], Any]] = {
    "alarms": _alarm_key,
    "id": _id_key,
    "power": _power_key,
    "energy": _energy_key,
    "last_seen": _seen_key,
}


def power_of(charger: Charger) -> float | None:
    """Give the power of a charger's sessions: what it drew when it was last heard of is none."""
    if not charger.connected:
        return None
    return _total([one.power_w for one in charger.ledger or ()])


def energy_so_far(transaction: Transaction) -> int | None:
    """Give a transaction's energy: what was counted at its end, or up to its last sample."""
    if transaction.energy_wh is None and transaction.last_energy_wh is not None:
        return max(0, transaction.last_energy_wh - transaction.meter_start_wh)
    return transaction.energy_wh


def charger_row(charger: Charger, now: datetime) -> Row:
    """Make the row of one charger; the sessions of one that is away end when it was last seen."""
    until = now if charger.connected else charger.last_at or now
    transactions = [transaction_row(one, until) for one in charger.ledger or ()]
    boot = charger.boot
    return {
        "charger_id": charger.charger_id,
        "connected": charger.connected,
        "status": charger.status,
        "registration": charger.registration or "",
        "connectors": {
            str(key): one.status for key, one in sorted(charger.connectors.items()) if key
        },
        "transactions": transactions,
        "power_w": power_of(charger),
        "energy_wh": _total([one["energy_wh"] for one in transactions]),
        "duration_s": max((one["duration_s"] for one in transactions), default=None),
        "faults": [fault_row(one) for one in charger.faults],
        "last_seen_at": charger.last_at,
        "last_action": charger.last_action,
        "drift_s": charger.drift_s,
        "pending_commands": pending_commands(charger),
        "vendor": boot.vendor if boot else "",
        "model": boot.model if boot else "",
    }


def snapshot(central: CentralSystem, charger: Charger) -> Row:
    """Say everything about one charger, its last frames included."""
    now = central.now()
    row = charger_row(charger, now)
    session = charger.session
    on_connector = {one["connector_id"]: one for one in row["transactions"]}
    keys = sorted({*charger.connectors, *on_connector})
    row |= {
        "connectors": [
            connector_row(key, charger.connectors.get(key), on_connector.get(key)) for key in keys
        ],
        "boot": msgspec.to_builtins(charger.boot) if charger.boot else None,
        "connected_at": session.link.connected_at if session else None,
        "remote_addr": session.link.remote_addr if session else "",
        "subprotocol": session.link.subprotocol if session else "",
        "rtt_s": session.connection.rtt_s if session else None,
        "drift_measured_at": charger.clocked_at,
        "jobs": dict(charger.jobs or {}),
        "call_timeout_s": charger.call_timeout_s or central.options.call_timeout_s,
        "configuration": configuration_row(central.configuration(charger)),
        "commands": [command_row(one) for one in reversed(charger.history or ())],
        "frames": describe(central.frames.of(charger.charger_id)),
    }
    return row


def transaction_row(transaction: Transaction, now: datetime) -> Row:
    """Say how a transaction stands."""
    end = transaction.stopped_at or now
    return {
        "transaction_id": transaction.transaction_id,
        "connector_id": transaction.connector_id,
        "id_tag": transaction.id_tag,
        "tag_status": transaction.tag_status.value,
        "state": transaction.state,
        "started_at": transaction.started_at,
        "start_time": transaction.start_time,
        "duration_s": max(0, round((end - _began(transaction)).total_seconds())),
        "meter_start_wh": transaction.meter_start_wh,
        "energy_wh": energy_so_far(transaction),
        "power_w": transaction.power_w,
        "soc_percent": transaction.soc_percent,
        "last_sample_at": transaction.last_sample_at,
        "flags": list(transaction.flags),
    }


def _began(transaction: Transaction) -> datetime:
    """Give the earlier of both clocks' start: one that was queued began before we knew."""
    if transaction.start_time is None:
        return transaction.started_at
    return min(transaction.start_time, transaction.started_at)


def connector_row(
    connector_id: int, status: ConnectorStatus | None, transaction: Row | None
) -> Row:
    """Say how a connector stands; 0 is the whole charger."""
    return {
        "connector_id": connector_id,
        "status": status.status if status else "",
        "error_code": status.error_code if status else "",
        "info": (status.info or "") if status else "",
        "vendor_error_code": (status.vendor_error_code or "") if status else "",
        "time": status.time if status else None,
        "at": status.at if status else None,
        "transaction": transaction,
    }


def fault_row(status: ConnectorStatus) -> Row:
    """Say what is wrong with a connector."""
    return {
        "connector_id": status.connector_id,
        "error_code": status.error_code,
        "vendor_error_code": status.vendor_error_code or "",
        "info": status.info or "",
        "at": status.at,
    }


def command_row(command: Command) -> Row:
    """Say how a command goes."""
    return {
        "command_id": command.command_id,
        "charger_id": command.charger_id,
        "action": command.action,
        "payload": command.payload,
        "state": command.state.value,
        "status": command.status,
        "answer": command.answer,
        "effect": command.effect,
        "error": command.error,
        "error_code": command.error_code,
        "late": command.late,
        "queued_at": command.queued_at,
        "sent_at": command.sent_at,
        "answered_at": command.answered_at,
        "effect_at": command.effect_at,
    }


def configuration_row(known: Configuration) -> Row:
    """Say what a charger told of its configuration, and when all was read; None: never."""
    return {"read_at": known.read_at, "keys": known.rows()}


def pending_commands(charger: Charger) -> int:
    """Count the commands of a charger that are not over."""
    return sum(not is_over(one) for one in charger.history or ())


def _total(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
