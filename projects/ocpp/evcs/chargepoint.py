"""A simulated OCPP 1.6 charge point without sockets, files or clocks.

Feed it events (`connected`, `received`, `tick`, `plug`, `present`, ...) with the
time; each returns what to do: frames to send, whether to hang up, when to call
`tick` again. Time is whatever the caller says, so a day takes a millisecond.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from gway.projects.ocpp.evcs import commands
from gway.projects.ocpp.evcs.calls import Outbox, Outgoing
from gway.projects.ocpp.evcs.connector import Connector, SessionRow
from gway.projects.ocpp.evcs.dialogue import Dialogue
from gway.projects.ocpp.evcs.keys import Configuration
from gway.projects.ocpp.evcs.profiles import Profiles
from gway.projects.ocpp.evcs.registration import Identity, Registration
from gway.projects.ocpp.evcs.sessions import Appetite, Sessions
from gway.projects.ocpp.evcs.tags import Tags
from gway.projects.ocpp.evcs.timers import Timers
from gway.projects.ocpp.messages.faults import SECURITY, Violation
from gway.projects.ocpp.messages.payloads_charger import StatusNotification
from gway.projects.ocpp.messages.shapes import Payload
from gway.projects.ocpp.messages.times import format_time

SOFT_RESET_S = 10.0
"""A soft reset waits at most this long for what is queued."""
REBOOT_S = 2.0
MAX_TAG = 20
"""Characters of an idTag (SPEC 7.28)."""


@dataclass(frozen=True, slots=True)
class Need:
    """What the cars at this charge point take, and how often the meter is told."""

    kwh_min: float = 30.0
    kwh_max: float = 60.0
    duration_s: float = 600.0
    interval_s: int = 10


@dataclass(slots=True)
class Actions:
    """What to do after an event; `hang_up_s` closes the link for that many seconds."""

    frames: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    hang_up_s: float | None = None
    wake_at: datetime | None = None


class Person(Protocol):
    """Who acts at the charge point: sees to cables and tags."""

    @property
    def satisfied(self) -> bool: ...

    def act(self, point: ChargePoint, now: datetime) -> None: ...

    def wake_at(self) -> datetime | None: ...


class ChargePoint:
    """The state machine of one charge point."""

    def __init__(
        self,
        identity: Identity,
        need: Need | None = None,
        *,
        connectors: int = 1,
        rng: random.Random | None = None,
        new_id: Callable[[], str] | None = None,
        person: Person | None = None,
        call_timeout_s: float = 30.0,
    ) -> None:
        need = need or Need()
        self.identity = identity
        self.person = person
        self.configuration = Configuration(
            NumberOfConnectors=str(connectors), MeterValueSampleInterval=str(need.interval_s)
        )
        self.connectors = {number: Connector(number) for number in range(1, connectors + 1)}
        self.whole = Connector(0)
        self.timers = Timers()
        self.tags = Tags(self.configuration)
        self.profiles = Profiles()
        self.outbox = Outbox(
            self.configuration, new_id or (lambda: str(uuid.uuid4())), call_timeout_s
        )
        self.finished: list[SessionRow] = []
        self.resetting = False
        self.authorization_key: str | None = None
        self.jobs: dict[str, str] = {}
        self.updates = 0
        self._actions = Actions()
        self.registration = Registration(
            identity, self.configuration, self.outbox, self.timers, self.note, self._welcomed
        )
        self.dialogue = Dialogue(self.outbox, self._serve, self._stranger, self._send, self.note)
        appetite = Appetite(
            need.duration_s, need.kwh_min * 1000, need.kwh_max * 1000, rng or random.Random()
        )
        self.sessions = Sessions(
            self.connectors,
            self.configuration,
            self.outbox,
            self.timers,
            self.tags,
            self.profiles,
            appetite,
            identity.charger_id,
            may_ask=lambda: self.reachable,
            clock=self.clock,
            note=self.note,
            finished=self.finished,
        )

    # --- what can be seen from outside ---------------------------------------------

    @property
    def accepted(self) -> bool:
        """Whether the central system took us in."""
        return self.registration.accepted

    @property
    def reachable(self) -> bool:
        """Whether the central system can be asked something now."""
        return self.registration.online and self.registration.accepted

    @property
    def told(self) -> bool:
        """Whether no session runs and nothing is left to tell."""
        running = any(one.session is not None for one in self.connectors.values())
        return not running and not self.outbox.waiting and self.outbox.flight is None

    @property
    def deserted(self) -> bool:
        """Whether all is told, no car is there and nobody else is expected."""
        cars = any(one.plugged or one.authorized for one in self.connectors.values())
        expected = self.person is not None and not self.person.satisfied
        return self.told and not cars and not expected

    def clock(self, now: datetime) -> datetime:
        """Give the charge point's own time."""
        return self.registration.clock(now)

    def note(self, text: str) -> None:
        """Tell something to whoever watches."""
        self._actions.notes.append(text)

    # --- events --------------------------------------------------------------------

    def tick(self, now: datetime) -> Actions:
        """Do what is due by `now`."""
        return self._event(now)

    def connected(self, now: datetime) -> Actions:
        """The link is up."""

        def connect(at: datetime) -> None:
            self.dialogue.begin()
            self.registration.connected(at)

        return self._event(now, connect)

    def disconnected(self, now: datetime) -> Actions:
        """The link is gone; sessions go on."""
        return self._event(now, self.registration.disconnected)

    def received(self, text: bytes | str, now: datetime) -> Actions:
        """A frame came in."""
        raw = text.encode() if isinstance(text, str) else text

        def receive(at: datetime) -> None:
            if self.registration.online:
                self._actions.frames.extend(self.dialogue.received(raw, at))

        return self._event(now, receive)

    def plug(self, connector_id: int, now: datetime) -> Actions:
        """A cable is plugged into a car."""
        return self._event(now, lambda at: self.do_plug(connector_id, at))

    def unplug(self, connector_id: int, now: datetime) -> Actions:
        """The cable is taken out."""
        return self._event(now, lambda at: self.do_unplug(connector_id, at))

    def present(self, connector_id: int, id_tag: str, now: datetime) -> Actions:
        """A tag is held to the reader: begins a session, or ends its own."""
        return self._event(now, lambda at: self.do_present(connector_id, id_tag, at))

    def fault(self, connector_id: int, error_code: str, now: datetime) -> Actions:
        """A connector has a fault of SPEC 7.6; `NoError` mends it."""
        return self._event(now, lambda at: self._fault(connector_id, error_code, at))

    def stop_all(self, reason: str, now: datetime) -> Actions:
        """End all sessions for a reason of SPEC 7.36."""
        return self._event(now, lambda at: self._stop_sessions(reason, at))

    def _event(self, now: datetime, happen: Callable[[datetime], None] | None = None) -> Actions:
        actions = self._actions = Actions()
        self.sessions.advance(now)
        self.outbox.expire(now)
        self.timers.run(now)
        if happen is not None:
            happen(now)
        if self.person is not None:
            self.person.act(self, now)
        self.sessions.advance(now)
        self.report(now)
        if self.resetting and self.outbox.flight is None and not self.outbox.waiting:
            self._reboot(now)
        if self.registration.online:
            self.dialogue.pump(now, self.accepted)
        actions.wake_at = self._wake_at(now)
        self._actions = Actions()
        return actions

    def _wake_at(self, now: datetime) -> datetime | None:
        times = [
            self.timers.wake_at(),
            self.outbox.wake_at(now),
            self.sessions.full_at(now),
            self.person.wake_at() if self.person is not None else None,
        ]
        return min((time for time in times if time is not None), default=None)

    # --- talking -----------------------------------------------------------------------

    def _send(self, frame: bytes) -> None:
        self._actions.frames.append(frame)

    def _serve(self, action: str, request: Payload, now: datetime) -> Payload:
        if self.registration.status == "Rejected":
            # SPEC 4.2: nothing is to be asked of a charge point that was turned away.
            raise Violation(SECURITY, "this charge point was rejected", "registration")
        return commands.HANDLERS[action](self, request, now)

    def _stranger(self, now: datetime) -> None:
        if self.accepted:
            self.registration.forget()
            self.registration.boot(now)

    def _welcomed(self, now: datetime) -> None:
        self.plan_clock_sample(now)
        for connector in (self.whole, *self.connectors.values()):
            connector.reported = None

    def plan_clock_sample(self, now: datetime) -> None:
        """Let samples come at multiples of ClockAlignedDataInterval since midnight."""
        every = self.configuration.number("ClockAlignedDataInterval")
        if every == 0:
            self.timers.cancel("clock")
            return

        def due(at: datetime) -> None:
            words = self.configuration.words("MeterValuesAlignedData")
            for connector in self.connectors.values():
                self.sessions.send_values(connector, at, "Sample.Clock", words, asked=False)
            self.plan_clock_sample(at)

        time = self.clock(now).astimezone(UTC)
        midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
        since = (time - midnight).total_seconds()
        self.timers.set("clock", now, every - since % every, due)

    def report(self, now: datetime) -> None:
        """Tell every status that differs from what was told last."""
        for connector in (self.whole, *self.connectors.values()):
            if connector.status != connector.shown:
                connector.shown, connector.changed = connector.status, now
            if self.reachable and connector.reported != connector.status:
                self.tell_status(connector, now)

    def tell_status(self, connector: Connector, now: datetime, *, any_time: bool = False) -> None:
        """Queue a StatusNotification as things stand."""
        status: Any = connector.status
        error_code: Any = connector.error_code
        payload = StatusNotification(
            connector_id=connector.connector_id,
            error_code=error_code,
            status=status,
            timestamp=format_time(self.clock(connector.changed or now)),
        )
        connector.reported = connector.status

        def failed(why: str, at: datetime) -> None:
            if why == "link lost":
                connector.reported = None

        self.outbox.put(
            Outgoing("StatusNotification", lambda: payload, any_time=any_time, failed=failed)
        )

    # --- cables, tags, faults ------------------------------------------------------------

    def do_plug(self, connector_id: int, now: datetime) -> None:
        """Plug a cable in, inside an event."""
        connector = self.connectors[connector_id]
        if connector.plugged:
            return
        connector.plugged, connector.finishing = True, False
        self.report(now)
        if connector.authorized is not None:
            self.sessions.start(connector, now)

    def do_unplug(self, connector_id: int, now: datetime) -> None:
        """Take a cable out, inside an event."""
        connector = self.connectors[connector_id]
        if self.configuration.flag("StopTransactionOnEVSideDisconnect"):
            self.sessions.stop(connector, "EVDisconnected", now)
            self.report(now)
        connector.plugged = connector.finishing = False

    def do_present(self, connector_id: int, id_tag: str, now: datetime) -> None:
        """Hold a tag to the reader, inside an event."""
        if not 0 < len(id_tag) <= MAX_TAG:
            raise ValueError(f"a tag has 1 to {MAX_TAG} characters, not {len(id_tag)}")
        connector = self.connectors[connector_id]
        session, reservation = connector.session, connector.reservation
        if session is not None:
            if self.tags.same_group(session.id_tag, id_tag):
                self.sessions.stop(connector, "Local", now, id_tag)
            else:
                self.note(f"tag {id_tag} did not begin this session")
        elif not connector.startable or self.resetting:
            connector.refused = connector.status
        elif reservation is not None and not self.tags.same_group(reservation.id_tag, id_tag):
            connector.refused = "Reserved"
        elif self.registration.status in ("Pending", "Rejected"):
            connector.refused = "NotRegistered"  # SPEC 4.2: no sessions before acceptance
        else:
            self.sessions.authorize(connector, id_tag, now)

    def _fault(self, connector_id: int, error_code: str, now: datetime) -> None:
        connector = self.connectors[connector_id] if connector_id else self.whole
        if error_code != "NoError":
            self.sessions.stop(connector, "Other", now)
        connector.error_code, connector.reported = error_code, None

    # --- reset ---------------------------------------------------------------------------

    def _stop_sessions(self, reason: str, now: datetime) -> None:
        for connector in self.connectors.values():
            connector.authorized = None
            self.timers.cancel(f"plug:{connector.connector_id}")
            self.sessions.stop(connector, reason, now)

    def reset(self, kind: str, now: datetime) -> None:
        """Stop everything and reboot: softly after telling so, or at once (SPEC 5.14)."""
        self._stop_sessions("HardReset" if kind == "Hard" else "SoftReset", now)
        self.note(f"{kind.lower()} reset")
        if kind == "Hard":
            self._reboot(now)
            return
        self.resetting = True
        self.timers.set("reset", now, SOFT_RESET_S, self._reboot)

    def _reboot(self, now: datetime) -> None:
        self.resetting = False
        self.timers.cancel("reset")
        self.registration.forget()
        self.hang_up(now, REBOOT_S)

    def hang_up(self, now: datetime, seconds: float) -> None:
        """Close the link and let it be opened again after a while."""
        self.registration.disconnected(now)
        self._actions.hang_up_s = seconds
