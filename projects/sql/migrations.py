"""Brings a database's tables forward, one component at a time, whole or not at all."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence

from gway.errors import GwayError

Step = str | Callable[[sqlite3.Connection], None]

VERSIONS = """CREATE TABLE IF NOT EXISTS gway_schema (
    component TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    migrated_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))
) WITHOUT ROWID"""


def version(connection: sqlite3.Connection, component: str) -> int:
    """Tell how many steps of `component` the database has seen."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'gway_schema'"
    ).fetchone()
    if known is None:
        return 0
    row = connection.execute(
        "SELECT version FROM gway_schema WHERE component = ?", (component,)
    ).fetchone()
    return 0 if row is None else int(row[0])


def check_version(name: str, component: str, found: int, known: int) -> None:
    """Refuse a database that a newer program has written.

    Errors: GwayError; the file is left as it is.
    """
    if found > known:
        raise GwayError(
            f"{name}: its {component!r} tables are of version {found}, "
            f"this GWAY knows up to {known}",
            hint="use the newer GWAY that wrote the file, or another workspace",
        )


def migrate(
    connection: sqlite3.Connection, name: str, component: str, steps: Sequence[Step]
) -> int:
    """Run the steps that the database has not seen; gives how many there were.

    All of them run in one transaction, so that a failure leaves the old version.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = version(connection, component)  # again: another process may have been faster
        check_version(name, component, found, len(steps))
        if found < len(steps):
            connection.execute(VERSIONS)
            for step in steps[found:]:
                _run(connection, step)
            connection.execute(
                "INSERT INTO gway_schema (component, version) VALUES (?, ?)"
                " ON CONFLICT (component) DO UPDATE"
                " SET version = excluded.version, migrated_at = excluded.migrated_at",
                (component, len(steps)),
            )
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return len(steps) - found


def _run(connection: sqlite3.Connection, step: Step) -> None:
    if callable(step):
        step(connection)
        return
    for statement in statements(step):
        connection.execute(statement)


def statements(script: str) -> Iterator[str]:
    """Split a script; `executescript` would commit the transaction we are in."""
    pending = ""
    for part in script.split(";"):
        pending += part + ";"
        if sqlite3.complete_statement(pending):
            if pending.strip(" \t\r\n;"):
                yield pending.strip()
            pending = ""
    if pending.strip(" \t\r\n;"):
        raise ValueError(f"unfinished statement: {pending.strip()[:60]!r}")
