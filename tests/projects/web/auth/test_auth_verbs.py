"""The verbs about accounts, with and without a server beside them."""

from __future__ import annotations

import json
import os
import pty
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gway.errors import GwayError, UnknownName, UsageError
from gway.projects.web.auth import auth
from gway.projects.web.auth.accounts import Accounts, checked_name
from gway.projects.web.auth.passwords import (
    COST,
    check_password,
    hash_password,
    is_password,
    new_password,
)
from tests.visitors import PASSWORD, Browser

Run = Callable[..., Any]


@pytest.fixture
def work(workspace: Path) -> Path:
    return workspace / "work"


# --- passwords ---


@pytest.mark.parametrize(
    "password", ["", "short", "elevenchars", "x" * 257, "a" * 20, "adaadaadaada", "ADAadaADAada"]
)
def test_a_short_password_and_the_own_name_are_refused_and_not_shown(password: str) -> None:
    with pytest.raises(UsageError) as caught:
        check_password(password, "ada")
    assert not password or password not in f"{caught.value.message} {caught.value.hint}"


@pytest.mark.parametrize(
    "password", ["aaaaaabbbbbbc", "lower case words", "密码密码密码密码密码密码a", "x y" * 85]
)
def test_no_rule_but_length_is_made_about_characters(password: str) -> None:
    assert check_password(password, "ada") == password


def test_a_password_is_the_same_on_every_keyboard() -> None:
    hashed = hash_password("Ångström ﬁnished")
    assert is_password("A\u030angstro\u0308m finished", hashed)
    assert not is_password("angstrom finished", hashed)


def test_a_hash_takes_16_mib_and_says_so() -> None:
    assert 128 * COST.n * COST.r == 16 * 1024 * 1024
    assert COST.p >= 5


def test_made_passwords_are_long_and_differ() -> None:
    made = {new_password() for _ in range(100)}
    assert len(made) == 100
    assert all(check_password(password, "ada") for password in made)


@pytest.mark.parametrize("name", ["", ".", "a b", "-a", "a-", "a/b", "é", "x" * 65, "<b>", "a\n"])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(UsageError):
        checked_name(name if name != "a\n" else "a\nb")


# --- verbs in this process ---


def test_the_first_account_is_an_admins_and_the_next_a_viewers(accounts: Accounts) -> None:
    assert [auth.create_user(name)["role"] for name in ("Ada", "bob")] == ["admin", "viewer"]
    assert [(row.name, row.role) for row in auth.list()] == [("ada", "admin"), ("bob", "viewer")]
    with pytest.raises(UsageError, match="already"):
        auth.create_user("ADA")


def test_somebody_who_is_no_admin_cannot_be_the_first(accounts: Accounts) -> None:
    with pytest.raises(UsageError, match="would be the first account"):
        auth.create_user("bob", role="viewer")
    assert auth.list() == []


def test_the_last_admin_stays_unless_it_is_insisted(people: Accounts) -> None:
    for attempt in (lambda: auth.delete("ada"), lambda: auth.role("ada", "operator")):
        with pytest.raises(UsageError, match="last admin"):
            attempt()
    auth.role("olga", "admin")
    auth.role("ada", "viewer")
    with pytest.raises(UsageError, match="last admin"):
        auth.delete("OLGA")
    auth.delete("olga", force=True)
    assert [(row.name, row.role) for row in auth.list()] == [("ada", "viewer"), ("vito", "viewer")]


@pytest.mark.parametrize(
    "verb",
    [
        lambda: auth.passwd("nobody"),
        lambda: auth.delete("nobody"),
        lambda: auth.role("nobody", "admin"),
        lambda: auth.sessions("nobody"),
        lambda: auth.sign_out("nobody"),
        lambda: auth.revoke_token("nobody"),
    ],
)
def test_who_does_not_exist_is_named(people: Accounts, verb: Callable[[], object]) -> None:
    with pytest.raises(UnknownName, match="nobody"):
        verb()


def test_a_token_is_listed_without_its_text_and_expires(people: Accounts, clock: Any) -> None:
    made = auth.token("ci", role="operator", expires=2)
    assert made.token.startswith("gway_")
    assert len(made.token) > 45
    (row,) = auth.tokens()
    assert (row.name, row.role, row.state, row.used_at) == ("ci", "operator", "valid", None)
    assert made.token not in repr(row)
    clock.advance(days=2)
    assert auth.tokens()[0].state == "expired"
    with pytest.raises(UsageError, match="already"):
        auth.token("ci")
    auth.revoke_token("CI")
    assert auth.tokens() == []


@pytest.mark.parametrize("days", [0, -1, 1e9, float("nan")])
def test_a_token_expires_in_the_future(people: Accounts, days: float) -> None:
    with pytest.raises(UsageError, match="cannot expire"):
        auth.token("ci", expires=days)


def test_a_damaged_database_stops_the_start_and_stays_as_it_is(
    gw: Any, site: Any, work: Path
) -> None:
    work.mkdir()
    (work / "accounts.sqlite").write_bytes(b"no database" * 1000)
    gw.load("web.auth")
    with pytest.raises(GwayError, match="damaged"):
        gw.service(Accounts).watch(site)
    assert (work / "accounts.sqlite").read_bytes() == b"no database" * 1000


def test_while_the_accounts_cannot_be_read_nobody_comes_in(
    accounts: Accounts, browser: Browser, work: Path
) -> None:
    assert browser.get("/shop/shelf").status == 200
    work.mkdir(exist_ok=True)
    (work / "accounts.sqlite").write_bytes(b"no database" * 1000)
    for _ in range(3):
        answer = browser.get("/shop/shelf")
        assert answer.status == 503
        assert str(work) not in answer.text
    (work / "accounts.sqlite").unlink()
    assert browser.get("/shop/shelf").status == 200


# --- the command line ---


def test_no_page_takes_a_password_from_a_command_line(people: Accounts) -> None:
    for attempt in (
        lambda: auth.view_post_create_user("eve", password=PASSWORD),
        lambda: auth.view_post_set_password("vito", password="another good one"),
        lambda: auth.view_post_login("ada", PASSWORD),
    ):
        with pytest.raises(UsageError, match="for browsers"):
            attempt()
    assert len(auth.list()) == 3


def test_a_made_password_is_printed_once_and_fits(run: Run, work: Path) -> None:
    made = json.loads(run("web.auth", "create-user", "ada", "--json").stdout)
    assert made["role"] == "admin"
    assert len(made["password"]) == 20
    assert stat.S_IMODE((work / "accounts.sqlite").stat().st_mode) == 0o600
    listed = run("web", "auth", "list")
    assert "ada" in listed.stdout
    assert made["password"] not in listed.stdout
    dump = b"".join(path.read_bytes() for path in work.rglob("*") if path.is_file())
    assert made["password"].encode() not in dump


def test_a_password_comes_from_standard_input(run: Run, work: Path) -> None:
    ran = run("web.auth", "create-user", "ada", "--stdin", stdin=PASSWORD + "\n")
    assert (ran.code, PASSWORD in ran.stdout + ran.stderr) == (0, False)
    for text, words in (("short\n", "12 characters"), ("\n", "no password")):
        ran = run("web.auth", "passwd", "ada", "--stdin", stdin=text)
        assert ran.code == 2
        assert words in ran.stderr
    ran = run("web.auth", "create-user", "eve", "--password", PASSWORD)
    assert ran.code == 2  # a command line is read by everybody on the machine


def test_a_terminal_is_asked_twice(workspace: Path) -> None:
    code, said = talk(workspace, "ada", PASSWORD, "another " + PASSWORD)
    assert (code, "two different passwords" in said) == (2, True)
    code, said = talk(workspace, "ada", "\x04")  # the end of the input
    assert code == 130
    assert "cancelled: there was no answer, and nothing was changed" in said
    assert talk(workspace, "ada", PASSWORD, PASSWORD)[0] == 0
    code, said = talk(workspace, "ada")
    assert code == 2
    assert "there is an account 'ada' already" in said
    assert "Password of" not in said
    database = sqlite3.connect(workspace / "work/accounts.sqlite")
    assert database.execute("SELECT name, role FROM users").fetchall() == [("ada", "admin")]
    database.close()


def talk(workspace: Path, name: str, *answers: str) -> tuple[int, str]:
    """Run create-user on a terminal of its own; give its exit code and what it said."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "gway", "web.auth", "create-user", name],
        cwd=workspace,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: __import__("fcntl").ioctl(0, __import__("termios").TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = b""
    for question, answer in zip((b"Password of", b"again: "), answers, strict=False):
        while question not in said:
            said += os.read(ours, 1024)
        os.write(ours, answer.encode() + b"\n")
    while True:
        try:
            more = os.read(ours, 1024)
        except OSError:
            break
        said += more
        if not more:
            break
    os.close(ours)
    text = said.decode()
    assert all(answer not in text for answer in answers)
    return process.wait(10), text
