"""Sessions of a simulated charge point: from the tag to the stop; pure.

A session begins when a cable is plugged and a tag is authorized, in any order. What
is said about it goes into the outbox and may reach the central system much later.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gway.projects.ocpp.evcs.calls import Outbox, Outgoing
from gway.projects.ocpp.evcs.connector import NO_ANSWER, Connector, Session, SessionRow
from gway.projects.ocpp.evcs.keys import Configuration
from gway.projects.ocpp.evcs.meter import Car
from gway.projects.ocpp.evcs.profiles import Profiles
from gway.projects.ocpp.evcs.tags import TagInfo, Tags
from gway.projects.ocpp.evcs.timers import Timers
from gway.projects.ocpp.messages.payloads_charger import (
    Authorize,
    MeterValues,
    StartTransaction,
    StopTransaction,
)
from gway.projects.ocpp.messages.shapes import IdTagInfo, MeterValue, SampledValue
from gway.projects.ocpp.messages.times import format_time, parse_time


def tag_info(info: IdTagInfo) -> TagInfo:
    """Read what the central system says of a tag."""
    return TagInfo(info.status, parse_time(info.expiry_date or ""), info.parent_id_tag)


@dataclass(slots=True)
class Appetite:
    """What the simulated cars want: Wh within two bounds, taken over a time."""

    duration_s: float
    low_wh: float
    high_wh: float
    rng: random.Random

    def car(self) -> Car:
        """Send the next car."""
        target_wh = self.rng.uniform(self.low_wh, self.high_wh)
        return Car(target_wh, self.duration_s, soc_start=round(self.rng.uniform(8, 30), 1))


@dataclass(slots=True)
class Sessions:
    """The connectors, what happens on them, and what is told about it."""

    connectors: dict[int, Connector]
    configuration: Configuration
    outbox: Outbox
    timers: Timers
    tags: Tags
    profiles: Profiles
    appetite: Appetite
    charger_id: str
    may_ask: Callable[[], bool]
    """Whether the central system can be asked now."""
    clock: Callable[[datetime], datetime]
    """The charge point's own clock, as it was set by the central system."""
    note: Callable[[str], None]
    finished: list[SessionRow]
    advanced: datetime | None = None

    # --- energy ----------------------------------------------------------------

    def advance(self, now: datetime) -> None:
        """Let energy flow up to `now`."""
        before, self.advanced = self.advanced, now
        seconds = 0.0 if before is None else max(0.0, (now - before).total_seconds())
        for connector in self.connectors.values():
            session = connector.session
            if session is None:
                continue
            limit_w = self.limit_w(connector, now)
            connector.held = limit_w is not None and limit_w <= 0
            if connector.charging:
                connector.register_wh += session.car.charge(seconds, limit_w)
            else:
                session.car.power_w = 0.0

    def limit_w(self, connector: Connector, now: datetime) -> float | None:
        """Give the limit that charging profiles set for a connector."""
        if connector.session is None or not self.profiles.installed:
            return None
        sharing = sum(one.charging for one in self.connectors.values())
        begin = connector.session.started
        return self.profiles.limit_w(connector.connector_id, self.clock(now), begin, sharing)

    def full_at(self, now: datetime) -> datetime | None:
        """Give the time at which the next car will be full."""
        times = []
        for connector in self.connectors.values():
            if connector.session is None or not connector.charging or connector.session.car.full:
                continue
            rest_s = connector.session.car.rest_s(self.limit_w(connector, now))
            if rest_s is not None:
                times.append(now + timedelta(seconds=rest_s, milliseconds=1))
        return min(times, default=None)

    # --- from the tag to the start -----------------------------------------------

    def authorize(self, connector: Connector, id_tag: str, now: datetime) -> None:
        """Ask whether a tag may charge here, or decide alone when nobody can be asked."""
        connector.refused = ""
        if not self.may_ask():
            self._judge_alone(connector, id_tag, now)
            return
        if self.tags.may_start_unasked(id_tag, self.clock(now)):
            self.grant(connector, id_tag, now)
            return

        def answered(answer: Any, at: datetime) -> None:
            info = tag_info(answer.id_tag_info)
            self.tags.learn(id_tag, info)
            self._judged(connector, id_tag, info.at(self.clock(at)), at)

        def failed(why: str, at: datetime) -> None:
            if why == "link lost":
                self._judge_alone(connector, id_tag, at)
            else:
                self._judged(connector, id_tag, why, at)

        self.outbox.put(
            Outgoing(
                "Authorize", lambda: Authorize(id_tag=id_tag), answered=answered, failed=failed
            )
        )

    def _judge_alone(self, connector: Connector, id_tag: str, now: datetime) -> None:
        status = self.tags.judge_offline(id_tag, self.clock(now))
        self._judged(connector, id_tag, status, now)

    def _judged(self, connector: Connector, id_tag: str, status: str, now: datetime) -> None:
        if status == "Accepted":
            self.grant(connector, id_tag, now)
        else:
            connector.refused = status
            self.note(f"tag {id_tag} refused: {status}")

    def grant(self, connector: Connector, id_tag: str, now: datetime) -> None:
        """Let a tag charge: at once with a cable, else within ConnectionTimeOut."""
        if not connector.startable:
            return
        connector.authorized = id_tag
        connector.finishing = False
        if connector.plugged:
            self.start(connector, now)
            return

        def gone(at: datetime) -> None:
            connector.authorized = None
            self.note("no cable was plugged in time")

        seconds = self.configuration.number("ConnectionTimeOut")
        self.timers.set(f"plug:{connector.connector_id}", now, seconds, gone)

    def start(self, connector: Connector, now: datetime) -> None:
        """Begin the session of the authorized tag."""
        id_tag = connector.authorized
        if id_tag is None or not connector.startable:
            return
        connector.authorized = None
        self.timers.cancel(f"plug:{connector.connector_id}")
        session = Session(id_tag, connector.register, self.clock(now), self.appetite.car())
        session.car.look()
        connector.session = session
        reservation, connector.reservation = connector.reservation, None
        self.timers.cancel(f"reservation:{connector.connector_id}")
        words = self.configuration.words("StopTxnSampledData")
        session.begin = self.measure(connector, now, "Transaction.Begin", words)
        payload = StartTransaction(
            connector_id=connector.connector_id,
            id_tag=id_tag,
            meter_start=session.meter_start_wh,
            timestamp=format_time(session.started),
            reservation_id=None if reservation is None else reservation.reservation_id,
        )
        self.note(f"session of {id_tag} begins on connector {connector.connector_id}")

        def answered(answer: Any, at: datetime) -> None:
            self._start_answered(connector, session, answer, at)

        def failed(why: str, at: datetime) -> None:
            session.transaction_id = NO_ANSWER
            self.note(f"the start was {why}")

        self.outbox.put(
            Outgoing(
                "StartTransaction", lambda: payload, money=True, answered=answered, failed=failed
            )
        )
        self.plan_sample(connector, now)

    def _start_answered(
        self, connector: Connector, session: Session, answer: Any, now: datetime
    ) -> None:
        session.transaction_id = answer.transaction_id
        info = tag_info(answer.id_tag_info)
        self.tags.learn(session.id_tag, info)
        self.note(f"transaction {answer.transaction_id}: tag {info.status}")
        if info.status == "Accepted" or connector.session is not session:
            return
        # SPEC 4.8: the energy stops at once; the transaction only if the key says so.
        session.denied = True
        if self.configuration.flag("StopTransactionOnInvalidId"):
            self.stop(connector, "DeAuthorized", now)

    # --- meter values ---------------------------------------------------------------

    def measure(
        self, connector: Connector, now: datetime, context: str, words: list[str]
    ) -> list[MeterValue]:
        """Read the meter of a connector: nothing when no measurand is wanted."""
        car = connector.session.car if connector.session is not None else None
        power, current, voltage = (
            (car.power_w, car.current_a, car.voltage_v) if car else (0.0, 0.0, 0.0)
        )
        readings: dict[str, tuple[str, str, str]] = {
            "Energy.Active.Import.Register": (str(connector.register), "Wh", "Outlet"),
            "Power.Active.Import": (f"{power:.1f}", "W", "Outlet"),
            "Current.Import": (f"{current:.1f}", "A", "Outlet"),
            "Voltage": (f"{voltage:.1f}", "V", "Outlet"),
        }
        if car is not None:
            readings["SoC"] = (f"{car.soc_percent:.0f}", "Percent", "EV")
        sampled: list[Any] = [
            {"value": value, "context": context, "measurand": word, "location": where, "unit": unit}
            for word in words
            if word in readings
            for value, unit, where in (readings[word],)
        ]
        if not sampled:
            return []
        values = [SampledValue(**one) for one in sampled]
        return [MeterValue(timestamp=format_time(self.clock(now)), sampled_value=values)]

    def send_values(
        self, connector: Connector, now: datetime, context: str, words: list[str], asked: bool
    ) -> None:
        """Queue a MeterValues message; with a transaction it is money."""
        meter_value = self.measure(connector, now, context, words)
        if not meter_value:
            return
        session = connector.session
        if session is not None:
            session.samples += 1

        def build() -> MeterValues:
            return MeterValues(
                connector_id=connector.connector_id,
                meter_value=meter_value,
                transaction_id=None if session is None else session.wire_id,
            )

        if session is not None or self.may_ask() or asked:
            # Values of a transaction never overtake its start, asked for or not.
            money = session is not None
            self.outbox.put(
                Outgoing("MeterValues", build, money=money, any_time=asked and not money)
            )

    def plan_sample(self, connector: Connector, now: datetime) -> None:
        """Let the next periodic sample come after MeterValueSampleInterval."""
        name = f"sample:{connector.connector_id}"
        seconds = self.configuration.number("MeterValueSampleInterval")
        if connector.session is None or seconds == 0:
            self.timers.cancel(name)
            return

        def due(at: datetime) -> None:
            words = self.configuration.words("MeterValuesSampledData")
            self.send_values(connector, at, "Sample.Periodic", words, asked=False)
            self.plan_sample(connector, at)

        self.timers.set(name, now, seconds, due)

    # --- the stop ---------------------------------------------------------------------

    def stop(
        self, connector: Connector, reason: Any, now: datetime, id_tag: str | None = None
    ) -> None:
        """End the session of a connector, for a reason of SPEC 7.36."""
        session = connector.session
        if session is None:
            return
        session.car.power_w = 0.0
        words = self.configuration.words("StopTxnSampledData")
        data = session.begin + self.measure(connector, now, "Transaction.End", words)
        stamp, meter_stop = self.clock(now), connector.register

        def build() -> StopTransaction:
            return StopTransaction(
                meter_stop=meter_stop,
                timestamp=format_time(stamp),
                transaction_id=session.wire_id,
                id_tag=id_tag,
                reason=reason,
                transaction_data=data or None,
            )

        row = self._row(connector, session, stamp, reason)
        self.finished.append(row)

        def answered(answer: Any, at: datetime) -> None:
            row.transaction_id, row.delivered = session.wire_id, True
            if answer.id_tag_info is not None and id_tag is not None:
                self.tags.learn(id_tag, tag_info(answer.id_tag_info))

        self.outbox.put(Outgoing("StopTransaction", build, money=True, answered=answered))
        connector.session, connector.held = None, False
        connector.finishing = connector.plugged
        self.timers.cancel(f"sample:{connector.connector_id}")
        self.profiles.end_transaction(connector.connector_id)
        if connector.scheduled is not None:
            connector.operative, connector.scheduled = connector.scheduled, None
        self.note(f"session ends after {row.energy_kwh:.3f} kWh: {reason}")

    def _row(
        self, connector: Connector, session: Session, stopped: datetime, reason: str
    ) -> SessionRow:
        return SessionRow(
            charger=self.charger_id,
            connector=connector.connector_id,
            transaction_id=session.transaction_id,
            id_tag=session.id_tag,
            started=session.started,
            stopped=stopped,
            energy_kwh=(connector.register - session.meter_start_wh) / 1000,
            samples=session.samples,
            reason=reason,
        )
