"""The verbs and API functions, in the process that serves."""

from pathlib import Path
from typing import get_args

import pytest

from gway import resolver
from gway.errors import GwayError, UnknownName, UsageError
from gway.marks import access_of
from gway.projects.ocpp.csms import csms, orders, terminal
from gway.projects.ocpp.csms.central import CentralSystem
from gway.projects.ocpp.csms.effects import gist
from gway.projects.ocpp.csms.measures import Measures
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS


@pytest.fixture
def serving(site):
    """The site as the gateway's own central system, in a process that serves."""
    site.gateway._services[CentralSystem] = site.central
    site.gateway.serving = True
    with resolver.use(site.gateway):
        yield site


@pytest.fixture
def line(serving):
    line = serving.line()
    line.boot()
    return line


COMMANDS = [
    (csms.api_remote_start, ("ADA",), "RemoteStartTransaction", {"idTag": "ADA"}),
    (csms.api_reset, (), "Reset", {"type": "Soft"}),
    (csms.api_unlock_connector, (1,), "UnlockConnector", {"connectorId": 1}),
    (
        csms.api_change_availability,
        ("Inoperative",),
        "ChangeAvailability",
        {"connectorId": 0, "type": "Inoperative"},
    ),
    (
        csms.api_trigger_message,
        ("Heartbeat",),
        "TriggerMessage",
        {"requestedMessage": "Heartbeat"},
    ),
    (csms.api_get_configuration, (["A"],), "GetConfiguration", {"key": ["A"]}),
    (csms.api_get_configuration, (), "GetConfiguration", {}),
    (
        csms.api_change_configuration,
        ("HeartbeatInterval", "60"),
        "ChangeConfiguration",
        {"key": "HeartbeatInterval", "value": "60"},
    ),
    (csms.api_send, ("ClearCache",), "ClearCache", {}),
]


@pytest.mark.parametrize(
    ("verb", "words", "action", "payload"), COMMANDS, ids=[one[2] for one in COMMANDS]
)
def test_a_command_verb_sends_its_action(serving, line, verb, words, action, payload):
    row = verb("CPX", *words, wait_s=0)
    assert line.last_call()[2:] == [action, payload]
    assert row["state"] == "sent"
    access = access_of(verb)
    assert (access.method, access.role) == ("POST", "operator")


def test_stop_picks_the_only_open_transaction(serving, line):
    with pytest.raises(GwayError, match="CPX has no open transaction"):
        csms.remote_stop("CPX")
    first = line.start(1)
    csms.remote_stop("CPX", wait_s=0)
    assert line.last_call()[3] == {"transactionId": first}
    second = line.start(2)
    with pytest.raises(GwayError, match=f"{first}, {second}"):
        csms.remote_stop("CPX")


def test_a_command_waits_for_its_answer(serving, line):
    serving.runtime.later(1, lambda: line.result({"status": "Accepted"}))
    row = csms.reset("CPX", type="Hard")
    assert (row["state"], row["status"], row["answer"]) == (
        "answered",
        "Accepted",
        {"status": "Accepted"},
    )


def test_a_refusal_and_a_silence_are_results(serving, line):
    assert csms.send("CPX", "Reset", {"type": "Warm"})["state"] == "refused"
    assert csms.reset("CPX")["state"] == "timed out"
    line.close()
    assert csms.send("CPX", "Reset", {"type": "Soft"})["error"] == "the charger is not connected"


def test_a_command_to_nobody_is_a_mistake(serving, line):
    with pytest.raises(UnknownName, match="there is no charger 'CPZ'") as caught:
        csms.send("CPZ", "Reset", {"type": "Soft"})
    assert caught.value.hint == "did you mean 'CPX'?"


def test_send_takes_every_action_of_a_central_system():
    assert set(get_args(orders.Action)) == CENTRAL_SYSTEM_ACTIONS


def test_an_action_that_does_not_exist_is_a_mistake_in_the_command_line(run):
    done = run("ocpp.csms", "send", "CPX", "Rest")
    assert done.code == 2
    assert "did you mean 'Reset'?" in done.stderr


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        ({"key": "ConnectionTimeOut", "value": "45"}, "ConnectionTimeOut=45"),
        ({"type": "Soft"}, "type Soft"),
        ({"connectorId": 1, "csChargingProfiles": {"stackLevel": 0}}, "connectorId 1"),
        ({}, ""),
        ({"location": "ftp://host/" + "x" * 100}, "location ftp://host/" + "x" * 39 + "…"),
    ],
)
def test_a_command_is_told_by_what_it_asks_for(payload, words):
    assert gist(payload) == words
    row = {"payload": payload, "command_id": "1", "action": "A", "status": "", "error_code": ""}
    told = {"state": "answered", "effect": "", "error": "", "queued_at": None, "late": False}
    assert terminal.commands([row | told])[0]["what"] == words


def test_looking_shows_chargers_commands_and_counters(serving, line):
    csms.reset("CPX", wait_s=0)
    assert [row["charger_id"] for row in csms.api_chargers()] == ["CPX"]
    assert csms.api_charger("CPX")["model"] == "One"
    assert [row["action"] for row in csms.api_commands("CPX")] == ["Reset"]
    assert csms.api_counters()["received"] == 1
    assert csms.api_refused() == []


def test_a_waiting_charger_is_approved(serving):
    serving.central.configure(unknown="reject")
    serving.knock("NEW")
    assert [row["charger_id"] for row in csms.api_refused()] == ["NEW"]
    assert csms.api_approve("NEW")["registration"] == "Accepted"
    assert serving.line("NEW").boot()["status"] == "Accepted"


def test_an_operator_closes_transactions(serving, line):
    transaction_id = line.start(meter_wh=1_000)
    line.meter(transaction_id, 2_000)
    (row,) = csms.api_close_transactions("CPX")
    assert (row["transaction_id"], row["state"], row["energy_wh"]) == (
        transaction_id,
        "inferred",
        1_000,
    )


def test_time_limits_of_one_charger_are_set(serving, line):
    shown = csms.api_tune("CPX", call_timeout_s=5, ping_interval_s=0)
    assert shown["call_timeout_s"] == 5
    assert line.ping_interval_s == 0


@pytest.mark.parametrize("charger_id", ["", "../x", "a/b", "x" * 49, "\x00", "<b>", " CP"])
def test_nobody_approves_what_no_charger_can_be_called(serving, charger_id):
    with pytest.raises(UsageError, match="no charger can have the id"):
        csms.api_approve(charger_id)
    assert list(serving.central.chargers) == []


@pytest.mark.parametrize("seconds", [-1, 86_401, 1e308, float("nan")])
def test_a_time_limit_that_is_none_changes_nothing(serving, line, seconds):
    for name in ("call_timeout_s", "ping_interval_s"):
        with pytest.raises(UsageError, match="no time limit"):
            csms.api_tune("CPX", **{name: seconds})
    assert serving.central.chargers["CPX"].call_timeout_s is None
    assert line.ping_interval_s == 30


def test_setting_up_takes_the_policy_and_the_allow_list(serving, workspace):
    Path("tags.cdv").write_text("ADA:allowed=true\n")
    csms.setup_app(allow=Path("tags.cdv"), unknown="accept", heartbeat_s=60, store=False)
    line = serving.line(remote_addr="192.0.2.1")
    assert line.boot()["interval"] == 60
    statuses = [
        line.call("Authorize", {"idTag": tag})["idTagInfo"]["status"] for tag in ("ADA", "BOB")
    ]
    assert statuses == ["Accepted", "Invalid"]


def test_health_and_metrics_tell_of_failing_storage(serving, line):
    (check,) = csms.gway_health()
    assert check.ok
    serving.central.gate.failed(OSError("disk full"))
    (check,) = csms.gway_health()
    assert (check.ok, check.detail) == (False, "disk full")
    line.start()
    values = {
        sample.name: sample.value
        for family in Measures(serving.gateway).collect()
        for sample in family.samples
        if not sample.labels
    }
    assert values == {
        "ocpp_connected_chargers": 1,
        "ocpp_open_transactions": 1,
        "ocpp_storage_failing": 0,
    }
