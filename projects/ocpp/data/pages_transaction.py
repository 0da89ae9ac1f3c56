"""The page of one transaction: what it is, how it went, every sample, its record."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gway import gw
from gway.projects.ocpp.data import queries, reports
from gway.projects.ocpp.data.events import FLAGS
from gway.projects.ocpp.data.samples import number
from gway.projects.ocpp.data.store import Store
from gway.web.page import Page, PageMaker
from gway.web.request import CURRENT
from gway.web.tables import Column, Row, table_of

if TYPE_CHECKING:
    from gway.web.reply import Reply

PAGES = PageMaker(__file__)


def _measured(row: Row) -> float | str:
    """Rank a sample by its value: numbers by size, all else after them."""
    value = number(row["value"])
    return row["value"] if value is None else float(value)


SAMPLE_COLUMNS = (
    Column("time", "Charger's clock", kind="time"),
    Column("at", "Server's clock", kind="time"),
    "measurand",
    Column("value", kind="number", rank=_measured),
    "unit",
    "phase",
    "location",
    "context",
    "origin",
)


def _charger_url(charger_id: str) -> str:
    """Lead to the page of a charger, or to its transactions where none has it.

    A charger that was forgotten has no page any more.
    """
    request = CURRENT.get()
    mounts = request.site.mounts.values() if request is not None else ()
    database = gw.service(Store).database
    if any(mount.project == "ocpp.csms" for mount in mounts) and database.read(
        lambda connection: queries.is_kept(connection, charger_id)
    ):
        return PAGES.url("ocpp.csms/charger_detail", charger_id=charger_id)
    return PAGES.url("charger_details", charger_id=charger_id)


def view_record(transaction_id: int) -> Reply:
    """Give the `.dat` record of a completed transaction as a file.

    :param transaction_id: its id; an unknown one, or one that is not completed, is a 404
    """
    from gway.web.reply import Reply

    name, content = gw.service(Store).records.content(transaction_id)
    headers = [("Content-Disposition", f'attachment; filename="{name}"')]
    return Reply(content, content_type="application/json", headers=headers)


def view_transaction(
    transaction_id: int,
    *,
    q: str = "",
    sort: str = "time",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Show one transaction: power and energy over time, what happened, every sample.

    :param transaction_id: its id; an unknown one is a 404
    :param q: words that a sample must have, in any of its columns
    :param sort: column of the samples, with "-" before it for descending
    :param page: of the samples, from 1
    :param per_page: how many samples on a page, 50 when left out, at most 1000; the twins then
        have all of them
    """
    store = gw.service(Store)
    found, samples, events = reports.transaction_story(store.database, transaction_id, gw.now())
    table = table_of(
        samples,
        SAMPLE_COLUMNS,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        caption="Samples",
        view="transaction",
        empty="No sample came in this transaction.",
    )
    return PAGES(
        "transaction",
        title=f"Transaction {transaction_id}",
        data={**found, "events": events},
        table=table,
        scripts=("vendor/uPlot.iife.min.js", "charts.js"),
        styles=("vendor/uPlot.min.css", "charts.css"),
        flag_words=FLAGS,
        charger_url=_charger_url(found["charger_id"]),
    )
