"""The hashed keys of the chargers, in the database."""

from __future__ import annotations

import sqlite3
from datetime import datetime

import msgspec

from gway.projects.ocpp.keys.hashing import Hashed
from gway.projects.ocpp.messages.times import format_time, parse_time
from gway.projects.sql.database import Database

MIGRATIONS = [
    """
    CREATE TABLE charger_keys (
        charger_id TEXT NOT NULL,
        offered INTEGER NOT NULL,
        salt BLOB NOT NULL,
        digest BLOB NOT NULL,
        cost INTEGER NOT NULL,
        set_at TEXT NOT NULL,
        PRIMARY KEY (charger_id, offered)
    ) WITHOUT ROWID;
    """,
]

_PUT = """
    INSERT OR REPLACE INTO charger_keys (charger_id, offered, salt, digest, cost, set_at)
    VALUES (?, ?, ?, ?, ?, ?)
"""
_DELETE = "DELETE FROM charger_keys WHERE charger_id = ?"


class KeyRow(msgspec.Struct, frozen=True):
    """One key of a charger; `offered` marks one that it may or may not have taken."""

    charger_id: str
    offered: bool
    hashed: Hashed


class KeyDates(msgspec.Struct, frozen=True):
    """When the key of a charger was set, and when another one was offered to it."""

    charger_id: str
    set_at: datetime | None
    offered_at: datetime | None


class KeyStore:
    """The table of keys: at most one in force and one offered for each charger."""

    def __init__(self, database: Database) -> None:
        database.migrate("keys", MIGRATIONS)
        self._database = database

    def find(self, charger_id: str) -> list[KeyRow]:
        """Find the keys of a charger, the one in force first."""
        rows = self._database.query(
            "SELECT offered, salt, digest, cost FROM charger_keys WHERE charger_id = ?"
            " ORDER BY offered",
            (charger_id,),
        )
        return [
            KeyRow(
                charger_id,
                bool(row["offered"]),
                Hashed(row["salt"], row["digest"], row["cost"]),
            )
            for row in rows
        ]

    def dates(self, limit: int, after: str = "") -> list[KeyDates]:
        """List chargers by their id, those after the charger `after`, `limit` at most."""
        rows = self._database.query(
            "SELECT charger_id, max(iif(offered, NULL, set_at)) AS set_at,"
            " max(iif(offered, set_at, NULL)) AS offered_at FROM charger_keys"
            " WHERE charger_id > ? GROUP BY charger_id ORDER BY charger_id LIMIT ?",
            (after, limit),
        )
        return [
            KeyDates(row["charger_id"], _time(row["set_at"]), _time(row["offered_at"]))
            for row in rows
        ]

    def put(self, charger_id: str, hashed: Hashed, at: datetime) -> None:
        """Put a key in force, in place of all that the charger had."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_DELETE, (charger_id,))
            connection.execute(_PUT, _params(charger_id, hashed, at, offered=False))

        self._database.transact(write)

    def offer(self, charger_id: str, hashed: Hashed, at: datetime) -> None:
        """Keep a key beside the one in force."""
        self._database.execute(_PUT, _params(charger_id, hashed, at, offered=True))

    def take(self, row: KeyRow) -> None:
        """Put an offered key in force; one that is no longer offered stays away."""

        def write(connection: sqlite3.Connection) -> None:
            found = connection.execute(
                "SELECT 1 FROM charger_keys WHERE charger_id = ? AND offered = 1 AND digest = ?",
                (row.charger_id, row.hashed.digest),
            ).fetchall()
            if found:
                connection.execute(f"{_DELETE} AND offered = 0", (row.charger_id,))
                connection.execute(
                    "UPDATE charger_keys SET offered = 0 WHERE charger_id = ?", (row.charger_id,)
                )

        self._database.transact(write)

    def withdraw(self, row: KeyRow) -> None:
        """Forget an offered key."""
        self._database.execute(
            f"{_DELETE} AND offered = 1 AND digest = ?", (row.charger_id, row.hashed.digest)
        )

    def delete(self, charger_id: str) -> bool:
        """Remove all keys of a charger; tell whether there was one."""

        def write(connection: sqlite3.Connection) -> bool:
            return connection.execute(_DELETE, (charger_id,)).rowcount > 0

        return self._database.transact(write)


def _params(
    charger_id: str, hashed: Hashed, at: datetime, *, offered: bool
) -> tuple[str, bool, bytes, bytes, int, str]:
    return (charger_id, offered, hashed.salt, hashed.digest, hashed.cost, format_time(at))


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
