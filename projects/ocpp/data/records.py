"""One `.dat` file per completed transaction, as real charge points log them.

The database is the truth: a record is made from it after the commit, and made again
it is the same, byte for byte. Only of a transaction whose samples were thinned (see
compact.py) the file has more than the database: what it holds of them stays in it.

Sessions often end together, those of a night with thousands of samples, and answers to
chargers need the interpreter meanwhile: records are made in small slices, with rests.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from gway.errors import GwayError, UnknownName
from gway.native import Pace
from gway.projects.ocpp.data.recordtext import moments_of, record_text, with_those_of
from gway.projects.ocpp.data.samples import unique
from gway.projects.sql.database import Database, Row, rows
from gway.projects.sql.writer import StorageError

log = logging.getLogger("ocpp.data")

T = TypeVar("T")

CATCH_UP = 1_000  # of the latest transactions, records that a kill left unwritten are made up
AT_ONCE = 50
CLOSE_TIMEOUT_S = 5.0
NO_RESTS = Pace(rest_s=0.0)  # for a record that somebody waits for
RETRY_S = 5.0  # after a failure; each one in a row doubles it, up to the longest
LONGEST_RETRY_S = 600.0

PLACE = (
    "SELECT charger_id, connector_id FROM transactions WHERE transaction_id = ? AND state <> 'open'"
)
CLOSED = "SELECT * FROM transactions WHERE transaction_id = ? AND state <> 'open'"
WAS_THINNED = "SELECT 1 FROM thinned WHERE transaction_id = ?"
READING = ("at", "origin", "raw")
SELECT_READINGS = (
    f"SELECT {', '.join(READING)} FROM readings WHERE transaction_id = ? ORDER BY sequence"
)


class Records:
    """Writes records behind the commits, never on the hub.

    :ivar pace: rests between the steps of the work in a process that serves
    """

    def __init__(self, database: Database, base: Path) -> None:
        self._database = database
        self.base = base
        self.written = 0
        self.pace = Pace() if database.hub is not None else Pace(rest_s=0.0)
        self._turn = _turn_of(database)
        self._wanted: deque[int] = deque()
        self._failed: set[int] = set()
        self._busy = False
        self._retry_s = RETRY_S
        self._retry: Any = None  # the timer of the next try, when the last one failed

    def request(self, *transaction_ids: int) -> None:
        """Have records written soon; without a hub they are written now."""
        self._wanted.extend(transaction_ids)
        if self._busy or not self._wanted:
            return
        self._busy = True
        self._run(self._write_wanted)

    def catch_up(self) -> None:
        """Write what is missing among the latest transactions."""
        self._run(self._catch_up)

    def _run(self, function: Callable[[], None]) -> None:
        if self._database.hub is None:
            function()
        else:
            import gevent

            gevent.spawn(function)

    def _catch_up(self) -> None:
        try:
            found = self.missing(CATCH_UP)
        except (OSError, sqlite3.Error, GwayError) as error:
            log.error("which records are missing could not be found out: %s", error)
            self._later(self.catch_up)
        else:
            self.request(*found)

    def missing(self, latest: int | None = None) -> list[int]:
        """List closed transactions that have no record.

        :param latest: look only at that many, the youngest; None looks at all
        """
        return self._database.read(lambda connection: list(self._missing(connection, latest)))

    def rebuild(self, transaction_ids: Sequence[int] | None = None) -> int:
        """Write records again; gives how many there were.

        :param transaction_ids: which ones; None means all
        """
        if transaction_ids is None:
            transaction_ids = [
                row["transaction_id"]
                for row in self._database.query(
                    "SELECT transaction_id FROM transactions WHERE state <> 'open'"
                    " ORDER BY sequence"
                )
            ]
        return sum(self._beside(partial(self._write, each, self.pace)) for each in transaction_ids)

    def content(self, transaction_id: int) -> tuple[str, bytes]:
        """Give the name and the content of a record; one that is missing is made.

        Errors: UnknownName when there is no such transaction, or it is not completed.
        """
        return self._beside(partial(self._content, transaction_id))

    def _content(self, transaction_id: int) -> tuple[str, bytes]:
        path = self._place(transaction_id)
        if path is None:
            raise UnknownName(
                f"there is no record of transaction {transaction_id}",
                hint="one is written when a transaction is completed",
            )
        if not path.exists():
            self._write(transaction_id, NO_RESTS, again=False)
        return path.name, path.read_bytes()

    def make_missing(self, transaction_ids: Iterable[int]) -> None:
        """Write those of some records that are not there.

        Errors: OSError, StorageError; whoever takes samples away must not go on then.
        """
        for each in transaction_ids:
            self._beside(partial(self._make_missing, each))

    def _make_missing(self, transaction_id: int) -> None:
        path = self._place(transaction_id)
        if path is not None and not path.exists():
            self._write(transaction_id, NO_RESTS, again=False)

    def _place(self, transaction_id: int) -> Path | None:
        """Tell where the record of a closed transaction is, or is to be."""

        def read(connection: sqlite3.Connection) -> tuple[str, int] | None:
            found: tuple[str, int] | None = connection.execute(PLACE, (transaction_id,)).fetchone()
            return found

        found = self._database.read(read)
        return None if found is None else self.path(*found, transaction_id)

    def path(self, charger_id: str, connector_id: int, transaction_id: int) -> Path:
        """Tell where a record is kept.

        Errors: GwayError for an id that would leave the folder.
        """
        folder = quote(charger_id, safe=" @+,!~$").replace("~", "%7E")
        if folder.startswith("."):
            folder = "%2E" + folder[1:]
        path = self.base / folder / f"{connector_id}_{transaction_id}.dat"
        if not path.resolve().is_relative_to(self.base.resolve()):
            raise GwayError(f"no record can be kept for the charger id {charger_id!r}")
        return path

    def close(self) -> None:
        """Wait until what was requested is written; what failed is made up at the next start."""
        if self._database.hub is None:
            return
        import gevent

        if self._retry is not None:
            self._retry.kill()
        self.pace.hurry()
        until = time.monotonic() + CLOSE_TIMEOUT_S
        while self._busy and time.monotonic() < until:
            gevent.sleep(0.01)

    def _write_wanted(self) -> None:
        failed: set[int] = set()
        try:
            while self._wanted:
                some = [self._wanted.popleft() for _ in range(min(len(self._wanted), AT_ONCE))]
                failed |= self._write_some(some)
        finally:
            self._busy = False
        self._failed |= failed
        if failed:
            self._later(self._write_failed)
        elif not self._failed:
            self._retry_s = RETRY_S

    def _write_failed(self) -> None:
        failed, self._failed = self._failed, set()
        self.request(*sorted(failed))

    def _later(self, function: Callable[[], None]) -> None:
        """Try again after a while; without a hub, the next start makes up for it."""
        if self._database.hub is None or self._retry is not None:
            return
        import gevent

        self._retry = gevent.spawn_later(self._retry_s, self._again, function)
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def _again(self, function: Callable[[], None]) -> None:
        self._retry = None
        function()

    def _write_some(self, transaction_ids: list[int]) -> set[int]:
        """Write some records, each in a turn of its own; gives those that may be written later."""
        failed: dict[int, Exception] = {}
        for each in transaction_ids:
            error = self._beside(partial(self._try, each))
            if error is not None:
                failed[each] = error
        if failed:  # most often for the same reason: one line says it
            first, why = next(iter(failed.items()))
            more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
            log.error("the record of transaction %d%s was not written: %s", first, more, why)
        return set(failed)

    def _try(self, transaction_id: int) -> Exception | None:
        """Write a record; gives why it may be written later."""
        try:
            self._write(transaction_id, self.pace)
        except (OSError, sqlite3.Error, StorageError) as error:
            return error
        except GwayError as error:
            log.error("the record of transaction %d was not written: %s", transaction_id, error)
        except Exception:  # what nobody foresaw costs this record alone; a restart tries again
            log.exception("the record of transaction %d cannot be made", transaction_id)
        return None

    def _write(self, transaction_id: int, pace: Pace, *, again: bool = True) -> int:
        """Write one record from the database; 0 when there is nothing to record.

        What is read is one snapshot, and it is let go before the work begins: a log
        whose oldest part somebody reads cannot be used anew.

        :param pace: where nobody waits for the record, the work rests between its steps
        :param again: write one that is there already, too
        """
        found, readings, was_thinned = self._database.read(
            partial(self._kept, transaction_id, pace)
        )
        if found is None:
            return 0
        path = self.path(found["charger_id"], found["connector_id"], transaction_id)
        if not again and path.exists():
            return 0
        steps = pace.between
        moments = list(steps(moments_of(unique(steps(readings)))))
        if was_thinned:
            moments = list(with_those_of(path, moments))
        write_whole(path, steps(record_text(found, moments)))
        self.written += 1
        return 1

    def _kept(
        self, transaction_id: int, pace: Pace, connection: sqlite3.Connection
    ) -> tuple[Row | None, list[Row], bool]:
        """Read a closed transaction, its readings, and whether some were taken away."""
        found = rows(connection, CLOSED, (transaction_id,))
        if not found:
            return None, [], False
        was_thinned = connection.execute(WAS_THINNED, (transaction_id,)).fetchone() is not None
        readings = pace.between(connection.execute(SELECT_READINGS, (transaction_id,)))
        return found[0], [dict(zip(READING, one, strict=True)) for one in readings], was_thinned

    def _beside(self, function: Callable[[], T]) -> T:
        """Do something beside the hub, one thing at a time; who waits for that holds no thread."""
        with self._turn:
            return self._database.off_hub(function)

    def _missing(self, connection: sqlite3.Connection, latest: int | None) -> Iterator[int]:
        for charger_id, connector_id, transaction_id in connection.execute(
            "SELECT charger_id, connector_id, transaction_id FROM transactions"
            " WHERE state <> 'open' ORDER BY sequence DESC LIMIT ?",
            (-1 if latest is None else latest,),
        ):
            if not self.path(charger_id, connector_id, transaction_id).exists():
                yield transaction_id


def _turn_of(database: Database) -> AbstractContextManager[object]:
    """Make what lets one write records at a time; without a hub nobody else does."""
    if database.hub is None:
        return nullcontext()
    from gevent.lock import BoundedSemaphore

    turn: AbstractContextManager[object] = BoundedSemaphore(1)
    return turn


def write_whole(path: Path, content: Iterable[bytes]) -> None:
    """Put a file in place whole: after a crash it is the old one or the new one.

    :param content: its pieces
    """
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as handle:
            handle.writelines(content)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
