"""Put projects on the web."""

from __future__ import annotations

from typing import Any

from gway import gw
from gway.conversion import UNKNOWN, convert
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
    from gway.site import Claim
    from gway.web.routes import Site

    claim: Claim = gw.service(Claim)
    claim.take()  # before any file of it is opened: another server may be at work there
    own, converted = _own_setup(project, options)
    gw.load_siblings(project)
    site: Site = gw.service(Site)
    site.mount(project, home=home, path=path)
    if own is not None:
        own(**converted)


def _check(
    project: str, *, home: str | None = None, path: str | None = None, **options: Any
) -> None:
    """Try the names of a set-up without doing it, for `gway run RECIPE --check`."""
    if project is UNKNOWN:
        return
    _own_setup(project, options)
    views = [name.removeprefix("view_") for name in gw.load(project)._functions()]
    if home is not None and home is not UNKNOWN and home.replace("-", "_") not in views:
        raise UsageError(f"{project} has no view '{home}'", did_you_mean(home, views))


def _own(project: str) -> Any:
    """Return the set-up whose options this verb takes, too, for completion."""
    return gw.load(project)._functions().get("setup_app")


setup_app.__gway_check__ = _check  # type: ignore[attr-defined]
setup_app.__gway_own__ = _own  # type: ignore[attr-defined]


def _own_setup(project: str, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the set-up that a project brings (None: none), and its options converted."""
    own = gw.load(project)._functions().get("setup_app")
    if own is None and given:
        raise UsageError(f"{project} has no option '--{_dashed(next(iter(given)))}'")
    return own, {} if own is None else _options(project, own, given)


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
