"""What a charger's CALL is answered, line by line of the rules."""

import json
from collections import deque
from datetime import timedelta

import pytest

from gway.projects.ocpp.csms.charger import MAX_CONNECTORS
from gway.projects.ocpp.csms.framelog import FrameLog
from gway.projects.ocpp.csms.session import PAUSE_AT, REMEMBERED
from gway.projects.ocpp.facts import Admission, TagDecision, TagStatus, Verdict

UNREAL = {"connectorId": 1, "errorCode": "NoError", "status": "Sleeping"}
LONG = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "info": "x" * 51}
NO_TIME = {"connectorId": 1, "errorCode": "NoError", "status": "Available", "timestamp": "noon"}


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Dance", {}, "NotImplemented"),
        ("heartbeat", {}, "NotImplemented"),
        ("Reset", {"type": "Soft"}, "NotSupported"),
        ("SignCertificate", {"csr": "x"}, "NotSupported"),
        ("Heartbeat", [], "FormationViolation"),
        ("Heartbeat", {"extra": 1}, "FormationViolation"),
        ("Authorize", {}, "OccurenceConstraintViolation"),
        ("Authorize", {"idTag": 5}, "TypeConstraintViolation"),
        ("Authorize", {"idTag": "x" * 21}, "PropertyConstraintViolation"),
        ("StatusNotification", UNREAL, "PropertyConstraintViolation"),
        ("StatusNotification", LONG, "PropertyConstraintViolation"),
        ("StatusNotification", NO_TIME, "PropertyConstraintViolation"),
        ("MeterValues", {"connectorId": 1}, "OccurenceConstraintViolation"),
        ("StopTransaction", {"transactionId": 1}, "OccurenceConstraintViolation"),
    ],
)
def test_a_fault_is_answered_with_its_code(line, action, payload, code):
    (answer,) = line.say(line.frame(action, payload))
    assert answer[0] == 4
    assert answer[2] == code
    assert answer[4] == {}
    assert line.open


@pytest.mark.parametrize(
    "text", ["[]", "[2]", "{}", "5", "null", '"x"', "[2,", "[9,1,2]", '[3,"unknown",{}]', "hello"]
)
def test_junk_is_counted_and_never_closes_the_socket(site, line, text):
    assert line.say(text) == []
    assert line.open
    counters = site.central.counters
    assert counters.junk + counters.unsolicited == 1
    assert "currentTime" in line.call("Heartbeat")


@pytest.mark.parametrize(
    "text", ['[2,"a","Heartbeat"]', '[2,"a",5,{}]', '[2,"a","Heartbeat",{},{}]', '[2,"a","Heart']
)
def test_junk_with_a_message_id_is_answered(line, text):
    (answer,) = line.say(text)
    assert answer[:3] == [4, "a", "FormationViolation"]


def test_null_counts_as_an_empty_payload(line):
    (answer,) = line.say('[2,"a","Heartbeat",null]')
    assert answer[0] == 3


def test_a_long_message_id_is_answered_and_counted(site, line):
    (answer,) = line.say(line.frame("Heartbeat", {}, "x" * 50))
    assert answer[:2] == [3, "x" * 50]
    assert site.central.counters.long_ids == 1


def test_the_same_call_again_gets_the_stored_answer(site, line):
    text = line.frame("Heartbeat", {}, "same")
    first = line.say(text)
    site.clock.at += timedelta(seconds=5)
    assert line.say(text) == first


def test_a_repeated_error_is_the_same_error(line):
    text = line.frame("Dance", {}, "same")
    assert line.say(text) == line.say(text)


def test_the_same_id_with_other_bytes_is_a_protocol_error(line):
    line.say(line.frame("Heartbeat", {}, "same"))
    (answer,) = line.say(line.frame("Authorize", {"idTag": "ADA"}, "same"))
    assert answer[:3] == [4, "same", "ProtocolError"]


def test_message_ids_may_begin_anew_after_a_reconnect(site, line):
    line.say(line.frame("Heartbeat", {}, "1"))
    line.close()
    again = site.line()
    assert "idTagInfo" in again.call("Authorize", {"idTag": "ADA"}, "1")


def test_only_the_last_few_answers_are_kept(site, line):
    for number in range(REMEMBERED + 3):
        line.call("Heartbeat", {}, f"id{number}")
    assert len(site.central.chargers["CPX"].session.answers) == REMEMBERED


def test_a_call_that_is_repeated_while_it_is_stored_is_answered_once(site, line):
    site.store.slow = True
    text = line.frame("StartTransaction", line.start_words(), "same")
    assert line.say(text) == []
    assert line.say(text) == []
    before = len(line.sent)
    for done in site.store.waiting:
        done(None)
    assert [frame[0] for frame in line.sent[before:]] == [3]


def test_a_failing_handler_is_an_internal_error_without_internals(site, line, caplog):
    def fail(*_):
        raise RuntimeError("secret detail")

    site.central.handlers.plain["Authorize"] = fail
    (answer,) = line.say(line.frame("Authorize", {"idTag": "ADA"}))
    assert answer[2] == "InternalError"
    assert "secret" not in json.dumps(answer)
    assert "secret detail" in caplog.text


def test_a_charger_that_floods_has_to_wait(site, line):
    site.runtime.paused = deque()
    for number in range(PAUSE_AT + 1):
        line.say(line.frame("Heartbeat", {}, f"f{number}"))
    assert line.paused
    site.runtime.go_on()
    assert not line.paused
    assert len([frame for frame in line.sent if frame[1].startswith("f")]) == PAUSE_AT + 1


def test_messages_of_a_charger_are_served_one_after_the_other(site, line):
    central = site.central
    order = []

    def slow(charger, payload, at):
        order.append("begin")
        line.say(line.frame("Heartbeat", {}, "second"))
        order.append("end")
        return real(charger, payload, at)

    real = central.handlers.plain["Authorize"]
    central.handlers.plain["Authorize"] = slow
    line.say(line.frame("Authorize", {"idTag": "ADA"}, "first"))
    assert order == ["begin", "end"]
    assert [frame[1] for frame in line.sent[-2:]] == ["first", "second"]


# --- messages ---


def test_boot_registers_and_tells_the_time(site):
    line = site.line()
    answer = line.boot()
    assert answer["status"] == "Accepted"
    assert answer["currentTime"] == "2024-05-17T12:00:00Z"
    assert answer["interval"] == site.central.options.heartbeat_s
    (told,) = site.store.of("booted")
    assert (told["boot"].vendor, told["registration"]) == ("Acme", "Accepted")


def test_a_plugin_can_let_a_charger_wait(site):
    site.store.admission = lambda knock: Admission(verdict=Verdict.PENDING)
    assert site.line().boot()["status"] == "Pending"


@pytest.mark.parametrize(
    ("decision", "status"),
    [
        (None, "Accepted"),
        (TagDecision(TagStatus.BLOCKED), "Blocked"),
        (TagDecision(TagStatus.EXPIRED), "Expired"),
        (TagDecision(TagStatus.ACCEPTED, concurrent_limit=0), "Accepted"),
    ],
)
def test_authorize_answers_what_is_decided(site, line, decision, status):
    if decision is not None:
        site.store.decisions["ADA"] = decision
    assert line.call("Authorize", {"idTag": "ADA"})["idTagInfo"]["status"] == status
    assert site.store.of("judged")[-1]["decision"].status == status


def test_authorize_gives_group_and_expiry(site, line):
    expiry = site.clock.at + timedelta(days=1)
    decision = TagDecision(TagStatus.ACCEPTED, expiry=expiry, parent_id_tag="GROUP")
    site.store.decisions["ADA"] = decision
    info = line.call("Authorize", {"idTag": "ADA"})["idTagInfo"]
    assert info == {
        "status": "Accepted",
        "expiryDate": "2024-05-18T12:00:00Z",
        "parentIdTag": "GROUP",
    }


def test_a_failing_tag_plugin_refuses(line):
    info = line.call("Authorize", {"idTag": "PLUGIN-FAILS"})["idTagInfo"]
    assert info["status"] == "Invalid"


def test_a_parent_tag_that_ocpp_cannot_carry_is_left_out(site, line):
    site.store.decisions["ADA"] = TagDecision(TagStatus.ACCEPTED, parent_id_tag="x" * 21)
    assert line.call("Authorize", {"idTag": "ADA"})["idTagInfo"] == {"status": "Accepted"}


def test_a_status_is_kept_and_told(site, line):
    assert line.status(1, "Charging") == {}
    assert site.central.chargers["CPX"].connectors[1].status == "Charging"
    assert site.store.of("connector")[-1]["status"].connector_id == 1


def test_a_fault_is_reported_once_however_often_it_is_repeated(site, line):
    for _ in range(3):
        line.status(1, "Faulted", errorCode="GroundFailure", info="left")
    (told,) = site.store.of("error")
    assert (told["report"].error_code, told["report"].connector_id) == ("GroundFailure", 1)


def test_a_status_from_an_old_queue_does_not_change_what_is_live(site, line):
    line.status(1, "Charging")
    old = (site.clock.at - timedelta(minutes=20)).isoformat()
    line.status(1, "Faulted", timestamp=old, errorCode="GroundFailure")
    assert site.central.chargers["CPX"].connectors[1].status == "Charging"
    assert len(site.store.of("error")) == 1


def test_a_charger_cannot_invent_connectors_without_end(site, line):
    for connector_id in range(MAX_CONNECTORS + 3):
        assert line.status(connector_id, "Available") == {}
    assert len(site.central.chargers["CPX"].connectors) == MAX_CONNECTORS
    assert len(site.store.of("connector")) == MAX_CONNECTORS


def test_drift_is_measured_by_live_messages_only(site, line):
    late = (site.clock.at - timedelta(seconds=42)).isoformat()
    line.status(1, "Available", timestamp=late)
    line.status(1, "Available", timestamp=(site.clock.at - timedelta(hours=1)).isoformat())
    assert site.central.chargers["CPX"].drift_s == 42.0


def test_a_status_that_is_only_repeated_says_nothing_about_the_clock(site, line):
    changed = site.clock.at.isoformat()
    line.status(1, "Available", timestamp=changed)
    site.clock.at += timedelta(seconds=600)
    line.status(1, "Available", timestamp=changed)
    assert site.central.chargers["CPX"].drift_s == 0.0


def test_vendor_data_is_noted_and_not_understood(site, line):
    words = {"vendorId": "acme", "messageId": "hello", "data": "{}"}
    assert line.call("DataTransfer", words) == {"status": "UnknownVendorId"}
    assert site.store.of("data")[-1]["vendor_id"] == "acme"


@pytest.mark.parametrize(
    ("action", "status"),
    [("DiagnosticsStatusNotification", "Uploading"), ("FirmwareStatusNotification", "Installed")],
)
def test_jobs_are_followed(site, line, action, status):
    assert line.call(action, {"status": status}) == {}
    assert site.central.snapshot("CPX")["jobs"] == {action: status}
    assert site.store.of("job")[-1] == {"action": action, "status": status}


def test_frames_are_told_to_those_who_log_them(site, line):
    from gway import hookimpl

    class Sink:
        def __init__(self):
            self.frames = []

        @hookimpl
        def ocpp_frame(self, frame):
            self.frames.append((frame.direction, frame.kind, frame.action or frame.rule))

    sink = Sink()
    site.gateway.plugins.register(sink)
    line.call("Heartbeat")
    line.say("[]")
    assert sink.frames[:2] == [("in", "call", "Heartbeat"), ("out", "result", "")]
    assert sink.frames[2][:2] == ("in", "junk")


# --- what large messages and ids may cost ---


def large(line):
    samples = [{"timestamp": line.time(), "sampledValue": [{"value": "5"}]}] * 2_000
    return line.frame("MeterValues", {"connectorId": 1, "meterValue": samples}, "1")


def test_a_charger_with_a_large_message_under_way_is_read_no_further(site, line):
    site.store.slow = True
    assert line.say(large(line)) == []
    assert line.paused
    site.store.waiting.pop()(None)
    assert not line.paused
    assert line.sent[-1] == [3, "1", {}]


def test_a_charger_is_read_again_when_its_large_message_could_not_be_stored(site, line):
    site.store.broken = OSError("disk full")
    line.say(large(line))
    assert line.paused
    site.runtime.advance(10)
    assert line.closed[0] == 1011
    assert not line.paused


def test_a_message_id_of_any_length_is_answered_but_not_remembered(site, line):
    long_id = "x" * 100_000
    assert line.call("Heartbeat", message_id=long_id).keys() == {"currentTime"}
    assert long_id not in site.central.chargers["CPX"].session.answers
    assert "idTagInfo" in line.call("Authorize", {"idTag": "ADA"}, message_id=long_id)


def test_an_action_of_any_length_is_answered_but_not_remembered(site, line):
    assert line.call("z" * 100_000)[0] == "NotImplemented"
    assert len(site.central.chargers["CPX"].last_action) < 100


# --- what goes wrong beside an answer ---


def fail(*args, **words):
    raise RuntimeError("planted")


class FailsOutwards(FrameLog):
    def add(self, charger_id, direction, at, text):
        return fail() if direction == "out" else super().add(charger_id, direction, at, text)


@pytest.fixture(params=["observe", "changed", "seen", "frames"])
def planted(request, site, line, monkeypatch):
    """Something fails that has no say in an answer."""
    central = site.central
    if request.param == "observe":
        central.commands.submit("CPX", "TriggerMessage", {"requestedMessage": "Heartbeat"})
        monkeypatch.setattr(central.commands, "observe", fail)
    elif request.param == "frames":
        monkeypatch.setattr(central, "frames", FailsOutwards())
    else:
        monkeypatch.setattr(central, request.param, fail)
    return request.param


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("Heartbeat", {}),
        ("StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}),
        ("BootNotification", {"chargePointVendor": "Acme", "chargePointModel": "One"}),
    ],
)
def test_a_failure_beside_the_answer_leads_to_no_second_one(line, planted, caplog, action, payload):
    (answer,) = line.say(line.frame(action, payload, "a"))
    assert answer[:2] == [3, "a"]
    assert "planted" in caplog.text


@pytest.mark.parametrize("slow", [False, True])
def test_a_failure_beside_the_answer_leaves_money_as_it_was_answered(
    site, line, planted, caplog, slow
):
    def sent(action, payload):
        before = len(line.sent)
        line.say(line.frame(action, payload, action))
        for done in site.store.waiting[:]:
            site.store.waiting.remove(done)
            done(None)
        return [frame for frame in line.sent[before:] if frame[1] == action]

    site.store.slow = slow
    (started,) = sent("StartTransaction", line.start_words())
    transaction_id = started[2]["transactionId"]
    stop = {"transactionId": transaction_id, "meterStop": 4_500, "timestamp": line.time()}
    (stopped,) = sent("StopTransaction", stop)
    assert (started[0], stopped[0]) == (3, 3)
    assert site.store.transactions[transaction_id].energy_wh == 3_500
    assert site.store.of("orphan") == []
    assert line.sent[-1][0] == 3
    assert site.central.chargers["CPX"].settling == 0
    assert "planted" in caplog.text


def test_a_failing_handler_is_answered_once_with_an_error(site, line, monkeypatch):
    monkeypatch.setitem(site.central.handlers.plain, "Heartbeat", fail)
    (answer,) = line.say(line.frame("Heartbeat", {}, "a"))
    assert answer[:3] == [4, "a", "InternalError"]


def test_money_that_cannot_be_handed_to_the_store_is_tried_again(site, line, monkeypatch):
    emit, tries = site.central.emit, iter([True, True])

    def fail_twice(fact, **words):
        if fact == "ocpp_transaction_started" and next(tries, False):
            fail()
        return emit(fact, **words)

    monkeypatch.setattr(site.central, "emit", fail_twice)
    assert line.say(line.frame("StartTransaction", line.start_words(), "a")) == []
    site.runtime.advance(1)
    assert line.sent[-1][:2] == [3, "a"]
    assert [told["transaction"].meter_start_wh for told in site.store.of("started")] == [1_000]
