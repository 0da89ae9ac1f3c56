"""Times on the wire: read generously, written one way.

SPEC 3.15 asks for ISO 8601 and that receivers handle fractions and offsets. A
time without an offset is legal ISO 8601; SPEC 3.14 recommends UTC for all, so it
is read as UTC.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

# Forms of ISO 8601 that RFC 3339 lacks: no seconds, a comma before the fraction,
# an hour-only offset, a leap second.
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\dT\d\d:\d\d)(?::(\d\d)(?:[.,](\d{1,30}))?)?(Z|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII | re.IGNORECASE,
)


def parse_time(text: str) -> datetime | None:
    """Read a time as aware UTC, or give None when it cannot be read.

    :param text: an ISO 8601 date and time; without an offset it is UTC
    """
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return _parse_rare(text) if isinstance(text, str) else None
    zone = time.tzinfo
    if zone is UTC:
        return time
    if zone is None:
        return time.replace(tzinfo=UTC)
    try:
        return time.astimezone(UTC)
    except OverflowError:  # year 1 or 9999 moved over the edge by its offset
        return None


def is_time(text: str) -> bool:
    """Tell quickly whether `parse_time` can read a text."""
    try:
        time = msgspec.convert(text, datetime)
    except msgspec.ValidationError:
        return parse_time(text) is not None
    # At the edges of the calendar an offset may lead out of it.
    return 1 < time.year < 9999 or parse_time(text) is not None


def _parse_rare(text: str) -> datetime | None:
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    minute, second, fraction, zone = match.groups()
    second = second or "00"
    leap = second == "60"
    if zone is None or zone in "Zz":
        zone = "+00:00"
    try:
        time = datetime.fromisoformat(
            f"{minute}:{'59' if leap else second}.{(fraction or '0')[:6]:0<6}{zone}"
        )
        return (time + timedelta(seconds=leap)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def format_time(time: datetime) -> str:
    """Write a time as UTC with `Z` and at most milliseconds.

    :param time: an aware time; a naive one is refused with ValueError
    """
    if time.tzinfo is not UTC:
        if time.tzinfo is None:
            raise ValueError(f"a time without zone cannot be sent: {time!r}")
        time = time.astimezone(UTC)
    return time.isoformat("T", "milliseconds")[:-6].removesuffix(".000") + "Z"
