"""One charger between us and the remote: its outlet, its connection, its timer.

An outlet is told one thing at a time, in the order in which things happened, whoever
tells it: a reader's greenlet, a timer, the database. What is told while it is at work
waits in a row.
"""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from gway.projects.ocpp.proxy.outlet import Outlet
from gway.projects.ocpp.proxy.ports import Change, Done
from gway.projects.ocpp.proxy.store import Store
from gway.projects.ocpp.proxy.wire import Wire

log = logging.getLogger("ocpp.proxy")


class Line:
    """Tells one outlet what happens, in turn.

    :param hub: on which all of it runs
    """

    __slots__ = (
        "_before",
        "_busy",
        "_calls",
        "_hub",
        "_timer",
        "charger_id",
        "number",
        "outlet",
        "wire",
    )

    outlet: Outlet

    def __init__(self, charger_id: str, hub: Any) -> None:
        self.charger_id = charger_id
        self.wire: Wire | None = None
        self.number = 0
        self._before: Counter[str] = Counter()
        self._calls: deque[Callable[[], None]] = deque()
        self._busy = False
        self._hub = hub
        self._timer: Any = None

    @property
    def counts(self) -> Counter[str]:
        """What this outlet and those before it counted."""
        return self._before + self.outlet.counts

    def furnish(self, outlet: Outlet) -> None:
        """Put an outlet into the place of the one before."""
        if hasattr(self, "outlet"):
            self._before.update(self.outlet.counts)
            outlet.succeed()
        self.outlet = outlet

    def tell(self, call: Callable[..., None], *arguments: Any) -> None:
        """Call something of the outlet, after what was told before; callable from the loop."""
        self._calls.append(partial(call, *arguments))
        if self._busy:
            return
        self._busy = True
        from greenlet import getcurrent

        if getcurrent() is self._hub:
            import gevent

            gevent.spawn(self._drain)  # an outlet may read a file, the loop must not wait
        else:
            self._drain()

    def _drain(self) -> None:
        try:
            while self._calls:
                call = self._calls.popleft()
                try:
                    call()
                except Exception:
                    # One message that cannot be handled must not end all that follow.
                    log.exception("%s: the proxy failed", self.charger_id)
        finally:
            self._busy = False

    def wake(self, delay_s: float) -> None:
        """Let the outlet look at the clock after a time; replaces an earlier wish."""
        self.still()
        self._timer = self._hub.loop.timer(max(0.0, delay_s), ref=False)
        self._timer.start(self._rings, self.outlet)

    def _rings(self, outlet: Outlet) -> None:
        self.tell(outlet.tick)

    def still(self) -> None:
        """End the timer."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None


class InTurn:
    """A store that tells its outcomes in turn with all else that an outlet is told."""

    def __init__(self, store: Store, line: Line) -> None:
        self._store = store
        self._line = line
        self.window = store.window
        self.latest = store.latest
        self.registration = store.registration
        self.remote_tx = store.remote_tx
        self.local_tx = store.local_tx
        self.start_is_dead = store.start_is_dead
        self.stops_wanted = store.stops_wanted
        self.local_reservation = store.local_reservation
        self.remote_reservation = store.remote_reservation
        self.next_reservation = store.next_reservation

    def commit(self, charger_id: str, changes: Sequence[Change], done: Done) -> None:
        """Store all of `changes` or none."""
        self._store.commit(charger_id, changes, partial(self._line.tell, done))
