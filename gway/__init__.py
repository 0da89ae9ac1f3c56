"""GWAY: every public function of a project is a verb, an attribute and a page."""

from __future__ import annotations

from gway.loader import mount

TYPE_CHECKING = False  # importing `typing` would cost more than all of this file
if TYPE_CHECKING:
    from gway.marks import access as access
    from gway.marks import live as live
    from gway.plugins import hookimpl as hookimpl
    from gway.resolver import gw as gw
    from gway.settings import Setting as Setting
    from gway.web.page import Page as Page

__all__ = ["Page", "Setting", "access", "gw", "hookimpl", "live"]

_HOMES = {
    "Page": "gway.web.page",
    "Setting": "gway.settings",
    "access": "gway.marks",
    "gw": "gway.resolver",
    "hookimpl": "gway.plugins",
    "live": "gway.marks",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'gway' has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(home), name)
    globals()[name] = value
    return value


mount()
