"""The chargers that were turned away, with what helps each: below the cards, and by themselves."""

from __future__ import annotations

from shlex import quote
from typing import TYPE_CHECKING, Any

from gway import gw
from gway.projects.ocpp.csms.addresses import address_for_chargers
from gway.projects.ocpp.csms.admission import Refused
from gway.projects.ocpp.csms.pages import PAGES
from gway.projects.ocpp.csms.topics import ALL
from gway.web.page import Page
from gway.web.tables import Column, Note, Table, table_of
from gway.web.tables import Row as Shown

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]

SHORT = 5  # rows below the cards


def _answered(row: Shown) -> Note:
    return Note(f"{row['status']}, {row['path']}" if row["path"] else str(row["status"]))


COLUMNS = (
    Column("charger_id", "Charger", show=lambda row: row["charger_id"] or "\N{EN DASH}"),
    Column("reason", "Why", note=_answered),
    Column("advice", "What to do"),
    Column("remote_addr", "From"),
    Column("times", kind="number"),
    Column("at", "Last", kind="ago"),
    Column(
        "approvable",
        "Approval",
        show=lambda row: "",
        part="refused_approval",
        needs="ocpp.csms/approve",
    ),
)


def view_refused_chargers(
    *, q: str = "", sort: str = "-at", page: int = 1, per_page: int | None = None
) -> Page:
    """Show the chargers that were turned away, and what helps each.

    :param q: only those with these words
    :param sort: column, with "-" before it for descending
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000; the JSON and CSV
        twins then have all
    """
    table = _table(q, sort, page, per_page)
    return PAGES("refused_page", title="Turned away", styles=("csms.css",), table=table, topic=ALL)


def latest_refused() -> Table:
    """Give the latest that were turned away, for below the cards."""
    rows = _rows()
    shown = rows[:SHORT]
    return Table(
        COLUMNS,
        shown,
        len(rows),
        per_page=SHORT,
        controls=False,
        caption="Chargers that were turned away",
        key=_key,
    )


def _table(q: str, sort: str, page: int, per_page: int | None) -> Table:
    return table_of(
        _rows(),
        COLUMNS,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        view="refused_chargers",
        caption="Chargers that were turned away",
        empty="No charger was turned away.",
        key=_key,
    )


def _key(row: Shown) -> str:
    return f"refused-{row['charger_id'] or row['path']}"


def _rows() -> list[Row]:
    from gway.projects.ocpp.csms.central import CentralSystem

    central: CentralSystem = gw.service(CentralSystem)
    address = address_for_chargers("ocpp.csms")
    return [_refused(row, address) for row in central.door.refused.rows()]


def _refused(row: Refused, address: str) -> Row:
    """Say what helps a charger that was turned away."""
    there = address.replace("CHARGER_ID", row.charger_id)
    advice = {
        "path": f"Set the charger's address to {there}",
        "id": "Give the charger an id of 1 to 48 letters, digits, dashes or dots.",
        "subprotocol": "It has to speak OCPP 1.6-J; if it offers no subprotocol at all,"
        " set up ocpp.csms with --lenient-subprotocol.",
        "unknown": "Approve it if it is yours; it comes in when it tries again.",
        "key": f"Give the charger its key, or set the one it has: gway ocpp.keys set-key"
        f" {quote(row.charger_id)}",  # it may be copied into a shell
        "taken": "Two chargers have this id: give one another. With a key, the newest wins.",
        "tries": "Wait a minute, and give the charger the right key meanwhile.",
    }
    return {
        "charger_id": row.charger_id,
        "path": row.path,
        "remote_addr": row.remote_addr,
        "status": row.status,
        "reason": row.reason,
        "at": row.at,
        "times": row.times,
        "advice": advice.get(row.kind, "The log of the server says more."),
        "approvable": row.kind == "unknown",
    }
