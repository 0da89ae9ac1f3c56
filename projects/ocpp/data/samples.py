"""Single sampled values out of what chargers sent, without the repetitions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

import msgspec

from gway.projects.ocpp.data.codec import when
from gway.projects.ocpp.facts import Sample
from gway.projects.ocpp.messages.times import parse_time
from gway.projects.ocpp.transactions.rules import sample_key

ENERGY = "Energy."
LARGEST = Decimal(10) ** 15  # as in `messages.meters`: no meter counts so far
DEFAULTS = {
    "measurand": "Energy.Active.Import.Register",
    "context": "Sample.Periodic",
    "location": "Outlet",
    "phase": "",
    "format": "Raw",
}


class Taken(NamedTuple):
    """A sampled value with both clocks and where it came from."""

    sample: Sample
    at: datetime
    origin: str

    @property
    def time(self) -> datetime:
        """The charger's time, or the server's where that could not be read."""
        return self.sample.time or self.at


def samples_of(raw: str) -> Iterator[Sample]:
    """Read a meterValue array; what is not shaped like a sample is passed over.

    :param raw: the array as JSON, as received
    """
    try:
        values = msgspec.json.decode(raw)
    except msgspec.DecodeError:
        return
    for value in values if isinstance(values, list) else ():
        if not isinstance(value, dict):
            continue
        time_raw = str(value.get("timestamp", ""))
        time = parse_time(time_raw)
        sampled = value.get("sampledValue")
        for one in sampled if isinstance(sampled, list) else ():
            if isinstance(one, dict) and "value" in one:
                yield _sample(time, time_raw, one)


def _sample(time: datetime | None, time_raw: str, one: Mapping[str, Any]) -> Sample:
    """Fill in the defaults of SPEC 7; in place, a session of a night has twenty thousand."""
    given = one.get
    measurand = str(given("measurand") or DEFAULTS["measurand"])
    return Sample(
        time,
        time_raw,
        str(one["value"]),
        measurand,
        str(given("unit") or _default_unit(measurand)),
        str(given("context") or DEFAULTS["context"]),
        str(given("location") or DEFAULTS["location"]),
        str(given("phase") or DEFAULTS["phase"]),
        str(given("format") or DEFAULTS["format"]),
    )


def _default_unit(measurand: str) -> str:
    from gway.projects.ocpp.messages.meters import default_unit  # slow to load, rarely needed

    return default_unit(measurand)


def unique(rows: Iterable[Mapping[str, Any]]) -> list[Taken]:
    """Give the samples of some readings, each measurement once, in order of time.

    transactionData often repeats what MeterValues brought before: the first wins.

    :param rows: readings in the order of their sequence
    """
    kept: dict[tuple[object, ...], Taken] = {}
    for row in rows:
        at = when(row["at"])
        assert at is not None
        for sample in samples_of(row["raw"]):
            kept.setdefault(sample_key(sample), Taken(sample, at, row["origin"]))
    return sorted(kept.values(), key=lambda taken: taken.time)


def number(text: str) -> Decimal | None:
    """Read a sampled value; None when it is no number (signed data is not), or beyond all meters.

    A value such as 1e9999999 is a Decimal that no operation and no float can take.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        return None
    return value if value.is_finite() and value.copy_abs() <= LARGEST and "_" not in text else None


def in_kilo(sample: Sample) -> tuple[float | str, str]:
    """Give value and unit, energy in kWh; what is no number stays text."""
    value = number(sample.value)
    if value is None:
        return sample.value, sample.unit
    if sample.measurand.startswith(ENERGY) and sample.unit in ("Wh", "varh"):
        return float(value / 1000), "k" + sample.unit
    return float(value), sample.unit
