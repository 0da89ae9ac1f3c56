"""What happened around a transaction, in order: the words of both sides, and ours."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from gway.projects.ocpp.data import history, queries
from gway.projects.ocpp.data.codec import micros, when
from gway.projects.sql.database import Row, rows

AROUND = 600_000_000  # microseconds before the start and after the stop
BEFORE = (
    "SELECT stopped_at FROM transactions WHERE charger_id = ? AND connector_id = ?"
    " AND started_at <= ? AND sequence < ? ORDER BY started_at DESC, sequence DESC LIMIT 1"
)
AFTER = (
    "SELECT started_at FROM transactions WHERE charger_id = ? AND connector_id = ?"
    " AND started_at >= ? AND sequence > ? ORDER BY started_at, sequence LIMIT 1"
)

FLAGS = {
    "bad-timestamp": "a time that the charger sent cannot be read",
    "historical": "messages came more than 15 minutes after what they tell of",
    "time-order": "a time lies before the one that it should follow",
    "meter-backwards": "the register ran backwards",
    "stop-below-samples": "the register at the stop is below the samples",
    "reason-implied": "the charger gave no reason; that means Local",
    "id-matched": "the charger named no transaction id; found by connector, tag and time",
    "after-stop": "samples came after the stop",
    "reopened": "was closed by us, then the charger went on",
    "late-stop": "the stop came after we had closed it",
    "conflicting-stop": "the charger sent two different stops; the first one counts",
    "closed-next-start": "closed by us: the next session began at the connector",
    "closed-connector-available": "closed by us: the connector said that it is free",
    "closed-restart-of-the-charger": "closed by us: the charger had restarted",
    "closed-operator": "closed by an operator here, without the charger",
}


def events(
    connection: sqlite3.Connection, transaction: Mapping[str, Any], now: datetime
) -> list[dict[str, Any]]:
    """List what happened, the oldest first, by the server's clock.

    :param transaction: as `reports.public_transaction` shows it
    """
    first, last = _span(connection, transaction, now)
    ended = micros(transaction["stopped_at"] or now) or 0
    found = [
        *_start_and_stop(transaction),
        *_statuses(connection, transaction, first, last),
        *_faults(connection, transaction, first, last),
        *_commands(connection, transaction, first, min(last, ended)),
        *_own_words(connection, transaction["transaction_id"]),
    ]
    return sorted(found, key=lambda event: event["at"])


def _span(connection: sqlite3.Connection, one: Mapping[str, Any], now: datetime) -> tuple[int, int]:
    """Say from when to when things belong to a transaction, in microseconds.

    The sessions before and after it at the same connector bound it; what the charger told
    between two of them belongs to both.
    """
    began, ended = micros(one["started_at"]) or 0, micros(one["stopped_at"] or now) or 0
    which = (one["charger_id"], one["connector_id"], began, one["sequence"])
    before = connection.execute(BEFORE, which).fetchone()
    after = connection.execute(AFTER, which).fetchone()
    first, last = began - AROUND, ended + AROUND
    # A late stop may have come when the next session was on: a session's own time is shown.
    if before is not None and before[0] is not None:
        first = max(first, min(began, before[0] + 1))
    if after is not None:
        last = min(last, max(ended, after[0] - 1))
    return first, last


def _event(
    at: datetime | None, kind: str, what: str, tone: str = "", charger_time: datetime | None = None
) -> dict[str, Any]:
    return {"at": at, "charger_time": charger_time, "kind": kind, "what": what, "tone": tone}


def _start_and_stop(one: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    tag = f"tag {one['id_tag']} {one['tag_status']}"
    register = f"register {one['meter_start_wh']} Wh"
    tone = "active" if one["tag_status"] == "Accepted" else "bad"
    yield _event(one["started_at"], "start", f"{tag}, {register}", tone, one["start_time"])
    if one["state"] == "stopped":
        register = f"register {one['meter_stop_wh']} Wh"
        what = f"{one['reason']}, {register}"
        yield _event(one["stopped_at"], "stop", what, "ok", one["stop_time"])


def _statuses(
    connection: sqlite3.Connection, one: Mapping[str, Any], first: int, last: int
) -> Iterator[dict[str, Any]]:
    for row in history.statuses(connection, one["charger_id"], one["connector_id"], first, last):
        where = "charger" if row["connector_id"] == 0 else f"connector {row['connector_id']}"
        fault = "" if row["error_code"] == "NoError" else f", {row['error_code']}"
        info = f" ({row['info']})" if row["info"] else ""
        what = f"{where} {row['status']}{fault}{info}"
        yield _event(when(row["at"]), "status", what, row["status"], when(row["time"]))


def _faults(
    connection: sqlite3.Connection, one: Mapping[str, Any], first: int, last: int
) -> Iterator[dict[str, Any]]:
    """Faults of the time before status changes were kept; later ones are among those."""
    found = rows(
        connection,
        "SELECT e.* FROM errors AS e WHERE e.charger_id = ? AND e.connector_id IN (0, ?)"
        " AND e.at BETWEEN ? AND ? AND NOT EXISTS (SELECT 1 FROM status_changes AS s WHERE"
        " s.charger_id = e.charger_id AND s.connector_id = e.connector_id AND s.at = e.at)"
        " ORDER BY e.at LIMIT 100",
        (one["charger_id"], one["connector_id"], first, last),
    )
    for row in found:
        info = f" ({row['info']})" if row["info"] else ""
        yield _event(when(row["at"]), "fault", f"{row['error_code']}{info}", "bad")


def _commands(
    connection: sqlite3.Connection, one: Mapping[str, Any], first: int, last: int
) -> Iterator[dict[str, Any]]:
    found: list[Row] = rows(
        connection,
        "SELECT action, queued_at, status, state, effect FROM commands WHERE charger_id = ?"
        " AND queued_at BETWEEN ? AND ? ORDER BY queued_at LIMIT 100",
        (one["charger_id"], first, last),
    )
    for row in found:
        outcome = row["status"] or row["state"]
        effect = f": {row['effect']}" if row["effect"] else ""
        what = f"{row['action']} {outcome}{effect}"
        yield _event(when(row["queued_at"]), "command", what, "wait")


def _own_words(connection: sqlite3.Connection, transaction_id: int) -> Iterator[dict[str, Any]]:
    for row in queries.closings(connection, transaction_id):
        yield _event(when(row["at"]), "closed by us", row["why"], "warn")
    for row in history.revisions(connection, transaction_id):
        energy = "" if row["energy_wh"] is None else f", {row['energy_wh']} Wh"
        source = f" by {row['energy_source']}" if row["energy_source"] else ""
        flags = f" ({row['flags'].replace(' ', ', ')})" if row["flags"] else ""
        what = f"now {row['state']}{energy}{source}{flags}"
        yield _event(when(row["at"]), "revised", what, "warn")
    thinned = connection.execute(
        "SELECT removed, at FROM thinned WHERE transaction_id = ? AND removed > 0",
        (transaction_id,),
    )
    for removed, at in thinned:
        yield _event(when(at), "thinned", f"{removed} messages with samples removed", "off")
