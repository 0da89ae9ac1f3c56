"""The checks that msgspec's own constraints cannot express, compiled from the structs."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

from msgspec import inspect

from gway.projects.ocpp.messages.shapes import Payload
from gway.projects.ocpp.messages.times import is_time

Check = Callable[[Any], bool]


@cache
def describe(cls: type[Payload]) -> inspect.StructType:
    """Give msgspec's description of a struct."""
    info = inspect.type_info(cls)
    assert isinstance(info, inspect.StructType)
    return info


@cache
def late_check(cls: type[Payload]) -> Check | None:
    """Compile the checks of a struct that is decoded already; None when it needs none."""
    return _compile(describe(cls))


def has_one_decimal(value: float) -> bool:
    """Tell whether a number has at most one digit after the point (SPEC 7.13, 7.14)."""
    return math.isfinite(value) and round(value, 1) == value


def _compile(info: inspect.Type) -> Check | None:
    if isinstance(info, inspect.Metadata):
        extra = info.extra or {}
        if extra.get("format") == "date-time":
            return is_time
        if extra.get("decimals") == 1:
            return has_one_decimal
        return _compile(info.type)
    if isinstance(info, inspect.ListType):
        item_check = _compile(info.item_type)
        return None if item_check is None else _each(item_check)
    if not isinstance(info, inspect.StructType):
        return None
    checks = [(f.name, c) for f in info.fields if (c := _compile(f.type)) is not None]
    if not checks:
        return None
    return _field(*checks[0]) if len(checks) == 1 else _fields(checks)


def _each(check: Check) -> Check:
    def check_items(items: Any) -> bool:
        return all([check(item) for item in items])  # noqa: C419 (a list is twice as fast)

    return check_items


def _field(name: str, check: Check) -> Check:
    def check_field(struct: Any) -> bool:
        value = getattr(struct, name)
        return value is None or check(value)

    return check_field


def _fields(checks: list[tuple[str, Check]]) -> Check:
    def check_fields(struct: Any) -> bool:
        for name, check in checks:
            value = getattr(struct, name)
            if value is not None and not check(value):
                return False
        return True

    return check_fields
