"""Find every fault of a payload, and what can be saved of it.

Runs only when the fast decoder refused a payload. It walks the same struct
descriptions the decoder is made of, so there is one set of rules.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from functools import cache
from itertools import islice
from typing import Any, NamedTuple, cast

import msgspec
from msgspec import inspect

from gway.projects.ocpp.messages.checks import describe, has_one_decimal, late_check
from gway.projects.ocpp.messages.faults import FORMATION, OCCURRENCE, PROPERTY, TYPE, shorten
from gway.projects.ocpp.messages.shapes import Payload
from gway.projects.ocpp.messages.times import parse_time

MAX_DIGITS = 400
# No charger is that odd; whoever is must not cost us seconds.
MAX_ODD_ITEMS = 20_000  # of all lists of a payload together
MAX_UNKNOWN = 50  # unknown properties noted of one object


MakeObject = Callable[[list[tuple[str, Any]]], dict[str, Any]]


class Fault(NamedTuple):
    """One fault: the code that answers it, the rule in one word, the place, a sentence."""

    code: str
    rule: str
    path: str
    text: str


def load_json(raw: bytes | str, pairs: MakeObject | None = None) -> object:
    """Parse JSON for examination; a number too large for any field becomes infinite.

    Raises ValueError (or RecursionError for deep nesting) for what is not JSON.

    :param pairs: makes an object of its names and values, where one name may stand twice
    """
    text = raw if isinstance(raw, str) else raw.decode("utf-8")
    return json.loads(
        text,
        parse_int=_parse_int,
        parse_constant=_refuse_constant,
        object_pairs_hook=pairs,
    )


def _parse_int(digits: str) -> int | float:
    if len(digits) > MAX_DIGITS:
        return -math.inf if digits.startswith("-") else math.inf
    return int(digits)


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def examine(payload: object, cls: type[Payload]) -> tuple[Payload, list[Fault]]:
    """Build the nearest struct to a payload and list all its faults, in a fixed order.

    What cannot be read gets a stand-in: "" for text, 0 for a number, -1 for a
    transactionId (errata 3.18: the charger does not know it); an optional number is left out.
    """
    examiner = _Examiner()
    built = examiner.struct(payload, describe(cls), "")
    return built, examiner.faults


def json_type(value: object) -> str:
    """Name a decoded value as JSON calls it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number" if isinstance(value, float) else "integer"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


class _Examiner:
    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._odd_left = MAX_ODD_ITEMS

    def note(self, code: str, rule: str, path: str, text: str) -> None:
        self.faults.append(Fault(code, rule, path, f"{path or 'payload'}: {text}"))

    def wrong_type(self, value: object, wanted: str, path: str) -> None:
        self.note(TYPE, "type", path, f"expected {wanted}, got {json_type(value)}")

    def struct(self, value: object, info: inspect.StructType, path: str) -> Payload:
        if not isinstance(value, dict):
            if path:
                self.wrong_type(value, "object", path)
            else:
                self.note(FORMATION, "object", "", f"expected object, got {json_type(value)}")
            return self.stand_in(info)
        known = {field.encode_name for field in info.fields}
        unknown = (name for name in value if name not in known)
        for name in islice(unknown, MAX_UNKNOWN):
            text = f"no such property in {info.cls.__name__}"
            self.note(FORMATION, "unknown", _join(path, shorten(name)[1:-1]), text)
        fields = {f.name: self.field(value, f, path) for f in info.fields}
        return _build(info, fields)

    def stand_in(self, info: inspect.StructType) -> Payload:
        return _build(
            info, {f.name: _stand_in(f.type, f.encode_name) for f in info.fields if f.required}
        )

    def field(self, value: dict[str, object], field: inspect.Field, path: str) -> object:
        here = _join(path, field.encode_name)
        if field.encode_name in value:
            found = value[field.encode_name]
            if found is None and not field.required:
                self.wrong_type(found, _wanted(field.type), here)
                return None
            built = self.value(found, field.type, here)
            unread = built is None and field.required
            return _stand_in(field.type, field.encode_name) if unread else built
        if not field.required:
            return None
        self.note(OCCURRENCE, "missing", here, "required, but missing")
        return _stand_in(field.type, field.encode_name)

    def value(self, value: object, info: inspect.Type, path: str) -> object:
        extra: dict[str, object] = {}
        if isinstance(info, inspect.Metadata):
            extra, info = info.extra or {}, info.type
        match info:
            case inspect.LiteralType():
                return self.choice(value, info, path)
            case inspect.StrType():
                return self.string(value, info, extra, path)
            case inspect.StructType():
                return self.struct(value, info, path)
            case inspect.ListType():
                return self.array(value, info, path)
            case inspect.IntType():
                return self.integer(value, info, path)
            case inspect.FloatType():
                return self.number(value, extra, path)
            case inspect.BoolType():
                if not isinstance(value, bool):
                    self.wrong_type(value, "boolean", path)
                return bool(value)
        raise TypeError(f"{path}: no rule for {info!r}")

    def array(self, value: object, info: inspect.ListType, path: str) -> list[object]:
        wanted = info.item_type
        if not isinstance(value, list):
            self.wrong_type(value, "array", path)
            # A lone object is taken for the one item; its own faults are beside the point.
            return [_Examiner().value(value, wanted, path)] if isinstance(value, dict) else []
        if len(value) < (info.min_length or 0):
            self.note(OCCURRENCE, "items", path, f"at least {info.min_length} item(s) required")
        items: list[object] = []
        for index, item in enumerate(value):
            if self._odd_left <= 0:
                self.note(PROPERTY, "odd-items", path, f"left out from item {index} on")
                break
            faults = len(self.faults)
            self.item(item, wanted, f"{path}[{index}]", items)
            self._odd_left -= len(self.faults) > faults
        return items

    def item(self, item: object, wanted: inspect.Type, path: str, items: list[object]) -> None:
        """Add what can be read of an item to the others."""
        if isinstance(wanted, inspect.StructType):
            if not isinstance(item, dict):
                self.wrong_type(item, "object", path)
                return
            sound = _convert_sound(item, cast("type[Payload]", wanted.cls))
            if sound is not None:
                items.append(sound)
                return
        items.append(self.value(item, wanted, path))

    def string(
        self, value: object, info: inspect.StrType, extra: dict[str, object], path: str
    ) -> str:
        if not isinstance(value, str):
            self.wrong_type(value, "string", path)
            return _as_text(value)
        if info.max_length is not None and len(value) > info.max_length:
            text = f"{len(value)} characters, at most {info.max_length} allowed"
            self.note(PROPERTY, "length", path, text)
        if extra.get("format") == "date-time" and parse_time(value) is None:
            text = f"{shorten(value)} is not an ISO 8601 date and time"
            self.note(PROPERTY, "date-time", path, text)
        return value

    def choice(self, value: object, info: inspect.LiteralType, path: str) -> str:
        if not isinstance(value, str):
            self.wrong_type(value, "string", path)
            return _as_text(value)
        if value not in info.values:
            text = f"{shorten(value)} is not one of {_choices(info.values)}"
            self.note(PROPERTY, "enum", path, text)
        return value

    def integer(self, value: object, info: inspect.IntType, path: str) -> int | None:
        low, high = info.ge or 0, info.le or 0
        if isinstance(value, int) and not isinstance(value, bool):
            if low <= value <= high:
                return value
            self.note(PROPERTY, "range", path, f"{shorten(value)} is not in {low}..{high}")
        elif isinstance(value, float) and math.isinf(value):
            self.note(PROPERTY, "range", path, f"a number out of {low}..{high}")
        else:
            self.wrong_type(value, "integer", path)
            number = _as_integer(value)
            if number is not None and low <= number <= high:
                return number
        return None

    def number(self, value: object, extra: dict[str, object], path: str) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            self.wrong_type(value, "number", path)
            return 0.0
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
        if math.isinf(number):
            self.note(PROPERTY, "range", path, "number out of range")
            return 0.0
        if extra.get("decimals") == 1 and not has_one_decimal(number):
            text = f"{shorten(value)} has more than one decimal"
            self.note(PROPERTY, "decimals", path, text)
        return number


@cache
def _choices(values: tuple[object, ...]) -> str:
    return shorten(", ".join(map(str, values)), 120)[1:-1]


def _convert_sound(item: dict[str, object], cls: type[Payload]) -> Payload | None:
    """Convert an item without faults at once: of many, few are odd."""
    try:
        built = msgspec.convert(item, cls)
    except (msgspec.ValidationError, RecursionError):
        return None
    check = late_check(cls)
    return built if check is None or check(built) else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _build(info: inspect.StructType, fields: dict[str, object]) -> Payload:
    built = info.cls(**fields)
    assert isinstance(built, Payload)
    return built


def _wanted(info: inspect.Type) -> str:
    if isinstance(info, inspect.Metadata):
        info = info.type
    match info:
        case inspect.StructType():
            return "object"
        case inspect.ListType():
            return "array"
        case inspect.IntType():
            return "integer"
        case inspect.FloatType():
            return "number"
        case inspect.BoolType():
            return "boolean"
    return "string"


def _stand_in(info: inspect.Type, name: str) -> object:
    if isinstance(info, inspect.StructType):
        return _Examiner().stand_in(info)
    match _wanted(info):
        case "integer":
            return -1 if name == "transactionId" else 0
        case "number":
            return 0.0
        case "boolean":
            return False
        case "array":
            return []
    return ""


def _as_text(value: object) -> str:
    return "" if value is None else json.dumps(value)


def _as_integer(value: object) -> int | None:
    """Read the whole number that a number or a numeral nearly is."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    if isinstance(value, float) and math.isfinite(value):
        return round(value)
    return None
