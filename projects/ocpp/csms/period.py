"""The transactions of one charger in a period: a part of its page, and a table of its own."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gway import gw
from gway.projects.ocpp.csms.pages import PAGES
from gway.projects.ocpp.csms.topics import topic_of
from gway.web.page import Page
from gway.web.request import CURRENT
from gway.web.tables import Column, Table, table_from

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]
Moment = date | datetime | None

FIRST_LOOK = timedelta(hours=24)
SHOWN_FAULTS = 5
PREFIX = "tx_"


def _to_transaction(row: Mapping[str, Any]) -> str | None:
    if not has_pages("ocpp.data"):
        return None
    return PAGES.url("ocpp.data/transaction", transaction_id=row["transaction_id"])


COLUMNS = (
    Column("transaction_id", "Id", link=_to_transaction),
    Column("connector_id", "Connector"),
    Column("id_tag", "Tag"),
    Column("started_at", "Start", kind="time"),
    Column("stopped_at", "Stop", kind="time"),
    Column("energy_wh", "Energy", kind="energy"),
    Column("state", kind="status"),
    Column("reason"),
)


def view_charger_transactions(
    charger_id: str,
    *,
    since: Moment = None,
    until: Moment = None,
    tx_q: str = "",
    tx_sort: str = "-started_at",
    tx_page: int = 1,
    tx_per_page: int | None = None,
) -> Page:
    """Show the transactions of a charger in a period.

    :param charger_id: as in its address
    :param since: begun at this time or later; 24 hours ago when left out
    :param until: begun before this time; now when left out
    :param tx_q: only those with these words
    :param tx_sort: column, with "-" before it for descending
    :param tx_page: from 1
    :param tx_per_page: how many on a page, 50 when left out, at most 1000; the JSON and CSV
        twins then have all, up to 10,000
    """
    return PAGES(
        "transactions_page",
        title=f"Transactions of {charger_id}",
        styles=("csms.css",),
        topic=topic_of(charger_id),
        **_known_period(charger_id, since, until, tx_q, tx_sort, tx_page, tx_per_page),
    )


def _known_period(charger_id: str, *wanted: Any) -> Row:
    from gway.projects.ocpp.csms.central import CentralSystem

    central: CentralSystem = gw.service(CentralSystem)
    central.known(charger_id)
    return period(charger_id, *wanted)


def period(
    charger_id: str,
    since: Moment,
    until: Moment,
    q: str,
    sort: str,
    page: int,
    per_page: int | None,
) -> Row:
    """Ask ocpp.data, if it keeps anything here, for the transactions of a period."""
    from gway.projects.ocpp.data import api, reports
    from gway.projects.ocpp.data.store import Store

    begin = gw.now() - FIRST_LOOK if since is None else reports.moment(since)
    stored = gw.has_service(Store)
    table = Table(COLUMNS, (), 0, prefix=PREFIX)
    faults: list[Row] = []
    if stored:
        faults = api.api_errors(charger_id, limit=SHOWN_FAULTS)["errors"]
        wanted = api.filter_of(charger_id, since=begin, until=until, q=q)
        found = api.transactions_for_table(wanted, sort, page, per_page, prefix=PREFIX)
        table = table_from(
            found["transactions"],
            COLUMNS,
            total=found["total"],
            q=q,
            sort=sort,
            page=found["page"],
            per_page=per_page,
            prefix=PREFIX,
            view="charger_transactions",
            caption="Table of transactions",
            empty="No transaction in this period.",
            key=lambda row: f"transaction-{row['transaction_id']}",
        )
    return {
        "charger_id": charger_id,
        "begin": begin,
        "end": reports.moment(until, end=True),
        "first_look": since is None and until is None,
        "stored": stored,
        "linked": has_pages("ocpp.data"),
        "reported": faults,
        "total": table.total,
        "table": table,
    }


def has_pages(project: str) -> bool:
    """Tell whether the pages of a project are on this site."""
    request = CURRENT.get()
    mounts = request.site.mounts.values() if request is not None else ()
    return any(mount.project == project for mount in mounts)
