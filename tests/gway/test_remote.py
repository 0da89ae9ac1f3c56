from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from gway import remote
from gway.errors import GwayError, UsageError

PROJECT = '''
from datetime import datetime
from gway import access, live

@live
def send(charger_id: str, action: str, payload: dict[str, object] | None = None):
    """Send a command."""
    return "here"

@access(role="operator", method="POST")
def api_send(charger_id: str, action: str, payload: dict[str, object] | None = None): ...

@live
def chargers(*, status: list[str] | None = None, since: datetime | None = None): ...

def api_chargers(*, status: list[str] | None = None, since: datetime | None = None): ...

def api_put_tag(tag: str): ...

def view_summary(): ...

def local(): ...
'''


class Recorder(BaseHTTPRequestHandler):
    """Notes requests and answers what it was told to."""

    def handle_any(self):
        length = int(self.headers.get("Content-Length") or 0)
        self.server.asked.append(
            {
                "method": self.command,
                "path": urlsplit(self.path).path,
                "query": parse_qs(urlsplit(self.path).query),
                "body": json.loads(self.rfile.read(length)) if length else None,
                "token": self.headers.get("Authorization"),
            }
        )
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = do_DELETE = handle_any

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = HTTPServer(("127.0.0.1", 0), Recorder)
    server.asked = []
    server.answer = (200, {}, b'{"status": "Accepted"}')
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join(5)
    server.server_close()


@pytest.fixture
def shop(gw, write, server):
    write("projects/shop.py", PROJECT)
    record = {"url": server.url, "ws_url": "ws://x", "pid": os.getpid(), "token": "s3cret"}
    write("work/server.json", json.dumps(record))
    return gw.shop


def test_a_live_verb_is_forwarded_to_the_server_of_the_workspace(shop, server):
    assert shop.send("CP1", action="Reset", payload={"type": "Soft"}) == {"status": "Accepted"}
    assert server.asked == [
        {
            "method": "POST",
            "path": "/api/shop/send",
            "query": {},
            "body": {"charger_id": "CP1", "action": "Reset", "payload": {"type": "Soft"}},
            "token": "Bearer s3cret",
        }
    ]


def test_a_reading_verb_asks_by_query(shop, server, clock):
    shop.chargers(status=["Charging", "Faulted"], since=clock())
    assert server.asked[0]["method"] == "GET"
    assert server.asked[0]["query"] == {
        "status": ["Charging", "Faulted"],
        "since": ["2024-05-17T12:00:00+00:00"],
    }


def test_any_verb_with_an_api_function_runs_at_a_url(shop, server, cli):
    done = cli("--at", server.url, "--json", "shop", "api-put-tag", "A1")
    assert (done.code, json.loads(done.stdout)) == (0, {"status": "Accepted"})
    assert server.asked[0] | {"token": ""} == {
        "method": "PUT",
        "path": "/api/shop/tag",
        "query": {},
        "body": {"tag": "A1"},
        "token": "",
    }


def test_a_page_is_asked_for_as_json(shop, server, cli):
    assert cli("shop", "view-summary", "--at", server.url).code == 0
    assert server.asked[0]["path"] == "/shop/summary.json"


def test_a_verb_without_an_api_function_does_not_run_at_a_url(shop, server, cli):
    done = cli("--at", server.url, "shop", "local")
    assert done.code == 2
    assert "'local' of shop does not run on a server" in done.stderr
    assert server.asked == []


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (
            (404, {}, b'{"error": "no charger CP1", "hint": "see chargers"}'),
            r"no charger CP1 \(404\)",
        ),
        ((500, {}, b"<html>"), r"Internal Server Error \(500\)"),
        (
            (302, {"Location": "http://elsewhere/"}, b""),
            r"sends us on to http://elsewhere/, where no token goes \(302\)",
        ),
        ((200, {}, b"<html>"), "did not answer with JSON"),
    ],
)
def test_a_refusal_is_one_sentence(shop, server, answer, message):
    server.answer = answer
    with pytest.raises(GwayError, match=message):
        shop.send("CP1", "Reset")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "said", "hint"),
    [
        (401, {"error": "no", "hint": "send a header"}, "web.auth token NAME"),
        (404, {"error": "there is nothing at /api/shop/send"}, "web app setup-app"),
        (404, {"error": "no charger CP1", "hint": "see them all"}, "see them all"),
    ],
)
def test_the_hint_of_a_refusal_fits_a_command_line(shop, server, status, said, hint):
    server.answer = (status, {}, json.dumps(said).encode())
    with pytest.raises(GwayError) as caught:
        shop.send("CP1", "Reset")
    assert hint in (caught.value.hint or "")


def test_a_server_that_died_counts_as_none(shop, gw, write):
    write("work/server.json", json.dumps({"url": "http://127.0.0.1:1", "pid": 2**22 + 1}))
    with pytest.raises(GwayError, match="needs a running server"):
        shop.send("CP1", "Reset")


def test_a_server_that_does_not_answer_is_named(shop, gw, server):
    server.server_close()
    said = f"{server.url} does not answer|nothing answers at {server.url}"  # reset, or refused
    with pytest.raises(GwayError, match=said):
        remote.request(gw, remote.Server(server.url, ""), "GET", "/", {})


def test_a_port_where_nobody_listens_is_a_sentence_with_a_hint(shop, gw):
    with pytest.raises(GwayError, match=r"^nothing answers at http://127\.0\.0\.1:1$") as caught:
        remote.request(gw, remote.Server("http://127.0.0.1:1", ""), "GET", "/", {})
    assert "is the server running" in (caught.value.hint or "")


def test_a_damaged_record_is_an_error(gw, write):
    write("work/server.json", "{")
    with pytest.raises(GwayError, match=r"server\.json cannot be read"):
        remote.recorded(gw)


def test_a_token_is_only_for_its_own_server(shop, gw, server):
    assert remote.at(gw, server.url).token == "s3cret"
    assert remote.at(gw, server.url.replace("127.0.0.1", "localhost")).token == "s3cret"
    assert remote.at(gw, "http://127.0.0.1:1").token == ""


@pytest.mark.parametrize("host", ["example.com", "127.evil.example", "127.0.0.1.example", "[::2]"])
def test_a_token_is_never_sent_in_the_clear_to_the_network(gw, host):
    gw.settings.override("TOKEN", "abc")
    with pytest.raises(UsageError, match="not sent in the clear"):
        remote.at(gw, f"http://{host}")
    assert remote.at(gw, f"https://{host}/gw/").url == f"https://{host}/gw"
    assert remote.at(gw, f"http://{host}", plain=True).token == "abc"


def test_a_redirect_to_elsewhere_is_not_sent_the_token(shop, server):
    server.answer = (302, {"Location": f"{server.url}/elsewhere"}, b"")
    with pytest.raises(GwayError, match="where no token goes"):
        shop.send("CP1", "Reset")
    assert len(server.asked) == 1


@pytest.mark.parametrize("url", ["ftp://x", "http://", "", "http://x:y", "http://[::1"])
def test_only_http_addresses_are_taken(gw, url):
    with pytest.raises(UsageError, match="no http address"):
        remote.at(gw, url)


def test_an_address_with_a_password_is_refused_and_not_shown(gw):
    with pytest.raises(UsageError) as caught:
        remote.at(gw, "http://ada:s3cret@127.0.0.1:8888")
    assert "s3cret" not in caught.value.message


# --- where the token comes from ----------------------------------------------


@pytest.fixture
def kept(workspace):
    """Write a token into a file that only its owner may read."""

    def write(text, mode=0o600):
        path = workspace / "token.txt"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def sent(server):
    return server.asked[-1]["token"]


def test_a_token_comes_from_a_file_the_environment_or_the_env_file(
    shop, server, cli, kept, write, monkeypatch
):
    words = ("--at", server.url, "shop", "api-put-tag", "A1")
    write(".env", "GWAY_TOKEN=from-env-file")
    assert cli(*words).code == 0
    assert sent(server) == "Bearer from-env-file"
    monkeypatch.setenv("GWAY_TOKEN", "from-environment")
    cli(*words)
    assert sent(server) == "Bearer from-environment"
    cli("--token-file", kept(" from-file\n"), *words)
    assert sent(server) == "Bearer from-file"
    cli(*words, "--token-file", kept("after-the-verb"))
    assert sent(server) == "Bearer after-the-verb"


@pytest.mark.parametrize(
    ("text", "mode", "message"),
    [("abc", 0o644, "others may read"), ("", 0o600, "is no token"), ("a\nb", 0o600, "is no token")],
)
def test_a_token_file_that_cannot_be_trusted_is_refused(
    shop, server, cli, kept, text, mode, message
):
    done = cli("--token-file", kept(text, mode), "--at", server.url, "shop", "chargers")
    assert (done.code > 0, message in done.stderr) == (True, True)
    assert "abc" not in done.stderr
    assert server.asked == []


def test_a_token_is_never_taken_from_the_command_line(shop, server, cli):
    done = cli("--set", "TOKEN=abc", "--at", server.url, "shop", "chargers")
    assert (done.code, "no place for a secret" in done.stderr) == (2, True)
    assert "abc" not in done.stderr
    assert cli("--token", "abc", "--at", server.url, "shop", "chargers").code == 2
    assert server.asked == []


def test_a_person_is_asked_for_a_missing_token_once(shop, server, gw, monkeypatch):
    asked = []
    monkeypatch.setattr("gway.credentials.ask_token", lambda url: asked.append(url) or "typed")
    server.answer = (401, {}, b"{}")
    at = remote.at(gw, server.url)._replace(token="")
    with pytest.raises(GwayError):
        remote.request(gw, at, "GET", "/api/shop/chargers", {})
    assert asked == [server.url]
    assert [each["token"] for each in server.asked] == [None, "Bearer typed"]
    away = at._replace(url="http://example.invalid")
    assert away.in_the_clear


@pytest.mark.parametrize(
    ("status", "headers", "said", "hint"),
    [
        (403, {}, "this needs the role operator, you are viewer", "--role ROLE"),
        (429, {"Retry-After": "17"}, "too many", "try again in 17 s"),
        (503, {"Retry-After": "5"}, "starting", "try again in 5 s"),
    ],
)
def test_each_refusal_says_what_to_do(shop, server, status, headers, said, hint):
    server.answer = (status, headers, json.dumps({"error": said}).encode())
    with pytest.raises(GwayError, match=said) as caught:
        shop.chargers()
    assert hint in caught.value.hint


# --- pages -------------------------------------------------------------------


def test_a_page_from_a_server_is_shown_as_one_from_here(shop, server, cli):
    page = {"sessions": 3, "rows": [{"charger": "CP1", "energy_wh": 7}]}
    server.answer = (200, {}, json.dumps(page).encode())
    words = ("--at", server.url, "shop", "view-summary")
    assert cli(*words).stdout == "sessions  3\n\ncharger  energy_wh\nCP1              7\n"
    assert json.loads(cli(*words, "--json").stdout) == page
    server.answer = (200, {"Content-Type": "text/csv; charset=utf-8"}, b"charger\r\nCP1\r\n")
    assert cli(*words, "--csv").stdout == "charger\r\nCP1\r\n"
    assert server.asked[-1]["path"] == "/shop/summary.csv"
    server.answer = (200, {"Content-Type": "text/html"}, b"<p>CP1</p>")
    assert cli(*words, "--html").stdout == "<p>CP1</p>\n"
    assert server.asked[-1]["path"] == "/shop/summary"
    assert cli(*words, "--csv").code == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_a_certificate_is_checked_and_one_of_your_own_can_be_trusted(shop, server, gw, tmp_path):
    pem, key = tmp_path / "own.pem", tmp_path / "own.key"
    command = "openssl req -x509 -nodes -days 2 -newkey rsa:2048 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(pem)]
    subprocess.run([*command.split(), *names], check=True, capture_output=True, timeout=30)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *args: None  # the handshake that we break off
    at = remote.Server(f"https://localhost:{server.server_port}", "s3cret")
    with pytest.raises(GwayError, match="no certificate that is trusted here") as caught:
        remote.request(gw, at, "GET", "/api/shop/chargers", {})
    assert "GWAY_REMOTE_CA" in caught.value.hint
    assert server.asked == [], "the token was not told to a stranger"
    gw.settings.override("REMOTE_CA", str(pem))
    assert remote.request(gw, at, "GET", "/api/shop/chargers", {}) == {"status": "Accepted"}
    assert server.asked[0]["token"] == "Bearer s3cret"
