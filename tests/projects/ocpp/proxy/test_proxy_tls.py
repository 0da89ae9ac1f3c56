"""A remote behind TLS: the authority of its own is trusted when it is named, and no other."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.certificates import Authority
from tests.projects.ocpp.proxy.conftest import LOCAL, REMOTE, Charger, Server, story

pytestmark = pytest.mark.flag("proxy")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def site(workspace: Path) -> Iterator[Callable[..., Server]]:
    """Start a site by its recipe, with options."""
    made: list[Server] = []

    def start(name: str, recipe: str, *words: str, env: dict[str, str] | None = None) -> Server:
        (workspace / f"{name}.gwr").write_text(recipe)
        made.append(Server(workspace, name, *words, env=env))
        return made[-1].start()

    yield start
    for one in made:
        one.end()


class Encrypted:
    """Listens with TLS, and notes what it could read."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self.clients = 0
        self.read = b""
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                client.settimeout(5)
                with client, suppress(OSError):
                    encrypted = self._context.wrap_socket(client, server_side=True)
                    with encrypted:
                        self.read += encrypted.recv(4096)
                self.clients += 1

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)


def a_session(charger: Charger, at: str) -> None:
    charger.boot()
    started = charger.start(1_000, at)
    charger.values(started, 1_500, at=at)
    charger.stop(started, 2_000, at)


def test_a_remote_with_a_certificate_of_its_own_authority_gets_all_and_is_compared_with(
    site: Any, authority: Authority, eventually: Any
) -> None:
    certificate, key = authority.issue("IP:127.0.0.1")
    tls = f"--ws-port 0 --tls-cert {certificate} --tls-key {key}"
    remote = site("remote", REMOTE.replace("--ws-port 0", tls))
    assert remote.state["ws_url"].startswith("wss:")
    more = f"--ca {authority.pem} --web {remote.state['url']}"
    address = f"wss://127.0.0.1:{remote.ws_port}/ocpp/csms"
    token = {"GWAY_OCPP_REMOTE_TOKEN": remote.state["token"]}
    local = site("local", LOCAL.replace("[[MORE]]", more), "--remote", address, env=token)
    charger = Charger("CP1", lambda: local.ws_port)
    a_session(charger, time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()))
    eventually(lambda: local.get("/api/ocpp/proxy/status")["pending"] == 0)
    assert story(local) == story(remote)
    told = local.get("/api/ocpp/proxy/reconcile")
    assert (told["source"], told["verdicts"]) == ("remote", {"equal": 1})
    charger.leave()


@pytest.mark.parametrize("why", ["nobody knows its authority", "it is another's"])
def test_a_certificate_that_is_not_trusted_is_refused_and_nothing_is_sent(
    site: Any, authority: Authority, eventually: Any, why: str
) -> None:
    is_known = why == "it is another's"
    name = "DNS:another.example" if is_known else "IP:127.0.0.1"
    remote = Encrypted(*authority.issue(name))
    try:
        more = f"--ca {authority.pem}" if is_known else ""
        address = f"wss://127.0.0.1:{remote.port}/ocpp"
        secret = {"GWAY_OCPP_REMOTE_PASSWORD": "for-the-remote"}
        local = site("local", LOCAL.replace("[[MORE]]", more), "--remote", address, env=secret)
        charger = Charger("CP1", lambda: local.ws_port)
        a_session(charger, "2026-03-01T08:00:00Z")

        def row() -> dict[str, Any]:
            found: dict[str, Any] = local.get("/api/ocpp/proxy/status")["chargers"][0]
            return found

        eventually(lambda: row()["last_error"].startswith("its certificate is not trusted"))
        assert row()["pending"] == 3
        eventually(lambda: remote.clients)
        assert remote.read == b""
        charger.leave()
    finally:
        remote.close()
