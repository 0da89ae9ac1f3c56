"""The pages of chargers, asked without sockets: what they show and what their forms do."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import timedelta
from urllib.parse import urlencode

import pytest

from gway.projects.ocpp.csms import csms
from gway.projects.ocpp.csms.commands import HISTORY
from gway.projects.ocpp.csms.configuration import KEPT_KEYS, LONGEST_VALUE
from gway.projects.ocpp.csms.pages import SHOWN_CHARGERS
from gway.projects.ocpp.csms.topics import topic_of
from gway.projects.ocpp.data.store import Store as Stored
from gway.projects.ocpp.facts import ChargerMemory
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS
from gway.web.routes import Site as WebSite
from tests.projects.ocpp.csms.browsing import BASE

DETAIL = f"{BASE}/charger-detail?charger_id=CPX"
LOG = f"/render{BASE}/command-log?charger_id=CPX"
CHARGER = f"{BASE}/charger?charger_id=CPX"
CONFIGURATION = f"/render{BASE}/configuration?charger_id=CPX"
EVIL = "<script>x</script>"
LATER = "2030-01-02T03:04:00Z"
SAFE = "&lt;script&gt;x&lt;/script&gt;"


@pytest.fixture
def line(serving):
    """A booted charger, CPX."""
    line = serving.line()
    line.boot()
    return line


# --- all chargers -------------------------------------------------------------


def test_both_names_show_the_same_cards(browser, line):
    line.status(1, "Charging")
    line.meter(line.start(), 3_500)
    page = browser.get(f"{BASE}/charger-status")
    assert page.status == 200
    assert "2.50 kWh" in page.words
    again = browser.get(f"{BASE}/active-chargers")
    assert again.text.partition("<main")[2] == page.text.partition("<main")[2]


def test_the_navigation_names_the_chargers_once(browser, line):
    page = browser.get(f"{BASE}/charger-status").text
    nav = page.partition("<nav")[2].partition("</nav>")[0]
    assert re.findall(r">([^<>]+)</a>", nav) == ["Chargers"]
    assert 'aria-current="page"' in nav


def test_the_list_has_json_and_csv_twins(browser, line):
    line.status(2, "Faulted", errorCode="GroundFailure")
    (row,) = json.loads(browser.get(f"{BASE}/charger-status.json").text)
    assert row["faults"][0]["error_code"] == "GroundFailure"
    (told,) = csv.DictReader(io.StringIO(browser.get(f"{BASE}/active-chargers.csv").text))
    assert (told["charger_id"], told["status"], told["connected"]) == ("CPX", "Faulted", "yes")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("search=b-", {"B-TWO"}),
        ("status=Faulted", {"A-ONE"}),
        ("search=o&status=available", {"B-TWO"}),
        ("search=nobody", set()),
    ],
)
def test_filters_choose_cards(browser, serving, query, found):
    serving.line("A-ONE").status(1, "Faulted")
    serving.line("B-TWO").status(1, "Available")
    for path in (f"{BASE}/charger-status", f"/render{BASE}/charger-cards"):
        page = browser.get(f"{path}?{query}").text
        assert set(re.findall(r'id="charger-([A-Z]-\w+)"', page)) == found
        assert ("No charger fits this filter" in page) is not found


def test_many_chargers_are_several_pages_and_their_twins_whole(browser, serving):
    serving.store.memories = {
        f"CP{number:03}": ChargerMemory(charger_id=f"CP{number:03}") for number in range(250)
    }
    for kind in ("", "/render"):
        name = "charger-cards" if kind else "charger-status"
        first = browser.get(f"{kind}{BASE}/{name}?search=cp")
        assert len(re.findall(r'id="charger-CP', first.text)) == SHOWN_CHARGERS
        assert "Page 1 of 5" in first.words
        assert 'href="?search=cp&amp;page=2"' in first.text
        last = browser.get(f"{kind}{BASE}/{name}?page=5").text
        assert re.findall(r'id="charger-(CP\d+)"', last) == [f"CP{n}" for n in range(240, 250)]
        beyond = browser.get(f"{kind}{BASE}/{name}?page=99&status=offline").words
        assert "There is no page 99, the last is 5." in beyond
    before = serving.runtime.breaths
    assert len(json.loads(browser.get(f"{BASE}/charger-status.json?search=cp").text)) == 250
    assert serving.runtime.breaths > before, "others wait while so many rows are made"


@pytest.mark.parametrize(
    ("query", "first", "count"),
    [("page=2", "CP060", 60), ("per_page=3", "CP000", 3), ("page=4&per_page=3", "CP009", 3)],
)
def test_twins_of_the_cards_have_the_page_that_is_named(browser, serving, query, first, count):
    serving.store.memories = {
        f"CP{number:03}": ChargerMemory(charger_id=f"CP{number:03}") for number in range(130)
    }
    rows = json.loads(browser.get(f"{BASE}/charger-status.json?{query}").text)
    assert (rows[0]["charger_id"], len(rows)) == (first, count)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("status=foo", "one of available, preparing, "),
        ("page=0", "page is 1 or more"),
        ("per_page=0", "per_page 1 to 200"),
        ("per_page=201", "per_page 1 to 200"),
    ],
)
def test_a_status_or_a_page_that_there_is_not_is_refused_with_what_there_is(
    browser, line, query, words
):
    for path in (f"{BASE}/charger-status", f"{BASE}/charger-status.json"):
        answer = browser.get(f"{path}?{query}")
        assert answer.status == 400
        assert words in answer.text.lower()
    assert browser.get(f"/render{BASE}/charger-cards?{query}").status == 400


def test_without_chargers_the_page_says_how_one_connects(browser):
    page = browser.get(f"{BASE}/charger-status").text
    assert "<code>ws://127.0.0.1:9000/ocpp/csms/CHARGER_ID</code>." in page
    there = browser.get(f"{BASE}/charger-status", HTTP_HOST="localhost:8888").text
    assert "ws://localhost:9000/ocpp/csms/CHARGER_ID" in there, "as the visitor reached it"


def test_the_simulator_is_offered_only_where_there_is_one(browser, serving):
    assert "cp-simulator" not in browser.get(f"{BASE}/charger-status").text
    serving.gateway.service(WebSite).mount("ocpp.evcs")
    assert 'href="/ocpp/evcs/cp-simulator">Open' in browser.get(f"{BASE}/charger-status").text


def test_a_charger_that_left_is_shown_as_it_was(browser, line):
    line.status(1, "Charging")
    line.start()
    line.close()
    assert "was Charging" in browser.get(f"{BASE}/charger-status").words
    detail = browser.get(DETAIL)
    assert "Not connected" in detail.words
    assert "Stop transaction" not in detail.text


def test_a_charger_turned_away_as_unknown_is_approved_with_one_click(browser, serving):
    serving.central.configure(unknown="reject")
    serving.knock("NEW-1")
    serving.knock("OLD-1", offered=())
    page = browser.get(f"{BASE}/charger-status").text
    rows = {
        charger_id: page.partition(f'id="refused-{charger_id}"')[2].partition("</tr>")[0]
        for charger_id in ("NEW-1", "OLD-1")
    }
    assert "not known here" in rows["NEW-1"]
    assert "has to be offered" in rows["OLD-1"]
    # What was refused for its subprotocol would be refused again.
    assert ["Approve" in row for row in rows.values()] == [True, False]
    assert browser.post("approve", charger_id="NEW-1").status == 200
    assert serving.line("NEW-1").boot()["status"] == "Accepted"
    assert "refused-NEW-1" not in browser.get(f"{BASE}/charger-status").text


@pytest.mark.parametrize(
    ("choice", "told"), [({}, "Accepted"), ({"registration": "Rejected"}, "Rejected")]
)
def test_a_charger_that_waits_is_approved_or_rejected(browser, serving, choice, told):
    serving.central.configure(unknown="pending")
    line = serving.line()
    assert line.boot()["status"] == "Pending"
    assert "Waits for approval" in browser.get(f"{BASE}/charger-status").words
    assert "This charger waits for approval" in browser.get(DETAIL).words
    answer = browser.post("approve", **choice)
    assert told in answer.words
    assert f'href="{DETAIL}"' in answer.text
    assert line.boot()["status"] == told


# --- one charger ---------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        f"{BASE}/charger-detail",
        *(
            f"/render{BASE}/{part}"
            for part in ("charger-state", "command-log", "message-log", "charger-transactions")
        ),
    ],
)
def test_an_unknown_charger_is_not_found_with_a_hint(browser, line, path):
    page = browser.get(f"{path}?charger_id=CPY")
    assert page.status == 404
    assert "There is no charger &#039;CPY&#039;. Did you mean &#039;CPX&#039;?" in page.words


def test_a_form_for_an_unknown_charger_is_not_found_and_makes_none(browser, serving, line):
    for name in ("reset", "approve"):
        assert browser.post(name, charger_id="NOBODY", type="Soft").status == 404
    assert set(serving.central.chargers) == {"CPX"}


def test_the_page_is_data_too(browser, line):
    told = json.loads(browser.get(DETAIL.replace("?", ".json?")).text)
    assert told["charger_id"] == "CPX"
    assert told["boot"]["vendor"] == "Acme"


def test_a_charger_leads_to_its_security_events_where_they_are_kept(browser, serving, line):
    link = '/ocpp/data/security-events?charger_id=CPX"'
    assert link not in browser.get(DETAIL).text
    serving.gateway.load("ocpp.data")
    serving.gateway.service(WebSite).mount("ocpp.data")
    assert link in browser.get(DETAIL).text
    page = browser.get(link.strip('"'))
    assert (page.status, "Security events of CPX" in page.words) == (200, True)


def test_each_fact_of_a_charger_is_said_once(browser, serving):
    assert serving.line("NEW-1").open
    assert "Make not known" in browser.get(f"{BASE}/charger-detail?charger_id=NEW-1").words
    line = serving.line()
    told = {"chargePointVendor": "Volta", "chargePointModel": "Two", "firmwareVersion": "7.1"}
    line.call("BootNotification", told)
    line.status(1, "Preparing")
    state = browser.get(f"/render{BASE}/charger-state?charger_id=CPX").words
    assert "Connector 1 Preparing Since 2024" in state
    assert "What else it told" not in browser.get(DETAIL).words
    line.call("BootNotification", {**told, "iccid": "8949"})
    page = browser.get(DETAIL.replace("?", "?action=Reset&")).words  # no message is listed
    assert "What else it told at its last boot Iccid 8949" in page
    for fact in ("Volta", "Two", "7.1"):
        assert page.count(fact) == 1, fact


def test_what_a_charger_sends_is_text(browser, serving):
    line = serving.line()
    line.call("BootNotification", {"chargePointVendor": EVIL, "chargePointModel": "One"})
    line.status(1, "Faulted", errorCode="OtherError", info=EVIL, vendorErrorCode="<b>")
    line.start(id_tag="<i>A</i>")
    line.say(EVIL)
    for path in (f"{BASE}/charger-status", DETAIL):
        page = browser.get(path).text
        assert SAFE in page
        assert EVIL not in page
        assert "<i>A" not in page
        assert "<b>" not in page


def test_messages_are_calls_with_their_answers_the_newest_first(browser, line, clock):
    line.call("Nonsense")
    line.say("{")
    browser.post("reset", scripted=True, type="Soft")
    clock.at += timedelta(milliseconds=250)
    line.result({"status": "Accepted"})
    page = browser.get(f"/render{BASE}/message-log?charger_id=CPX")
    assert re.findall(r"<strong>([^<]*)</strong>", page.text) == [
        "Reset",
        "not OCPP",
        "Nonsense",
        "BootNotification",
    ]
    assert "250 ms" in page.words, "between the call and its answer"
    assert "NotImplemented" in page.words


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("direction=out", ["Reset"]),
        ("direction=in&action=Heartbeat", ["Heartbeat"]),
        ("errors=true", ["not OCPP", "Nonsense"]),
        ("q=cHaRgEpOiNt", ["BootNotification"]),
        ("q=nobody+said+this", []),
    ],
)
def test_messages_are_filtered_by_direction_action_errors_and_text(browser, line, query, shown):
    for action in ("Heartbeat", "Nonsense"):
        line.call(action)
    line.say("{")
    browser.post("reset", scripted=True, type="Soft")
    for path in (f"/render{BASE}/message-log?charger_id=CPX&{query}", f"{DETAIL}&{query}"):
        page = browser.get(path).text
        log = page.partition('<ol class="frames"')[2].partition("</ol>")[0]
        assert re.findall(r"<strong>([^<]*)</strong>", log) == shown
    assert ("fits this filter" in page) is (not shown)


def test_the_message_log_says_how_far_it_goes_back(browser, serving, line):
    serving.store.memories["AWAY"] = ChargerMemory(charger_id="AWAY", registration="Accepted")
    empty = browser.get(DETAIL.replace("CPX", "AWAY")).words
    assert "No message yet." in empty
    for page in (empty, browser.get(DETAIL).words):
        assert "from the first time that somebody opens this page" in page


def test_a_charger_id_with_a_space_has_one_topic(browser, serving):
    serving.line("MY CHARGER").boot()
    page = browser.get(f"{BASE}/charger-detail?charger_id=MY+CHARGER").text
    topics = set(re.findall(r'gw-topic="([^"]*)"', page))
    assert topics == {topic_of("MY CHARGER")}
    assert " " not in topics.pop()


def test_without_a_store_the_page_says_so_and_brings_none_in(browser, serving, line):
    assert "not kept here" in browser.get(DETAIL).words
    assert not serving.gateway.has_service(Stored)


def test_transactions_are_those_of_the_last_day_or_of_a_period(browser, serving, clock):
    serving.gateway.load("ocpp.data")
    line = serving.line()
    line.boot()
    line.stop(line.start(id_tag="OLD"))
    began = clock.at
    clock.at += timedelta(hours=25)
    line.stop(line.start(id_tag="NEW"))
    assert "in the last 24 hours, up to now: 1 transaction." in browser.get(DETAIL).words
    rows = browser.get(f"/render{BASE}/charger-transactions?charger_id=CPX").words
    assert ("NEW" in rows, "OLD" in rows) == (True, False)
    query = urlencode({"since": began.isoformat(), "until": "2024-05-17T13:00:00+00:00"})
    period = browser.get(f"{DETAIL}&{query}")
    assert 'name="since" gw-utc value="2024-05-17T12:00"' in period.text
    rows = browser.get(f"/render{BASE}/charger-transactions?charger_id=CPX&{query}").words
    assert ("NEW" in rows, "OLD" in rows) == (False, True)
    assert "3.50 kWh" in rows


def test_a_day_as_the_end_of_a_period_stays_whole_in_its_field(browser, line):
    """Else the next change of the form would leave it out."""
    page = browser.get(f"{DETAIL}&since=2024-05-16&until=2024-05-17").text
    assert 'name="since" gw-utc value="2024-05-16T00:00"' in page
    assert 'name="until" gw-utc value="2024-05-18T00:00"' in page


def test_a_date_that_is_none_is_refused_with_its_name(browser, line):
    page = browser.get(f"{DETAIL}&since=yesterday-ish")
    assert page.status == 400
    assert "Since: &#039;yesterday-ish&#039; is not a date." in page.words


# --- its forms -------------------------------------------------------------------

FORMS = [
    ("remote-start", {"id_tag": "ADA", "connector_id": ""}, "RemoteStartTransaction"),
    ("remote-stop", {"transaction_id": "7"}, "RemoteStopTransaction"),
    ("reset", {"type": "Hard"}, "Reset"),
    ("unlock-connector", {"connector_id": "1"}, "UnlockConnector"),
    ("change-availability", {"connector_id": "0", "type": "Operative"}, "ChangeAvailability"),
    ("trigger-message", {"message": "Heartbeat"}, "TriggerMessage"),
    ("get-configuration", {}, "GetConfiguration"),
    ("change-configuration", {"key": "A", "value": "1"}, "ChangeConfiguration"),
    ("send", {"action": "ClearCache", "payload": "{}"}, "ClearCache"),
    ("clear-cache", {}, "ClearCache"),
    ("get-local-list-version", {}, "GetLocalListVersion"),
    ("send-local-list", {"list_version": "2", "tags": "ADA\n-BOB"}, "SendLocalList"),
    ("data-transfer", {"vendor_id": "acme", "data": "x"}, "DataTransfer"),
    ("reserve-now", {"reservation_id": "7", "id_tag": "ADA", "expiry_date": LATER}, "ReserveNow"),
    ("cancel-reservation", {"reservation_id": "7"}, "CancelReservation"),
    ("set-charging-profile", {"periods": "0:16, 3600:32"}, "SetChargingProfile"),
    ("clear-charging-profile", {"purpose": ""}, "ClearChargingProfile"),
    ("get-composite-schedule", {"connector_id": "1"}, "GetCompositeSchedule"),
    ("get-diagnostics", {"location": "ftp://a/b"}, "GetDiagnostics"),
    ("update-firmware", {"location": "ftp://a/b", "retrieve_date": LATER}, "UpdateFirmware"),
    ("get-log", {"location": "ftp://a/b"}, "GetLog"),
    (
        "signed-update-firmware",
        {
            "location": "ftp://a/b",
            "retrieve_time": LATER,
            "signing_certificate": "PEM",
            "signature": "c2ln",
        },
        "SignedUpdateFirmware",
    ),
    ("extended-trigger-message", {"message": "Heartbeat"}, "ExtendedTriggerMessage"),
    ("certificate-signed", {"certificate_chain": "PEM"}, "CertificateSigned"),
    (
        "install-certificate",
        {"certificate": "PEM", "certificate_type": "ManufacturerRootCertificate"},
        "InstallCertificate",
    ),
    (
        "get-installed-certificate-ids",
        {"certificate_type": "ManufacturerRootCertificate"},
        "GetInstalledCertificateIds",
    ),
    (
        "delete-certificate",
        {"serial_number": "1", "issuer_name_hash": "a", "issuer_key_hash": "b"},
        "DeleteCertificate",
    ),
]


@pytest.mark.parametrize(("name", "form", "action"), FORMS, ids=[one[0] for one in FORMS])
def test_a_form_works_without_script(browser, serving, line, name, form, action):
    """The charger's answer is on the page that follows, with the way back."""
    serving.runtime.later(2, lambda: line.result({"status": "Rejected"}))
    page = browser.post(name, **form)
    assert page.status == 200
    assert line.calls() == [action]
    assert "Rejected" in page.words
    assert f'href="{DETAIL}"' in page.text
    assert page.text.startswith("<!doctype html>")


def test_there_is_a_form_for_every_command(browser, line):
    actions = {action for _, _, action in FORMS}
    assert actions == set(CENTRAL_SYSTEM_ACTIONS)
    page = browser.get(DETAIL).text
    for name, form, _ in FORMS:
        part = page.partition(f'action="{BASE}/{name}"')[2].partition("</form>")[0]
        assert set(re.findall(r'name="(\w+)"', part)) >= {"csrf", "charger_id", *form}, name


def test_a_profile_is_sent_as_it_was_typed(browser, line):
    form = {"periods": "0:16 3600:32.5", "duration_s": "7200", "start_schedule": LATER}
    browser.post("set-charging-profile", scripted=True, connector_id="1", **form)
    assert line.last_call()[3] == {
        "connectorId": 1,
        "csChargingProfiles": {
            "chargingProfileId": 1,
            "stackLevel": 0,
            "chargingProfilePurpose": "TxDefaultProfile",
            "chargingProfileKind": "Absolute",
            "chargingSchedule": {
                "duration": 7200,
                "startSchedule": LATER,
                "chargingRateUnit": "A",
                "chargingSchedulePeriod": [
                    {"startPeriod": 0, "limit": 16.0},
                    {"startPeriod": 3600, "limit": 32.5},
                ],
            },
        },
    }
    wrong = browser.post("set-charging-profile", scripted=True, periods="sixteen")
    assert (wrong.status, "second:limit" in wrong.words) == (400, True)


def test_open_transactions_are_closed_by_hand(browser, line):
    transaction_id = line.start()
    line.meter(transaction_id, 3_500)
    told = browser.post("close-transactions", scripted=True)
    assert f"Transaction {transaction_id} on connector 1 with 2.50 kWh" in told.words
    again = browser.post("close-transactions")
    assert "There was no open transaction" in again.words
    assert f'href="{DETAIL}"' in again.text


def test_a_pressed_button_answers_at_once_and_follows_its_command(browser, line):
    transaction_id = line.start()
    answer = browser.post("remote-stop", scripted=True, transaction_id=transaction_id)
    assert "RemoteStopTransaction sent queued" in answer.words
    assert answer.words.split()[-4:] == ["waiting", "for", "the", "answer"]
    assert line.last_call()[3] == {"transactionId": transaction_id}
    where = re.search(r'gw-params="(command_id=[^"]+)"', answer.text).group(1)
    follow = f"/render{BASE}/command-answer?charger_id=CPX&{where}"
    line.result({"status": "Accepted"})
    told = browser.get(follow).words
    assert "RemoteStopTransaction Accepted queued" in told
    assert "answered Accepted" in told
    assert "waiting for what follows" in told
    line.stop(transaction_id, reason="Remote")
    assert f"transaction {transaction_id} stopped (Remote)" in browser.get(follow).words
    assert f"transaction {transaction_id} stopped (Remote)" in browser.get(LOG).words


def test_the_answer_of_a_command_that_is_long_gone_is_empty(browser, line):
    gone = browser.get(f"/render{BASE}/command-answer?charger_id=CPX&command_id=x-1")
    assert (gone.status, gone.text) == (200, "")


def test_a_form_without_its_token_sends_nothing(browser, line):
    page = browser.post("reset", csrf="guessed", type="Soft")
    assert page.status == 403
    assert line.calls() == []


def test_forms_answer_no_get(browser, line):
    assert browser.get(f"{BASE}/reset?charger_id=CPX&type=Soft").status == 405
    assert line.calls() == []


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"action": "Reset", "payload": '{"type": '}, "Payload: "),
        ({"action": "Reset", "payload": "[]"}, "Payload: "),
        ({"action": "Rest", "payload": "{}"}, "Did you mean &#039;Reset&#039;?"),
    ],
)
def test_what_is_no_command_at_all_is_told_where_it_was_typed(browser, line, form, why):
    answer = browser.post("send", scripted=True, **form)
    assert answer.status == 400
    assert why in answer.words
    assert "<html" not in answer.text
    assert line.calls() == []


@pytest.mark.parametrize(
    ("form", "why"),
    [
        ({"action": "Reset", "payload": '{"type": "Warm"}'}, "Warm"),
        ({"action": "GetConfiguration", "payload": '{"keys": []}'}, "keys"),
    ],
)
def test_a_command_that_is_refused_says_why_and_is_not_followed(browser, line, form, why):
    answer = browser.post("send", scripted=True, **form)
    assert answer.words.split()[1] == "refused"
    assert why in answer.words
    assert "gw-render" not in answer.text
    assert line.calls() == []


@pytest.mark.parametrize(
    ("answer", "tone", "words"),
    [
        ([3, {"status": "Accepted"}], "ok", "Accepted"),
        ([3, {"status": "Rejected"}], "bad", "Rejected"),
        ([4, "NotSupported", "no", {}], "bad", "NotSupported"),
    ],
)
def test_the_list_of_commands_tells_outcomes_by_word_and_tone(browser, line, answer, tone, words):
    browser.post("reset", scripted=True, type="Soft")
    line.say(json.dumps([answer[0], line.last_call()[1], *answer[1:]]))
    badge = browser.get(LOG).text.partition('<span class="badge"')[2].partition("</span>")[0]
    assert badge.strip() == f'data-status="{tone}">{words}'


def test_an_answer_that_came_too_late_says_so(browser, serving, line):
    browser.post("reset", scripted=True, type="Soft")
    serving.runtime.advance(31)
    assert "no answer within 30 s" in browser.get(LOG).words
    line.result({"status": "Accepted"})
    assert "Accepted, late" in browser.get(LOG).words


@pytest.mark.parametrize("keys", [[{"key": "A", "value": "12", "readonly": True}], "all", ["A"]])
def test_configuration_is_a_list_of_keys_whatever_the_charger_sent(browser, line, keys):
    assert "Not read yet" in browser.get(CONFIGURATION).words
    browser.post("get-configuration", scripted=True)
    line.result({"configurationKey": keys})
    page = browser.get(CONFIGURATION)
    assert page.status == 200
    assert ("A read only 12" in page.words) is isinstance(keys[0], dict)


def test_a_key_is_changed_in_its_row_and_shown_as_accepted(browser, line):
    browser.post("get-configuration", scripted=True)
    keys = [
        {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
        {"key": "AuthorizationKey", "readonly": False, "value": "hunter2"},
    ]
    line.result({"configurationKey": keys})
    assert 'name="value" value="300"' in browser.get(CONFIGURATION).text
    browser.post("change-configuration", scripted=True, key="HeartbeatInterval", value="60")
    assert 'name="value" value="300"' in browser.get(CONFIGURATION).text, "not before its answer"
    line.result({"status": "Accepted"})
    assert 'name="value" value="60"' in browser.get(CONFIGURATION).text


def test_the_configuration_outlives_its_command_and_its_connection(browser, serving, line):
    browser.post("get-configuration", scripted=True)
    line.result({"configurationKey": [{"key": "A", "readonly": False, "value": "1"}]})
    browser.post("change-configuration", scripted=True, key="A", value="2")
    line.result({"status": "Accepted"})
    for _ in range(HISTORY):
        browser.post("reset", scripted=True, type="Soft")
        line.result({"status": "Accepted"})
    line.close()
    serving.line().boot()
    assert 'name="value" value="2"' in browser.get(CONFIGURATION).text
    told = json.loads(browser.get("/api" + CHARGER).text)["configuration"]
    (key,) = told["keys"]
    assert key == {"key": "A", "value": "2", "pending": None, "readonly": False, "secret": False}


def test_a_key_that_the_charger_does_not_know_any_more_is_dropped(browser, line):
    browser.post("send", scripted=True, action="GetConfiguration", payload='{"key": ["A", "B"]}')
    keys = [{"key": name, "readonly": True, "value": "1"} for name in "AB"]
    line.result({"configurationKey": keys})
    browser.post("send", scripted=True, action="GetConfiguration", payload='{"key": ["A"]}')
    line.result({"unknownKey": ["A"]})
    told = json.loads(browser.get("/api" + CHARGER).text)["configuration"]
    assert [row["key"] for row in told["keys"]] == ["B"]


def test_a_charger_makes_us_remember_only_so_much_configuration(browser, line):
    browser.post("get-configuration", scripted=True)
    keys = [{"key": f"K{n}", "readonly": True, "value": "x" * 600} for n in range(KEPT_KEYS + 9)]
    line.result({"configurationKey": keys})
    told = json.loads(browser.get("/api" + CHARGER).text)["configuration"]["keys"]
    assert len(told) == KEPT_KEYS
    assert {len(row["value"]) for row in told} == {LONGEST_VALUE}


def test_a_value_that_is_accepted_before_any_was_read_is_shown(browser, line):
    browser.post("change-configuration", scripted=True, key="A", value="2")
    line.result({"status": "Accepted"})
    page = browser.get(CONFIGURATION)
    assert "Not all read yet" in page.words
    assert "changes that the charger accepted" in page.words
    assert 'name="value" value="2"' in page.text


def test_a_password_is_shown_nowhere_though_the_charger_tells_it(browser, line):
    browser.post("get-configuration", scripted=True)
    keys = [{"value": "hunter2", "key": "AuthorizationKey", "readonly": False}]
    line.result({"configurationKey": keys})
    browser.post("change-configuration", scripted=True, key="AuthorizationKey", value="hunter3")
    line.result({"status": "Accepted"})
    for path in (DETAIL, DETAIL.replace("?", ".json?"), LOG, CONFIGURATION, "/api" + CHARGER):
        page = browser.get(path)
        assert page.status == 200
        assert "hunter" not in page.text
    assert "not shown" in browser.get(CONFIGURATION).words


# --- in a terminal ------------------------------------------------------------------


def test_people_see_chargers_in_few_flat_columns(serving, line):
    line.status(1, "Charging")
    line.meter(line.start(), 3_500)
    line.status(2, "Faulted", errorCode="GroundFailure", info="RCD")
    serving.clock.at += timedelta(minutes=5)
    rows = json.loads(json.dumps(csms.chargers(), default=str))  # as a server's API gives them
    (shown,) = csms.chargers.__gway_people__(rows)
    assert shown == {
        "charger_id": "CPX",
        "status": "Faulted",
        "connectors": "1 Charging, 2 Faulted",
        "power": "",
        "energy": "2.50 kWh",
        "duration": "5 min 00 s",
        "last_seen": "5 min ago",
        "faults": "2 GroundFailure RCD",
    }


def test_people_see_one_charger_and_its_commands_flat(serving, line):
    transaction_id = line.start()
    line.meter(transaction_id, 3_500)
    csms.reset("CPX", wait_s=0)
    shown = csms.charger.__gway_people__(csms.charger("CPX"))
    assert shown["transactions"] == f"{transaction_id} on 1: 2.50 kWh"
    assert (shown["commands"], shown["frames"]) == (1, 7)
    (row,) = csms.commands.__gway_people__(csms.commands("CPX"))
    assert (row["action"], row["state"], row["answer"]) == ("Reset", "sent", "")
