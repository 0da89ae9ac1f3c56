"""Remotes that refuse, redirect, talk nonsense or fall silent: what is local goes on."""

from __future__ import annotations

import base64
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.projects.ocpp.proxy.conftest import LOCAL, Charger, Server
from tests.projects.ocpp.proxy.floods import FLOODS, Flooding

pytestmark = pytest.mark.flag("proxy")

ANSWERS = {
    "redirects": b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:{port}/elsewhere\r\n\r\n",
    "refuses credentials": b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
    "talks nonsense": b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    "takes no ocpp": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "hangs up": b"",
}


class Strange:
    """Listens, and answers every request in its own way."""

    def __init__(self) -> None:
        self.heads: list[str] = []
        self.answer: bytes | None = None
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            client.settimeout(5)
            head = b""
            with suppress(OSError):
                while b"\r\n\r\n" not in head and (more := client.recv(4096)):
                    head += more
            self.heads.append(head.decode("latin-1"))
            if self.answer is None:
                self._sockets.append(client)  # and never say a word
                continue
            with suppress(OSError):
                client.sendall(self.answer.replace(b"{port}", b"%d" % self.port))
            client.close()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for one in self._sockets:
            one.close()
        self._thread.join(10)


@pytest.fixture
def strange() -> Iterator[Strange]:
    made = Strange()
    yield made
    made.close()


@pytest.fixture
def local(workspace: Path, strange: Strange) -> Iterator[Any]:
    """Start a local site whose remote is the strange one."""
    made: list[Server] = []

    def start(more: str = "", port: int = 0, **env: str) -> Server:
        (workspace / "local.gwr").write_text(LOCAL.replace("[[MORE]]", more))
        address = f"ws://127.0.0.1:{port or strange.port}/ocpp"
        made.append(Server(workspace, "local", "--remote", address, env=env))
        return made[-1].start()

    yield start
    for one in made:
        one.end()


def a_session(charger: Charger) -> float:
    began = time.monotonic()
    charger.boot()
    started = charger.start()
    charger.values(started, 1_500)
    charger.stop(started, 2_000)
    return time.monotonic() - began


def _row(site: Server) -> dict[str, Any]:
    found: dict[str, Any] = site.get("/api/ocpp/proxy/status")["chargers"][0]
    return found


@pytest.mark.parametrize("kind", [*ANSWERS, "says nothing"])
def test_chargers_do_not_notice_a_strange_remote(
    local: Any, strange: Strange, eventually: Any, kind: str
) -> None:
    strange.answer = ANSWERS.get(kind)
    site = local()
    charger = Charger("CP1", lambda: site.ws_port)
    assert a_session(charger) < 3
    eventually(lambda: strange.heads)

    def row() -> dict[str, Any]:
        return _row(site)

    if kind != "says nothing":
        eventually(lambda: row()["last_error"])
    assert row()["pending"] == 3
    assert row()["link"] in ("waiting", "connecting")
    assert {head.split()[1] for head in strange.heads} == {"/ocpp/CP1"}, "no redirect is followed"
    if kind == "redirects":
        # By its status the next try is after a minute, and not after a second: see `Dial`.
        assert row()["last_error"].startswith("refused with HTTP 302: it sends on")
    charger.leave()


@pytest.mark.parametrize("kind", FLOODS)
def test_chargers_do_not_notice_a_remote_that_floods(
    local: Any, eventually: Any, kind: str
) -> None:
    flooding = Flooding(FLOODS[kind][0])
    try:
        site = local(port=flooding.port)
        charger = Charger("CP1", lambda: site.ws_port)
        charger.boot()
        eventually(lambda: flooding.clients)
        assert a_session(charger) < 3
        eventually(lambda: FLOODS[kind][1] in _row(site)["last_error"])
        assert _row(site)["pending"] == 3
        charger.leave()
    finally:
        flooding.close()


def test_the_remote_gets_credentials_of_its_own_and_never_the_chargers(
    local: Any, strange: Strange, eventually: Any
) -> None:
    strange.answer = ANSWERS["refuses credentials"]
    site = local(GWAY_OCPP_REMOTE_PASSWORD="for-the-remote")
    charger = Charger("CP1", lambda: site.ws_port)
    charger.boot()
    (head,) = eventually(lambda: strange.heads)
    words = base64.b64encode(b"CP1:for-the-remote").decode()
    assert f"Authorization: Basic {words}" in head
    assert "Sec-WebSocket-Protocol: ocpp1.6" in head
    assert "Cookie" not in head
    charger.leave()


@pytest.mark.flag("slow")
def test_a_remote_that_falls_silent_is_noticed_within_a_minute(pair: Any, eventually: Any) -> None:
    sites = pair()
    charger = sites.charger()
    charger.boot()
    eventually(lambda: sites.row().get("link") == "online", 10)
    sites.between.black_hole()
    began = time.monotonic()
    eventually(lambda: sites.row()["link"] != "online", 65)
    assert time.monotonic() - began < 60
