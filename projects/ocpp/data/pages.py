"""The pages of the stored data: summary, transactions of a charger, energy over time."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

from gway import gw
from gway.projects.ocpp.data import api, queries, reports
from gway.projects.ocpp.data.api import Step
from gway.projects.ocpp.data.queries import WORDS, State
from gway.projects.ocpp.data.store import Store
from gway.projects.ocpp.data.timeseries import STEPS_S
from gway.web.page import Page, PageMaker

PAGES = PageMaker(__file__)

DETAIL_COLUMNS = (
    "transaction_id",
    "connector_id",
    "id_tag",
    "state",
    "started_at",
    "start_time",
    "stopped_at",
    "stop_time",
    "duration_s",
    "meter_start_wh",
    "meter_stop_wh",
    "energy_wh",
    "energy_source",
    "reason",
    "flags",
)
SHOWN = 12  # chargers in one chart when nobody chose; more could not be told apart
SAMPLE_COLUMNS = ("time", "measurand", "value", "unit", "phase", "location", "context", "origin")


def view_index() -> Page:
    """Show what there is: the summary of all chargers."""
    return view_charger_summary()


def view_charger_summary() -> Page:
    """Show each charger's sessions, energy, last stop and last error."""
    rows = reports.summary(gw.service(Store).database)
    return PAGES("charger_summary", title="Charger summary", rows=rows)


def view_charger_details(
    charger_id: str | None = None,
    *,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    connector_id: int | None = None,
    id_tag: str | None = None,
    state: State | None = None,
    sort: str = "newest",
    page: int = 1,
    per_page: int = 50,
) -> Page:
    """Show the transactions of a charger.

    :param charger_id: which charger; all when left out
    :param since: only those begun at this time or later; a day is UTC
    :param until: only those begun before this time; a day is included
    :param connector_id: only this connector's
    :param id_tag: only those begun with this tag
    :param state: only open, stopped or inferred ones
    :param sort: order
    :param page: from 1
    :param per_page: how many on a page, at most 1000
    """
    wanted: dict[str, Any] = {
        "charger_id": charger_id or None,
        "since": since,
        "until": until,
        "connector_id": connector_id,
        "id_tag": id_tag or None,
        "state": state,
        "sort": sort,
    }
    found = api.api_transactions(**wanted, page=page, per_page=per_page)
    rows = found.pop("transactions")
    return PAGES(
        "charger_details",
        title=f"Transactions of {charger_id}" if charger_id else "Transactions",
        data={**wanted, **found},
        rows=rows,
        columns=DETAIL_COLUMNS if charger_id else ("charger_id", *DETAIL_COLUMNS),
        known=gw.service(Store).database.read(queries.charger_ids),
        states=("open", "stopped", "inferred"),
        sorts=tuple(WORDS),
        day=_day,
        page_number=found["page"],
    )


def view_transaction(transaction_id: int) -> Page:
    """Show one transaction with its samples.

    :param transaction_id: its id
    """
    found = api.api_transaction(transaction_id)
    rows = found.pop("samples")
    return PAGES(
        "transaction",
        title=f"Transaction {transaction_id}",
        data=found,
        rows=rows,
        columns=SAMPLE_COLUMNS,
    )


def view_time_series(
    chargers: list[str] | None = None,
    *,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    step: Step = "auto",
) -> Page:
    """Show the energy of chargers over time, as a chart and as a table.

    :param chargers: which ones; none means the twelve that were heard of last
    :param since: begin; a day is UTC; default a week before the end
    :param until: end; a day is included; default now
    :param step: length of the intervals
    """
    database = gw.service(Store).database
    chosen = [one for one in chargers or () if one]
    shown = chosen or database.read(lambda one: queries.charger_ids(one, latest=SHOWN))
    found = api.api_time_series(shown, since=since, until=until, step=step)
    names = {one["charger_id"]: f"{one['charger_id']} kWh" for one in found["series"]}
    rows = [
        {
            "begin": datetime.fromtimestamp(begin, UTC),
            **{names[one["charger_id"]]: one["energy_kwh"][index] for one in found["series"]},
        }
        for index, begin in enumerate(found["times"])
    ]
    return PAGES(
        "time_series",
        title="Energy over time",
        data={key: found[key] for key in ("unit", "step_s", "begin", "end")},
        rows=rows,
        columns=("begin", *names.values()),
        scripts=("vendor/uPlot.iife.min.js", "time-series.js"),
        styles=("vendor/uPlot.min.css", "time-series.css"),
        totals={one["charger_id"]: one["total_kwh"] for one in found["series"]},
        known=database.read(queries.charger_ids),
        chosen=chosen,
        since=since,
        until=until,
        step=step,
        steps=("auto", *STEPS_S),
        day=_day,
    )


def _day(value: date | None) -> str:
    """Write a day as a date field wants it."""
    return "" if value is None else f"{value:%Y-%m-%d}"
