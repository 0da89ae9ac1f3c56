"""The pages of the stored data: summary, transactions of a charger, energy over time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gway import gw
from gway.projects.ocpp.data import api, queries, reports
from gway.projects.ocpp.data.api import Span, Step
from gway.projects.ocpp.data.queries import WORDS, State
from gway.projects.ocpp.data.store import Store
from gway.projects.ocpp.data.timeseries import STEPS_S
from gway.web.page import Page, PageMaker
from gway.web.tables import Column, Note, Row, table_from, table_of

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
SUMMARY_COLUMNS = (
    "charger_id",
    "sessions",
    "open_sessions",
    "energy_kwh",
    "last_stop_at",
    "last_error",
    "last_error_connector_id",
    "last_error_info",
    "last_error_at",
    "last_seen_at",
    "drift_s",
    "state",
)


def _of(view: str, **fixed: str) -> Callable[[Row], str]:
    """Lead to a view of the charger in a row."""
    name = "chargers" if view == "time_series" else "charger_id"
    return lambda row: PAGES.url(view, **{name: row["charger_id"]}, **fixed)


STATES = {"faulted": "Faulted", "open": "In session"}
SUMMARY = (  # the columns that the page has room for
    Column("charger_id", "Charger", link=_of("charger_details")),
    Column("state", "Now", kind="status", show=lambda row: STATES.get(row["state"], "")),
    Column("sessions", kind="number", link=_of("charger_details")),
    Column("open_sessions", "Open", kind="number", link=_of("charger_details", state="open")),
    Column("energy_kwh", "Energy", kind="number", unit="kWh", digits=2,
           link=_of("time_series", span="year")),
    Column("last_stop_at", "Last stop", kind="time"),
    Column("last_error", "Last error"),
    Column("last_error_info", "Of the error"),
    Column("last_error_at", "Error at", kind="time"),
    Column("last_seen_at", "Last seen", kind="time"),
)  # fmt: skip
CLOCKS_APART_S = 5.0  # from here on a list shows the charger's clock beside ours


def _clock_note(at: str, time: str) -> Callable[[Row], Note | None]:
    """Say below a time of ours what the charger's clock said, if that was something else."""

    def note(row: Row) -> Note | None:
        if row[at] is None:
            return None
        if row[time] is None:
            return Note(f"charger: {row[f'{time}_raw'] or 'did not say'}")
        apart_s = abs((row[at] - row[time]).total_seconds())
        return Note("charger:", row[time]) if apart_s > CLOCKS_APART_S else None

    return note


def _flags(row: Row) -> Note | None:
    return Note(", ".join(row["flags"])) if row["flags"] else None


DETAILS = (
    Column("transaction_id", "Id",
           link=lambda row: PAGES.url("transaction", transaction_id=row["transaction_id"])),
    Column("charger_id", "Charger", link=_of("charger_details")),
    Column("connector_id", "Connector"),
    Column("id_tag", "Tag", link=lambda row: PAGES.url("charger_details", id_tag=row["id_tag"])),
    Column("started_at", "Start", kind="time", note=_clock_note("started_at", "start_time")),
    Column("stopped_at", "Stop", kind="time", note=_clock_note("stopped_at", "stop_time")),
    Column("duration_s", "Duration", kind="duration"),
    Column("energy_wh", "Energy", kind="energy"),
    Column("energy_source", "Source"),
    Column("state", kind="status", note=_flags),
    Column("reason"),
)  # fmt: skip
STEP_WORDS = {
    60: "a minute",
    300: "5 minutes",
    900: "15 minutes",
    3_600: "an hour",
    21_600: "6 hours",
    86_400: "a day (UTC)",
    604_800: "a week (from Monday, UTC)",
}
LEAST_SPAN = timedelta(minutes=30)
EARLIEST = datetime(reports.FIRST_YEAR, 2, 1, tzinfo=UTC)
LATEST = datetime(reports.LAST_YEAR, 12, 31, tzinfo=UTC)
LEAST_GAP_S, MOST_GAP_S = 5, 60  # between two drawings of a chart, else 1/180 of an interval
SHOWN = 12  # chargers in one chart when nobody chose; more could not be told apart


def view_index() -> Page:
    """Show what there is: the summary of all chargers."""
    return view_charger_summary()


def view_charger_summary(
    *, q: str = "", sort: str = "charger_id", page: int = 1, per_page: int | None = None
) -> Page:
    """Show each charger's sessions, energy, last stop and last error.

    :param q: words that a charger must have in its columns
    :param sort: column, with "-" before it for descending
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000; the JSON and CSV twins
        then have all chargers
    """
    known = reports.summary(gw.service(Store).database)
    table = table_of(
        known,
        SUMMARY,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        status=lambda row: row["state"],
        view="charger_summary",
        empty="No charger has connected yet.",
    )
    return PAGES(
        "charger_summary",
        title="Charger summary",
        table=table,
        columns=tuple(known[0]) if known else SUMMARY_COLUMNS,
        known=known,
    )


def view_charger_details(
    charger_id: str | None = None,
    *,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    connector_id: int | None = None,
    id_tag: str | None = None,
    state: State | None = None,
    q: str | None = None,
    sort: str = "-started_at",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Show the transactions of a charger.

    :param charger_id: which charger; all when left out
    :param since: only those begun at this time or later; a day is UTC
    :param until: only those begun before this time; a day is included
    :param connector_id: only this connector's
    :param id_tag: only those begun with this tag
    :param state: only open, stopped or inferred ones
    :param q: only those with this in charger, tag, reason, source or flags, or with this id
    :param sort: column, with "-" before it for descending; or newest, oldest, most-energy,
        least-energy
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000; the JSON and CSV twins
        then have all, up to 10,000: `export` has no bound
    """
    wanted: dict[str, Any] = {
        "charger_id": charger_id or None,
        "since": since,
        "until": until,
        "connector_id": connector_id,
        "id_tag": id_tag or None,
        "state": state,
        "q": q or None,
        "sort": WORDS.get(sort, sort),  # type: ignore[call-overload]
    }
    narrowed = any(value for name, value in wanted.items() if name not in ("sort", "charger_id"))
    by = str(wanted["sort"])
    which = api.filter_of(**{key: value for key, value in wanted.items() if key != "sort"})
    found = api.transactions_for_table(which, by, page, per_page)
    rows = found.pop("transactions")
    shown = tuple(one for one in DETAILS if one.name != "charger_id" or not charger_id)
    table = table_from(
        rows,
        shown,
        total=found["total"],
        q=q or "",
        # The twins have more columns than the page, and are sorted by any of them.
        sort=by if by.removeprefix("-") in {one.name for one in shown} else "",
        page=found["page"],
        per_page=per_page,
        caption="Transactions",
        view="charger_details",
        empty="No transaction fits." if narrowed else "No transaction yet.",
    )
    return PAGES(
        "charger_details",
        title=f"Transactions of {charger_id}" if charger_id else "Transactions",
        data={**wanted, **found},
        rows=rows,
        table=table,
        columns=DETAIL_COLUMNS if charger_id else ("charger_id", *DETAIL_COLUMNS),
        known=gw.service(Store).database.read(queries.charger_ids),
        states=("open", "stopped", "inferred"),
        field=reports.field,
        filtered=narrowed or charger_id,
        given_per_page=per_page,
    )


def view_time_series(
    chargers: list[str] | None = None,
    *,
    since: date | datetime | None = None,
    until: date | datetime | None = None,
    span: Span = "week",
    step: Step = "auto",
    q: str = "",
    sort: str = "-begin",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Show the energy of chargers over time, as a chart and as a table.

    :param chargers: which ones; none means the twelve that were heard of last
    :param since: begin; a day is UTC; default a `span` before the end
    :param until: end; a day is included; default now
    :param span: how much, when `since` is left out: 1, 7, 30 or 365 days
    :param step: length of the intervals
    :param q: words that a row of the table must have
    :param sort: column of the table, with "-" before it for descending
    :param page: of the table, from 1
    :param per_page: how many intervals on a page of the table, 50 when left out, at most 1000;
        the twins then have all of them
    """
    database = gw.service(Store).database
    chosen = [one for one in chargers or () if one]
    shown = chosen or database.read(lambda one: queries.charger_ids(one, latest=SHOWN))
    found = api.api_time_series(shown, since=since, until=until, span=span, step=step)
    columns, rows = _intervals(found)
    table = table_of(
        rows,
        columns,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        caption="Energy by interval",
        view="time_series",
    )
    return PAGES(
        "time_series",
        title="Energy over time",
        data={key: found[key] for key in ("unit", "step_s", "begin", "end")},
        table=table,
        scripts=("vendor/uPlot.iife.min.js", "charts.js"),
        styles=("vendor/uPlot.min.css", "charts.css"),
        running=found["end"] >= gw.now(),
        gap_s=min(max(found["step_s"] / 180, LEAST_GAP_S), MOST_GAP_S),
        until_now=min(found["end"], max(found["begin"], gw.now())),
        totals={one["charger_id"]: one["total_kwh"] for one in found["series"]},
        known=database.read(queries.charger_ids),
        chosen=chosen,
        shown=shown,
        since=since,
        until=until,
        span=None if since else span,
        spans=tuple(reports.SPANS),
        step=step,
        steps=("auto", *STEPS_S),
        step_words=STEP_WORDS[found["step_s"]],
        moves=_moves(found["begin"], found["end"], gw.now()),
        field=reports.field,
    )


def _intervals(found: dict[str, Any]) -> tuple[tuple[Column, ...], list[dict[str, Any]]]:
    """Give the columns and the rows of the table: an interval each, a charger each."""
    names = {one["charger_id"]: f"{one['charger_id']} kWh" for one in found["series"]}
    rows = [
        {
            "begin": datetime.fromtimestamp(begin, UTC),
            **{names[one["charger_id"]]: one["energy_kwh"][index] for one in found["series"]},
        }
        for index, begin in enumerate(found["times"])
    ]
    # A heading made of the name would have the id's dashes as spaces.
    chargers = (Column(name, name, kind="number", digits=3) for name in names.values())
    return (Column("begin", kind="time"), *chargers), rows


def _moves(begin: datetime, end: datetime, now: datetime) -> dict[str, tuple[datetime, datetime]]:
    """Give the spans beside the one that is shown, for those who do not drag."""
    length = end - begin
    back, on = min(length, begin - EARLIEST), min(length, LATEST - end)
    moves = {
        "Earlier": (begin - back, begin),
        "Later": (end, end + on),
        "Closer": (begin + length / 4, end - length / 4),
        "Wider": (begin - min(length / 2, back), end + min(length / 2, on)),
    }
    if end >= now:
        del moves["Later"]
    if length <= LEAST_SPAN:
        del moves["Closer"]
    return {name: span for name, span in moves.items() if EARLIEST <= span[0] < span[1]}
