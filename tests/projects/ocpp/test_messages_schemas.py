"""The payload structs against the official JSON schemas, which the `ocpp` package ships."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import cache
from importlib.resources import files
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft4Validator, FormatChecker

from gway.projects.ocpp.messages.catalogue import ACTIONS, MONEY_ACTIONS
from gway.projects.ocpp.messages.codec import REQUESTS, RESPONSES, decode_request, salvage
from gway.projects.ocpp.messages.faults import Violation

KINDS = [(name, suffix) for name in ACTIONS for suffix in ("", "Response")]
EXAMPLES = settings(max_examples=20, deadline=None, derandomize=True)
GOOD_TIMES = (
    "2024-02-29T23:59:59Z",
    "2024-01-01T00:00:00.123456Z",
    "2023-12-31T23:30:00+05:30",
    "2024-06-01T12:00:00.5-08:00",
)
BAD_TIMES = ("", "yesterday", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-01-01", "1")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

formats = FormatChecker(formats=())


@formats.checks("date-time")
def is_rfc3339(text: object) -> bool:
    if not isinstance(text, str):
        return True
    if not RFC3339.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def load_schema(name: str, **options: Any) -> Any:
    text = files("ocpp").joinpath(f"v16/schemas/{name}.json").read_text(encoding="utf-8-sig")
    return json.loads(text, **options)


@cache
def oracle(name: str) -> Draft4Validator:
    # Decimals, because 16.1 is no multiple of 0.1 in binary floats.
    return Draft4Validator(load_schema(name, parse_float=Decimal), format_checker=formats)


def schema_accepts(name: str, text: str) -> bool:
    return bool(oracle(name).is_valid(json.loads(text, parse_float=Decimal)))


def we_accept(name: str, suffix: str, text: str) -> bool:
    codec = (RESPONSES if suffix else REQUESTS)[name]
    try:
        codec.decode(text)
    except Violation:
        return False
    return True


def resolve(schema: Any, root: Any) -> Any:
    reference = schema.get("$ref")
    return root["definitions"][reference.rsplit("/", 1)[1]] if reference else schema


def payloads(schema: Any, root: Any, name: str = "") -> st.SearchStrategy[Any]:
    """Valid payloads of a schema, without what we judge otherwise on purpose."""
    schema = resolve(schema, root)
    match schema["type"]:
        case "object":
            parts = {k: payloads(v, root, k) for k, v in schema.get("properties", {}).items()}
            needed = schema.get("required", [])
            return st.fixed_dictionaries(
                {k: parts[k] for k in needed},
                optional={k: v for k, v in parts.items() if k not in needed},
            )
        case "array":
            return st.lists(payloads(schema["items"], root), min_size=1, max_size=3)
        case "integer":
            return st.integers(0 if name == "connectorId" else -(2**63), 2**63 - 1)
        case "number":
            return st.integers(-(10**6), 10**6).map(lambda tenths: tenths / 10)
        case "boolean":
            return st.booleans()
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "date-time":
        return st.sampled_from(GOOD_TIMES)
    length = schema.get("maxLength", 40)
    return st.text(max_size=min(length, 60)) | st.just("é" * length)


class Spot(NamedTuple):
    holder: Any
    key: Any
    schema: Any
    required: bool


def spots(value: Any, schema: Any, root: Any) -> Iterator[Spot]:
    """Every place in a payload that can be spoilt."""
    schema = resolve(schema, root)
    if schema["type"] == "object":
        for key, inner in value.items():
            part = resolve(schema["properties"][key], root)
            yield Spot(value, key, part, key in schema.get("required", []))
            yield from spots(inner, part, root)
    elif schema["type"] == "array":
        item = resolve(schema["items"], root)
        for index, inner in enumerate(value):
            yield Spot(value, index, item, False)
            yield from spots(inner, item, root)


WRONG: dict[str, list[Any]] = {
    "string": [5, None, True, {}, [], 1.5],
    "integer": ["5", None, True, 1.5, [], {}, 7.0],
    "number": ["5", None, False, []],
    "boolean": ["true", 1, None],
    "array": [{}, "x", None, 3],
    "object": [[], "x", None, 3],
}
TYPE, PROPERTY = "TypeConstraintViolation", "PropertyConstraintViolation"
OCCURRENCE, FORMATION = "OccurenceConstraintViolation", "FormationViolation"


def spoil(draw: Any, payload: Any, schema: Any) -> str:
    """Put exactly one fault into a payload; return the code it must be answered with."""
    places = list(spots(payload, schema, schema))
    faults = ["extra"]
    spot = draw(st.sampled_from(places)) if places else None
    if spot is not None:
        faults += ["type"]
        faults += ["missing"] if spot.required else []
        faults += [k for k in ("maxLength", "minItems", "enum", "multipleOf") if k in spot.schema]
        faults += ["time"] if spot.schema.get("format") == "date-time" else []
    fault = draw(st.sampled_from(faults))
    if fault == "extra" or spot is None:
        holders = [payload, *(s.holder[s.key] for s in places)]
        draw(st.sampled_from([h for h in holders if isinstance(h, dict)]))["surplus"] = 1
        return FORMATION
    if fault == "missing":
        del spot.holder[spot.key]
        return OCCURRENCE
    wrong, code = {
        "type": (draw(st.sampled_from(WRONG[spot.schema["type"]])), TYPE),
        "maxLength": ("é" * (spot.schema.get("maxLength", 0) + 1), PROPERTY),
        "minItems": ([], OCCURRENCE),
        "enum": (draw(st.sampled_from(["", "accepted", "Nonsense"])), PROPERTY),
        "multipleOf": (draw(st.sampled_from([0.15, 16.01, -1e-3])), PROPERTY),
        "time": (draw(st.sampled_from(BAD_TIMES)), PROPERTY),
    }[fault]
    spot.holder[spot.key] = wrong
    return code


@pytest.mark.parametrize(("name", "suffix"), KINDS)
def test_what_the_schema_accepts_we_accept(name: str, suffix: str) -> None:
    schema = load_schema(name + suffix)

    @EXAMPLES
    @given(payloads(schema, schema))
    def check(payload: Any) -> None:
        text = json.dumps(payload)
        assert schema_accepts(name + suffix, text)
        assert we_accept(name, suffix, text)

    check()


@pytest.mark.parametrize(("name", "suffix"), KINDS)
def test_one_fault_is_refused_as_by_the_schema_and_gets_its_code(name: str, suffix: str) -> None:
    schema = load_schema(name + suffix)

    @EXAMPLES
    @given(st.data())
    def check(data: Any) -> None:
        payload = copy.deepcopy(data.draw(payloads(schema, schema)))
        code = spoil(data.draw, payload, schema)
        text = json.dumps(payload)
        assert not schema_accepts(name + suffix, text)
        codec = (RESPONSES if suffix else REQUESTS)[name]
        with pytest.raises(Violation) as caught:
            codec.decode(text)
        assert caught.value.code == code

    check()


@pytest.mark.parametrize("name", sorted(MONEY_ACTIONS))
def test_a_money_message_with_any_fault_but_a_missing_field_is_saved(name: str) -> None:
    schema = load_schema(name)

    @EXAMPLES
    @given(st.data())
    def check(data: Any) -> None:
        payload = copy.deepcopy(data.draw(payloads(schema, schema)))
        spoil(data.draw, payload, schema)
        lost = set(schema["required"]) - set(payload)
        if lost:
            with pytest.raises(Violation):
                salvage(name, json.dumps(payload))
        else:
            saved, flags = salvage(name, json.dumps(payload))
            assert flags
            assert type(saved) is ACTIONS[name].request

    check()


INTENDED = {
    "SPEC 6.47: connectorId >= 0": (
        "StatusNotification",
        '{"connectorId":-1,"errorCode":"NoError","status":"Available"}',
        (True, False),
    ),
    "no field holds more than 64 bits": (
        "CancelReservation",
        f'{{"reservationId":{2**63}}}',
        (True, False),
    ),
    "SPEC 7.33: at least one sampledValue": (
        "StopTransaction",
        '{"meterStop":1,"transactionId":1,"timestamp":"2024-01-01T00:00:00Z","transactionData":'
        '[{"timestamp":"2024-01-01T00:00:00Z","sampledValue":[]}]}',
        (True, False),
    ),
    "SPEC 7.33: one MeterValue class, so Hertz in transactionData too": (
        "StopTransaction",
        '{"meterStop":1,"transactionId":1,"timestamp":"2024-01-01T00:00:00Z","transactionData":'
        '[{"timestamp":"2024-01-01T00:00:00Z","sampledValue":[{"value":"50","unit":"Hertz"}]}]}',
        (False, True),
    ),
    "SPEC 3.15: ISO 8601, which knows times without offset": (
        "SecurityEventNotification",
        '{"type":"x","timestamp":"2024-01-01T00:00:00"}',
        (False, True),
    ),
    "SPEC 3.15: ISO 8601, which knows times without seconds": (
        "SecurityEventNotification",
        '{"type":"x","timestamp":"2024-01-01T00:00Z"}',
        (False, True),
    ),
    "RFC 3339 5.6: leap seconds exist": (
        "SecurityEventNotification",
        '{"type":"x","timestamp":"2016-12-31T23:59:60Z"}',
        (False, True),
    ),
    "SPEC-J 4.1: null stands for an empty payload": ("Heartbeat", "null", (False, True)),
}


@pytest.mark.parametrize("reason", INTENDED)
def test_each_intended_difference_to_the_schemas_is_still_there(reason: str) -> None:
    name, text, verdicts = INTENDED[reason]
    assert (schema_accepts(name, text), we_accept(name, "", text)) == verdicts


def test_all_28_and_11_actions_are_there() -> None:
    official = {
        path.name.removesuffix(".json")
        for path in files("ocpp").joinpath("v16/schemas").iterdir()
        if not path.name.endswith("Response.json")
    }
    assert set(ACTIONS) == official
    assert len([a for a in ACTIONS.values() if a.profile != "Security"]) == 28
    assert len([a for a in ACTIONS.values() if a.profile == "Security"]) == 11
    assert decode_request("Heartbeat", "{}") == ACTIONS["Heartbeat"].request()
