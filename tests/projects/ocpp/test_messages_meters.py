from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gway.projects.ocpp.messages.codec import salvage
from gway.projects.ocpp.messages.meters import (
    MeterSummary,
    cut_samples,
    default_unit,
    read_meter_values,
    read_number,
)
from gway.projects.ocpp.messages.payloads_charger import MeterValues

NOON = datetime(2024, 1, 1, 12, 0, tzinfo=UTC)
POWER = "Power.Active.Import"


def sample(value: str, measurand: str | None = None, **parts: str) -> dict[str, str]:
    named = {} if measurand is None else {"measurand": measurand}
    return {"value": value, **named, **parts}


def moment(*values: dict[str, str], time: str = "2024-01-01T12:00:00Z") -> dict[str, Any]:
    return {"timestamp": time, "sampledValue": list(values)}


def summarise(*moments: dict[str, Any], at: datetime = NOON) -> MeterSummary:
    raw = json.dumps({"connectorId": 1, "meterValue": list(moments)})
    payload, _ = salvage("MeterValues", raw)
    assert isinstance(payload, MeterValues)
    return read_meter_values(payload.meter_value, at)


def test_a_bare_value_is_the_import_register_in_wh() -> None:
    summary = summarise(moment(sample("1234.6")))
    assert summary == MeterSummary(samples_time=NOON, energy_wh=1235)


def test_units_become_wh_w_and_percent() -> None:
    summary = summarise(
        moment(
            sample("12.345", unit="kWh"),
            sample("7.4", POWER, unit="kW"),
            sample("55", "SoC", unit="Percent"),
            sample("230", "Voltage", unit="V"),
        )
    )
    assert (summary.energy_wh, summary.power_w, summary.soc_percent) == (12_345, 7400, 55)
    assert summary.flags == ()


def test_a_value_without_phase_goes_before_the_phases() -> None:
    summary = summarise(moment(sample("10", phase="L1"), sample("100"), sample("20", phase="L2")))
    assert summary.energy_wh == 100


def test_phases_are_added_when_there_is_no_total() -> None:
    phases = [sample("1", POWER, phase=p, unit="kW") for p in ("L1", "L2-N", "L3")]
    noise = [sample("9", POWER, phase=p, unit="kW") for p in ("N", "L1-L2")]
    assert summarise(moment(*phases, *noise)).power_w == 3000


def test_the_outlet_goes_before_other_places() -> None:
    places = [sample(v, location=p) for v, p in (("1", "Inlet"), ("2", "Outlet"), ("3", "EV"))]
    assert summarise(moment(*places)).energy_wh == 2
    assert summarise(moment(places[2], places[0])).energy_wh == 1


def test_the_latest_moment_wins_whatever_the_order() -> None:
    early = moment(sample("100"), sample("5", POWER), time="2024-01-01T11:59:00Z")
    late = moment(sample("200"), time="2024-01-01T14:00:00+02:00")
    for moments in ((early, late), (late, early)):
        summary = summarise(*moments)
        assert (summary.samples_time, summary.energy_wh, summary.power_w) == (NOON, 200, 5)


def test_a_moment_with_an_unreadable_time_counts_where_it_stands() -> None:
    summary = summarise(moment(sample("1")), moment(sample("2"), time="noonish"))
    assert (summary.samples_time, summary.energy_wh) == (NOON, 2)
    assert summary.flags == ("bad-timestamp",)
    assert summarise(moment(sample("2"), time="?")).samples_time is None


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        (sample("12,5"), "bad-value"),
        (sample(""), "bad-value"),
        (sample("NaN"), "bad-value"),
        (sample("-inf"), "bad-value"),
        (sample("1_000"), "bad-value"),
        (sample("1e300"), "bad-value"),
        (sample("120", "SoC"), "bad-value"),
        (sample("x", "Voltage"), "bad-value"),
        (sample("5", unit="W"), "bad-unit"),
        (sample("5", POWER, unit="kVA"), "bad-unit"),
        (sample("A1B2", format="SignedData"), "signed-data"),
    ],
)
def test_an_unusable_value_is_flagged_and_left_out(value: dict[str, str], flag: str) -> None:
    summary = summarise(moment(value))
    assert summary == MeterSummary(samples_time=NOON, flags=(flag,))


def test_signed_data_does_not_hide_the_raw_register() -> None:
    summary = summarise(moment(sample("FF00", format="SignedData"), sample("7")))
    assert (summary.energy_wh, summary.flags) == (7, ("signed-data",))


def test_a_clock_that_is_far_ahead_is_flagged() -> None:
    value = moment(sample("1"))
    assert summarise(value, at=NOON - timedelta(minutes=15)).flags == ()
    ahead = summarise(value, at=NOON - timedelta(minutes=15, seconds=1))
    assert (ahead.flags, ahead.energy_wh) == (("future-timestamp",), 1)


def test_kwh_do_not_lose_watt_hours_to_binary_fractions() -> None:
    for wh in range(0, 3_000_000, 997):
        assert summarise(moment(sample(f"{wh / 1000:.3f}", unit="kWh"))).energy_wh == wh


@pytest.mark.parametrize(
    ("measurand", "unit"),
    [
        ("Energy.Reactive.Import.Register", "varh"),
        ("Power.Offered", "W"),
        ("Power.Reactive.Export", "var"),
        ("Power.Factor", ""),
        ("Current.Offered", "A"),
        ("Voltage", "V"),
        ("Frequency", "Hertz"),
        ("Temperature", "Celsius"),
        ("SoC", "Percent"),
        ("RPM", ""),
    ],
)
def test_a_missing_unit_is_that_of_the_measurand(measurand: str, unit: str) -> None:
    assert default_unit(measurand) == unit


def test_the_array_is_cut_out_exactly_as_received() -> None:
    array = b'[ {"sampledValue":[{"value":"5.0"}], "timestamp":"x"} ]'
    assert cut_samples(b'{"meterValue":' + array + b',"connectorId":1}') == array
    assert cut_samples(b'{"meterStop":1,"transactionData":' + array + b"}") == array
    assert cut_samples(b'{"meterStop":1}') == b""


def test_numbers_are_read_as_meters_write_them() -> None:
    assert [read_number(t) for t in ("12.5", "-3", "1e3", " 7 ")] == [12.5, -3, 1000, 7]
