"""One SQLite file: writes in units through one writer, reads through connections of their own."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from gway.errors import GwayError, UsageError
from gway.native import in_thread, original
from gway.projects.sql import migrations
from gway.projects.sql.presence import Presence
from gway.projects.sql.writer import (
    Committer,
    DirectWriter,
    StorageError,
    Unit,
    Writer,
    storage_code,
    storage_error,
)

if TYPE_CHECKING:
    from gevent.hub import Hub

T = TypeVar("T")
Row = dict[str, Any]

LOCK_TIMEOUT_S = 5.0  # SPEC of ours: storage that fails is retried for 5 s
HUB_LOCK_TIMEOUT_S = 0.02  # a read on the hub waits no longer; the thread pool takes over
LONGEST_LOG_PAGES = 4_000  # then a commit moves them into the file, whoever waits for it
CHECKED_BYTES = 64 * 1024 * 1024  # larger files are checked by `check`, not at every open


class Database:
    """A database file; one instance per file and gateway.

    With a hub, writes go through a native thread and long reads through the hub's
    thread pool; without one, everything runs in the calling thread.
    """

    def __init__(
        self,
        path: Path,
        *,
        hub: Hub | None = None,
        lock_timeout_s: float = LOCK_TIMEOUT_S,
        pragmas: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.hub = hub
        self._lock_timeout_s = lock_timeout_s
        self._pragmas = tuple(pragmas)
        self._idle: list[sqlite3.Connection] = []
        self._idle_on_hub: list[sqlite3.Connection] = []
        # Native threads are told apart; the patched function would tell greenlets apart.
        self._thread: Callable[[], int] = original("_thread", "get_ident")
        self._home = self._thread() if hub is not None else 0
        prepare_file(path, thorough=hub is not None)
        self._presence = Presence(path)
        self._committer = Committer(str(path), self._connect_writer, self._presence.check)
        self._writer: Writer | None = None
        self._closed = False

    # --- state ---------------------------------------------------------------

    @property
    def healthy(self) -> bool:
        """Whether the last write reached the disk; probed every second while not."""
        return self._committer.healthy

    @property
    def failure(self) -> str:
        """What the storage said when it last failed, "" while healthy."""
        return self._committer.failure

    @property
    def waiting(self) -> int:
        """How many units wait for the writer."""
        return 0 if self._writer is None else self._writer.waiting

    @property
    def counts(self) -> dict[str, int]:
        """Commits made and units stored since the database was opened."""
        return {"commits": self._committer.commits, "units": self._committer.units}

    def __str__(self) -> str:
        return str(self.path)

    # --- writes --------------------------------------------------------------

    def unit(self) -> Unit:
        """Begin a unit of work: statements that are stored whole or not at all."""
        return Unit(self._writer or self._start_writer())

    def execute(self, sql: str, params: Sequence[object] = ()) -> None:
        """Run one statement as a unit of its own and wait for its commit."""
        unit = self.unit()
        unit.execute(sql, params)
        self.wait_for(unit)

    def transact(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function(connection)` in one transaction and wait for its commit.

        It runs in the writer, must not switch greenlets, and may run twice.
        """
        results: list[T] = []
        unit = self.unit()
        unit.call(lambda connection: results.append(function(connection)))
        self.wait_for(unit)
        return results[-1]

    def wait_for(self, unit: Unit) -> None:
        """Submit a unit and wait until it is durable; raises what went wrong."""
        error = self._outcome_of(unit)
        if isinstance(error, OverflowError):
            raise _out_of_range(error) from None
        if error is not None:
            raise error

    def flush(self) -> None:
        """Wait until everything submitted so far is durable or refused."""
        if self._writer is not None:
            self._outcome_of(self.unit())

    def _outcome_of(self, unit: Unit) -> BaseException | None:
        outcome: list[BaseException | None] = []
        if self.hub is None:
            unit.submit(outcome.append)
        else:
            event = self._event()

            def done(error: BaseException | None) -> None:
                outcome.append(error)
                event.set()

            unit.submit(done)
            event.wait()
        return outcome[0]

    def migrate(self, component: str, steps: Sequence[migrations.Step]) -> int:
        """Bring the tables of `component` forward; gives the number of steps taken.

        :param steps: SQL scripts or functions, the oldest first; never change one
            that was released, add to the end
        Errors: GwayError when the file was written by a newer program.
        """

        def found_version(connection: sqlite3.Connection) -> int:
            return migrations.version(connection, component)

        found = self.peek(found_version)
        migrations.check_version(str(self.path), component, found, len(steps))
        if found == len(steps):
            return 0
        connection = self._connect_writer()
        try:
            return self.off_hub(
                lambda: migrations.migrate(connection, str(self.path), component, steps)
            )
        except sqlite3.Error as error:
            if storage_code(error) is None:
                raise
            raise storage_error(str(self.path), error) from error
        finally:
            connection.close()

    # --- reads ---------------------------------------------------------------

    def query(self, sql: str, params: Sequence[object] = ()) -> list[Row]:
        """Read rows as dicts, here and now: for reads of a few milliseconds."""
        return self.peek(lambda connection: rows(connection, sql, params))

    def peek(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function(connection)` here and now: for reads of a few milliseconds.

        A lock that is met on the hub sends it to the thread pool.
        """
        if self.hub is None or self._thread() != self._home:
            return self._read_in_thread(function)
        try:
            with self._reader(self._idle_on_hub, HUB_LOCK_TIMEOUT_S) as connection:
                return function(connection)
        except sqlite3.OperationalError as error:
            if storage_code(error) != sqlite3.SQLITE_BUSY:
                raise
        return self.off_hub(lambda: self._read_in_thread(function))

    def read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run `function(connection)` on one snapshot, off the hub in a process that serves.

        The connection cannot write. The function must not switch greenlets.
        """
        return self.off_hub(lambda: self._read_snapshot(function))

    def off_hub(self, function: Callable[[], T]) -> T:
        """Run in the thread pool when called by a greenlet of the hub, else right here."""
        hub = self.hub
        if hub is None or self._thread() != self._home:
            return function()
        import gevent

        if gevent.getcurrent() is hub:
            return function()
        return in_thread(hub, function)

    def backup(self, to: Path) -> int:
        """Copy the database as it is now into a new file; gives its size in bytes."""
        return self.off_hub(lambda: self._back_up(to))

    def vacuum(self) -> int:
        """Write the file anew without what is free in it; gives by how many bytes it shrank.

        Nobody else can write meanwhile, and the disk has to hold the file twice.
        """
        self.flush()
        try:
            return self.off_hub(self._vacuum)
        except sqlite3.Error as error:
            if storage_code(error) is None:
                raise
            raise storage_error(str(self.path), error) from error

    def _vacuum(self) -> int:
        connection = self._connect_writer()
        try:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            before = self.path.stat().st_size
            connection.execute("VACUUM")
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return before - self.path.stat().st_size
        finally:
            connection.close()

    def integrity(self) -> list[str]:
        """Let SQLite check every page and index; gives what is wrong, [] when nothing."""

        def check(connection: sqlite3.Connection) -> list[str]:
            told = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(20)")]
            return [] if told == ["ok"] else told

        return self.read(check)

    def close(self) -> None:
        """Store what waits and close all connections."""
        if self._writer is not None:
            self._writer.close()
        self._closed = True
        for idle in (self._idle, self._idle_on_hub):
            while idle:
                idle.pop().close()

    # --- inner ---------------------------------------------------------------

    def _start_writer(self) -> Writer:
        if self._closed:
            raise StorageError(f"{self.path}: is closed")
        if self.hub is None:
            self._writer = DirectWriter(self._committer)
        else:
            from gway.projects.sql.threadwriter import ThreadWriter

            self._writer = ThreadWriter(self._committer, self.hub)
        return self._writer

    def _connect(self, timeout_s: float) -> sqlite3.Connection:
        if self._closed:
            raise StorageError(f"{self.path}: is closed")
        connection = sqlite3.connect(
            self.path,
            timeout=timeout_s,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=256,
        )
        connection.execute("PRAGMA foreign_keys = ON")
        return connection

    def _connect_writer(self) -> sqlite3.Connection:
        self._presence.forget_log()
        self._presence.check()
        connection = self._connect(self._lock_timeout_s)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA cache_size = -8000")
        connection.execute("PRAGMA journal_size_limit = 67108864")
        if self.hub is not None:  # the writer tidies up behind its commits, see `Committer.tidy`
            connection.execute(f"PRAGMA wal_autocheckpoint = {LONGEST_LOG_PAGES}")
        for pragma in self._pragmas:
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def _read_in_thread(self, function: Callable[[sqlite3.Connection], T]) -> T:
        with self._reader(self._idle, self._lock_timeout_s) as connection:
            return function(connection)

    def _read_snapshot(self, function: Callable[[sqlite3.Connection], T]) -> T:
        with self._reader(self._idle, self._lock_timeout_s) as connection:
            connection.execute("BEGIN")
            try:
                return function(connection)
            finally:
                connection.execute("ROLLBACK")

    @contextmanager
    def _reader(
        self, idle: list[sqlite3.Connection], timeout_s: float
    ) -> Iterator[sqlite3.Connection]:
        """Lend a reading connection; one user at a time has it, whatever the thread."""
        try:
            connection = idle.pop()
        except IndexError:
            connection = self._connect(timeout_s)
            connection.execute("PRAGMA query_only = ON")
        try:
            yield connection
        except sqlite3.Error:
            connection.close()
            raise
        except OverflowError as error:  # a parameter: nothing in the file has that number
            idle.append(connection)
            raise _out_of_range(error) from None
        except BaseException:
            idle.append(connection)
            raise
        if self._closed:
            connection.close()
        else:
            idle.append(connection)

    def _back_up(self, to: Path) -> int:
        if to.exists():
            raise GwayError(f"{to}: is there already", hint="name a file that does not exist")
        if not to.parent.is_dir():
            raise GwayError(f"there is no folder {to.parent}", hint="make it, or name another")
        partial = to.with_name(to.name + ".partial")
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with self._reader(self._idle, self._lock_timeout_s) as source:
            target = sqlite3.connect(partial, isolation_level=None)
            try:
                source.backup(target, pages=2_000, sleep=0.01)
                target.execute("PRAGMA journal_mode = DELETE")  # one file, no side files
            finally:
                target.close()
        with partial.open("rb") as handle:
            os.fsync(handle.fileno())
        partial.rename(to)
        return to.stat().st_size

    def _event(self) -> Any:
        """Give something to wait on: for a greenlet of the hub, or for another thread."""
        if self._thread() == self._home:
            from gevent.event import Event

            return Event()
        from gevent.monkey import get_original

        return _NativeEvent(get_original("_thread", "allocate_lock")())


class _NativeEvent:
    """An event for threads that have no hub."""

    def __init__(self, lock: Any) -> None:
        self._lock = lock
        lock.acquire()

    def set(self) -> None:
        self._lock.release()

    def wait(self) -> None:
        self._lock.acquire()


def _out_of_range(error: OverflowError) -> UsageError:
    return UsageError(f"a number is out of range: {error}")


def rows(connection: sqlite3.Connection, sql: str, params: Sequence[object] = ()) -> list[Row]:
    """Read rows as dicts over a given connection."""
    cursor = connection.execute(sql, params)
    names = [column[0] for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]


def prepare_file(path: Path, *, thorough: bool) -> None:
    """Make the file for us alone, or look whether it is sound before anything touches it.

    :param thorough: let SQLite check the pages too, if the file is not very large
    Errors: GwayError when the file is damaged; it stays as it is.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
        return
    size = path.stat().st_size
    if size == 0:
        return
    uri = path.absolute().as_uri() + "?mode=ro"
    problem = ""
    try:
        connection = sqlite3.connect(uri, uri=True, timeout=LOCK_TIMEOUT_S)
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if thorough and size <= CHECKED_BYTES:
                told = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
                problem = "" if told == "ok" else str(told)
        finally:
            connection.close()
    except sqlite3.DatabaseError as error:
        if storage_code(error) == sqlite3.SQLITE_BUSY:
            return  # whoever holds it can read it
        problem = str(error)
    if problem:
        raise GwayError(
            f"{path}: damaged, or not an SQLite database ({problem})",
            hint="the file was left as it is: move it away (with its -wal file) and start "
            "again, put a backup in its place, or rescue it with `sqlite3 FILE .recover`",
        )
