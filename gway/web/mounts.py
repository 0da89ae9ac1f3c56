"""What a mounted project offers: its views, API functions and fragments by name and method."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gway.marks import Access, access_of, web_name
from gway.resolver import public_functions
from gway.signature import Signature, read_named
from gway.web import formats
from gway.web.fields import Form, form_of
from gway.web.reply import Problem

if TYPE_CHECKING:
    from gway.resolver import Gateway


@dataclass(frozen=True, slots=True)
class Handler:
    """A function of a project that answers requests.

    :param kind: `view`, `api` or `render`
    :param name: its name in addresses, with underscores
    """

    project: str
    kind: str
    name: str
    function: Callable[..., Any]
    access: Access
    signature: Signature

    @property
    def method(self) -> str:
        """The HTTP method it answers; GET stands for HEAD as well."""
        return self.access.method or "GET"

    @property
    def label(self) -> str:
        """The function's full name, for metrics and logs."""
        return f"{self.project}.{self.function.__name__}"

    @property
    def needs_values(self) -> bool:
        """Whether the function cannot be called without request values."""
        return any(param.required for param in self.signature.params)


@dataclass(slots=True)
class Mount:
    """A project on the site.

    :param project: dotted name
    :param path: where it is, such as `/ocpp/csms`; empty for the root
    :param folder: the folder of its module
    :param nav: view names and titles for the navigation; None: all views that need no values
    :param ws_anywhere: whether its WebSockets take every path while no other project has any
    """

    project: str
    path: str
    folder: Path
    doc: str = ""
    nav: Mapping[str, str] | None = None
    ws_connect: Callable[..., Any] | None = None
    ws_anywhere: bool = False
    handlers: dict[tuple[str, str], dict[str, Handler]] = field(default_factory=dict)

    def add(self, function_name: str, functions: Mapping[str, Callable[..., Any]]) -> None:
        """Offer a function if its name begins with `view_`, `api_` or `render_`.

        :param functions: all of the project
        """
        named = web_name(function_name)
        if named is not None:
            function = functions[function_name]
            access = access_of(function)
            signature = read_named(function_name, functions)
            handler = Handler(self.project, *named, function, access, signature)
            self.handlers.setdefault(named, {})[handler.method] = handler

    def find(self, kind: str, name: str, method: str) -> Handler | None:
        """Return the function for a name and a method.

        :raises Problem: 405 when the name exists for other methods only
        """
        offered = self.handlers.get((kind, name.replace("-", "_")))
        if offered is None:
            return None
        handler = offered.get("GET" if method == "HEAD" else method)
        if handler is None:
            raise not_possible(method, offered)
        return handler

    def of_kind(self, kind: str) -> Iterator[Handler]:
        """Yield the functions of a kind, by name."""
        for (its_kind, _), offered in sorted(self.handlers.items()):
            if its_kind == kind:
                yield from offered.values()

    def links(self) -> list[tuple[str, str]]:
        """Return address and title of the views that can be opened as they are."""
        if self.nav is not None:
            return [
                (f"{self.path}/{name}" if name else self.path or "/", title)
                for name, title in self.nav.items()
            ]
        found: dict[Callable[..., Any], tuple[str, str]] = {}
        for handler in self._views():
            if not handler.needs_values:
                title = formats.label(handler.name)
                found.setdefault(handler.function, (self.address(handler), title))
        return list(found.values())

    def forms(self) -> list[Form]:
        """Return the views that have to be given values, unless the project names its pages."""
        if self.nav is not None:
            return []
        asking = (handler for handler in self._views() if handler.needs_values)
        return [form_of(handler, self.address(handler)) for handler in asking]

    def address(self, handler: Handler) -> str:
        """Return where a view of this project is."""
        return f"{self.path}/{handler.name.replace('_', '-')}"

    def _views(self) -> Iterator[Handler]:
        for handler in self.of_kind("view"):
            if handler.method == "GET" and handler.name != "index":
                yield handler


def mount_of(gw: Gateway, project: str, path: str) -> Mount:
    """Load a project and list what it offers.

    :param project: dotted name
    :param path: where it is to be
    """
    node = gw.load(project)
    module = node._module
    if module is None:
        raise Problem(404, f"{project} holds projects and is none", hint="name one of them")
    mount = Mount(
        project,
        path,
        Path(node._place.file).parent,
        doc=(inspect.getdoc(module) or "").split("\n\n")[0].replace("\n", " "),
        nav=getattr(module, "NAV", None),
        ws_connect=getattr(module, "ws_connect", None),
        ws_anywhere=bool(getattr(module, "WS_ANYWHERE", False)),
    )
    functions = public_functions(module)
    for name in functions:
        mount.add(name, functions)
    return mount


def not_possible(method: str, possible: Mapping[str, object] | tuple[str, ...]) -> Problem:
    """Return the problem for a method that an address does not answer."""
    allowed = sorted({*possible, *(["HEAD"] if "GET" in possible else [])})
    return Problem(
        405,
        f"{method} is not possible here",
        hint="possible: " + ", ".join(allowed),
        headers=[("Allow", ", ".join(allowed))],
    )
