"""Brings units of work to disk: many in one commit, each whole or not at all.

A commit costs one fsync however much is in it, so everything that waits goes into
the same one. In a process that serves, a native thread does this (`threadwriter`);
elsewhere the caller's thread does it.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Protocol

from gway.errors import GwayError
from gway.projects.sql.presence import FileMoved

Done = Callable[[BaseException | None], None]
Statement = tuple[str, Sequence[object]]

log = logging.getLogger("gway.sql")

TIDY_AFTER_COMMITS = 128  # about a thousand pages: what a commit of one message changes is eight
TIDY_AFTER_CHANGES = 4_096  # rows, in commits of many

CALL = ""  # stands in a unit for a function instead of SQL text

# Primary result codes that speak of the storage and not of the statement.
STORAGE_CODES = frozenset(
    {
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
    }
)
# After these the connection may still be used; after the others it is opened anew.
KEEPS_CONNECTION = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL})


class StorageError(GwayError):
    """The disk or the database file does not take writes; nothing of the unit is stored."""


class Unit:
    """Writes that reach the database whole or not at all."""

    __slots__ = ("_committed", "_writer", "statements")

    def __init__(self, writer: Writer) -> None:
        self._writer: Writer | None = writer
        self._committed: list[Callable[[], None]] | None = None
        self.statements: list[Statement] = []

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Add a statement; it runs when the unit is submitted."""
        self.statements.append((sql, params))

    def call(self, function: Callable[[sqlite3.Connection], None]) -> None:
        """Add a function that reads and writes inside the same transaction.

        It may run twice: a batch that fails as a whole is tried again unit by unit.
        """
        self.statements.append((CALL, (function,)))

    def on_commit(self, callback: Callable[[], None]) -> None:
        """Call `callback` after the commit, before the submitter's own."""
        if self._committed is None:
            self._committed = []
        self._committed.append(callback)

    def submit(self, done: Done) -> None:
        """Hand the unit over; `done(error or None)` comes when it is durable."""
        writer, self._writer = self._writer, None
        if writer is None:
            raise RuntimeError("a unit can be submitted only once")
        writer.submit(self, done)

    def settle(self, done: Done, error: BaseException | None) -> None:
        """Tell everyone who waits for this unit; an error in a callback stays in it."""
        callbacks = self._committed
        if callbacks is not None and error is None:
            for callback in callbacks:
                try:
                    callback()
                except Exception:
                    log.exception("a callback after a commit failed")
        try:
            done(error)
        except Exception:
            log.exception("a callback after a commit failed")


class Committer:
    """Commits batches over one connection: all at once, apart only when that fails.

    :param check: raises a storage error when what was committed will not be found again
    """

    def __init__(
        self, name: str, connect: Callable[[], sqlite3.Connection], check: Callable[[], None]
    ) -> None:
        self.name = name
        self._check = check
        self.healthy = True
        self.failure = ""
        self.commits = 0
        self.units = 0
        self._connect = connect
        self._connection: sqlite3.Connection | None = None
        self._tidied = (0, 0)  # commits and changed rows, then

    def commit(self, units: Sequence[Unit]) -> dict[int, BaseException]:
        """Make `units` durable; gives the errors by position, {} when all are stored."""
        try:
            self._commit_together(units)
        except Exception as error:  # noqa: BLE001 - told to those who wait for it
            storage = self._roll_back(error)
            if storage is not None:
                return dict.fromkeys(range(len(units)), storage)
            if len(units) == 1:
                return {0: error}
            return self._commit_apart(units)
        return {}

    def probe(self) -> None:
        """See whether a storage that failed takes writes again."""
        unit = Unit(_NOWHERE)
        unit.execute("CREATE TABLE IF NOT EXISTS gway_probe (filler BLOB)")
        unit.execute("INSERT INTO gway_probe VALUES (zeroblob(16384))")
        unit.execute("DELETE FROM gway_probe")
        self.commit([unit])

    def tidy(self) -> None:
        """Move the log into the database file, if it has grown long.

        SQLite itself does this within a commit, and whoever waits for that one waits for
        two more fsyncs and, the larger the file, the more pages that lie far apart.
        """
        connection, commits = self._connection, self.commits
        if connection is None:
            return
        changes = connection.total_changes
        past_commits, past_changes = self._tidied
        if (
            commits - past_commits < TIDY_AFTER_COMMITS
            and changes - past_changes < TIDY_AFTER_CHANGES
        ):
            return
        self._tidied = (commits, changes)
        with suppress(sqlite3.Error):  # what is in the log is stored; a later try will do
            connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def connection(self) -> sqlite3.Connection:
        """Give the only connection that writes."""
        if self._connection is None:
            self._connection = self._connect()
            self._tidied = (self.commits, 0)
        return self._connection

    def close(self) -> None:
        """Close the connection; the next commit would open it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def _commit_together(self, units: Sequence[Unit]) -> None:
        connection = self.connection()
        cursor = connection.cursor()
        execute = cursor.execute
        execute("BEGIN IMMEDIATE")
        for unit in units:
            for sql, params in unit.statements:
                if sql:
                    execute(sql, params)
                else:
                    _call(params[0], connection)
        execute("COMMIT")
        self._check()
        self._note_commit(len(units))

    def _commit_apart(self, units: Sequence[Unit]) -> dict[int, BaseException]:
        """Commit what can be stored and leave out what cannot, with savepoints."""
        errors: dict[int, BaseException] = {}
        try:
            connection = self.connection()
            connection.execute("BEGIN IMMEDIATE")
            for position, unit in enumerate(units):
                error = _run_within_savepoint(connection, unit)
                if error is not None:
                    errors[position] = error
            connection.execute("COMMIT")
            self._check()
        except Exception as error:  # noqa: BLE001 - told to those who wait for it
            told = self._roll_back(error) or error
            return dict.fromkeys(range(len(units)), told)
        self._note_commit(len(units) - len(errors))
        return errors

    def _note_commit(self, units: int) -> None:
        self.commits += 1
        self.units += units
        if not self.healthy:
            self.healthy, self.failure = True, ""

    def _roll_back(self, error: BaseException) -> StorageError | None:
        """Undo the open transaction; gives what to tell if the storage is to blame."""
        code = storage_code(error)
        connection = self._connection
        try:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error as second:
            code = storage_code(second) or sqlite3.SQLITE_IOERR
        if code is None:
            return None
        if code not in KEEPS_CONNECTION:
            try:
                self.close()
            except sqlite3.Error:
                self._connection = None
        self.healthy, self.failure = False, str(error)
        return storage_error(self.name, error)


def storage_code(error: BaseException) -> int | None:
    """Give SQLite's primary code if `error` is about the storage, else None."""
    code = getattr(error, "sqlite_errorcode", None)
    if not isinstance(code, int) or code & 0xFF not in STORAGE_CODES:
        return None
    return code & 0xFF


def storage_error(name: str, error: BaseException) -> StorageError:
    """Say what is wrong with the storage, and what to do."""
    hints = {
        sqlite3.SQLITE_FULL: "free some disk space; writing goes on by itself",
        sqlite3.SQLITE_BUSY: "another program holds the database; end its transaction",
        sqlite3.SQLITE_READONLY: "make the file and its folder writable",
        sqlite3.SQLITE_CORRUPT: "stop GWAY, keep the file, restore a backup",
        sqlite3.SQLITE_NOTADB: "stop GWAY, keep the file, restore a backup",
    }
    hint = hints.get(storage_code(error) or 0)
    if isinstance(error, FileMoved):
        hint = "stop GWAY, put the file back with its -wal file, and start again"
    told = StorageError(f"{name}: {error}", hint=hint)
    told.__cause__ = error
    return told


def _run_within_savepoint(connection: sqlite3.Connection, unit: Unit) -> BaseException | None:
    """Run one unit; its own mistakes are given back, those of the storage raised."""
    connection.execute("SAVEPOINT unit")
    try:
        for sql, params in unit.statements:
            if sql:
                connection.execute(sql, params)
            else:
                _call(params[0], connection)
    except Exception as error:
        if storage_code(error) is not None:
            raise
        connection.execute("ROLLBACK TO unit")
        connection.execute("RELEASE unit")
        return error
    connection.execute("RELEASE unit")
    return None


def _call(function: object, connection: sqlite3.Connection) -> None:
    if not callable(function):
        raise TypeError(f"{function!r} cannot be called")
    function(connection)


class Writer(Protocol):
    """Takes units in order and tells when they are durable."""

    @property
    def waiting(self) -> int: ...

    def submit(self, unit: Unit, done: Done) -> None: ...

    def close(self) -> None: ...


class _Nowhere:
    """The writer of units that are committed by hand."""

    waiting = 0

    def submit(self, unit: Unit, done: Done) -> None:
        raise RuntimeError("this unit has no writer")

    def close(self) -> None:
        """Nothing to end."""


_NOWHERE = _Nowhere()


class DirectWriter:
    """Commits in the thread that submits; for processes that do not serve."""

    waiting = 0

    def __init__(self, committer: Committer) -> None:
        import threading

        self._committer = committer
        self._lock = threading.RLock()

    def submit(self, unit: Unit, done: Done) -> None:
        with self._lock:
            errors = self._committer.commit([unit])
        unit.settle(done, errors.get(0))

    def close(self) -> None:
        with self._lock:
            self._committer.close()
