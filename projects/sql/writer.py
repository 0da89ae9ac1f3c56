"""Brings units of work to disk: many in one commit, each whole or not at all.

A commit costs one fsync however much is in it, so everything that waits goes into
the same one. In a process that serves, a native thread does this and the hub never
waits for the disk; elsewhere the caller's thread does it.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from gway.errors import GwayError

if TYPE_CHECKING:
    from gevent.hub import Hub

Done = Callable[[BaseException | None], None]
Statement = tuple[str, Sequence[object]]

log = logging.getLogger("gway.sql")

MAX_BATCH = 2_000  # units in one commit: bounds what the last of them waits for
DELIVERY_SLICE_S = 0.005  # the hub's other work goes on between slices of callbacks
PROBE_INTERVAL_S = 1.0
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
    """Commits batches over one connection: all at once, apart only when that fails."""

    def __init__(self, name: str, connect: Callable[[], sqlite3.Connection]) -> None:
        self.name = name
        self.healthy = True
        self.failure = ""
        self.commits = 0
        self.units = 0
        self._connect = connect
        self._connection: sqlite3.Connection | None = None

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

    def connection(self) -> sqlite3.Connection:
        """Give the only connection that writes."""
        if self._connection is None:
            self._connection = self._connect()
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
    told = StorageError(f"{name}: {error}", hint=hints.get(storage_code(error) or 0))
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


class ThreadWriter:
    """Commits in one native thread; callbacks run on the hub that made it.

    What greenlets submit in one turn of the loop is handed over at the end of that
    turn; what comes while a commit is under way makes up the next one.
    """

    def __init__(self, committer: Committer, hub: Hub) -> None:
        from gevent.monkey import get_original

        self._committer = committer
        self._loop: Any = hub.loop
        self._hub = hub
        self._get_ident: Callable[[], int] = get_original("_thread", "get_ident")
        self._home = self._get_ident()
        allocate = get_original("_thread", "allocate_lock")
        self._wake = allocate()
        self._wake.acquire()
        self._ended = allocate()
        self._ended.acquire()
        self._waiting: deque[tuple[Unit, Done]] = deque()
        self._finished: deque[tuple[Unit, Done, BaseException | None]] = deque()
        self._scheduled = False
        self._closing = False
        self._was_healthy = True
        self._watcher: Any = self._loop.async_()
        self._watcher.start(self._deliver)
        get_original("_thread", "start_new_thread")(self._run, ())

    @property
    def waiting(self) -> int:
        """How many units are not yet taken by the thread."""
        return len(self._waiting)

    def submit(self, unit: Unit, done: Done) -> None:
        if self._closing:
            raise StorageError(f"{self._committer.name}: is closed")
        self._waiting.append((unit, done))
        if self._get_ident() != self._home:
            self._wake_up()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.run_callback(self._hand_over)

    def close(self) -> None:
        """Store what waits, then end the thread."""
        import gevent

        if self._closing:
            return
        self._closing = True
        self._wake_up()
        while not self._ended.acquire(False):
            gevent.sleep(0.005)
        self._watcher.stop()
        self._watcher.close()
        self._deliver()

    def _hand_over(self) -> None:
        self._scheduled = False
        self._wake_up()

    def _wake_up(self) -> None:
        try:
            self._wake.release()
        except RuntimeError:
            return  # it is awake, or about to be: it takes all that waits

    def _run(self) -> None:
        """Commit until closed (the thread)."""
        committer, wake = self._committer, self._wake
        while not self._closing or self._waiting:
            if not self._waiting and not wake.acquire(True, -1 if committer.healthy else 1.0):
                committer.probe()
                self._watcher.send()
                continue
            while self._waiting:
                self._commit_once()
        try:
            committer.close()
        except sqlite3.Error as error:
            committer.failure = str(error)
        self._ended.release()

    def _commit_once(self) -> None:
        waiting = self._waiting
        batch = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH))]
        errors = self._committer.commit([unit for unit, _ in batch])
        if errors:
            self._finished.extend(
                (unit, done, errors.get(position)) for position, (unit, done) in enumerate(batch)
            )
        else:
            self._finished.extend([(unit, done, None) for unit, done in batch])
        self._watcher.send()

    def _deliver(self) -> None:
        """Call back for what is finished, in slices (on the hub)."""
        finished = self._finished
        until = time.monotonic() + DELIVERY_SLICE_S
        while finished:
            unit, done, error = finished.popleft()
            unit.settle(done, error)
            if time.monotonic() > until and finished and not self._closing:
                self._loop.run_callback(self._deliver)
                return
        self._log_health()

    def _log_health(self) -> None:
        committer = self._committer
        if committer.healthy == self._was_healthy:
            return
        self._was_healthy = committer.healthy
        if committer.healthy:
            log.warning("%s: takes writes again", committer.name)
        else:
            log.error("%s: cannot be written: %s", committer.name, committer.failure)
