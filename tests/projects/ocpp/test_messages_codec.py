from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gway.projects.ocpp.messages.catalogue import (
    ACTIONS,
    CENTRAL_SYSTEM_ACTIONS,
    CHARGE_POINT_ACTIONS,
    SERVED,
)
from gway.projects.ocpp.messages.codec import (
    REQUESTS,
    decode_request,
    decode_response,
    encode_call,
    encode_result,
    salvage,
)
from gway.projects.ocpp.messages.examine import MAX_ODD_ITEMS, MAX_UNKNOWN
from gway.projects.ocpp.messages.faults import Violation
from gway.projects.ocpp.messages.payloads_central import Reset, ResetConf
from gway.projects.ocpp.messages.payloads_charger import (
    HeartbeatConf,
    MeterValues,
    MeterValuesConf,
    StartTransaction,
    StartTransactionConf,
    StopTransaction,
)
from gway.projects.ocpp.messages.shapes import IdTagInfo, Payload

# Spelled out, so that a change of the constants in the code would be seen.
FORMATION, OCCURRENCE = "FormationViolation", "OccurenceConstraintViolation"
TYPE, PROPERTY = "TypeConstraintViolation", "PropertyConstraintViolation"
NOON = "2024-01-01T12:00:00Z"
START: dict[str, Any] = {
    "connectorId": 1,
    "idTag": "DEADBEEF",
    "meterStart": 1000,
    "timestamp": "2024-01-01T00:00:00Z",
}


def start(**changes: Any) -> str:
    return json.dumps({key: value for key, value in {**START, **changes}.items() if value != "-"})


def refused(action: str, raw: str, **options: Any) -> Violation:
    with pytest.raises(Violation) as caught:
        decode_request(action, raw, **options)
    return caught.value


# --- the CALLERROR table, line by line ---


@pytest.mark.parametrize("action", ["heartbeat", "HEARTBEAT", "Foo", "", "Heartbeat ", "GetReport"])
def test_an_action_that_ocpp_1_6_lacks_or_spells_otherwise_is_not_implemented(action: str) -> None:
    assert refused(action, "{}").code == "NotImplemented"


def test_a_known_action_that_we_do_not_serve_is_not_supported() -> None:
    assert refused("Reset", '{"type":"Soft"}', served=SERVED).code == "NotSupported"
    assert refused("SignCertificate", '{"csr":"x"}', served=SERVED).code == "NotSupported"
    assert decode_request("Heartbeat", "{}", served=SERVED) is not None


@pytest.mark.parametrize(
    ("action", "raw", "code", "path", "rule"),
    [
        ("Heartbeat", "[]", FORMATION, "payload", "object"),
        ("Heartbeat", "5", FORMATION, "payload", "object"),
        ("Heartbeat", '{"a":', FORMATION, "the payload", "json"),
        ("Heartbeat", '{"a":1}', FORMATION, "a:", "unknown"),
        ("StartTransaction", start(idTag="-"), OCCURRENCE, "idTag", "missing"),
        ("MeterValues", '{"connectorId":1,"meterValue":[]}', OCCURRENCE, "meterValue", "items"),
        ("StartTransaction", start(meterStart="1"), TYPE, "meterStart", "type"),
        ("StartTransaction", start(meterStart=1.0), TYPE, "meterStart", "type"),
        ("StartTransaction", start(idTag=None), TYPE, "idTag", "type"),
        ("StartTransaction", start(idTag="x" * 21), PROPERTY, "idTag", "length"),
        ("Reset", '{"type":"soft"}', PROPERTY, "type", "enum"),
        ("StartTransaction", start(connectorId=-1), PROPERTY, "connectorId", "range"),
        ("StartTransaction", start(meterStart=10**500), PROPERTY, "meterStart", "range"),
        ("StartTransaction", start(timestamp="now"), PROPERTY, "timestamp", "date-time"),
    ],
)
def test_each_fault_gets_its_code_and_names_the_place(
    action: str, raw: str, code: str, path: str, rule: str
) -> None:
    violation = refused(action, raw)
    assert (violation.code, violation.rule) == (code, rule)
    assert violation.description.startswith(path)


def test_the_place_of_a_nested_fault_is_named() -> None:
    raw = json.dumps(
        {
            "connectorId": 1,
            "meterValue": [{"timestamp": "2024-01-01T00:00:00Z", "sampledValue": [{}]}],
        }
    )
    assert refused("MeterValues", raw).description.startswith(
        "meterValue[0].sampledValue[0].value:"
    )


def test_of_several_faults_the_worst_is_answered_whatever_the_order() -> None:
    faults: dict[str, Any] = {"surplus": 1, "meterStart": "1", "timestamp": "now", "idTag": "-"}
    ladder = [
        ("surplus", "FormationViolation"),
        ("idTag", "OccurenceConstraintViolation"),
        ("meterStart", "TypeConstraintViolation"),
        ("timestamp", "PropertyConstraintViolation"),
    ]
    for mended, code in ladder:
        raw = start(**faults)
        backwards = json.dumps(dict(reversed(json.loads(raw).items())))
        for text in (raw, backwards):
            violation = refused("StartTransaction", text)
            assert violation.code == code
            assert ("more)" in violation.description) == (len(faults) > 1)
        del faults[mended]


def test_null_counts_as_an_empty_payload() -> None:
    assert decode_request("Heartbeat", "null") == decode_request("Heartbeat", "{}")
    assert refused("Authorize", "null").code == "OccurenceConstraintViolation"


def test_of_duplicate_keys_the_last_one_counts() -> None:
    raw = '{"type":5,"type":"Soft"}'
    assert decode_request("Reset", raw) == Reset(type="Soft")


def test_a_value_in_a_message_is_cut_short() -> None:
    assert len(refused("Reset", json.dumps({"type": "x" * 10_000})).description) < 200
    assert len(refused("Heartbeat", json.dumps({"y" * 10_000: 1})).description) < 200


def test_a_deeply_nested_payload_is_a_formation_violation() -> None:
    assert refused("Heartbeat", '{"a":' + "[" * 50_000).code == "FormationViolation"


def test_an_answer_is_validated_too() -> None:
    assert decode_response("Reset", b'{"status":"Accepted"}') == ResetConf(status="Accepted")
    with pytest.raises(Violation) as caught:
        decode_response("Reset", b'{"status":"Yes"}')
    assert caught.value.code == "PropertyConstraintViolation"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(ACTIONS)), st.data())
def test_decoding_anything_gives_a_payload_or_a_violation(action: str, data: Any) -> None:
    names = [
        field.encode_name for field in __import__("msgspec").structs.fields(ACTIONS[action].request)
    ]
    keys = st.sampled_from(names) | st.text(max_size=3) if names else st.text(max_size=3)
    raw = json.dumps(data.draw(st.dictionaries(keys, json_values) | json_values))
    try:
        decoded = decode_request(action, raw)
    except Violation as violation:
        outcome: object = violation.code
    else:
        outcome = type(decoded)
    assert outcome in (FORMATION, OCCURRENCE, TYPE, PROPERTY, ACTIONS[action].request)


# --- money ---


@pytest.mark.parametrize(
    ("changes", "flag", "field", "value"),
    [
        ({"timestamp": "gestern"}, "date-time:timestamp", "timestamp", "gestern"),
        ({"timestamp": ""}, "date-time:timestamp", "timestamp", ""),
        ({"timestamp": 5}, "type:timestamp", "timestamp", "5"),
        ({"timestamp": None}, "type:timestamp", "timestamp", ""),
        ({"idTag": "x" * 50}, "length:idTag", "id_tag", "x" * 50),
        ({"idTag": 123}, "type:idTag", "id_tag", "123"),
        ({"connectorId": -1}, "range:connectorId", "connector_id", 0),
        ({"meterStart": 1000.4}, "type:meterStart", "meter_start", 1000),
        ({"meterStart": "1000"}, "type:meterStart", "meter_start", 1000),
        ({"meterStart": "lots"}, "type:meterStart", "meter_start", 0),
        ({"meterStart": True}, "type:meterStart", "meter_start", 0),
        ({"meterStart": 10**500}, "range:meterStart", "meter_start", 0),
        ({"reservationId": None}, "type:reservationId", "reservation_id", None),
        ({"reservationId": "none"}, "type:reservationId", "reservation_id", None),
        ({"vendorExtra": {"a": 1}}, "unknown:vendorExtra", "connector_id", 1),
    ],
)
def test_an_odd_start_is_saved_with_a_flag(
    changes: dict[str, Any], flag: str, field: str, value: object
) -> None:
    saved, flags = salvage("StartTransaction", start(**changes))
    assert flags == (flag,)
    assert getattr(saved, field) == value


def test_a_sound_money_message_is_saved_without_flags() -> None:
    saved, flags = salvage("StartTransaction", start())
    assert flags == ()
    assert isinstance(saved, StartTransaction)
    assert saved.meter_start == 1000


@pytest.mark.parametrize("field", START)
def test_a_money_message_that_lacks_a_required_field_is_refused(field: str) -> None:
    with pytest.raises(Violation) as caught:
        salvage("StartTransaction", start(**{field: "-"}))
    assert caught.value.code == "OccurenceConstraintViolation"
    assert caught.value.description.startswith(field)


def test_a_stop_with_an_unreadable_transaction_id_is_saved_as_minus_one() -> None:
    raw = (
        '{"meterStop":5,"timestamp":"2024-01-01T00:00:00Z","transactionId":"abc","reason":"Bored"}'
    )
    saved, flags = salvage("StopTransaction", raw)
    assert isinstance(saved, StopTransaction)
    assert (saved.transaction_id, saved.reason) == (-1, "Bored")
    assert flags == ("type:transactionId", "enum:reason")


def test_what_can_be_read_of_odd_meter_values_is_kept() -> None:
    values = [{"value": 5, "measurand": "Energy.Magic"}, "x", {"value": "7", "unit": "kwh"}]
    raw = json.dumps(
        {
            "connectorId": 1,
            "meterValue": [{"timestamp": "2024-01-01T00:00:00Z", "sampledValue": values}, {}, 3],
        }
    )
    saved, flags = salvage("MeterValues", raw)
    assert isinstance(saved, MeterValues)
    assert [v.value for v in saved.meter_value[0].sampled_value] == ["5", "7"]
    assert saved.meter_value[1].sampled_value == []
    assert len(saved.meter_value) == 2
    assert flags == (
        "type:meterValue[0].sampledValue[0].value",
        "enum:meterValue[0].sampledValue[0].measurand",
        "type:meterValue[0].sampledValue[1]",
        "enum:meterValue[0].sampledValue[2].unit",
        "missing:meterValue[1].timestamp",
        "missing:meterValue[1].sampledValue",
        "type:meterValue[2]",
    )


def test_a_lone_meter_value_is_taken_for_the_one_in_the_list() -> None:
    value = {"timestamp": "2024-01-01T00:00:00Z", "sampledValue": {"value": "5"}}
    saved, _ = salvage("MeterValues", json.dumps({"connectorId": 1, "meterValue": value}))
    assert isinstance(saved, MeterValues)
    assert saved.meter_value[0].sampled_value[0].value == "5"


def test_of_very_many_flags_the_first_are_kept() -> None:
    _, flags = salvage("StartTransaction", start(**{f"extra{n}": n for n in range(1000)}))
    assert len(flags) == 21
    assert (flags[0], flags[-1]) == ("unknown:extra0", "more")


@pytest.mark.parametrize(
    "item", ["1", "{}", '{"timestamp":5,"sampledValue":[1,{},{"value":2}]}'], ids=len
)
def test_a_message_of_odd_items_is_looked_at_so_far_and_no_further(item: str) -> None:
    many = f'{{"connectorId":1,"meterValue":[{",".join([item] * (MAX_ODD_ITEMS + 50))}]}}'
    payload, faults = REQUESTS["MeterValues"].read(many)
    assert isinstance(payload, MeterValues)
    assert len(payload.meter_value) <= MAX_ODD_ITEMS
    assert len(faults) < 3 * MAX_ODD_ITEMS
    assert (faults[-1].rule, faults[-1].path) == ("odd-items", "meterValue")


def test_only_so_many_unknown_properties_are_told() -> None:
    with pytest.raises(Violation, match=rf"k0: .*\(and {MAX_UNKNOWN - 1} more\)"):
        decode_request("Heartbeat", json.dumps({f"k{number}": 1 for number in range(5_000)}))


def test_only_money_messages_are_saved() -> None:
    with pytest.raises(ValueError, match="Heartbeat"):
        salvage("Heartbeat", "{}")


# --- what we send ---


def test_a_raw_command_keeps_the_order_of_its_members_and_is_compact() -> None:
    payload = {"value": "5", "key": "HeartbeatInterval"}
    frame = encode_call("1", "ChangeConfiguration", payload)
    assert frame == b'[2,"1","ChangeConfiguration",{"value":"5","key":"HeartbeatInterval"}]'


def test_a_typed_command_leaves_absent_properties_out() -> None:
    assert encode_call("1", "Reset", Reset(type="Hard")) == b'[2,"1","Reset",{"type":"Hard"}]'
    assert encode_call("1", "ClearChargingProfile", {}) == b'[2,"1","ClearChargingProfile",{}]'


@pytest.mark.parametrize(
    "payload", [{"type": "soft"}, {}, {"type": "Soft", "x": 1}, {"type": None}]
)
def test_a_raw_command_that_breaks_the_schema_is_not_sent(payload: dict[str, Any]) -> None:
    with pytest.raises(Violation):
        encode_call("1", "Reset", payload)


def test_no_command_goes_out_under_a_name_that_ocpp_lacks() -> None:
    with pytest.raises(Violation) as caught:
        encode_call("1", "Explode", {})
    assert caught.value.code == "NotImplemented"


def test_a_payload_of_another_action_is_our_own_fault() -> None:
    with pytest.raises(Violation) as caught:
        encode_call("1", "UnlockConnector", Reset(type="Hard"))
    assert caught.value.code == "InternalError"


def test_an_answer_is_checked_before_it_is_sent() -> None:
    assert encode_result("1", MeterValuesConf()) == b'[3,"1",{}]'
    answer = StartTransactionConf(id_tag_info=IdTagInfo(status="Accepted"), transaction_id=7)
    assert encode_result("1", answer) == (
        b'[3,"1",{"idTagInfo":{"status":"Accepted"},"transactionId":7}]'
    )
    with pytest.raises(Violation):
        encode_result("1", HeartbeatConf(current_time="now"))
    with pytest.raises(Violation):
        encode_result("1", {"status": "Maybe"}, "Reset")
    with pytest.raises(TypeError):
        encode_result("1", {"status": "Accepted"})


@pytest.mark.parametrize("action", ACTIONS.values(), ids=lambda action: action.name)
def test_each_action_can_be_called_by_someone_and_has_two_structs(action: Any) -> None:
    assert action.name in CHARGE_POINT_ACTIONS | CENTRAL_SYSTEM_ACTIONS
    assert action.request.__name__ == action.name
    assert action.response.__name__ == action.name + "Conf"
    assert issubclass(action.request, Payload)


def test_we_serve_all_that_chargers_may_call_but_the_signing_of_certificates() -> None:
    assert len(SERVED) == 13
    assert {"SignCertificate"} == CHARGE_POINT_ACTIONS - SERVED
    assert {"DataTransfer"} == CHARGE_POINT_ACTIONS & CENTRAL_SYSTEM_ACTIONS
    assert (len(CHARGE_POINT_ACTIONS), len(CENTRAL_SYSTEM_ACTIONS)) == (14, 26)
