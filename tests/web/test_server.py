"""The server: two ports or one, kept connections, TLS, and an end in good order."""

from __future__ import annotations

import base64
import logging
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import pytest
from gevent import socket
from gevent.ssl import SSLContext

from gway.errors import GwayError
from gway.web.door import Limits
from gway.web.server import Server
from gway.web.ws import Accept, Connection, Upgrade, frames


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer with the size of the body; /fail fails."""
    if environ["PATH_INFO"] == "/fail":
        raise RuntimeError("secret detail")
    body = f"{environ['PATH_INFO']} {len(environ['wsgi.input'].read())}".encode()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


def echo(upgrade: Upgrade) -> Accept:
    def on_open(connection: Connection) -> None:
        connection.on_text = connection.send

    return Accept(None, on_open)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(wsgi_app: Any = app, endpoint: Any = echo, **options: Any) -> Server:
        options = {"port": 0, "ws_port": 0, **options}
        server = Server(wsgi_app, {"/": endpoint}, **options)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop(timeout_s=0)


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    opened: list[Any] = []

    def start(port: int, context: Any = None) -> Any:
        sock = socket.create_connection(("127.0.0.1", port), 10)
        opened.append(sock)
        if context is not None:
            opened[-1] = context.wrap_socket(sock)
        return opened[-1]

    yield start
    for sock in opened:
        sock.close()


def answer(sock: Any, request: bytes = b"") -> tuple[int, bytes]:
    """Send a request and read one answer as (status, body)."""
    sock.sendall(request)
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = sock.recv(65536)
        if not chunk:
            return 0, data
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")]
    while lengths and len(body) < int(lengths[0].split(b":")[1]):
        body += sock.recv(65536)
    return int(head.split()[1]), body


def get(path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: h\r\n\r\n".encode()


KEY = base64.b64encode(b"sixteen bytes ok").decode()
HANDSHAKE = (
    "GET /x HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"
    f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"
).encode()


def open_ws(sock: Any) -> Any:
    status, early = answer(sock, HANDSHAKE)
    assert (status, early) == (101, b"")
    return sock


def read_frames(sock: Any, count: int = 1) -> list[tuple[int, bytes]]:
    """Read frames of a server."""
    parser, events = frames.Parser(masked=False), []
    while len(events) < count:
        while (event := parser.next()) is not None:
            events.append(event)
        if len(events) < count:
            data = sock.recv(65536)
            if not data:
                break
            parser.feed(data)
    return events


def text(payload: bytes) -> bytes:
    return frames.encode(frames.TEXT, payload, masked=True)


def wait_until(condition: Callable[[], Any]) -> None:
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.002)


# --- ports --------------------------------------------------------------------


def test_pages_and_websockets_have_their_own_ports(serve: Any, connect: Any) -> None:
    server = serve()
    assert answer(connect(server.port), get("/page")) == (200, b"/page 0")
    assert answer(connect(server.port), HANDSHAKE)[0] == 200, "no upgrade on the port of pages"
    assert answer(connect(server.ws_port), get())[0] == 426
    open_ws(connect(server.ws_port))


def test_one_port_may_serve_both(serve: Any, connect: Any) -> None:
    server = serve(port=0, ws_port=None)
    assert server.port == server.ws_port
    assert answer(connect(server.port), get("/page")) == (200, b"/page 0")
    sock = open_ws(connect(server.port))
    sock.sendall(text(b"hi"))
    assert read_frames(sock) == [(frames.TEXT, b"hi")]


def test_both_ports_share_their_limits(serve: Any, connect: Any) -> None:
    server = serve(limits=Limits(connections=2))
    open_ws(connect(server.ws_port))
    assert answer(connect(server.port), get())[0] == 200
    assert answer(connect(server.port), get())[0] == 503


def test_a_port_that_is_taken_is_an_error(serve: Any) -> None:
    taken = serve().port
    with pytest.raises(GwayError, match=f"127.0.0.1:{taken}: Address already in use"):
        serve(port=taken)


def test_a_route_added_later_is_found(connect: Any) -> None:
    routes: dict[str, Any] = {}
    server = Server(None, routes, port=None, ws_port=0)
    server.start()
    assert answer(connect(server.ws_port), HANDSHAKE)[0] == 404
    routes["/x"] = echo
    open_ws(connect(server.ws_port))
    server.stop(timeout_s=0)


# --- kept connections -----------------------------------------------------------


def test_kept_connections_answer_without_delay(serve: Any, connect: Any) -> None:
    sock = connect(serve().port)
    answer(sock, get())
    begun = time.monotonic()
    for _ in range(20):
        assert answer(sock, get())[0] == 200
    # Without TCP_NODELAY every answer waits 40 ms for a delayed acknowledgement.
    assert time.monotonic() - begun < 0.4


def test_an_idle_connection_is_closed(serve: Any, connect: Any) -> None:
    server = serve(limits=Limits(idle_timeout_s=0.2))
    sock = connect(server.port)
    assert answer(sock, get())[0] == 200
    assert answer(sock, get())[0] == 200
    assert sock.recv(1) == b""
    wait_until(lambda: server.door.count == 0)


def test_the_head_of_a_second_request_has_its_deadline_too(serve: Any, connect: Any) -> None:
    sock = connect(serve(limits=Limits(head_timeout_s=0.2)).port)
    assert answer(sock, get())[0] == 200
    assert answer(sock, b"GET / HT") == (0, b"")


def test_a_body_that_stalls_is_given_up(serve: Any, connect: Any) -> None:
    server = serve(limits=Limits(stall_timeout_s=0.2))
    sock = connect(server.port)
    sock.sendall(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab")
    assert answer(sock)[0] in (0, 500)
    wait_until(lambda: server.door.count == 0)


def dripped(sock: Any, head: bytes, seconds: float = 5.0) -> bool:
    """Send a byte of a body every few moments; tell whether the server hangs up on that."""
    sock.sendall(head)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            sock.sendall(b"x")
        except OSError:
            return True
        with gevent.Timeout(0.05, False):
            while sock.recv(65536):
                pass
            return True
    return False


BODIES = {
    "counted": b"Content-Length: 99999999\r\n\r\n",
    "in chunks": b"Transfer-Encoding: chunked\r\n\r\nffffff\r\n",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_a_body_that_drips_is_given_up(serve: Any, connect: Any, body: bytes) -> None:
    """Each byte comes in time, all of them never would."""
    server = serve(limits=Limits(body_timeout_s=0.3))
    assert dripped(connect(server.port), b"POST / HTTP/1.1\r\nHost: h\r\n" + body)
    wait_until(lambda: server.door.count == 0)


@pytest.mark.parametrize("body", BODIES.values(), ids=list(BODIES))
def test_a_body_that_nobody_reads_is_given_up(serve: Any, connect: Any, body: bytes) -> None:
    def unread(environ: Any, start_response: Any) -> list[bytes]:
        start_response("403 Forbidden", [("Content-Length", "2")])
        return [b"no"]

    server = serve(unread, limits=Limits(head_timeout_s=0.3))
    assert dripped(connect(server.port), b"POST / HTTP/1.1\r\nHost: h\r\n" + body)
    wait_until(lambda: server.door.count == 0)


def test_an_answer_may_take_longer_than_its_question(serve: Any, connect: Any) -> None:
    def slow(environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        gevent.sleep(0.4)  # the application's own time
        start_response("200 OK", [("Content-Length", str(len(body)))])
        return [body]

    sock = connect(serve(slow, limits=Limits(body_timeout_s=0.1, head_timeout_s=0.1)).port)
    asked = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nok"
    assert answer(sock, asked) == (200, b"ok")
    assert answer(sock, asked) == (200, b"ok"), "on the same connection, too"


def test_a_slow_answer_outlives_the_deadline_of_the_head(serve: Any, connect: Any) -> None:
    def slow(environ: Any, start_response: Any) -> list[bytes]:
        gevent.sleep(0.4)  # the application's own time
        start_response("200 OK", [("Content-Length", "2")])
        return [b"ok"]

    server = serve(slow, limits=Limits(head_timeout_s=0.1, idle_timeout_s=0.1))
    assert answer(connect(server.port), get()) == (200, b"ok")


# --- logs -----------------------------------------------------------------------


def test_the_access_log_keeps_queries_to_itself(
    serve: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gway.web.access")
    sock = connect(serve().port)
    answer(sock, get("/page?token=secret"))
    answer(sock, get("/next"))
    assert "127.0.0.1 GET /page 200" in caplog.text
    assert "secret" not in caplog.text


def test_a_failed_request_is_logged_and_told_without_details(
    serve: Any, connect: Any, caplog: pytest.LogCaptureFixture
) -> None:
    status, body = answer(connect(serve().port), get("/fail"))
    assert status == 500
    assert b"secret" not in body
    assert "secret detail" in caplog.text


# --- TLS ------------------------------------------------------------------------


def client_context(**attributes: Any) -> SSLContext:
    context = SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    for name, value in attributes.items():
        setattr(context, name, value)
    return context


def subject(sock: Any) -> str:
    der = sock.getpeercert(binary_form=True)
    return "RSA" if b"RSA" in der else "ECDSA"


def test_tls_carries_pages_and_websockets(serve: Any, connect: Any, certificates: Any) -> None:
    seen: list[Upgrade] = []

    def endpoint(upgrade: Upgrade) -> Accept:
        seen.append(upgrade)
        return echo(upgrade)

    server = serve(endpoint=endpoint, tls=[certificates["RSA"]])
    assert answer(connect(server.port, client_context()), get("/page")) == (200, b"/page 0")
    sock = open_ws(connect(server.ws_port, client_context()))
    large = b"x" * 807 * 1024
    sender = gevent.spawn(sock.sendall, text(b"small") + text(large))
    assert read_frames(sock, 2) == [(frames.TEXT, b"small"), (frames.TEXT, large)]
    sender.get()
    sock.sendall(frames.encode_close(1000, masked=True))
    assert read_frames(sock, 2) == [(frames.CLOSE, b"\x03\xe8")]
    assert seen[0].tls
    wait_until(lambda: len(server.engine.connections) == 0)


def test_tls_loses_no_frame_sent_with_the_handshake(
    serve: Any, connect: Any, certificates: Any
) -> None:
    sock = connect(serve(tls=[certificates["RSA"]]).ws_port, client_context())
    early = [b"%d" % number for number in range(40)]
    sock.sendall(HANDSHAKE + b"".join(map(text, early)))
    data = b""
    while b"\r\n\r\n" not in data:
        data += sock.recv(1)
    assert [payload for _, payload in read_frames(sock, 40)] == early


def test_tls_tells_too_large_messages_why(serve: Any, connect: Any, certificates: Any) -> None:
    sock = open_ws(connect(serve(tls=[certificates["RSA"]]).ws_port, client_context()))
    sock.sendall(b"\x81\xff" + (1 << 32).to_bytes(8, "big") + b"mask" + b"x" * 100_000)
    ((opcode, payload),) = read_frames(sock, 2)
    assert (opcode, payload[:2]) == (frames.CLOSE, (1009).to_bytes(2, "big"))


def test_tls_peers_that_do_not_read_are_dropped(
    serve: Any, connect: Any, certificates: Any
) -> None:
    opened: list[Connection] = []
    server = serve(endpoint=lambda upgrade: Accept(None, opened.append), tls=[certificates["RSA"]])
    open_ws(connect(server.ws_port, client_context()))
    ends: list[int] = []
    opened[0].on_close = lambda code, reason: ends.append(code)
    for _ in range(400):
        opened[0].send(b"x" * 65536)
    wait_until(lambda: ends)
    assert ends == [1008]


@pytest.mark.parametrize("kind", ["RSA", "ECDSA"])
def test_both_kinds_of_certificates_are_served(
    serve: Any, connect: Any, certificates: Any, kind: str
) -> None:
    server = serve(tls=[certificates["RSA"], certificates["ECDSA"]])
    context = client_context(maximum_version=ssl.TLSVersion.TLSv1_2)
    context.set_ciphers("ECDHE-ECDSA-AES128-GCM-SHA256" if kind == "ECDSA" else "AES256-GCM-SHA384")
    sock = connect(server.port, context)
    assert subject(sock) == kind
    assert answer(sock, get())[0] == 200


def test_tls_1_1_is_refused(serve: Any, connect: Any, certificates: Any) -> None:
    server = serve(tls=[certificates["RSA"]])
    assert server._listeners[0].context.minimum_version == ssl.TLSVersion.TLSv1_2
    context = client_context()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        connect(server.port, context)


@pytest.mark.parametrize("begin", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
def test_half_tls_handshakes_do_not_stay(
    serve: Any, connect: Any, certificates: Any, begin: bytes
) -> None:
    server = serve(tls=[certificates["RSA"]], limits=Limits(tls_handshake_timeout_s=0.3))
    crowd = [connect(server.ws_port) for _ in range(40)]
    for sock in crowd:
        sock.sendall(begin)
    wait_until(lambda: server.door.count > 0 or begin.startswith(b"GET"))
    wait_until(lambda: server.door.count == 0)


def test_new_certificates_are_read_without_a_restart(
    serve: Any, connect: Any, certificates: Any, tmp_path: Path
) -> None:
    pair = (tmp_path / "site.crt", tmp_path / "site.key")

    def install(kind: str) -> None:
        for source, target in zip(certificates[kind], pair, strict=True):
            target.write_bytes(Path(source).read_bytes())

    install("RSA")
    server = serve(tls=[(str(pair[0]), str(pair[1]))])
    before = connect(server.port, client_context())
    install("ECDSA")
    server.reload_tls()
    assert subject(connect(server.port, client_context())) == "ECDSA"
    assert answer(before, get())[0] == 200


# --- the end --------------------------------------------------------------------


def test_a_stop_says_goodbye(serve: Any, connect: Any) -> None:
    server = serve()
    sock = open_ws(connect(server.ws_port))
    kept = connect(server.port)
    answer(kept, get())
    stopping = gevent.spawn(server.stop, 5, 1012)
    ((opcode, payload),) = read_frames(sock, 1)
    assert (opcode, int.from_bytes(payload[:2], "big")) == (frames.CLOSE, 1012)
    sock.sendall(frames.encode_close(1012, masked=True))
    assert sock.recv(1) == b""
    sock.close()
    assert kept.recv(1) == b""
    begun = time.monotonic()
    stopping.get(timeout=20)
    assert time.monotonic() - begun < 2
    for port in (server.port, server.ws_port):
        with pytest.raises(ConnectionRefusedError):
            connect(port)


def test_a_stop_waits_for_requests_in_flight(serve: Any, connect: Any) -> None:
    working, finish = gevent.event.Event(), gevent.event.Event()

    def slow(environ: Any, start_response: Any) -> list[bytes]:
        working.set()
        finish.wait(10)
        start_response("200 OK", [("Content-Length", "4")])
        return [b"done"]

    server = serve(slow)
    sock = connect(server.port)
    asking = gevent.spawn(answer, sock, get())
    assert working.wait(5)
    stopping = gevent.spawn(server.stop)
    wait_until(lambda: server._listeners[0].stopping)
    finish.set()
    assert asking.get(timeout=20) == (200, b"done")
    stopping.get(timeout=20)
    assert sock.recv(1) == b""


def test_a_stop_does_not_wait_longer_than_it_was_told(serve: Any, connect: Any) -> None:
    def stuck(environ: Any, start_response: Any) -> list[bytes]:
        gevent.event.Event().wait(60)
        return []

    server = serve(stuck)
    connect(server.port).sendall(get())
    open_ws(connect(server.ws_port))
    wait_until(lambda: server.door.count == 2)
    begun = time.monotonic()
    server.stop(timeout_s=0.3)
    assert 0.2 < time.monotonic() - begun < 3
    assert server.door.count == 0


def test_half_a_head_does_not_hold_up_a_stop(serve: Any, connect: Any) -> None:
    server = serve()
    connect(server.port).sendall(b"GET / HT")
    connect(server.ws_port)
    wait_until(lambda: server.door.count == 2)
    begun = time.monotonic()
    server.stop()
    assert time.monotonic() - begun < 2
