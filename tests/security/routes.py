"""All addresses of a site with every bundled project on it, and functions that only tell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gway.loader import mount
from gway.projects.web.auth.accounts import Accounts
from gway.projects.web.auth.passwords import Cost
from gway.resolver import Gateway
from gway.signature import read
from gway.web.auth import Gate
from gway.web.mounts import Handler
from gway.web.routes import Site
from tests.visitors import PASSWORD

REACHED = "the function was reached"
ROLES = ("viewer", "operator", "admin")


@dataclass(frozen=True)
class Route:
    """One address with one method, and who may call it."""

    method: str
    path: str
    handler: Handler

    @property
    def role(self) -> str:
        return self.handler.access.role

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def whole_site(gw: Gateway) -> Site:
    """Put every bundled project that has something to show on a site with accounts."""
    site = gw.service(Site)
    for place in mount().projects():
        module = gw.load(place.name)._module
        names = vars(module) if module is not None else {}
        if any(name.startswith(("view_", "api_", "render_")) for name in names):
            site.mount(place.name)
    accounts = gw.service(Accounts)
    accounts.guard.cost = Cost(2**4, 8, 1)
    accounts.watch(site)
    for role in reversed(ROLES):
        accounts.create(role, PASSWORD, role)
    gw.service(Gate).bind("127.0.0.1", token="t0ken")
    return site


def all_routes(site: Site) -> list[Route]:
    """List the addresses that the router knows, twins and fragments of views included."""
    return [
        route for place in site.mounts.values() for route in _routes(place.path, place.handlers)
    ]


def _routes(base: str, handlers: dict[tuple[str, str], dict[str, Handler]]) -> Iterator[Route]:
    for (kind, name), offered in handlers.items():
        dashed = name.replace("_", "-")
        for method, handler in offered.items():
            prefix = "" if kind == "view" else f"/{kind}"
            yield Route(method, f"{prefix}{base}/{dashed}", handler)
            if kind == "view" and method == "GET":
                yield Route("HEAD", f"{base}/{dashed}", handler)
                yield Route(method, f"{base}/{name}", handler)
                yield Route(method, f"{base}/{dashed}.json", handler)
                yield Route(method, f"{base}/{dashed}.csv", handler)
                if ("render", name) not in handlers:
                    yield Route(method, f"/render{base}/{dashed}", handler)
                yield Route(method, f"{base}/{dashed}+{dashed}", handler)


def let_functions_tell(site: Site) -> list[str]:
    """Put a function that only notes its call in the place of each; give the list of notes."""
    notes: list[str] = []
    for place in site.mounts.values():
        for offered in place.handlers.values():
            for method, handler in offered.items():
                if handler.label in ("web.auth.view_login", "web.auth.view_post_login"):
                    continue
                offered[method] = _telling(handler, notes)
    return notes


def _telling(handler: Handler, notes: list[str]) -> Handler:
    def reached() -> str:
        notes.append(handler.label)
        return REACHED

    reached.__name__ = handler.function.__name__
    return replace(handler, function=reached, signature=read(reached))
