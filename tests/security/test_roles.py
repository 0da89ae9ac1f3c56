"""Every route for every role: what the marks say is what happens, and nothing is left out."""

from __future__ import annotations

import pytest

from gway.projects.web.auth.accounts import Accounts
from gway.resolver import Gateway
from gway.web.routes import Site
from tests.visitors import Browser, bearer

from .routes import REACHED, ROLES, Route, all_routes, let_functions_tell, whole_site

LOGIN = "/web/auth/login"
# What is open to everybody, and what is for whoever signed in; a new one belongs in here.
OPEN = {"/favicon.ico", "/healthz", "/readyz"}
FIXED = {"/", "/events", "/metrics", "/openapi.json"}
# A viewer changes nothing but what is the viewer's own.
OWN = {"login", "logout", "password", "end_session", "end_others"}
# Projects with nothing but secrets: who may change them is an admin.
ADMINS = {"ocpp.keys"}
# Functions, verbs and modules that are no pages.
HIDDEN = [
    *("/web/auth/book", "/web/auth/create-user", "/web/auth/_account", "/web/auth/verbs"),
    *("/ocpp/csms/send", "/ocpp/csms/setup-app", "/api/web/auth/create-user", "/sql/query"),
]


@pytest.fixture
def site(gw: Gateway) -> Site:
    return whole_site(gw)


@pytest.fixture
def notes(site: Site) -> list[str]:
    return let_functions_tell(site)


def browser_of(site: Site, role: str) -> Browser:
    browser = Browser(site)
    assert browser.sign_in(role).status == 303
    return browser


def sent(browser: Browser, route: Route, token: str) -> int:
    """Send a request as a page of this site does; give its status."""
    headers = {"X_CSRF_TOKEN": token, "SEC_FETCH_SITE": "same-origin"}
    return browser.send(route.method, route.path, headers=headers).status


def test_no_route_is_missing(site: Site, gw: Gateway) -> None:
    routes = all_routes(site)
    assert len(routes) > 150
    assert set(site._open) == OPEN
    assert set(site._fixed) == FIXED
    assert {route.handler.project for route in routes} >= {
        *("ocpp.csms", "ocpp.data", "ocpp.evcs", "ocpp.keys", "ocpp.rfid", "web.auth", "web.nav"),
    }
    described = Browser(site, accept="*/*").get("/openapi.json", **bearer("t0ken")).json["paths"]
    told = {(method.upper(), path) for path, offered in described.items() for method in offered}
    assert told == {
        (route.method, route.path) for route in routes if route.path.startswith("/api/")
    }
    assert all(
        operation["x-role"] in ROLES
        for offered in described.values()
        for operation in offered.values()
    )


def test_a_stranger_reaches_the_sign_in_and_nothing_else(site: Site, notes: list[str]) -> None:
    routes = [route for route in all_routes(site) if route.path != LOGIN]
    for accept in ("text/html", "*/*"):
        stranger = Browser(site, accept=accept)
        token = stranger.token()
        for route in routes:
            status = sent(stranger, route, token)
            assert status == 401 or (accept == "text/html" and status == 303), route
        for path in (*FIXED, "/nothing", "/web", "/ocpp", "/ocpp/csms", f"{LOGIN}.json"):
            assert stranger.get(path).status == 401 or accept == "text/html", path
            assert stranger.get(path).status in (303, 401), path
    assert notes == []
    for path in (*OPEN, LOGIN, "/static/gway/gway.css", "/static/web/auth/auth.css"):
        assert Browser(site).get(path).status in (200, 303), path


@pytest.mark.parametrize("role", ROLES)
def test_a_role_reaches_what_is_marked_for_it_and_no_more(
    site: Site, notes: list[str], role: str
) -> None:
    browser = browser_of(site, role)
    token = browser.token()
    reached = refused = 0
    for route in all_routes(site):
        if (route.handler.project, route.handler.name) == ("web.auth", "login"):
            continue
        notes.clear()
        status = sent(browser, route, token)
        if ROLES.index(role) >= ROLES.index(route.role):
            assert status in (200, 303), (route, status)
            assert set(notes) == {route.handler.label}, route
            reached += 1
        else:
            assert status == 403, route
            assert notes == [], route
            refused += 1
    assert reached > 100
    assert refused > 20 or role != "viewer"
    assert refused == 0 or role != "admin"


@pytest.mark.parametrize("role", ROLES)
def test_an_api_token_reaches_what_its_role_does(
    site: Site, gw: Gateway, notes: list[str], role: str
) -> None:
    text, _ = gw.service(Accounts).create_token(role, role)
    program = Browser(site, accept="*/*", origin=None)
    for route in all_routes(site):
        if (route.handler.project, route.handler.name) == ("web.auth", "login"):
            continue
        notes.clear()
        answer = program.send(route.method, route.path, headers=bearer(text))
        may = ROLES.index(role) >= ROLES.index(route.role)
        assert (answer.status == 200, bool(notes)) == (may, may), route
        assert may or answer.status == 403, route
        assert may or REACHED not in answer.text


def test_a_viewer_changes_nothing_and_the_projects_of_secrets_are_for_admins(site: Site) -> None:
    for route in all_routes(site):
        handler = route.handler
        if handler.method != "GET" and route.role == "viewer":
            assert (handler.project, handler.name in OWN) == ("web.auth", True), route
        if handler.project in ADMINS and handler.method != "GET":
            assert route.role == "admin", route
        if handler.project == "web.auth" and handler.name not in {*OWN, "account", "index"}:
            assert route.role == "admin", route


def test_no_function_that_is_private_or_of_no_prefix_is_routed(site: Site) -> None:
    for route in all_routes(site):
        name = route.handler.function.__name__
        assert name.startswith(("view_", "api_", "render_")) or not name.startswith("_"), route
        assert "/-" not in route.path
        assert "/_" not in route.path
    admin = browser_of(site, "admin")
    for path in HIDDEN:
        assert admin.get(path).status in (404, 405), path


def test_metrics_and_the_description_need_a_viewer(site: Site) -> None:
    viewer = browser_of(site, "viewer")
    for path in ("/metrics", "/openapi.json"):
        assert Browser(site, accept="*/*").get(path).status == 401
        assert viewer.get(path).status == 200
