"""Our calls to chargers: order, answers, time limits, effects, refusals."""

import pytest

from gway.errors import UsageError
from gway.projects.ocpp.csms.commands import QUEUE
from gway.projects.ocpp.csms.effects import Event, effect_of
from gway.projects.ocpp.facts import CommandState
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS

RESET = {"type": "Soft"}


def test_a_command_is_sent_answered_and_told(site, line):
    command = site.central.commands.submit("CPX", "Reset", RESET)
    assert line.last_call()[2:] == ["Reset", RESET]
    assert command.state is CommandState.SENT
    line.result({"status": "Accepted"})
    assert (command.state, command.status) == (CommandState.ANSWERED, "Accepted")
    states = [told["state"] for told in site.store.of("command")]
    assert states[-1] is CommandState.ANSWERED


def test_commands_wait_for_each_other_in_order(site, line):
    submit = site.central.commands.submit
    submit("CPX", "ClearCache", {})
    submit("CPX", "Reset", RESET)
    submit("CPX", "GetLocalListVersion", {})
    assert line.calls() == ["ClearCache"]
    line.result({"status": "Accepted"})
    line.result({"status": "Rejected"})
    assert line.calls() == ["ClearCache", "Reset", "GetLocalListVersion"]


def test_the_charger_is_served_while_a_command_is_under_way(site, line):
    site.central.commands.submit("CPX", "Reset", RESET)
    assert "currentTime" in line.call("Heartbeat")
    transaction_id = line.start()
    assert line.stop(transaction_id) == {}


def test_a_payload_keeps_its_order(site, line):
    payload = {"value": "60", "key": "HeartbeatInterval"}
    site.central.commands.submit("CPX", "ChangeConfiguration", payload)
    assert list(line.last_call()[3]) == ["value", "key"]


VALID = {
    "CancelReservation": {"reservationId": 1},
    "ClearCache": {},
    "GetConfiguration": {},
    "GetLocalListVersion": {},
    "Reset": RESET,
    "UnlockConnector": {"connectorId": 1},
    "DataTransfer": {"vendorId": "acme"},
}


@pytest.mark.parametrize("action", sorted(VALID))
def test_any_central_system_action_can_be_sent(site, line, action):
    assert action in CENTRAL_SYSTEM_ACTIONS
    site.central.commands.submit("CPX", action, VALID[action])
    assert line.last_call()[2:] == [action, VALID[action]]


@pytest.mark.parametrize(
    ("charger_id", "action", "payload", "why"),
    [
        ("CPX", "Reset", {"type": "Warm"}, "Warm"),
        ("CPX", "Reset", {}, "type"),
        ("CPX", "Reset", {"type": "Soft", "extra": 1}, "extra"),
        ("AWAY", "Reset", RESET, "not connected"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_the_reason(
    site, line, charger_id, action, payload, why
):
    before = len(line.sent)
    command = site.central.commands.submit(charger_id, action, payload)
    assert command.state is CommandState.REFUSED
    assert why in command.error
    assert len(line.sent) == before


@pytest.mark.parametrize(("action", "hint"), [("Rest", "Reset"), ("Heartbeat", "actions")])
def test_an_action_that_no_central_system_sends_is_no_command(site, line, action, hint):
    before = len(line.sent)
    with pytest.raises(UsageError, match="no action") as caught:
        site.central.commands.submit("CPX", action, {})
    assert hint in caught.value.hint
    assert len(line.sent) == before


def test_a_charger_that_waits_for_approval_starts_nothing(site):
    site.central.configure(unknown="pending")
    line = site.line()
    line.boot()
    refused = site.central.commands.submit("CPX", "RemoteStartTransaction", {"idTag": "ADA"})
    assert (refused.state, refused.error) == (
        CommandState.REFUSED,
        "the charger is pending, not accepted",
    )
    assert site.central.commands.submit("CPX", "Reset", RESET).state is CommandState.SENT


def test_a_queue_is_bounded(site, line):
    submit = site.central.commands.submit
    states = [submit("CPX", "Reset", RESET).state for _ in range(QUEUE + 2)]
    assert states.count(CommandState.REFUSED) == 1


def test_an_error_is_a_result(site, line):
    command = site.central.commands.submit("CPX", "Reset", RESET)
    line.say(f'[4,"{line.last_call()[1]}","NotImplemented","no such thing",{{}}]')
    assert command.state is CommandState.FAILED
    assert (command.error_code, command.error) == ("NotImplemented", "no such thing")


def test_an_answer_that_breaks_the_rules_is_kept_and_said(site, line):
    command = site.central.commands.submit("CPX", "Reset", RESET)
    line.result({"status": "Maybe"})
    assert (command.state, command.status) == (CommandState.ANSWERED, "Maybe")
    assert "Maybe" in command.error


def test_a_broken_answer_frees_the_way_for_the_next(site, line):
    command = site.central.commands.submit("CPX", "Reset", RESET)
    site.central.commands.submit("CPX", "ClearCache", {})
    line.say(f'[3,"{line.last_call()[1]}"]')
    assert command.state is CommandState.FAILED
    assert line.calls() == ["Reset", "ClearCache"]


def test_after_its_time_limit_a_command_is_timed_out_and_the_next_goes_out(site, line):
    command = site.central.commands.submit("CPX", "Reset", RESET)
    site.central.commands.submit("CPX", "ClearCache", {})
    site.runtime.advance(29)
    assert command.state is CommandState.SENT
    site.runtime.advance(2)
    assert command.state is CommandState.TIMED_OUT
    assert line.calls() == ["Reset", "ClearCache"]


def test_a_late_answer_is_recorded_as_late(site, line):
    command = site.central.commands.submit("CPX", "Reset", RESET)
    site.runtime.advance(31)
    line.result({"status": "Accepted"})
    assert command.state is CommandState.TIMED_OUT
    assert (command.late, command.status) == (True, "Accepted")


def test_the_time_limit_can_be_set_for_one_charger(site, line):
    site.central.chargers["CPX"].call_timeout_s = 5.0
    command = site.central.commands.submit("CPX", "Reset", RESET)
    site.runtime.advance(6)
    assert command.state is CommandState.TIMED_OUT


def test_an_unsolicited_answer_is_counted_and_ignored(site, line):
    assert line.say('[3,"never-asked",{}]') == []
    assert site.central.counters.unsolicited == 1


def test_a_call_in_flight_is_uncertain_when_the_connection_ends(site, line):
    sent = site.central.commands.submit("CPX", "Reset", RESET)
    queued = site.central.commands.submit("CPX", "ClearCache", {})
    line.close(1006)
    assert sent.state is CommandState.UNCERTAIN
    assert queued.state is CommandState.FAILED


def test_a_queue_goes_on_over_the_connection_that_replaces_the_old_one(site, line):
    sent = site.central.commands.submit("CPX", "Reset", RESET)
    site.central.commands.submit("CPX", "ClearCache", {})
    line.answers_pings = False
    new = site.line()
    assert sent.state is CommandState.UNCERTAIN
    assert new.calls() == ["ClearCache"]


def test_a_caller_waits_for_the_answer_or_gives_up(site, line):
    command = site.central.commands.submit("CPX", "Reset", RESET)
    site.central.commands.wait(command, 3)
    assert command.state is CommandState.SENT
    site.runtime.later(2, lambda: line.result({"status": "Accepted"}))
    site.central.commands.wait(command, 10)
    assert command.state is CommandState.ANSWERED


def test_a_password_goes_to_the_charger_and_nowhere_else(site, line):
    payload = {"key": "AuthorizationKey", "value": "0badcafe"}
    command = site.central.commands.submit("CPX", "ChangeConfiguration", payload)
    assert line.last_call()[3]["value"] == "0badcafe"
    shown = str(site.central.snapshot("CPX")) + str(command)
    assert "0badcafe" not in shown
    assert "***" in shown


# --- effects ---


def test_a_remote_start_is_followed_to_its_transaction(site, line):
    payload = {"idTag": "ADA", "connectorId": 2}
    command = site.central.commands.submit("CPX", "RemoteStartTransaction", payload)
    line.result({"status": "Accepted"})
    line.start(1)
    assert command.effect == ""
    transaction_id = line.start(2)
    assert command.effect == f"transaction {transaction_id} started"


def test_an_effect_may_come_before_the_answer(site, line):
    transaction_id = line.start()
    payload = {"transactionId": transaction_id}
    command = site.central.commands.submit("CPX", "RemoteStopTransaction", payload)
    line.stop(transaction_id, reason="Remote")
    assert command.effect == f"transaction {transaction_id} stopped (Remote)"
    line.result({"status": "Accepted"})
    assert command.state is CommandState.ANSWERED


def test_a_refused_command_has_no_effect(site, line):
    command = site.central.commands.submit("CPX", "RemoteStartTransaction", {"idTag": "ADA"})
    line.result({"status": "Rejected"})
    line.start()
    assert command.effect == ""
    assert site.central.chargers["CPX"].expecting is None


def test_a_reset_is_followed_over_the_reconnect(site, line):
    command = site.central.commands.submit("CPX", "Reset", RESET)
    line.result({"status": "Accepted"})
    line.close()
    site.line().boot()
    assert command.effect == "the charger booted"


def test_a_trigger_and_an_availability_are_followed(site, line):
    submit = site.central.commands.submit
    trigger = submit("CPX", "TriggerMessage", {"requestedMessage": "Heartbeat"})
    line.result({"status": "Accepted"})
    line.call("Heartbeat")
    assert trigger.effect == "Heartbeat was sent"
    change = submit("CPX", "ChangeAvailability", {"connectorId": 1, "type": "Inoperative"})
    line.result({"status": "Scheduled"})
    line.status(1, "Charging")
    assert change.effect == ""
    line.status(1, "Unavailable")
    assert change.effect == "connector 1 is Unavailable"


def test_a_job_is_followed_to_its_end(site, line):
    payload = {"location": "ftp://x/y", "retrieveDate": line.time()}
    command = site.central.commands.submit("CPX", "UpdateFirmware", payload)
    line.result({})
    for status in ("Downloading", "Downloaded", "Installing", "Installed"):
        line.call("FirmwareStatusNotification", {"status": status})
        assert command.effect == status
    assert site.central.chargers["CPX"].expecting is None


@pytest.mark.parametrize(
    ("action", "payload", "event"),
    [
        ("RemoteStartTransaction", {"idTag": "A"}, Event("started", id_tag="B")),
        ("RemoteStopTransaction", {"transactionId": 1}, Event("stopped", transaction_id=2)),
        ("Reset", RESET, Event("status")),
        ("TriggerMessage", {"requestedMessage": "Heartbeat"}, Event("message", action="Boot")),
        (
            "TriggerMessage",
            {"requestedMessage": "MeterValues", "connectorId": 1},
            Event("message", action="MeterValues", connector_id=2),
        ),
        (
            "ChangeAvailability",
            {"connectorId": 1, "type": "Operative"},
            Event("status", connector_id=1, status="Faulted"),
        ),
        (
            "ChangeAvailability",
            {"connectorId": 1, "type": "Operative"},
            Event("status", connector_id=2, status="Available"),
        ),
        ("GetDiagnostics", {}, Event("job", action="FirmwareStatusNotification")),
        ("ClearCache", {}, Event("booted")),
    ],
)
def test_a_coincidence_is_no_effect(action, payload, event):
    assert effect_of(action, payload, event) is None


@pytest.mark.parametrize(
    ("wanted", "status"), [("Operative", "Available"), ("Operative", "Charging")]
)
def test_a_connector_in_service_may_be_in_any_working_status(wanted, status):
    payload = {"connectorId": 0, "type": wanted}
    event = Event("status", connector_id=1, status=status)
    effect = effect_of("ChangeAvailability", payload, event)
    assert effect is not None
    assert effect.text == f"connector 1 is {status}"
