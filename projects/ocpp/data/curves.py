"""Power and energy of one transaction over time: what was measured, and nothing between.

Where samples stayed away for much longer than they usually do, the curve is broken.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

from gway.projects.ocpp.data.samples import Taken, number

POWER = "Power.Active.Import"
REGISTER = "Energy.Active.Import.Register"
AS_USUAL = 3  # times the usual distance of two samples: longer is a gap
SHORT_S = 60.0  # never a gap
MANY = 1_500  # points; of more, the highest power and the last energy of each group stay


class Point(NamedTuple):
    """What was measured at a time (seconds since 1970); None is not measured."""

    time: float
    power_w: float | None
    energy_wh: float | None


def curves(transaction: Mapping[str, Any], samples: Iterable[Taken]) -> dict[str, Any]:
    """Give the points of a transaction in order of time.

    :param transaction: as `reports.public_transaction` shows it; its registers are points, too
    """
    points = _measured(transaction, samples)
    shown = _fewer(points)
    whole = _with_gaps(shown)
    return {
        "times": [point.time for point in whole],
        "power_w": [point.power_w for point in whole],
        "energy_wh": [point.energy_wh for point in whole],
        "points": len(points),
        "shown": len(shown),
    }


def _measured(transaction: Mapping[str, Any], samples: Iterable[Taken]) -> list[Point]:
    power: dict[float, dict[str, float]] = {}
    energy: dict[float, float] = {}
    begin_wh: int = transaction["meter_start_wh"]
    for taken in samples:
        sample = taken.sample
        value = number(sample.value)
        if value is None or sample.location != "Outlet":
            continue
        time = taken.time.timestamp()
        plain = float(value) * (1000 if sample.unit.startswith("k") else 1)
        if sample.measurand == POWER:
            power.setdefault(time, {})[sample.phase] = plain
        elif sample.measurand == REGISTER and not sample.phase:
            energy[time] = plain - begin_wh
    for clock, register in _registers(transaction):
        energy.setdefault(clock.timestamp(), register - begin_wh)
    times = sorted({*power, *energy})
    return [Point(time, _power(power.get(time)), energy.get(time)) for time in times]


def _registers(transaction: Mapping[str, Any]) -> Iterable[tuple[datetime, int]]:
    begin = transaction["start_time"] or transaction["started_at"]
    yield begin, transaction["meter_start_wh"]
    end = transaction["stop_time"] or transaction["stopped_at"]
    if end is not None and transaction["energy_source"] == "registers":
        yield end, transaction["meter_stop_wh"]


def _power(by_phase: Mapping[str, float] | None) -> float | None:
    """Take the power of all phases together, or add up that of each."""
    if not by_phase:
        return None
    return by_phase[""] if "" in by_phase else sum(by_phase.values())


def _fewer(points: list[Point]) -> list[Point]:
    """Leave points out of very many: peaks stay, and where the energy begins and ends."""
    if len(points) <= MANY:
        return points
    size = -(-2 * len(points) // MANY)
    kept = {points[0]}
    for first in range(0, len(points), size):
        group = points[first : first + size]
        kept.add(max(group, key=lambda point: point.power_w or 0))
        kept.add(max(group, key=lambda point: (point.energy_wh is not None, point.time)))
    return sorted(kept, key=lambda point: point.time)


def _with_gaps(points: list[Point]) -> list[Point]:
    distances = [two.time - one.time for one, two in pairwise(points)]
    if not distances:
        return points
    longest = max(SHORT_S, AS_USUAL * median(distances))
    whole = points[:1]
    for one, two in pairwise(points):
        if two.time - one.time > longest:
            whole.append(Point((one.time + two.time) / 2, None, None))
        whole.append(two)
    return whole
