"""Each rule of the judge, by frames that break it and frames that do not."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from gway.projects.ocpp.messages.catalogue import ACTIONS, CHARGE_POINT_ACTIONS
from gway.projects.ocpp.sink.book import KEPT_CHARGERS, KEPT_TRANSACTIONS, ChargerBook, Library
from gway.projects.ocpp.sink.judge import KEPT_CALLS, KEPT_IDS, Conversation, Judged
from gway.projects.ocpp.sink.verdicts import RULES, paragraph_of

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
STAMP = "2026-03-01T12:00:00Z"
BOOT = {"chargePointVendor": "V", "chargePointModel": "M"}
ACCEPTED = {"idTagInfo": {"status": "Accepted"}}
START = {"connectorId": 1, "idTag": "ADA", "meterStart": 100, "timestamp": STAMP}
STOP = {"transactionId": 7, "meterStop": 200, "timestamp": "2026-03-01T12:04:00Z"}
METER = [{"timestamp": "2026-03-01T12:03:00Z", "sampledValue": [{"value": "1"}]}]


class Talk:
    """A conversation of which every frame is judged."""

    def __init__(self, book: ChargerBook | None = None, **options: Any) -> None:
        self.judge = Conversation(book or ChargerBook(), **options)
        self.at = NOW
        self._count = 0

    def frame(self, frame: object, direction: str = "in") -> Judged:
        text = frame if isinstance(frame, str) else json.dumps(frame)
        return self.judge.judge(text, direction, self.at)

    def rules(self, frame: object, direction: str = "in") -> list[str]:
        return [found.rule for found in self.frame(frame, direction).findings]

    def call(
        self, action: str, payload: Any, answer: Any = None, direction: str = "in"
    ) -> list[str]:
        """Send a call and its answer, if one is given; give the rules that the call broke."""
        self._count += 1
        broken = self.rules([2, f"m{self._count}", action, payload], direction)
        if answer is not None:
            other = "out" if direction == "in" else "in"
            assert self.rules([3, f"m{self._count}", answer], other) == []
        return broken

    def boot(self, status: str = "Accepted") -> Talk:
        answer = {"status": status, "currentTime": STAMP, "interval": 60}
        assert self.call("BootNotification", BOOT, answer) == []
        return self

    def start(self, transaction_id: int = 7, **more: Any) -> list[str]:
        answer = {**ACCEPTED, "transactionId": transaction_id}
        return self.call("StartTransaction", {**START, **more}, answer)


@pytest.fixture
def talk() -> Talk:
    return Talk().boot()


def test_a_whole_session_breaks_no_rule(talk: Talk) -> None:
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": STAMP}
    assert talk.call("Authorize", {"idTag": "ADA"}, ACCEPTED) == []
    assert talk.start() == []
    assert talk.call("StatusNotification", status, {}) == []
    values = {"connectorId": 1, "transactionId": 7, "meterValue": METER}
    assert talk.call("MeterValues", values, {}) == []
    assert (
        talk.call("RemoteStopTransaction", {"transactionId": 7}, {"status": "Accepted"}, "out")
        == []
    )
    assert talk.call("StopTransaction", STOP, {}) == []


# --- frames ----------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "x", "{}", "[]", "[2]", '[9,"a",{}]', '[2,"a","Boot', "7"])
def test_what_is_no_message_breaks_the_framing(talk: Talk, text: str) -> None:
    judged = talk.frame(text)
    assert judged.type == "junk"
    assert [each.rule for each in judged.findings] == ["framing"]
    assert judged.findings[0].paragraph == "SPEC-J 4.2"


def test_a_message_id_has_36_characters_at_most(talk: Talk) -> None:
    assert talk.rules([2, "x" * 37, "Heartbeat", {}]) == ["message-id-length"]
    assert talk.rules([3, "x" * 37, {"currentTime": STAMP}], "out") == []
    assert talk.rules([2, "y" * 36, "Heartbeat", {}]) == []


def test_a_message_id_is_used_once(talk: Talk) -> None:
    talk.rules([2, "a", "Heartbeat", {}])
    talk.rules([3, "a", {"currentTime": STAMP}], "out")
    assert talk.rules([2, "a", "Heartbeat", {}]) == ["duplicate-id"]


def test_both_sides_may_use_the_same_message_id(talk: Talk) -> None:
    assert talk.rules([2, "a", "Heartbeat", {}]) == []
    assert talk.rules([2, "a", "ClearCache", {}], "out") == []


def test_a_second_call_waits_for_the_answer_to_the_first(talk: Talk) -> None:
    talk.rules([2, "a", "Heartbeat", {}])
    assert talk.rules([2, "b", "Heartbeat", {}]) == ["call-in-flight"]
    assert talk.rules([3, "a", {"currentTime": STAMP}], "out") == []


def test_a_call_that_nobody_answers_is_told_once(talk: Talk) -> None:
    talk.rules([2, "a", "Heartbeat", {}])
    talk.at += timedelta(seconds=31)
    assert talk.rules([2, "b", "Heartbeat", {}]) == []  # the first was given up by then
    assert talk.rules([2, "c", "Heartbeat", {}]) == ["call-in-flight"]
    assert talk.rules([2, "d", "Heartbeat", {}]) == ["call-in-flight"]


def test_calls_of_both_sides_may_cross(talk: Talk) -> None:
    assert talk.rules([2, "a", "Heartbeat", {}]) == []
    assert talk.rules([2, "b", "ClearCache", {}], "out") == []
    assert talk.rules([3, "b", {"status": "Accepted"}]) == []


def test_an_answer_has_a_call_and_comes_once(talk: Talk) -> None:
    assert talk.rules([3, "zz", {}], "out") == ["answer-without-call"]
    talk.rules([2, "a", "Heartbeat", {}])
    assert talk.rules([3, "a", {"currentTime": STAMP}], "out") == []
    assert talk.rules([3, "a", {"currentTime": STAMP}], "out") == ["answered-twice"]
    assert talk.rules([3, "a", {}]) == ["answer-without-call"]  # who asked does not answer


def test_an_answer_after_the_limit_is_late_and_its_age_is_told() -> None:
    talk = Talk(late_after_s=5).boot()
    talk.rules([2, "a", "Heartbeat", {}])
    talk.at += timedelta(seconds=4)
    judged = talk.frame([3, "a", {"currentTime": STAMP}], "out")
    assert (judged.action, judged.latency_ms, judged.findings) == ("Heartbeat", 4000.0, [])
    talk.rules([2, "b", "Heartbeat", {}])
    talk.at += timedelta(seconds=6)
    assert talk.rules([3, "b", {"currentTime": STAMP}], "out") == ["late-answer"]


def test_an_action_is_one_of_ocpp_and_belongs_to_its_side(talk: Talk) -> None:
    assert talk.call("Explode", {}) == ["unknown-action"]
    assert "wrong-side" in Talk().boot().call("Reset", {"type": "Soft"})
    assert "wrong-side" in Talk().boot().call("Heartbeat", {}, direction="out")
    assert Talk().boot().call("Reset", {"type": "Soft"}, direction="out") == []


def test_an_error_code_is_one_of_ocpp_16(talk: Talk) -> None:
    talk.rules([2, "a", "Heartbeat", {}])
    assert talk.rules([4, "a", "FormatViolation", "", {}], "out") == ["error-code"]
    talk.rules([2, "b", "Heartbeat", {}])
    assert talk.rules([4, "b", "NotSupported"], "out") == ["framing"]
    talk.rules([2, "c", "Heartbeat", {}])
    judged = talk.frame([4, "c", "NotSupported", "no", {}], "out")
    assert (judged.type, judged.code, judged.findings) == ("error", "NotSupported", [])


# --- payloads --------------------------------------------------------------------


@cache
def schema(name: str) -> jsonschema.Draft4Validator:
    text = (resources.files("ocpp.v16") / "schemas" / f"{name}.json").read_text("utf-8-sig")
    return jsonschema.Draft4Validator(json.loads(text))


BROKEN = [
    ("BootNotification", {"chargePointVendor": "V"}, "schema.missing", "chargePointModel"),
    ("BootNotification", {**BOOT, "colour": "red"}, "schema.unknown", "colour"),
    ("BootNotification", {**BOOT, "iccid": 5}, "schema.type", "iccid"),
    ("BootNotification", {**BOOT, "meterType": "x" * 26}, "schema.length", "meterType"),
    ("FirmwareStatusNotification", {"status": "Done"}, "schema.enum", "status"),
    ("MeterValues", {"connectorId": 1, "meterValue": []}, "schema.items", "meterValue"),
    ("StartTransaction", {**START, "timestamp": "noon"}, "schema.date-time", "timestamp"),
    ("MeterValues", {"connectorId": 1, "meterValue": [{"timestamp": STAMP, "sampledValue": [{}]}]},
     "schema.missing", "meterValue[0].sampledValue[0].value"),
]  # fmt: skip


@pytest.mark.parametrize(("action", "payload", "rule", "path"), BROKEN)
def test_a_broken_schema_is_told_with_its_place(
    talk: Talk, action: str, payload: Any, rule: str, path: str
) -> None:
    judged = talk.frame([2, "a", action, payload])
    assert (judged.findings[0].rule, judged.findings[0].path) == (rule, path)
    assert judged.findings[0].paragraph == paragraph_of(action, answer=False)
    # An oracle that is not ours; it takes any text for a time, and any list for long enough.
    if rule not in ("schema.date-time", "schema.items"):
        assert not schema(action).is_valid(payload)


def sample(validator: jsonschema.Draft4Validator) -> Any:
    """Make the least payload that a schema allows."""
    return _least(validator.schema, validator.schema)


def _least(part: Any, whole: Any) -> Any:
    if "$ref" in part:
        return _least(whole["definitions"][part["$ref"].rpartition("/")[2]], whole)
    if "enum" in part:
        return part["enum"][0]
    if part.get("type") == "object":
        return {name: _least(part["properties"][name], whole) for name in part.get("required", ())}
    if part.get("type") == "array":
        return [_least(part["items"], whole)]
    if part.get("format") == "date-time":
        return STAMP
    return {"string": "x", "integer": 1, "number": 1.0, "boolean": True}[part["type"]]


@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_every_message_of_a_foreign_schema_is_judged_as_that_schema_does(action: str) -> None:
    request, answer = sample(schema(action)), sample(schema(f"{action}Response"))
    direction = "in" if action in CHARGE_POINT_ACTIONS else "out"

    def told(payload: Any, result: Any) -> list[str]:
        talk = Talk().boot()
        found = talk.frame([2, "a", action, payload], direction).findings
        found += talk.frame([3, "a", result], "out" if direction == "in" else "in").findings
        return [each.rule for each in found if each.rule.startswith("schema.")]

    assert told(request, answer) == []
    assert told({**request, "extra": 1}, answer) == ["schema.unknown"]
    assert told(request, {**answer, "extra": 1}) == ["schema.unknown"]
    for name in request:
        assert "schema.missing" in told({k: v for k, v in request.items() if k != name}, answer)
    for name in answer:
        assert "schema.missing" in told(request, {k: v for k, v in answer.items() if k != name})


def test_paragraphs_are_those_of_the_specification() -> None:
    assert paragraph_of("Authorize", answer=False) == "SPEC 6.1"
    assert paragraph_of("MeterValues", answer=False) == "SPEC 6.31"
    assert paragraph_of("StatusNotification", answer=True) == "SPEC 6.48"
    assert paragraph_of("UpdateFirmware", answer=True) == "SPEC 6.56"
    assert paragraph_of("GetLog", answer=True) == "SEC 5"


# --- times -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("2026-03-01T12:00:00Z", []),
        ("2026-03-01T12:00:00.123+01:00", []),
        ("2026-03-01T12:00:00", ["time-zone"]),
        ("2026-03-01T12:00:00.5", ["time-zone"]),
        ("2026-03-01T12:00:00+01", ["time-notation"]),
        ("2026-03-01T12:00Z", ["time-notation"]),
        ("2026-03-01T12:06:00Z", ["clock-ahead"]),
    ],
)
def test_a_time_has_a_zone_and_is_not_in_the_future(
    talk: Talk, text: str, rules: list[str]
) -> None:
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Charging", "timestamp": text}
    assert talk.call("StatusNotification", status) == rules


def test_times_are_found_wherever_they_are(talk: Talk) -> None:
    values = [{**METER[0], "timestamp": "2026-03-01T12:00:00"}]
    judged = talk.frame([2, "a", "MeterValues", {"connectorId": 1, "meterValue": values}])
    assert [(each.rule, each.path) for each in judged.findings] == [
        ("time-zone", "meterValue[0].timestamp")
    ]
    reserve = {
        "connectorId": 1,
        "expiryDate": "2026-03-01T12:00:00",
        "idTag": "A",
        "reservationId": 1,
    }
    assert talk.call("ReserveNow", reserve, direction="out") == ["time-zone"]


# --- order -----------------------------------------------------------------------


def test_the_first_call_of_a_charger_is_its_boot_notification() -> None:
    talk = Talk()
    assert talk.call("Heartbeat", {}, {"currentTime": STAMP}) == ["boot-first"]
    assert talk.call("Heartbeat", {}, {"currentTime": STAMP}) == []  # told once
    assert talk.boot().call("Heartbeat", {}) == []


def test_a_charger_that_was_accepted_may_reconnect_without_a_boot() -> None:
    book = ChargerBook()
    Talk(book).boot()
    assert Talk(book).call("Heartbeat", {}) == []


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_a_charger_that_is_not_accepted_keeps_silent(status: str) -> None:
    talk = Talk().boot(status)
    assert talk.call("Heartbeat", {}, {"currentTime": STAMP}) == ["not-accepted"]
    trigger = {"requestedMessage": "StatusNotification"}
    talk.call("TriggerMessage", trigger, {"status": "Accepted"}, "out")
    wanted = {"connectorId": 0, "errorCode": "NoError", "status": "Available"}
    assert talk.call("StatusNotification", wanted, {}) == []
    assert talk.call("StatusNotification", wanted, {}) == ["not-accepted"]
    assert talk.boot().call("Heartbeat", {}) == []


# --- transactions ----------------------------------------------------------------


def meter(transaction_id: int = 7, **more: Any) -> dict[str, Any]:
    return {"connectorId": 1, "transactionId": transaction_id, "meterValue": METER, **more}


def test_a_transaction_that_never_began_is_unknown(talk: Talk) -> None:
    assert talk.call("MeterValues", meter(), {}) == ["unknown-transaction"]
    assert talk.call("StopTransaction", STOP, {}) == ["unknown-transaction"]
    assert talk.call("StopTransaction", {**STOP, "transactionId": -1}, {}) == []  # ERR 3.18


def test_a_transaction_is_known_over_reconnects() -> None:
    book = ChargerBook()
    assert Talk(book).boot().start() == []
    assert Talk(book).call("StopTransaction", STOP, {}) == []


def test_a_transaction_ends_once(talk: Talk) -> None:
    talk.start()
    assert talk.call("StopTransaction", STOP, {}) == []
    assert talk.call("StopTransaction", STOP, {}) == ["stop-twice"]
    assert talk.call("MeterValues", meter(), {}) == ["ended-transaction"]


def test_a_stop_that_was_not_answered_may_be_sent_again() -> None:
    book = ChargerBook()
    talk = Talk(book).boot()
    talk.start()
    talk.call("StopTransaction", STOP)
    assert Talk(book).call("StopTransaction", STOP, {}) == []


def test_a_connector_has_one_transaction_at_a_time(talk: Talk) -> None:
    talk.start(7)
    assert talk.start(7) == []  # the same words: sent again
    assert talk.start(9, connectorId=2) == []
    assert talk.start(8, idTag="BEA") == ["start-while-open"]


def test_a_transaction_is_on_a_connector_and_stays_there(talk: Talk) -> None:
    assert talk.start(connectorId=0) == ["start-on-whole"]
    talk.start(8)
    assert talk.call("MeterValues", meter(8, connectorId=2), {}) == ["wrong-connector"]


def test_a_meter_counts_upwards_and_time_goes_on(talk: Talk) -> None:
    talk.start()
    early = [{**METER[0], "timestamp": "2026-03-01T11:00:00Z"}]
    assert talk.call("MeterValues", meter(meterValue=early), {}) == ["time-order"]
    stop = {**STOP, "meterStop": 99, "timestamp": "2026-03-01T11:00:00Z"}
    assert talk.call("StopTransaction", stop, {}) == ["meter-backwards", "time-order"]


def test_the_whole_charger_has_three_statuses_only(talk: Talk) -> None:
    status = {"connectorId": 0, "errorCode": "NoError", "status": "Charging"}
    assert talk.call("StatusNotification", status, {}) == ["status-of-whole"]
    assert talk.call("StatusNotification", {**status, "status": "Faulted"}, {}) == []


# --- other versions, bounds --------------------------------------------------------


def test_of_another_version_only_the_frames_are_judged() -> None:
    talk = Talk(ocpp16=False)
    assert talk.call("TransactionEvent", {"any": "thing"}, {"any": "thing"}) == []
    assert talk.rules([3, "zz", {}], "out") == ["answer-without-call"]


def test_a_flood_of_calls_does_not_fill_the_memory(talk: Talk) -> None:
    for number in range(3 * KEPT_IDS):
        talk.rules([2, f"f{number}", "Heartbeat", {}])
    side = talk.judge._sides["in"]
    assert len(side.used) == KEPT_IDS
    assert len(side.pending) == KEPT_CALLS
    for number in range(2 * KEPT_TRANSACTIONS):
        talk.start(number, connectorId=number + 1)
    assert len(talk.judge.book.transactions) == KEPT_TRANSACTIONS
    library = Library()
    for number in range(2 * KEPT_CHARGERS):
        library.of(str(number))
    assert len(library._books) == KEPT_CHARGERS


def test_every_rule_has_a_test_here() -> None:
    folder = Path(__file__).parent
    tests = "".join(each.read_text(encoding="utf-8") for each in folder.glob("test_*.py"))
    assert [rule for rule in RULES if f'"{rule}"' not in tests] == []


def test_texts_of_any_length_are_not_kept(talk: Talk) -> None:
    talk.boot()
    long = "x" * 200_000
    tracemalloc.start()
    try:
        for number in range(40):
            start = {**START, "idTag": f"{number}{long}", "timestamp": f"{STAMP}{long}"}
            assert talk.frame([2, f"{number}{long}", "StartTransaction", start]).findings
            answer = {**ACCEPTED, "transactionId": number}
            assert talk.frame([3, f"{number}{long}", answer], "out").action == "StartTransaction"
            data = {"vendorId": "V", "data": f"{number}{long}"}
            talk.frame([2, f"waits {number}{long}", "DataTransfer", data])
            judged = talk.frame([4, "nobody's", f"{number}{long}", "", {}])
            assert len(judged.code) < 100
            assert all(len(found.text) < 200 for found in judged.findings)
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 1_000_000
    again = talk.rules([2, f"0{long}", "Heartbeat", {}])
    assert "duplicate-id" in again
