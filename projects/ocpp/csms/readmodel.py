"""What pages, the API and the command line see of chargers."""

from __future__ import annotations

from datetime import datetime
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import msgspec

from gway.projects.ocpp.csms.charger import Charger
from gway.projects.ocpp.csms.commands import is_over
from gway.projects.ocpp.csms.framelog import describe
from gway.projects.ocpp.facts import Command, ConnectorStatus, Transaction

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]

AT_A_STRETCH = 100  # rows made before others have their turn: a few milliseconds


def list_chargers(
    central: CentralSystem, *, search: str = "", status: str | None = None, faulted: bool = False
) -> list[Row]:
    """List the chargers that fit, as `find_chargers` gives them."""
    now = central.now()
    rows = []
    for charger in find_chargers(central, search=search, status=status, faulted=faulted):
        rows.append(charger_row(charger, now))
        if not len(rows) % AT_A_STRETCH:
            central.runtime.breathe()
    return rows


def find_chargers(
    central: CentralSystem, *, search: str = "", status: str | None = None, faulted: bool = False
) -> list[Charger]:
    """Find the chargers that fit: those with faults first, then the connected ones, by id.

    :param search: what is in their id
    :param status: theirs, or that of one of their connectors
    """
    central.recall_all()
    part, wanted = search.strip().lower(), (status or "").lower()
    found: list[tuple[bool, bool, str, Charger]] = []
    for number, charger in enumerate(tuple(central.chargers.values()), start=1):
        if not number % (10 * AT_A_STRETCH):
            central.runtime.breathe()
        if part not in charger.charger_id.lower() or not _has_status(charger, wanted):
            continue
        whole = not charger.faults
        if not (faulted and whole):
            found.append((whole, not charger.connected, charger.charger_id, charger))
    found.sort(key=itemgetter(0, 1, 2))
    return [charger for *_, charger in found]


def _has_status(charger: Charger, wanted: str) -> bool:
    return (
        not wanted
        or charger.status.lower() == wanted
        or any(key and one.status.lower() == wanted for key, one in charger.connectors.items())
    )


def charger_row(charger: Charger, now: datetime) -> Row:
    """Make the row of one charger."""
    transactions = [transaction_row(one, now) for one in charger.ledger or ()]
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
        # What a charger drew when it was last heard of is no power of now.
        "power_w": _total(transactions, "power_w") if charger.connected else None,
        "energy_wh": _total(transactions, "energy_wh"),
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
        "commands": [command_row(one) for one in reversed(charger.history or ())],
        "frames": describe(central.frames.of(charger.charger_id)),
    }
    return row


def transaction_row(transaction: Transaction, now: datetime) -> Row:
    """Say how a transaction stands."""
    energy_wh = transaction.energy_wh
    if energy_wh is None and transaction.last_energy_wh is not None:
        energy_wh = max(0, transaction.last_energy_wh - transaction.meter_start_wh)
    end = transaction.stopped_at or now
    return {
        "transaction_id": transaction.transaction_id,
        "connector_id": transaction.connector_id,
        "id_tag": transaction.id_tag,
        "tag_status": transaction.tag_status.value,
        "state": transaction.state,
        "started_at": transaction.started_at,
        "start_time": transaction.start_time,
        "duration_s": round((end - _began(transaction)).total_seconds()),
        "meter_start_wh": transaction.meter_start_wh,
        "energy_wh": energy_wh,
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
    }


def pending_commands(charger: Charger) -> int:
    """Count the commands of a charger that are not over."""
    return sum(not is_over(one) for one in charger.history or ())


def _total(rows: list[Row], key: str) -> float | None:
    known = [row[key] for row in rows if row[key] is not None]
    return sum(known) if known else None
