"""One timer for thousands of deadlines.

Entries due in the same slot of time share it, and the loop has one timer, set to the
first slot. An entry sits in one slot at most; asking for a later time than it waits for
costs nothing, because it is asked again when its slot comes.
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from gevent._types import _Loop, _TimerWatcher

log = logging.getLogger("gway.web.ws")

PER_TURN = 128  # entries served before the loop gets its turn


class Entry(Protocol):
    """Something with a deadline; `slot` belongs to the wheel and begins as 0."""

    slot: int

    def on_due(self, now: float) -> float | None:
        """Do what is due and return the time of the next deadline, or None."""


class Slots:
    """The deadlines themselves, without a clock or a loop.

    :param resolution_s: width of a slot in seconds
    """

    def __init__(self, resolution_s: float) -> None:
        self.resolution_s = resolution_s
        self._slots: dict[int, set[Entry]] = {}
        self._order: list[int] = []

    def add(self, entry: Entry, due: float) -> bool:
        """Let an entry be due at a time; return whether it is now the first slot of all."""
        slot = int(due / self.resolution_s) + 1
        if entry.slot:
            if entry.slot <= slot:
                return False
            self.remove(entry)
        entry.slot = slot
        members = self._slots.get(slot)
        if members is None:
            self._slots[slot] = {entry}
            heapq.heappush(self._order, slot)
            return self._order[0] == slot
        members.add(entry)
        return False

    def remove(self, entry: Entry) -> None:
        """Forget an entry."""
        members = self._slots.get(entry.slot)
        if members is not None:
            members.discard(entry)
        entry.slot = 0

    def first(self) -> float | None:
        """Return the time of the first slot that holds an entry."""
        while self._order:
            slot = self._order[0]
            if self._slots[slot]:
                return slot * self.resolution_s
            del self._slots[slot]
            heapq.heappop(self._order)
        return None

    def pop(self, now: float) -> Entry | None:
        """Take out an entry that is due."""
        first = self.first()
        if first is None or first > now:
            return None
        entry = self._slots[self._order[0]].pop()
        entry.slot = 0
        return entry


class Wheel:
    """The deadlines of one event loop.

    :param loop: the loop of the hub
    :param resolution_s: how late a deadline may be noticed, in seconds
    """

    def __init__(
        self, loop: _Loop, resolution_s: float = 0.1, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.now = clock
        self._loop = loop
        self._slots = Slots(resolution_s)
        self._timer: _TimerWatcher | None = None

    def add(self, entry: Entry, due: float) -> None:
        """Let `entry.on_due` be called at a time of the wheel's clock, or earlier."""
        if self._slots.add(entry, due):
            self._arm()

    def remove(self, entry: Entry) -> None:
        """Forget an entry, waiting or not."""
        if entry.slot:
            self._slots.remove(entry)

    def close(self) -> None:
        """Stop the timer; deadlines that are still set are forgotten."""
        self._slots = Slots(self._slots.resolution_s)
        self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        first = self._slots.first()
        if first is not None:
            self._timer = self._loop.timer(max(0.0, first - self.now()), ref=False)
            self._timer.start(self._turn, update=True)

    def _turn(self) -> None:
        """Serve what is due, some at a time, so that thousands at once do not stall the loop."""
        now = self.now()
        for _ in range(PER_TURN):
            entry = self._slots.pop(now)
            if entry is None:
                break
            try:
                again = entry.on_due(now)
            except Exception:
                log.exception("a deadline failed: %r", entry)
                again = None
            if again is not None:
                self._slots.add(entry, again)
        self._arm()
