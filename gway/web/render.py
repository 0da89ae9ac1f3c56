"""From what a function returned to what a browser or a program gets."""

from __future__ import annotations

import inspect
from collections.abc import Coroutine, Iterator, Mapping
from contextvars import copy_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gway.native import in_thread
from gway.web import formats
from gway.web.assets import FRAMEWORK_STATIC
from gway.web.helpers import Helpers
from gway.web.mounts import Mount
from gway.web.page import Page
from gway.web.reply import Reply
from gway.web.templates import FRAMEWORK_VIEWS, Shelf

if TYPE_CHECKING:
    from gway.web.fields import Form
    from gway.web.request import Request
    from gway.web.routes import Site


class Renderer:
    """Puts pages into the layout and makes pages of plain values."""

    def __init__(self, site: Site) -> None:
        self._site = site
        helpers = Helpers("gway", FRAMEWORK_STATIC).for_templates()
        self._shelf = Shelf(Path(FRAMEWORK_VIEWS), helpers)

    def page(self, value: Any, name: str) -> Page:
        """Return a page for whatever a view returned.

        A `Page` is one already; a list of mappings becomes a table, a mapping a list of
        names and values, and text is shown as text, never as markup.
        """
        if isinstance(value, Page):
            return value
        title = formats.label(name)
        if isinstance(value, Mapping):
            return self._made("values", name, title, data=value)
        if isinstance(value, (list, tuple)) and all(isinstance(row, Mapping) for row in value):
            return self._made("table-page", name, title, rows=value)
        text = "" if value is None else formats.plain(value)
        return self._made("text", name, title, data={"value": value}, text=text)

    def document(self, request: Request, page: Page, mount: Mount | None = None) -> Reply:
        """Return a page with the layout around it, or alone when a fragment is wanted."""
        if request.wants_fragment:
            return Reply(page, page.status)
        if request.visitor is None:  # a stranger learns nothing about what is here
            return Reply(self.bare(page), page.status)
        visitor = request.visitor
        values = {
            "account": visitor.name if visitor.via == "account" else "",
            "sign_out": f"{self._site.path_of('web.auth')}/logout",
            "base": mount.path if mount is not None else "",
            "content": page,
            "csrf_token": self._site.gate.csrf_token(request),
            "nav": self._site.navigation(request.path),
            "page": page,
            "title": page.title,
        }
        return Reply(self._shelf.render("layout", values), page.status)

    def bare(self, page: Page) -> str:
        """Return a page alone in a document, without the names of anything else."""
        return self._shelf.render("bare", {"content": page, "page": page, "title": page.title})

    def several(self, pages: Mapping[str, Page]) -> Page:
        """Return one page that shows several, each in a section of its own."""
        return Page(
            self._shelf.render("several", {"pages": pages}),
            title=" + ".join(page.title for page in pages.values()),
            name="+".join(pages),
            data={name: page.content() for name, page in pages.items()},
            scripts=list(dict.fromkeys(url for page in pages.values() for url in page.scripts)),
            styles=list(dict.fromkeys(url for page in pages.values() for url in page.styles)),
            status=max(page.status for page in pages.values()),
        )

    def index(self, mount: Mount) -> Page:
        """Return the list of a project's views."""
        links = [{"path": path, "title": title} for path, title in mount.links()]
        title = formats.label(mount.project.rpartition(".")[2])
        return self._made("index", "index", title, rows=links, doc=mount.doc, forms=mount.forms())

    def asked(self, form: Form, message: str) -> Page:
        """Return the form of a view that was not given what it needs."""
        values = {"title": form.title, "form": form, "message": message}
        html = self._shelf.render("asked", values)
        return Page(html, title=form.title, name="problem", status=400)

    def front(self, mounts: list[Mount], title: str = "Projects") -> Page:
        """Return a list of mounted projects, for a site without a home or a part of it."""
        rows = [
            {"path": mount.path or "/", "project": mount.project, "about": mount.doc}
            for mount in mounts
        ]
        return self._made("front", "index", title, rows=rows)

    def problem(
        self,
        status: int,
        reason: str,
        message: str,
        hint: str | None,
        error_id: str | None,
        leads_home: bool = False,
    ) -> Page:
        """Return the page that tells a problem.

        :param leads_home: whether it has a link to the first page, which strangers do not get
        """
        values = {"status": status, "reason": reason, "message": message, "hint": hint}
        html = self._shelf.render("problem", {**values, "id": error_id, "leads_home": leads_home})
        return Page(html, title=f"{status} {reason}", name="problem", status=status)

    def remote(self, status: int, title: str, **values: Any) -> Page:
        """Return the page that tells why another gateway's page is not shown."""
        html = self._shelf.render("remote", {"status": status, "title": title, **values})
        return Page(html, title=title, name="problem", status=status)

    def _made(
        self,
        template: str,
        name: str,
        title: str,
        *,
        data: Mapping[str, Any] | None = None,
        rows: Any = None,
        **extra: Any,
    ) -> Page:
        page = Page(title=title, name=name, data=data, rows=rows)
        values = {"title": title, "data": page.data, "rows": page.rows, "columns": page.columns}
        html = self._shelf.render(template, {**values, **extra})
        return Page(html, title=title, name=name, data=data, rows=rows)


def realised(value: Any) -> Any:
    """Return a function's result; a generator as a list, a coroutine run to its end."""
    if inspect.iscoroutine(value):
        return _run(value)
    if inspect.isgenerator(value) or isinstance(value, Iterator):
        return list(value)
    return value


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine to its end in a native thread.

    asyncio knows one running loop per thread, and all greenlets share one: a second request
    could not run its coroutine while the first waits.
    """
    import asyncio

    from gevent import get_hub

    context = copy_context()
    return in_thread(get_hub(), lambda: context.run(asyncio.run, work))
