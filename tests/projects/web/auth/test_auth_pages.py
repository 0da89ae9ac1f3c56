"""The pages about accounts: one's own, everybody's, tokens."""

from __future__ import annotations

import json
import re

import pytest

from gway.errors import UsageError
from gway.projects.web.auth.accounts import Accounts
from gway.web.routes import Site
from tests.visitors import PASSWORD, Browser, bearer

NEW = "a much better one"


@pytest.fixture
def ada(people: Accounts, browser: Browser) -> Browser:
    browser.sign_in("ada")
    return browser


def secret_of(page: str) -> str:
    found = re.search(r'auth-secret">([^<]+)<', page)
    assert found is not None
    return found[1]


def test_one_sees_where_one_is_signed_in_and_ends_what_one_likes(
    ada: Browser, people: Accounts
) -> None:
    other = Browser(ada.site, address="127.0.0.9")
    other.sign_in("ada")
    page = ada.get("/web/auth/account").text
    assert page.count("This browser") == 1
    assert "127.0.0.9" in page
    (session,) = re.findall(r'name="session" value="(\w+)"', page)
    assert ada.post("/web/auth/end-session", {"session": session}).status == 303
    assert other.get("/shop/shelf").status == 303
    assert ada.get("/shop/shelf").status == 200
    assert ada.post("/web/auth/end-session", {"session": session}).status == 400


def test_where_one_is_signed_in_is_sorted_and_filtered(ada: Browser) -> None:
    other = Browser(ada.site, address="127.0.0.9")
    other.sign_in("ada")
    told = json.loads(ada.get("/web/auth/account.json?sort=address&q=127.0.0.9").text)
    assert [row["address"] for row in told["rows"]] == ["127.0.0.9"]
    assert 'class="table"' in ada.get("/web/auth/account").text
    assert ada.get("/web/auth/account?sort=nonsense").status == 400


def test_nobody_ends_the_session_of_another(ada: Browser, people: Accounts) -> None:
    vito = Browser(ada.site)
    vito.sign_in("vito")
    session = people.sessions("ada")[0].id
    assert vito.post("/web/auth/end-session", {"session": session}).status == 400
    assert ada.get("/shop/shelf").status == 200


def test_one_signs_out_everywhere_else(ada: Browser, people: Accounts) -> None:
    others = [Browser(ada.site) for _ in range(3)]
    for other in others:
        other.sign_in("ada")
    assert ada.post("/web/auth/end-others").status == 303
    assert [other.get("/shop/shelf").status for other in others] == [303] * 3
    assert ada.get("/shop/shelf").status == 200


def test_a_new_password_needs_the_old_one_and_ends_all_other_sessions(
    ada: Browser, people: Accounts
) -> None:
    other = Browser(ada.site)
    other.sign_in("ada")
    wrong = [
        ({"current": "wrong", "new": NEW, "again": NEW}, 403, "Name or password is wrong"),
        ({"current": PASSWORD, "new": NEW, "again": NEW + "x"}, 400, "two different passwords"),
        ({"current": PASSWORD, "new": "short", "again": "short"}, 400, "12 characters"),
    ]
    for values, status, words in wrong:
        answer = ada.post("/web/auth/password", values)
        assert answer.status == status
        assert words in answer.text
    before = dict(ada.jar)
    right = {"current": PASSWORD, "new": NEW, "again": NEW}
    assert "The password is changed" in ada.post("/web/auth/password", right).text
    assert ada.jar != before
    assert Browser(ada.site, jar=before).get("/shop/shelf").status == 303
    assert other.get("/shop/shelf").status == 303
    assert ada.get("/shop/shelf").status == 200
    assert Browser(ada.site).sign_in("ada").status == 401
    assert Browser(ada.site).sign_in("ada", NEW).status == 303


def test_an_admin_makes_an_account_whose_password_is_shown_once(ada: Browser) -> None:
    answer = ada.post("/web/auth/create-user", {"name": "Nina", "role": "operator"})
    password = secret_of(answer.text)
    assert answer.headers["cache-control"] == "no-store"
    assert password not in ada.get("/web/auth/users").text
    assert Browser(ada.site).sign_in("nina", password).status == 303
    again = ada.post("/web/auth/create-user", {"name": "nina"})
    assert again.status == 400
    assert "already" in again.text


def test_the_first_account_can_be_made_in_the_browser_and_closes_the_site(
    accounts: Accounts, browser: Browser
) -> None:
    assert "There are no accounts" in browser.get("/web/auth/users").text
    answer = browser.post("/web/auth/create-user", {"name": "ada", "password": PASSWORD})
    assert "ada is admin from now on" in answer.text
    assert browser.get("/web/auth/users").status == 303
    assert browser.sign_in("ada").status == 303


def test_an_admin_changes_roles_and_they_count_at_once(ada: Browser) -> None:
    vito = Browser(ada.site)
    vito.sign_in("vito")
    assert vito.post("/shop/order", {"item": "pen"}).status == 403
    assert ada.post("/web/auth/set-role", {"name": "vito", "role": "operator"}).status == 303
    assert vito.post("/shop/order", {"item": "pen"}).status == 200
    answer = ada.post("/web/auth/set-role", {"name": "ada", "role": "viewer"})
    assert answer.status == 400
    assert "last admin" in answer.text


def test_an_admin_gives_a_password_signs_people_out_and_deletes_them(
    ada: Browser, people: Accounts
) -> None:
    vito = Browser(ada.site)
    vito.sign_in("vito")
    password = secret_of(ada.post("/web/auth/set-password", {"name": "vito"}).text)
    assert vito.get("/shop/shelf").status == 303
    assert vito.sign_in("vito", password).status == 303
    assert ada.post("/web/auth/sign-out-user", {"name": "vito"}).status == 303
    assert vito.get("/shop/shelf").status == 303
    vito.sign_in("vito", password)
    assert ada.post("/web/auth/delete-user", {"name": "vito"}).status == 303
    assert vito.get("/shop/shelf").status == 303
    with pytest.raises(UsageError):
        people.user("vito")


def test_an_admin_makes_and_revokes_tokens(ada: Browser) -> None:
    values = {"name": "ci", "role": "operator", "expires": "30"}
    text = secret_of(ada.post("/web/auth/create-token", values).text)
    program = Browser(ada.site, accept="*/*")
    assert program.get("/api/shop/items", **bearer(text)).status == 200
    assert text not in ada.get("/web/auth/tokens").text
    assert ada.post("/web/auth/revoke-token", {"name": "ci"}).status == 303
    assert program.get("/api/shop/items", **bearer(text)).status == 401


@pytest.mark.parametrize("page", ["users", "user?name=ada", "tokens", "users.json", "users.csv"])
def test_only_admins_see_everybody(people: Accounts, site: Site, page: str) -> None:
    for name, status in (("vito", 403), ("olga", 403), ("ada", 200)):
        browser = Browser(site)
        browser.sign_in(name)
        assert browser.get(f"/web/auth/{page}").status == status


def test_the_tables_are_filtered_sorted_and_paged_by_their_address(
    ada: Browser, people: Accounts
) -> None:
    for name in ("nightly", "weekly"):
        people.create_token(name, "viewer")
    names = lambda path: [row["name"] for row in ada.get(path).json]  # noqa: E731
    assert names("/web/auth/users.json?sort=-name") == ["vito", "olga", "ada"]
    assert names("/web/auth/users.json?q=OPER") == ["olga"]
    assert names("/web/auth/users.json?per_page=1&page=2") == ["olga"]
    assert names("/web/auth/tokens.json?q=week") == ["weekly"]
    assert ada.get("/web/auth/users?sort=salt").status == 400
    page = ada.get("/web/auth/users?q=nobody").text
    assert 'value="nobody"' in page
    assert "There are no accounts" not in page


def test_a_token_has_a_page_of_its_own(ada: Browser, people: Accounts) -> None:
    people.create_token("nightly", "viewer")
    assert "/web/auth/token?name=nightly" in ada.get("/web/auth/tokens").text
    page = ada.get("/web/auth/token?name=nightly").text
    assert "Revoke it" in page
    assert ada.get("/web/auth/token?name=none").status == 404


def test_no_twin_of_a_page_holds_a_hash(ada: Browser, people: Accounts) -> None:
    for page in ("users.json", "users.csv", "user.json?name=ada", "tokens.json", "account.json"):
        answer = ada.get(f"/web/auth/{page}")
        assert answer.status == 200, page
        assert people.user("ada").hashed.digest.hex() not in answer.text
        assert "digest" not in answer.text
        assert "salt" not in answer.text


def test_the_name_of_a_browser_is_text(people: Accounts, browser: Browser) -> None:
    token = browser.token()
    form = f"csrf={token}&name=ada&password={PASSWORD.replace(' ', '+')}".encode()
    kind = "application/x-www-form-urlencoded"
    nasty = {"USER_AGENT": "<script>alert(1)</script>\x1b[31m" + "x" * 500}
    assert browser.send("POST", "/web/auth/login", form, kind, nasty).status == 303
    page = browser.get("/web/auth/account").text
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "x" * 201 not in page
