"""The times in a payload, and how they are written.

`messages.times` reads times generously, as a central system must; a logger says when they
are not what OCPP asks for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache

from msgspec import inspect

from gway.projects.ocpp.messages.checks import describe
from gway.projects.ocpp.messages.faults import shorten
from gway.projects.ocpp.messages.shapes import Payload
from gway.projects.ocpp.messages.times import parse_time
from gway.projects.ocpp.sink.verdicts import Finding, finding

AHEAD = timedelta(minutes=5)
MAX_FOUND = 20
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(?:\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)


def judge_times(payload: Payload, at: datetime | None) -> list[Finding]:
    """Find times without zone, in another notation, or in the future.

    :param at: when the payload came from a charger; None when that is not known
    """
    found: list[Finding] = []
    for path, text in times_in(payload, ""):
        if len(found) >= MAX_FOUND:
            break
        time = parse_time(text)
        if time is None:
            continue  # no time at all: the schema says that
        written = _RFC3339.fullmatch(text)
        if written is None:
            said = f"{shorten(text)} is not written as RFC 3339"
            found.append(finding("time-notation", said, path))
        elif written[1] is None:
            found.append(finding("time-zone", f"{shorten(text)} has no zone, not even Z", path))
        if at is not None and path.endswith("imestamp") and time - at > AHEAD:
            ahead = round((time - at).total_seconds())
            said = f"{shorten(text)} is {ahead} s ahead of the clock here"
            found.append(finding("clock-ahead", said, path))
    return found


def times_in(payload: Payload, path: str) -> Iterator[tuple[str, str]]:
    """Yield place and text of each time in a payload."""
    for name, wire_name, many, nested in _places(type(payload)):
        value = getattr(payload, name)
        here = f"{path}.{wire_name}" if path else wire_name
        if value is None:
            continue
        if not nested:
            if isinstance(value, str):
                yield here, value
            continue
        for index, item in enumerate(value) if many else ((0, value),):
            if isinstance(item, Payload):
                yield from times_in(item, f"{here}[{index}]" if many else here)


@cache
def _places(cls: type[Payload]) -> tuple[tuple[str, str, bool, bool], ...]:
    """List the fields that are times or hold some: name, name on the wire, list, nested."""
    found = []
    for field in describe(cls).fields:
        kind, many = field.type, False
        if isinstance(kind, inspect.Metadata) and (kind.extra or {}).get("format") == "date-time":
            found.append((field.name, field.encode_name, False, False))
            continue
        if isinstance(kind, inspect.ListType):
            kind, many = kind.item_type, True
        if isinstance(kind, inspect.StructType) and _places(kind.cls):
            found.append((field.name, field.encode_name, many, True))
    return tuple(found)
