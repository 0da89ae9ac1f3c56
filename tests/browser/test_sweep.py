"""In a real browser: every page of every bundled project in every state, at all sizes.

The router is walked: a view without an entry in PAGES or NO_PAGES fails the first test.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import pytest

from gway.catalog import listed_projects
from gway.web.mounts import mount_of
from tests.browser.conftest import SIZES, WALL, Served, Swept, begin
from tests.browser.furnished import BUNDLED, GARAGE, TOKEN, Furnished, furnish, words_of
from tests.visitors import PASSWORD

pytestmark = pytest.mark.flag("browser")

# What each view is asked for; {open} and {long} are ids of transactions.
PAGES: dict[str, tuple[str, ...]] = {
    "garage.view_place": ("",),
    "garage.view_places": ("", "?sort=-width_m"),
    "garage.view_rules": ("",),
    "ocpp.csms.view_active_chargers": ("?status=Offline",),
    "ocpp.csms.view_charger_commands": ("?charger_id=CP-GARAGE-1", "?charger_id=YARD-3"),
    "ocpp.csms.view_charger_configuration": ("?charger_id=CP-GARAGE-1", "?charger_id=YARD-3"),
    "ocpp.csms.view_charger_detail": ("?charger_id=CP-GARAGE-1", "?charger_id=YARD-3"),
    "ocpp.csms.view_charger_messages": (
        "?charger_id=CP-GARAGE-1",
        "?charger_id=CP-GARAGE-1&errors=true",
    ),
    "ocpp.csms.view_charger_status": ("", "?q=nobody"),
    "ocpp.csms.view_charger_transactions": (
        "?charger_id=CP-GARAGE-1&since=2020-01-01",
        "?charger_id=YARD-3",
    ),
    "ocpp.csms.view_refused_chargers": ("", "?q=nobody"),
    "ocpp.data.view_charger_details": ("", "?charger_id=CP-GARAGE-1", "?id_tag=nobody"),
    "ocpp.data.view_charger_summary": ("", "?q=nobody"),
    "ocpp.data.view_index": ("",),
    "ocpp.data.view_security_events": ("", "?charger_id=CP-GARAGE-1"),
    "ocpp.data.view_time_series": ("", "?span=day&chargers=CP-GARAGE-1"),
    "ocpp.data.view_transaction": ("?transaction_id={long}", "?transaction_id={open}"),
    "ocpp.evcs.view_cp_simulator": ("",),
    "ocpp.evcs.view_simulator": ("",),
    "ocpp.proxy.view_dead_letters": ("", "?dead_q=nobody"),
    "ocpp.proxy.view_findings": ("", "?findings_sort=kind"),
    "ocpp.proxy.view_index": ("",),
    "ocpp.proxy.view_reconcile": ("", "?charger_id=CP-GARAGE-1"),
    "ocpp.proxy.view_refused_tags": ("", "?q=nobody"),
    "ocpp.proxy.view_remote": ("", "?q=yard"),
    "ocpp.sink.view_messages": ("", "?violations=true", "?charger=nobody"),
    "ocpp.sink.view_stats": ("",),
    "web.auth.view_account": ("",),
    "web.auth.view_token": (f"?name={TOKEN}",),
    "web.auth.view_tokens": ("",),
    "web.auth.view_user": ("?name=bo",),
    "web.auth.view_users": ("",),
    "web.nav.view_site_map": ("",),
}
NO_PAGES = {
    "ocpp.data.view_record": "a file",
    "ocpp.sink.view_download": "a file",
    "web.auth.view_index": "leads to the account",
    "web.auth.view_login": "leads on who is signed in; swept signed out",
}
# Addresses that no view answers.
OTHERS = ("/ocpp", "/web", "/garage", "/ocpp/rfid", "/ocpp/keys", "/ocpp/csms", "/ocpp/evcs",
          "/ocpp/data/charger-summary+time-series")  # fmt: skip
# Unknown ids, addresses and values: what is asked, and the status it has to have.
WRONG = {
    "/nothing/here": 404,
    "/ocpp/csms/charger-statu": 404,
    "/ocpp/csms/charger-detail?charger_id=NOBODY": 404,
    "/ocpp/csms/charger-detail": 400,
    "/ocpp/data/transaction?transaction_id=999999": 404,
    "/ocpp/data/transaction?transaction_id=x": 400,
    "/ocpp/data/charger-details?charger_id=NOBODY": 200,
    "/ocpp/data/charger-summary?sort=nothing": 400,
    "/ocpp/proxy/reconcile?charger_id=NOBODY": 200,
    "/web/auth/user?name=nobody": 404,
    "/web/auth/token?name=nobody": 404,
}
# Tables without a filter of their own, and why.
PLAIN_TABLES = {
    "Chargers that were turned away": "the latest few, below the cards; all are a page",
    "Places": "a list that a view returned as it is",
}
OF_ONE = frozenset(
    {
        "ocpp.csms.view_charger_commands",
        "ocpp.csms.view_charger_configuration",
        "ocpp.csms.view_charger_detail",
        "ocpp.csms.view_charger_messages",
        "ocpp.csms.view_charger_transactions",
        "ocpp.data.view_transaction",
        "web.auth.view_token",
        "web.auth.view_user",
    }
)
LIVE = (
    "/ocpp/csms/charger-status",
    "/ocpp/csms/charger-detail?charger_id=CP-GARAGE-1",
    "/ocpp/csms/charger-messages?charger_id=CP-GARAGE-1",
    "/ocpp/data/charger-details?charger_id=CP-GARAGE-1",
    "/ocpp/data/charger-summary",
    "/ocpp/data/time-series?span=day",
    "/ocpp/evcs/cp-simulator",
    "/ocpp/proxy/remote",
    "/ocpp/sink/messages",
    "/web/auth/users",
)


@pytest.fixture(scope="module")
def furnished(tmp_path_factory: pytest.TempPathFactory, eventually: Any) -> Iterator[Furnished]:
    made = furnish(tmp_path_factory.mktemp("furnished"), eventually)
    yield made
    made.end()


@pytest.fixture(scope="module")
def eyes(furnished: Furnished, chromium: Any) -> Iterator[Swept]:
    """One tab that is signed in and looks at everything."""
    swept = Swept(chromium, locale="en-GB")
    sign_in(swept.tab, furnished.site)
    yield swept
    swept.context.close()


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory, eventually: Any) -> Iterator[Served]:
    """The same projects, where nothing has happened yet and nobody has an account."""
    root = tmp_path_factory.mktemp("empty")
    (root / "projects").mkdir()
    (root / "projects" / "garage.py").write_text(GARAGE.lstrip())
    served = begin(root, words_of(BUNDLED), "0", eventually)
    yield served
    if served.process.poll() is None:
        served.stop()


def sign_in(tab: Any, site: Served) -> None:
    tab.goto(f"{site.url}/web/auth/login")
    tab.get_by_label("Name").fill("ada")
    tab.get_by_label("Password").fill(PASSWORD)
    tab.get_by_role("button", name="Sign in").click()
    tab.wait_for_url("**/ocpp/csms/charger-status")


def address_of(view: str) -> str:
    project, _, name = view.rpartition(".view_")
    name = "" if name == "index" else name.replace("_", "-")
    return f"/{project.replace('.', '/')}/{name}".rstrip("/")


def pages(furnished: Furnished) -> list[str]:
    ids = {"open": furnished.open_transaction, "long": furnished.long_transaction}
    return [
        address_of(view) + query.format(**ids)
        for view, queries in PAGES.items()
        for query in queries
    ]


def opened(tab: Any) -> None:
    """Open all that can be unfolded: what is hidden has to be sound, too."""
    tab.evaluate("document.querySelectorAll('main details').forEach(one => { one.open = true })")


# --- nothing is left out ---------------------------------------------------------


def test_no_page_is_missing_from_the_sweep(gw: Any, workspace: Path) -> None:
    (workspace / "projects" / "garage.py").write_text(GARAGE.lstrip())
    found = {
        handler.label
        for place, _ in listed_projects()
        for handler in mount_of(gw, place.name, "/there").of_kind("view")
        if handler.method == "GET"
    }
    assert found == {*PAGES, *NO_PAGES}
    assert all(PAGES.values())


def test_all_that_is_bundled_and_has_pages_is_set_up() -> None:
    told = {words.split()[0] for words in BUNDLED}
    assert {view.rpartition(".view_")[0] for view in (*PAGES, *NO_PAGES)} <= told


# --- states -------------------------------------------------------------------------


def test_every_page_full_of_data_is_sound(furnished: Furnished, eyes: Swept) -> None:
    faults = [
        fault
        for path in (*pages(furnished), *OTHERS)
        for fault in eyes.sweep(furnished.site.url + path, (*SIZES, WALL), prepare=opened)
    ]
    assert faults == []


def test_every_table_can_be_filtered_sorted_and_paged(furnished: Furnished, eyes: Swept) -> None:
    """By `gway/table`: what has a head and rows has a filter of its name, and its twins."""
    plain = []
    for path in pages(furnished):
        html = eyes.tab.request.get(furnished.site.url + path).text()
        for name in re.findall(r'<div class="table-scroll"[^>]*aria-label="([^"]*)">', html):
            if f'aria-label="Filter: {name}"' not in html:
                plain.append(name)
    assert set(plain) <= {*PLAIN_TABLES}


def test_every_page_without_data_is_sound_and_says_what_to_do(empty: Served, chromium: Any) -> None:
    eyes = Swept(chromium, locale="en-GB")
    said: dict[str, int] = {}

    def note(tab: Any) -> None:
        said[tab.url] = tab.locator(".empty, main form, main .button, main a").count()

    faults = []
    for view in PAGES:
        if view in OF_ONE:
            continue  # there is none to show
        faults += eyes.sweep(empty.url + address_of(view), sizes=SIZES[::2], prepare=note)
    eyes.context.close()
    assert faults == []
    assert [url for url, count in said.items() if not count and "/garage/" not in url] == []


def test_every_page_of_an_error_is_sound(furnished: Furnished, eyes: Swept) -> None:
    faults = [
        fault
        for path, status in WRONG.items()
        for fault in eyes.sweep(furnished.site.url + path, sizes=SIZES[::2], status=status)
    ]
    assert faults == []


@pytest.mark.parametrize("path", LIVE)
def test_a_page_whose_parts_are_on_their_way_is_sound(
    furnished: Furnished, eyes: Swept, path: str, eventually: Any
) -> None:
    """Parts are asked for, and no answer comes."""
    held: list[Any] = []
    eyes.tab.route("**/render/**", lambda route: held.append(route))

    def wait(tab: Any) -> None:
        tab.evaluate(HURRY)
        eventually(lambda: tab.evaluate("true") and held)

    try:
        assert eyes.sweep(furnished.site.url + path, sizes=SIZES[:1], prepare=wait) == []
    finally:
        eyes.tab.goto("about:blank")
        eyes.tab.unroute("**/render/**")


HURRY = """document.querySelectorAll("[gw-refresh]")
    .forEach(one => one.setAttribute("gw-refresh", "0.25"))"""


def test_who_is_signed_out_is_led_to_the_sign_in_from_every_page(
    furnished: Furnished, chromium: Any
) -> None:
    eyes = Swept(chromium, locale="en-GB")
    url = furnished.site.url
    assert eyes.sweep(f"{url}/web/auth/login") == []
    for path in (*pages(furnished), *OTHERS, *WRONG):
        answer = eyes.tab.request.get(url + path, headers={"Accept": "text/html"})
        assert "/web/auth/login?next=" in answer.url, path
        assert unquote(answer.url.partition("next=")[2]) == unquote(quote(path, safe="/+?=&-"))
    eyes.context.close()


def test_a_page_whose_session_ends_stays_sound(
    furnished: Furnished, chromium: Any, eventually: Any
) -> None:
    eyes = Swept(chromium, locale="en-GB")
    sign_in(eyes.tab, furnished.site)

    def end(tab: Any) -> None:
        tab.context.clear_cookies()
        tab.evaluate(HURRY)
        tab.locator("#gway-offline").get_by_text("You are signed out").wait_for()

    eyes.forgiven = ("status of 401",)
    faults = []
    for size in SIZES:
        faults += eyes.sweep(furnished.site.url + LIVE[0], sizes=[size], prepare=end)
        sign_in(eyes.tab, furnished.site)
    eyes.context.close()
    assert faults == []


def test_pages_that_were_open_when_the_server_was_killed_are_sound_and_come_back(
    furnished: Furnished, eyes: Swept, chromium: Any, eventually: Any
) -> None:
    known = eyes.context.storage_state()
    watching = {path: Swept(chromium, storage_state=known) for path in LIVE}
    for path, one in watching.items():
        one.forgiven = ("ERR_", "503")
        one.tab.goto(furnished.site.url + path)
        one.tab.evaluate(HURRY)
    furnished.site.process.kill()
    furnished.site.process.wait(10)
    faults = []
    for path, one in watching.items():
        one.tab.locator("#gway-offline").wait_for()
        for width, height in SIZES[::2]:
            one.tab.set_viewport_size({"width": width, "height": height})
            faults += one.look(f"{path} offline {width}")
    furnished.site.start_again(eventually)
    for one in watching.values():
        one.tab.locator("#gway-offline").wait_for(state="hidden")
        one.context.close()
    assert faults == []
