"""The simulator's page: start charge points, watch them, stop them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gway import access
from gway.projects.ocpp.evcs.kinds import Repeat, Row
from gway.projects.ocpp.evcs.verbs import simulators, start
from gway.web.page import Page, PageMaker
from gway.web.tables import Column, table_of

if TYPE_CHECKING:
    from gway.projects.ocpp.evcs.view import View

PAGES = PageMaker(__file__)

COLUMNS = (
    Column("charger_id", "Charger"),
    Column("link", kind="status"),
    Column("status", kind="status"),
    Column("transaction_id", "Transaction"),
    Column("energy_wh", "Energy", kind="energy"),
    Column("power_w", "Power", kind="power"),
    Column("soc_percent", "Battery", kind="number", unit="%"),
    Column("sessions", kind="number", hint="that are over"),
    Column("last_message", "Last message"),
)


def view_cp_simulator(
    *, q: str = "", sort: str = "charger_id", page: int = 1, per_page: int | None = None
) -> Page:
    """Start simulated charge points, watch and stop them.

    :param q: only those with these words
    :param sort: column, with "-" before it for descending
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000
    """
    return PAGES(
        "cp_simulator",
        title="Simulator",
        styles=("evcs.css",),
        next_id=_next_id({view.charger_id for view in simulators().views()}),
        **_shown(q=q, sort=sort, page=page, per_page=per_page),
    )


def view_simulator(
    *, q: str = "", sort: str = "charger_id", page: int = 1, per_page: int | None = None
) -> Page:
    """Start simulated charge points, watch and stop them: the same as cp-simulator.

    :param q: only those with these words
    :param sort: column, with "-" before it for descending
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000
    """
    return view_cp_simulator(q=q, sort=sort, page=page, per_page=per_page)


def render_simulators(
    *, q: str = "", sort: str = "charger_id", page: int = 1, per_page: int | None = None
) -> Page:
    """Give the cards of the simulators, and their table, for their page.

    :param q: only those with these words
    :param sort: column, with "-" before it for descending
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000
    """
    return PAGES.fragment("simulators", **_shown(q=q, sort=sort, page=page, per_page=per_page))


@access(role="operator")
def view_post_start(
    *,
    host: str = "127.0.0.1",
    ws_port: int = 0,
    cp_path: str = "ocpp/csms/CPX",
    rfid: str = "FFFFFFFF",
    duration: float = 600.0,
    interval: int = 10,
    kwh_min: float = 30.0,
    kwh_max: float = 60.0,
    pre_charge_delay: float = 2.0,
    repeat: Repeat = 1,
    threads: int = 1,
    username: str = "",
    password: str = "",
) -> Page:
    """Start simulated charge points, and show all.

    :param ws_port: 0 is that of this server
    """
    options: dict[str, Any] = {**locals(), "password": password or None}
    start(**options)
    return render_simulators()


@access(role="operator")
def view_post_stop(charger_id: str) -> Page:
    """Stop a simulated charge point, and show all."""
    simulators().stop(charger_id)
    return render_simulators()


@access(role="operator")
def view_post_start_session(charger_id: str) -> Page:
    """Send a car to a simulated charge point, and show all."""
    simulators().get(charger_id).start_session()
    return render_simulators()


@access(role="operator")
def view_post_stop_session(charger_id: str) -> Page:
    """End the session of a simulated charge point, and show all."""
    simulators().get(charger_id).stop_session()
    return render_simulators()


def _shown(**wanted: Any) -> Row:
    """Give a page of the simulators, as a table and as a card each."""
    from gway.projects.ocpp.evcs.view import flat

    known = {view.charger_id: view for view in simulators().views()}
    table = table_of(
        map(flat, known.values()),
        COLUMNS,
        view="cp_simulator",
        caption="Simulated charge points",
        empty="No charge point is simulated here yet.",
        **wanted,
    )
    return {"table": table, "cards": _cards([known[row["charger_id"]] for row in table.rows])}


def _cards(views: Sequence[View]) -> list[Row]:
    service = simulators()
    return [
        {
            "charger_id": view.charger_id,
            "url": view.url,
            "link": view.link,
            "status": view.status,
            "active": view.active,
            "connector": view.connectors[0],
            "waiting": view.waiting,
            "sessions": view.sessions,
            "last_message": view.last_message,
            "trouble": view.trouble,
            "at": view.at,
            "notes": service.notes(view.charger_id)[:12],
        }
        for view in views
    ]


def _next_id(taken: set[str]) -> str:
    """Propose a name that is free."""
    number = 1
    while (name := f"CPX{number if number > 1 else ''}") in taken:
        number += 1
    return name
