"""Named times at which something is due; pure, the clock is handed in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

Due = Callable[[datetime], None]


FAR_S = 10.0**8
"""No timer is further away than three years: sums of times stay within the calendar."""


class Timers:
    """A handful of named one-shot timers."""

    def __init__(self) -> None:
        self._due: dict[str, tuple[datetime, Due]] = {}

    def set(self, name: str, now: datetime, seconds: float, due: Due) -> None:
        """Let `due` be called in `seconds`; a timer of that name is replaced."""
        self._due[name] = (now + timedelta(seconds=min(seconds, FAR_S)), due)

    def cancel(self, name: str) -> None:
        """Forget a timer, if there is one of that name."""
        self._due.pop(name, None)

    def has(self, name: str) -> bool:
        """Tell whether a timer of that name runs."""
        return name in self._due

    def wake_at(self) -> datetime | None:
        """Give the time of the next one."""
        return min((at for at, _ in self._due.values()), default=None)

    def run(self, now: datetime) -> None:
        """Call what is due, oldest first, each at most once."""
        ready = sorted(
            (item for item in self._due.items() if item[1][0] <= now), key=lambda item: item[1][0]
        )
        for name, entry in ready:
            # One of the earlier calls may have cancelled or renewed this one.
            if self._due.get(name) is entry:
                del self._due[name]
                entry[1](now)
