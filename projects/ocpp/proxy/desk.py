"""What the operator sees of the queue, and does with it.

Each read is one snapshot, off the hub: a queue of days may hold 100,000 messages.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from typing import Any

from gway.errors import UnknownName
from gway.projects.ocpp.data.codec import tag_key, when
from gway.projects.ocpp.messages.hiding import hide
from gway.projects.ocpp.proxy.store import Store
from gway.projects.sql.database import Row, rows

START = "StartTransaction"
SHOWN = 1_000  # dead letters, findings and transactions in one answer
PAYLOAD_SHOWN = 2_000

# By the index of what waits alone; the times of many rows would have to be read one by one.
WAITING = """
SELECT charger_id, pending, (SELECT at FROM outbox WHERE sequence = first) AS oldest_at
FROM (SELECT charger_id, count(*) AS pending, min(sequence) AS first
    FROM outbox WHERE state = 0 GROUP BY charger_id)
"""
DEAD_COUNTS = "SELECT charger_id, count(*) AS dead FROM outbox WHERE state = 1 GROUP BY charger_id"
DUPLICATES = "SELECT charger_id, possible_duplicates FROM proxy_chargers WHERE remote_id = ?"
OPEN = """
SELECT t.charger_id, t.transaction_id, m.remote_tx FROM transactions AS t
LEFT JOIN txmap AS m ON m.remote_id = ? AND m.charger_id = t.charger_id
    AND m.local_tx = t.transaction_id
WHERE t.state = 'open' ORDER BY t.transaction_id
"""
DEAD = """
SELECT sequence, charger_id, local_tx, action, substr(last_error, 1, 500) AS error, attempts,
    at, tried_at,
    CAST(substr(payload, 1, ?) AS TEXT) AS payload
FROM outbox WHERE state = 1 ORDER BY charger_id, sequence LIMIT ?
"""
FINDINGS = """
SELECT finding_id, charger_id, kind, text, local_tx, at FROM proxy_findings
WHERE remote_id = ? ORDER BY finding_id DESC LIMIT ?
"""
SIDES = """
WITH queued AS (
    SELECT charger_id, local_tx, sum(state = 0) AS pending, sum(state = 1) AS dead
    FROM outbox WHERE state < 2 AND (?2 IS NULL OR charger_id = ?2) GROUP BY charger_id, local_tx
)
SELECT t.charger_id, t.transaction_id AS local_tx, m.remote_tx, t.id_tag, t.meter_start_wh,
    t.start_time_raw, t.started_at, t.state, t.energy_wh,
    coalesce(q.pending, 0) AS pending, coalesce(q.dead, 0) AS dead
FROM transactions AS t
LEFT JOIN txmap AS m ON m.remote_id = ?1 AND m.charger_id = t.charger_id
    AND m.local_tx = t.transaction_id
LEFT JOIN queued AS q ON q.charger_id = t.charger_id AND q.local_tx = t.transaction_id
WHERE (?2 IS NULL OR t.charger_id = ?2) AND (?3 IS NULL OR t.started_at >= ?3)
ORDER BY t.started_at DESC LIMIT ?4
"""
REFUSED = """
SELECT id_tag, status, at FROM proxy_tags WHERE remote_id = ? ORDER BY at DESC, id_tag LIMIT ?
"""
ALLOW = "DELETE FROM proxy_tags WHERE remote_id = ? AND tag_key = ? RETURNING id_tag, status"
MAPPED = "SELECT 1 FROM txmap WHERE remote_id = ? AND charger_id = ? AND remote_tx = ? LIMIT 1"
OF_TRANSACTION = " WHERE state = 1 AND charger_id = ? AND local_tx = ?"
OF_ROW = " WHERE state = 1 AND sequence = ?"


class Desk:
    """Reads and changes the queue of one remote on an operator's word."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database = store.database

    # --- seeing --------------------------------------------------------------------

    def waiting(self) -> dict[str, Row]:
        """Give what waits of each charger: `pending`, `oldest_at`."""
        found = self._read(lambda connection: rows(connection, WAITING))
        return {row["charger_id"]: {**row, "oldest_at": when(row["oldest_at"])} for row in found}

    def figures(
        self,
    ) -> tuple[dict[str, Row], dict[str, int], dict[str, int], dict[str, list[Row]]]:
        """Give, by charger: what waits, dead letters, possible duplicates, open sessions."""
        remote_id = self._store.remote_id

        def read(connection: sqlite3.Connection) -> tuple[list[Row], ...]:
            return (
                rows(connection, WAITING),
                rows(connection, DEAD_COUNTS),
                rows(connection, DUPLICATES, (remote_id,)),
                rows(connection, OPEN, (remote_id,)),
            )

        waiting, dead, duplicates, opened = self._read(read)
        sessions: dict[str, list[Row]] = {}
        for row in opened:
            sessions.setdefault(row["charger_id"], []).append(row)
        return (
            {row["charger_id"]: {**row, "oldest_at": when(row["oldest_at"])} for row in waiting},
            {row["charger_id"]: row["dead"] for row in dead},
            {row["charger_id"]: row["possible_duplicates"] for row in duplicates},
            sessions,
        )

    def dead(self) -> list[Row]:
        """List the messages that the remote will not take, without secrets in their content."""
        found = self._timed(DEAD, PAYLOAD_SHOWN, SHOWN)
        return [{**row, "payload": hide(row["payload"])[0]} for row in found]

    def findings(self, limit: int = SHOWN) -> list[Row]:
        """List what somebody should look at, the latest first."""
        return self._timed(FINDINGS, self._store.remote_id, limit)

    def sides(
        self, charger_id: str | None = None, since: int | None = None, limit: int = SHOWN
    ) -> list[Row]:
        """List transactions with their ids here and there, the latest first."""
        return self._timed(SIDES, self._store.remote_id, charger_id, since, limit)

    def known_there(self, pairs: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
        """Give those of the remote's transactions that are one of ours.

        :param pairs: a charger and the remote's id
        """
        remote_id = self._store.remote_id

        def read(connection: sqlite3.Connection) -> set[tuple[str, int]]:
            return {
                pair for pair in pairs if connection.execute(MAPPED, (remote_id, *pair)).fetchone()
            }

        found: set[tuple[str, int]] = self._read(read)
        return found

    def _timed(self, sql: str, *params: object) -> list[Row]:
        found = self._read(lambda connection: rows(connection, sql, params))
        return [
            {name: when(value) if name.endswith("at") else value for name, value in row.items()}
            for row in found
        ]

    def _read(self, function: Callable[[sqlite3.Connection], Any]) -> Any:
        return self._database.read(function)

    def refused_tags(self, limit: int = SHOWN) -> list[Row]:
        """List the tags that the remote refused, the latest first."""
        return self._timed(REFUSED, self._store.remote_id, limit)

    # --- doing -----------------------------------------------------------------------

    def retry(self, sequence: int) -> list[Row]:
        """Let a dead letter wait again, with all dead ones of its transaction.

        Alone it would not help: messages are sent when the start before them was.
        """
        sql = "UPDATE outbox SET state = 0, attempts = 0, last_error = ''"

        def change(connection: sqlite3.Connection) -> list[Row]:
            row = self._dead_row(connection, sequence)
            where, params = _with_all(row)
            found = self._rows_of(connection, where, params)
            connection.execute(sql + where, params)
            return found

        changed: list[Row] = self._database.transact(change)
        return changed

    def drop(self, sequence: int) -> list[Row]:
        """Forget a dead letter; with a start, all dead ones of its transaction."""

        def change(connection: sqlite3.Connection) -> list[Row]:
            row = self._dead_row(connection, sequence)
            where, params = _with_all(row) if row["action"] == START else (OF_ROW, (sequence,))
            found = self._rows_of(connection, where, params)
            connection.execute("DELETE FROM outbox" + where, params)
            return found

        changed: list[Row] = self._database.transact(change)
        for charger_id in self._store.leaving & {row["charger_id"] for row in changed}:
            self._store.settled(charger_id)
        return changed

    def allow_tag(self, id_tag: str) -> Row:
        """Forget that the remote refused a tag."""

        def change(connection: sqlite3.Connection) -> list[Row]:
            return rows(connection, ALLOW, (self._store.remote_id, tag_key(id_tag)))

        found: list[Row] = self._database.transact(change)
        if not found:
            raise UnknownName(
                f"the remote has not refused the tag {id_tag!r}",
                "see `gway ocpp.proxy refused-tags`",
            )
        return found[0]

    def _dead_row(self, connection: sqlite3.Connection, sequence: int) -> Row:
        found = self._rows_of(connection, OF_ROW, (sequence,))
        if not found:
            raise UnknownName(f"no dead letter has number {sequence}", "see `gway ocpp.proxy dead`")
        return found[0]

    def _rows_of(
        self, connection: sqlite3.Connection, where: str, params: tuple[object, ...]
    ) -> list[Row]:
        sql = "SELECT sequence, charger_id, local_tx, action FROM outbox" + where
        return rows(connection, sql + " ORDER BY sequence", params)


def _with_all(row: Row) -> tuple[str, tuple[object, ...]]:
    if row["local_tx"] is None:
        return OF_ROW, (row["sequence"],)
    return OF_TRANSACTION, (row["charger_id"], row["local_tx"])


def age_s(since: datetime | None, now: datetime) -> float | None:
    """Give the seconds since a moment; None when there is none."""
    return None if since is None else max(timedelta(), now - since).total_seconds()
