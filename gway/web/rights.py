"""What the visitor of this request may do, so that a page offers nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gway.errors import UnknownName, did_you_mean
from gway.web.request import CURRENT, Request

if TYPE_CHECKING:
    from gway.web.mounts import Handler


def may(project: str, name: str, method: str = "POST") -> bool:
    """Tell whether the visitor of this request may call a view; outside a request anybody may.

    It decides nothing: the request that follows is asked about again (`auth.allow`).

    :param project: dotted name
    :param name: the view's, as in its function
    :raises UnknownName: the project has no such view, which is a slip of who wrote the page
    """
    request = CURRENT.get()
    if request is None:
        return True
    handler = _view(request, project, name, method)
    return handler is not None and request.site.gate.may(request, handler.access)


def why_not(project: str, name: str, what: str, method: str = "POST") -> str:
    """Say which role a part of a page is for that this visitor is not offered; empty if it is.

    :param what: what the sentence is about, such as "commands need"
    """
    if may(project, name, method):
        return ""
    request = CURRENT.get()
    handler = None if request is None else _view(request, project, name, method)
    if request is None or request.visitor is None or handler is None:
        return ""
    return f"You are here as {request.visitor.role}: {what} the role {handler.access.role}."


def _view(request: Request, project: str, name: str, method: str) -> Handler | None:
    """Find a view of this site; None where its project is not on it."""
    for mount in request.site.mounts.values():
        if mount.project == project:
            offered = mount.handlers.get(("view", name), {})
            if method not in offered:
                views = sorted({known for kind, known in mount.handlers if kind == "view"})
                raise UnknownName(
                    f"{project} has no view '{name}' for {method}", hint=did_you_mean(name, views)
                )
            return offered[method]
    return None
