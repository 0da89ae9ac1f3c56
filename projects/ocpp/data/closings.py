"""Closings without the charger's word: no charger repeats one, so the store tries until it is kept.

Until then memory has the later word, and a stop or a correction that comes meanwhile
has the last: of a closing that it overtakes only the note is still kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial

from gway.projects.ocpp.data import hours
from gway.projects.ocpp.data.codec import micros, store_transaction
from gway.projects.ocpp.facts import Transaction
from gway.projects.sql.database import Database
from gway.projects.sql.writer import StorageError

log = logging.getLogger("ocpp.data")

INSERT_CLOSING = "INSERT INTO closings (transaction_id, charger_id, why, at) VALUES (?, ?, ?, ?)"


class Pending:
    """A closing that is not on disk yet."""

    __slots__ = ("at", "overtaken", "transaction", "under_way", "why")

    def __init__(self, transaction: Transaction, why: str, at: datetime) -> None:
        self.transaction = transaction
        self.why = why
        self.at = at
        self.overtaken = False
        self.under_way = False


class Closings:
    """Keeps closings, again and again if it must.

    :param stored: called with the id of a transaction whose closing is on disk
    """

    def __init__(self, database: Database, stored: Callable[[int], None]) -> None:
        self._database = database
        self._stored = stored
        self._pending: list[Pending] = []

    def __len__(self) -> int:
        """Count the closings that are not on disk yet."""
        return len(self._pending)

    def keep(self, transaction: Transaction, why: str, at: datetime) -> None:
        """Store a closing, now or as soon as that is possible."""
        self.overtake(transaction.transaction_id)
        pending = Pending(transaction, why, at)
        self._pending.append(pending)
        self._submit(pending)

    def overtake(self, transaction_id: int) -> None:
        """Let a later word about a transaction count, and not its pending closings."""
        for pending in self._pending:
            if pending.transaction.transaction_id == transaction_id:
                pending.overtaken = True

    def latest(self, stored: Transaction) -> Transaction:
        """Give a transaction as its pending closing leaves it, if there is one."""
        for pending in self._pending:
            closed = pending.transaction
            if closed.transaction_id == stored.transaction_id and not pending.overtaken:
                return closed
        return stored

    def store_due(self, *, all_of_them: bool = False) -> None:
        """Try what failed again, when the storage works.

        :param all_of_them: try even if the storage does not work
        """
        if not self._pending or not (self._database.healthy or all_of_them):
            return
        for pending in tuple(self._pending):
            if not pending.under_way:
                self._submit(pending)

    def _submit(self, pending: Pending) -> None:
        transaction = pending.transaction
        transaction_id = transaction.transaction_id
        unit = self._database.unit()
        if not pending.overtaken:
            for sql, params in store_transaction(transaction):
                unit.execute(sql, params)
            unit.call(partial(hours.store, transaction_id=transaction_id))
            unit.on_commit(partial(self._stored, transaction_id))
        words = (transaction_id, transaction.charger_id, pending.why, micros(pending.at))
        unit.execute(INSERT_CLOSING, words)
        pending.under_way = True
        try:
            unit.submit(partial(self._done, pending))
        except StorageError as error:
            self._done(pending, error)

    def _done(self, pending: Pending, error: BaseException | None) -> None:
        pending.under_way = False
        transaction_id = pending.transaction.transaction_id
        if isinstance(error, StorageError):
            log.warning("closing transaction %d waits for the disk: %s", transaction_id, error)
            return
        self._pending.remove(pending)
        if error is not None:  # the words are to blame: they would fail each time
            log.error("closing transaction %d was not stored: %s", transaction_id, error)
