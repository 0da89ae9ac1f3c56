"""What it costs to read and judge one payload, as the central system does."""

from __future__ import annotations

import timeit
from collections.abc import Callable

from benchmarks import wire
from benchmarks.stage import Bench
from gway.projects.ocpp.messages.codec import decode_request
from gway.projects.ocpp.messages.framing import Call, parse_frame

ROUNDS = 15
CALLS = 2_000
SMALL_US = 5.0
LARGE_US = 10.0

START = (
    b'[2,"m1","StartTransaction",{"connectorId":1,"idTag":"TAG1","meterStart":1000,'
    b'"timestamp":"2026-01-01T00:00:00Z"}]'
)


def validation(bench: Bench) -> None:
    """Time the validation of a small payload and of one of 1 KB."""
    report = bench.report
    report.begin("Validation of one payload, best of several rounds")
    meter = wire.meter_values([1])
    frame = bytes(meter.messages[0].frame)
    for name, text, bound_us in (
        ("Heartbeat", b'[2,"m1","Heartbeat",{}]', SMALL_US),
        ("StartTransaction", START, SMALL_US),
        ("MeterValues of 1 KB", frame[frame.index(b"[2") :], LARGE_US),
    ):
        cost_us = _microseconds(_validate(text))
        report.add(name, cost_us, "us", f"{len(text)} bytes with its frame")
        report.at_most(f"validation of {name}", cost_us, bound_us, "us")


def _validate(text: bytes) -> Callable[[], object]:
    call = parse_frame(text)
    if not isinstance(call, Call):
        raise TypeError(f"no CALL: {text!r}")
    return lambda: decode_request(call.action, call.payload)


def _microseconds(judge: Callable[[], object]) -> float:
    return min(timeit.repeat(judge, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6
