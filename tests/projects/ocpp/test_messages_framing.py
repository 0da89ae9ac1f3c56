from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gway.projects.ocpp.messages.codec import encode_error
from gway.projects.ocpp.messages.faults import ERROR_CODES, normalise_code
from gway.projects.ocpp.messages.framing import (
    Call,
    CallError,
    CallResult,
    Junk,
    parse_frame,
)

UUID = "550e8400-e29b-41d4-a716-446655440000"
DEEP = "[" * 100_000


def test_the_three_kinds_of_message_are_told_apart() -> None:
    call = parse_frame(f'[2,"{UUID}","Heartbeat",{{}}]')
    assert isinstance(call, Call)
    assert (call.message_id, call.action, bytes(call.payload)) == (UUID, "Heartbeat", b"{}")
    result = parse_frame(b' [ 3 , "1" , {"status":"Accepted"} ] ')
    assert isinstance(result, CallResult)
    assert bytes(result.payload) == b'{"status":"Accepted"}'
    error = parse_frame(b'[4,"1","NotSupported","no",{"a":1}]')
    assert error == CallError("1", "NotSupported", "no", {"a": 1})


@pytest.mark.parametrize(
    ("text", "answer_to"),
    [
        ("", None),
        ("[]", None),
        ("{}", None),
        ("5", None),
        ("null", None),
        ('"[2]"', None),
        ("[2]", None),
        ("[true]", None),
        ('[2,"1"]', "1"),
        ('[2,"1","Heartbeat"]', "1"),
        ('[2,"1","Heartbeat",{},{}]', "1"),
        ('[2,"1",5,{}]', "1"),
        ('[2,"1",null,{}]', "1"),
        ('[2,1,"Heartbeat",{}]', None),
        ('[2,null,"Heartbeat",{}]', None),
        ('[2,"","Heartbeat",{}]', None),
        ('["2","1","Heartbeat",{}]', None),
        ('[2.0,"1","Heartbeat",{}]', None),
        ('[5,"1","Heartbeat",{}]', None),
        ('[[],"1","Heartbeat",{}]', None),
        ('[2,"1","Heartbeat",{}', "1"),
        ('[2,"1","Heartbeat",{}]]', "1"),
        ('[2,"1","Heartbeat",{"a":NaN}]', "1"),
        ('[2,"1","Heartbeat",{"a":Infinity}]', "1"),
        ('[2,"1","Heartbeat",{\'a\':1}]', "1"),
        ('[2,"1","Heartbeat",{"a":01}]', "1"),
        ('[2,"a\\"b","Heartbeat",{', 'a"b'),
        ('[2,"\\ud800","Heartbeat",{}]', None),
        ('[2,"1","Heartbeat",' + DEEP, "1"),
        (DEEP, None),
        ("9" * 10_000, None),
    ],
)
def test_junk_is_answered_formation_violation_when_its_id_can_be_read(
    text: str, answer_to: str | None
) -> None:
    for data in (text, text.encode()):
        junk = parse_frame(data)
        assert isinstance(junk, Junk)
        assert (junk.message_id, junk.code) == (answer_to, "FormationViolation")
        assert junk.rule


def test_what_is_not_utf_8_is_junk() -> None:
    assert parse_frame(b'[2,"1","Heartbeat",\xff') == Junk(None, "FormationViolation", "not UTF-8")


@pytest.mark.parametrize("text", ['[3,"7"]', '[3,"7",{}', '[3,"7",{},1]', '[4,"7"]', '[4,"7",{'])
def test_a_broken_answer_is_not_answered_but_says_which_call_it_was_for(text: str) -> None:
    junk = parse_frame(text)
    assert isinstance(junk, Junk)
    assert (junk.message_id, junk.reply_to) == (None, "7")


def test_a_message_id_over_36_characters_is_flagged_and_still_a_call() -> None:
    fine, long = (parse_frame(json.dumps([2, "x" * n, "Heartbeat", {}])) for n in (36, 37))
    assert isinstance(fine, Call)
    assert isinstance(long, Call)
    assert (fine.long_id, long.long_id) == (False, True)


def test_of_duplicate_keys_the_last_counts_and_the_frame_is_read() -> None:
    assert isinstance(parse_frame('[2,"1","Reset",{"type":"Soft","type":"Hard"}]'), Call)


@pytest.mark.parametrize(
    ("received", "code"),
    [
        ("OccurenceConstraintViolation", "OccurenceConstraintViolation"),
        ("OccurrenceConstraintViolation", "OccurenceConstraintViolation"),
        ("FormatViolation", "FormationViolation"),
        ("notimplemented", "NotImplemented"),
        ("Notsupported ", "NotSupported"),
        ("VendorTrouble", "VendorTrouble"),
    ],
)
def test_other_spellings_of_error_codes_are_understood(received: str, code: str) -> None:
    error = parse_frame(json.dumps([4, "1", received, "", {}]))
    assert isinstance(error, CallError)
    assert error.code == code


@pytest.mark.parametrize(
    ("rest", "description", "details"),
    [
        ([], "", {}),
        (["why"], "why", {}),
        (["why", None], "why", {"details": None}),
        ([None, "text"], "", {"details": "text"}),
    ],
)
def test_an_error_with_odd_members_is_read(
    rest: list[object], description: str, details: dict[str, object]
) -> None:
    error = parse_frame(json.dumps([4, "1", "GenericError", *rest]))
    assert error == CallError("1", "GenericError", description, details)


def test_each_error_code_goes_out_as_1_6_spells_it_with_details_as_object() -> None:
    assert "OccurenceConstraintViolation" in ERROR_CODES
    for code in ERROR_CODES:
        assert json.loads(encode_error("1", code)) == [4, "1", code, "", {}]
        assert normalise_code(code.upper()) == code
    assert json.loads(encode_error("1", "FormatViolation", "x" * 300, {"a": 1})) == [
        4,
        "1",
        "FormationViolation",
        "x" * 255,
        {"a": 1},
    ]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"\ud800", "\ufffd"),
        (r"a\uDC00\ud800b", "a\ufffd\ufffdb"),
        (r"\ud83d\ude00\udfff", "\U0001f600\ufffd"),
        (r"\\ud800\ud800", r"\ud800" + "\ufffd"),
    ],
)
def test_half_a_surrogate_pair_does_not_cost_a_charger_its_message(written: str, read: str) -> None:
    call = parse_frame(f'[2,"1","StartTransaction",{{"idTag":"{written}"}}]')
    assert isinstance(call, Call)
    assert json.loads(bytes(call.payload)) == {"idTag": read}


@settings(max_examples=300, deadline=None)
@given(
    st.binary() | st.text() | json_values.map(json.dumps) | st.lists(json_values).map(json.dumps)
)
def test_parsing_never_raises_and_only_whole_messages_are_no_junk(data: bytes | str) -> None:
    message = parse_frame(data)
    if not isinstance(message, Junk):
        frame = json.loads(data)
        assert frame[0] in (2, 3, 4)
        assert frame[1] == message.message_id


@settings(max_examples=200, deadline=None)
@given(st.text(min_size=1, max_size=36), st.text(), st.dictionaries(st.text(), json_values))
def test_every_well_formed_call_is_read_whatever_it_holds(
    message_id: str, action: str, payload: dict[str, object]
) -> None:
    text = json.dumps([2, message_id, action, payload])
    call = parse_frame(text)
    if "NaN" in text or "Infinity" in text:
        return
    assert isinstance(call, Call)
    assert (call.message_id, call.action) == (message_id, action)
    assert json.loads(bytes(call.payload)) == payload
