"""Rows that nobody waits for, stored together a few times a second.

When a site's chargers all come back at once, a commit for each of them would take a
tenth of the time they have to wait.
"""

from __future__ import annotations

import logging
from typing import Any

from gway.projects.sql.sql import Database

log = logging.getLogger("ocpp.data")

DELAY_S = 0.1


class Later:
    """Keeps the order of rows; each is stored, or fails, alone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._rows: list[tuple[str, tuple[object, ...]]] = []
        self._timer: Any = None
        if database.hub is not None:
            self._timer = database.hub.loop.timer(DELAY_S, ref=False)

    def add(self, sql: str, params: tuple[object, ...]) -> None:
        """Have a row stored soon; at once in a process that does not serve."""
        self._rows.append((sql, params))
        if self._timer is None:
            self.store()
        elif len(self._rows) == 1:
            self._timer.start(self.store, update=True)

    def store(self) -> None:
        """Hand all rows to the writer (also called by the loop: does not raise)."""
        rows, self._rows = self._rows, []
        for sql, params in rows:
            try:
                unit = self._database.unit()
                unit.execute(sql, params)
                unit.submit(_report)
            except Exception as error:  # noqa: BLE001 - one lost row must not lose the others
                _report(error)

    def close(self) -> None:
        """Hand over what is left."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
            self._timer = None
        self.store()


def _report(error: BaseException | None) -> None:
    if error is not None:
        log.error("not stored: %s", error)
