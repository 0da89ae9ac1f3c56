"""Events of the chargers' security: kept before they are answered, listed for who audits."""

from __future__ import annotations

import sqlite3
from datetime import date, datetime
from typing import Any

from gway import gw
from gway.projects.ocpp.data import reports
from gway.projects.ocpp.data.codec import clean, micros, when
from gway.projects.ocpp.data.store import Store
from gway.projects.ocpp.facts import SecurityEvent
from gway.projects.ocpp.receipts import Receipt
from gway.projects.sql.database import rows
from gway.web.page import Page, PageMaker
from gway.web.tables import ALL_ROWS, Column, table_of

PAGES = PageMaker(__file__)

# A charger says an event again until it is answered: that is still the same event.
INSERT = (
    "INSERT OR IGNORE INTO security_events (charger_id, type, tech_info, time, time_raw, at)"
    " VALUES (?, ?, ?, ?, ?, ?)"
)
VIEW = "security_events"
COLUMNS = (
    Column("charger_id", "Charger", link=lambda row: PAGES.url(VIEW, charger_id=row["charger_id"])),
    Column("type", "Event"),
    Column("tech_info", "Details"),
    Column("time", "Charger's clock", kind="time"),
    Column("at", "Server's clock", kind="time"),
)


def keep(store: Store, event: SecurityEvent, receipt: Receipt) -> None:
    """Store an event in the commit that its answer waits for."""
    with receipt.required():
        receipt.unit(store.database).execute(
            INSERT,
            (
                event.charger_id,
                clean(event.type),
                clean(event.tech_info) or "",
                micros(event.time),
                event.time_raw,
                micros(event.at),
            ),
        )


def api_security_events(
    charger_id: str | None = None, *, since: date | datetime | None = None, limit: int = 50
) -> dict[str, Any]:
    """List the events of their security that chargers reported, the latest first.

    :param charger_id: only this charger's
    :param since: only those reported at this time or later; a day is UTC
    :param limit: at most so many, 10,000 at the most
    """
    wanted = min(max(limit, 1), ALL_ROWS)
    begin = micros(reports.moment(since))

    def read(connection: sqlite3.Connection) -> list[dict[str, Any]]:
        found = rows(
            connection,
            "SELECT charger_id, type, tech_info, time, at FROM security_events"
            " WHERE (?1 IS NULL OR charger_id = ?1) AND (?2 IS NULL OR at >= ?2)"
            " ORDER BY at DESC, security_event_id DESC LIMIT ?3",
            (charger_id or None, begin, wanted),
        )
        for row in found:
            row["time"], row["at"] = when(row["time"]), when(row["at"])
        return found

    return {"events": gw.service(Store).database.read(read)}


def view_security_events(
    charger_id: str | None = None,
    *,
    since: date | datetime | None = None,
    q: str = "",
    sort: str = "",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Show the events of their security that chargers reported, the latest first.

    :param charger_id: only this charger's
    :param since: only those reported at this time or later; a day is UTC
    :param q: only those with these words
    :param sort: column, with "-" before it for descending
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000; the JSON and CSV twins
        then have all, up to 10,000
    """
    found = api_security_events(charger_id, since=since, limit=ALL_ROWS)["events"]
    table = table_of(
        found,
        COLUMNS,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        caption="Security events",
        view="security_events",
        empty="No charger has reported an event of its security.",
    )
    title = f"Security events of {charger_id}" if charger_id else "Security events"
    return PAGES("gway/table-page", title=title, table=table, live="security-events", topic="ocpp")
