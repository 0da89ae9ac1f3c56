"""The site: which function answers which address, and what goes back."""

from __future__ import annotations

import json
import logging
import secrets
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, urlencode

from gway.errors import GwayError, UnknownName, UsageError, did_you_mean
from gway.marks import Access
from gway.web import assets, health, openapi
from gway.web.auth import Gate, NotSignedIn, allow
from gway.web.fields import form_of
from gway.web.forms import MissingValue, arguments
from gway.web.helpers import dashed, shared_fingerprints
from gway.web.metrics import Metrics
from gway.web.mounts import Handler, Mount, mount_of, not_possible
from gway.web.packing import packed
from gway.web.page import Page
from gway.web.render import Renderer, realised
from gway.web.reply import (
    Problem,
    Redirect,
    Reply,
    json_reply,
    problem_body,
    reason_of,
    redirect,
)
from gway.web.request import CURRENT, SAFE_METHODS, Request
from gway.web.sse import Events
from gway.web.tables import aside

if TYPE_CHECKING:
    from gway.resolver import Gateway
    from gway.web.ws.upgrade import Endpoint

Answer = Callable[[Request], Reply]
Found = TypeVar("Found", Reply, Reply | None)

log = logging.getLogger("gway.web")

_TWINS = {"json": "application/json", "csv": "text/csv; charset=utf-8"}
VIEWER = Access("viewer", "GET")


class Site:
    """The pages, API functions and WebSocket endpoints of one gateway."""

    def __init__(self, gw: Gateway) -> None:
        self.gw = gw
        self.gate: Gate = gw.service(Gate)
        self.mounts: dict[str, Mount] = {}
        self.home: str | None = None
        self.ws_routes: dict[str, Endpoint] = {}
        self._links: list[tuple[str, str]] = []
        self.fallback: Callable[[Request], Reply | None] | None = None
        self.renderer = Renderer(self)
        self._metrics = gw.service(Metrics)
        self._fixed: dict[str, Answer] = {"/": self._front, **_fixed_addresses(gw)}
        self._open: dict[str, Answer] = _open_addresses(gw)

    # --- what is there -------------------------------------------------------

    def mount(self, project: str, home: str | None = None, path: str | None = None) -> Mount:
        """Put a project on the site; a second time replaces the first.

        :param project: dotted name
        :param home: a view of it that `/` leads to
        :param path: where it is; default: its name with slashes
        """
        where = f"/{dashed(project)}" if path is None else f"/{path.strip('/')}".rstrip("/")
        taken = self.mounts.get(_folded(where))
        if taken is not None and taken.project != project:
            raise UsageError(
                f"{where or '/'} is taken by {taken.project}", hint="choose another --path"
            )
        mount = mount_of(self.gw, project, where)
        if home is not None:
            if mount.find("view", home, "GET") is None:
                raise UnknownName(
                    f"{project} has no view '{home}' for its home",
                    hint="it has " + ", ".join(h.name for h in mount.of_kind("view")),
                )
            self.home = f"{where}/{home.replace('_', '-')}"
        self._unmount(project)
        self.mounts[_folded(where)] = mount
        if mount.ws_connect is not None:
            self.ws_routes[f"{where}/"] = mount.ws_connect
        self._route_the_rest()
        return mount

    def _route_the_rest(self) -> None:
        """Give every WebSocket to a project that takes any path, if no other has WebSockets."""
        having = [mount for mount in self.mounts.values() if mount.ws_connect is not None]
        if any(
            mount.ws_anywhere and mount.ws_connect is self.ws_routes.get("/") for mount in having
        ):
            del self.ws_routes["/"]
        if len(having) == 1 and having[0].ws_anywhere and having[0].ws_connect is not None:
            self.ws_routes["/"] = having[0].ws_connect

    def _unmount(self, project: str) -> None:
        for key, mount in list(self.mounts.items()):
            if mount.project == project:
                del self.mounts[key]
                self.ws_routes.pop(f"{mount.path}/", None)

    def path_of(self, project: str) -> str:
        """Return where a project is, or would be."""
        for mount in self.mounts.values():
            if mount.project == project:
                return mount.path
        return f"/{dashed(project)}"

    def add_link(self, path: str, title: str) -> None:
        """Add a link to the navigation.

        :param path: an absolute path of this site
        """
        try:
            self._links.append((Redirect(path).path, title))
        except ValueError as error:
            raise UsageError(str(error), hint="such as /ocpp/data/summary") from None

    def navigation(self, path: str = "") -> list[dict[str, Any]]:
        """Return the links of the navigation: path, title and whether it is this page."""
        links = [link for mount in self.mounts.values() for link in mount.links()]
        return [
            {"path": link, "title": title, "here": _folded(link) == _folded(path)}
            for link, title in [*links, *self._links]
        ]

    # --- requests ------------------------------------------------------------

    def wsgi_app(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request (the WSGI interface)."""
        self.gate.proxies.correct(environ)
        request = Request(environ, self)
        token = CURRENT.set(request)
        began = time.perf_counter()
        try:
            reply = self.reply(request)
            if request.visitor is not None and request.header("X-GWAY-Fragment"):
                reply.headers.append(("X-GWAY-CSRF", self.gate.csrf_token(request)))
            reply.headers += [*request.reply_headers, *self.gate.cookie_headers(request)]
        finally:
            CURRENT.reset(token)
        body, packing = packed(request, reply)
        headers = [*reply.all_headers(), *packing]
        if isinstance(body, bytes) and reply.status != 304:
            headers.append(("Content-Length", str(len(body))))
        took_s = time.perf_counter() - began
        self._metrics.count(request.label, request.method, reply.status, took_s)
        start_response(reply.status_line, headers)
        if isinstance(body, bytes):
            return [b""] if request.method == "HEAD" else [body]
        return body

    def reply(self, request: Request) -> Reply:
        """Return the answer to a request; problems are answers, too."""
        try:
            return self._route(request)
        except GwayError as error:
            return self._told(request, error)
        except Exception:
            error_id = secrets.token_hex(4)
            log.exception("error %s at %s %s", error_id, request.method, request.label)
            return self._problem(
                request,
                500,
                "Something went wrong on our side.",
                "The log says more under this id.",
                error_id,
            )

    def _route(self, request: Request) -> Reply:
        path = request.path
        if path in self._open:
            return self._look(request, self._open[path])
        if path.startswith("/static/"):
            found = self._look(request, self._static)
        else:
            if not self.gate.is_login(request):
                self.gate.enter(request)
            found = self._known(request)
        if found is None and self.fallback is not None:
            allow(request, VIEWER)
            found = self.fallback(request)
        if found is None:
            raise Problem(404, f"there is nothing at {path}", hint=self._near(path))
        return found

    def _near(self, path: str) -> str:
        """Say which pages are nearest to an address where there is nothing, or where all are."""
        if path.startswith("/api/"):
            return "/openapi.json lists all calls"
        near = did_you_mean(path, [link["path"] for link in self.navigation()])
        return near or "the pages of this site are in its menu"

    def _known(self, request: Request) -> Reply | None:
        """Answer with what this site has at an address; None for nothing."""
        fixed = self._fixed.get(request.path)
        if fixed is not None:
            allow(request, VIEWER)
            return self._look(request, fixed)
        kind, rest = _kind_of(request.path)
        found = self._find(rest)
        reply = None if found is None else self._project(request, kind, *found)
        return reply or (self._namespace(request) if kind == "view" else None)

    def _namespace(self, request: Request) -> Reply | None:
        """Answer the address of a folder of projects with the list of those in it."""
        folder = _folded(request.path)
        below = [mount for key, mount in self.mounts.items() if key.startswith(f"{folder}/")]
        if not folder or not below or request.method not in SAFE_METHODS:
            return None
        allow(request, VIEWER)
        request.label = "index"
        return self.renderer.document(request, self.renderer.front(below, folder.strip("/")))

    def _look(self, request: Request, answer: Callable[[Request], Found]) -> Found:
        """Answer an address that can be looked at and nothing else."""
        request.label = "/static" if answer == self._static else request.path
        if request.method not in SAFE_METHODS:
            raise not_possible(request.method, ("GET",))
        return answer(request)

    def _find(self, path: str) -> tuple[Mount, str] | None:
        """Return the project that a path lies in, and the part after it."""
        segments = path.strip("/").split("/") if path.strip("/") else []
        for length in range(len(segments), -1, -1):
            mount = self.mounts.get(_folded("".join(f"/{part}" for part in segments[:length])))
            if mount is not None and len(segments) - length <= 1:
                return mount, "/".join(segments[length:])
        stem, dot, suffix = path.rpartition(".")
        if dot and suffix in _TWINS and _folded(stem) in self.mounts:
            return self.mounts[_folded(stem)], f".{suffix}"
        return None

    def _project(self, request: Request, kind: str, mount: Mount, name: str) -> Reply | None:
        if kind == "api":
            handler = mount.find("api", name, request.method)
            return None if handler is None else json_reply(self._call(request, handler))
        stem, dot, suffix = name.rpartition(".")
        twin = suffix if dot and suffix in _TWINS else None
        names = list(dict.fromkeys((stem if twin else name).split("+")))
        if names == [""]:
            names = ["index"]
        handlers = [self._view(mount, kind, each, request.method) for each in names]
        known = [handler for handler in handlers if handler is not None]
        if names == ["index"] and not known:
            return self._shown(request, mount, self.renderer.index(mount), twin)
        if len(known) < len(names):
            return None
        if len(known) > 1 and request.method not in SAFE_METHODS:
            raise not_possible(request.method, ("GET",))
        try:
            values = [self._call(request, handler) for handler in known]
        except MissingValue as error:
            if len(known) > 1 or request.method not in SAFE_METHODS or not request.wants_page:
                raise
            page = self.renderer.asked(form_of(known[0], request.path), error.message)
            return self._shown(request, mount, page, None)
        if len(values) == 1:
            value = values[0]
            if isinstance(value, Reply):
                return value
            if value is None and request.method not in SAFE_METHODS:
                value = Redirect(f"{mount.path}/{names[0]}")
            if isinstance(value, Redirect):
                return redirect(value.path)
            page = self.renderer.page(value, known[0].name)
        else:
            pages = zip(names, values, known, strict=True)
            page = self.renderer.several(
                {name: self.renderer.page(value, handler.name) for name, value, handler in pages}
            )
        return self._shown(request, mount, page, twin)

    def _view(self, mount: Mount, kind: str, name: str, method: str) -> Handler | None:
        if kind == "render":
            handler = mount.find("render", name, method)
            if handler is not None:
                return handler
        return mount.find("view", name, method)

    def _call(self, request: Request, handler: Handler) -> Any:
        request.label = handler.label
        allow(request, handler.access)
        return realised(handler.function(**arguments(request, handler)))

    def _shown(self, request: Request, mount: Mount, page: Page, twin: str | None) -> Reply:
        if twin is None:
            return self.renderer.document(request, page, mount)
        body = aside(page.to_json if twin == "json" else page.to_csv, len(page.rows or ()))
        reply = Reply(body, page.status, _TWINS[twin])
        if twin == "json" and page.columns:  # JSON has no order that counts, a table has
            reply.headers.append(("X-GWAY-Columns", json.dumps(page.columns)))
        if twin == "csv":
            name = "".join(part if part.isalnum() or part in "-_+" else "-" for part in page.name)
            disposition = f'attachment; filename="{name or "page"}.csv"'
            reply.headers.append(("Content-Disposition", disposition))
        return reply

    def _front(self, request: Request) -> Reply:
        if self.home is not None:
            return redirect(self.home)
        root = self.mounts.get("")
        page = self.renderer.front(list(self.mounts.values()))
        if root is not None:
            reply = self._project(request, "view", root, "")
            if reply is not None:
                return reply
        return self.renderer.document(request, page)

    def _static(self, request: Request) -> Reply | None:
        inside = request.path.removeprefix("/static/")
        for prefix, folder in self._static_folders():
            if _folded(inside).startswith(_folded(prefix) + "/"):
                file = inside[len(prefix) + 1 :]
                reply = assets.serve(request, folder, file, shared_fingerprints())
                if reply is not None:
                    return reply
        return None

    def _static_folders(self) -> list[tuple[str, Path]]:
        """Return path prefixes and folders of static files, the most specific first."""
        found = {"gway": assets.FRAMEWORK_STATIC}
        for mount in self.mounts.values():
            prefix, folder = dashed(mount.project), mount.folder
            found[prefix] = folder / "static"
            while "/" in prefix and folder.parent.name != "projects":
                prefix, folder = prefix.rpartition("/")[0], folder.parent
                found.setdefault(prefix, folder / "static")
        return sorted(found.items(), key=lambda item: -len(item[0]))

    # --- problems and the log ------------------------------------------------

    def _told(self, request: Request, error: GwayError) -> Reply:
        status = 400
        headers: tuple[tuple[str, str], ...] = ()
        if isinstance(error, Problem):
            status, headers = error.status, error.headers
        elif isinstance(error, UnknownName):
            status = 404
        if isinstance(error, NotSignedIn):
            shown = self._to_login(request)
            if shown is not None:
                return shown
        if self.gate.is_login(request) and ("X-GWAY-Stale", "csrf") in headers:
            return redirect(request.path)  # a form from before a restart: here is a fresh one
        reply = self._problem(request, status, error.message, error.hint, None)
        reply.headers.extend(headers)
        if isinstance(error, NotSignedIn) and self.gate.login_path is not None:
            reply.headers.append(("X-GWAY-Login", self.gate.login_path))
        return reply

    def _to_login(self, request: Request) -> Reply | None:
        """Show a person without a session to the sign-in, with the way back."""
        login = self.gate.login_path
        if login is None or not self.gate.has_accounts or not request.wants_page:
            return None
        if request.method not in SAFE_METHODS:
            return redirect(login)
        asked = quote(request.path, safe="/+")
        if request.query_string:
            asked += f"?{request.query_string}"
        return redirect(login if asked == "/" else f"{login}?{urlencode({'next': asked})}")

    def _problem(
        self, request: Request, status: int, message: str, hint: str | None, error_id: str | None
    ) -> Reply:
        if request.wants_json or (status == 401 and request.wants_fragment):
            return json_reply(problem_body(status, message, hint, error_id), status)
        known = request.visitor is not None and not request.wants_fragment
        page = self.renderer.problem(status, reason_of(status), message, hint, error_id, known)
        return self.renderer.document(request, page)


def _kind_of(path: str) -> tuple[str, str]:
    for kind in ("api", "render"):
        if path.startswith(f"/{kind}/"):
            return kind, path[len(kind) + 1 :]
    return "view", path


def _folded(path: str) -> str:
    """Return a path in the spelling that look-ups use: dashes, no slash at the end."""
    return path.replace("_", "-").rstrip("/")


def _fixed_addresses(gw: Gateway) -> dict[str, Answer]:
    return {
        "/events": lambda request: gw.service(Events).reply(request),
        "/metrics": lambda request: gw.service(Metrics).reply(),
        "/openapi.json": lambda request: json_reply(openapi.document(request.site)),
    }


def _open_addresses(gw: Gateway) -> dict[str, Answer]:
    return {
        "/favicon.ico": lambda request: redirect("/static/gway/favicon.svg"),
        "/healthz": lambda request: health.alive(),
        "/readyz": lambda request: health.ready(gw),
    }
