"""Two sites as processes with a fault proxy between them, and chargers for the first."""

from __future__ import annotations

import http.client
import itertools
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import WebSocketException
from websockets.sync.client import ClientConnection, connect

from tests.fault_proxy import FaultProxy

Json = dict[str, Any]
START_S = 20.0
T0 = "2026-03-01T08:00:00Z"

LOCAL = """
site local
web app setup-app:
    - ocpp.csms --unknown accept
    - ocpp.data
    - ocpp.rfid
    - ocpp.proxy --remote [remote] [[MORE]]
web server start-app --port 0 --ws-port 0
until --forever
"""
REMOTE = """
site remote
web app setup-app:
    - ocpp.csms --unknown accept
    - ocpp.data
    - ocpp.rfid
    - ocpp.keys
web server start-app --port 0 --ws-port 0
until --forever
"""


class Server:
    """A site as a process that may be killed and started again."""

    def __init__(self, workspace: Path, site: str, *words: str, env: dict[str, str] | None) -> None:
        self.site = site
        self.words = [str(workspace / f"{site}.gwr"), *words]
        self.workspace = workspace
        self.work = workspace / "work" / site
        self.log = workspace / f"{site}.log"
        self.kills = 0
        self._env = {key: value for key, value in os.environ.items() if key[:5] != "GWAY_"}
        self._env.update(env or {})
        self.state: Json = {}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Server:
        """Start, and wait until it listens."""
        record = self.work / "server.json"
        record.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gway", "run", *self.words],
                cwd=self.workspace,
                env=self._env,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + START_S
        while not record.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{self.site} does not start:\n{self.log.read_text()}")
            time.sleep(0.01)
        self.state = json.loads(record.read_text())
        return self

    def kill(self) -> None:
        """End it as a power cut would."""
        self.kills += 1
        self.end(signal.SIGKILL)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it; SIGTERM asks, and waits for what it does last."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)
            self.process.wait(20)

    @property
    def ws_port(self) -> int:
        return int(self.state["ws_url"].rpartition(":")[2])

    @property
    def database(self) -> Path:
        return self.work / "ocpp.sqlite"

    def get(self, path: str, method: str = "GET", body: Json | None = None) -> Any:
        """Ask the API; give what its JSON says."""
        status, text = self.ask(path, method, body)
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

    def ask(self, path: str, method: str = "GET", body: Json | None = None) -> tuple[int, str]:
        """Ask for a path with the server's own token; give status and text."""
        port = urlsplit(self.state["url"]).port
        assert port is not None
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Authorization": f"Bearer {self.state['token']}"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        text = json.dumps(body) if body is not None else None
        with closing(connection):
            connection.request(method, path, text, headers)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def rows(self, sql: str, *params: object) -> list[Json]:
        """Read the database from outside."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(sql, params)]


class Charger:
    """A charge point that repeats itself until it is answered, as the standard asks."""

    def __init__(self, charger_id: str, port: Callable[[], int]) -> None:
        self.charger_id = charger_id
        self._port = port
        self._ids = itertools.count(1)
        self._socket: ClientConnection | None = None
        self.commands: list[list[Any]] = []
        self.answers: dict[str, Json] = {}

    def connect(self, timeout_s: float = 20.0) -> None:
        """Open a connection, however often that takes."""
        deadline = time.monotonic() + timeout_s
        while self._socket is None:
            try:
                self._socket = connect(
                    f"ws://127.0.0.1:{self._port()}/ocpp/csms/{self.charger_id}",
                    subprotocols=["ocpp1.6"],  # type: ignore[list-item]
                    compression=None,
                    close_timeout=1,
                    open_timeout=10,
                    ping_interval=None,
                ).__enter__()
            except (WebSocketException, OSError, EOFError):
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def call(self, action: str, payload: Json, timeout_s: float = 30.0) -> Json:
        """Send a CALL until it is answered; give the answer."""
        deadline = time.monotonic() + timeout_s
        while True:
            self.connect()
            message_id = f"{self.charger_id}-{next(self._ids)}"
            try:
                assert self._socket is not None
                self._socket.send(json.dumps([2, message_id, action, payload]))
                return self._answer(message_id)
            except (WebSocketException, OSError, EOFError):
                self.leave()
                if time.monotonic() > deadline:
                    raise

    def serve(self, timeout_s: float = 5.0) -> list[Any]:
        """Wait for a command and answer it as `answers` says; give the frame."""
        assert self._socket is not None
        while not self.commands:
            self._take(json.loads(self._socket.recv(timeout_s)))
        return self.commands.pop(0)

    def _answer(self, message_id: str) -> Json:
        assert self._socket is not None
        while True:
            frame = json.loads(self._socket.recv(20))
            if frame[0] == 2:
                self._take(frame)
            elif frame[1] == message_id:
                assert frame[0] == 3, frame
                found: Json = frame[2]
                return found

    def _take(self, frame: list[Any]) -> None:
        if frame[0] != 2:
            return
        self.commands.append(frame)
        answer = self.answers.get(frame[2], {"status": "Accepted"})
        assert self._socket is not None
        self._socket.send(json.dumps([3, frame[1], answer]))

    def leave(self) -> None:
        """Hang up."""
        if self._socket is not None:
            with suppress(WebSocketException, OSError, EOFError):
                self._socket.close()
            self._socket = None

    # --- a session ---------------------------------------------------------------

    def boot(self) -> Json:
        return self.call("BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"})

    def start(
        self, meter_wh: int = 1_000, at: str = T0, tag: str = "TAG", connector: int = 1
    ) -> int:
        words = {"connectorId": connector, "idTag": tag, "meterStart": meter_wh, "timestamp": at}
        return int(self.call("StartTransaction", words)["transactionId"])

    def values(
        self, transaction_id: int, *meters_wh: int, at: str = T0, connector: int = 1
    ) -> None:
        for meter_wh in meters_wh:
            sample = [{"value": str(meter_wh), "unit": "Wh"}]
            words = {
                "connectorId": connector,
                "transactionId": transaction_id,
                "meterValue": [{"timestamp": at, "sampledValue": sample}],
            }
            self.call("MeterValues", words)

    def stop(self, transaction_id: int, meter_wh: int, at: str = T0) -> None:
        words = {"transactionId": transaction_id, "meterStop": meter_wh, "timestamp": at}
        self.call("StopTransaction", words)


SESSIONS = """
SELECT charger_id, id_tag, connector_id, meter_start_wh, start_time_raw, state, meter_stop_wh,
    stop_time_raw, energy_wh, transaction_id FROM transactions ORDER BY charger_id, start_time_raw
"""
READINGS = "SELECT raw FROM readings WHERE transaction_id = ? ORDER BY sequence"


def story(server: Server) -> list[tuple[Any, ...]]:
    """What a site knows of all transactions, without the ids, which differ."""
    return [
        (*(value for name, value in row.items() if name != "transaction_id"), samples(server, row))
        for row in server.rows(SESSIONS)
    ]


def samples(server: Server, row: Json) -> tuple[str, ...]:
    """The readings of a transaction in their order."""
    found = server.rows(READINGS, row["transaction_id"])
    return tuple(_text(one["raw"]) for one in found)


def _text(raw: object) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)


class Pair:
    """A local site, its remote, and the fault proxy between them."""

    def __init__(self, workspace: Path, more: str, env: dict[str, str] | None) -> None:
        (workspace / "local.gwr").write_text(LOCAL.replace("[[MORE]]", more))
        (workspace / "remote.gwr").write_text(REMOTE)
        self.remote = Server(workspace, "remote", env=None).start()
        self.between = FaultProxy(self.remote.ws_port)
        address = f"ws://127.0.0.1:{self.between.port}/ocpp/csms"
        self.local = Server(workspace, "local", "--remote", address, env=env).start()
        self.chargers: list[Charger] = []

    def restart_remote(self) -> None:
        self.remote.start()
        self.between.to_port = self.remote.ws_port

    def charger(self, charger_id: str = "CP1") -> Charger:
        """A charger of the local site."""
        made = Charger(charger_id, lambda: self.local.ws_port)
        self.chargers.append(made)
        return made

    def status(self) -> Json:
        """What `ocpp.proxy status` says."""
        found: Json = self.local.get("/api/ocpp/proxy/status")
        return found

    def row(self, charger_id: str = "CP1") -> Json:
        """What is told of one charger."""
        rows = {row["charger_id"]: row for row in self.status()["chargers"]}
        return rows.get(charger_id, {})

    def drained(self) -> bool:
        """Whether nothing waits any more."""
        return self.status()["pending"] == 0

    def sync(self) -> None:
        """Do not wait for the next try."""
        self.local.get("/api/ocpp/proxy/sync-now", "POST", {})

    def close(self) -> None:
        for charger in self.chargers:
            charger.leave()
        self.between.close()
        for server in (self.local, self.remote):
            server.end(signal.SIGKILL)


@pytest.fixture
def pair(workspace: Path) -> Iterator[Callable[..., Pair]]:
    """Start two sites."""
    made: list[Pair] = []

    def start(more: str = "", env: dict[str, str] | None = None) -> Pair:
        made.append(Pair(workspace, more, env))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture(scope="module")
def shared_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two sites for all tests of a module, which use a charger of their own each."""
    made = Pair(tmp_path_factory.mktemp("sites"), "", None)
    yield made
    made.close()
