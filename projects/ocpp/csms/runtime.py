"""Where work runs: greenlets that are woken once per turn, and timers.

A message costs no greenlet of its own. What the turn of the event loop brought in
is served by one worker; when a handler blocks, the next worker goes on with the
others. Workers are kept for the next turn.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic, perf_counter
from typing import Any, Generic, Protocol, TypeVar

from gway.native import in_thread

log = logging.getLogger("ocpp.csms")

TURN_S = 0.004  # after this long the loop reads and writes before work goes on
IDLE_WORKERS = 8
LARGE = 65_536  # bytes; to read more can take longer than a turn
LARGE_COUNTS = 65  # messages that a large one counts as: of those, one at a time is enough

R = TypeVar("R")
T = TypeVar("T")
T_contra = TypeVar("T_contra", contravariant=True)


class Timer(Protocol):
    """Something that happens later unless it is stopped."""

    def stop(self) -> None: ...


class Flag(Protocol):
    """What a greenlet waits for."""

    def set(self) -> None: ...

    def wait(self, timeout: float) -> bool: ...


class Runtime(Protocol[T_contra]):
    """What the central system needs of the machine; tests have one without a loop."""

    def put(self, item: T_contra) -> None:
        """Have an item served soon, in order; callable from the loop."""

    def spawn(self, call: Callable[[], None]) -> None:
        """Run a call that may block, soon."""

    def later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Run a call that may block, after a time."""

    def aside(self, size: int, call: Callable[..., R], *args: Any) -> R:
        """Read a message here, or beside the loop when it is large; only in a worker.

        Its charger waits meanwhile and no other does, so its messages keep their order.

        :param size: bytes that are to be read
        """

    def breathe(self) -> None:
        """Let others have their turn, in the midst of work that takes long."""

    def flag(self) -> Flag:
        """Make something to wait for."""

    def clock(self) -> float:
        """Give seconds that never jump."""


class GeventRuntime(Generic[T]):
    """Serves items on the hub of the calling thread.

    :param serve: handles one item; may block cooperatively, must not raise
    """

    def __init__(self, serve: Callable[[T], None]) -> None:
        from gevent import get_hub

        self._serve = serve
        self._hub: Any = get_hub()
        self._ready: deque[T] = deque()
        self._idle: list[Any] = []
        self._scheduled = False
        self._until = 0.0

    def put(self, item: T) -> None:
        """Have an item served in this turn of the loop or the next."""
        self._ready.append(item)
        if not self._scheduled:
            self._scheduled = True
            self._hub.loop.run_callback(self._turn)

    def _turn(self) -> None:
        """Let workers serve what is ready; runs in the hub, so a switch comes back."""
        from greenlet import greenlet

        self._until = perf_counter() + TURN_S
        while self._ready and perf_counter() < self._until:
            worker = self._idle.pop() if self._idle else greenlet(self._work, self._hub)
            worker.switch()
        self._scheduled = bool(self._ready)
        if self._scheduled:
            self._hub.loop.run_callback(self._turn)

    def _work(self) -> None:
        from greenlet import getcurrent

        ready = self._ready
        me = getcurrent()
        while True:
            while ready:
                try:
                    self._serve(ready.popleft())
                except Exception:
                    log.exception("a message could not be served")
                if perf_counter() > self._until:
                    break
            if len(self._idle) >= IDLE_WORKERS:
                return
            self._idle.append(me)
            self._hub.switch()

    def spawn(self, call: Callable[[], None]) -> None:
        """Run a call in a greenlet of its own."""
        import gevent

        gevent.spawn(call)

    def later(self, delay_s: float, call: Callable[[], None]) -> Timer:
        """Run a call in a greenlet of its own, after a time."""
        timer = self._hub.loop.timer(delay_s, ref=False)
        timer.start(self._fire, timer, call)
        return _GeventTimer(timer)

    def _fire(self, timer: Any, call: Callable[[], None]) -> None:
        timer.stop()
        timer.close()
        self.spawn(call)

    def breathe(self) -> None:
        """Go on when the loop has come round; not for callbacks of the loop."""
        import gevent

        gevent.sleep(0)

    def aside(self, size: int, call: Callable[..., R], *args: Any) -> R:
        """Read a large message in a native thread, while other greenlets go on."""
        return call(*args) if size < LARGE else in_thread(self._hub, partial(call, *args))

    def flag(self) -> Flag:
        """Make an event."""
        from gevent.event import Event

        event: Flag = Event()
        return event

    def clock(self) -> float:
        """Give the monotonic time."""
        return monotonic()


class _GeventTimer:
    __slots__ = ("_timer",)

    def __init__(self, timer: Any) -> None:
        self._timer = timer

    def stop(self) -> None:
        self._timer.stop()
        self._timer.close()
