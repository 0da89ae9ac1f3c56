"""The tables of a charger's page, which are pages of their own, too: twins, filters, bounds."""

from __future__ import annotations

import csv
import io
import json
from datetime import timedelta

import pytest

from gway.projects.ocpp.csms.framelog import SHOWN_BYTES
from gway.projects.ocpp.csms.pages_refused import SHORT
from tests.projects.ocpp.csms.browsing import BASE

KEYS = [
    {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
    {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
    {"key": "AuthorizationKey", "readonly": False, "value": "hunter2"},
]
TABLES = ("charger-messages", "charger-commands", "charger-configuration")


@pytest.fixture
def line(serving, browser, clock):
    """A charger that told its configuration and was reset in vain."""
    line = serving.line()
    line.boot()
    clock.at += timedelta(seconds=1)
    browser.post("get-configuration", scripted=True)
    line.result({"configurationKey": KEYS})
    clock.at += timedelta(seconds=1)
    browser.post("reset", scripted=True, type="Soft")
    line.result({"status": "Rejected"})
    return line


def rows(browser, view, query="charger_id=CPX"):
    return json.loads(browser.get(f"{BASE}/{view}.json?{query}").text)


def test_the_page_of_a_charger_is_data_with_all_that_it_shows(browser, line):
    told = rows(browser, "charger-detail", "charger_id=CPX&action=Reset")
    assert [one["action"] for one in told["commands"]] == ["Reset", "GetConfiguration"]
    assert len(told["configuration"]["keys"]) == 3
    (message,) = told["messages"]
    assert (message["direction"], message["outcome"]) == ("out", "answered")
    assert json.loads(message["answer"])[2] == {"status": "Rejected"}


def test_messages_have_twins_that_filter_sort_and_page(browser, line):
    found = rows(browser, "charger-messages")
    assert [one["action"] for one in found] == ["Reset", "GetConfiguration", "BootNotification"]
    assert rows(browser, "charger-messages", "charger_id=CPX&sort=at")[::-1] == found
    assert rows(browser, "charger-messages", "charger_id=CPX&direction=in") == found[2:]
    assert rows(browser, "charger-messages", "charger_id=CPX&q=numberofconn") == found[1:2]
    assert rows(browser, "charger-messages", "charger_id=CPX&page=2&per_page=2") == found[2:]
    page = browser.get(f"{BASE}/charger-messages?charger_id=CPX&action=Reset")
    assert "All" in page.words
    assert "GetConfiguration.conf" not in page.words
    assert "Rejected" in page.text


@pytest.mark.parametrize("error", [False, True])
def test_an_answer_too_long_to_be_kept_is_still_that_of_its_call(browser, line, error):
    browser.post("get-configuration", scripted=True)
    message_id, long = line.last_call()[1], "x" * SHOWN_BYTES
    keys = {"configurationKey": [{"key": "A", "readonly": True, "value": long}]}
    line.say(json.dumps([4, message_id, "GenericError", long, {}] if error else
                        [3, message_id, keys]))  # fmt: skip
    (found, _) = rows(browser, "charger-messages", "charger_id=CPX&action=GetConfiguration")
    assert found["outcome"] == ("GenericError" if error else "answered")
    assert found["answer"].endswith("\N{HORIZONTAL ELLIPSIS}")


def test_messages_that_no_filter_lets_through_are_told_from_none(browser, line):
    path = f"/render{BASE}/charger-messages?charger_id=CPX&errors=true"
    assert "None of the 3 latest messages fits." in browser.get(path).words


def test_commands_have_twins_and_say_how_each_went(browser, line):
    found = rows(browser, "charger-commands")
    assert [one["action"] for one in found] == ["Reset", "GetConfiguration"]
    assert "steps" not in found[0]
    assert len(rows(browser, "charger-commands", "charger_id=CPX&q=rejected")) == 1
    page = browser.get(f"{BASE}/charger-commands?charger_id=CPX")
    assert "answered Rejected" in page.words
    assert "Reset type " in page.words
    assert '<tr id="command-' in page.text


def test_keys_are_filtered_and_sorted_with_their_forms(browser, line):
    view = f"{BASE}/charger-configuration"
    told = list(csv.DictReader(io.StringIO(browser.get(f"{view}.csv?charger_id=CPX").text)))
    assert [one["key"] for one in told] == sorted(one["key"] for one in KEYS)
    assert told[0]["value"] == "***"
    for path in (f"{view}?", f"/render{BASE}/configuration?", f"{BASE}/charger-detail?"):
        page = browser.get(f"{path}charger_id=CPX&config_q=heart").text
        assert 'name="value" value="300"' in page
        assert "key-NumberOfConnectors" not in page
        assert "/ocpp/csms/charger-configuration.csv?" in page
    down = rows(browser, "charger-configuration", "charger_id=CPX&config_sort=-key")
    assert down[0]["key"] == "NumberOfConnectors"


def test_no_table_tells_a_password(browser, line):
    for view in (*TABLES, "charger-detail"):
        for suffix in ("", ".json", ".csv"):
            page = browser.get(f"{BASE}/{view}{suffix}?charger_id=CPX")
            assert page.status == 200
            assert "hunter" not in page.text


@pytest.mark.parametrize("view", TABLES)
def test_tables_of_nobody_are_not_found_and_odd_orders_refused(browser, line, view):
    assert browser.get(f"{BASE}/{view}?charger_id=NOBODY").status == 404
    name = "config_sort" if view == "charger-configuration" else "sort"
    assert browser.get(f"{BASE}/{view}?charger_id=CPX&{name}=nonsense").status == 400


def test_a_few_that_were_turned_away_are_below_the_cards_and_all_by_themselves(browser, serving):
    serving.central.configure(unknown="reject")
    for number in range(SHORT + 2):
        serving.knock(f"NEW-{number}")
    cards = browser.get(f"{BASE}/charger-status")
    assert cards.text.count('<tr id="refused-') == SHORT
    assert f"All {SHORT + 2} that were turned away" in cards.words
    assert len(rows(browser, "refused-chargers", "")) == SHORT + 2
    (row,) = rows(browser, "refused-chargers", "q=new-3")
    assert row["approvable"]
    assert "Approve it" in row["advice"]
    page = browser.get(f"{BASE}/refused-chargers?per_page=1&sort=charger_id")
    assert 'id="refused-NEW-0"' in page.text
    assert page.text.count('aria-label="Approve NEW') == 1
    assert f"of {SHORT + 2}" in page.words


def test_the_pages_of_a_charger_renew_themselves(browser, line):
    for view in (*TABLES, "charger-transactions"):
        page = browser.get(f"{BASE}/{view}?charger_id=CPX").text
        assert 'gw-topic="ocpp:CPX"' in page
        assert "gw-render=" in page
    assert 'gw-render="refused-chargers"' in browser.get(f"{BASE}/refused-chargers").text
