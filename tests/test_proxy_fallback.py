"""The recipes local_proxy and cloud as processes: what one place does alone, and what with all.

A page that the local site does not know is asked of the cloud while that can be reached; what
is local never depends on it. The harness serves as a template for other pairs of recipes.
"""

from __future__ import annotations

import http.client
import json
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import pytest

from gway.errors import GwayError, UsageError
from gway.recipes import find, load
from gway.web.forward import Forward
from tests.certificates import Authority
from tests.projects.ocpp.proxy.conftest import Charger

pytestmark = pytest.mark.flag("proxy")

FAR = '''
from gway.web.reply import Redirect

def view_away(name: str = "nobody"):
    """Greet from far away."""
    return f"far away {name}"

def api_away():
    return {"far": "away"}

def view_moved():
    return Redirect("/far/away")

def view_post_away():
    raise AssertionError("nothing may be sent here")
'''
LOCAL_PAGE = "/ocpp/csms/charger-status"


class Answer(NamedTuple):
    status: int
    headers: Any
    text: str


class Site:
    """A recipe as a process, and its pages."""

    def __init__(self, workspace: Path, recipe: str, values: dict[str, Any], site: str) -> None:
        self.log = workspace / f"{recipe.rpartition('/')[2]}.log"
        self.record = workspace / "work" / site / "server.json"
        self.record.unlink(missing_ok=True)
        values = {"port": 0, "ws_port": 0, **values}
        options = [word for name, value in values.items() for word in (f"--{name}", str(value))]
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gway", "run", recipe, *options],
                cwd=workspace,
                stdout=log,
                stderr=log,
            )

    @property
    def state(self) -> dict[str, Any]:
        """What the server says of itself; empty until it listens."""
        if self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        return json.loads(self.record.read_text()) if self.record.exists() else {}

    @property
    def port(self) -> int:
        port = urlsplit(self.state["url"]).port
        assert port is not None
        return port

    @property
    def ws_port(self) -> str:
        return str(self.state["ws_url"].rpartition(":")[2])

    def get(self, path: str, method: str = "GET", **headers: str) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        found = Answer(answer.status, answer.headers, answer.read().decode())
        connection.close()
        return found

    def end(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(15)


Start = Callable[..., Site]


@pytest.fixture
def start(workspace: Path, eventually: Any) -> Iterator[Start]:
    """Start a recipe in the workspace and wait until it listens."""
    started: list[Site] = []

    def call(recipe: str, site: str = "", **values: Any) -> Site:
        started.append(one := Site(workspace, recipe, values, site))
        eventually(lambda: one.state, 20)
        return one

    yield call
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.wait(10)


@pytest.fixture
def cloud(workspace: Path, start: Start) -> Callable[..., Site]:
    """Start the cloud recipe, with one page more than the local one has."""
    (workspace / "projects" / "far.py").write_text(FAR)
    recipe = workspace / "recipes" / "far.gwr"
    recipe.parent.mkdir()
    recipe.write_text("web app setup-app far\nrun etron/cloud.gwr\n")
    return lambda **values: start("far", **values)


@pytest.fixture
def local(start: Start) -> Callable[..., Site]:
    """Start the recipe of one place; its remote takes no chargers unless told otherwise."""

    def call(proxy: str, remote: str = "ws://127.0.0.1:1/ocpp/csms") -> Site:
        return start("etron/local_proxy", "local_proxy", proxy=proxy, remote=remote)

    return call


def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture
def free_port() -> int:
    return unused_port()


def charge(run: Any, site: Site, charger_id: str) -> None:
    """Let a simulated charger make one session."""
    words = ["--cp-path", f"ocpp/csms/{charger_id}", "--pre-charge-delay", "0", "--duration", "1"]
    ran = run("ocpp.evcs", "simulate", "--ws-port", site.ws_port, *words, "--interval", "1")
    assert ran.code == 0, ran.stderr


def sessions(site: Site) -> list[dict[str, Any]]:
    found: list[dict[str, Any]]
    found = json.loads(site.get("/api/ocpp/data/transactions").text)["transactions"]
    return found


def samples(site: Site, transaction_id: int) -> list[tuple[Any, ...]]:
    """The samples of a transaction as they are stored, in their order."""
    sql = (
        "SELECT origin, samples_time, energy_wh, power_w, raw FROM readings"
        " WHERE transaction_id = ? ORDER BY sequence"
    )
    database = f"file:{site.record.parent / 'ocpp.sqlite'}?mode=ro"
    with closing(sqlite3.connect(database, uri=True)) as connection:
        return connection.execute(sql, (transaction_id,)).fetchall()


def test_the_two_recipes_find_each_other_with_nothing_said() -> None:
    there = load(find("etron/cloud", Path.cwd())).names()
    here = load(find("etron/local_proxy", Path.cwd())).names()
    assert here["proxy"] == f"http://127.0.0.1:{there['port']}"
    ports = [recipe[name] for recipe in (here, there) for name in ("port", "ws_port")]
    assert len(set(ports)) == 4
    words = [word for line in load(find("etron/local_proxy", Path.cwd())).lines for word in line[1]]
    assert f"ws://127.0.0.1:{there['ws_port']}/ocpp/csms" in words


def test_the_clouds_pages_are_there_while_the_cloud_is_and_local_ones_always(
    local: Any, cloud: Any, free_port: int
) -> None:
    remote = f"http://127.0.0.1:{free_port}"
    here = local(remote)

    def is_away() -> bool:
        answer = here.get("/far/away?name=Ada")
        assert answer.status == 503
        assert f"/far/away is not known here, and {remote} is away" in answer.text
        assert 'href="/far/away"' in answer.text, "to try again"
        assert int(answer.headers["Retry-After"]) > 0
        assert here.get(LOCAL_PAGE).status == 200
        return "charger_id" not in here.get("/api/ocpp/csms/chargers").text

    assert is_away()
    for number in (signal.SIGTERM, signal.SIGKILL):
        there = cloud(port=free_port)
        answer = here.get("/far/away?name=Ada")
        assert (answer.status, "far away Ada" in answer.text) == (200, True)
        assert answer.headers["X-GWAY-Remote"] == remote
        assert json.loads(here.get("/api/far/away").text) == {"far": "away"}
        assert here.get(LOCAL_PAGE).headers["X-GWAY-Remote"] is None
        there.end(number)
        assert is_away()


def test_a_session_made_while_the_cloud_was_away_is_there_when_it_is_back(
    local: Any, cloud: Any, run: Any, eventually: Any, free_port: int
) -> None:
    ws_port = unused_port()
    here = local(f"http://127.0.0.1:{free_port}", f"ws://127.0.0.1:{ws_port}/ocpp/csms")
    charge(run, here, "CP1")
    (made,) = sessions(here)
    there = cloud(port=free_port, ws_port=ws_port)
    (told,) = eventually(
        lambda: [each for each in sessions(there) if each["state"] == "stopped"], 90
    )
    for name in ("charger_id", "id_tag", "meter_start_wh", "meter_stop_wh", "energy_wh", "reason"):
        assert told[name] == made[name]
    assert len(sessions(there)) == 1


def test_sessions_before_across_and_after_an_outage_agree_on_both_sides(
    local: Any, cloud: Any, eventually: Any, free_port: int
) -> None:
    ws_port = unused_port()
    there = cloud(port=free_port, ws_port=ws_port)
    here = local(f"http://127.0.0.1:{free_port}", f"ws://127.0.0.1:{ws_port}/ocpp/csms")
    token = {"Authorization": f"Bearer {here.state['token']}"}

    def told(number: int) -> bool:
        words = [(one["start_time_raw"], one["stop_time_raw"]) for one in sessions(there)]
        return len(words) == number and sorted(words) == sorted(
            (one["start_time_raw"], one["stop_time_raw"]) for one in sessions(here)
        )

    charger = Charger("CP1", lambda: int(here.ws_port))
    charger.boot()
    before = charger.start(1_000, "2026-03-01T08:00:00Z")
    charger.stop(before, 2_000, "2026-03-01T08:30:00Z")
    across = charger.start(2_000, "2026-03-01T09:00:00Z")
    charger.values(across, 2_500, at="2026-03-01T09:10:00Z")
    eventually(lambda: told(2), 20)
    there.end(signal.SIGKILL)
    charger.values(across, 3_500, at="2026-03-01T09:20:00Z")
    charger.stop(across, 4_000, "2026-03-01T09:30:00Z")
    offline = charger.start(4_000, "2026-03-01T10:00:00Z")
    charger.values(offline, 5_000, at="2026-03-01T10:10:00Z")
    charger.stop(offline, 7_000, "2026-03-01T10:30:00Z")
    reverse = charger.start(7_000, "2026-03-01T11:00:00Z")
    there = cloud(port=free_port, ws_port=ws_port)
    here.get("/api/ocpp/proxy/sync-now", "POST", **token)
    eventually(lambda: told(4), 30)
    charger.stop(reverse, 8_000, "2026-03-01T11:30:00Z")
    eventually(lambda: told(4) and all(one["energy_wh"] for one in sessions(there)), 20)
    charger.leave()
    # Both databases, all words; ids and the moments of hearing are each side's own.
    names = ("charger_id", "connector_id", "id_tag", "meter_start_wh", "meter_stop_wh", "state")
    names += ("energy_wh", "start_time_raw", "stop_time_raw", "start_time", "stop_time")
    sides = [
        sorted(
            (*(str(one[name]) for name in names), samples(site, one["transaction_id"]))
            for one in sessions(site)
        )
        for site in (here, there)
    ]
    assert sides[0] == sides[1]
    values = [[sample[2] for sample in one[-1]] for one in sides[0]]
    assert sorted(values) == [[], [], [2_500, 3_500], [5_000]]
    assert sum(one["energy_wh"] for one in sessions(there)) == 7_000
    # The cloud's own page shows what ran while it was away, with the times of then.
    page = there.get("/ocpp/data/charger-details.json?charger_id=CP1").text
    assert "2026-03-01T10:00:00" in page
    assert "2026-03-01T10:30:00" in page
    status = json.loads(here.get("/api/ocpp/proxy/status").text)
    assert (status["pending"], status["dead"]) == (0, 0)


def test_both_run_in_one_workspace_with_a_database_each(
    local: Any, cloud: Any, run: Any, workspace: Path
) -> None:
    there = cloud()
    here = local(there.state["url"])
    charge(run, here, "CP1")
    assert len(sessions(here)) == 1
    assert sessions(there) == []
    assert list((workspace / "work/local_proxy/ocpp/records/CP1").glob("*.dat"))
    assert not (workspace / "work/ocpp/records").exists()
    # A command that names no site is for the unnamed one while both run.
    assert "CP1" not in run("ocpp.csms", "chargers").stdout
    assert "CP1" in run("--site", "local_proxy", "ocpp.csms", "chargers").stdout
    refused = run("run", "etron/local", "--port", "0", "--ws-port", "0")
    assert refused.code == 1
    assert there.state["url"] in refused.stderr


def test_what_comes_from_the_cloud_can_only_be_looked_at(local: Any, cloud: Any) -> None:
    here = local(cloud().state["url"])
    policies = here.get("/far/away").headers.get_all("Content-Security-Policy")
    assert any("default-src 'self'" in policy for policy in policies)
    assert any("script-src 'none'" in policy for policy in policies)
    assert any("form-action 'none'" in policy for policy in policies)
    token = {"Authorization": f"Bearer {here.state['token']}"}
    posted = here.get("/far/away", "POST", **token)
    assert (posted.status, posted.headers["Allow"]) == (405, "GET, HEAD")
    moved = here.get("/far/moved")
    assert (moved.status, moved.headers["Location"]) == (502, None)
    assert here.get("/far/nothing").status == 404


# --- a remote that notes and misbehaves --------------------------------------


class Recorder(BaseHTTPRequestHandler):
    """Notes what it is asked, and answers by path."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server: Any = self.server
        server.asked.append((self.path, {name.lower(): v for name, v in self.headers.items()}))
        name = self.path.partition("?")[0].rpartition("/")[2].replace(".", "_")
        getattr(self, f"answer_{name}", self.answer_page)()

    do_POST = do_PUT = do_DELETE = do_HEAD = do_GET

    def answer_page(self) -> None:
        self.send(200, b"<p>remote</p>", ("Set-Cookie", "evil=1"), ("X-Frame-Options", "ALLOW"))

    def answer_moved(self) -> None:
        self.send(302, b"", ("Location", "/elsewhere"))

    def answer_secret(self) -> None:
        self.send(401, b"", ("WWW-Authenticate", "Basic realm=remote"))

    def answer_broken(self) -> None:
        self.send(500, b"<script>alert(1)</script>")

    def answer_evil_js(self) -> None:
        self.send(200, b"alert(1)", ("Content-Type", "text/javascript"))

    def answer_large(self) -> None:
        self.send(200, b"x" * (9 << 20))

    def answer_junk(self) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def answer_slow(self) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX: ")
        server: Any = self.server
        while not server.over.wait(0.2):
            self.wfile.write(b".")  # each byte in time, the whole never

    def send(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass

    def handle(self) -> None:
        try:
            super().handle()
        except ConnectionError:
            self.close_connection = True  # the gateway has heard enough


@pytest.fixture
def recorder() -> Iterator[Any]:
    server: Any = ThreadingHTTPServer(("127.0.0.1", 0), Recorder)
    server.daemon_threads = False
    server.asked, server.over = [], threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.over.set()
    server.shutdown()
    thread.join(5)
    server.server_close()


def test_nothing_of_the_visitor_reaches_the_remote(local: Any, recorder: Any) -> None:
    here = local(recorder.url)
    secrets = {
        "Cookie": "gway_1=secret",
        "Authorization": f"Bearer {here.state['token']}",
        "Proxy-Authorization": "Basic secret",
        "X-CSRF-Token": "secret",
        "X-Forwarded-For": "secret",
        "Referer": "http://secret/",
        "Connection": "keep-alive, X-Hop",
        "X-Hop": "secret",
    }
    answer = here.get("/page?a=1&b=%20%C3%A4", **secrets)
    assert (answer.status, answer.text) == (200, "<p>remote</p>")
    ((path, sent),) = recorder.asked
    assert path == "/page?a=1&b=%20%C3%A4"
    assert set(sent) <= {"host", "accept-encoding", "accept", "user-agent", "via"}
    assert "secret" not in str(sent)
    assert here.state["token"] not in str(sent)
    assert answer.headers["Set-Cookie"] is None
    assert answer.headers.get_all("X-Frame-Options") == ["DENY"]
    assert here.get(LOCAL_PAGE).status == 200
    here.get(LOCAL_PAGE, "POST", **secrets)
    here.get("/page", "POST", Authorization=secrets["Authorization"])
    assert len(recorder.asked) == 1, "what is local, and what would change something, is not asked"


def test_no_address_leads_out_of_the_remotes_base_or_into_a_page_of_ours(
    local: Any, recorder: Any
) -> None:
    here = local(f"{recorder.url}/base/app")
    for path in ("/..%2f..%2fadmin", "/a/..%2fb", "/.%2fx", "/a%5c..%5cb", "/%2e%2e/x"):
        assert here.get(path).status == 404, path
    assert here.get("/render/x/y", **{"X-GWAY-Fragment": "1"}).status == 404
    assert here.get("/x", **{"X-GWAY-Fragment": "1"}).status == 404
    assert recorder.asked == []
    shown = here.get("/page")
    assert [path for path, _ in recorder.asked] == ["/base/app/page"]
    policies = shown.headers.get_all("Content-Security-Policy")
    assert any("sandbox" in each and "script-src 'none'" in each for each in policies)


def test_a_remote_that_wants_a_sign_in_is_told_with_what_helps(local: Any, recorder: Any) -> None:
    here = local(recorder.url)
    assert "GWAY_WEB_PROXY_TOKEN" in here.get("/secret").text


def test_the_remotes_own_token_reaches_it_and_nobody_else(
    local: Any, recorder: Any, workspace: Path
) -> None:
    (workspace / ".env").write_text("GWAY_WEB_PROXY_TOKEN=given-by-the-remote\n")
    here = local(recorder.url)
    shown = here.get("/page", Authorization=f"Bearer {here.state['token']}")
    assert shown.text == "<p>remote</p>"
    ((_, sent),) = recorder.asked
    assert sent["authorization"] == "Bearer given-by-the-remote"
    assert "given-by-the-remote" not in f"{shown.headers} {here.log.read_text()}"


def test_a_token_is_not_sent_over_a_network_in_the_clear() -> None:
    with pytest.raises(UsageError, match="for all to read"):
        Forward("http://cloud.example", "given-by-the-remote")
    Forward("https://cloud.example", "given-by-the-remote")
    Forward("http://127.0.0.1:8889", "given-by-the-remote")


def test_a_remote_of_an_authority_of_ones_own_is_asked_when_that_is_named(
    local: Any, recorder: Any, workspace: Path
) -> None:
    authority = Authority(workspace)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("IP:127.0.0.1"))
    recorder.socket = context.wrap_socket(
        recorder.socket, server_side=True, do_handshake_on_connect=False
    )
    address = recorder.url.replace("http:", "https:")
    here = local(address)
    wary = here.get("/page")
    assert (wary.status, "no certificate that is trusted" in wary.text) == (502, True)
    assert recorder.asked == []
    here.end()
    (workspace / ".env").write_text(f"GWAY_WEB_PROXY_CA={authority.pem}\n")
    assert local(address).get("/page").text == "<p>remote</p>"
    with pytest.raises(GwayError, match="holds no certificates"):
        Forward(address, ca=str(workspace / ".env"))


def test_redirects_and_refusals_are_told_and_not_followed(local: Any, recorder: Any) -> None:
    here = local(recorder.url)
    for path, status in (("/moved", 502), ("/secret", 502), ("/broken", 502), ("/evil.js", 502)):
        answer = here.get(path)
        assert answer.status == status
        assert answer.headers["Location"] is None
        assert answer.headers["WWW-Authenticate"] is None
        assert "alert(1)" not in answer.text
        assert f'href="{recorder.url}' in answer.text, "to open it there"
    assert len(recorder.asked) == 4


def test_too_much_and_nonsense_are_told(local: Any, recorder: Any) -> None:
    here = local(recorder.url)
    large = here.get("/large")
    assert (large.status, "is over 8 MiB" in large.text) == (502, True)
    assert here.get("/junk").status == 503
    told = here.get("/api/junk")
    assert (told.status, json.loads(told.text)["status"]) == (503, 503)


def test_a_remote_that_never_ends_holds_nobody_up(local: Any, recorder: Any) -> None:
    here = local(recorder.url)
    answers: list[tuple[int, float]] = []

    def ask() -> None:
        began = time.monotonic()
        answers.append((here.get("/slow").status, time.monotonic() - began))

    threads = [threading.Thread(target=ask) for _ in range(10)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    while any(thread.is_alive() for thread in threads):
        began = time.monotonic()
        assert here.get(LOCAL_PAGE).status == 200
        slowest = max(slowest, time.monotonic() - began)
        threads[0].join(0.2)
    assert slowest < 2
    assert [status for status, _ in answers] == [503] * 10
    took = sorted(seconds for _, seconds in answers)
    assert took[1] < 2, "beyond eight at once nobody waits"
    assert 9 < took[-1] < 13
