"""Makes room when the disk is nearly full: fewer periodic samples, and nothing else.

A transaction's first and last waiting samples stay, and starts, stops and samples of
another context are never touched: the energy told to the remote does not change.

A file does not shrink when rows leave it, so a disk that was full stays so: what counts is
that the next messages find room within the file. And a queue that is short, or moves, is
not what fills the disk: nothing would be won by leaving its samples out.
"""

from __future__ import annotations

import logging
import shutil
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gway.projects.ocpp.data.codec import micros, when
from gway.projects.ocpp.proxy.store import Store

log = logging.getLogger("ocpp.proxy")

CHECK_EVERY_S = 10.0
THIN_AT_PERCENT = 95.0
AT_A_TIME = 1_000  # rows in one transaction of the writer
SPARE_BYTES = 2**20  # within the file: enough for what comes until the next look
MANY = 10_000  # waiting messages, some megabytes
OLD_S = 600.0

CANDIDATES = """
SELECT charger_id, local_tx FROM outbox
WHERE state = 0 AND periodic = 1 AND local_tx IS NOT NULL
GROUP BY charger_id, local_tx HAVING count(*) > 1 ORDER BY min(sequence)
"""
SAMPLES = """
SELECT sequence, periodic FROM outbox
WHERE charger_id = ? AND state = 0 AND local_tx = ? AND action = 'MeterValues' ORDER BY sequence
"""
FOUND_BEFORE = """
SELECT finding_id, amount FROM proxy_findings
WHERE remote_id = ? AND charger_id = ? AND kind = 'thinned' AND local_tx = ?
"""
FOUND = """
INSERT INTO proxy_findings (finding_id, remote_id, charger_id, kind, text, local_tx, at, amount)
VALUES (?, ?, ?, 'thinned', ?, ?, ?, ?)
ON CONFLICT (finding_id) DO UPDATE SET text = excluded.text, at = excluded.at,
    amount = excluded.amount
"""
QUEUE = "SELECT count(*), min(at) FROM outbox WHERE state = 0"
SPARE = "SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size"


def thin(store: Store, at_most: int = AT_A_TIME, now: Callable[[], datetime] | None = None) -> int:
    """Leave out every second periodic sample, of the oldest transactions first.

    :param at_most: rows to remove
    :param now: for the time of what the operator is told
    Gives how many were removed; 0 when nothing more can be left out.
    """
    at = micros(now() if now is not None else datetime.now(UTC))

    def change(connection: sqlite3.Connection) -> int:
        removed = 0
        for charger_id, local_tx in connection.execute(CANDIDATES).fetchall():
            if removed >= at_most:
                break
            count = _thin_one(connection, charger_id, local_tx, at_most - removed)
            if count:
                _tell(connection, store.remote_id, charger_id, local_tx, count, at)
            removed += count
        return removed

    return store.database.transact(change)


def _tell(
    connection: sqlite3.Connection,
    remote_id: int,
    charger_id: str,
    local_tx: int,
    count: int,
    at: int | None,
) -> None:
    """Let the operator know, in one line for each transaction."""
    before = connection.execute(FOUND_BEFORE, (remote_id, charger_id, local_tx)).fetchone()
    finding_id, amount = before or (None, 0)
    amount += count
    text = f"{amount} samples of transaction {local_tx} were left out: no room for them"
    row = (finding_id, remote_id, charger_id, text, local_tx, at, amount)
    connection.execute(FOUND, row)


def _thin_one(connection: sqlite3.Connection, charger_id: str, local_tx: int, at_most: int) -> int:
    samples = connection.execute(SAMPLES, (charger_id, local_tx)).fetchall()
    periodic = [sequence for sequence, is_periodic in samples[1:-1] if is_periodic]
    surplus = periodic[::2][:at_most]
    connection.executemany("DELETE FROM outbox WHERE sequence = ?", [(one,) for one in surplus])
    return len(surplus)


class Thinner:
    """Looks at the disk from time to time, and makes room while there is too little.

    :param used_percent: tells how full the disk is
    :param now: the time of day
    :param many: so few waiting messages are not worth their samples
    :param old_s: a queue whose oldest message is younger than this moves
    :param spare_bytes: room within the file that suffices
    """

    def __init__(
        self,
        store: Store,
        used_percent: Callable[[], float],
        now: Callable[[], datetime],
        *,
        many: int = MANY,
        old_s: float = OLD_S,
        spare_bytes: int = SPARE_BYTES,
    ) -> None:
        self._store = store
        self._used_percent = used_percent
        self._now = now
        self._many = many
        self._old_s = old_s
        self._spare_bytes = spare_bytes
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
        if used < THIN_AT_PERCENT or not self._is_the_queues_fault():
            return 0
        removed = thin(self._store, now=self._now)
        if removed:
            log.warning("the disk is %.0f %% full: %d samples are not forwarded", used, removed)
        return removed

    def _is_the_queues_fault(self) -> bool:
        """Tell whether there is a long queue that moves no more, and no room left in the file."""

        def read(connection: sqlite3.Connection) -> tuple[int, int | None, int]:
            count, oldest = connection.execute(QUEUE).fetchone()
            return count, oldest, connection.execute(SPARE).fetchone()[0]

        count, oldest, spare = self._store.database.read(read)
        if count < self._many or spare >= self._spare_bytes:
            return False
        since = when(oldest)
        return since is not None and (self._now() - since).total_seconds() >= self._old_s

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
