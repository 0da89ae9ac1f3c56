"""One connector of a simulated charge point and the session on it; pure state."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

import msgspec

from gway.projects.ocpp.evcs.meter import Car
from gway.projects.ocpp.messages.shapes import MeterValue

NO_ANSWER = -1
"""Transaction id of a start that was never answered (ERR 3.18)."""


class SessionRow(msgspec.Struct):
    """One finished session: the row that `simulate` returns.

    `energy_kwh` is register end minus register begin; times are the charger's.
    `transaction_id` and `delivered` are known when the stop has been answered.
    """

    charger: str
    connector: int
    transaction_id: int | None
    id_tag: str
    started: datetime
    stopped: datetime
    energy_kwh: float
    samples: int
    reason: str
    delivered: bool = False


@dataclass(slots=True, eq=False)
class Session:
    """A transaction from the charger's side; `transaction_id` is None until answered."""

    id_tag: str
    meter_start_wh: int
    started: datetime
    car: Car
    transaction_id: int | None = None
    denied: bool = False
    samples: int = 0
    begin: list[MeterValue] = field(default_factory=list)

    @property
    def wire_id(self) -> int:
        """The transaction id to send, once the start is answered or given up."""
        return NO_ANSWER if self.transaction_id is None else self.transaction_id


@dataclass(frozen=True, slots=True)
class Reservation:
    """A connector kept free for a tag until a time."""

    reservation_id: int
    id_tag: str
    expires: datetime
    parent: str | None = None


@dataclass(slots=True, eq=False)
class Connector:
    """State of one connector; its OCPP status is derived, never set."""

    connector_id: int
    register_wh: float = 0.0
    operative: bool = True
    scheduled: bool | None = None
    """Availability to take on when the running transaction ends."""
    plugged: bool = False
    finishing: bool = False
    authorized: str | None = None
    session: Session | None = None
    reservation: Reservation | None = None
    error_code: str = "NoError"
    held: bool = False
    """The charge point gives no power (limit 0)."""
    reported: str | None = None
    """What the last StatusNotification said; None when it has to be told anew."""
    shown: str = ""
    changed: datetime | None = None
    """The status that was there after the last event, and since when (as `now` was told)."""
    refused: str = ""
    """Why the last tag was turned away."""

    @property
    def register(self) -> int:
        """The meter as it is shown, whole Wh; never goes back."""
        # A sum of parts may end a hair below the whole number it stands for.
        return int(self.register_wh + 1e-6)

    @property
    def status(self) -> str:
        """The status as SPEC 4.9 names it."""
        if self.error_code != "NoError":
            return "Faulted"
        if self.session is not None:
            if self.session.denied or (self.held and not self.session.car.full):
                return "SuspendedEVSE"
            return "Charging" if self.plugged and not self.session.car.full else "SuspendedEV"
        if not self.operative:
            return "Unavailable"
        if self.plugged:
            return "Finishing" if self.finishing else "Preparing"
        if self.authorized is not None:
            return "Preparing"
        return "Available" if self.reservation is None else "Reserved"

    @property
    def startable(self) -> bool:
        """Whether a session could begin here now."""
        return self.session is None and self.operative and self.error_code == "NoError"

    @property
    def charging(self) -> bool:
        """Whether energy may flow now."""
        return self.session is not None and self.plugged and not self.session.denied
