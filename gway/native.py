"""What lies under gevent's patches: functions that block their thread, and native threads."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

T = TypeVar("T")

WORK_S = 0.0003
REST_S = 0.003


def original(module: str, name: str) -> Any:
    """Give a function of the standard library that blocks its native thread.

    :param module: such as "time"
    :param name: such as "sleep"
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def is_patched() -> bool:
    """Say whether gevent's patches are in force in this process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


def in_thread(hub: Any, function: Callable[[], T]) -> T:
    """Run a function in a hub's pool of native threads, while other greenlets go on.

    What it raises is raised here. gevent would hand it over too, but would first print
    it on stderr as a crash, and a "not found" is none.

    :param hub: the hub of the calling thread
    """
    result: list[T] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            result.append(function())
        except Exception as error:  # noqa: BLE001 (it is raised below)
            raised.append(error)

    hub.threadpool.apply(run)
    if raised:
        raise raised.pop()
    return result[0]


class Pace:
    """Lets a thread do long work in small slices, with a rest after each.

    The interpreter takes the turn from a busy thread only after 5 ms, and an answer to a
    charger needs a dozen turns of two threads: work without rests makes it five times as
    late, though the machine has nothing else to do.

    :param work_s: how long a slice is
    :param rest_s: how long a rest is; 0 for never
    :param clock, sleep: of the thread; others for tests
    """

    def __init__(
        self,
        work_s: float = WORK_S,
        rest_s: float = REST_S,
        clock: Callable[[], float] = time.perf_counter,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._work_s = work_s
        self._rest_s = rest_s
        self._clock = clock
        self._sleep = sleep if sleep is not None else original("time", "sleep")

    def between(self, things: Iterable[T]) -> Iterator[T]:
        """Give one thing after the other, and rest between two when a slice is over."""
        clock = self._clock
        until = clock() + self._work_s
        for thing in things:
            yield thing
            if self._rest_s and clock() >= until:
                self._sleep(self._rest_s)
                until = clock() + self._work_s

    def hurry(self) -> None:
        """Rest no more: somebody waits for the work."""
        self._rest_s = 0.0
