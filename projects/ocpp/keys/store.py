"""The hashed keys of the chargers, in the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from datetime import datetime
from time import monotonic

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
    # Counts changes, whichever process makes them: that there was none is seen at little cost.
    """
    CREATE TABLE charger_keys_changes (
        only INTEGER PRIMARY KEY CHECK (only = 1),
        number INTEGER NOT NULL
    );
    CREATE TRIGGER charger_key_put AFTER INSERT ON charger_keys
    BEGIN
        INSERT INTO charger_keys_changes VALUES (1, 1)
            ON CONFLICT (only) DO UPDATE SET number = number + 1;
    END;
    CREATE TRIGGER charger_key_changed AFTER UPDATE ON charger_keys
    BEGIN
        INSERT INTO charger_keys_changes VALUES (1, 1)
            ON CONFLICT (only) DO UPDATE SET number = number + 1;
    END;
    CREATE TRIGGER charger_key_deleted AFTER DELETE ON charger_keys
    BEGIN
        INSERT INTO charger_keys_changes VALUES (1, 1)
            ON CONFLICT (only) DO UPDATE SET number = number + 1;
    END;
    """,
]
LOOK_EVERY_S = 0.01  # how late a key is that another process sets

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
    """The table of keys: at most one in force and one offered for each charger.

    Most handshakes of a site without keys, or with few, are of chargers that have none:
    which ones have is kept in memory, and read again when any process changed a key.

    :param clock: seconds that never jump
    """

    def __init__(self, database: Database, clock: Callable[[], float] = monotonic) -> None:
        database.migrate("keys", MIGRATIONS)
        self._database = database
        self._clock = clock
        self._with_key: frozenset[str] = frozenset()
        self._changes = -1
        self._looked_s = float("-inf")

    def _has_key(self, charger_id: str) -> bool:
        now = self._clock()
        if now - self._looked_s >= LOOK_EVERY_S:
            self._look()
            self._looked_s = now
        return charger_id in self._with_key

    def _look(self) -> None:
        def read(connection: sqlite3.Connection) -> None:
            # The number first: what changes in between is seen at the next look.
            counted = connection.execute("SELECT number FROM charger_keys_changes").fetchone()
            number = 0 if counted is None else counted[0]
            if number != self._changes:
                found = connection.execute("SELECT charger_id FROM charger_keys")
                self._with_key = frozenset(row[0] for row in found)
                self._changes = number

        self._database.peek(read)

    def _changed(self) -> None:
        self._looked_s = float("-inf")

    def find(self, charger_id: str) -> list[KeyRow]:
        """Find the keys of a charger, the one in force first."""
        if not self._has_key(charger_id):
            return []
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
        self._changed()

    def offer(self, charger_id: str, hashed: Hashed, at: datetime) -> None:
        """Keep a key beside the one in force."""
        self._database.execute(_PUT, _params(charger_id, hashed, at, offered=True))
        self._changed()

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

        found = self._database.transact(write)
        self._changed()
        return found


def _params(
    charger_id: str, hashed: Hashed, at: datetime, *, offered: bool
) -> tuple[str, bool, bytes, bytes, int, str]:
    return (charger_id, offered, hashed.salt, hashed.digest, hashed.cost, format_time(at))


def _time(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)
