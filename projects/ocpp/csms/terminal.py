"""Chargers as people read them in a terminal: few columns, with units, nothing nested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gway import gw
from gway.web import formats

Row = Mapping[str, Any]


def chargers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Make the table of all chargers."""
    return [
        {
            "charger_id": row["charger_id"],
            "status": row["status"],
            "connectors": _listed(f"{key} {status}" for key, status in row["connectors"].items()),
            "power": _unless_none(formats.power, row["power_w"]),
            "energy": _unless_none(formats.energy, row["energy_wh"]),
            "duration": formats.duration(row["duration_s"]),
            "last_seen": ago(row["last_seen_at"]),
            "faults": _listed(map(_fault, row["faults"])),
        }
        for row in rows
    ]


def charger(row: Row) -> dict[str, Any]:
    """Make the list of what is known of one charger; its log is counted."""
    return {
        **row,
        "connectors": _listed(
            f"{one['connector_id']} {one['status']}" for one in row["connectors"]
        ),
        "transactions": _listed(map(_transaction, row["transactions"])),
        "faults": _listed(map(_fault, row["faults"])),
        "commands": len(row["commands"]),
        "frames": len(row["frames"]),
    }


def commands(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Make the table of the commands to a charger."""
    return [
        {
            "command_id": row["command_id"],
            "action": row["action"],
            "state": row["state"],
            "answer": row["status"] or row["error_code"],
            "what_followed": row["effect"] or row["error"],
            "queued": ago(row["queued_at"]),
        }
        for row in rows
    ]


def ago(moment: datetime | str | None) -> str:
    """Say how long ago something was; the API of a server gives times as text."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    if moment is None:
        return ""
    return f"{formats.duration((gw.now() - moment).total_seconds())} ago"


def _transaction(one: Row) -> str:
    parts = (f"{one['transaction_id']} on {one['connector_id']}", formats.energy(one["energy_wh"]))
    return ": ".join(parts)


def _fault(one: Row) -> str:
    where = one["connector_id"] or "charger"
    return " ".join(filter(None, (f"{where}", one["error_code"], one["info"])))


def _listed(items: Any) -> str:
    return ", ".join(items)


def _unless_none(form: Any, value: float | None) -> str:
    return "" if value is None else str(form(value))
