"""What programs show: API tokens, and name and password with each request."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from gway.projects.web.auth import auth
from gway.projects.web.auth.accounts import Accounts
from gway.web.auth import Gate
from gway.web.reply import Problem
from gway.web.routes import Site
from tests.visitors import PASSWORD, Browser, bearer


@pytest.fixture
def program(site: Site) -> Browser:
    return Browser(site, accept="*/*", origin=None)


def basic(name: str, password: str = PASSWORD) -> dict[str, str]:
    return {"AUTHORIZATION": "Basic " + b64encode(f"{name}:{password}".encode()).decode()}


def post_item(program: Browser, **headers: str) -> int:
    return program.send(
        "POST", "/api/shop/item", b'{"item":"pen"}', "application/json", headers
    ).status


# --- API tokens ---


def test_a_token_does_what_its_role_may(people: Accounts, program: Browser) -> None:
    roles = {"viewer": [200, 403, 403], "operator": [200, 200, 403], "admin": [200, 200, 200]}
    for role, expected in roles.items():
        text = bearer(auth.token(role, role=role).token)  # type: ignore[arg-type]
        found = [
            program.get("/api/shop/items", **text).status,
            post_item(program, **text),
            program.get("/shop/safe", **text).status,
        ]
        assert found == expected


def test_a_token_that_expired_or_was_revoked_is_a_401(
    people: Accounts, program: Browser, clock: Any
) -> None:
    short = bearer(auth.token("short", expires=1).token)
    long = bearer(auth.token("long").token)
    clock.advance(hours=23)
    assert program.get("/api/shop/items", **short).status == 200
    clock.advance(hours=1)
    answer = program.get("/api/shop/items", **short)
    assert (answer.status, answer.headers["www-authenticate"][:6]) == (401, "Bearer")
    assert program.get("/api/shop/items", **long).status == 200
    auth.revoke_token("long")
    assert program.get("/api/shop/items", **long).status == 401


def test_the_last_use_of_a_token_is_noted(people: Accounts, program: Browser, clock: Any) -> None:
    text = auth.token("ci").token
    program.get("/api/shop/items", **bearer(text))
    first = auth.tokens()[0].used_at
    assert first == clock.at
    clock.advance(minutes=10)
    program.get("/api/shop/items", **bearer(text))
    assert auth.tokens()[0].used_at == clock.at


def test_a_wrong_token_is_not_made_up_for_by_a_session(people: Accounts, browser: Browser) -> None:
    browser.sign_in("ada")
    assert browser.get("/api/shop/items", AUTHORIZATION="Bearer gway_wrong").status == 401


# --- HTTP Basic ---


def test_without_config_basic_no_password_is_taken(people: Accounts, program: Browser) -> None:
    answer = program.get("/api/shop/items", **basic("ada"))
    assert answer.status == 401
    assert "config-basic" in answer.json["hint"]
    assert "www-authenticate" not in answer.headers


def test_with_config_basic_even_this_machine_signs_in_and_a_start_needs_an_account(
    accounts: Accounts, program: Browser, gw: Any
) -> None:
    assert program.get("/api/shop/items").status == 200
    auth.config_basic()
    assert program.get("/api/shop/items").status == 401
    with pytest.raises(Problem, match="requires a sign-in and no user account") as caught:
        gw.service(Gate).bind("127.0.0.1")
    assert "gway web.auth create-user" in str(caught.value.hint)
    accounts.create("ada", PASSWORD)
    gw.service(Gate).bind("127.0.0.1")
    assert program.get("/api/shop/items", **basic("ada")).status == 200


def test_programs_are_asked_for_a_password_and_browsers_are_not(
    people: Accounts, site: Site
) -> None:
    auth.config_basic(realm="Depot")
    answer = Browser(site, accept="*/*").get("/api/shop/items")
    assert answer.headers["www-authenticate"] == 'Basic realm="Depot", charset="UTF-8"'
    answer = Browser(site, accept="*/*").get("/api/shop/items", SEC_FETCH_SITE="same-origin")
    assert answer.headers["www-authenticate"] == 'Bearer realm="gway"'


def test_a_right_password_is_hashed_once(
    people: Accounts, program: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    auth.config_basic()
    checks: list[str] = []
    check = people.guard.check
    monkeypatch.setattr(
        people.guard,
        "check",
        lambda users, name, *more: checks.append(name) or check(users, name, *more),
    )
    for _ in range(20):
        assert program.get("/api/shop/items", **basic("Vito")).status == 200
    assert checks == ["Vito"]
    people.set_password("vito", "another good password")
    assert program.get("/api/shop/items", **basic("vito")).status == 401
    assert program.get("/api/shop/items", **basic("vito", "another good password")).status == 200


def test_wrong_passwords_are_limited_as_on_the_sign_in(people: Accounts, site: Site) -> None:
    auth.config_basic(realm="Depot")
    statuses = []
    for number in range(7):
        program = Browser(site, accept="*/*", origin=None)
        answer = program.get("/api/shop/items", **basic("ada", f"wrong {number}"))
        statuses.append(answer.status)
        if answer.status == 401:
            assert answer.headers["www-authenticate"] == 'Basic realm="Depot", charset="UTF-8"'
    assert statuses == [401] * 5 + [429] * 2


@pytest.mark.parametrize("header", ["Basic", "Basic !!!", "Basic " + b64encode(b"nocolon").decode(),
                                    "Basic " + b64encode(b"\xff:x").decode()])  # fmt: skip
def test_what_cannot_be_read_is_a_400(people: Accounts, program: Browser, header: str) -> None:
    auth.config_basic()
    assert program.get("/api/shop/items", AUTHORIZATION=header).status == 400


def test_a_program_changes_things_with_a_password_but_another_site_does_not(
    people: Accounts, program: Browser
) -> None:
    """A browser that was told name and password once sends them along by itself."""
    auth.config_basic()
    assert post_item(program, **basic("olga")) == 200
    assert post_item(program, **basic("vito")) == 403
    assert post_item(program, **basic("olga"), ORIGIN="http://evil.example") == 403
    assert post_item(program, **basic("olga"), SEC_FETCH_SITE="cross-site") == 403
    assert post_item(program, **basic("olga"), SEC_FETCH_SITE="same-origin") == 403  # no token


@pytest.mark.parametrize("realm", ['a"b', "a\nb", "é", "a\\b"])
def test_a_realm_cannot_end_its_header(people: Accounts, realm: str) -> None:
    with pytest.raises(Exception, match="cannot be a realm"):
        auth.config_basic(realm=realm)
