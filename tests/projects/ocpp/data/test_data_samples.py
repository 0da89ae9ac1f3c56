"""Stored samples are read with the defaults of the specification, however odd they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from gway.projects.ocpp.data.samples import samples_of

NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)


def test_samples_have_the_defaults_of_the_specification() -> None:
    power = {"value": "3", "measurand": "Power.Active.Import", "phase": "L1", "context": "Trigger"}
    moment = {"timestamp": "2024-01-01T12:00:00Z", "sampledValue": [{"value": "5"}, power]}
    first, second = samples_of(json.dumps([moment]))
    assert (first.time, first.time_raw) == (NOON, "2024-01-01T12:00:00Z")
    assert (first.measurand, first.unit) == ("Energy.Active.Import.Register", "Wh")
    assert (first.context, first.location) == ("Sample.Periodic", "Outlet")
    assert (first.phase, first.format) == ("", "Raw")
    assert (second.unit, second.phase, second.context) == ("W", "L1", "Trigger")


def test_odd_samples_are_read_and_what_is_none_is_passed_over() -> None:
    raw = '[{"timestamp":7,"sampledValue":[{"value":5,"unit":"furlong"},null]},3,{"timestamp":8}]'
    (only,) = samples_of(raw)
    assert (only.time, only.time_raw, only.value, only.unit) == (None, "7", "5", "furlong")
    assert list(samples_of("[]")) == list(samples_of("{")) == []
