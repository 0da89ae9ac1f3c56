"""A message logger for developers of chargers and of central systems.

Chargers connect to it as to a central system. It answers them, or passes their messages on
to a real one, and writes every frame down with the rules of OCPP 1.6-J that it breaks.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gway import gw, hookimpl
from gway.projects.ocpp.sink.pages import (
    api_messages,
    api_stats,
    render_messages,
    view_download,
    view_messages,
    view_stats,
)
from gway.projects.ocpp.sink.verbs import stats, tail, validate

if TYPE_CHECKING:
    from gway.projects.ocpp.sink.service import Sink
    from gway.web.ws import Accept, Refuse, Upgrade

__all__ = [
    "api_messages",
    "api_stats",
    "listen",
    "render_messages",
    "setup_app",
    "stats",
    "tail",
    "validate",
    "view_download",
    "view_messages",
    "view_stats",
    "ws_connect",
]
__serves__ = ("listen",)

NAV = {"messages": "Messages"}  # what the site's navigation shows
WS_ANYWHERE = True  # alone, it takes a charger at any address


def _sink() -> Sink:
    from gway.projects.ocpp.sink.service import Sink

    return gw.service(Sink)


def setup_app(
    *,
    forward: str | None = None,
    forward_credentials: bool = False,
    ca: Path | None = None,
    to: Path | None = None,
    max_mb: float = 64.0,
    max_hours: float = 24.0,
    keep: int = 10,
    heartbeat_s: int = 300,
    late_after_s: float = 30.0,
    redact_tags: bool = False,
) -> None:
    """Prepare the message logger.

    :param forward: pass everything on to this central system, such as ws://host:9000/ocpp
    :param forward_credentials: pass the chargers' Basic credentials on as well
    :param ca: certificates to trust in a wss address, PEM; the system's if not given
    :param to: the log, below work/ocpp/sink/ unless it is absolute; sink.jsonl if not given
    :param max_mb: size at which a new file is begun
    :param max_hours: age at which a new file is begun
    :param keep: how many older files stay
    :param heartbeat_s: heartbeat interval that chargers are told
    :param late_after_s: age of a call from which its answer is late
    :param redact_tags: keep the chargers' users out of the log: no idTag is written
    """
    from gway.projects.ocpp.sink.service import Options

    _sink().configure(
        Options(
            forward=forward or "",
            forward_credentials=forward_credentials,
            ca=ca,
            to=to,
            max_mb=max_mb,
            max_hours=max_hours,
            keep=keep,
            interval_s=heartbeat_s,
            late_after_s=late_after_s,
            redact_tags=redact_tags,
        )
    )


def listen(
    *,
    host: str = "127.0.0.1",
    ws_port: int = 9000,
    port: int = 8888,
    forward: str | None = None,
    forward_credentials: bool = False,
    ca: Path | None = None,
    to: Path | None = None,
    max_mb: float = 64.0,
    max_hours: float = 24.0,
    keep: int = 10,
    redact_tags: bool = False,
    insecure: bool = False,
) -> None:
    """Log the messages of any charger until Ctrl-C, and show them as they come.

    :param host: address to listen on; one that the network reaches needs --insecure
    :param ws_port: port for chargers, 0 for any free one
    :param port: port of the page, 0 for any free one
    :param forward: pass everything on to this central system, such as ws://host:9000/ocpp
    :param forward_credentials: pass the chargers' Basic credentials on as well
    :param ca: certificates to trust in a wss address, PEM; the system's if not given
    :param to: the log, below work/ocpp/sink/ unless it is absolute; sink.jsonl if not given
    :param max_mb: size at which a new file is begun
    :param max_hours: age at which a new file is begun
    :param keep: how many older files stay
    :param redact_tags: keep the chargers' users out of the log: no idTag is written
    :param insecure: let everybody who reaches the address see everything
    """
    from gway.projects.ocpp.sink.shapes import Screen

    _sink().screen = Screen()
    gw.web.app.setup_app(
        "ocpp.sink",
        home="messages",
        forward=forward,
        forward_credentials=forward_credentials,
        ca=ca,
        to=to,
        max_mb=max_mb,
        max_hours=max_hours,
        keep=keep,
        redact_tags=redact_tags,
    )
    gw.web.server.start_app(host=host, port=port, ws_port=ws_port, insecure=insecure)
    gw.jobs.released = True
    gw.jobs.wait()


def ws_connect(upgrade: Upgrade) -> Accept | Refuse:
    """Let a charger in, whatever it is called, or refuse it before the upgrade."""
    return _sink().connect(upgrade)


@hookimpl
def gway_server_stopping(at: datetime) -> None:
    from gway.projects.ocpp.sink.service import Sink

    if gw.has_service(Sink):
        _sink().stop()
