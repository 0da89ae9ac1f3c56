"""The people at a simulated charge point: who plug in, show a tag, and drive away.

Pure. Acts only on what can be seen at the connector, so it gets along with remote
commands, resets and lost links. A RemoteStart finds somebody who plugs in.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gway.projects.ocpp.evcs.connector import Connector

if TYPE_CHECKING:
    from gway.projects.ocpp.evcs.chargepoint import ChargePoint

PATIENCE_S = 60.0
"""How long they wait for a session to begin before they give up."""


@dataclass(slots=True)
class Driver:
    """Sessions that happen by themselves on connector 1, and helping hands on all.

    :param repeat: sessions to make; None for no end
    :param pause_s: time before the first session and between two of them
    :param step_s: how long people take for one movement
    """

    id_tag: str
    repeat: int | None = 1
    pause_s: float = 2.0
    step_s: float = 1.0
    begun: int = 0
    given_up: int = 0
    why_given_up: str = ""
    _next_at: datetime | None = None
    _hands: dict[tuple[int, str], datetime] = field(default_factory=dict)
    _showed: bool = False

    @property
    def satisfied(self) -> bool:
        """Whether all the sessions that were wanted have begun (or were refused)."""
        return self.repeat is not None and self.begun >= self.repeat

    def wake_at(self) -> datetime | None:
        """Give the time of the next movement."""
        times = [*self._hands.values(), *([self._next_at] if self._next_at else [])]
        return min(times, default=None)

    def want_session(self, now: datetime) -> None:
        """Send one more car, now."""
        if self.repeat is not None:
            self.repeat = max(self.repeat, self.begun) + 1
        self._next_at = now

    def act(self, point: ChargePoint, now: datetime) -> None:
        """Do what is to be done at each connector."""
        for connector in point.connectors.values():
            self._attend(point, connector, now)
        self._arrive(point, now)

    def _arrive(self, point: ChargePoint, now: datetime) -> None:
        """Bring the next car when it is time and the connector is free."""
        connector = point.connectors[1]
        free = connector.status in ("Available", "Reserved") and not point.resetting
        if self.satisfied or not point.accepted or not free:
            self._next_at = None
            return
        if self._next_at is None:
            self._next_at = now + timedelta(seconds=self.pause_s)
        if now < self._next_at:
            return
        self._next_at = None
        self.begun += 1
        self._showed = False
        point.do_plug(1, now)
        self._attend(point, connector, now)

    def _attend(self, point: ChargePoint, connector: Connector, now: datetime) -> None:
        number, session = connector.connector_id, connector.session
        waiting = connector.plugged and session is None and not connector.finishing
        mine = waiting and number == 1 and not self._showed and connector.authorized is None
        if self._after(number, "plug", connector.authorized and not connector.plugged, now):
            point.do_plug(number, now)
            self._showed = True
        if self._after(number, "show", mine, now):
            self._showed = True
            point.do_present(number, self.id_tag, now)
        full = session is not None and session.car.full
        if self._after(number, "stop", full, now, 2 * self.step_s) and session is not None:
            point.do_present(number, session.id_tag, now)
        if self._after(number, "leave", connector.plugged and connector.finishing, now):
            point.do_unplug(number, now)
        # Refused, or nobody answers: drive away.
        turned_away = waiting and bool(connector.refused)
        if self._after(number, "refused", turned_away, now, 2 * self.step_s) or self._after(
            number, "patience", waiting, now, PATIENCE_S
        ):
            self.given_up += 1
            self.why_given_up = connector.refused or "no answer"
            connector.refused = ""
            point.do_unplug(number, now)

    def _after(
        self, number: int, what: str, wanted: object, now: datetime, seconds: float | None = None
    ) -> bool:
        """Tell whether something has been wanted for long enough to do it now."""
        key = (number, what)
        if not wanted:
            self._hands.pop(key, None)
            return False
        pause = timedelta(seconds=self.step_s if seconds is None else seconds)
        due = self._hands.setdefault(key, now + pause)
        if now < due:
            return False
        del self._hands[key]
        return True
