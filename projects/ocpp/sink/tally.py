"""Counts frames by charger and action, with latencies, in bounded memory."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from gway.projects.ocpp.sink.verdicts import OK, UNJUDGED, Entry

MOST_ROWS = 5_000
MOST_RULES = 100
OTHERS = "(others)"
ALL = "(all)"
# Latencies are counted in buckets 2 % wide: enough for a percentile, whatever the number.
_WIDTH = math.log(1.02)
_LEAST_MS = 0.1

Row = dict[str, Any]


class Tally:
    """What was counted of one action of one charger."""

    __slots__ = ("_latencies", "answers", "calls", "errors", "junk", "rules", "violations")

    def __init__(self) -> None:
        self.calls = self.answers = self.errors = self.junk = self.violations = 0
        self.rules: Counter[str] = Counter()
        self._latencies: Counter[int] = Counter()

    def add(self, entry: Entry) -> None:
        """Count a frame."""
        match entry.type:
            case "call":
                self.calls += 1
            case "result":
                self.answers += 1
            case "error":
                self.errors += 1
            case "junk":
                self.junk += 1
        if entry.verdict not in (OK, UNJUDGED):
            self.violations += 1
            for each in entry.violations:
                known = each.rule in self.rules or len(self.rules) < MOST_RULES
                self.rules[each.rule if known else OTHERS] += 1
        if entry.latency_ms is not None:
            at_least = max(entry.latency_ms, _LEAST_MS)
            self._latencies[round(math.log(at_least / _LEAST_MS) / _WIDTH)] += 1

    def percentile_ms(self, share: float) -> float | None:
        """Give a percentile of the latencies, 2 % exact; None without any."""
        left = math.ceil(share * self._latencies.total())
        if not left:
            return None
        for bucket in sorted(self._latencies):
            left -= self._latencies[bucket]
            if left <= 0:
                return round(_LEAST_MS * math.exp(bucket * _WIDTH), 1)
        return None

    def row(self, charger: str, action: str) -> Row:
        """Give the counts as a row of a table."""
        return {
            "charger": charger,
            "action": action,
            "calls": self.calls,
            "answers": self.answers,
            "errors": self.errors,
            "junk": self.junk,
            "p50_ms": self.percentile_ms(0.50),
            "p95_ms": self.percentile_ms(0.95),
            "violations": self.violations,
            "rules": dict(self.rules.most_common()),
        }


class Tallies:
    """The counts of a log; of too many chargers and actions the rest is counted together."""

    def __init__(self) -> None:
        self.frames = 0
        self.all = Tally()
        self._tallies: dict[tuple[str, str], Tally] = {}

    def add(self, entry: Entry) -> None:
        """Count a line of the log."""
        if entry.direction:
            self.frames += 1
        if entry.direction or entry.violations:
            self.all.add(entry)
            key = (entry.charger, entry.action)
            tally = self._tallies.get(key)
            if tally is None:
                if len(self._tallies) >= MOST_ROWS:
                    key = (OTHERS, OTHERS)
                tally = self._tallies.setdefault(key, Tally())
            tally.add(entry)

    def rows(self) -> list[Row]:
        """List the counts by charger and action, without the sum."""
        return [tally.row(*key) for key, tally in sorted(self._tallies.items())]

    def rows_with_sum(self) -> list[Row]:
        """List the counts by charger and action, the sum of all last."""
        return [*self.rows(), self.all.row(ALL, ALL)]
