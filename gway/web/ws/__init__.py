"""WebSockets: the types an endpoint needs; the engine is loaded when first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gway.web.ws.upgrade import Accept, Endpoint, Refuse, Upgrade

if TYPE_CHECKING:
    from gway.web.ws.connection import Connection
    from gway.web.ws.engine import Engine, Pace

__all__ = ["Accept", "Connection", "Endpoint", "Engine", "Pace", "Refuse", "Upgrade"]


def __getattr__(name: str) -> Any:
    if name in ("Connection", "Engine", "Pace"):
        from gway.web.ws import engine

        return getattr(engine, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
