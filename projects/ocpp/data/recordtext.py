"""What stands in a `.dat` record: indented JSON, put together a moment at a time.

A session of a night has thousands of samples: whoever makes its record beside the
chargers rests between its moments, so nothing here takes long in one piece.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec

from gway.projects.ocpp.data.codec import iso, micros
from gway.projects.ocpp.data.samples import Taken, in_kilo

log = logging.getLogger("ocpp.data")

SAMPLES = "MeterValues"
NO_SAMPLES = b'\n  "MeterValues": []'  # within a JSON text there is no other line break
INDENT = b"\n    "
SHORT = 1e-4  # smaller numbers have an exponent, which msgspec writes in another way

Moment = tuple[int, bytes]
"""Milliseconds since 1970, and the samples of that time as they stand in a record."""


class _Known(msgspec.Struct):
    moments: list[msgspec.Raw] = msgspec.field(name=SAMPLES)


class _Time(msgspec.Struct):
    time_ms: int = msgspec.field(name="timeMs")


def record_text(transaction: Mapping[str, Any], moments: Sequence[Moment]) -> Iterator[bytes]:
    """Make the record of a closed transaction, piece by piece.

    `...Time` are whole seconds and `...Ms` milliseconds since 1970, by the server's
    clock; samples have the charger's clock where it could be read. `chargerStartTime`
    and `chargerStopTime` are what the charger said. Registers are Wh.

    :param transaction: its row
    :param moments: its samples, in the order of their time
    """
    reservation_id = transaction["reservation_id"]
    reason = transaction["stop_reason"]
    text = _indented(
        {
            "connectorId": transaction["connector_id"],
            "idTagStart": transaction["id_tag"],
            "meterStart": transaction["meter_start_wh"],
            "reservationId": -1 if reservation_id is None else reservation_id,
            **_clock("startTime", "startTimeStr", "startMs", transaction["started_at"]),
            "transactionId": transaction["transaction_id"],
            SAMPLES: (),
            "idTagStop": transaction["stop_id_tag"] or "",
            "meterStop": transaction["meter_stop_wh"],
            **_clock("stopTime", "stopTimeStr", "stopMs", transaction["stopped_at"]),
            "reason": reason,
            "reasonStr": reason,
            "chargerStartTime": transaction["start_time_raw"],
            "chargerStopTime": transaction["stop_time_raw"],
            "energyWh": transaction["energy_wh"],
            "energySource": transaction["energy_source"],
        }
    )
    before, after = text.split(NO_SAMPLES)
    yield before + NO_SAMPLES[:-1]
    separator = INDENT
    for _, moment in moments:
        yield separator + moment
        separator = b"," + INDENT
    yield (b"\n  ]" if moments else b"]") + after + b"\n"


def moments_of(samples: Iterable[Taken]) -> Iterator[Moment]:
    """Put samples of the same time together.

    :param samples: in the order of their time
    """
    for time, group in groupby(samples, key=lambda taken: taken.time):
        at = micros(time)
        assert at is not None
        entry = {
            **_clock("timestamp", "timestampStr", "timeMs", at),
            "sampledValue": [_sampled(taken) for taken in group],
        }
        yield at // 1_000, _indented(entry).replace(b"\n", INDENT)


def with_those_of(path: Path, moments: Sequence[Moment]) -> Sequence[Moment]:
    """Put what a record holds that is there together with what the database still has."""
    try:
        raws = msgspec.json.decode(path.read_bytes(), type=_Known).moments
        known = [(_time_ms(raw), _indented(raw).replace(b"\n", INDENT)) for raw in raws]
    except FileNotFoundError:
        return moments
    except (ValueError, RecursionError) as error:
        log.warning("%s is no record, it is written anew: %s", path, error)
        return moments
    times = {time_ms for time_ms, _ in known}
    more = [one for one in moments if one[0] not in times]
    return sorted([*known, *more], key=lambda one: one[0]) if more else known


def _time_ms(raw: msgspec.Raw) -> int:
    return msgspec.json.decode(raw, type=_Time).time_ms


def _indented(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2)


def _clock(seconds: str, text: str, millis: str, value: int | None) -> dict[str, object]:
    if value is None:
        return {seconds: None, text: None, millis: None}
    return {seconds: value // 1_000_000, text: iso(value), millis: value // 1_000}


def _sampled(taken: Taken) -> dict[str, object]:
    sample = taken.sample
    value, unit = in_kilo(sample)
    is_short = isinstance(value, float) and 0 < abs(value) < SHORT
    entry: dict[str, object] = {
        "value": msgspec.Raw(repr(value).encode()) if is_short else value,
        "unit": unit,
        "measurand": sample.measurand,
        "context": sample.context,
    }
    if sample.phase:
        entry["phase"] = sample.phase
    if sample.location != "Outlet":
        entry["location"] = sample.location
    return entry
