"""Accounts beside a server that runs: addresses, changes from a terminal, floods, certificates."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from http.client import HTTPResponse
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import psutil
import pytest

from tests.visitors import PASSWORD

Run = Callable[..., Any]
FORM = "application/x-www-form-urlencoded"
RECIPE = """
web app setup-app web.nav
{first}
web server start-app --port 0 --ws-port 0 {options}
until --forever
"""


@dataclass
class Served:
    """A server in a process of its own, and a browser that keeps its cookies."""

    process: subprocess.Popen[bytes]
    stderr: Path
    state: dict[str, Any]
    cookies: dict[str, str] = field(default_factory=dict)

    def ask(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], str]:
        answer, line = self.open(method, path, body, **headers)
        with closing(line):
            for cookie in answer.headers.get_all("Set-Cookie") or ():
                name, _, value = cookie.partition(";")[0].partition("=")
                self.cookies[name] = value
            return answer.status, dict(answer.headers), answer.read().decode()

    def open(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[HTTPResponse, http.client.HTTPConnection]:
        address = urlsplit(self.state["url"])
        line = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
        sent = {"Accept": "text/html", "Origin": self.state["url"], **headers}
        sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        if body is not None:
            sent["Content-Type"] = FORM
        line.request(method, path, body, sent)
        return line.getresponse(), line

    def sign_in(self, name: str, password: str = PASSWORD) -> int:
        _, _, page = self.ask("GET", "/web/auth/login")
        found = re.search(r'name="csrf" value="(\w+)"', page)
        assert found is not None, page
        words = {"csrf": found[1], "name": name, "password": password}
        return self.ask("POST", "/web/auth/login", urlencode(words).encode())[0]

    def said(self) -> str:
        return self.stderr.read_text()


Serve = Callable[..., Served]


@pytest.fixture
def serve(workspace: Path, eventually: Any) -> Iterator[Serve]:
    """Run a server: `serve("--host", "0.0.0.0", first="web auth config-basic")`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*options: str, first: str = "") -> Served:
        recipe = workspace / "site.gwr"
        recipe.write_text(RECIPE.format(first=first, options=" ".join(options)))
        stderr = workspace / "stderr.txt"
        with stderr.open("wb") as sink:
            process = subprocess.Popen(
                [sys.executable, "-m", "gway", "run", "site.gwr"],
                cwd=workspace,
                env={k: v for k, v in os.environ.items() if not k.startswith("GWAY_")},
                stderr=sink,
            )
        started.append(process)
        record = workspace / "work/server.json"

        def ready() -> Any:
            assert process.poll() is None, stderr.read_text()
            state = json.loads(record.read_text()) if record.exists() else {}
            return state if state.get("pid") == process.pid else None

        return Served(process, stderr, eventually(ready, 20))

    yield start
    for process in started:
        process.terminate()
        process.wait(10)


def create(run: Run, name: str, *options: str, password: str = PASSWORD) -> None:
    ran = run("web.auth", "create-user", name, "--stdin", *options, stdin=password + "\n")
    assert ran.code == 0, ran.stderr


# --- which address ---


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_an_address_of_the_network_needs_an_account(run: Run, host: str) -> None:
    ran = run("web.server", "start-app", "--host", host, "--port", "0", "--ws-port", "0")
    assert ran.code == 1
    assert "no user account exists" in ran.stderr
    assert "`gway web.auth create-user NAME`" in ran.stderr
    assert "--insecure" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_with_an_account_it_serves_the_network_and_everybody_signs_in(
    run: Run, serve: Serve
) -> None:
    create(run, "ada")
    served = serve("--host", "0.0.0.0")
    assert "passwords travel to 0.0.0.0 in the clear" in served.said()
    assert served.ask("GET", "/web/nav/site-map")[0] == 303
    assert served.sign_in("ada") == 303
    assert served.ask("GET", "/web/nav/site-map")[0] == 200


def test_insecure_says_so_aloud_and_means_nothing_once_there_is_an_account(
    run: Run, serve: Serve, eventually: Any
) -> None:
    served = serve("--host", "0.0.0.0", "--insecure")
    assert "WARNING: 0.0.0.0 is open to the network and nobody has to sign in." in served.said()
    assert served.ask("GET", "/web/nav/site-map")[0] == 200
    create(run, "ada")
    eventually(lambda: served.ask("GET", "/web/nav/site-map")[0] == 303, 2)


def test_a_recipe_that_requires_a_sign_in_does_not_start_without_an_account(
    run: Run, workspace: Path
) -> None:
    text = RECIPE.format(first="web auth config-basic --realm Depot", options="")
    (workspace / "site.gwr").write_text(text)
    assert run("run", "site.gwr", "--check").code == 0
    ran = run("run", "site.gwr")
    assert ran.code == 1
    assert "requires a sign-in and no user account exists" in ran.stderr
    assert "create-user" in ran.stderr


# --- changes from a terminal ---


def test_what_is_changed_in_a_terminal_counts_within_a_second(
    run: Run, serve: Serve, eventually: Any
) -> None:
    served = serve()
    assert served.ask("GET", "/web/nav/site-map")[0] == 200
    create(run, "ada")
    create(run, "bob")
    eventually(lambda: served.ask("GET", "/web/nav/site-map")[0] == 303, 1)
    bob = Served(served.process, served.stderr, served.state)
    assert (served.sign_in("ada"), bob.sign_in("bob")) == (303, 303)
    assert "bob" in run("web.auth", "sessions").stdout
    run("web.auth", "passwd", "ada", "--stdin", stdin="another good one\n")
    eventually(lambda: served.ask("GET", "/web/nav/site-map")[0] == 303, 1)
    assert bob.ask("GET", "/web/nav/site-map")[0] == 200
    run("web.auth", "role", "bob", "admin")
    eventually(lambda: bob.ask("GET", "/web/auth/users")[0] == 200, 1)
    run("web.auth", "delete", "bob")
    eventually(lambda: bob.ask("GET", "/web/nav/site-map")[0] == 303, 1)
    token = json.loads(run("web.auth", "token", "ci", "--json").stdout)["token"]
    known = {"Authorization": f"Bearer {token}"}
    eventually(lambda: served.ask("GET", "/openapi.json", **known)[0] == 200, 1)
    run("web.auth", "revoke-token", "ci")
    eventually(lambda: served.ask("GET", "/openapi.json", **known)[0] == 401, 1)


def test_sessions_outlive_the_server_and_streams_end_with_them(
    run: Run, serve: Serve, eventually: Any, workspace: Path
) -> None:
    create(run, "ada")
    first = serve()
    assert first.sign_in("ada") == 303
    cookies = dict(first.cookies)
    first.process.terminate()
    first.process.wait(10)
    again = serve()
    old, new = (urlsplit(each.state["url"]).port for each in (first, again))
    again.cookies = {name.replace(str(old), str(new)): value for name, value in cookies.items()}
    assert again.ask("GET", "/web/nav/site-map")[0] == 200
    stream, line = again.open("GET", "/events?topic=anything")
    assert (stream.status, stream.readline()) == (200, b"retry: 2000\n")
    began = time.monotonic()
    run("web.auth", "sign-out", "ada")
    assert stream.read().strip() == b""  # its end
    assert time.monotonic() - began < 8
    line.close()
    assert again.ask("GET", "/events?topic=anything", Accept="text/event-stream")[0] == 401


# --- floods ---


@pytest.mark.flag("timing")
def test_a_flood_of_sign_ins_holds_nobody_up_and_fills_no_memory(run: Run, serve: Serve) -> None:
    create(run, "ada")
    served = serve(first="web auth config-basic")
    assert served.sign_in("ada") == 303
    process = psutil.Process(served.process.pid)
    before = process.memory_info().rss
    address = urlsplit(served.state["url"])
    statuses: list[int] = []

    def guess(number: int) -> None:
        line = http.client.HTTPConnection(
            "127.0.0.1", address.port, timeout=30, source_address=(f"127.1.{number}.1", 0)
        )
        with closing(line):
            secret = b64encode(f"name{number}:wrong".encode()).decode()
            line.request("GET", "/metrics", headers={"Authorization": f"Basic {secret}"})
            statuses.append(line.getresponse().status)

    flood = [threading.Thread(target=guess, args=(number,)) for number in range(80)]
    for thread in flood:
        thread.start()
    waits = []
    while any(thread.is_alive() for thread in flood):
        began = time.monotonic()
        assert served.ask("GET", "/healthz")[0] == 200
        waits.append(time.monotonic() - began)
    for thread in flood:
        thread.join()
    assert set(statuses) <= {401, 429, 503}
    assert statuses.count(401) > 10
    assert sorted(waits)[len(waits) // 2] < 0.25  # hashing is done beside the hub
    assert process.memory_info().rss - before < 64 * 1024 * 1024
    assert served.ask("GET", "/web/nav/site-map")[0] == 200


@pytest.mark.flag("timing")
def test_a_name_takes_as_long_as_no_name(run: Run, serve: Serve) -> None:
    create(run, "ada")
    served = serve()
    took: dict[str, float] = {}
    for name in ("ada", "nobody", "ada", "nobody"):
        began = time.monotonic()
        assert served.sign_in(name, "wrong wrong wrong") == 401
        took[name] = min(took.get(name, 9.0), time.monotonic() - began)
    assert 0.3 < took["ada"] / took["nobody"] < 3


# --- certificates ---


@pytest.fixture
def pair(tmp_path: Path) -> Callable[[str], tuple[Path, Path]]:
    def make(name: str) -> tuple[Path, Path]:
        certificate, key = tmp_path / "site.crt", tmp_path / "site.key"
        command = ["openssl", "req", "-x509", "-nodes", "-days", "2", "-newkey", "rsa:2048"]
        command += ["-subj", f"/CN={name}", "-out", str(certificate), "-keyout", str(key)]
        subprocess.run(command, check=True, capture_output=True)
        return certificate, key

    return make


def common_name(url: str) -> bytes:
    """Give the certificate that a server shows."""
    address = urlsplit(url)
    context = ssl._create_unverified_context()
    with (
        closing(socket.create_connection((address.hostname or "", address.port), 10)) as line,
        context.wrap_socket(line) as encrypted,
    ):
        shown = encrypted.getpeercert(binary_form=True)
    assert shown is not None
    return shown


def test_certificates_are_read_again_on_sighup_and_broken_ones_left_alone(
    run: Run, serve: Serve, pair: Callable[[str], tuple[Path, Path]], eventually: Any
) -> None:
    create(run, "ada")
    certificate, key = pair("first")
    served = serve("--tls-cert", str(certificate), "--tls-key", str(key))
    url = served.state["url"]
    assert b"first" in common_name(url)
    certificate.write_text("no certificate")
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: "those from before stay" in served.said())
    assert b"first" in common_name(url)
    pair("second")
    served.process.send_signal(signal.SIGHUP)
    eventually(lambda: b"second" in common_name(url))
    assert b"second" in common_name(served.state["ws_url"])
    assert "Traceback" not in served.said()
