"""What a list of meter values says: defaults filled in, units normalised, the latest of each.

Energy becomes integer Wh, power W, state of charge %. Odd values are never an
error: they are left out of the figures and named by a flag, and the raw text is
kept by whoever stores the message.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from gway.projects.ocpp.messages.shapes import MeterValue, SampledValue
from gway.projects.ocpp.messages.times import parse_time

ENERGY = "Energy.Active.Import.Register"
POWER = "Power.Active.Import"
SOC = "SoC"

BAD_TIMESTAMP = "bad-timestamp"
BAD_VALUE = "bad-value"
BAD_UNIT = "bad-unit"
SIGNED_DATA = "signed-data"
FUTURE_TIMESTAMP = "future-timestamp"

AHEAD = timedelta(minutes=15)  # a clock that is so far ahead will make trouble
LARGEST = 1e15  # Wh, W: beyond it a float is no longer exact, and no meter counts so far

# Per measurand the units it may come in and their factor; SPEC 7.43 makes Wh the
# default for energy only, so a missing unit is the base unit of the measurand.
_SCALES: dict[str, dict[str | None, float]] = {
    ENERGY: {None: 1.0, "Wh": 1.0, "kWh": 1000.0},
    POWER: {None: 1.0, "W": 1.0, "kW": 1000.0},
    SOC: {None: 1.0, "Percent": 1.0},
}
# The outlet is where the customer's energy is measured; the other places only
# count when the outlet is silent.
_FAR: dict[str | None, int] = {None: 0, "Outlet": 0, "Cable": 1, "Body": 2, "Inlet": 3, "EV": 4}
_DEFAULT_UNITS = (
    ("Energy.Active", "Wh"),
    ("Energy.Reactive", "varh"),
    ("Power.Active", "W"),
    ("Power.Offered", "W"),
    ("Power.Reactive", "var"),
    ("Current", "A"),
    ("Voltage", "V"),
    ("SoC", "Percent"),
    ("Temperature", "Celsius"),
    ("Frequency", "Hertz"),
)


class MeterSummary(msgspec.Struct, frozen=True, gc=False):
    """The latest of each figure in a list of meter values; None when absent.

    `samples_time` is the newest readable timestamp.
    """

    samples_time: datetime | None = None
    energy_wh: int | None = None
    power_w: float | None = None
    soc_percent: float | None = None
    flags: tuple[str, ...] = ()


def read_meter_values(meter_values: Sequence[MeterValue], at: datetime) -> MeterSummary:
    """Summarise meter values.

    A value without phase is the total (SPEC 7.43); only when there is none are the
    phases of that moment added up. Signed data is not interpreted.

    :param meter_values: as decoded, in any order of time
    :param at: when they arrived, to flag times that lie ahead of it
    """
    flags: set[str] = set()
    newest: datetime | None = None
    latest: dict[str, tuple[datetime | None, float]] = {}
    for meter_value in meter_values:
        time = parse_time(meter_value.timestamp)
        if time is None:
            flags.add(BAD_TIMESTAMP)
        elif newest is None or time > newest:
            newest = time
        for measurand, number in _figures(meter_value.sampled_value, flags).items():
            known = latest.get(measurand)
            if known is None or known[0] is None or time is None or time >= known[0]:
                latest[measurand] = (time or (known[0] if known else None), number)
    if newest is not None and newest - at > AHEAD:
        flags.add(FUTURE_TIMESTAMP)
    energy, power, soc = latest.get(ENERGY), latest.get(POWER), latest.get(SOC)
    return MeterSummary(
        newest,
        None if energy is None else round(energy[1]),
        None if power is None else power[1],
        None if soc is None else soc[1],
        tuple(sorted(flags)) if flags else (),
    )


def _figures(values: Iterable[SampledValue], flags: set[str]) -> dict[str, float]:
    """Give the figures of one moment by measurand, in base units."""
    totals: dict[str, float] = {}
    nearest: dict[str, int] = {}
    phases: dict[str, dict[str, float]] = {}
    for value in values:
        measurand = value.measurand or ENERGY
        if value.format == "SignedData":
            flags.add(SIGNED_DATA)
            continue
        number = read_number(value.value)
        if number is None:
            flags.add(BAD_VALUE)
            continue
        scales = _SCALES.get(measurand)
        if scales is None:
            continue
        scale = scales.get(value.unit)
        if scale is None:
            flags.add(BAD_UNIT)
            continue
        number *= scale
        if measurand == SOC and not 0 <= number <= 100:
            flags.add(BAD_VALUE)
            continue
        if value.phase is not None and measurand != SOC:
            # "L1" and "L1-N" are the same conductor, "L1-L2" and "N" none of three.
            if value.phase[2:] in ("", "-N") and value.phase != "N":
                phases.setdefault(measurand, {})[value.phase[:2]] = number
            continue
        far = _FAR.get(value.location, 5)
        if far <= nearest.get(measurand, far):
            nearest[measurand] = far
            totals[measurand] = number
    for measurand, parts in phases.items():
        totals.setdefault(measurand, math.fsum(parts.values()))
    return totals


def read_number(text: str) -> float | None:
    """Read a decimal number as meters write them, or give None.

    :param text: such as "12.5", "-3" or "1e3"; no separators, no infinity
    """
    try:
        number = float(text)
    except ValueError:
        return None
    if not -LARGEST <= number <= LARGEST or "_" in text:  # NaN fails the comparison
        return None
    return number


def default_unit(measurand: str) -> str:
    """Name the unit of a value that came without one ("" for a bare number)."""
    for prefix, unit in _DEFAULT_UNITS:
        if measurand.startswith(prefix):
            return unit
    return ""


class _Arrays(msgspec.Struct, gc=False):
    meter_value: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="meterValue")
    transaction_data: msgspec.Raw = msgspec.field(default=msgspec.Raw(), name="transactionData")


_cut = msgspec.json.Decoder(_Arrays).decode


def cut_samples(payload: msgspec.Raw | bytes) -> bytes:
    """Cut the meterValue or transactionData array out of a payload, exactly as received.

    :param payload: of a MeterValues or StopTransaction that was decoded; b"" when it has none
    """
    arrays = _cut(payload)
    return bytes(arrays.meter_value) or bytes(arrays.transaction_data)
