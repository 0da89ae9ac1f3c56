"""Charging profiles as a charge point keeps and obeys them (SPEC 3.13); pure.

Limits are W; a limit in A counts 230 V per phase, three phases unless said (SPEC 7.14).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gway.projects.ocpp.messages.payloads_central import ClearChargingProfile
from gway.projects.ocpp.messages.shapes import (
    ChargingProfile,
    ChargingRateUnit,
    ChargingSchedule,
    ChargingSchedulePeriod,
)
from gway.projects.ocpp.messages.times import parse_time

VOLTAGE_V = 230.0
NOMINAL_W = 350_000.0
"""What is told as the limit where no profile sets one."""
_REPEATS = {"Daily": timedelta(days=1), "Weekly": timedelta(days=7)}


@dataclass(frozen=True, slots=True)
class Installed:
    """A profile on a connector (0 for the whole charge point) and when it came."""

    connector_id: int
    profile: ChargingProfile
    at: datetime

    def origin(self, now: datetime, begin: datetime | None) -> datetime:
        """Give the time that the periods of the schedule count from."""
        profile = self.profile
        started = parse_time(profile.charging_schedule.start_schedule or "")
        if profile.charging_profile_kind == "Relative" or started is None:
            return begin or self.at
        repeat = _REPEATS.get(profile.recurrency_kind or "")
        if profile.charging_profile_kind == "Recurring" and repeat and now >= started:
            return now - (now - started) % repeat
        return started

    def limit_w(self, now: datetime, begin: datetime | None) -> float | None:
        """Give the limit at a time; None where the profile has none to say."""
        valid_from = parse_time(self.profile.valid_from or "")
        valid_to = parse_time(self.profile.valid_to or "")
        if (valid_from and now < valid_from) or (valid_to and now >= valid_to):
            return None
        schedule = self.profile.charging_schedule
        elapsed_s = (now - self.origin(now, begin)).total_seconds()
        if elapsed_s < 0 or (schedule.duration is not None and elapsed_s >= schedule.duration):
            return None
        limit: float | None = None
        for period in schedule.charging_schedule_period:
            if period.start_period <= elapsed_s:
                limit = to_watts(schedule.charging_rate_unit, period)
        return limit

    def turns(self, now: datetime, begin: datetime | None) -> Iterator[datetime]:
        """List times after which the limit may be another one, seen from `now`."""
        schedule = self.profile.charging_schedule
        marks = [period.start_period for period in schedule.charging_schedule_period]
        if schedule.duration is not None:
            marks.append(schedule.duration)
        origin = self.origin(now, begin)
        repeat = _REPEATS.get(self.profile.recurrency_kind or "")
        for base in (origin, origin + repeat) if repeat else (origin,):
            yield from (base + timedelta(seconds=mark) for mark in marks)
        for edge in (self.profile.valid_from, self.profile.valid_to):
            time = parse_time(edge or "")
            if time is not None:
                yield time


def to_watts(unit: ChargingRateUnit, period: ChargingSchedulePeriod) -> float:
    """Convert the limit of a period."""
    if unit == "W":
        return period.limit
    phases = 3 if period.number_phases is None else period.number_phases
    return period.limit * VOLTAGE_V * phases


@dataclass(slots=True)
class Profiles:
    """All profiles of one charge point."""

    installed: list[Installed] = field(default_factory=list)

    def add(self, connector_id: int, profile: ChargingProfile, now: datetime) -> None:
        """Keep a profile; one of the same id, or at the same place in the stack, goes."""

        def same(other: Installed) -> bool:
            theirs = other.profile
            return theirs.charging_profile_id == profile.charging_profile_id or (
                other.connector_id == connector_id
                and theirs.stack_level == profile.stack_level
                and theirs.charging_profile_purpose == profile.charging_profile_purpose
            )

        self.installed = [one for one in self.installed if not same(one)]
        self.installed.append(Installed(connector_id, profile, now))

    def clear(self, wanted: ClearChargingProfile) -> bool:
        """Remove all that match every given field; tell whether there were any."""

        def hit(one: Installed) -> bool:
            purpose = wanted.charging_profile_purpose
            return (
                (wanted.id is None or wanted.id == one.profile.charging_profile_id)
                and (wanted.connector_id is None or wanted.connector_id == one.connector_id)
                and (purpose is None or purpose == one.profile.charging_profile_purpose)
                and (wanted.stack_level is None or wanted.stack_level == one.profile.stack_level)
            )

        kept = [one for one in self.installed if not hit(one)]
        cleared = len(kept) < len(self.installed)
        self.installed = kept
        return cleared

    def end_transaction(self, connector_id: int) -> None:
        """Forget the profiles of a transaction that is over (SPEC 3.13.1)."""
        self.installed = [
            one
            for one in self.installed
            if one.connector_id != connector_id
            or one.profile.charging_profile_purpose != "TxProfile"
        ]

    def limit_w(
        self, connector_id: int, now: datetime, begin: datetime | None, sharing: int = 1
    ) -> float | None:
        """Give what a connector may deliver; None when nothing limits it.

        :param begin: start of its transaction, which relative schedules count from
        :param sharing: connectors that share the limit of the whole charge point
        """
        levels = (
            self._top("TxProfile", connector_id, now, begin),
            self._top("TxDefaultProfile", connector_id, now, begin),
            self._top("TxDefaultProfile", 0, now, begin),
        )
        own = next((limit for limit in levels if limit is not None), None)
        whole = self._top("ChargePointMaxProfile", 0, now, begin)
        if whole is None:
            return own
        whole /= max(1, sharing)
        return whole if own is None else min(own, whole)

    def _top(
        self, purpose: str, connector_id: int, now: datetime, begin: datetime | None
    ) -> float | None:
        """Give the limit of the highest level that says something now."""
        best: tuple[int, float] | None = None
        for one in self.installed:
            profile = one.profile
            if one.connector_id != connector_id or profile.charging_profile_purpose != purpose:
                continue
            limit = one.limit_w(now, begin)
            if limit is not None and (best is None or profile.stack_level > best[0]):
                best = (profile.stack_level, limit)
        return None if best is None else best[1]

    def composite(
        self,
        connector_id: int,
        now: datetime,
        duration_s: int,
        unit: ChargingRateUnit,
        begin: datetime | None = None,
    ) -> ChargingSchedule:
        """Merge all profiles into the schedule that will be followed from `now` on."""
        end = now + timedelta(seconds=duration_s)
        turns = {turn for one in self.installed for turn in one.turns(now, begin)}
        factor = 1.0 if unit == "W" else 1 / (VOLTAGE_V * 3)
        periods: list[ChargingSchedulePeriod] = []
        for turn in [now, *sorted(turn for turn in turns if now < turn < end)]:
            limit_w = self.limit_w(connector_id, turn, begin)
            limit = round((NOMINAL_W if limit_w is None else limit_w) * factor, 1)
            if not periods or periods[-1].limit != limit:
                start = int((turn - now).total_seconds())
                periods.append(ChargingSchedulePeriod(start_period=start, limit=limit))
        return ChargingSchedule(
            charging_rate_unit=unit, charging_schedule_period=periods, duration=duration_s
        )
