"""The writer of processes that serve: a native thread, so that the hub never waits for the disk."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from gway.projects.sql.writer import Committer, Done, StorageError, Unit

if TYPE_CHECKING:
    from gevent.hub import Hub

log = logging.getLogger("gway.sql")

MAX_BATCH = 2_000  # units in one commit: bounds what the last of them waits for
DELIVERY_SLICE_S = 0.005  # the hub's other work goes on between slices of callbacks
PROBE_INTERVAL_S = 1.0  # how often a storage that failed is tried again


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
        self._closing = self._closed = False
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
            raise StorageError(f"{self._committer.name}: {self._committer.failure or 'is closed'}")
        self._waiting.append((unit, done))
        if self._get_ident() != self._home:
            self._wake_up()
        elif not self._scheduled:
            self._scheduled = True
            self._loop.run_callback(self._hand_over)

    def close(self) -> None:
        """Store what waits, then end the thread."""
        import gevent

        if self._closed:
            return
        self._closing = self._closed = True
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
        committer = self._committer
        try:
            self._commit_until_closed()
        except BaseException as error:  # noqa: BLE001 - told to all who wait, now and later
            self._closing = True
            committer.healthy, committer.failure = False, f"the writer ended: {error!r}"
            self._refuse(self._waiting, error)
        try:
            committer.close()
        except sqlite3.Error as error:
            committer.failure = str(error)
        self._ended.release()

    def _commit_until_closed(self) -> None:
        committer, wake = self._committer, self._wake
        while not self._closing or self._waiting:
            patience_s = -1 if committer.healthy else PROBE_INTERVAL_S
            if not self._waiting and not wake.acquire(True, patience_s):
                committer.probe()
                self._watcher.send()
            while self._waiting:
                self._commit_once()

    def _commit_once(self) -> None:
        waiting = self._waiting
        batch = [waiting.popleft() for _ in range(min(len(waiting), MAX_BATCH))]
        try:
            errors = self._committer.commit([unit for unit, _ in batch])
        except BaseException as error:
            self._refuse(batch, error)
            raise
        if errors:
            self._finished.extend(
                (unit, done, errors.get(position)) for position, (unit, done) in enumerate(batch)
            )
        else:
            self._finished.extend([(unit, done, None) for unit, done in batch])
        self._watcher.send()
        self._committer.tidy()  # now: nobody of this batch waits for it

    def _refuse(self, refused: Iterable[tuple[Unit, Done]], error: BaseException) -> None:
        self._finished.extend((unit, done, error) for unit, done in refused)
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
