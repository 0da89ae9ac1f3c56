"""Real sockets for the tests of the transport: servers, and peers that may misbehave.

Peers read with the `websockets` package, so that our own parser does not judge itself.
"""

from __future__ import annotations

import base64
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import psutil
import pytest
from gevent import socket
from websockets.frames import Close, Frame, Opcode
from websockets.protocol import CLIENT, Protocol

from gway.web.server import Server
from gway.web.ws import Accept, Connection, Upgrade, frames

PATIENCE_S = 10.0


def wait_until(condition: Callable[[], Any], timeout_s: float = PATIENCE_S) -> Any:
    """Let the loop run until a condition holds, and return its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := condition()):
        assert time.monotonic() < deadline, "the condition did not come true in time"
        gevent.sleep(0.002)
    return value


@pytest.fixture
def until() -> Callable[..., Any]:
    """Wait for a condition while the loop runs."""
    return wait_until


@dataclass
class Answer:
    status: int
    headers: dict[str, str]


class Peer:
    """The other end of a socket, which sends whatever a test wants.

    :param answers: reply to pings and close frames, as a decent client does
    """

    def __init__(self, sock: Any, answers: bool = True) -> None:
        self.sock = sock
        self.answers = answers
        self.head = Answer(0, {})
        self._rest = b""
        self._protocol = Protocol(CLIENT, max_size=None)
        self._frames: list[Frame] = []
        self._reader: gevent.Greenlet[..., None] | None = None

    def ask(self, path: str = "/", extra: bytes = b"", drop: str = "", **headers: str) -> Answer:
        """Send a handshake, with `extra` bytes right behind it, and read the answer's head."""
        fields = {
            "Host": "gateway.example:9000",
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
            "Sec-WebSocket-Version": "13",
        }
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        fields.pop(drop, None)
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        self.sock.sendall("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + extra)
        return self.read_head()

    def read_head(self) -> Answer:
        data = b""
        while b"\r\n\r\n" not in data:
            chunk = self.sock.recv(65536)
            assert chunk, f"hung up after {data!r}"
            data += chunk
        head, _, self._rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines)
        status = int(first.split()[1])
        self.head = Answer(status, {name.lower(): value.strip() for name, _, value in fields})
        return self.head

    def read_body(self) -> bytes:
        data = self._rest
        while len(data) < int(self.head.headers["content-length"]):
            data += self.sock.recv(65536)
        return data

    def send(self, *parts: bytes) -> None:
        self.sock.sendall(b"".join(parts))

    def text(self, text: str | bytes) -> None:
        payload = text.encode() if isinstance(text, str) else text
        self.send(frames.encode(frames.TEXT, payload, masked=True))

    def frame(self, timeout_s: float = PATIENCE_S) -> Frame | None:
        """Return the next frame, or None at the end of the stream."""
        with gevent.Timeout(timeout_s):
            while not self._frames:
                data = self._rest or self.sock.recv(65536)
                self._rest = b""
                if not data:
                    return None
                self._protocol.receive_data(data)
                self._frames += [event for event in self._protocol.events_received() if event]
                replies = b"".join(self._protocol.data_to_send())
                if replies and self.answers:
                    self.sock.sendall(replies)
        return self._frames.pop(0)

    def message(self) -> str:
        frame = self.frame()
        assert frame is not None, "hung up"
        assert frame.opcode is Opcode.TEXT, frame
        return bytes(frame.data).decode()

    def farewell(self, timeout_s: float = PATIENCE_S) -> tuple[int, str]:
        """Read until the close frame and the end of the stream; return code and reason."""
        close = Close(1006, "no close frame")
        while (frame := self.frame(timeout_s)) is not None:
            if frame.opcode is Opcode.CLOSE:
                close = Close.parse(frame.data)
        return close.code, close.reason

    def gone(self, timeout_s: float = PATIENCE_S) -> bool:
        """Tell whether the other end hangs up in time, reading on until then."""
        self.sock.settimeout(None)  # its own time limit would look like the other's end
        with gevent.Timeout(timeout_s, False):
            try:
                while self.sock.recv(65536):
                    pass
            except OSError:
                pass
            return True
        return False

    def attend(self) -> None:
        """Read in the background, so that pings are answered."""
        self._reader = gevent.spawn(self._attend)

    def _attend(self) -> None:
        with suppress(OSError):
            while self.frame(timeout_s=60) is not None:
                pass

    def swallow(self) -> None:
        """Read in the background without looking."""
        self._reader = gevent.spawn(self._swallow)

    def _swallow(self) -> None:
        with suppress(OSError):
            while self.sock.recv(65536):
                gevent.sleep(0)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.kill()
        self.sock.close()


@pytest.fixture
def peers() -> Iterator[Callable[..., Peer]]:
    """Connect to a port of this machine, from any of its addresses."""
    opened: list[Peer] = []

    def connect(port: int, *, source: str = "127.0.0.1", answers: bool = True) -> Peer:
        sock = socket.create_connection(("127.0.0.1", port), 10, (source, 0))
        opened.append(Peer(sock, answers))
        return opened[-1]

    yield connect
    for peer in opened:
        peer.close()


@dataclass
class Desk:
    """An endpoint that takes everybody and notes what happens."""

    answer: Callable[[str | bytes], None] | None = None
    connections: list[Connection] = field(default_factory=list)
    upgrades: list[Upgrade] = field(default_factory=list)
    texts: list[str | bytes] = field(default_factory=list)
    ends: list[tuple[int, str]] = field(default_factory=list)

    def __call__(self, upgrade: Upgrade) -> Accept:
        self.upgrades.append(upgrade)
        return Accept(upgrade.offered[0] if upgrade.offered else None, self.open)

    def open(self, connection: Connection) -> None:
        self.connections.append(connection)
        connection.on_text = self.texts.append
        connection.on_close = lambda code, reason: self.ends.append((code, reason))


@pytest.fixture
def desk() -> Desk:
    return Desk()


def echo(upgrade: Upgrade) -> Accept:
    """Send back whatever comes."""

    def on_open(connection: Connection) -> None:
        connection.on_text = connection.send

    return Accept(upgrade.offered[0] if upgrade.offered else None, on_open)


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers on free ports; `serve(endpoint, pace=..., limits=...)`."""
    started: list[Server] = []

    def start(endpoint: Any = echo, **options: Any) -> Server:
        routes = options.pop("routes", {"/": endpoint})
        options = {"port": None, "ws_port": 0, **options}
        server = Server(options.pop("app", None), routes, **options)
        server.start()
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop(timeout_s=0)


@pytest.fixture
def meet(serve: Any, peers: Any) -> Callable[..., Peer]:
    """Start a server for an endpoint and open one WebSocket to it."""

    def start(endpoint: Any = echo, *, answers: bool = True, **options: Any) -> Peer:
        peer: Peer = peers(serve(endpoint, **options).ws_port, answers=answers)
        assert peer.ask().status == 101
        return peer

    return start


@dataclass
class Outside:
    """A server in a process of its own, whose memory can be weighed."""

    port: int
    process: psutil.Process

    @property
    def rss_kib(self) -> int:
        return int(self.process.memory_info().rss) // 1024


@pytest.fixture
def start_outside() -> Iterator[Callable[..., Outside]]:
    """Start servers in processes of their own, with the options of echo_server.py."""
    script = Path(__file__).with_name("echo_server.py")
    children: list[subprocess.Popen[str]] = []

    def start(*options: str) -> Outside:
        command = [sys.executable, str(script), *options]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        children.append(child)
        assert child.stdout is not None
        return Outside(int(child.stdout.readline()), psutil.Process(child.pid))

    yield start
    for child in children:
        child.terminate()
        child.wait(timeout=10)
        assert child.stdout is not None
        child.stdout.close()


@pytest.fixture
def outside(start_outside: Callable[..., Outside]) -> Outside:
    return start_outside()
