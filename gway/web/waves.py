"""Tells many listeners of an event, some in each turn of the loop.

What two hundred pages hear in the same moment they all ask for in the same moment, and
what comes from chargers would wait behind all of that.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

AT_ONCE = 16  # listeners told in one turn: each asks for a fragment then
TURN_S = 0.005

E_contra = TypeVar("E_contra", contravariant=True)
E = TypeVar("E")


class Hears(Protocol[E_contra]):
    """Who can be told of an event."""

    def offer(self, event: E_contra, /) -> None: ...


class Waves(Generic[E]):
    """The events under way, one for each topic: a later one overtakes an earlier."""

    def __init__(self) -> None:
        self._under_way: dict[str, tuple[list[E], deque[Hears[E]]]] = {}

    def tell(self, topic: str, event: E, listeners: Iterable[Hears[E]]) -> None:
        """Tell the first listeners now and the others in the next turns."""
        found = self._under_way.get(topic)
        if found is not None:
            latest, waiting = found
            latest[0] = event
            behind = set(waiting)  # they hear the later event in the place of the earlier
            waiting.extend(one for one in listeners if one not in behind)
            return
        waiting = deque(listeners)
        latest = [event]
        _turn(latest, waiting)
        if waiting:
            from gevent import spawn

            self._under_way[topic] = latest, waiting
            spawn(self._go_on, topic, latest, waiting)

    def _go_on(self, topic: str, latest: list[E], waiting: deque[Hears[E]]) -> None:
        from gevent import sleep

        while waiting:
            sleep(TURN_S)
            _turn(latest, waiting)
        del self._under_way[topic]


def _turn(latest: list[E], waiting: deque[Hears[E]]) -> None:
    for _ in range(min(AT_ONCE, len(waiting))):
        waiting.popleft().offer(latest[0])
