"""Makes room when the disk is nearly full: fewer periodic samples, and nothing else.

A transaction's first and last waiting samples stay, and starts, stops and samples of
another context are never touched: the energy told to the remote does not change.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gway.projects.ocpp.data.codec import micros
from gway.projects.ocpp.proxy.store import Store

log = logging.getLogger("ocpp.proxy")

CHECK_EVERY_S = 10.0
THIN_AT_PERCENT = 95.0
AT_A_TIME = 5_000  # rows in one transaction of the writer

CANDIDATES = """
SELECT charger_id, local_tx FROM outbox
WHERE state = 0 AND periodic = 1 AND local_tx IS NOT NULL
GROUP BY charger_id, local_tx HAVING count(*) > 1 ORDER BY min(sequence)
"""
SAMPLES = """
SELECT sequence, periodic FROM outbox
WHERE charger_id = ? AND state = 0 AND local_tx = ? AND action = 'MeterValues' ORDER BY sequence
"""
FOUND = """
INSERT INTO proxy_findings (remote_id, charger_id, kind, text, local_tx, at)
VALUES (?, ?, 'thinned', ?, ?, ?)
"""


def thin(store: Store, at_most: int = AT_A_TIME) -> int:
    """Leave out every second periodic sample, of the oldest transactions first.

    :param at_most: rows to remove
    Gives how many were removed; 0 when nothing more can be left out.
    """

    def change(connection: sqlite3.Connection) -> int:
        removed = 0
        for charger_id, local_tx in connection.execute(CANDIDATES).fetchall():
            if removed >= at_most:
                break
            count = _thin_one(connection, charger_id, local_tx, at_most - removed)
            if count:
                text = f"{count} samples of transaction {local_tx} were left out: no room for them"
                now = micros(datetime.now(UTC))
                found = (store.remote_id, charger_id, text, local_tx, now)
                connection.execute(FOUND, found)
            removed += count
        return removed

    return store.database.transact(change)


def _thin_one(connection: sqlite3.Connection, charger_id: str, local_tx: int, at_most: int) -> int:
    samples = connection.execute(SAMPLES, (charger_id, local_tx)).fetchall()
    periodic = [sequence for sequence, is_periodic in samples[1:-1] if is_periodic]
    surplus = periodic[::2][:at_most]
    connection.executemany("DELETE FROM outbox WHERE sequence = ?", [(one,) for one in surplus])
    return len(surplus)


class Thinner:
    """Looks at the disk from time to time, and makes room while there is too little.

    :param used_percent: tells how full the disk is
    """

    def __init__(self, store: Store, used_percent: Callable[[], float]) -> None:
        self._store = store
        self._used_percent = used_percent
        self._timer: Any = None
        self._busy = False

    def begin(self) -> None:
        """Look every ten seconds from now on, in a process that serves."""
        hub = self._store.database.hub
        if hub is not None and self._timer is None:
            self._timer = hub.loop.timer(CHECK_EVERY_S, CHECK_EVERY_S, ref=False)
            self._timer.start(self._ring)

    def end(self) -> None:
        """Look no more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def check(self) -> int:
        """Make room once if the disk is nearly full; gives how many rows were removed."""
        used = self._used_percent()
        if used < THIN_AT_PERCENT:
            return 0
        removed = thin(self._store)
        if removed:
            log.warning("the disk is %.0f %% full: %d samples are not forwarded", used, removed)
        return removed

    def _ring(self) -> None:
        """Check in a greenlet: the loop must not wait for the writer."""
        import gevent

        if not self._busy:
            self._busy = True
            gevent.spawn(self._check_quietly)

    def _check_quietly(self) -> None:
        try:
            self.check()
        except Exception:  # the next check may find the disk in order
            log.exception("no room could be made")
        finally:
            self._busy = False


def percent_used(path: Path) -> float:
    """Tell how full the disk is that holds a path."""
    usage = shutil.disk_usage(path)
    return 100.0 * usage.used / (usage.used + usage.free)
