"""Put projects on the web."""

from __future__ import annotations

from typing import Any

from gway import gw
from gway.conversion import convert
from gway.errors import UsageError, did_you_mean
from gway.signature import read

__all__ = ["setup_app"]


def setup_app(
    project: str, *, home: str | None = None, path: str | None = None, **options: Any
) -> None:
    """Put a project's pages, API functions and WebSockets on the site.

    Options beyond these go to the project's own `setup_app`, if it has one.

    :param project: dotted name, such as ocpp.csms
    :param home: a view of it that the site's front leads to, such as charger-status
    :param path: where it is to be; its name with slashes if not given
    :param options: options of the project itself
    """
    from gway.web.routes import Site

    node = gw.load(project)
    gw.load_siblings(project)
    site: Site = gw.service(Site)
    own = node._functions().get("setup_app")
    if own is None and options:
        raise UsageError(f"{project} has no option '--{_dashed(next(iter(options)))}'")
    site.mount(project, home=home, path=path)
    if own is not None:
        own(**_options(project, own, options))


def _options(project: str, function: Any, given: dict[str, Any]) -> dict[str, Any]:
    """Return the options that a project's own set-up declares, converted."""
    signature = read(function)
    if signature.extra is not None:
        return given
    declared = {param.name: param for param in signature.params}
    for name in given:
        if name not in declared:
            raise UsageError(
                f"{project} has no option '--{_dashed(name)}'",
                did_you_mean(name, list(declared)),
            )
    return {
        name: convert(value, declared[name].annotation, declared[name].option)
        for name, value in given.items()
    }


def _dashed(name: str) -> str:
    return name.replace("_", "-")
