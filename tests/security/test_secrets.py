"""Thirty secrets, planted wherever one can be told to a server: none is found again."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from base64 import b64encode
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from .conftest import Eventually, Serve, Server

CRASHING = '''
"""Fails with what it was given in its hands."""

def api_post_open(password: str = "", token: str = ""):
    """Open."""
    held = {"password": password, "token": token}
    raise RuntimeError(f"cannot open with {held} and Authorization: Bearer {token}")

def view_open(password: str = ""):
    """Open."""
    raise ValueError(f"password={password} is wrong")
'''
FORM = "application/x-www-form-urlencoded"


class Planted:
    """The secrets by what they are; each is a word that is nowhere else."""

    def __init__(self) -> None:
        self.words: dict[str, str] = {}

    def __call__(self, what: str, word: str = "") -> str:
        assert what not in self.words
        number = len(self.words)
        self.words[what] = word or f"Plnt{number:02}q{'xyzw'[number % 4] * 3}K{number * 7919}s"
        return self.words[what]


@pytest.fixture
def planted() -> Planted:
    return Planted()


def gway(workspace: Path, *words: str, stdin: str = "") -> Any:
    """Run a verb that answers in JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "gway", *words, "--json"],
        cwd=workspace,
        input=stdin,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    return json.loads(done.stdout or "null")


def own_up(server: Server, workspace: Path, planted: Planted) -> dict[str, str]:
    """Tell the server all the secrets of people; give the cookies of who signed in."""
    password = planted("password of an account")
    gway(workspace, "web.auth", "create-user", "ada", "--stdin", stdin=password + "\n")
    made = gway(workspace, "web.auth", "create-user", "bob")["password"]
    planted("password that was made", made)
    old = planted("password that was changed")
    gway(workspace, "web.auth", "create-user", "eve", "--stdin", stdin=old + "\n")
    changed = planted("password it was changed to")
    gway(workspace, "web.auth", "passwd", "eve", "--stdin", stdin=changed + "\n")
    token = planted("API token", gway(workspace, "web.auth", "token", "ci")["token"])
    server.ask("GET", "/api/ocpp/csms/chargers", headers={"Authorization": f"Bearer {token}"})
    revoked = gway(workspace, "web.auth", "token", "gone")["token"]
    planted("API token that was revoked", revoked)
    gway(workspace, "web.auth", "revoke-token", "gone")
    server.ask("GET", "/metrics", headers={"Authorization": f"Bearer {revoked}"})
    return signed_in(server, planted, password)


def signed_in(server: Server, planted: Planted, password: str) -> dict[str, str]:
    origin = {"Authorization": "", "Origin": server.record["url"], "Content-Type": FORM}
    page = server.ask("GET", "/web/auth/login", headers={"Authorization": ""})
    cookie = page.header("Set-Cookie").partition(";")[0]
    planted("cookie of a browser", cookie.partition("=")[2])
    csrf = re.findall(r'name="csrf" value="(\w+)"', page.text)[0]
    planted("CSRF token", csrf)
    tries = [
        ("ada", planted("wrong password")),
        (planted("password in the place of a name"), "nothing at all"),
        ("ada", password),
    ]
    for name, word in tries:
        body = urlencode({"csrf": csrf, "name": name, "password": word}).encode()
        answer = server.ask("POST", "/web/auth/login", body, {**origin, "Cookie": cookie})
        assert word not in answer.text
    session = answer.header("Set-Cookie").partition(";")[0]
    planted("cookie of a session", session.partition("=")[2])
    return {"Authorization": "", "Cookie": f"{cookie}; {session}"}


def blab(server: Server, planted: Planted) -> None:
    """Tell secrets where nobody asked for them."""
    basic = b64encode(f"ada:{planted('password by Basic')}".encode()).decode()
    planted("password by Basic, in base64", basic)
    odd = b64encode(planted("Basic without a colon").encode()).decode()
    password = planted("password in a query")
    headers: list[dict[str, str]] = [
        {"Authorization": f"Basic {basic}"},
        {"Authorization": f"Basic {odd}"},
        {"Authorization": f"Bearer {planted('wrong bearer token')}"},
        {"Authorization": f"Digest response={planted('digest')}"},
        {"Proxy-Authorization": f"Bearer {planted('token for a proxy')}"},
        {"Cookie": f"other={planted('cookie of another site')}"},
        {"X-Api-Key": planted("API key")},
        {"X-CSRF-Token": planted("wrong CSRF token")},
        {"Referer": f"https://ada:{planted('password in a referrer')}@example.com/"},
        {"Origin": f"https://ada:{planted('password in an origin')}@example.com"},
    ]
    for each in headers:
        for method in ("GET", "POST"):
            server.ask(method, "/ocpp/csms/charger-status", headers=each)
    server.ask("GET", f"/ocpp/csms/charger-status?password={password}")
    server.ask("GET", f"/api/ocpp/csms/chargers?token={planted('token in a query')}")
    server.ask("GET", f"/crash/open?password={planted('password in a page that fails')}")
    for what, kind, body in (
        ("password in a call that fails", "application/json", '{"password": "%s"}'),
        ("token in a call that fails", "application/json", '{"token": "%s"}'),
        ("password in broken JSON", "application/json", '{"password": "%s",}'),
        ("password in a form", FORM, "secret=%s"),
        ("password in text", "text/plain", "password=%s"),
    ):
        sent = (body % planted(what)).encode()
        server.ask("POST", "/api/crash/open", sent, {"Content-Type": kind})


def whisper(server: Server, workspace: Path, planted: Planted, wait: Eventually) -> None:
    """Let a charger and its keys be known to the server."""
    key = planted("key of a charger")
    command = [sys.executable, "-m", "gway", "ocpp.keys", "set-key", "CP1"]
    subprocess.run(
        command, cwd=workspace, input=key + "\n", text=True, check=True, capture_output=True
    )
    assert server.refusal("CP1", planted("wrong key")).status == 401
    server.charger("CP9", planted("key of a charger without one")).call("Heartbeat")
    charger = server.charger("CP1", key)
    charger.call("BootNotification", {"chargePointVendor": "A", "chargePointModel": "B"})
    given = planted("key by ChangeConfiguration")
    words = {"key": "AuthorizationKey", "value": given}
    send(server, "ChangeConfiguration", words)
    asked = charger.receive()
    while asked[0] != 2 or asked[2] != "ChangeConfiguration":
        asked = charger.receive()
    assert asked[3] == words
    charger.send(json.dumps([3, asked[1], {"status": "Accepted"}]))
    send(server, "GetConfiguration", {"key": ["AuthorizationKey"]})
    asked = charger.receive()
    while asked[0] != 2 or asked[2] != "GetConfiguration":
        asked = charger.receive()
    row = {
        "key": "AuthorizationKey",
        "readonly": False,
        "value": planted("key that a charger tells"),
    }
    charger.send(json.dumps([3, asked[1], {"configurationKey": [row]}]))
    wait(lambda: "Heartbeat" not in str(charger.call("Heartbeat")))


def send(server: Server, action: str, payload: dict[str, Any]) -> None:
    words = {"charger_id": "CP1", "action": action, "payload": payload, "wait_s": 0}
    assert server.ask("POST", "/api/ocpp/csms/send", json.dumps(words).encode()).status == 200


def everything(server: Server, workspace: Path, cookies: dict[str, str]) -> dict[str, str]:
    """Give all that can be read afterwards, by where."""
    work = workspace / "work"
    found = {"logs": server.logs}
    for database in work.rglob("*.sqlite"):
        with closing(sqlite3.connect(database)) as connection:
            found[database.name] = "\n".join(connection.iterdump())
    for file in work.rglob("*"):
        if file.is_file() and file.name != "server.json":
            found[str(file)] = file.read_bytes().decode("latin-1")
    process = Path(f"/proc/{server.process.pid}/cmdline")
    found["command line"] = process.read_text()
    pages = ["/", "/metrics", "/openapi.json", "/web/auth/users", "/web/auth/tokens"]
    pages += ["/web/auth/account", "/web/auth/user?name=ada", "/web/nav/site-map", "/readyz"]
    pages += [f"/ocpp/csms/charger-{name}" for name in ("status", "detail?charger_id=CP1")]
    pages += [
        f"/api/ocpp/csms/{name}?charger_id=CP1" for name in ("chargers", "commands", "messages")
    ]
    pages += ["/api/ocpp/keys/list", "/ocpp/data/charger-summary", "/render/ocpp/csms/message-log"]
    pages += ["/render/ocpp/csms/command-log?charger_id=CP1", "/web/auth/users.json"]
    for page in pages:
        found[page] = server.ask("GET", page).text
        found[f"{page} of ada"] = server.ask("GET", page, headers=cookies).text
    return found


def test_no_secret_is_found_in_logs_pages_databases_or_the_command_line(
    serve: Serve, workspace: Path, planted: Planted, eventually: Eventually
) -> None:
    (workspace / "projects/crash.py").write_text(CRASHING)
    server = serve("ocpp.keys", "crash", "web.nav")
    planted("token of the server", server.record["token"])
    whisper(server, workspace, planted, eventually)
    cookies = own_up(server, workspace, planted)
    blab(server, planted)
    assert len(planted.words) >= 30
    eventually(lambda: "RuntimeError" in server.logs and "ValueError" in server.logs)
    found = everything(server, workspace, cookies)
    assert "Your account" in found["/web/auth/account of ada"]
    assert "CREATE TABLE users" in found["accounts.sqlite"]
    shown = [
        (what, where)
        for what, word in planted.words.items()
        for where, text in found.items()
        if word in text and not (what == "CSRF token" and where.endswith(" of ada"))
    ]
    assert shown == []


def test_the_log_says_who_signed_in_and_who_did_not(
    serve: Serve, workspace: Path, planted: Planted, eventually: Eventually
) -> None:
    server = serve()
    own_up(server, workspace, planted)
    for words in (
        "wrong password for ada from 127.0.0.1",
        "wrong password for an unknown name from 127.0.0.1",
        "ada signed in from 127.0.0.1",
    ):
        eventually(lambda: words in server.logs)  # noqa: B023
