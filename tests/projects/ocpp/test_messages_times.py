from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gway.projects.ocpp.messages.times import format_time, is_time, parse_time

NOON = datetime(2024, 2, 29, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2024-02-29T12:00:00Z", NOON),
        ("2024-02-29t12:00:00z", NOON),
        ("2024-02-29 12:00:00Z", NOON),
        ("2024-02-29T12:00:00", NOON),
        ("2024-02-29T12:00Z", NOON),
        ("2024-02-29T12:00", NOON),
        ("2024-02-29T14:00:00+02:00", NOON),
        ("2024-02-29T14:00:00+0200", NOON),
        ("2024-02-29T14:00:00+02", NOON),
        ("2024-02-29T06:30:00-05:30", NOON),
        ("2024-02-29T12:00:00.5Z", NOON + timedelta(milliseconds=500)),
        ("2024-02-29T12:00:00,25Z", NOON + timedelta(milliseconds=250)),
        ("2024-02-29T12:00:00.123456789Z", NOON + timedelta(microseconds=123457)),
        ("2016-12-31T23:59:60Z", datetime(2017, 1, 1, tzinfo=UTC)),
    ],
)
def test_iso_8601_is_read_as_utc(text: str, time: datetime) -> None:
    read = parse_time(text)
    assert read == time
    assert read is not None
    assert read.tzinfo is UTC
    assert is_time(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "1704067200",
        "2024-01-01",
        "2024-02-30T00:00:00Z",
        "2024-13-01T00:00:00Z",
        "2024-01-01T25:00:00Z",
        "2024-01-01T00:61:00Z",
        "2024-01-01T00:00:00 Z",
        "2024-01-01T00:00:00Z\n",
        "24-01-01T00:00:00Z",
        "01/02/2024 12:00",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "9999-12-31T23:59:60Z",
        "\uff12\uff10\uff12\uff14-01-01T00:00:00Z",
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert parse_time(text) is None
    assert not is_time(text)


@given(st.text(alphabet="0123456789-:TZ.+ ", max_size=32))
def test_the_quick_check_agrees_with_the_reader(text: str) -> None:
    assert is_time(text) == (parse_time(text) is not None)


def test_times_go_out_as_utc_with_milliseconds_at_most() -> None:
    assert format_time(NOON) == "2024-02-29T12:00:00Z"
    assert format_time(NOON.replace(microsecond=123_999)) == "2024-02-29T12:00:00.123Z"
    assert format_time(NOON.replace(microsecond=999)) == "2024-02-29T12:00:00Z"
    local = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert format_time(local) == "2024-02-29T12:00:00Z"


def test_a_time_without_zone_is_never_sent() -> None:
    with pytest.raises(ValueError, match="without zone"):
        format_time(NOON.replace(tzinfo=None))


@given(st.floats(0, 7e9))
def test_what_we_write_we_read(epoch_s: float) -> None:
    time = datetime.fromtimestamp(epoch_s, UTC)
    written = parse_time(format_time(time))
    assert written is not None
    assert timedelta(0) <= time - written < timedelta(milliseconds=1)
