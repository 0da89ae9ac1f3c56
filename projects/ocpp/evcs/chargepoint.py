"""A simulated OCPP 1.6 charge point without sockets, files or clocks.

Feed it events (`connected`, `received`, `tick`, `plug`, `present`, ...) with the
time; each returns what to do: frames to send, whether to hang up, when to call
`tick` again. Time is whatever the caller says, so a day takes a millisecond.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol

from gway.projects.ocpp.evcs import commands
from gway.projects.ocpp.evcs.calls import Outbox, Outgoing
from gway.projects.ocpp.evcs.connector import Connector, SessionRow
from gway.projects.ocpp.evcs.keys import Configuration
from gway.projects.ocpp.evcs.profiles import Profiles
from gway.projects.ocpp.evcs.sessions import Appetite, Sessions
from gway.projects.ocpp.evcs.tags import Tags
from gway.projects.ocpp.evcs.timers import Timers
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS
from gway.projects.ocpp.messages.codec import (
    decode_request,
    decode_response,
    encode_call,
    encode_error,
    encode_result,
)
from gway.projects.ocpp.messages.faults import PROTOCOL, SECURITY, Violation
from gway.projects.ocpp.messages.framing import Call, CallError, CallResult, Junk, parse_frame
from gway.projects.ocpp.messages.payloads_charger import (
    BootNotification,
    Heartbeat,
    StatusNotification,
)
from gway.projects.ocpp.messages.times import format_time, parse_time

BOOT_RETRY_S = 30.0
"""Pause before the next BootNotification when the answer names none."""
SOFT_RESET_S = 10.0
"""A soft reset waits at most this long for what is queued."""
REBOOT_S = 2.0
ANSWERS_KEPT = 32
CLOCK_TOLERANCE_S = 1.0
"""The clock is set only when it is further off than the way of a message takes."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a charge point says of itself when it boots."""

    charger_id: str
    vendor: str = "GWAY"
    model: str = "Simulator"
    firmware: str = "1.0.0"


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
        self.firmware = identity.firmware
        self.person = person
        self.configuration = Configuration(
            NumberOfConnectors=str(connectors), MeterValueSampleInterval=str(need.interval_s)
        )
        self.connectors = {number: Connector(number) for number in range(1, connectors + 1)}
        self.whole = Connector(0)
        self.timers = Timers()
        self.tags = Tags(self.configuration)
        self.profiles = Profiles()
        make_id = new_id or (lambda: str(uuid.uuid4()))
        self.outbox = Outbox(self.configuration, make_id, call_timeout_s)
        self.finished: list[SessionRow] = []
        self.online = False
        self.registration: str | None = None
        self.resetting = False
        self.authorization_key: str | None = None
        self.jobs: dict[str, str] = {}
        self.counts: Counter[str] = Counter()
        self.last_message = ""
        self._offset = timedelta(0)
        self._answered: OrderedDict[str, tuple[bytes, bytes]] = OrderedDict()
        self._actions = Actions()
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
            may_ask=lambda: self.online and self.accepted,
            clock=self.clock,
            note=self.note,
            finished=self.finished,
        )

    # --- what the outside asks ---------------------------------------------------

    @property
    def accepted(self) -> bool:
        """Whether the central system took us in; survives a lost link (SPEC-J 5.4)."""
        return self.registration == "Accepted"

    @property
    def idle(self) -> bool:
        """Whether nothing runs and nothing about money is left to tell."""
        running = any(one.session is not None for one in self.connectors.values())
        return not running and not self.outbox.money_waiting and self.outbox.flight is None

    def clock(self, now: datetime) -> datetime:
        """Give the charge point's own time."""
        return now + self._offset

    def note(self, text: str) -> None:
        """Tell something to whoever watches."""
        self._actions.notes.append(text)

    # --- events --------------------------------------------------------------------

    def tick(self, now: datetime) -> Actions:
        """Do what is due by `now`."""
        return self._event(now)

    def connected(self, now: datetime) -> Actions:
        """The link is up."""
        return self._event(now, self._connected)

    def disconnected(self, now: datetime) -> Actions:
        """The link is gone; sessions go on."""
        return self._event(now, self._disconnected)

    def received(self, text: bytes | str, now: datetime) -> Actions:
        """A frame came in."""
        raw = text.encode() if isinstance(text, str) else text
        return self._event(now, lambda at: self._received(raw, at))

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
        """End all sessions and send the person away."""

        def stop(at: datetime) -> None:
            self.person = None
            self._stop_sessions(reason, at)

        return self._event(now, stop)

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
        self._pump(now)
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

    # --- link and boot ---------------------------------------------------------------

    def _connected(self, now: datetime) -> None:
        self.online = True
        self._answered.clear()
        if self.accepted:
            self._beat(now)
        else:
            self.boot(now)

    def _disconnected(self, now: datetime) -> None:
        if not self.online:
            return
        self.online = False
        for name in ("boot", "heartbeat"):
            self.timers.cancel(name)
        self.outbox.link_lost(now)

    def boot(self, now: datetime) -> None:
        """Send a BootNotification before anything else."""
        self.timers.cancel("boot")
        payload = BootNotification(
            charge_point_vendor=self.identity.vendor,
            charge_point_model=self.identity.model,
            charge_point_serial_number=self.identity.charger_id[:25],
            firmware_version=self.firmware,
            meter_type="simulated",
        )

        def failed(why: str, at: datetime) -> None:
            if self.online:
                self.note(f"boot {why}")
                self.timers.set("boot", at, BOOT_RETRY_S, self.boot)

        self.outbox.put(
            Outgoing(
                "BootNotification",
                lambda: payload,
                any_time=True,
                answered=self._boot_answered,
                failed=failed,
            ),
            first=True,
        )

    def _boot_answered(self, answer: Any, now: datetime) -> None:
        self.set_clock(answer.current_time, now)
        self.registration = answer.status
        self.note(f"boot {answer.status}")
        if not self.accepted:
            # SPEC 4.2: not before the interval is over; 0 leaves the choice to us.
            pause_s = answer.interval if answer.interval > 0 else BOOT_RETRY_S
            self.timers.set("boot", now, pause_s, self.boot)
            return
        if answer.interval > 0:
            self.configuration.put("HeartbeatInterval", str(answer.interval))
        self.plan_heartbeat(now)
        self.plan_clock_sample(now)
        for connector in (self.whole, *self.connectors.values()):
            connector.reported = None

    def set_clock(self, text: str, now: datetime) -> None:
        """Follow the central system's clock (SPEC 4.2, 4.6)."""
        told = parse_time(text)
        # Outside these years arithmetic on times would leave the calendar.
        if told is None or not 1970 <= told.year <= 9000:
            return
        if abs((told - self.clock(now)).total_seconds()) > CLOCK_TOLERANCE_S:
            self._offset = told - now

    def plan_heartbeat(self, now: datetime) -> None:
        """Let the next Heartbeat come after HeartbeatInterval."""
        seconds = self.configuration.number("HeartbeatInterval")
        self.timers.set("heartbeat", now, seconds, self._beat)

    def _beat(self, now: datetime) -> None:
        if self.accepted and self.online:
            self.heartbeat(now)
            self.plan_heartbeat(now)

    def heartbeat(self, now: datetime, *, any_time: bool = False) -> None:
        """Send a Heartbeat and take the time from its answer."""

        def answered(answer: Any, at: datetime) -> None:
            self.set_clock(answer.current_time, at)

        self.outbox.put(Outgoing("Heartbeat", Heartbeat, any_time=any_time, answered=answered))

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
        if connector.session is not None and self.configuration.flag(
            "StopTransactionOnEVSideDisconnect"
        ):
            self.sessions.stop(connector, "EVDisconnected", now)
            self.report(now)
        connector.plugged = connector.finishing = False

    def do_present(self, connector_id: int, id_tag: str, now: datetime) -> None:
        """Hold a tag to the reader, inside an event."""
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
        elif not self.accepted and self.registration is not None:
            connector.refused = "NotRegistered"  # SPEC 4.2: no sessions before acceptance
        else:
            self.sessions.authorize(connector, id_tag, now)

    def _fault(self, connector_id: int, error_code: str, now: datetime) -> None:
        connector = self.connectors[connector_id] if connector_id else self.whole
        if error_code != "NoError":
            self.sessions.stop(connector, "Other", now)
        connector.error_code, connector.reported = error_code, None

    def report(self, now: datetime) -> None:
        """Tell every status that differs from what was told last."""
        for connector in (self.whole, *self.connectors.values()):
            if connector.status != connector.shown:
                connector.shown, connector.changed = connector.status, self.clock(now)
            if self.online and self.accepted and connector.reported != connector.status:
                self.tell_status(connector, now)

    def tell_status(self, connector: Connector, now: datetime, *, any_time: bool = False) -> None:
        """Queue a StatusNotification as things stand."""
        status: Any = connector.status
        error_code: Any = connector.error_code
        payload = StatusNotification(
            connector_id=connector.connector_id,
            error_code=error_code,
            status=status,
            timestamp=format_time(connector.changed or self.clock(now)),
        )
        connector.reported = connector.status

        def failed(why: str, at: datetime) -> None:
            if why == "link lost":
                connector.reported = None

        self.outbox.put(
            Outgoing("StatusNotification", lambda: payload, any_time=any_time, failed=failed)
        )

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
        self.registration = None
        self.hang_up(now, REBOOT_S)

    def hang_up(self, now: datetime, seconds: float) -> None:
        """Close the link and let it be opened again after a while."""
        self._disconnected(now)
        self._actions.hang_up_s = seconds

    # --- frames --------------------------------------------------------------------------

    def _send(self, frame: bytes) -> None:
        self._actions.frames.append(frame)

    def _pump(self, now: datetime) -> None:
        if not self.online:
            return
        entry = self.outbox.take(now, self.accepted)
        if entry is not None:
            self._send(encode_call(entry.message_id, entry.action, entry.build()))
            self.counts[entry.action] += 1
            self.last_message = entry.action

    def _received(self, raw: bytes, now: datetime) -> None:
        if not self.online:
            return
        frame = parse_frame(raw)
        if isinstance(frame, Call):
            self._serve(frame, raw, now)
        elif isinstance(frame, CallResult):
            self._take_result(frame, now)
        elif isinstance(frame, CallError):
            self._take_error(frame.message_id, frame.code, now)
        else:
            self._take_junk(frame, now)

    def _take_result(self, frame: CallResult, now: datetime) -> None:
        entry = self.outbox.settle(frame.message_id)
        if entry is None:
            return
        try:
            answer = decode_response(entry.action, frame.payload)
        except Violation as fault:
            self.note(f"{entry.action} got a bad answer: {fault.description}")
            self.outbox.reject(entry, "answered badly", now)
            return
        if entry.answered is not None:
            entry.answered(answer, now)

    def _take_error(self, message_id: str, code: str, now: datetime) -> None:
        entry = self.outbox.settle(message_id)
        if entry is None:
            return
        self.note(f"{entry.action} was answered {code}")
        if code == SECURITY and self.accepted and entry.action != "BootNotification":
            # ERR-J 3.8: it does not know us (any more); introduce ourselves, then go on.
            if entry.money:
                self.outbox.put(entry, first=True)
            else:
                self.outbox.reject(entry, "not accepted", now)
            self.registration = None
            self.timers.cancel("heartbeat")
            self.boot(now)
            return
        self.outbox.reject(entry, f"refused ({code})", now)

    def _take_junk(self, junk: Junk, now: datetime) -> None:
        self.counts["junk"] += 1
        if junk.reply_to is not None:
            entry = self.outbox.settle(junk.reply_to)
            if entry is not None:
                self.outbox.reject(entry, "answered badly", now)
        elif junk.message_id is not None:
            self._send(encode_error(junk.message_id, junk.code, junk.rule))

    def _serve(self, call: Call, raw: bytes, now: datetime) -> None:
        known = self._answered.get(call.message_id)
        if known is not None:
            text = "this message id was used before"
            same = known[0] == raw
            self._send(known[1] if same else encode_error(call.message_id, PROTOCOL, text))
            return
        self.last_message = call.action
        before = len(self._actions.frames)
        answer = self._answer(call, now)
        # The answer goes before whatever the command made us send.
        self._actions.frames.insert(before, answer)
        self._answered[call.message_id] = (raw, answer)
        if len(self._answered) > ANSWERS_KEPT:
            self._answered.popitem(last=False)

    def _answer(self, call: Call, now: datetime) -> bytes:
        try:
            request = decode_request(call.action, call.payload, CENTRAL_SYSTEM_ACTIONS)
            if self.registration == "Rejected":
                # SPEC 4.2: nothing is to be asked of a charge point that was turned away.
                raise Violation(SECURITY, "this charge point was rejected", "registration")
            answer = commands.HANDLERS[call.action](self, request, now)
        except Violation as fault:
            return encode_error(call.message_id, fault.code, fault.description)
        self.note(f"{call.action}: {getattr(answer, 'status', 'done')}")
        return encode_result(call.message_id, answer)
