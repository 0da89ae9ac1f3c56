"""No page offers what its visitor may not do: its forms are those that a role may send."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from gway import resolver
from gway.errors import UnknownName
from gway.projects.ocpp.csms.central import CentralSystem
from gway.projects.ocpp.csms.forms import groups
from gway.projects.ocpp.evcs import pages as simulator_pages
from gway.projects.ocpp.evcs.view import ConnectorView, View
from gway.projects.ocpp.proxy import pages_letters, verbs
from gway.resolver import Gateway
from gway.web.request import CURRENT, Request
from gway.web.rights import may, why_not
from gway.web.routes import Site
from tests.projects.ocpp.csms.conftest import Line
from tests.projects.ocpp.csms.conftest import Site as Central
from tests.visitors import PASSWORD, Browser

from .routes import ROLES, Route, all_routes, whole_site

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
VALUES = {"charger_id": "CPX", "transaction_id": "1", "name": "viewer", "command_id": "none"}
CSMS = "/ocpp/csms"
DETAIL = f"{CSMS}/charger-detail?charger_id=CPX"
STATE = f"/render{CSMS}/charger-state?charger_id=CPX"
KEYS = f"/render{CSMS}/configuration?charger_id=CPX"
CARDS = f"/render{CSMS}/charger-cards"
REFUSED = f"{CSMS}/refused-chargers"
SIMULATORS = "/render/ocpp/evcs/simulators"
LETTERS = "/ocpp/proxy/dead-letters"
TAGS = "/ocpp/proxy/refused-tags"
REMOTE = "/render/ocpp/proxy/remote"
COMMANDS = {form.name for forms in groups().values() for form in forms}
# What an operator is offered on each page and fragment; a viewer nothing of it.
OFFERED = {
    DETAIL: COMMANDS
    | {"remote_stop", "reset", "close_transactions", "get_configuration", "change_configuration"},
    STATE: {"remote_stop"},
    f"/render{CSMS}/charger-state?charger_id=NEW": {"approve"},
    KEYS: {"change_configuration"},
    f"{CSMS}/charger-configuration?charger_id=CPX": {"change_configuration"},
    CARDS: {"approve"},
    f"{CSMS}/charger-status": {"approve"},
    REFUSED: {"approve"},
    SIMULATORS: {"start_session", "stop"},
    "/ocpp/evcs/cp-simulator": {"start", "start_session", "stop"},
    LETTERS: {"retry", "drop"},
    TAGS: {"allow_tag"},
    REMOTE: {"sync_now", "pause", "retry", "drop"},
}
TOLD = {
    "remote": "ws://there", "link": "online", "mode": "", "read_only": False, "alarms": [],
    "pending": 0, "oldest_age_s": None, "dead": 1, "possible_duplicates": 0, "disk_percent": 1,
    "chargers": [],
}  # fmt: skip
LETTER = {
    "sequence": 1, "charger_id": "CPX", "local_tx": 1, "action": "StopTransaction",
    "payload": "{}", "error": "GenericError", "at": NOON,
}  # fmt: skip


@pytest.fixture
def gateway(workspace: Path, clock: Any) -> Iterator[Gateway]:
    gateway = Gateway(workspace, now=clock)
    gateway.serving = True
    with resolver.use(gateway):
        yield gateway
        gateway.close()


@pytest.fixture
def busy(gateway: Gateway, clock: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gateway]:
    """A gateway with something to do on every page."""
    central = Central(gateway, clock)
    gateway._services[CentralSystem] = central.central
    lines = _charger(central), central.line("NEW")
    lines[1].boot()
    central.central.register("NEW", "Pending")
    central.central.options = msgspec.structs.replace(central.central.options, unknown="reject")
    central.knock("LOST")
    point = View("SIM", "ws://here", "online", "Accepted", (ConnectorView(1, "Available"),), 0, 0)
    service = simulator_pages.simulators()
    monkeypatch.setattr(service, "views", lambda: [point])
    monkeypatch.setattr(service, "notes", lambda charger_id: [])
    tags = [{"id_tag": "ADA", "status": "Blocked", "at": NOON}]
    gateway.load("ocpp.proxy")  # before: it would take what stands in for its verbs for good
    told = {"dead": [LETTER], "findings": [], "status": TOLD, "refused_tags": tags}
    for name, value in told.items():
        monkeypatch.setattr(verbs, name, lambda value=value: value)
    monkeypatch.setattr(pages_letters, "has_remote", lambda: True)
    with monkeypatch.context() as until_closed:
        until_closed.setattr(verbs.proxy(), "forwarder", object())
        yield gateway
    for line in lines:
        line.close()


def _charger(central: Central) -> Line:
    line = central.line()
    line.boot()
    line.status(1, "Charging")
    line.start()
    central.central.commands.submit("CPX", "GetConfiguration", {})
    line.result({"configurationKey": [{"key": "A", "readonly": False, "value": "1"}]})
    return line


def posts(text: str) -> set[str]:
    """Give where the forms of a page send to."""
    forms = re.findall(r'<form[^>]* method="post"[^>]*>', text)
    return {found[1] for form in forms if (found := re.search(r' action="([^"]+)"', form))}


def names(actions: set[str]) -> set[str]:
    return {action.rpartition("/")[2].replace("-", "_") for action in actions}


def browser_of(site: Site, role: str) -> Browser:
    browser = Browser(site)
    assert browser.sign_in(role, PASSWORD).status == 303
    return browser


def pages_of(site: Site, role: str) -> list[str]:
    """List the pages and fragments of a site that a role may look at."""
    return [
        f"{route.path}?{query}"
        for route in all_routes(site)
        if route.method == "GET"
        and not route.path.endswith((".json", ".csv"))
        and not route.path.startswith("/api/")
        and "+" not in route.path
        and ROLES.index(route.role) <= ROLES.index(role)
        if (query := _values(route)) is not None
    ]


def _values(route: Route) -> str | None:
    """Give the values that a page needs; None: there is none of what it shows."""
    asked = [param.name for param in route.handler.signature.params if param.required]
    known = all(name in VALUES for name in asked)
    return "&".join(f"{name}={VALUES[name]}" for name in asked) if known else None


@pytest.mark.parametrize("role", ROLES)
def test_every_form_of_every_page_is_one_that_its_visitor_may_send(
    busy: Gateway, role: str
) -> None:
    site = whole_site(busy)
    needed = {route.path: route.role for route in all_routes(site) if route.method == "POST"}
    browser = browser_of(site, role)
    found: set[str] = set()
    for page in pages_of(site, role):
        answer = browser.get(page)
        assert answer.status in (200, 303, 400, 404), (page, answer.text)
        for action in posts(answer.text):
            address = "/".join(part.replace("_", "-") for part in action.split("/"))
            assert ROLES.index(needed[address]) <= ROLES.index(role), (page, action)
            found.add(action)
    assert len(found) > (30 if role != "viewer" else 1)


@pytest.mark.parametrize("page", OFFERED)
def test_a_page_offers_an_operator_what_is_to_do_and_a_viewer_nothing(
    busy: Gateway, page: str
) -> None:
    site = whole_site(busy)
    operator, viewer = browser_of(site, "operator"), browser_of(site, "viewer")
    for _ in range(2):  # the one must not get what was made for the other
        shown, hidden = operator.get(page), viewer.get(page)
        assert (shown.status, hidden.status) == (200, 200)
        assert names(posts(shown.text)) - {"logout"} == OFFERED[page]
        assert names(posts(hidden.text)) <= {"logout"}


def test_what_is_left_out_is_told_in_a_line_and_what_it_showed_stays(busy: Gateway) -> None:
    site = whole_site(busy)
    viewer, operator = browser_of(site, "viewer"), browser_of(site, "operator")
    line = "You are here as viewer: commands need the role operator."
    assert line in viewer.get(DETAIL).text
    assert "commands need the role" not in operator.get(DETAIL).text
    line = "You are here as operator: to forget a charger needs the role admin."
    assert line in operator.get(DETAIL).text
    assert ">Approval<" not in viewer.get(REFUSED).text
    assert ">Approval<" in operator.get(REFUSED).text
    assert "Waits for approval." in viewer.get(CARDS).text
    assert re.search(r"<td>\s*1\s*</td>", viewer.get(KEYS).text)
    assert json.loads(viewer.get(f"{REFUSED}.json").text)[0]["approvable"] is True
    assert "approvable" in viewer.get(f"{REFUSED}.csv").text.splitlines()[0]


def test_only_an_admin_is_offered_to_forget_a_charger(busy: Gateway) -> None:
    site = whole_site(busy)
    offered = {role: posts(browser_of(site, role).get(DETAIL).text) for role in ROLES}
    assert [role for role in ROLES if f"{CSMS}/forget" in offered[role]] == ["admin"]


def test_without_accounts_everything_is_offered(busy: Gateway) -> None:
    site = busy.service(Site)
    for project in ("ocpp.csms", "ocpp.evcs", "ocpp.proxy"):
        site.mount(project)
    visitor = Browser(site)
    for page, offered in OFFERED.items():
        more = {"forget"} if page == DETAIL else set()
        assert names(posts(visitor.get(page).text)) == offered | more, page


def test_a_view_that_there_is_not_is_an_error_and_an_absent_project_offers_nothing(
    busy: Gateway,
) -> None:
    site = busy.service(Site)
    assert may("ocpp.csms", "reset"), "outside a request nobody is kept from anything"
    assert why_not("ocpp.csms", "reset", "commands need") == ""
    token = CURRENT.set(Request({"REQUEST_METHOD": "GET"}, site))
    try:
        assert not may("ocpp.csms", "reset")
        assert why_not("ocpp.csms", "reset", "commands need") == ""
        site.mount("ocpp.csms")
        assert not may("ocpp.csms", "reset"), "nobody is known yet"
        with pytest.raises(UnknownName, match="no view 'rest' for POST"):
            may("ocpp.csms", "rest")
    finally:
        CURRENT.reset(token)
