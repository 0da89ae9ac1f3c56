"""Figures, floors, and the table that shows them."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    section: str
    name: str
    value: float
    unit: str
    note: str = ""


@dataclass(frozen=True)
class Floor:
    """A promise: the value must reach the bound, or stay below it.

    :param at_least: the bound is a minimum (a rate), not a maximum (a time)
    """

    name: str
    value: float
    bound: float
    unit: str
    at_least: bool

    @property
    def passed(self) -> bool:
        return self.value >= self.bound if self.at_least else self.value <= self.bound

    def line(self) -> str:
        sign = ">=" if self.at_least else "<="
        verdict = "pass" if self.passed else "FAIL"
        return (
            f"{verdict}  {self.name:<58} {number(self.value):>10} {sign} "
            f"{number(self.bound)} {self.unit}"
        ).rstrip()


@dataclass
class Report:
    """All that a run found out, printed as it comes."""

    figures: list[Figure] = field(default_factory=list)
    floors: list[Floor] = field(default_factory=list)

    def begin(self, section: str) -> None:
        print(f"\n{section}", flush=True)
        self._section = section

    def add(self, name: str, value: float, unit: str, note: str = "") -> None:
        self.figures.append(Figure(self._section, name, value, unit, note))
        print(f"  {name:<52} {number(value):>10} {unit:<8} {note}".rstrip(), flush=True)

    def at_least(self, name: str, value: float, bound: float, unit: str = "") -> None:
        self.floors.append(Floor(name, value, bound, unit, at_least=True))

    def at_most(self, name: str, value: float, bound: float, unit: str = "") -> None:
        self.floors.append(Floor(name, value, bound, unit, at_least=False))

    @property
    def passed(self) -> bool:
        return all(floor.passed for floor in self.floors)

    def print_floors(self) -> None:
        print("\nFloors")
        for floor in self.floors:
            print("  " + floor.line())

    def write(self, path: Path) -> None:
        """Keep everything as JSON, with the machine it was measured on."""
        content = {
            "machine": {
                "python": platform.python_version(),
                "system": platform.platform(),
                "cores": os.cpu_count(),
            },
            "figures": [asdict(figure) for figure in self.figures],
            "floors": [asdict(floor) | {"passed": floor.passed} for floor in self.floors],
        }
        path.write_text(json.dumps(content, indent=2) + "\n")


def number(value: float) -> str:
    """Write a number with three figures or more, and thousands apart."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
