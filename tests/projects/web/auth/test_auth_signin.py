"""Signing in and out: where it leads, how long it lasts, and how often it may be tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest

from gway.projects.web.auth.accounts import Accounts
from gway.projects.web.auth.passwords import Cost, hash_password
from gway.projects.web.auth.wayback import local_path
from gway.web.routes import Site
from tests.visitors import PASSWORD, Browser, returning

SESSION = "gway_8888_session"


def test_a_stranger_with_a_browser_is_shown_to_the_sign_in_with_the_way_back(
    people: Accounts, browser: Browser
) -> None:
    answer = browser.get("/shop/shelf?a=1&b=%C3%A9")
    assert (answer.status, answer.cookies) == (303, [])
    assert answer.location == returning("/shop/shelf?a=1&b=%C3%A9")
    assert browser.get("/").location == "/web/auth/login"
    assert browser.post("/shop/order", {"item": "pen"}).location == "/web/auth/login"


@pytest.mark.parametrize(
    "path", ["/api/shop/items", "/render/shop/shelf", "/events?topic=a", "/shop/shelf.json"]
)
def test_what_no_person_looks_at_is_a_401_that_names_the_sign_in(
    people: Accounts, browser: Browser, path: str
) -> None:
    browser.accept = "text/event-stream" if "events" in path else "*/*"
    answer = browser.get(path)
    assert answer.status == 401
    assert answer.headers["x-gway-login"] == "/web/auth/login"
    if "events" not in path:
        assert answer.json["error"] == "this needs a sign-in"


def test_after_the_sign_in_the_page_that_was_asked_for_is_there(
    people: Accounts, browser: Browser
) -> None:
    asked = browser.get("/shop/shelf?a=1").location
    form = browser.get(asked).text
    assert re.search(r'name="next" value="/shop/shelf\?a=1"', form)
    assert 'href="/shop' not in form  # a stranger learns nothing about what is here
    answer = browser.sign_in("ada", next="/shop/shelf?a=1")
    assert (answer.status, answer.location) == (303, "/shop/shelf?a=1")
    assert browser.get(answer.location).status == 200
    assert browser.get("/web/auth/login?next=/shop/shelf").location == "/shop/shelf"


def test_names_are_told_apart_without_case_and_passwords_with_it(
    people: Accounts, browser: Browser
) -> None:
    assert browser.sign_in("ada", PASSWORD.upper()).status == 401
    assert browser.sign_in(" ADA ").status == 303


def test_a_wrong_name_and_a_wrong_password_get_the_same_answer(
    people: Accounts, site: Site
) -> None:
    pages = []
    for name, password in (("ada", "x" * 20), ("nobody", PASSWORD), ("", ""), ("ada", "")):
        answer = Browser(site).sign_in(name, password)
        assert answer.status == 401
        assert answer.cookies == []
        found = re.search(r'role="alert">(.*?)</p>', answer.text, re.DOTALL)
        assert found is not None
        pages.append(found[1].strip())
    assert set(pages) == {"Name or password is wrong."}


def test_the_session_cookie_is_new_at_each_sign_in_and_for_this_browser_alone(
    people: Accounts, browser: Browser
) -> None:
    browser.jar[SESSION] = planted = "planted-by-somebody-else-0123456789abcdefghi"
    (cookie,) = browser.sign_in("ada").cookies
    name, _, value = cookie.partition(";")[0].partition("=")
    assert name == SESSION
    assert value != planted
    assert len(value) == 43  # 256 bits
    assert cookie.endswith("; Path=/; HttpOnly; SameSite=Strict")
    browser.post("/web/auth/logout")
    assert SESSION not in browser.jar
    (again,) = browser.sign_in("ada").cookies
    assert value not in again


def during_the_comparison(people: Accounts, change: Callable[[], object]) -> None:
    """Have something happen while the next password is being compared."""
    run = people.hasher.run

    def and_meanwhile(function: Callable[[], Any]) -> Any:
        people.hasher.run = run  # type: ignore[method-assign]
        result = run(function)
        change()
        return result

    people.hasher.run = and_meanwhile  # type: ignore[method-assign]


@pytest.mark.parametrize("change", ["password", "account"])
def test_a_password_that_was_changed_while_it_was_compared_begins_no_session(
    people: Accounts, browser: Browser, change: str
) -> None:
    def changed() -> None:
        if change == "account":
            people.delete("vito")
            people.create("vito", "another good password", "viewer")
        else:
            people.set_password("vito", "another good password")

    during_the_comparison(people, changed)
    answer = browser.sign_in("vito")
    assert answer.status == 409
    assert "changed at this very moment" in answer.text
    assert people.sessions("vito") == []
    assert browser.sign_in("vito", "another good password").status == 303


def test_an_old_password_does_not_win_against_an_admin_who_changes_it_meanwhile(
    people: Accounts, browser: Browser
) -> None:
    browser.sign_in("vito")
    during_the_comparison(people, lambda: people.set_password("vito", "given by the admin"))
    form = {"current": PASSWORD, "new": "chosen by the thief", "again": "chosen by the thief"}
    answer = browser.post("/web/auth/password", form)
    assert answer.status == 409
    assert people.sessions("vito") == []
    assert browser.sign_in("vito", "chosen by the thief").status == 401
    assert browser.sign_in("vito", "given by the admin").status == 303


def test_under_tls_the_cookies_are_secure_and_no_other_host_can_have_set_them(
    people: Accounts, browser: Browser
) -> None:
    browser.scheme = "https"
    cookies = browser.get("/web/auth/login").cookies + browser.sign_in("ada").cookies
    assert [cookie.partition("=")[0] for cookie in cookies] == [
        "__Host-gway_8888",
        "__Host-gway_8888_session",
    ]
    assert all(cookie.endswith("; HttpOnly; SameSite=Strict; Secure") for cookie in cookies)


def test_a_second_sign_in_of_a_browser_ends_its_first_session(
    people: Accounts, browser: Browser
) -> None:
    browser.sign_in("ada")
    first = dict(browser.jar)
    token = browser.token()
    form = f"csrf={token}&name=olga&password={PASSWORD.replace(' ', '+')}".encode()
    kind = "application/x-www-form-urlencoded"
    assert browser.send("POST", "/web/auth/login", form, kind).status == 303
    assert [session.user for session in people.sessions()] == ["olga"]
    assert Browser(browser.site, jar=first).get("/shop/shelf").status == 303


@pytest.mark.parametrize(
    "foreign",
    ['{"theme":"dark"}', "a b", 'half "quoted', "\x80", "", '"'],
)
@pytest.mark.parametrize("name", ["other", "other[0]", "other@x", "expires", "\xe4", "$Version"])
def test_what_another_server_of_this_host_keeps_in_a_browser_signs_nobody_out(
    people: Accounts, browser: Browser, name: str, foreign: str
) -> None:
    """Cookies know no ports, and few servers write them to the letter."""
    browser.jar = {name: foreign}
    assert browser.sign_in("ada").status == 303
    assert browser.get("/shop/shelf").status == 200
    assert browser.post("/shop/order", {"item": "pen"}).status == 200


def test_only_hashes_of_sessions_and_tokens_are_stored(people: Accounts, browser: Browser) -> None:
    browser.sign_in("ada")
    text, _ = people.create_token("probe", "viewer")
    stored = b"".join(file.read_bytes() for file in people.path.parent.glob("accounts.sqlite*"))
    for secret in (browser.jar[SESSION], text, PASSWORD):
        assert secret.encode() not in stored
    assert b"probe" in stored


def test_signing_out_ends_the_session_on_the_server(people: Accounts, browser: Browser) -> None:
    browser.sign_in("ada")
    kept = dict(browser.jar)
    answer = browser.post("/web/auth/logout")
    assert (answer.status, answer.location) == (303, "/web/auth/login")
    assert Browser(browser.site, jar=kept).get("/shop/shelf").status == 303
    assert people.sessions() == []


def test_a_form_from_before_a_restart_is_replaced_by_a_fresh_one(
    people: Accounts, browser: Browser
) -> None:
    browser.token()
    answer = browser.post("/web/auth/login", {"csrf": "0" * 64, "name": "ada"})
    assert (answer.status, answer.location) == (303, "/web/auth/login")


def test_signing_out_needs_a_post_with_the_token(people: Accounts, browser: Browser) -> None:
    browser.sign_in("ada")
    assert browser.get("/web/auth/logout").status == 405
    assert browser.post("/web/auth/logout", {"csrf": "0" * 64}).status == 403
    assert len(people.sessions()) == 1


def test_a_session_ends_when_it_is_not_used(people: Accounts, browser: Browser, clock: Any) -> None:
    browser.sign_in("ada")
    for _ in range(4):
        clock.advance(hours=11)
        assert browser.get("/shop/shelf").status == 200
    clock.advance(hours=12, seconds=1)
    assert browser.get("/shop/shelf").status == 303


def test_a_page_that_renews_itself_is_nobody_who_uses_it(
    people: Accounts, browser: Browser, clock: Any
) -> None:
    browser.sign_in("ada")
    for _ in range(2):
        clock.advance(hours=5)
        assert browser.get("/render/shop/shelf").status == 200
        assert browser.get("/shop/shelf", X_GWAY_FRAGMENT="1").status == 200
    clock.advance(hours=2, seconds=1)
    assert browser.get("/render/shop/shelf").status == 401


def test_no_session_lasts_for_more_than_a_week(
    people: Accounts, browser: Browser, clock: Any
) -> None:
    browser.sign_in("ada")
    for _ in range(14):
        clock.advance(hours=11.9)
        assert browser.get("/shop/shelf").status == 200
    clock.advance(hours=2)
    assert browser.get("/shop/shelf").status == 303


def test_a_user_has_twenty_sessions_at_most_and_the_oldest_goes(
    people: Accounts, site: Site, clock: Any
) -> None:
    browsers = [Browser(site) for _ in range(21)]
    for browser in browsers:
        clock.advance(1)
        assert browser.sign_in("vito").status == 303
    assert browsers[0].get("/shop/shelf").status == 303
    assert browsers[1].get("/shop/shelf").status == 200
    assert len(people.sessions("vito")) == 20


def test_a_link_from_elsewhere_does_not_sign_anybody_out(
    people: Accounts, browser: Browser
) -> None:
    """Cookies that are SameSite=Strict do not come with it; the second request has them."""
    browser.sign_in("ada")
    kept, browser.jar = browser.jar, {}
    asked = browser.get("/shop/shelf", SEC_FETCH_SITE="cross-site").location
    page = browser.get(asked, SEC_FETCH_SITE="cross-site")
    assert f'http-equiv="refresh" content="0;url={asked}"' in page.text.replace("%3D", "=")
    assert all(SESSION not in cookie for cookie in page.cookies)
    browser.jar |= kept
    assert browser.get(asked, SEC_FETCH_SITE="same-origin").location == "/shop/shelf"


# --- how often ---


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch, people: Accounts) -> list[float]:
    """The clock of the throttles, in its only item."""
    now = [1000.0]
    for throttle in (people.guard._by_address, people.guard._by_name):
        monkeypatch.setattr(throttle, "_clock", lambda: now[0])
    return now


def test_an_address_has_five_wrong_passwords_a_minute(
    people: Accounts, site: Site, seconds: list[float]
) -> None:
    for number in range(5):
        assert Browser(site).sign_in(f"name{number}", "wrong").status == 401
    for name in ("ada", "vito"):
        answer = Browser(site).sign_in(name)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "12"
        assert "Too many wrong passwords" in answer.text
    assert Browser(site, address="192.0.2.1").sign_in("ada").status != 429
    seconds[0] += 12
    assert Browser(site).sign_in("ada").status == 303
    assert Browser(site).sign_in("ada").status == 303  # right ones cost nothing


def test_many_addresses_do_not_keep_an_owner_out_for_long(
    people: Accounts, site: Site, seconds: list[float]
) -> None:
    home = Browser(site, address="127.0.0.7")
    assert home.sign_in("ada").status == 303
    statuses = [
        Browser(site, address=f"127.0.1.{number}").sign_in("ada", "wrong").status
        for number in range(30)
    ]
    assert statuses == [401] * 10 + [429] * 20
    assert Browser(site, address="127.0.0.7").sign_in("ada").status == 303  # as before
    away = Browser(site, address="127.0.0.8")
    answer = away.sign_in("ada")
    assert (answer.status, answer.headers["retry-after"]) == (429, "6")
    seconds[0] += 6
    assert away.sign_in("ada").status == 303


def test_a_raised_cost_counts_from_the_next_sign_in_on(people: Accounts, browser: Browser) -> None:
    people.guard.cost = Cost(2**5, 8, 1)
    assert people.user("ada").hashed.cost.n == 2**4
    assert browser.sign_in("ada").status == 303
    assert people.user("ada").hashed.cost == Cost(2**5, 8, 1)
    assert Browser(browser.site).sign_in("ada").status == 303


def test_hashes_of_one_password_differ() -> None:
    cost = Cost(2**4, 8, 1)
    assert hash_password(PASSWORD, cost).digest != hash_password(PASSWORD, cost).digest


# --- the way back ---

ELSEWHERE = [
    *("//evil.example", "///evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil"),
    *("https://evil.example", "https:evil.example", "HTTPS:/evil.example", "javascript:alert(1)"),
    *("/%2fevil.example", "/%5cevil.example", "%2f%2fevil.example", "/%252f/evil.example"),
    *("/%2e%2e//evil.example", "/a\r\nSet-Cookie: x=1", "/a%0d%0aSet-Cookie:x", "/é", "", " /a"),
    *("evil.example", "?next=1", ".//evil", "/./\\evil", "/a//evil", "data:text/html,x", "/a b"),
    *("/web/auth/login", "/web/auth/logout", "/web/auth/login?next=/a", "/" + "x" * 3000),
]


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nobody_is_sent_elsewhere_after_signing_in(
    people: Accounts, browser: Browser, target: str
) -> None:
    assert browser.sign_in("ada", next=target).location == "/"


@pytest.mark.parametrize(
    "target", ["/", "/shop/shelf", "/shop/a+b", "/shop/shelf?x=//y&z=%2F", "/a/%C3%A9", "/a?b=%5C"]
)
def test_a_page_of_this_server_is_a_way_back(target: str) -> None:
    assert local_path(target) == target
