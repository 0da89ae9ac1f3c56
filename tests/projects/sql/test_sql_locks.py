"""Another process holds the write lock: the writer waits, the hub does not."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from gway.projects.sql.database import Database
from gway.projects.sql.writer import StorageError

from .conftest import ITEMS, add, another_process_holds, names


class Ticker:
    """Measures how late the hub is."""

    def __init__(self) -> None:
        self.late_s: list[float] = []
        self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            before = time.monotonic()
            gevent.sleep(0.005)
            self.late_s.append(time.monotonic() - before - 0.005)

    def stop(self) -> list[float]:
        """Give the delays, the worst last."""
        self._greenlet.kill()
        return sorted(self.late_s)


def wait_until(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    with gevent.Timeout(timeout_s):
        while not condition():
            gevent.sleep(0.005)


def test_a_lock_held_for_three_seconds_delays_the_write_but_not_the_hub(
    served: Database, path: Path
) -> None:
    ticker = Ticker()
    with another_process_holds(path) as let_go:
        outcomes = add(served, "a")
        held_since = time.monotonic()
        wait_until(lambda: time.monotonic() - held_since > 3.0)
        assert outcomes == []
        assert served.query("SELECT count(*) AS n FROM items") == [{"n": 0}]
        let_go()
        wait_until(lambda: outcomes)
    delays = ticker.stop()
    # The whole machine may be slow for a moment; a hub that waits is late by seconds.
    assert delays[int(len(delays) * 0.98)] < 0.1
    assert delays[-1] < 1.0
    assert outcomes == [None]
    assert names(served) == ["a"]


@pytest.mark.parametrize("threaded", [False, True])
def test_a_lock_held_too_long_is_told_and_writing_goes_on_by_itself(
    path: Path, threaded: bool
) -> None:
    database = Database(path, hub=gevent.get_hub() if threaded else None, lock_timeout_s=0.2)
    database.migrate("test", [ITEMS])
    with another_process_holds(path):
        outcomes = add(database, "a")
        wait_until(lambda: outcomes)
        assert isinstance(outcomes[0], StorageError)
        assert "locked" in str(outcomes[0])
        assert not database.healthy
        assert "locked" in database.failure
    if threaded:  # it looks by itself whether the disk takes writes again
        wait_until(lambda: database.healthy)
    database.execute("INSERT INTO items (name) VALUES ('b')")
    assert database.healthy
    assert database.failure == ""
    assert names(database) == ["b"]
    database.close()
