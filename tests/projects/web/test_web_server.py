"""`gway web app setup-app ... - web server start-app`, as a process, over real sockets."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

HELLO = '''
from gway import gw, hookimpl, live
from gway.web.sse import Events

def greet(name: str = "you") -> str:
    """Greet somebody."""
    return f"Hello {name}"

def view_greet(name: str = "you"):
    return greet(name)

def api_greet(name: str = "you"):
    return greet(name)

def setup_app(*, times: int = 1):
    """Set up.

    :param times: how often
    """
    gw.service(Shared).times = times

def api_times():
    return gw.service(Shared).times

def api_post_publish(topic: str, n: int):
    gw.service(Events).publish(topic, {"n": n})

@live
def times() -> int:
    """Tell how often."""
    return gw.service(Shared).times

def api_slow():
    import time
    time.sleep(1)
    return "finished"

async def api_later(n: int):
    import asyncio
    gw.service(Shared).waiting += 1
    while gw.service(Shared).waiting < 2:  # until the other request is here as well
        await asyncio.sleep(0.01)
    return n

class Shared:
    def __init__(self, gateway):
        self.times = 0
        self.waiting = 0
'''

SERVE = ("web.server", "start-app", "--port", "0", "--ws-port", "0")


@dataclass
class Site:
    """A running server and what its `work/server.json` says."""

    process: subprocess.Popen[str]
    state: dict[str, Any]
    lines: list[str] = field(default_factory=list)

    def connect(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.state["url"])
        return http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=10)

    def get(self, path: str, method: str = "GET", body: Any = None, **headers: str) -> Any:
        connection = self.connect()
        sent = None if body is None else json.dumps(body)
        if sent is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, sent, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        return answer, data

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        return self.get(path, "POST", body, Authorization=f"Bearer {self.state['token']}")


Serve = Callable[..., Site]


@pytest.fixture
def serve(workspace: Path, eventually: Any) -> Iterator[Serve]:
    """Run a gway command line that serves, in the workspace."""
    (workspace / "projects" / "hello.py").write_text(HELLO)
    started: list[Site] = []

    def start(
        *words: str,
        folder: Path = workspace,
        env: Mapping[str, str] | None = None,
        record: str = "work/server.json",
    ) -> Site:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("GWAY_")}
        process = subprocess.Popen(
            [sys.executable, "-m", "gway", *words],
            cwd=folder,
            env={**clean, **(env or {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        site = Site(process, {})
        started.append(site)
        assert process.stderr is not None
        reader = threading.Thread(target=site.lines.extend, args=(process.stderr,), daemon=True)
        reader.start()
        file = folder / record

        def ready() -> bool:
            assert process.poll() is None, site.lines
            if file.exists():
                site.state = json.loads(file.read_text())
            return bool(site.state.get("pid") == process.pid)

        eventually(ready, 20)
        return site

    yield start
    for site in started:
        if site.process.poll() is None:
            site.process.kill()
        site.process.wait()
        if site.process.stderr is not None:
            site.process.stderr.close()


@pytest.fixture
def hello(serve: Serve) -> Site:
    return serve("web", "app", "setup-app", "hello", "--home", "greet", "-", *SERVE)


def test_a_users_function_is_a_page_and_an_api_call(hello: Site) -> None:
    answer, body = hello.get("/hello/greet?name=Ada")
    assert answer.status == 200
    assert "Hello Ada" in body.decode()
    answer, body = hello.get("/api/hello/greet?name=Ada")
    assert json.loads(body) == "Hello Ada"
    answer, _ = hello.get("/")
    assert answer.getheader("Location") == "/hello/greet"


def test_the_server_says_where_it_is(hello: Site, eventually: Any) -> None:
    url, ws_url = hello.state["url"], hello.state["ws_url"]
    eventually(lambda: f"GWAY is running: {url}/hello/greet\n" in hello.lines)
    assert f"WebSockets: {ws_url}\n" in hello.lines
    assert urlsplit(url).port != urlsplit(ws_url).port


def test_the_token_is_for_the_owner_alone_and_goes_with_the_server(
    hello: Site, workspace: Path
) -> None:
    file = workspace / "work" / "server.json"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert len(hello.state["token"]) >= 43
    hello.process.terminate()
    assert hello.process.wait(5) == 143
    assert not file.exists()


def test_two_coroutines_run_at_the_same_time(hello: Site) -> None:
    one, two = hello.connect(), hello.connect()
    one.request("GET", "/api/hello/later?n=1")
    two.request("GET", "/api/hello/later?n=2")
    assert [json.loads(each.getresponse().read()) for each in (one, two)] == [1, 2]
    one.close()
    two.close()


def test_the_users_own_part_of_a_namespace_is_loaded_with_it(serve: Serve, workspace: Path) -> None:
    shop = workspace / "projects" / "shop"
    shop.mkdir()
    (shop / "till.py").write_text("def view_open(): return 'open'")
    (shop / "tariff.py").write_text(
        "from gway import hookimpl\nfrom gway.hookspecs import HealthCheck\n"
        "@hookimpl\ndef gway_health(): return [HealthCheck('tariff', True)]\n"
    )
    site = serve("web.app", "setup-app", "shop.till", "-", *SERVE)
    assert json.loads(site.get("/readyz")[1])["checks"] == {"tariff": "ok"}


def test_a_live_verb_runs_in_the_server(serve: Serve, run: Any) -> None:
    serve("web", "app", "setup-app", "hello", "--times", "7", "-", *SERVE)
    assert run("hello", "times").stdout == "7\n"


def test_sigterm_finishes_what_is_asked_and_ends_the_event_streams(hello: Site) -> None:
    listening = hello.connect()
    listening.request("GET", "/events?topic=a")
    stream = listening.getresponse()
    assert stream.readline() == b"retry: 2000\n"
    slow = hello.connect()
    slow.request("GET", "/api/hello/slow")
    hello.get("/healthz")  # by now the slow one is being answered, too
    hello.process.send_signal(signal.SIGTERM)
    assert json.loads(slow.getresponse().read()) == "finished"
    stream.read()
    assert hello.process.wait(5) == 143
    listening.close()
    slow.close()


def test_an_event_reaches_a_listening_page(hello: Site) -> None:
    listening = hello.connect()
    listening.request("GET", "/events?topic=news")
    stream = listening.getresponse()
    assert stream.readline() == b"retry: 2000\n"
    stream.readline()
    answer, _ = hello.post("/api/hello/publish", {"topic": "news", "n": 3})
    assert answer.status == 200
    line = stream.readline()
    assert json.loads(line.removeprefix(b"data: ")) == {"topic": "news", "data": {"n": 3}}
    listening.close()


def test_a_body_that_is_too_large_is_refused_and_the_connection_closed(hello: Site) -> None:
    with socket.create_connection(("127.0.0.1", urlsplit(hello.state["url"]).port), 10) as sock:
        head = (
            "POST /api/hello/publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 900000000\r\n"
        )
        head += (
            f"Authorization: Bearer {hello.state['token']}\r\nContent-Type: application/json\r\n"
        )
        sock.sendall(head.encode() + b"\r\n" + b"x" * 1000)
        data = b"".join(iter(lambda: sock.recv(65536), b""))
    assert data.startswith(b"HTTP/1.1 413 ")
    assert b"Connection: close" in data


def test_a_chunked_body_is_read(hello: Site) -> None:
    connection = hello.connect()
    connection.request(
        "POST",
        "/api/hello/publish",
        iter([b'{"topic": "a",', b' "n": 1}']),
        {"Content-Type": "application/json", "Authorization": f"Bearer {hello.state['token']}"},
        encode_chunked=True,
    )
    assert connection.getresponse().status == 200
    connection.close()


def test_a_port_in_use_is_one_sentence_with_a_hint(run: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        for ports in (("--port", port, "--ws-port", "0"), ("--port", "0", "--ws-port", port)):
            done = run("web.server", "start-app", *ports)
            assert done.code == 1
            first, hint = done.stderr.splitlines()
            assert first == f"gway: cannot listen on 127.0.0.1:{port}: Address already in use"
            assert hint == "hint: choose another port; 0 picks a free one"


def test_a_port_that_cannot_be_is_one_sentence(run: Any) -> None:
    done = run("web.server", "start-app", "--port", "99999")
    assert done.stderr.startswith("gway: cannot listen on 127.0.0.1:99999: a port is 0 to 65535\n")


def test_a_second_server_in_a_workspace_is_refused_with_the_address_of_the_first(
    hello: Site, workspace: Path, run: Any
) -> None:
    for words in (SERVE, ("web.app", "setup-app", "hello", "-", *SERVE)):
        done = run(*words)
        assert done.code == 1
        first, hint = done.stderr.splitlines()
        assert f"the server at {hello.state['url']} (process {hello.process.pid})" in first
        assert "--site NAME" in hint
    assert json.loads((workspace / "work" / "server.json").read_text()) == hello.state
    assert hello.get("/hello/greet")[0].status == 200


def test_a_server_that_takes_the_place_of_a_killed_one_is_not_refused(
    serve: Serve, hello: Site, eventually: Any
) -> None:
    hello.process.kill()
    hello.process.wait()
    port = str(urlsplit(hello.state["url"]).port)
    after = serve("web.server", "start-app", "--port", port, "--ws-port", "0")
    eventually(lambda: any(line.startswith("WebSockets: ") for line in after.lines))


def test_a_named_site_runs_beside_the_other_with_files_of_its_own(
    serve: Serve, hello: Site, workspace: Path, run: Any
) -> None:
    setup = ("web", "app", "setup-app", "hello", "--times", "9", "-")
    second = serve("--site", "second", *setup, *SERVE, record="work/second/server.json")
    assert second.state["url"] != hello.state["url"]
    assert run("hello", "times").stdout == "1\n"
    assert run("--site", "second", "hello", "times").stdout == "9\n"
    assert run("hello", "times", env={"GWAY_SITE": "second"}).stdout == "9\n"
    hello.process.send_signal(signal.SIGINT)
    hello.process.wait(10)
    assert run("hello", "times").stdout == "9\n", "the only one that runs is meant"


def test_a_public_address_needs_an_account_or_a_loud_word(
    serve: Serve, run: Any, workspace: Path, eventually: Any
) -> None:
    done = run("web.server", "start-app", "--host", "0.0.0.0", "--port", "0", "--ws-port", "0")
    assert done.code == 1
    assert "0.0.0.0 can be reached from the network and no user account exists" in done.stderr
    assert "--insecure" in done.stderr
    site = serve("web.app", "setup-app", "hello", "-", *SERVE, "--host", "0.0.0.0", "--insecure")
    assert site.get("/hello/greet")[0].status == 200
    (warning,) = [line for line in site.lines if "0.0.0.0 is open to the network" in line]
    assert warning.startswith("WARNING")
    log = workspace / "work" / "logs" / "gway.log"
    eventually(lambda: log.exists() and warning.strip() in log.read_text(encoding="utf-8"))


def test_an_option_that_neither_knows_is_an_error(serve: Serve, run: Any) -> None:
    done = run("web.app", "setup-app", "hello", "--timse", "3")
    assert done.code == 2
    assert "hello has no option '--timse'" in done.stderr
    assert "did you mean 'times'?" in done.stderr


def test_an_option_of_the_project_is_converted(serve: Serve, run: Any) -> None:
    assert "'many' is not an int" in run("web.app", "setup-app", "hello", "--times", "many").stderr


def test_what_is_not_known_here_is_asked_of_the_other_gateway(
    serve: Serve, workspace: Path, tmp_path: Path
) -> None:
    cloud = tmp_path / "cloud"
    (cloud / "projects").mkdir(parents=True)
    (cloud / "projects" / "far.py").write_text(
        "from gway.web.request import CURRENT\nfrom gway.web.reply import Redirect\n"
        "def view_where(name: str): return f'far away {name}'\n"
        "def api_seen():\n"
        "    request = CURRENT.get()\n"
        "    return {k: v for k, v in request.environ.items() if isinstance(v, str)}\n"
        "def view_moved(): return Redirect('/far/where?name=x')\n"
    )
    remote = serve("web.app", "setup-app", "far", "-", *SERVE, folder=cloud)
    local = serve("web.app", "setup-app", "hello", "-", *SERVE, "--proxy", remote.state["url"])
    assert "far away Ada" in local.get("/far/where?name=Ada")[1].decode()
    assert "Hello Ada" in local.get("/hello/greet?name=Ada")[1].decode()
    secrets = {"Cookie": "gway_1=secret", "Authorization": f"Bearer {local.state['token']}"}
    seen = local.get("/api/far/seen", **secrets)[1].decode()
    assert "secret" not in seen
    assert local.state["token"] not in seen
    moved = local.get("/far/moved")[0]
    assert (moved.status, moved.getheader("Location")) == (502, None)
    assert local.get("/nowhere")[0].status == 404
    # What a gateway asks is not asked of a third one, or two could ask each other for ever.
    assert local.get("/far/where?name=Ada", Via="1.1 gway")[0].status == 404
    remote.process.terminate()
    remote.process.wait(5)
    answer, body = local.get("/far/where?name=Ada")
    assert answer.status == 503
    assert f"is not known here, and {remote.state['url']} is away" in body.decode()
    assert local.get("/hello/greet")[0].status == 200
