"""The tags that the operator keeps in the database."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from gway.projects.ocpp.messages.times import format_time, parse_time
from gway.projects.ocpp.rfid.tags import Tag, tag_key
from gway.projects.sql.database import Database

MIGRATIONS = [
    """
    CREATE TABLE rfid_tag (
        key TEXT PRIMARY KEY,
        id_tag TEXT NOT NULL,
        blocked INTEGER NOT NULL DEFAULT 0,
        expiry TEXT,
        parent_id_tag TEXT,
        concurrent_limit INTEGER,
        balance REAL,
        user TEXT,
        changed_at TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
]

_PUT = """
    INSERT OR REPLACE INTO rfid_tag
    (key, id_tag, blocked, expiry, parent_id_tag, concurrent_limit, balance, user, changed_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class TagStore:
    """The table of tags; a tag is found by any spelling of its case and kept as spelled."""

    def __init__(self, database: Database) -> None:
        database.migrate("rfid", MIGRATIONS)
        self._database = database

    def find(self, id_tag: str) -> Tag | None:
        """Find one tag."""
        rows = self._database.query("SELECT * FROM rfid_tag WHERE key = ?", (tag_key(id_tag),))
        return _tag(rows[0]) if rows else None

    def list(self, text: str = "", limit: int = 1000, after: str = "") -> list[Tag]:
        """List tags by their key, those after the tag `after`, `limit` at most.

        :param text: only tags whose id, user or parent holds it, without case
        """

        def read(connection: sqlite3.Connection) -> list[Tag]:
            connection.row_factory = sqlite3.Row
            cursor = connection.execute(
                "SELECT * FROM rfid_tag WHERE key > ? AND (? = '' OR instr(key, ?) OR"
                " instr(lower(coalesce(user, '')), ?) OR"
                " instr(lower(coalesce(parent_id_tag, '')), ?)) ORDER BY key LIMIT ?",
                (tag_key(after), *[text.casefold()] * 4, limit),
            )
            found = [_tag(row) for row in cursor]
            connection.row_factory = None
            return found

        return self._database.read(read)

    def put(self, tags: Iterable[Tag], at: datetime) -> int:
        """Store tags whole, all or none; those of the same key are replaced."""
        rows = [_row(tag, at) for tag in tags]
        self._database.transact(lambda connection: connection.executemany(_PUT, rows).close())
        return len(rows)

    def replace(self, tags: Iterable[Tag], at: datetime) -> int:
        """Store tags in place of all that were there."""
        rows = [_row(tag, at) for tag in tags]

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM rfid_tag")
            connection.executemany(_PUT, rows)

        self._database.transact(write)
        return len(rows)

    def set_blocked(self, id_tag: str, blocked: bool, at: datetime) -> Tag:
        """Block or unblock a tag and keep the rest of it; an unknown one is added."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(
                "INSERT INTO rfid_tag (key, id_tag, blocked, changed_at) VALUES (?, ?, ?, ?)"
                " ON CONFLICT (key) DO UPDATE SET blocked = excluded.blocked,"
                " changed_at = excluded.changed_at",
                (tag_key(id_tag), id_tag, blocked, format_time(at)),
            )

        self._database.transact(write)
        return self.find(id_tag) or Tag(id_tag, blocked=blocked)

    def delete(self, id_tag: str) -> bool:
        """Remove a tag; tell whether it was there."""

        def write(connection: sqlite3.Connection) -> bool:
            cursor = connection.execute("DELETE FROM rfid_tag WHERE key = ?", (tag_key(id_tag),))
            return cursor.rowcount > 0

        return self._database.transact(write)


def _row(tag: Tag, at: datetime) -> tuple[Any, ...]:
    return (
        tag_key(tag.id_tag),
        tag.id_tag,
        tag.blocked,
        None if tag.expiry is None else format_time(tag.expiry),
        tag.parent_id_tag,
        tag.concurrent_limit,
        tag.balance,
        tag.user,
        format_time(at),
    )


def _tag(row: Any) -> Tag:
    return Tag(
        row["id_tag"],
        bool(row["blocked"]),
        None if row["expiry"] is None else parse_time(row["expiry"]),
        row["parent_id_tag"],
        row["concurrent_limit"],
        row["balance"],
        row["user"],
    )
