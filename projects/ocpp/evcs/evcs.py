"""Simulated charge points, OCPP 1.6-J: in the terminal, in recipes and in the browser.

Each is a whole charge point: it boots, charges, obeys every command, goes on with its
sessions when the link is lost, and tells them in order when it is back.
"""

from __future__ import annotations

from datetime import datetime

from gway import gw, hookimpl
from gway.projects.ocpp.evcs.pages import (
    render_simulators,
    view_cp_simulator,
    view_post_start,
    view_post_start_session,
    view_post_stop,
    view_post_stop_session,
    view_simulator,
)
from gway.projects.ocpp.evcs.verbs import (
    PASSWORD,
    api_list,
    api_simulators,
    api_start,
    api_start_session,
    api_stop,
    api_stop_session,
    list,
    simulate,
    simulators,
    start,
    start_session,
    stop,
    stop_session,
)

__all__ = [
    "api_list",
    "api_simulators",
    "api_start",
    "api_start_session",
    "api_stop",
    "api_stop_session",
    "list",
    "render_simulators",
    "simulate",
    "start",
    "start_session",
    "stop",
    "stop_session",
    "view_cp_simulator",
    "view_post_start",
    "view_post_start_session",
    "view_post_stop",
    "view_post_stop_session",
    "view_simulator",
]

NAV = {"cp-simulator": "Simulator"}  # what the site's navigation shows

SETTINGS = (PASSWORD,)


@hookimpl
def gway_server_started(ws_port: int) -> None:
    simulators().ws_port = ws_port


@hookimpl(tryfirst=True)
def gway_server_stopping(at: datetime) -> None:
    """Let the sessions end while there is still somebody to tell."""
    from gway.projects.ocpp.evcs.simulators import Simulators

    if gw.has_service(Simulators):
        simulators().close()
