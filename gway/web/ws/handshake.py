"""Open WebSockets: gevent-websocket's handshake, made strict, then our own engine.

Whatever is wrong is answered by an HTTP status before the upgrade. After the 101 the
socket leaves gevent-websocket and pywsgi: its descriptor goes to a `Connection`.
"""

from __future__ import annotations

import base64
import binascii
import logging
import ssl
from collections.abc import Callable, Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from geventwebsocket.handler import WebSocketHandler  # type: ignore[import-untyped]

from gway.web.listener import HttpHandler, Listener, plain_answer
from gway.web.proxies import Proxies, came_through_a_proxy
from gway.web.ws.streams import take_over
from gway.web.ws.upgrade import Accept, Endpoint, Refuse, Upgrade

log = logging.getLogger("gway.web.ws")


class WebSocketListener(Listener):
    """Accept WebSockets, and ordinary requests if an application is given.

    :param routes: endpoints by the beginning of the path ("/ocpp/csms/"), looked up anew
        for every handshake
    :param goes_by: whether a Host is ours
    :param proxies: whose word about an address counts
    """

    logger = log  # gevent-websocket would make one that prints

    def __init__(
        self,
        *args: Any,
        routes: Mapping[str, Endpoint],
        goes_by: Callable[[str], bool],
        proxies: Proxies,
        **kwargs: Any,
    ) -> None:
        self.routes = routes
        self.goes_by = goes_by
        self.proxies = proxies
        super().__init__(*args, **kwargs)

    @staticmethod
    def pre_start_hook(handler: UpgradeHandler) -> bool:
        """Let gevent-websocket ask whether to leave a request alone."""
        return not handler.admit()


class _Agreed:
    """Tell gevent-websocket which subprotocol was agreed on."""

    def __init__(self, subprotocol: str | None) -> None:
        self._subprotocol = subprotocol

    def app_protocol(self, path: str) -> str | None:
        return self._subprotocol

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        return plain_answer(400, "Bad handshake.")(environ, start)


class _Nobody:
    """Hears what gevent-websocket's object says when it is collected, for that is not cheap."""

    logger = log

    @property
    def server(self) -> _Nobody:
        return self

    application = current_app = server

    def on_close(self, *args: object) -> None:
        """Take no notice."""


_NOBODY = _Nobody()


class UpgradeHandler(HttpHandler, WebSocketHandler):  # type: ignore[misc]
    """Upgrade a request to a WebSocket, or refuse it."""

    server: WebSocketListener
    accept: Accept
    remote_addr: str
    websocket: Any

    def admit(self) -> bool:
        """Decide about a request; True if it is to be upgraded now."""
        if self.visit.ticket.refused:
            return False
        environ = dict(self.environ or {})
        if "websocket" not in _tokens(environ.get("HTTP_UPGRADE", "").lower()):
            return False
        self.server.proxies.correct(environ)
        self.remote_addr = str(environ.get("REMOTE_ADDR", ""))
        answer = self._judge(environ)
        if isinstance(answer, Refuse):
            log.info("refused %s: %d %s", self.remote_addr, answer.status, answer.reason)
            self.application = plain_answer(answer.status, answer.reason, answer.headers)
            return False
        self.accept = answer
        self.application = _Agreed(answer.subprotocol)
        return True

    def _judge(self, environ: Mapping[str, Any]) -> Accept | Refuse:
        fault = handshake_fault(environ, self.request_version)
        if fault is not None:
            return fault
        headers = {
            name[5:].replace("_", "-").lower(): value
            for name, value in environ.items()
            if name.startswith("HTTP_")
        }
        if not own_origin(headers.get("origin"), headers.get("host", "")):
            return Refuse(403, "Foreign origin.")
        if is_browser(headers) and not self.server.goes_by(headers["host"]):
            return Refuse(403, "This server does not go by that name; GWAY_WEB_HOSTS adds it.")
        path, _, query = (self.path or "").partition("?")
        found = find_route(self.server.routes, path)
        if found is None:
            return Refuse(404, "Nothing is served at this path.")
        endpoint, rest = found
        offered = tuple(_tokens(headers.get("sec-websocket-protocol", "")))
        upgrade = Upgrade(
            path=path,
            rest=rest,
            query=query,
            headers=headers,
            remote_addr=self.remote_addr,
            tls=environ.get("wsgi.url_scheme") == "https",
            offered=offered,
            passed_on=came_through_a_proxy(environ),
        )
        try:
            answer = endpoint(upgrade)
        except Exception:
            log.exception("the endpoint of %s failed", path)
            return Refuse(500, "Internal error.")
        if isinstance(answer, Accept) and answer.subprotocol not in (None, *offered):
            log.error("the endpoint of %s chose a subprotocol that was not offered", path)
            return Refuse(500, "Internal error.")
        return answer

    def run_websocket(self) -> None:
        """Take the socket over, right after the 101 (called by gevent-websocket)."""
        self.websocket.closed = True  # or it would close the socket when it is collected
        self.websocket.handler = _NOBODY
        self.websocket = None
        if self.environ is not None:
            self.environ["wsgi.websocket"] = None
        visit = self.visit
        sock = visit.hand_over()
        self.socket: Any = None
        sock.settimeout(0)
        try:
            received = self.rfile.peek()
        except ssl.SSLError:  # nothing has come
            received = b""
        self.server.engine.adopt(
            take_over(sock),
            self.accept.on_open,
            remote_addr=self.remote_addr,
            received=received,
            on_gone=visit.ticket.give_back,
        )


WebSocketListener.handler_class = UpgradeHandler


def handshake_fault(environ: Mapping[str, Any], version: str | None) -> Refuse | None:
    """Find what is wrong with a handshake (RFC 6455, 4.2.1), before anyone is asked."""
    if environ.get("REQUEST_METHOD") != "GET" or version != "HTTP/1.1":
        return Refuse(400, "A WebSocket begins with GET and HTTP/1.1.")
    if "upgrade" not in _tokens(environ.get("HTTP_CONNECTION", "").lower()):
        return Refuse(400, "The header Connection lacks 'Upgrade'.")
    if environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ:
        return Refuse(400, "A handshake has no body.")
    if not environ.get("HTTP_HOST"):
        return Refuse(400, "The header Host is missing.")
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION") != "13":
        return Refuse(426, "Only version 13 is spoken.", (("Sec-WebSocket-Version", "13"),))
    try:
        key = base64.b64decode(environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip(), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != 16:
        return Refuse(400, "The header Sec-WebSocket-Key is not 16 bytes in base64.")
    return None


def own_origin(origin: str | None, host: str) -> bool:
    """Tell whether a page of this host, or no page at all, asks."""
    if origin is None:
        return True
    try:
        asked = urlsplit(origin).hostname
        return asked is not None and asked == urlsplit(f"//{host}").hostname
    except ValueError:
        return False


def is_browser(headers: Mapping[str, str]) -> bool:
    """Tell whether a page in a browser asks.

    Its author's DNS may have pointed the page's own name at us, and then the origin is that
    of the host. Chargers may call us by names that we do not know; no page can write the
    browser's name, which no charger has.
    """
    return "origin" in headers and headers.get("user-agent", "").startswith("Mozilla/")


def find_route(routes: Mapping[str, Endpoint], path: str) -> tuple[Endpoint, str] | None:
    """Find the endpoint with the longest mount that a path begins with, and the rest of it."""
    for mount in sorted(routes, key=len, reverse=True):
        base = mount if mount.endswith("/") else f"{mount}/"
        if path.startswith(base):
            return routes[mount], path[len(base) :]
        if path == base[:-1]:
            return routes[mount], ""
    return None


def _tokens(value: str) -> list[str]:
    return [token for part in value.split(",") if (token := part.strip())]
