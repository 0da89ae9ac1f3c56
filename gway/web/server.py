"""Serve HTTP on one port and WebSockets on another, or both on one."""

from __future__ import annotations

import logging
import resource
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from gevent.event import Event

from gway.errors import GwayError
from gway.web.door import Door, Limits
from gway.web.listener import Listener, WsgiApp, plain_answer
from gway.web.proxies import Proxies
from gway.web.tls import server_context
from gway.web.ws.engine import Engine, Pace
from gway.web.ws.handshake import WebSocketListener
from gway.web.ws.upgrade import Endpoint

__all__ = ["Limits", "Pace", "Server", "WsgiApp"]

log = logging.getLogger("gway.web.server")

_SPARE_FILES = 256  # descriptors left for databases, logs and plugins


class Server:
    """An HTTP server and a WebSocket server that share limits and deadlines.

    :param wsgi_app: application for HTTP; None answers 404
    :param ws_routes: WebSocket endpoints by mount ("/ocpp/csms/"); looked up anew for every
        handshake, so more can be added while the server runs
    :param port: port for HTTP; 0 picks a free one, None opens none
    :param ws_port: port for WebSockets; 0 picks a free one, None serves them on `port`
    :param tls: (certificate chain, key) files; TLS on both ports if given
    :param goes_by: whether a Host is ours; others' pages reach our WebSockets under theirs
    :param proxies: whose word counts about the address that opens a WebSocket
    """

    def __init__(
        self,
        wsgi_app: WsgiApp | None,
        ws_routes: Mapping[str, Endpoint],
        *,
        host: str = "127.0.0.1",
        port: int | None = 8888,
        ws_port: int | None = 9000,
        tls: Sequence[tuple[str, str]] = (),
        limits: Limits | None = None,
        pace: Pace | None = None,
        goes_by: Callable[[str], bool] = lambda host: True,
        proxies: Proxies | None = None,
    ) -> None:
        self.host = host
        self._tls = tuple(tls)
        self._stopped = Event()
        limits = limits or Limits()
        self.door = Door(
            replace(limits, connections=_raise_file_limit(limits.connections)), self._stopped.set
        )
        self.engine = Engine(pace)
        context = server_context(self._tls) if self._tls else None
        app = wsgi_app or plain_answer(404, "Nothing is served here.")
        only_ws = plain_answer(426, "Only WebSockets are served.", [("Upgrade", "websocket")])
        self._http: Listener | None = None
        self._ws: WebSocketListener | None = None
        ws_address = ws_port if ws_port is not None else port
        if port is not None and ws_port is not None:
            self._http = Listener((host, port), app, self.door, self.engine, context)
        if ws_address is not None:
            fallback = app if self._http is None and wsgi_app is not None else only_ws
            self._ws = WebSocketListener(
                (host, ws_address),
                fallback,
                self.door,
                self.engine,
                context,
                routes=ws_routes,
                goes_by=goes_by,
                proxies=proxies or Proxies(),
            )

    @property
    def _listeners(self) -> list[Listener]:
        return [listener for listener in (self._http, self._ws) if listener is not None]

    @property
    def port(self) -> int:
        """The port of HTTP, the real one once started."""
        return _port(self._http or self._ws)

    @property
    def ws_port(self) -> int:
        """The port of WebSockets, the real one once started."""
        return _port(self._ws)

    @property
    def tls(self) -> bool:
        """Whether both ports are encrypted."""
        return bool(self._tls)

    def start(self) -> None:
        """Listen; returns at once."""
        for listener in self._listeners:
            where = f"{self.host}:{_port(listener)}"
            try:
                listener.start()
            except (OSError, OverflowError) as error:
                self.stop(timeout_s=0)
                why = error.strerror if isinstance(error, OSError) else "a port is 0 to 65535"
                what = f"cannot listen on {where}: {why}"
                raise GwayError(what, hint="choose another port; 0 picks a free one") from error

    def reload_tls(self) -> None:
        """Read the certificates again; open connections keep theirs."""
        if self._tls:
            context = server_context(self._tls)
            for listener in self._listeners:
                listener.context = context

    def stop_accepting(self) -> None:
        """Close the ports and the idle HTTP connections; what is in flight goes on."""
        for listener in self._listeners:
            listener.begin_stop()

    def stop(self, timeout_s: float = 5.0, code: int = 1001) -> None:
        """Stop: nothing new, WebSockets closed with a farewell, answers finished.

        :param timeout_s: after it, what is still open is dropped
        :param code: close code, 1001 (going away) or 1012 (restarting)
        """
        self.stop_accepting()
        self._stopped.clear()
        self.engine.close_all(code, "server stops")
        if self.door.count:
            self._stopped.wait(timeout_s)
        for listener in self._listeners:
            listener.kill_all()
        self.engine.abort_all()
        self.engine.wheel.close()


def _port(listener: Listener | None) -> int:
    if listener is None:
        raise ValueError("this server has no such port")
    return int(listener.address[1])


def _raise_file_limit(wanted: int) -> int:
    """Allow as many open files as connections need; return the connections that fit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    need = wanted + _SPARE_FILES
    if soft != resource.RLIM_INFINITY and soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY or soft >= need:
        return wanted
    log.warning("only %d open files are allowed: at most %d connections", soft, soft - _SPARE_FILES)
    return max(soft - _SPARE_FILES, 16)
