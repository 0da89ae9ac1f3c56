"""Energy by charger and hour, so that a year of it is summed without touching a reading.

The hours of a session are written in the commit that ends it, and again in each that
corrects it: what is read is always what the readings say. Open sessions, and those that
are too long to be true, are read from their readings each time.
"""

from __future__ import annotations

import logging
import sqlite3

from gway.projects.ocpp.data import timeseries
from gway.projects.ocpp.data.timeseries import MICROS, Point, Window

log = logging.getLogger("ocpp.data")

HOUR = 3_600 * MICROS
LONGEST_H = 31 * 24  # a charger whose clock says 1970 would fill half a million rows

FORGET = (
    "DELETE FROM energy_hours WHERE transaction_id = ?",
    "DELETE FROM long_sessions WHERE transaction_id = ?",
)
KEEP_HOUR = (
    "INSERT INTO energy_hours (charger_id, hour, transaction_id, energy_wh) VALUES (?, ?, ?, ?)"
)
KEEP_LONG = "INSERT INTO long_sessions (transaction_id, charger_id) VALUES (?, ?)"
SUMS = (
    "SELECT (hour - ?) / ?, sum(energy_wh) FROM energy_hours"
    " WHERE charger_id = ? AND hour >= ? AND hour < ? GROUP BY 1"
)
# Both with an index each; `began` and `ended` are names of `timeseries.SESSION`.
OPEN = "state = 'open' AND charger_id = ? AND began < ?"
LONG = (
    "transaction_id IN (SELECT transaction_id FROM long_sessions WHERE charger_id = ?1)"
    " AND began < ?2 AND coalesce(ended, ?2) >= ?3"
)


def store(connection: sqlite3.Connection, transaction_id: int) -> None:
    """Write the hours of a transaction anew, or take them away while it is open (the writer)."""
    for sql in FORGET:
        connection.execute(sql, (transaction_id,))
    _store_closed(connection, transaction_id)


def rebuild(connection: sqlite3.Connection) -> None:
    """Write the hours of all closed transactions; a second for some thousand of them."""
    connection.execute("DELETE FROM energy_hours")
    connection.execute("DELETE FROM long_sessions")
    found = connection.execute("SELECT transaction_id FROM transactions WHERE state <> 'open'")
    closed = found.fetchall()
    log.info("energy by hour: summing up %d transactions, once", len(closed))
    for (transaction_id,) in closed:
        _store_closed(connection, transaction_id)


def _store_closed(connection: sqlite3.Connection, transaction_id: int) -> None:
    found = timeseries.sessions(
        connection, "transaction_id = ? AND state <> 'open'", (transaction_id,)
    )
    for session in found:
        points = timeseries.session_points(connection, session, HOUR)
        hours = by_hour(points)
        if hours is None:
            connection.execute(KEEP_LONG, (transaction_id, session.charger_id))
        else:
            rows = (
                (session.charger_id, hour, transaction_id, energy_wh)
                for hour, energy_wh in hours.items()
            )
            connection.executemany(KEEP_HOUR, rows)


def by_hour(points: list[Point]) -> dict[int, float] | None:
    """Spread a session over hours since 1970; None when these would be too many."""
    first = min(point.time for point in points) // HOUR
    last = max(point.time for point in points) // HOUR
    if last - first >= LONGEST_H:
        return None
    sums = [0.0] * (last - first + 1)
    timeseries.spread(points, Window(first * HOUR, (last + 1) * HOUR, HOUR), sums)
    return {first + index: energy_wh for index, energy_wh in enumerate(sums) if energy_wh}


def energy(connection: sqlite3.Connection, charger_id: str, over: Window) -> list[float]:
    """Give the energy in Wh that a charger gave in each interval.

    :param over: intervals shorter than an hour are read from the readings
    """
    if over.step % HOUR:
        return timeseries.energy(connection, charger_id, over)
    sums = [0.0] * len(over.starts)
    begin, step, end = over.begin // HOUR, over.step // HOUR, over.end // HOUR
    for index, energy_wh in connection.execute(SUMS, (begin, step, charger_id, begin, end)):
        sums[index] += energy_wh
    live = timeseries.sessions(connection, OPEN, (charger_id, over.end))
    live += timeseries.sessions(connection, LONG, (charger_id, over.end, over.begin))
    for session in live:
        points = timeseries.session_points(connection, session, min(over.step, HOUR))
        timeseries.spread(points, over, sums)
    return sums
