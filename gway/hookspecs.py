"""The hooks of the framework itself."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from gway.plugins import hookspec

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry


class HealthCheck(NamedTuple):
    """One answer to "are you well?"; `detail` says what is wrong when `ok` is False."""

    name: str
    ok: bool
    detail: str = ""


@hookspec
def gway_server_started(host: str, port: int, ws_port: int, at: datetime) -> None:
    """A server began to listen."""


@hookspec
def gway_server_stopping(at: datetime) -> None:
    """A server is about to close its connections."""


@hookspec
def gway_project_loaded(name: str) -> None:
    """A project was loaded and takes part in the hooks."""


@hookspec
def gway_register_metrics(registry: CollectorRegistry | Any) -> None:
    """Metrics were asked for the first time; add yours to the registry."""


@hookspec
def gway_health() -> list[HealthCheck]:
    """Tell how your part is; collected for /readyz."""
    return []
