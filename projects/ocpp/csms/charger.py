"""What the central system knows of one charger, connected or not."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from gway.projects.ocpp.facts import Boot, ChargerMemory, Command, ConnectorStatus
from gway.projects.ocpp.transactions.ledger import Ledger
from gway.projects.ocpp.transactions.rules import HISTORICAL_AFTER

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.configuration import Configuration
    from gway.projects.ocpp.csms.session import Session

_NO_CONNECTORS: Mapping[int, ConnectorStatus] = MappingProxyType({})

MAX_CONNECTORS = 256  # what a charger may make us remember

# What a connector may say that says most of the whole charger, most first.
TELLING = ("Faulted", "Charging", "SuspendedEVSE", "SuspendedEV", "Finishing")

Registration = Literal["Accepted", "Pending", "Rejected"]
ACCEPTED: Final = "Accepted"
PENDING: Final = "Pending"
REJECTED: Final = "Rejected"
REGISTRATIONS: Mapping[str, Registration] = MappingProxyType(
    {"Accepted": ACCEPTED, "Pending": PENDING, "Rejected": REJECTED}
)


class Charger:
    """One charger. What an idle one does not need is None, so that thousands are cheap.

    `busy` is set while a greenlet serves it and `held` while one of its money
    messages is tried again: in both cases what comes waits in `backlog`, so its
    messages are handled one after the other, whichever connection they came by.
    """

    __slots__ = (
        "backlog",
        "boot",
        "busy",
        "call_timeout_s",
        "charger_id",
        "clock_time",
        "clocked_at",
        "configuration",
        "connectors",
        "expecting",
        "held",
        "history",
        "jobs",
        "last_action",
        "last_at",
        "ledger",
        "max_keys",
        "ping_interval_s",
        "queue",
        "registration",
        "session",
        "settling",
        "spoke",
        "told_at",
        "waiting",
    )

    def __init__(self, charger_id: str) -> None:
        self.charger_id = charger_id
        self.registration: Registration | None = None
        self.boot: Boot | None = None
        self.connectors: Mapping[int, ConnectorStatus] = _NO_CONNECTORS
        self.ledger: Ledger | None = None
        self.session: Session | None = None
        self.last_at: datetime | None = None
        self.last_action = ""
        self.clock_time: datetime | None = None
        self.clocked_at: datetime | None = None
        self.told_at: datetime | None = None
        self.spoke = False
        self.busy = False
        self.held = 0
        self.backlog: deque[tuple[Session, bytes | None]] | None = None
        self.settling = 0
        self.waiting: list[Callable[[], None]] | None = None
        self.queue: deque[tuple[Command, bytes]] | None = None
        self.expecting: list[Command] | None = None
        self.history: deque[Command] | None = None
        self.configuration: Configuration | None = None
        self.jobs: dict[str, str] | None = None
        self.max_keys: int | None = None
        self.call_timeout_s: float | None = None
        self.ping_interval_s: float | None = None

    def __repr__(self) -> str:
        return f"<Charger {self.charger_id}, {'connected' if self.connected else 'away'}>"

    @property
    def connected(self) -> bool:
        """Whether it has a connection that is open."""
        return self.session is not None and self.session.connection.open

    def remember(self, memory: ChargerMemory | None) -> None:
        """Take over what the store knows, where nothing newer is known."""
        if memory is None:
            return
        self.registration = self.registration or REGISTRATIONS.get(memory.registration)
        self.boot = self.boot or memory.boot
        self.last_at = self.last_at or memory.last_seen_at
        self.spoke = True
        if not self.connectors and memory.connectors:
            self.connectors = {one.connector_id: one for one in memory.connectors}

    def set_connector(self, status: ConnectorStatus) -> bool:
        """Keep a connector's status; False when it has more connectors than a charger can."""
        if not isinstance(self.connectors, dict):
            self.connectors = {}
        if status.connector_id not in self.connectors and len(self.connectors) >= MAX_CONNECTORS:
            return False
        self.connectors[status.connector_id] = status
        return True

    def hear_clock(self, time: datetime | None, at: datetime) -> None:
        """Note what the charger's clock said, by messages that were not queued."""
        if time is not None and at - time <= HISTORICAL_AFTER:
            self.clock_time = time
            self.clocked_at = at

    @property
    def drift_s(self) -> float | None:
        """How far the charger's clock is behind ours; None before it told its time."""
        if self.clock_time is None or self.clocked_at is None:
            return None
        return round((self.clocked_at - self.clock_time).total_seconds(), 3)

    @property
    def status(self) -> str:
        """One word for the whole charger: the one of its connectors that tells most."""
        if not self.connected:
            return "Offline"
        if self.registration == PENDING or self.registration == REJECTED:
            return self.registration
        words = {key: one.status for key, one in sorted(self.connectors.items()) if key}
        for one in self.ledger or ():
            if words.get(one.connector_id) in (None, "Available"):
                words[one.connector_id] = "Charging"  # the session is the newer word
        statuses = list(words.values())
        for word in TELLING:
            if word in statuses:
                return word
        whole = self.connectors.get(0)
        if whole is not None and (whole.status != "Available" or not statuses):
            return whole.status
        busy = [status for status in statuses if status != "Available"]
        if statuses:
            return busy[0] if busy else "Available"
        return "Connected"

    @property
    def faults(self) -> list[ConnectorStatus]:
        """The connectors that report a fault now."""
        return [
            one
            for _, one in sorted(self.connectors.items())
            if one.status == "Faulted" or one.error_code not in ("", "NoError")
        ]
