"""The address that chargers are set to, as the pages tell it."""

from __future__ import annotations

from urllib.parse import urlsplit

from gway import gw
from gway.web.request import CURRENT


def address_for_chargers(project: str) -> str:
    """Give a project's address for chargers on this site, as the visitor reached it.

    :param project: that takes chargers, such as ocpp.csms
    """
    from gway.web.running import Running

    base = urlsplit(gw.service(Running).ws_url if gw.has_service(Running) else "ws://HOST:9000")
    request = CURRENT.get()
    if request is None:
        return f"{base.geturl().rstrip('/')}/{project.replace('.', '/')}/CHARGER_ID"
    reached = urlsplit(f"//{request.host}").hostname
    if reached:
        host = f"[{reached}]" if ":" in reached else reached
        base = base._replace(netloc=f"{host}:{base.port}")
    path, routes = request.site.path_of(project), request.site.ws_routes
    if "/" in routes and routes["/"] is routes.get(f"{path}/"):
        path = ""  # alone, it takes every path
    return f"{base.geturl().rstrip('/')}{path}/CHARGER_ID"
