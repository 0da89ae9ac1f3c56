"""The tables of the remote's page: dead letters and findings, each with twins of its own."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gway.marks import access_of
from gway.projects.ocpp.proxy import pages_letters, proxy, verbs
from gway.resolver import Gateway
from gway.web.routes import Site
from tests.projects.ocpp.csms.browsing import Browser

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)
LETTERS = [
    {
        "sequence": number,
        "charger_id": f"CP{number}",
        "local_tx": number if number > 1 else -1,
        "action": "StopTransaction",
        "payload": '{"idTag": "<i>"}',
        "error": "GenericError",
        "at": NOON + timedelta(minutes=number),
    }
    for number in range(1, 12)
]
FINDINGS = [
    {
        "finding_id": number,
        "charger_id": f"CP{number}",
        "kind": "twice",
        "text": f"the id {number} was given twice",
        "local_tx": number,
        "at": NOON + timedelta(minutes=number),
    }
    for number in range(1, 4)
]
TOLD = {
    "remote": "ws://there", "link": "online", "mode": "", "read_only": False, "alarms": [],
    "pending": 0, "oldest_age_s": None, "dead": 11, "possible_duplicates": 0, "disk_percent": 1,
    "chargers": [],
}  # fmt: skip

SEEN_AS = {"dead": "view_dead_letters", "status": "view_remote"}


@pytest.fixture
def browser(gw: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Browser]:
    """Looks at a remote that refused much."""
    gw.load("ocpp.proxy")
    told: dict[str, Any] = {"dead": LETTERS, "findings": FINDINGS, "status": TOLD}
    for name, value in told.items():
        monkeypatch.setattr(verbs, name, lambda value=value: value)
    monkeypatch.setattr(pages_letters, "has_remote", lambda: True)
    site = gw.service(Site)
    site.mount("ocpp.proxy")
    return Browser(site)


def rows(browser: Browser, address: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(browser.get(f"/ocpp/proxy/{address}").text)
    return found


def test_dead_letters_are_sorted_filtered_and_paged_on_the_page_of_the_remote(
    browser: Browser,
) -> None:
    page = browser.get("/ocpp/proxy/remote?dead_sort=-sequence&dead_per_page=2").text
    assert page.index('id="letter-11"') < page.index('id="letter-10"')
    assert 'id="letter-9"' not in page
    assert "/ocpp/proxy/dead-letters.csv?" in page
    assert 'aria-label="Drop: 11"' in page
    assert "<i>" not in page
    alone = browser.get("/ocpp/proxy/dead-letters?dead_q=cp7").text
    assert alone.count('<tr id="letter-') == 1
    assert browser.get("/ocpp/proxy/remote?dead_sort=nothing").status == 400


def test_dead_letters_and_findings_have_twins(browser: Browser) -> None:
    assert len(rows(browser, "dead-letters.json")) == 11
    (row,) = rows(browser, "dead-letters.json?dead_page=2&dead_per_page=10")
    assert row["sequence"] == 11
    told = csv.DictReader(io.StringIO(browser.get("/ocpp/proxy/dead-letters.csv").text))
    assert next(told)["payload"] == '{"idTag": "<i>"}'
    assert [row["charger_id"] for row in rows(browser, "findings.json")] == ["CP3", "CP2", "CP1"]
    assert len(rows(browser, "findings.json?findings_q=CP2")) == 1
    assert "/ocpp/proxy/findings.json" in browser.get("/render/ocpp/proxy/remote").text


def test_the_tables_of_the_remote_renew_themselves_alone(browser: Browser) -> None:
    for part in ("dead-letters", "findings"):
        assert f'gw-render="{part}"' in browser.get(f"/ocpp/proxy/{part}").text
        assert 'class="table"' in browser.get(f"/render/ocpp/proxy/{part}").text


@pytest.mark.parametrize("what", ["dead", "findings", "reconcile", "refused_tags", "status"])
def test_who_may_see_a_page_of_the_remote_may_ask_for_what_is_on_it(what: str) -> None:
    view = getattr(proxy, SEEN_AS.get(what, f"view_{what}"))
    api = getattr(proxy, f"api_{what}")
    assert access_of(api).role == access_of(view).role == "viewer"
