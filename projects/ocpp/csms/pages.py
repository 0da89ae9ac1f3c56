"""The page of all chargers: a card for each, and those that were turned away."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gway import gw
from gway.errors import UsageError
from gway.projects.ocpp.csms.addresses import address_for_chargers
from gway.projects.ocpp.csms.charger import Charger
from gway.projects.ocpp.csms.powers import sparkline
from gway.projects.ocpp.csms.readmodel import (
    Sort,
    Status,
    charger_row,
    charger_rows,
    find_chargers,
    power_of,
    status_of,
)
from gway.web.page import Page, PageMaker
from gway.web.request import CURRENT
from gway.web.tables import ALL_ROWS, Window, window

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

PAGES = PageMaker(__file__)

Row = dict[str, Any]

SHOWN_CHARGERS = 60  # cards are made on the hub, and again whenever a charger says something
MOST_SHOWN = 200
STATUSES = tuple(one.value for one in Status)
ORDERS = {
    "alarms": "Alarms first",
    "id": "By id",
    "-power": "Most power first",
    "-energy": "Most energy first",
    "-last_seen": "Heard of last first",
    "last_seen": "Silent longest first",
}


def _central() -> CentralSystem:
    from gway.projects.ocpp.csms.central import CentralSystem

    return gw.service(CentralSystem)


def view_charger_status(
    *,
    q: str = "",
    search: str = "",
    status: str = "",
    sort: Sort = "alarms",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Show every charger as a card that follows what it does.

    :param q: only chargers with this in their id, or in their vendor's or model's name
    :param search: the same as q
    :param status: only chargers with this status, or with a connector in it
    :param sort: alarms, id, power, energy or last_seen; with a minus the other way round
    :param page: from 1; without it and per_page the JSON and CSV twins have all chargers
    :param per_page: cards of a page, 60 when left out, at most 200
    """
    q, status = q or search, status_of(status)
    only_data = _wants_twin()
    shown = {} if only_data else _cards(q, status, sort, page, per_page)
    return PAGES(
        "charger_status",
        title="Chargers",
        rows=_rows(q, status, sort, page, per_page) if only_data or CURRENT.get() is None else (),
        columns=("charger_id", "status", "connected", "power_w", "energy_wh", "last_seen_at"),
        styles=("csms.css",),
        scripts=("csms.js",),
        q=q,
        wanted=status,
        statuses=STATUSES,
        sort=sort,
        orders=ORDERS,
        **shown,
    )


def view_active_chargers(
    *,
    q: str = "",
    search: str = "",
    status: str = "",
    sort: Sort = "alarms",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Show every charger as a card: the same as charger-status.

    :param q: only chargers with this in their id, or in their vendor's or model's name
    :param search: the same as q
    :param status: only chargers with this status, or with a connector in it
    :param sort: alarms, id, power, energy or last_seen; with a minus the other way round
    :param page: from 1; without it and per_page the JSON and CSV twins have all chargers
    :param per_page: cards of a page, 60 when left out, at most 200
    """
    return view_charger_status(
        q=q or search, status=status, sort=sort, page=page, per_page=per_page
    )


def render_charger_cards(
    *,
    q: str = "",
    search: str = "",
    status: str = "",
    sort: Sort = "alarms",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Give the cards alone, for a page that renews them.

    :param q: only chargers with this in their id, or in their vendor's or model's name
    :param search: the same as q
    :param status: only chargers with this status, or with a connector in it
    :param sort: alarms, id, power, energy or last_seen; with a minus the other way round
    :param page: from 1
    :param per_page: cards of a page, 60 when left out, at most 200
    """
    central = _central()
    wanted = (q or search, status_of(status), sort, page, per_page)
    request = CURRENT.get()
    # Links in it are relative to the request's query, and the address of the site to its host.
    asked = () if request is None else (request.path, request.query_string, request.host)
    role = request.visitor.role if request is not None and request.visitor is not None else ""
    return central.shared.get(
        ("cards", asked, role, wanted),
        central.teller.edition,
        lambda: PAGES.fragment("charger_cards", **_cards(*wanted), token=""),
    )


def _wants_twin() -> bool:
    request = CURRENT.get()
    return request is not None and request.wants_twin


def _window(page: int, per_page: int | None) -> Window:
    """Give which chargers are wanted, as `gway.web.tables` does; of cards fewer fit on a page."""
    if page < 1 or (per_page is not None and not 1 <= per_page <= MOST_SHOWN):
        raise UsageError(
            f"there is no page {page} of {SHOWN_CHARGERS if per_page is None else per_page} cards",
            hint=f"page is 1 or more, per_page 1 to {MOST_SHOWN}",
        )
    wanted = window(page, per_page)
    if wanted.limit == ALL_ROWS:
        return wanted
    size = per_page or SHOWN_CHARGERS
    return Window(size, (page - 1) * size)


def _rows(q: str, status: str, sort: Sort, page: int, per_page: int | None) -> list[Row]:
    """Make the rows of the twins: those of the page that is named, or all."""
    limit, offset = _window(page, per_page)
    found = find_chargers(_central(), search=q, status=status, sort=sort)
    request = CURRENT.get()
    if request is not None:
        request.reply_headers.append(("X-GWAY-Total", str(len(found))))
    return charger_rows(_central(), found[offset : offset + limit])


def _cards(q: str, status: str, sort: Sort, page: int, per_page: int | None) -> Row:
    from gway.projects.ocpp.csms.pages_refused import latest_refused  # which needs PAGES

    central = _central()
    _window(page, per_page)
    size = per_page or SHOWN_CHARGERS
    now = central.now()
    known = find_chargers(central, sort=sort)
    fitting = find_chargers(central, search=q, status=status, sort=sort) if q or status else known
    shown = fitting[(page - 1) * size : page * size]
    return {
        "cards": [_card(central, charger, now) for charger in shown],
        "counts": _counts(known),
        "power_w": sum(filter(None, map(power_of, known))),
        "known": bool(known),
        "page_number": page,
        "pages": max(1, -(-len(fitting) // size)),
        "fits": bool(fitting),
        "refused": latest_refused(),
        "simulator": not known and _has_simulator(),
        "ws_example": address_for_chargers("ocpp.csms"),
    }


def _counts(known: list[Charger]) -> list[Row]:
    """Count all chargers; what can be a filter names its status."""
    counted = (
        ("known", "", len(known)),
        ("connected", "", sum(charger.connected for charger in known)),
        ("offline", "Offline", sum(not charger.connected for charger in known)),
        ("with a session", "", sum(bool(charger.ledger) for charger in known)),
        ("with a fault", "", sum(bool(charger.faults) for charger in known)),
    )
    return [{"what": what, "status": status, "number": number} for what, status, number in counted]


def _card(central: CentralSystem, charger: Charger, now: Any) -> Row:
    row = charger_row(charger, now)
    on_connector = {str(one["connector_id"]): one for one in row["transactions"]}
    connectors = [
        {
            "connector_id": key,
            "status": row["connectors"].get(key, ""),
            "session": session_shown(central, on_connector.get(key)),
        }
        for key in sorted({*row["connectors"], *on_connector}, key=int)
    ]
    name = " ".join(filter(None, (row["vendor"], row["model"])))
    return {**row, "connectors": connectors, "name": name}


def session_shown(central: CentralSystem, transaction: Row | None) -> Row | None:
    """Add to a transaction the line that its power draws."""
    if transaction is None:
        return None
    return {**transaction, "line": sparkline(central.powers.of(transaction["transaction_id"]))}


def _has_simulator() -> bool:
    from gway.web.routes import Site

    site: Site = gw.service(Site)
    return any(mount.project == "ocpp.evcs" for mount in site.mounts.values())
