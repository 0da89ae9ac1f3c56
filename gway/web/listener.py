"""One listening port: pywsgi with the deadlines, limits and manners it lacks.

pywsgi sets no TCP_NODELAY, so that every answer on a kept connection waits for the
peer's delayed acknowledgement; it lets half a request's head wait for ever, takes a head
that was cut off for a whole one, and prints tracebacks about what strangers send.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import gevent
from gevent.pywsgi import WSGIHandler, WSGIServer
from gevent.socket import socket as GeventSocket

from gway.web.door import Door, Ticket
from gway.web.head import RequestHead
from gway.web.headers import PLAIN_HEADERS, plain_bytes

if TYPE_CHECKING:
    from gevent.ssl import SSLContext

    from gway.web.ws.engine import Engine

log = logging.getLogger("gway.web.server")
access_log = logging.getLogger("gway.web.access")

WsgiApp: TypeAlias = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


def plain_answer(status: int, text: str, headers: Iterable[tuple[str, str]] = ()) -> WsgiApp:
    """Make an application that gives one short answer and hangs up."""
    body = f"{text}\n".encode()
    fields = [
        *PLAIN_HEADERS,
        ("Content-Length", str(len(body))),
        ("Connection", "close"),
        *headers,
    ]

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response(status_line(status), fields)
        return [body]

    return answer


def status_line(status: int) -> str:
    """Return a status with its phrase, "404 Not Found"."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"{status} Refused"


class Visit:
    """One accepted socket until it is closed or handed to the WebSocket engine."""

    __slots__ = ("_deadline", "_wheel", "busy", "first", "greenlet", "slot", "sock", "ticket")

    def __init__(self, sock: Any, ticket: Ticket, engine: Engine) -> None:
        self.sock = sock
        self.ticket = ticket
        self.busy = False  # a request is being answered
        self.first = True
        self.greenlet: gevent.Greenlet[..., Any] | None = None
        self.slot = 0
        self._deadline: float | None = None
        self._wheel = engine.wheel

    def now(self) -> float:
        """Give the time by which deadlines are kept."""
        return self._wheel.now()

    def limit(self, seconds: float | None) -> None:
        """Hang up after a time; None lifts the deadline."""
        self._deadline = None if seconds is None else self._wheel.now() + seconds
        if self._deadline is not None:
            self._wheel.add(self, self._deadline)

    def on_due(self, now: float) -> float | None:
        """Hang up if the deadline has passed (called by the timer wheel)."""
        if self._deadline is None or self._deadline > now:
            return self._deadline
        self.hang_up()
        return None

    def hang_up(self) -> None:
        """End the socket; whoever reads from it sees the end of the stream."""
        if self.sock is not None:
            try:
                self.sock._sock.shutdown(socket.SHUT_RDWR)
            except OSError as error:
                log.debug("hanging up: %s", error)

    def hand_over(self) -> Any:
        """Give the socket away; it keeps its place in the count."""
        self._wheel.remove(self)
        self._deadline = None
        sock, self.sock = self.sock, None
        return sock

    def leave(self) -> None:
        """Close the socket and give its place back, unless it was handed over."""
        self._wheel.remove(self)
        if self.sock is not None:
            self.sock.close()
            self.sock = None
            self.ticket.give_back()


class Body:
    """The body of a request, which has to come whole within a time, however steadily it drips.

    :param source: where pywsgi reads it
    """

    __slots__ = ("_source", "_until", "_visit")

    def __init__(self, source: Any, visit: Visit, limit_s: float) -> None:
        self._source = source
        self._visit = visit
        self._until = visit.now() + limit_s

    def read(self, length: int | None = None) -> bytes:
        """Read some bytes, or all; fewer when the time is over."""
        return self._in_time(self._source.read, length)

    def readline(self, length: int | None = None) -> bytes:
        """Read a line."""
        return self._in_time(self._source.readline, length)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def _in_time(self, read: Callable[[int | None], bytes], length: int | None) -> bytes:
        self._visit.limit(max(0.0, self._until - self._visit.now()))
        try:
            return read(length)
        finally:
            self._visit.limit(None)


class HttpHandler(WSGIHandler):
    """Serve the requests of one connection, within its limits."""

    server: Listener
    visit: Visit

    def MessageClass(self, *args: Any) -> Any:
        """Read the headers (the name is pywsgi's)."""
        return RequestHead(args[0], self.server.door.limits.head_bytes)

    def read_requestline(self) -> str:
        """Wait for a request's first byte, then allow its head a few seconds."""
        limits, visit = self.server.door.limits, self.visit
        if not visit.first:
            visit.limit(limits.idle_timeout_s)
            self.rfile.peek(1)
            visit.limit(limits.head_timeout_s)
        visit.first = False
        line: str = super().read_requestline()
        return line

    def handle_one_response(self) -> None:
        """Answer one request."""
        visit = self.visit
        visit.limit(None)
        visit.busy = True
        if visit.ticket.refused:
            self.application = plain_answer(
                visit.ticket.refused, "Too many connections.", [("Retry-After", "30")]
            )
        super().handle_one_response()
        visit.busy = False
        if self.server.stopping:
            self.close_connection = True

    def get_environ(self) -> dict[str, Any]:
        """Describe the request to the application, with a body that cannot take for ever."""
        environ: dict[str, Any] = super().get_environ()
        limit_s = self.server.door.limits.body_timeout_s
        environ["wsgi.input"] = Body(environ["wsgi.input"], self.visit, limit_s)
        return environ

    def run_application(self) -> None:
        """Answer; what is left of a body that nobody wanted is read for a moment only."""
        super().run_application()
        if self.visit.sock is not None:
            kept_s = self.server.door.limits.head_timeout_s
            self.visit.limit(_LINGER_S if self.close_connection else kept_s)

    def handle_one_request(self) -> Any:
        """Read and answer one request; an address too long is refused with our headers."""
        answered: Any = super().handle_one_request()
        if isinstance(answered, tuple) and str(answered[0]) in _UNREAD:
            return answered[0], _UNREAD[str(answered[0])]
        return answered

    def _connection_upgrade_requested(self) -> bool:
        """Give requests that ask for an upgrade an ordinary body, which ends."""
        return False

    def log_request(self) -> None:
        """Write the access log: no query, for it may hold secrets."""
        if self.code != 101 and access_log.isEnabledFor(logging.INFO):
            took_ms = (self.time_finish - self.time_start) * 1000
            path = (self.path or "").partition("?")[0]
            access_log.info(
                "%s %s %s %s %d B %.1f ms",
                self.visit.ticket.address,
                self.command,
                path,
                self.code,
                self.response_length,
                took_ms,
            )

    def _handle_client_error(self, ex: BaseException) -> Any:
        """Answer what is not HTTP with 400, in one line of the log."""
        log.info("bad request from %s: %s", self.visit.ticket.address, type(ex).__name__)
        if isinstance(ex, OSError) and not isinstance(ex, ValueError):
            self.close_connection = True
            return None
        return 400, _BAD_REQUEST

    def handle_error(self, t: Any, v: Any, tb: Any) -> None:
        """Log a failed request; the peer learns only that it failed."""
        if isinstance(v, OSError):
            log.info("%s went away: %s", self.visit.ticket.address, v)
            self.close_connection = True
            return
        if not isinstance(v, gevent.GreenletExit):
            log.error("a request failed", exc_info=(t, v, tb))
        self._send_error_response_if_possible(500)

    def _send_error_response_if_possible(self, error_code: int) -> None:
        """Answer in place of the application, if nothing was sent yet (the name is pywsgi's)."""
        self.close_connection = True
        if self.response_length:
            return
        answer = plain_answer(error_code, _ERRORS[error_code])
        try:
            for part in answer(self.environ or {}, self.start_response):
                self.write(part)
        except OSError as error:
            log.debug("telling an error: %s", error)


# Hanging up with bytes unread would reset the connection, and the answer with it.
_LINGER_S = 1.0

_BAD_REQUEST = plain_bytes("400 Bad Request", "Bad request")
_TOO_LONG = plain_bytes("414 URI Too Long", "The address is too long")
_UNREAD = {"400": _BAD_REQUEST, "414": _TOO_LONG}
_ERRORS = {400: "Bad request", 500: "Something went wrong on our side."}


class Listener(WSGIServer):
    """Accept connections on one port.

    :param address: (host, port); port 0 picks a free one
    :param application: WSGI application for ordinary requests
    :param engine: deadlines, and the connections that are upgraded
    :param context: TLS, or None
    """

    handler_class: type[HttpHandler] = HttpHandler
    backlog = 1024

    def __init__(
        self,
        address: tuple[str, int],
        application: WsgiApp,
        door: Door,
        engine: Engine,
        context: SSLContext | None = None,
    ) -> None:
        self.door = door
        self.engine = engine
        self.context = context
        self.visits: set[Visit] = set()
        self.stopping = False
        environ = {
            "SERVER_NAME": address[0],  # or pywsgi would ask the name server
            "wsgi.url_scheme": "https" if context else "http",
        }
        super().__init__(address, application, log=None, error_log=None, environ=environ)

    @classmethod
    def get_listener(cls, address: Any, backlog: int | None = None, family: Any = None) -> Any:
        """Open the port (gevent's own forgets the socket when that fails)."""
        sock = GeventSocket(family)
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(address)
            sock.listen(backlog or cls.backlog)
        except OSError:
            sock.close()
            raise
        return sock

    def do_handle(self, *args: Any) -> None:
        """Let an accepted connection in, or not (called in the loop)."""
        sock, address = args
        ticket = self.door.enter(address[0])
        if ticket is None:
            sock.close()
            return
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(self.door.limits.stall_timeout_s)
        visit = Visit(sock, ticket, self.engine)
        self.visits.add(visit)
        visit.greenlet = gevent.spawn(self._serve, visit, address)

    def _serve(self, visit: Visit, address: Any) -> None:
        limits = self.door.limits
        try:
            if self.context is not None:
                visit.limit(limits.tls_handshake_timeout_s)
                visit.sock = self.context.wrap_socket(
                    visit.sock, server_side=True, do_handshake_on_connect=False
                )
                visit.sock.do_handshake()
            visit.limit(limits.head_timeout_s)
            handler = self.handler_class(visit.sock, address, self)
            handler.visit = visit
            handler.handle()
        except OSError as error:
            log.debug("connection of %s: %s", visit.ticket.address, error)
        except Exception:
            log.exception("connection of %s failed", visit.ticket.address)
        finally:
            self.visits.discard(visit)
            visit.leave()

    def begin_stop(self) -> None:
        """Accept nothing more, and hang up where no request is being answered."""
        self.stopping = True
        self.close()
        for visit in tuple(self.visits):
            if not visit.busy:
                visit.hang_up()

    def kill_all(self) -> None:
        """Stop the requests that are still being answered."""
        gevent.killall([visit.greenlet for visit in self.visits if visit.greenlet], timeout=1)
