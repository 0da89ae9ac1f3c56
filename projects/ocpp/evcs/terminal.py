"""How simulations look in a terminal: bars on one, plain lines anywhere else."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any, TextIO

from gway.output import is_terminal
from gway.redaction import one_line

if TYPE_CHECKING:
    from gway.projects.ocpp.evcs.runner import Runner
    from gway.projects.ocpp.evcs.view import View

BARS = 12
"""Charge points that get a bar of their own; of more than that only the notes are told."""


class Terminal:
    """Writes what simulators do to stderr; use it as a context."""

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._lock = threading.Lock()
        self._progress: Any = None
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> Terminal:
        if is_terminal(self._out):
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._progress = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                TextColumn("{task.fields[text]}"),
                console=Console(file=self._out),
                transient=True,
            )
            self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress is not None:
            self._progress.stop()
            self._progress = None

    def watch(self, runner: Runner, notes: list[str]) -> None:
        """Show what is new; called from the simulators' threads."""
        with self._lock:
            for note in notes:
                self._say(one_line(f"{runner.charger_id}  {note}"))
            if self._progress is not None:
                self._draw(runner.view)

    def _say(self, line: str) -> None:
        if self._progress is not None:
            # `markup` and `highlight` off: what a server sends is no style.
            self._progress.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=self._out, flush=True)

    def _draw(self, view: View) -> None:
        if view.charger_id not in self._tasks:
            if len(self._tasks) >= BARS:
                return
            self._tasks[view.charger_id] = self._progress.add_task(view.charger_id, text="")
        connector = view.connectors[0]
        self._progress.update(
            self._tasks[view.charger_id],
            total=connector.target_wh or 1,
            completed=connector.energy_wh,
            text=describe(view),
        )


def describe(view: View) -> str:
    """Tell in one line what a charge point does."""
    connector = view.connectors[0]
    if connector.started is None:
        return view.status
    battery = "" if connector.soc_percent is None else f"  {connector.soc_percent:.0f} %"
    energy = f"{connector.energy_wh / 1000:.2f} / {connector.target_wh / 1000:.2f} kWh"
    offline = "" if view.link == "online" else f"  ({view.link}, {view.waiting} waiting)"
    return f"{connector.status}  {energy}  {connector.power_w / 1000:.1f} kW{battery}{offline}"
