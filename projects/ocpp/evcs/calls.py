"""The calls a charge point has to make: one at a time, money in order and kept.

Pure: no I/O, no clock. StartTransaction, StopTransaction and the MeterValues of a
transaction ("money") survive a lost link and are tried again as SPEC 4 (paragraph
"error responses to transaction-related messages") says; everything else is worth
sending only now, and fails when the link does.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gway.projects.ocpp.evcs.keys import Configuration
from gway.projects.ocpp.messages.shapes import Payload

Answered = Callable[[Any, datetime], None]
Failed = Callable[[str, datetime], None]

KEEP_MONEY = 5_000
"""Money messages kept at most; beyond it meter values are thinned, never starts or stops."""


@dataclass(slots=True, eq=False)
class Outgoing:
    """One call that waits to be sent, or for its answer."""

    action: str
    build: Callable[[], Payload]
    """Makes the payload when it is sent: a transaction id is often not known before."""
    money: bool = False
    any_time: bool = False
    """May be sent before the central system accepted us (Boot, or asked for by it)."""
    answered: Answered | None = None
    failed: Failed | None = None
    attempts: int = 0
    message_id: str = ""


@dataclass(slots=True)
class Outbox:
    """The queue of a charge point's own calls with the one that is in flight."""

    configuration: Configuration
    new_id: Callable[[], str]
    timeout_s: float = 30.0
    keep_money: int = KEEP_MONEY
    counts: Counter[str] = field(default_factory=Counter)
    waiting: deque[Outgoing] = field(default_factory=deque)
    flight: Outgoing | None = None
    deadline: datetime | None = None
    money_not_before: datetime | None = None

    @property
    def money_waiting(self) -> int:
        """Money messages that were not answered yet."""
        flying = int(self.flight is not None and self.flight.money)
        return flying + sum(entry.money for entry in self.waiting)

    def put(self, entry: Outgoing, *, first: bool = False) -> None:
        """Queue a call; `first` overtakes everything that waits."""
        if first:
            self.waiting.appendleft(entry)
            return
        self.waiting.append(entry)
        if entry.money and len(self.waiting) > self.keep_money:
            self._thin()

    def _thin(self) -> None:
        """Drop the oldest meter values that stand between others of the same kind."""
        previous: Outgoing | None = None
        for entry in self.waiting:
            if entry.action != "MeterValues" or not entry.money:
                continue
            if previous is not None:
                self.waiting.remove(entry)
                self.counts["thinned"] += 1
                return
            previous = entry

    def take(self, now: datetime, accepted: bool) -> Outgoing | None:
        """Give the call to send now, if one may be sent; it is in flight from here on."""
        if self.flight is not None:
            return None
        held = self.money_not_before is not None and now < self.money_not_before
        for entry in self.waiting:
            if not (accepted or entry.any_time) or (entry.money and held):
                continue
            self.waiting.remove(entry)
            entry.message_id = self.new_id()
            self.flight = entry
            self.deadline = now + timedelta(seconds=self.timeout_s)
            return entry
        return None

    def settle(self, message_id: str) -> Outgoing | None:
        """End the call in flight if this is its id; late and foreign answers are counted."""
        entry = self.flight
        if entry is None or entry.message_id != message_id:
            self.counts["unexpected answers"] += 1
            return None
        self.flight = self.deadline = None
        return entry

    def reject(self, entry: Outgoing, why: str, now: datetime) -> None:
        """Handle an answer that is no answer: an error, a timeout or nonsense."""
        self.counts[why] += 1
        if not entry.money:
            self._fail(entry, why, now)
            return
        entry.attempts += 1
        if entry.attempts >= self.configuration.number("TransactionMessageAttempts"):
            self.counts["discarded"] += 1
            self.money_not_before = None
            self._fail(entry, "discarded", now)
            return
        # SPEC 4: wait interval x number of attempts; only money messages wait.
        pause_s = self.configuration.number("TransactionMessageRetryInterval") * entry.attempts
        self.money_not_before = now + timedelta(seconds=pause_s)
        self.waiting.appendleft(entry)

    def expire(self, now: datetime) -> None:
        """Give up the call in flight when its time is over."""
        entry = self.flight
        if entry is None or self.deadline is None or now < self.deadline:
            return
        self.flight = self.deadline = None
        self.reject(entry, "timed out", now)

    def link_lost(self, now: datetime) -> None:
        """Keep the money, in order and with attempts as they are; fail the rest."""
        entries = list(self.waiting)
        if self.flight is not None:
            entries.insert(0, self.flight)
        self.flight = self.deadline = self.money_not_before = None
        self.waiting = deque(entry for entry in entries if entry.money)
        for entry in entries:
            if not entry.money:
                self._fail(entry, "link lost", now)

    def wake_at(self, now: datetime) -> datetime | None:
        """Give the time at which this queue wants to be looked at."""
        if self.flight is not None:
            return self.deadline
        if self.money_not_before is not None and now < self.money_not_before:
            return self.money_not_before if self.money_waiting else None
        return None

    @staticmethod
    def _fail(entry: Outgoing, why: str, now: datetime) -> None:
        if entry.failed is not None:
            entry.failed(why, now)
