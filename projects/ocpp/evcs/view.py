"""What can be seen of a simulated charge point, as plain values for tables and pages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from gway.projects.ocpp.evcs.chargepoint import ChargePoint
from gway.projects.ocpp.evcs.connector import Connector

Row = dict[str, Any]
Rows = list[Row]


class ConnectorView(msgspec.Struct, frozen=True):
    """One connector: its status, and the session on it if there is one."""

    connector_id: int
    status: str
    transaction_id: int | None = None
    id_tag: str = ""
    started: datetime | None = None
    energy_wh: int = 0
    target_wh: int = 0
    power_w: float = 0.0
    soc_percent: float | None = None
    meter_wh: int = 0


class View(msgspec.Struct, frozen=True):
    """One simulator. `link` is connecting, online, offline or stopped."""

    charger_id: str
    url: str
    link: str
    registration: str
    connectors: tuple[ConnectorView, ...]
    waiting: int
    sessions: int
    last_message: str = ""
    trouble: str = ""
    at: datetime | None = None

    @property
    def active(self) -> bool:
        """Whether a session runs."""
        return any(one.started is not None for one in self.connectors)

    @property
    def status(self) -> str:
        """One word for all of it."""
        return self.connectors[0].status if self.link == "online" else self.link.capitalize()


def look(point: ChargePoint, now: datetime, url: str, link: str, trouble: str) -> View:
    """Take a picture of a charge point."""
    return View(
        charger_id=point.identity.charger_id,
        url=url,
        link=link,
        registration=point.registration.status or "",
        connectors=tuple(_connector(one) for one in point.connectors.values()),
        waiting=len(point.outbox.waiting) + (point.outbox.flight is not None),
        sessions=len(point.finished),
        last_message=point.dialogue.last,
        trouble=trouble,
        at=point.clock(now),
    )


def _connector(connector: Connector) -> ConnectorView:
    session = connector.session
    if session is None:
        return ConnectorView(connector.connector_id, connector.status, meter_wh=connector.register)
    return ConnectorView(
        connector_id=connector.connector_id,
        status=connector.status,
        transaction_id=session.transaction_id,
        id_tag=session.id_tag,
        started=session.started,
        energy_wh=connector.register - session.meter_start_wh,
        target_wh=round(session.car.target_wh),
        power_w=round(session.car.power_w, 1),
        soc_percent=round(session.car.soc_percent, 1),
        meter_wh=connector.register,
    )


def flat(view: View) -> Row:
    """Give one row for a table: the charge point with its first connector."""
    connector = view.connectors[0]
    return {
        "charger_id": view.charger_id,
        "link": view.link,
        "status": connector.status,
        "transaction_id": connector.transaction_id,
        "id_tag": connector.id_tag,
        "energy_wh": connector.energy_wh,
        "power_w": connector.power_w,
        "soc_percent": connector.soc_percent,
        "meter_wh": connector.meter_wh,
        "sessions": view.sessions,
        "waiting": view.waiting,
        "last_message": view.last_message,
        "trouble": view.trouble,
        "url": view.url,
    }
