"""The simulator's page: start charge points, watch them, stop them."""

from __future__ import annotations

from typing import Any

from gway import access
from gway.projects.ocpp.evcs.kinds import Repeat, Row
from gway.projects.ocpp.evcs.verbs import api_simulators, simulators, start
from gway.web.page import Page, PageMaker

PAGES = PageMaker(__file__)

COLUMNS = (
    "charger_id",
    "link",
    "status",
    "transaction_id",
    "energy_wh",
    "power_w",
    "soc_percent",
    "sessions",
    "last_message",
)


def view_cp_simulator() -> Page:
    """Start simulated charge points, watch and stop them."""
    cards = _cards()
    return PAGES(
        "cp_simulator",
        title="Simulator",
        rows=api_simulators(),
        columns=COLUMNS,
        styles=("evcs.css",),
        cards=cards,
        next_id=_next_id({card["charger_id"] for card in cards}),
    )


def view_simulator() -> Page:
    """Start simulated charge points, watch and stop them: the same as cp-simulator."""
    return view_cp_simulator()


def render_simulators() -> Page:
    """Give the cards of all simulators, for their page."""
    return PAGES.fragment("simulators", cards=_cards())


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


def _cards() -> list[Row]:
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
        for view in service.views()
    ]


def _next_id(taken: set[str]) -> str:
    """Propose a name that is free."""
    number = 1
    while (name := f"CPX{number if number > 1 else ''}") in taken:
        number += 1
    return name
