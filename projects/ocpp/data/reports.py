"""What pages, API and command line show: public names, aware times, units in the names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gway.errors import UnknownName, UsageError, did_you_mean
from gway.projects.ocpp.data import events, hours, queries, timeseries
from gway.projects.ocpp.data.codec import TIMES, TRANSACTION_FIELDS, micros, when
from gway.projects.ocpp.data.queries import Filter
from gway.projects.sql.database import Database, Row

Day = date | datetime
SPANS = {"day": 1, "week": 7, "month": 30, "year": 365}  # days
PER_PAGE = 1_000  # the most that one page may hold
COMPARED = 500  # chargers among which a misspelt id is looked for
FIRST_YEAR, LAST_YEAR = 1970, 9998


def moment(day: Day | None, *, end: bool = False) -> datetime | None:
    """Turn a day or a time into a time; days are UTC.

    :param end: a day as the end of a span includes all of it
    Errors: UsageError for a year that calendars cannot count from.
    """
    if day is None:
        return None
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise UsageError(f"{day:%F} is too far away", hint=f"from {FIRST_YEAR} to {LAST_YEAR}")
    if isinstance(day, datetime):
        return day if day.tzinfo is not None else day.replace(tzinfo=UTC)
    return datetime.combine(day + timedelta(days=1) if end else day, time(), UTC)


def field(day: Day | None, *, end: bool = False) -> str:
    """Write a time as a datetime-local field wants it: UTC, which the page makes local.

    :param end: a day is the end of a span, and belongs to it
    """
    given = moment(day, end=end)
    return "" if given is None else f"{given.astimezone(UTC):%Y-%m-%dT%H:%M}"


def span(since: Day | None, until: Day | None, now: datetime, days: int) -> tuple[int, int]:
    """Give a span in microseconds; what is left out is filled in up to now.

    :param days: how long it is when `since` is left out
    Errors: UsageError when it ends before it begins.
    """
    end = moment(until, end=True) or now
    begin = moment(since) or end - timedelta(days=days)
    if begin >= end:
        raise UsageError(f"the time span ends ({end:%F %R}) before it begins ({begin:%F %R})")
    first, last = micros(begin), micros(end)
    assert first is not None
    assert last is not None
    return first, last


def public_transaction(row: Row, now: datetime) -> dict[str, Any]:
    """Show a transaction: all its fields, and `active`, `reason`, `duration_s`.

    The energy of an open one is what its last reading says.
    """
    shown: dict[str, Any] = {"sequence": row["sequence"]}
    for name in TRANSACTION_FIELDS:
        shown[name] = when(row[name]) if name in TIMES else row[name]
    shown["flags"] = row["flags"].split()
    shown["reason"] = shown.pop("stop_reason")
    shown["active"] = row["state"] == "open"
    if shown["active"] and row["last_energy_wh"] is not None:
        shown["energy_wh"] = max(0, row["last_energy_wh"] - row["meter_start_wh"])
        shown["energy_source"] = "last sample"
    shown["duration_s"] = _duration_s(shown, now)
    return shown


def _duration_s(shown: dict[str, Any], now: datetime) -> float | None:
    """Measure by one clock: the charger's if it gave both times, else the server's."""
    begin: datetime = shown["started_at"]
    end: datetime | None = now if shown["active"] else shown["stopped_at"]
    if not shown["active"] and shown["start_time"] is not None and shown["stop_time"] is not None:
        begin, end = shown["start_time"], shown["stop_time"]
    return None if end is None else max(0.0, (end - begin).total_seconds())


def transactions(
    database: Database,
    wanted: Filter,
    sort: str,
    page: int,
    per_page: int,
    now: datetime,
    *,
    most: int = PER_PAGE,
) -> dict[str, Any]:
    """Give one page of transactions with the number of all.

    :param sort: a column's name, with "-" before it for descending, or a word of `Sort`
    :param most: how many one page may hold
    Errors: UsageError for a page or an order that cannot be.
    """
    ordered = queries.order(sort, micros(now) or 0)
    if page < 1 or not 1 <= per_page <= most:
        raise UsageError(f"page is 1 or more, per_page 1 to {most}")

    def read(connection: Any) -> tuple[list[dict[str, Any]], int]:
        # All of it where the reading is done, beside the hub: a twin has thousands.
        rows, total = queries.page_of_transactions(connection, wanted, ordered, page, per_page)
        return [public_transaction(row, now) for row in rows], total

    shown, total = database.read(read)
    return {
        "transactions": shown,
        "total": total,
        "page": page,
        "pages": max(1, -(-total // per_page)),
        "per_page": per_page,
    }


def transaction(
    database: Database, transaction_id: int, now: datetime, *, samples: bool
) -> dict[str, Any]:
    """Give one transaction, with its samples if wanted.

    Errors: UnknownName when there is none of that id.
    """

    def read(connection: Any) -> dict[str, Any]:
        shown = known_transaction(connection, transaction_id, now)
        if samples:
            shown["samples"] = public_samples(queries.readings(connection, transaction_id))
        return shown

    return database.read(read)


def known_transaction(connection: Any, transaction_id: int, now: datetime) -> dict[str, Any]:
    """Read one transaction.

    Errors: UnknownName when there is none of that id.
    """
    found = queries.transactions(connection, "transaction_id = ?", (transaction_id,))
    if not found:
        raise UnknownName(
            f"there is no transaction {transaction_id}", "see `gway ocpp.data transactions`"
        )
    shown = public_transaction(found[0], now)
    closings = queries.closings(connection, transaction_id)
    shown["closings"] = [{"why": row["why"], "at": when(row["at"])} for row in closings]
    return shown


def public_samples(readings: Iterable[Row]) -> list[dict[str, Any]]:
    """Show the samples of some readings: each measurement once, in order of time."""
    from gway.projects.ocpp.data.samples import unique

    return [
        {
            "time": taken.sample.time,
            "at": taken.at,
            "measurand": taken.sample.measurand,
            "value": taken.sample.value,
            "unit": taken.sample.unit,
            "phase": taken.sample.phase,
            "location": taken.sample.location,
            "context": taken.sample.context,
            "origin": taken.origin,
        }
        for taken in unique(readings)
    ]


def transaction_story(
    database: Database, transaction_id: int, now: datetime
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Give a transaction, its samples in order of time, and what happened around it.

    Errors: UnknownName when there is none of that id.
    """

    def read(connection: Any) -> tuple[dict[str, Any], list[Any], list[Any]]:
        shown = known_transaction(connection, transaction_id, now)
        samples = public_samples(queries.readings(connection, transaction_id))
        return shown, samples, events.events(connection, shown, now)

    return database.read(read)


def transaction_curves(database: Database, transaction_id: int, now: datetime) -> dict[str, Any]:
    """Give the power and the energy of a transaction over time.

    Errors: UnknownName when there is none of that id.
    """
    from gway.projects.ocpp.data.curves import curves
    from gway.projects.ocpp.data.samples import unique

    def read(connection: Any) -> dict[str, Any]:
        shown = known_transaction(connection, transaction_id, now)
        return curves(shown, unique(queries.readings(connection, transaction_id)))

    return database.read(read)


def summary(database: Database) -> list[dict[str, Any]]:
    """Sum up each charger; its `state` is "faulted", "open" with a session, or None."""
    return [
        {
            "charger_id": row["charger_id"],
            "sessions": row["sessions"],
            "open_sessions": row["open_sessions"],
            "energy_kwh": row["energy_wh"] / 1000,
            "last_stop_at": when(row["last_stop_at"]),
            "last_error": row["last_error"],
            "last_error_connector_id": row["last_error_connector_id"],
            "last_error_info": row["last_error_info"],
            "last_error_at": when(row["last_error_at"]),
            "last_seen_at": when(row["last_seen_at"]),
            "drift_s": None if row["drift_ms"] is None else row["drift_ms"] / 1000,
            "state": "faulted" if row["faulted"] else "open" if row["open_sessions"] else None,
        }
        for row in database.read(queries.summary)
    ]


def errors(
    database: Database, charger_id: str | None, since: datetime | None, limit: int
) -> list[dict[str, Any]]:
    """Give reported faults, the latest first; at most 1000."""
    wanted = min(max(limit, 1), PER_PAGE)
    rows = database.read(
        lambda connection: queries.errors(connection, charger_id, micros(since), wanted)
    )
    for row in rows:
        row["time"], row["at"] = when(row["time"]), when(row["at"])
    return rows


def energy_series(
    database: Database,
    chargers: Sequence[str] | None,
    since: int,
    before: int,
    step: str,
    now: datetime,
) -> dict[str, Any]:
    """Give the energy that chargers gave in each interval of a span.

    An interval of which nothing can be known is None: one before the charger was first
    heard of, or one to come.

    :param chargers: which ones; None or none means all
    :param step: length of an interval, a key of `timeseries.STEPS_S` or "auto"
    """
    several = len(set(chargers or ())) > 1
    few = timeseries.FEW_EACH if several else timeseries.FEW
    over = timeseries.window(since, before, step, few)

    at = micros(now) or 0

    def read(connection: Any) -> tuple[list[str], list[list[float | None]]]:
        chosen = list(dict.fromkeys(chargers or queries.charger_ids(connection)))
        sums = []
        for one in chosen:
            known_since = timeseries.known_since(connection, one)
            if known_since is None:
                known = set(queries.charger_ids(connection, latest=COMPARED))
                hint = did_you_mean(one, known) or "see `gway ocpp.csms chargers`"
                raise UnknownName(f"nothing is known of the charger {one!r}", hint)
            energy = hours.energy(connection, one, over)
            sums.append(timeseries.only_known(energy, over, known_since, at))
        return chosen, sums

    chosen, sums = database.read(read)
    return {
        "unit": "kWh",
        "step_s": over.step // timeseries.MICROS,
        "begin": when(over.begin),
        "end": when(over.end),
        "times": [start // timeseries.MICROS for start in over.starts],
        "series": [
            {
                "charger_id": charger_id,
                "energy_kwh": [
                    None if value is None else round(value / 1000, 4) for value in values
                ],
                "total_kwh": round(sum(value or 0 for value in values) / 1000, 4),
            }
            for charger_id, values in zip(chosen, sums, strict=True)
        ],
    }
