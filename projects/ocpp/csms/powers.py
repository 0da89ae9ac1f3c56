"""The power of sessions over their last minutes, in bounded memory, and the line it draws."""

from __future__ import annotations

from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from gway.projects.ocpp.transactions.rules import Flag
from gway.projects.ocpp.transactions.words import Metered

SAMPLES = 60  # kept of each session
SESSIONS = 5_000  # kept in all: some 720 bytes each
WIDTH, HEIGHT = 120, 28  # of a sparkline, in units of its viewBox
EDGE = 2  # room for the line's width above and below

Point = tuple[float, float]  # seconds since 1970, W


class Sparkline(msgspec.Struct, frozen=True):
    """A line to draw: points for SVG, and what they say in words."""

    line: str
    area: str
    span_s: float
    lowest_w: float
    highest_w: float


class PowerTraces:
    """Keeps the last power samples of sessions; the one heard of least recently goes first."""

    __slots__ = ("_traces",)

    def __init__(self) -> None:
        self._traces: OrderedDict[int, tuple[array[float], array[float]]] = OrderedDict()

    def __len__(self) -> int:
        """Count the sessions that samples are kept of."""
        return len(self._traces)

    def hear(self, metered: Metered) -> None:
        """Keep the power of a reading, if it tells of a session that goes on.

        The time is the charger's: readings that it kept while it was away come all at once.
        """
        transaction, reading = metered.transaction, metered.reading
        if transaction is None or reading.power_w is None or transaction.state != "open":
            return
        if Flag.HISTORICAL not in reading.flags:
            at = reading.samples_time or reading.at
            self.note(transaction.transaction_id, reading.power_w, at)

    def note(self, transaction_id: int, power_w: float, at: datetime) -> None:
        """Keep a sample; one that is older than the last is none of now."""
        seconds = at.timestamp()
        trace = self._traces.get(transaction_id)
        if trace is None:
            trace = self._traces[transaction_id] = (array("d"), array("f"))
            if len(self._traces) > SESSIONS:
                self._traces.popitem(last=False)
        else:
            self._traces.move_to_end(transaction_id)
        times, powers = trace
        if times and seconds < times[-1]:
            return
        times.append(seconds)
        powers.append(min(max(power_w, -1e9), 1e9))
        if len(times) > SAMPLES:
            del times[0], powers[0]

    def of(self, transaction_id: int) -> list[Point]:
        """Give the samples of a session, oldest first."""
        times, powers = self._traces.get(transaction_id, ((), ()))
        return list(zip(times, powers, strict=True))

    def drop(self, transaction_id: int) -> None:
        """Forget a session that is over."""
        self._traces.pop(transaction_id, None)


def sparkline(points: Sequence[Point]) -> Sparkline | None:
    """Scale samples to a small picture: time from left to right, power from zero up.

    One sample draws nothing: a line needs two times.
    """
    if len(points) < 2:
        return None
    begin, end = points[0][0], max(points[-1][0], points[0][0] + 0.001)
    lowest_w = min(0.0, *(watts for _, watts in points))
    highest_w = max(lowest_w + 1.0, *(watts for _, watts in points))
    across = WIDTH / (end - begin)
    up = (HEIGHT - 2 * EDGE) / (highest_w - lowest_w)
    placed = [
        (
            min(max((seconds - begin) * across, 0.0), WIDTH),
            HEIGHT - EDGE - (watts - lowest_w) * up,
        )
        for seconds, watts in points
    ]
    base = f"{HEIGHT - EDGE + lowest_w * up:.1f}"
    line = _text(placed)
    return Sparkline(
        line=line,
        area=f"{placed[0][0]:.1f},{base} {line} {placed[-1][0]:.1f},{base}",
        span_s=end - begin,
        lowest_w=min(watts for _, watts in points),
        highest_w=max(watts for _, watts in points),
    )


def _text(points: Iterable[Point]) -> str:
    return " ".join(f"{across:.1f},{up:.1f}" for across, up in points)
