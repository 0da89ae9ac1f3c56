"""Changes that another site, another session or a stale page asks for: none is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from urllib.parse import urlencode

import pytest

from gway.resolver import Gateway
from gway.web.routes import Site
from tests.visitors import PASSWORD, Answer, Browser

from .routes import Route, all_routes, let_functions_tell, whole_site

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def site(gw: Gateway) -> Site:
    return whole_site(gw)


@pytest.fixture
def notes(site: Site) -> list[str]:
    return let_functions_tell(site)


@pytest.fixture
def admin(site: Site) -> Browser:
    browser = Browser(site)
    assert browser.sign_in("admin").status == 303
    return browser


def changing(site: Site) -> list[Route]:
    found = [route for route in all_routes(site) if route.method not in ("GET", "HEAD")]
    return [route for route in found if route.path != "/web/auth/login"]


Attack = Callable[[Browser, Route, str], Answer]


def posted(browser: Browser, route: Route, token: str, **headers: str) -> Answer:
    body = urlencode({"csrf": token}).encode()
    return browser.send(route.method, route.path, body, FORM, headers)


def from_origin(origin: str | None) -> Attack:
    def attack(browser: Browser, route: Route, token: str) -> Answer:
        browser.origin = origin
        return posted(browser, route, token)

    return attack


def fetched(site: str) -> Attack:
    return lambda browser, route, token: posted(browser, route, token, SEC_FETCH_SITE=site)


def as_text(browser: Browser, route: Route, token: str) -> Answer:
    """A form of another site can send JSON as text/plain without asking first."""
    body = json.dumps({"csrf": token}).encode()
    return browser.send(route.method, route.path, body, "text/plain")


def without_cookies(browser: Browser, route: Route, token: str) -> Answer:
    return posted(Browser(browser.site), route, token)


def in_the_query(browser: Browser, route: Route, token: str) -> Answer:
    return browser.send(route.method, f"{route.path}?csrf={token}")


def of_another_session(browser: Browser, route: Route, token: str) -> Answer:
    other = Browser(browser.site)
    other.sign_in("viewer")
    return posted(browser, route, other.token())


def of_a_stranger(browser: Browser, route: Route, token: str) -> Answer:
    return posted(browser, route, Browser(browser.site).token())


ATTACKS: dict[str, Attack] = {
    "no token": lambda browser, route, token: posted(browser, route, ""),
    "half a token": lambda browser, route, token: posted(browser, route, token[:32]),
    "wrong token": lambda browser, route, token: posted(browser, route, "0" * 64),
    "not ASCII": lambda browser, route, token: posted(browser, route, "é" * 64),
    "two tokens": lambda browser, route, token: browser.send(
        route.method, route.path, f"csrf=0&csrf={token}".encode(), FORM
    ),
    "token of another session": of_another_session,
    "token of a stranger": of_a_stranger,
    "token in the query": in_the_query,
    "no cookies": without_cookies,
    "text/plain": as_text,
    "foreign origin": from_origin("http://evil.example"),
    "other port": from_origin("http://127.0.0.1:9999"),
    "other scheme": from_origin("https://127.0.0.1:8888"),
    "own name as a part": from_origin("http://127.0.0.1:8888.evil.example"),
    "no origin to tell": from_origin("null"),
    "cross-site": fetched("cross-site"),
    "same-site": fetched("same-site"),
    "typed in": fetched("none"),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_no_forged_change_reaches_a_function(
    site: Site, notes: list[str], admin: Browser, name: str
) -> None:
    token = admin.token()
    routes = changing(site)
    assert len(routes) > 20
    for route in routes:
        answer = ATTACKS[name](admin, route, token)
        assert answer.status in (303, 401, 403, 415), route
        assert answer.status != 303 or answer.location == "/web/auth/login", route
        assert route.handler.label not in notes, route


def test_what_a_page_of_this_site_asks_for_is_done(
    site: Site, notes: list[str], admin: Browser
) -> None:
    token = admin.token()
    for route in changing(site):
        for headers in ({}, {"SEC_FETCH_SITE": "same-origin"}):
            notes.clear()
            assert posted(admin, route, token, **headers).status in (200, 303), route
            assert notes == [route.handler.label]
        admin.origin = None  # a browser that sends none says so in another header, or is old
        assert posted(admin, route, token).status in (200, 303), route
        admin.origin = Browser(site).origin


def test_nothing_is_changed_by_looking(site: Site, notes: list[str], admin: Browser) -> None:
    for route in changing(site):
        for method in ("GET", "HEAD"):
            answer = admin.send(method, f"{route.path}?csrf={admin.token()}")
            assert route.handler.label not in notes, route
            assert answer.status in (200, 303, 404, 405)
        notes.clear()


def test_signing_in_is_protected_as_well(site: Site) -> None:
    """Or another site could sign a visitor in as somebody else, and watch what they do there."""
    values = {"name": "viewer", "password": PASSWORD}
    victim = Browser(site)
    token = victim.token()
    login = "/web/auth/login"
    for origin in ("http://evil.example", "null"):
        victim.origin = origin
        assert victim.post(login, values).status == 403
    victim.origin = Browser(site).origin
    assert victim.post(login, {**values, "csrf": ""}).status in (303, 403)
    assert victim.post(login, values, SEC_FETCH_SITE="cross-site").status == 403
    body = urlencode({**values, "csrf": token}).encode()
    assert Browser(site).send("POST", login, body, FORM).status in (303, 401, 403)
    assert not any("session" in name for name in victim.jar)
    assert victim.post(login, values).location == "/"


def test_tokens_of_one_session_are_void_in_the_next(site: Site, admin: Browser) -> None:
    before = admin.token()
    admin.post("/web/auth/logout")
    admin.sign_in("admin")
    assert admin.token() != before
    assert admin.post("/web/auth/end-others", {"csrf": before}).status == 403
    assert admin.post("/web/auth/end-others").status == 303
