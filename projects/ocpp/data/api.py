"""The JSON API of the stored data; the pages and the verbs show the same."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from gway import gw
from gway.projects.ocpp.data import reports
from gway.projects.ocpp.data.codec import micros
from gway.projects.ocpp.data.queries import Filter, State
from gway.projects.ocpp.data.store import Store
from gway.web.tables import ALL_ROWS, window

Span = Literal["day", "week", "month", "year"]
Step = Literal["auto", "minute", "5min", "15min", "hour", "6h", "day", "week"]


def api_transactions(
    charger_id: str | None = None,
    *,
    state: State | None = None,
    connector_id: int | None = None,
    id_tag: str | None = None,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    q: str | None = None,
    sort: str = "newest",
    page: int = 1,
    per_page: int = 100,
) -> dict[str, Any]:
    """Give transactions, one page at a time.

    :param charger_id: only this charger's
    :param state: only open ones, stopped ones, or those closed without the charger's word
    :param connector_id: only this connector's
    :param id_tag: only those begun with this tag, in any spelling
    :param since: only those begun at this time (server's clock) or later; a day is UTC
    :param until: only those begun before this time; a day is included
    :param q: only those with this in charger, tag, reason, source or flags, or with this id
    :param sort: name of a column, with "-" before it for descending; or newest, oldest,
        most-energy, least-energy
    :param page: from 1
    :param per_page: how many on a page, at most 1000
    """
    wanted = filter_of(charger_id, state, connector_id, id_tag, since, until, q)
    database = gw.service(Store).database
    return reports.transactions(database, wanted, sort, page, per_page, gw.now())


def filter_of(
    charger_id: str | None = None,
    state: State | None = None,
    connector_id: int | None = None,
    id_tag: str | None = None,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    q: str | None = None,
) -> Filter:
    """Say which transactions are wanted, by what a request says; what is empty is any."""
    return Filter(
        charger_id=charger_id or None,
        connector_id=connector_id,
        id_tag=id_tag or None,
        state=state,
        since=micros(reports.moment(since)),
        before=micros(reports.moment(until, end=True)),
        text=q or None,
    )


def transactions_for_table(
    wanted: Filter, sort: str, page: int, per_page: int | None, *, prefix: str = ""
) -> dict[str, Any]:
    """Give transactions for a table: a page of them, or for its twins all, up to 10,000.

    :param prefix: of the table's parameters' names
    """
    limit, offset = window(page, per_page, prefix=prefix)
    database = gw.service(Store).database
    number = offset // limit + 1
    return reports.transactions(database, wanted, sort, number, limit, gw.now(), most=ALL_ROWS)


def api_transaction(transaction_id: int, *, samples: bool = True) -> dict[str, Any]:
    """Give one transaction with its samples, each once and in order of time.

    :param transaction_id: its id; an unknown one is an error (404)
    :param samples: whether the samples are wanted
    """
    database = gw.service(Store).database
    return reports.transaction(database, transaction_id, gw.now(), samples=samples)


def api_transaction_curves(transaction_id: int) -> dict[str, Any]:
    """Give the power in W and the energy in Wh of a transaction over time.

    `times` are seconds since 1970. Both are null where samples stayed away for much longer
    than usual. Of very many points those with the highest power are `shown`.

    :param transaction_id: its id; an unknown one is an error (404)
    """
    return reports.transaction_curves(gw.service(Store).database, transaction_id, gw.now())


def api_summary() -> dict[str, Any]:
    """Give each charger's sessions, energy in kWh, last stop and last error."""
    return {"chargers": reports.summary(gw.service(Store).database)}


def api_errors(
    charger_id: str | None = None, *, since: date | datetime | None = None, limit: int = 100
) -> dict[str, Any]:
    """Give the faults that chargers reported, the latest first.

    :param charger_id: only this charger's
    :param since: only those reported at this time or later; a day is UTC
    :param limit: at most so many
    """
    database = gw.service(Store).database
    found = reports.errors(database, charger_id or None, reports.moment(since), limit)
    return {"errors": found}


def api_time_series(
    chargers: list[str] | None = None,
    *,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    span: Span = "week",
    step: Step = "auto",
) -> dict[str, Any]:
    """Give the energy in kWh that chargers gave in each interval of a span.

    `times` are the beginnings of the intervals in seconds since 1970; null is an interval
    of which nothing can be known, before the charger was first heard of or to come.

    :param chargers: which ones; none means all
    :param since: begin; a day is UTC; default a `span` before the end
    :param until: end; a day is included; default now
    :param span: how much, when `since` is left out: 1, 7, 30 or 365 days
    :param step: length of the intervals
    """
    now = gw.now()
    begin, before = reports.span(since, until, now, days=reports.SPANS[span])
    return reports.energy_series(gw.service(Store).database, chargers, begin, before, step, now)
