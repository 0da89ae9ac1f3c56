"""Gives transaction ids that were never given before, without a write for each."""

from __future__ import annotations

import logging
import sqlite3
import threading
from contextlib import AbstractContextManager
from typing import Any

from gway.errors import GwayError
from gway.projects.sql.database import Database

log = logging.getLogger("ocpp.data")

BLOCK = 1_000
LIMIT = 2**31  # SPEC 7.3: ids are int32; ours are above zero too (errata 3.18)

# The counter never goes back, and not below what a restored table already holds.
RESERVE = """
INSERT INTO counters (name, next)
VALUES ('transaction_id', (SELECT coalesce(max(transaction_id), 0) + 1 FROM transactions) + ?1)
ON CONFLICT (name) DO UPDATE SET next = max(
    next, (SELECT coalesce(max(transaction_id), 0) + 1 FROM transactions)) + ?1
RETURNING next
"""


def _lock_for(database: Database) -> AbstractContextManager[Any]:
    """Give a lock that lets other greenlets run where a hub waits for the disk."""
    if database.hub is None:
        return threading.Lock()
    from gevent.lock import RLock

    lock: AbstractContextManager[Any] = RLock()
    return lock


class TransactionIds:
    """Reserves blocks of ids in the database and hands them out.

    A block is on disk as taken before its first id is given, so neither kill -9 nor
    a second process makes an id come twice; at worst the rest of a block is lost.
    """

    def __init__(self, database: Database, block: int = BLOCK) -> None:
        self._database = database
        self._block = block
        self._next = self._end = 0
        self._ahead: list[int] = []
        self._reserving = False
        self._lock = _lock_for(database)

    def take(self) -> int:
        """Give the next id; waits for the disk only when no block is left.

        Errors: StorageError when none can be reserved, GwayError when all are used up.
        """
        with self._lock:
            if self._next >= self._end:
                reserved = self._ahead.pop() if self._ahead else self._reserve_now()
                self._next, self._end = reserved, reserved + self._block
            given = self._next
            self._next += 1
        if self._end - self._next < self._block // 2 and not self._ahead:
            self._reserve_ahead()
        return given

    def _reserve_now(self) -> int:
        return self._database.transact(self._reserve)

    def _reserve_ahead(self) -> None:
        if self._reserving:
            return
        self._reserving = True
        firsts: list[int] = []
        unit = self._database.unit()
        unit.call(lambda connection: firsts.append(self._reserve(connection)))

        def reserved(error: BaseException | None) -> None:
            self._reserving = False
            if error is None:
                self._ahead.append(firsts[-1])
            else:
                log.warning("no transaction ids could be reserved: %s", error)

        unit.submit(reserved)

    def _reserve(self, connection: sqlite3.Connection) -> int:
        """Reserve a block; gives its first id (in the writer)."""
        after = int(connection.execute(RESERVE, (self._block,)).fetchone()[0])
        if after > LIMIT:
            raise GwayError("all transaction ids below 2^31 are used up")
        return after - self._block
