"""What the simulated car takes and what the meter shows; pure arithmetic.

Energy is Wh, power W, time seconds. A session follows a curve like that of a fast
charger: a short ramp, a plateau, a taper. The curve is integrated in closed form,
so the energy at the end does not depend on how often somebody looks.
"""

from __future__ import annotations

from dataclasses import dataclass, field

RAMP_END, TAPER_START = 0.05, 0.75
RAMP_LOW, TAPER_LOW = 0.5, 0.3
_AREA_RAMP = RAMP_END * (RAMP_LOW + 1) / 2
_AREA_FLAT = TAPER_START - RAMP_END
_AREA = _AREA_RAMP + _AREA_FLAT + (1 - TAPER_START) * (1 + TAPER_LOW) / 2
MAX_STEP_S = 1.0
"""A limited session is integrated in steps of at most this long."""


def shape(x: float) -> float:
    """Give the wanted power at the fraction `x` of a session, 1 being the plateau."""
    if x < RAMP_END:
        return RAMP_LOW + (1 - RAMP_LOW) * x / RAMP_END
    if x <= TAPER_START:
        return 1.0
    return 1 - (1 - TAPER_LOW) * (min(x, 1.0) - TAPER_START) / (1 - TAPER_START)


def share(x: float) -> float:
    """Give the part of a session's energy that is delivered at its fraction `x`."""
    if x <= 0:
        return 0.0
    if x >= 1:
        return 1.0
    if x < RAMP_END:
        area = x * (RAMP_LOW + shape(x)) / 2
    elif x <= TAPER_START:
        area = _AREA_RAMP + (x - RAMP_END)
    else:
        area = _AREA_RAMP + _AREA_FLAT + (x - TAPER_START) * (1 + shape(x)) / 2
    return area / _AREA


@dataclass(slots=True)
class Car:
    """A car that wants `target_wh` and takes `duration_s` for it when nothing holds it back."""

    target_wh: float
    duration_s: float
    soc_start: float = 20.0
    capacity_wh: float = field(default=0.0)
    x: float = 0.0
    power_w: float = 0.0

    def __post_init__(self) -> None:
        if self.capacity_wh <= 0:
            # Big enough that the session ends at 95 % at the most.
            self.capacity_wh = max(60_000.0, self.target_wh / (0.95 - self.soc_start / 100))

    @property
    def delivered_wh(self) -> float:
        """Energy taken so far."""
        return self.target_wh * share(self.x)

    @property
    def full(self) -> bool:
        """Whether the car has what it wanted."""
        return self.x >= 1.0

    @property
    def soc_percent(self) -> float:
        """State of charge of the battery."""
        return min(100.0, self.soc_start + 100 * self.delivered_wh / self.capacity_wh)

    @property
    def voltage_v(self) -> float:
        """Voltage at the battery, rising with its charge."""
        return 720.0 + 1.2 * self.soc_percent

    @property
    def current_a(self) -> float:
        """Current that belongs to power and voltage."""
        return self.power_w / self.voltage_v

    def wanted_w(self) -> float:
        """Power that the car would take now."""
        if self.full:
            return 0.0
        return self.target_wh * 3600 / self.duration_s * shape(self.x) / _AREA

    def charge(self, seconds: float, limit_w: float | None = None) -> float:
        """Take energy for a while, held to `limit_w` if given; return the Wh taken."""
        before = self.delivered_wh
        left = max(0.0, seconds)
        if limit_w is None:
            self.x = min(1.0, self.x + left / self.duration_s)
        while limit_w is not None and left > 0 and not self.full and limit_w > 0:
            step = min(left, MAX_STEP_S)
            ratio = min(1.0, limit_w / self.wanted_w())
            self.x = min(1.0, self.x + step * ratio / self.duration_s)
            left -= step
        self.look(limit_w)
        return self.delivered_wh - before

    def look(self, limit_w: float | None = None) -> None:
        """Set the power shown for this moment."""
        wanted = self.wanted_w()
        self.power_w = wanted if limit_w is None else min(wanted, max(0.0, limit_w))

    def rest_s(self, limit_w: float | None = None) -> float | None:
        """Estimate the seconds until the car is full; None when it gets no power."""
        if self.full:
            return 0.0
        if limit_w is not None and limit_w <= 0:
            return None
        ratio = 1.0 if limit_w is None else min(1.0, limit_w / self.wanted_w())
        return (1 - self.x) * self.duration_s / ratio
