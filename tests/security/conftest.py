"""A real server to attack, and chargers and browsers that mean no good."""

from __future__ import annotations

import http.client
import json
import queue
import subprocess
import sys
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import pytest
import websocket

DEADLINE_S = 20.0
RECIPE = """
web app setup-app:
    - ocpp.csms --home charger-status
    - ocpp.data
    - ocpp.rfid
{more}
web server start-app --port 0 --ws-port 0
until --forever
"""


class Eventually(Protocol):
    def __call__(self, condition: Callable[[], object], timeout_s: float = 5.0) -> object: ...


@dataclass
class Answer:
    """What an HTTP request got back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str:
        return next(value for key, value in self.headers.items() if key.lower() == name.lower())


class Closed(Exception):
    """The server closed the connection."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Charger:
    """A charger on a real socket, which says what it likes.

    A thread of it reads, and so it answers pings at any time.
    """

    def __init__(self, socket: websocket.WebSocket) -> None:
        self._socket = socket
        self._heard: queue.SimpleQueue[list[Any] | int] = queue.SimpleQueue()
        self._count = 0
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        """Pass on what comes; the last is the code that the connection was closed with."""
        try:
            while True:
                opcode, data = self._socket.recv_data()
                if opcode == websocket.ABNF.OPCODE_CLOSE:
                    self._heard.put(int.from_bytes(data[:2], "big"))
                    return
                self._heard.put(json.loads(data))
        except (OSError, websocket.WebSocketException):
            self._heard.put(1006)

    def send(self, text: str | bytes) -> None:
        self._socket.send(text, opcode=websocket.ABNF.OPCODE_TEXT)

    def receive(self) -> list[Any]:
        """Wait for a message; raises Closed when there will be none."""
        heard = self._heard.get(timeout=DEADLINE_S)
        if isinstance(heard, int):
            raise Closed(heard)
        return heard

    def answer_to(self, message_id: str) -> list[Any]:
        """Wait for the answer to a message, past whatever else comes."""
        while True:
            frame = self.receive()
            if frame[1] == message_id:
                return frame

    def call(self, action: str, payload: Any = None) -> Any:
        """Send a CALL and give the payload of its answer, or the code of a CALLERROR."""
        self._count += 1
        message_id = f"call-{self._count}"
        self.send(json.dumps([2, message_id, action, payload or {}]))
        return self.answer_to(message_id)[2]

    def start(self, connector_id: int = 1, tag: str = "ADA", meter_wh: int = 1_000) -> int:
        words = {"connectorId": connector_id, "idTag": tag, "meterStart": meter_wh}
        return int(self.call("StartTransaction", words | {"timestamp": now()})["transactionId"])

    def stop(self, transaction_id: int, meter_wh: int = 4_500) -> Any:
        words = {"transactionId": transaction_id, "meterStop": meter_wh, "timestamp": now()}
        return self.call("StopTransaction", words)


@dataclass
class Server:
    """A central system as a process, with its dashboard."""

    folder: Path
    process: subprocess.Popen[bytes]
    lines: ExitStack
    record: dict[str, Any] = field(default_factory=dict)

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr.txt").read_text(errors="replace")

    @property
    def logs(self) -> str:
        files = [self.folder / "stderr.txt", *self.folder.rglob("*.log")]
        return "".join(file.read_text(errors="replace") for file in files)

    def alive(self) -> bool:
        return self.process.poll() is None

    def charger(self, charger_id: str, password: str | None = None) -> Charger:
        """Connect a charger until the end of the test."""
        header = []
        if password is not None:
            secret = b64encode(f"{charger_id}:{password}".encode()).decode()
            header = [f"Authorization: Basic {secret}"]
        socket = websocket.create_connection(
            f"{self.record['ws_url']}/ocpp/csms/{quote(charger_id)}",
            subprotocols=["ocpp1.6"],
            header=header,
            timeout=DEADLINE_S,
        )
        self.lines.callback(socket.shutdown)
        return Charger(socket)

    def refusal(self, charger_id: str, password: str | None = None) -> Answer:
        """Give the HTTP answer to a charger that has to be refused before the upgrade."""
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            self.charger(charger_id, password)
        got = refused.value
        return Answer(got.status_code, got.resp_headers or {}, got.resp_body or b"")

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request as a program that has the token."""
        address = urlsplit(self.record["url"])
        connection = http.client.HTTPConnection(address.netloc, timeout=DEADLINE_S)
        sent = {"Authorization": f"Bearer {self.record['token']}", **(headers or {})}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        try:
            connection.request(method, path, body, sent)
            reply = connection.getresponse()
            return Answer(reply.status, dict(reply.headers), reply.read())
        finally:
            connection.close()

    def api(self, name: str, **query: str) -> Any:
        """Call an API function with GET."""
        return self.ask("GET", f"/api/ocpp/{name}?{urlencode(query)}").json


def now() -> str:
    return datetime.now(UTC).isoformat()


Serve = Callable[..., Server]


@pytest.fixture
def serve(workspace: Path, eventually: Eventually) -> Iterator[Serve]:
    """Start a server in the workspace; `more` are further projects to set up."""
    with ExitStack() as stack:

        def start(*more: str) -> Server:
            projects = "\n".join(f"    - {name}" for name in more)
            (workspace / "attacked.gwr").write_text(RECIPE.format(more=projects))
            command = [sys.executable, "-m", "gway", "run", "attacked.gwr"]
            errors = stack.enter_context((workspace / "stderr.txt").open("wb"))
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors
            )
            stack.callback(_end, process)
            server = Server(workspace, process, stack.enter_context(ExitStack()))

            def listens() -> bool:
                assert server.alive(), server.stderr
                with suppress(FileNotFoundError, ValueError):
                    server.record = json.loads((workspace / "work/server.json").read_text())
                return server.record.get("pid") == process.pid

            eventually(listens, DEADLINE_S)
            return server

        yield start


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise


@pytest.fixture
def server(serve: Serve) -> Server:
    return serve()
