"""How a charge point introduces itself and keeps in touch: Boot, Heartbeat, clock; pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gway.projects.ocpp.evcs.calls import Outbox, Outgoing
from gway.projects.ocpp.evcs.keys import Configuration
from gway.projects.ocpp.evcs.timers import Timers
from gway.projects.ocpp.messages.payloads_charger import BootNotification, Heartbeat
from gway.projects.ocpp.messages.times import parse_time

BOOT_RETRY_S = 30.0
"""Pause before the next BootNotification when the answer names none."""
CLOCK_TOLERANCE_S = 1.0
"""The clock is set only when it is further off than the way of a message takes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a charge point says of itself when it boots."""

    charger_id: str
    vendor: str = "GWAY"
    model: str = "Simulator"
    firmware: str = "1.0.0"


@dataclass(slots=True)
class Registration:
    """Where a charge point stands with its central system.

    `status` is None before the first answer, and again after a reboot; it
    survives a lost link (SPEC-J 5.4).
    """

    identity: Identity
    configuration: Configuration
    outbox: Outbox
    timers: Timers
    note: Callable[[str], None]
    welcomed: Callable[[datetime], None]
    status: str | None = None
    online: bool = False
    firmware: str = ""
    offset: timedelta = field(default_factory=timedelta)

    @property
    def accepted(self) -> bool:
        """Whether the central system took us in."""
        return self.status == "Accepted"

    def connected(self, now: datetime) -> None:
        """Say hello, or go on where we were."""
        self.online = True
        if self.accepted:
            self._beat(now)
        else:
            self.boot(now)

    def disconnected(self, now: datetime) -> None:
        """Stop talking; what is about money waits in the outbox."""
        if self.online:
            self.online = False
            self.timers.cancel("boot")
            self.timers.cancel("heartbeat")
            self.outbox.link_lost(now)

    def forget(self) -> None:
        """Be a stranger again, as after a reboot."""
        self.status = None
        self.timers.cancel("heartbeat")

    # --- boot ----------------------------------------------------------------------

    def boot(self, now: datetime) -> None:
        """Send a BootNotification before anything else."""
        self.timers.cancel("boot")
        payload = BootNotification(
            charge_point_vendor=self.identity.vendor,
            charge_point_model=self.identity.model,
            charge_point_serial_number=self.identity.charger_id[:25],
            firmware_version=self.firmware or self.identity.firmware,
            meter_type="simulated",
        )

        def failed(why: str, at: datetime) -> None:
            if self.online:
                self.note(f"boot {why}")
                self.timers.set("boot", at, BOOT_RETRY_S, self.boot)

        entry = Outgoing("BootNotification", lambda: payload, any_time=True, failed=failed)
        entry.answered = self._boot_answered
        self.outbox.put(entry, first=True)

    def _boot_answered(self, answer: Any, now: datetime) -> None:
        self.set_clock(answer.current_time, now)
        self.status = answer.status
        self.note(f"boot {answer.status}")
        if not self.accepted:
            # SPEC 4.2: not before the interval is over; 0 leaves the choice to us.
            pause_s = answer.interval if answer.interval > 0 else BOOT_RETRY_S
            self.timers.set("boot", now, pause_s, self.boot)
            return
        if answer.interval > 0:
            self.configuration.put("HeartbeatInterval", str(answer.interval))
        self.plan_heartbeat(now)
        self.welcomed(now)

    # --- heartbeat and clock -----------------------------------------------------------

    def clock(self, now: datetime) -> datetime:
        """Give the charge point's own time."""
        return now + self.offset

    def set_clock(self, text: str, now: datetime) -> None:
        """Follow the central system's clock (SPEC 4.2, 4.6)."""
        told = parse_time(text)
        # Outside these years arithmetic on times would leave the calendar.
        if told is None or not 1970 <= told.year <= 9000:
            return
        if abs((told - self.clock(now)).total_seconds()) > CLOCK_TOLERANCE_S:
            self.offset = told - now

    def plan_heartbeat(self, now: datetime) -> None:
        """Let the next Heartbeat come after HeartbeatInterval."""
        seconds = self.configuration.number("HeartbeatInterval")
        self.timers.set("heartbeat", now, seconds, self._beat)

    def _beat(self, now: datetime) -> None:
        if self.accepted and self.online:
            self.heartbeat()
            self.plan_heartbeat(now)

    def heartbeat(self, *, any_time: bool = False) -> None:
        """Send a Heartbeat and take the time from its answer."""

        def answered(answer: Any, at: datetime) -> None:
            self.set_clock(answer.current_time, at)

        self.outbox.put(Outgoing("Heartbeat", Heartbeat, any_time=any_time, answered=answered))
