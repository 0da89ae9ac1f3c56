"""Names that every template may use without asking for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from gway.web import formats, rights, tables
from gway.web.assets import FRAMEWORK_STATIC, Fingerprints
from gway.web.request import CURRENT


@lru_cache(maxsize=1)
def shared_fingerprints() -> Fingerprints:
    """Return the content hashes that all templates of the process share."""
    return Fingerprints()


class Helpers:
    """Helpers bound to one project: its addresses and its static files.

    :param project: dotted name, such as `ocpp.csms`
    :param folder: the project's `static` folder
    """

    def __init__(self, project: str, folder: Path) -> None:
        self.project = project
        self.folder = folder

    def for_templates(self) -> Mapping[str, Any]:
        """Return the helpers by the names that templates use; `show` has all of `formats`."""
        return {
            "csrf": csrf,
            "iso": formats.iso,
            "kept": kept,
            "label": formats.label,
            "may": self.may,
            "plain": formats.plain,
            "plain_table": tables.plain_table,
            "query": query,
            "show": formats,
            "static": self.static,
            "topic_of": topic_of,
            "twin": self.twin,
            "url": self.url,
            "utc": formats.utc,
            "why_not": self.why_not,
        }

    def static(self, file: str) -> str:
        """Return the address of a static file of this project; `/gway/...` for GWAY's own."""
        if file.startswith("/gway/"):
            return shared_fingerprints().url("gway", FRAMEWORK_STATIC, file.removeprefix("/gway/"))
        return shared_fingerprints().url(dashed(self.project), self.folder, file)

    def url(self, view: str = "", **values: Any) -> str:
        """Return the address of a view of this project, or of any (`ocpp.data/summary`).

        :param view: the view's name; empty for the project's index
        :param values: request values; those that are None are left out
        """
        project, name = self._named(view)
        request = CURRENT.get()
        base = f"/{dashed(project)}" if request is None else request.site.path_of(project)
        path = f"{base}/{name.replace('_', '-')}" if name else base
        return path + _encoded(values)

    def may(self, view: str, method: str = "POST") -> bool:
        """Tell whether who looks at this page may call a view: what may not be done is left out.

        :param view: of this project, or of any (`ocpp.csms/reset`)
        """
        return rights.may(*self._named(view), method)

    def why_not(self, view: str, what: str, method: str = "POST") -> str:
        """Say which role a view needs, in place of what is left out; empty for who has it.

        :param what: such as "commands need"
        """
        return rights.why_not(*self._named(view), what, method)

    def _named(self, view: str) -> tuple[str, str]:
        """Give the project and the name of a view."""
        project, _, name = view.rpartition("/")
        return project or self.project, name

    def twin(self, suffix: str, view: str = "", without: Iterable[str] = ()) -> str:
        """Return the address of a page's other form, with the page's request values.

        :param suffix: `csv` or `json`
        :param view: whose; default: the page that is being shown
        :param without: request values that are left out
        :returns: empty where it is not known which page this is
        """
        request = CURRENT.get()
        if view:
            path = self.url(view)
        elif request is None or request.path.startswith("/render/") or request.path == "/":
            return ""
        else:
            path = request.path.rstrip("/")
        changes = query(**dict.fromkeys(without))
        return f"{path}.{suffix}{'' if changes == '?' else changes}"


def topic_of(*parts: str) -> str:
    """Return an event topic of its parts, such as `ocpp:CPX`; pages list topics with spaces."""
    return ":".join(part.replace(" ", "%20") for part in parts)


def dashed(project: str) -> str:
    """Return the path of a project: `ocpp.my_thing` becomes `ocpp/my-thing`."""
    return project.replace(".", "/").replace("_", "-")


def csrf() -> str:
    """Return the token that a form must send as `csrf`; empty outside a request."""
    request = CURRENT.get()
    return "" if request is None else request.site.gate.csrf_token(request)


def query(**changes: Any) -> str:
    """Return a link to the same page with some of its request values changed.

    The link is relative, so it also holds in a fragment that was fetched by itself.

    :param changes: new values; None takes a value out
    """
    request = CURRENT.get()
    values: dict[str, Any] = dict(request.query) if request is not None else {}
    return _encoded({**values, **changes}) or "?"


def kept(*without: str) -> list[tuple[str, str]]:
    """Return the request values of this page for the hidden fields of a form.

    :param without: names that the form has fields of its own for
    """
    request = CURRENT.get()
    values: Mapping[str, Iterable[str]] = {} if request is None else request.query
    return [(name, one) for name, all_ in values.items() if name not in without for one in all_]


def _encoded(values: Mapping[str, Any]) -> str:
    kept = {
        name: [formats.plain(item) for item in value]
        if isinstance(value, (list, tuple))
        else formats.plain(value)
        for name, value in values.items()
        if value is not None
    }
    return "?" + urlencode(kept, doseq=True) if kept else ""
