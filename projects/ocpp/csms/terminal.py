"""Chargers as people read them in a terminal: few columns, with units, nothing nested."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from gway import gw
from gway.output import Styled
from gway.projects.ocpp.csms.effects import gist
from gway.web import formats

Row = Mapping[str, Any]

STYLES = {
    "Available": "green",
    "Connected": "green",
    "Charging": "bold blue",
    "Preparing": "magenta",
    "Finishing": "magenta",
    "Reserved": "magenta",
    "SuspendedEV": "magenta",
    "SuspendedEVSE": "magenta",
    "Pending": "yellow",
    "Rejected": "red",
    "Faulted": "bold red",
    "Unavailable": "dim",
    "Offline": "dim",
}
_STATES = {"answered": "green", "queued": "magenta", "sent": "magenta", "uncertain": "yellow"}
_NO = frozenset({"Rejected", "Failed", "NotSupported", "NotImplemented", "UnlockFailed"})


def chargers(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Make the table of all chargers."""
    return [
        {
            "charger_id": row["charger_id"],
            "status": Styled(row["status"], STYLES.get(row["status"], "")),
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
        "configuration": _configuration(row["configuration"]),
        "frames": len(row["frames"]),
    }


def commands(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Make the table of the commands to a charger."""
    return [
        {
            "command_id": row["command_id"],
            "action": row["action"],
            "what": gist(row["payload"]),
            "state": _state(row),
            "answer": row["status"] or row["error_code"],
            "what_followed": row["effect"] or row["error"],
            "queued": ago(row["queued_at"]),
        }
        for row in rows
    ]


def command(row: Row) -> dict[str, Any]:
    """Make the list of what became of a command; what there is nothing to say of is left out."""
    told = {
        "charger_id": row["charger_id"],
        "action": row["action"],
        "state": _state(row),
        "status": row["status"],
        "late": row["late"] or None,
        "effect": row["effect"],
        "error_code": row["error_code"],
        "error": row["error"],
        "payload": row["payload"],
        "answer": row["answer"],
        "took": took(row["sent_at"], row["answered_at"]),
        "command_id": row["command_id"],
    }
    return {name: value for name, value in told.items() if value not in ("", None, {}, [])}


def took(begin: datetime | str | None, end: datetime | str | None) -> str:
    """Say how long it was between two times."""
    if begin is None or end is None:
        return ""
    took_s = (_moment(end) - _moment(begin)).total_seconds()
    return f"{took_s * 1000:.0f} ms" if took_s < 1 else f"{took_s:.1f} s"


def _state(row: Row) -> str:
    bad = row["state"] in ("failed", "refused", "timed out") or row["status"] in _NO
    return Styled(row["state"], "red" if bad else _STATES.get(row["state"], ""))


def _moment(moment: datetime | str) -> datetime:
    return datetime.fromisoformat(moment) if isinstance(moment, str) else moment


def ago(moment: datetime | str | None) -> str:
    """Say how long ago something was; the API of a server gives times as text."""
    if moment is None:
        return ""
    passed = formats.duration((gw.now() - _moment(moment)).total_seconds())
    return f"{' '.join(passed.split()[:2])} ago"  # the largest unit: a narrow screen has to hold it


def _configuration(told: Row) -> str:
    waiting = sum(key["pending"] is not None for key in told["keys"])
    more = f", {waiting} changed at its restart" if waiting else ""
    if told["read_at"]:
        return f"{len(told['keys'])} keys, read {ago(told['read_at'])}{more}"
    return f"{len(told['keys'])} keys, not all read yet{more}" if told["keys"] else "not read yet"


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
