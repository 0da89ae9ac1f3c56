"""Energy over time: what each charger gave in each interval.

A session's energy is spread between its readings as if the power had been constant
there, so the intervals of a session add up to exactly what was charged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from gway.errors import UsageError

MICROS = 1_000_000
STEPS_S = {
    "minute": 60,
    "5min": 300,
    "15min": 900,
    "hour": 3_600,
    "6h": 21_600,
    "day": 86_400,
    "week": 604_800,
}
WEEK_BEGINS_S = 4 * 86_400  # the first Monday since 1970
FEW = 200  # "auto" takes the finest step that needs no more intervals
FEW_EACH = 60  # of several chargers, whose lines cross
MANY = 5_000

# Queued messages came late, so the server's clock says nothing of when it happened;
# of all others it is the better clock.
BEGAN = (
    "iif(' ' || flags || ' ' LIKE '% historical %', coalesce(start_time, started_at), started_at)"
)
ENDED = (
    "iif(' ' || flags || ' ' LIKE '% historical %', coalesce(stop_time, stopped_at), stopped_at)"
)
SESSION = f"""
SELECT transaction_id, charger_id, meter_start_wh, energy_wh, {BEGAN} AS began, {ENDED} AS ended,
    ' ' || flags || ' ' LIKE '% historical %' AS historical
FROM transactions WHERE
"""
# None ends after the server heard of it: the index on `stopped_at` leaves the older ones out.
IN_WINDOW = (
    "charger_id = ?1 AND (stopped_at >= ?3 OR stopped_at IS NULL)"
    " AND began < ?2 AND coalesce(ended, ?2) >= ?3"
)
REGISTERS = {
    0: "SELECT max(at), max(energy_wh) FROM readings WHERE transaction_id = ?"
    " AND energy_wh IS NOT NULL GROUP BY at / ?",
    1: "SELECT max(coalesce(samples_time, at)), max(energy_wh) FROM readings"
    " WHERE transaction_id = ? AND energy_wh IS NOT NULL GROUP BY coalesce(samples_time, at) / ?",
}


class Window(NamedTuple):
    """Intervals of one length, on whole multiples of it since 1970, weeks from Mondays.

    Microseconds.
    """

    begin: int
    end: int
    step: int

    @property
    def starts(self) -> range:
        """When each interval begins."""
        return range(self.begin, self.end, self.step)


class Point(NamedTuple):
    """How much a session had charged at a time."""

    time: int
    energy_wh: float


def window(since: int, before: int, step: str, few: int = FEW) -> Window:
    """Choose intervals that cover a span.

    :param step: a key of `STEPS_S`, or "auto"
    :param few: how many "auto" may make
    Errors: UsageError when that would be very many.
    """
    if step == "auto":
        fitting = (name for name, s in STEPS_S.items() if (before - since) / (s * MICROS) <= few)
        step = next(fitting, "week")
    length = STEPS_S[step] * MICROS
    shift = WEEK_BEGINS_S * MICROS if step == "week" else 0
    begin = (since - shift) // length * length + shift
    end = max(begin + length, -(-(before - shift) // length) * length + shift)
    if (end - begin) // length > MANY:
        raise UsageError(
            f"{(end - begin) // length} intervals are too many", hint="take a longer step"
        )
    return Window(begin, end, length)


def spread(points: Iterable[Point], over: Window, into: list[float]) -> None:
    """Add a session's energy to the intervals that lie in the window.

    :param points: in order of time; a register that goes back counts as standing still
    :param into: one sum per interval, in Wh
    """
    before: Point | None = None
    for point in points:
        if before is None:
            before = point
            continue
        if point.energy_wh > before.energy_wh:
            _spread_between(before, point, over, into)
        before = Point(point.time, max(point.energy_wh, before.energy_wh))


def _spread_between(one: Point, two: Point, over: Window, into: list[float]) -> None:
    gained = two.energy_wh - one.energy_wh
    if two.time <= one.time:
        if over.begin <= one.time < over.end:
            into[(one.time - over.begin) // over.step] += gained
        return
    first = max(0, (one.time - over.begin) // over.step)
    last = min(len(into) - 1, (two.time - 1 - over.begin) // over.step)
    for index in range(first, last + 1):
        begin = over.begin + index * over.step
        shared = min(two.time, begin + over.step) - max(one.time, begin)
        into[index] += gained * shared / (two.time - one.time)


def points_of(
    began: int,
    ended: int | None,
    meter_start_wh: int,
    energy_wh: int | None,
    registers: Sequence[tuple[int, int]],
) -> list[Point]:
    """Turn the registers of a session into how much it had charged when.

    What a closed session charged is certain; registers above it are cut.

    :param registers: (time, register) in order of time
    """
    points = [Point(began, 0)]
    for time, register in registers:
        charged = max(0, register - meter_start_wh)
        if ended is not None and energy_wh is not None:
            charged = min(charged, energy_wh)
            time = min(time, ended)
        points.append(Point(max(time, began), charged))
    if ended is not None and energy_wh is not None:
        points.append(Point(max(ended, points[-1].time), energy_wh))
    return points


class Session(NamedTuple):
    """What of a transaction's row says when it charged how much; as `SESSION` reads it."""

    transaction_id: int
    charger_id: str
    meter_start_wh: int
    energy_wh: int | None
    began: int
    ended: int | None
    historical: int


def known_since(connection: sqlite3.Connection, charger_id: str) -> int | None:
    """Tell since when anything is known of a charger; None when nothing is."""
    found = connection.execute(
        "SELECT min(at) FROM (SELECT min(first_seen_at) AS at FROM chargers WHERE charger_id = ?1"
        " UNION ALL SELECT min(started_at) FROM transactions WHERE charger_id = ?1)",
        (charger_id,),
    )
    since: int | None = found.fetchone()[0]
    return since


def only_known(sums: list[float], over: Window, since: int | None, now: int) -> list[float | None]:
    """Leave out the intervals of which nothing can be known: before the charger, or to come."""
    return [
        energy_wh if energy_wh or ((since or now) < start + over.step and start < now) else None
        for start, energy_wh in zip(over.starts, sums, strict=True)
    ]


def sessions(connection: sqlite3.Connection, where: str, params: Sequence[object]) -> list[Session]:
    """Read sessions.

    :param where: a condition of ours, never a charger's text
    """
    return [Session(*row) for row in connection.execute(SESSION + where, params)]


def session_points(connection: sqlite3.Connection, session: Session, step: int) -> list[Point]:
    """Give how much a session had charged when, one point for each step that has readings."""
    found = connection.execute(
        REGISTERS[session.historical], (session.transaction_id, step)
    ).fetchall()
    found.sort()
    return points_of(session.began, session.ended, session.meter_start_wh, session.energy_wh, found)


def energy(connection: sqlite3.Connection, charger_id: str, over: Window) -> list[float]:
    """Give the energy in Wh that a charger gave in each interval, out of its readings."""
    sums = [0.0] * len(over.starts)
    span = (charger_id, over.end, over.begin)
    for session in sessions(connection, IN_WINDOW, span):
        spread(session_points(connection, session, over.step), over, sums)
    return sums
