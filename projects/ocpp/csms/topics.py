"""The event topics that pages of chargers listen to, and how often they hear of a change.

Two hundred chargers that charge change something a hundred times a second. A page that
asked again at each of these would ask all the time, and two hundred pages would keep the
server at nothing else: a change is told at once, those that follow it together, later.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gway.web import helpers

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.runtime import Timer
    from gway.web.sse import Events

ALL = "ocpp"
GAP_OF_ALL_S = 0.5  # between two events about any of the chargers
GAP_OF_ONE_S = 0.25  # between two about one of them

Later = Callable[[float, Callable[[], None]], "Timer"]


def topic_of(charger_id: str) -> str:
    """Give the topic of one charger."""
    return helpers.topic_of(ALL, charger_id)


class Teller:
    """Publishes changes of chargers, each topic so often and no oftener.

    `edition` counts what was told of all of them: what was made for an edition may be
    shown until the next, which follows within half a second if something has changed.

    :param events: the topics of the gateway
    :param later: runs a call after a time
    :param clock: seconds that never jump
    """

    def __init__(self, events: Events, later: Later, clock: Callable[[], float]) -> None:
        self._events = events
        self._later = later
        self._clock = clock
        self._told: dict[str, float] = {}
        self._waiting: dict[str, dict[str, str]] = {}
        self.edition = 0

    def tell(self, charger_id: str, what: str) -> None:
        """Let pages that show a charger know that something of it changed."""
        if not self._events.listens(ALL):
            self.edition += 1
        if not self._events.listeners:
            return
        data = {"charger_id": charger_id, "what": what}
        self._offer(ALL, GAP_OF_ALL_S, data)
        self._offer(topic_of(charger_id), GAP_OF_ONE_S, data)

    def _offer(self, topic: str, gap_s: float, data: dict[str, str]) -> None:
        if not self._events.listens(topic):
            return
        if topic in self._waiting:
            self._waiting[topic] = data
            return
        wait_s = self._told.get(topic, float("-inf")) + gap_s - self._clock()
        if wait_s <= 0:
            self._publish(topic, data)
        else:
            self._waiting[topic] = data
            self._later(wait_s, partial(self._due, topic))

    def _due(self, topic: str) -> None:
        data = self._waiting.pop(topic, None)
        if data is not None:
            self._publish(topic, data)

    def _publish(self, topic: str, data: dict[str, str]) -> None:
        if len(self._told) > 1_000:
            self._told.clear()
        self._told[topic] = self._clock()
        if topic == ALL:
            self.edition += 1
        self._events.publish(topic, data)
