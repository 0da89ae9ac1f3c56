"""What is known of each charger, written late: a heartbeat costs no commit.

The latest word counts and is in memory at once; the disk follows within a second
(boots, connector states) or ten (when a charger was last seen).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import datetime

from gway.projects.ocpp.data.codec import (
    Params,
    boot_json,
    boot_of,
    connector_of,
    connector_params,
    micros,
    when,
)
from gway.projects.ocpp.facts import Boot, ChargerMemory, ConnectorStatus, Transaction
from gway.projects.sql.database import Database, Row

log = logging.getLogger("ocpp.data")

SEEN_EVERY_S = 10.0
CHARGERS_PER_UNIT = 200  # so that a unit of notes never holds up money for long

STORE_CHARGER = """
INSERT INTO chargers
    (charger_id, registration, boot, booted_at, first_seen_at, last_seen_at, drift_ms)
VALUES (?1, coalesce(?2, ''), ?3, ?4, ?5, ?5, ?6)
ON CONFLICT (charger_id) DO UPDATE SET
    registration = coalesce(?2, registration),
    boot = coalesce(?3, boot),
    booted_at = coalesce(?4, booted_at),
    last_seen_at = max(?5, last_seen_at),
    drift_ms = coalesce(?6, drift_ms)
"""
STORE_CONNECTOR = (
    "INSERT OR REPLACE INTO connectors (charger_id, connector_id, status, error_code, info,"
    " vendor_id, vendor_error_code, time, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Note:
    """The latest words of one charger that the disk may not have yet."""

    __slots__ = (
        "boot",
        "booted_at",
        "changed",
        "clocks",
        "connectors",
        "gone",
        "last_seen_at",
        "registration",
        "stored_s",
    )

    def __init__(self) -> None:
        self.registration: str | None = None
        self.boot: Boot | None = None
        self.booted_at: datetime | None = None
        self.last_seen_at: datetime | None = None
        self.clocks: tuple[datetime, datetime] | None = None  # the server's, the charger's
        self.connectors: dict[int, ConnectorStatus] = {}
        self.changed: dict[int, ConnectorStatus] = {}
        self.stored_s = float("-inf")
        self.gone = False

    def charger_params(self, charger_id: str) -> Params:
        """Give the values for `STORE_CHARGER`."""
        return (
            charger_id,
            self.registration,
            None if self.boot is None else boot_json(self.boot),
            micros(self.booted_at),
            micros(self.last_seen_at),
            self._drift_ms(),
        )

    def _drift_ms(self) -> int | None:
        if self.clocks is None:
            return None
        at, charger_time = self.clocks
        return round((at - charger_time).total_seconds() * 1000)


class Notes:
    """Keeps notes of all chargers and stores those that are due.

    :param clock: seconds that never jump
    """

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._clock = clock
        self._notes: dict[str, Note] = {}
        self._due: dict[str, float] = {}  # charger_id -> when its note is to be stored

    def __len__(self) -> int:
        """Count the chargers in memory."""
        return len(self._notes)

    def seen(self, charger_id: str, charger_time: datetime | None, at: datetime) -> None:
        """Note that a charger spoke (on every message: keep it cheap)."""
        note = self._notes.get(charger_id)
        if note is None:
            note = self._notes[charger_id] = Note()
        note.last_seen_at = at
        if charger_time is not None:
            note.clocks = (at, charger_time)
        if charger_id not in self._due:
            self._due[charger_id] = note.stored_s + SEEN_EVERY_S

    def booted(self, charger_id: str, boot: Boot, registration: str, at: datetime) -> None:
        """Note a boot; it is to be stored at once, a restart of ours must know it."""
        note = self._note(charger_id, at)
        note.boot, note.registration, note.booted_at = boot, registration, at

    def registered(self, charger_id: str, registration: str, at: datetime) -> None:
        """Note that an operator accepted a charger, or took that back."""
        note = self._notes.get(charger_id)
        if note is None:
            note = self._notes[charger_id] = Note()
            note.last_seen_at = at
            note.gone = True
        note.registration = registration
        self._due[charger_id] = float("-inf")

    def connector(self, charger_id: str, status: ConnectorStatus, at: datetime) -> None:
        """Note a connector's status."""
        note = self._note(charger_id, at)
        note.connectors[status.connector_id] = status
        note.changed[status.connector_id] = status

    def connected(self, charger_id: str, at: datetime) -> None:
        """Note that a charger is there."""
        self._note(charger_id, at).gone = False

    def disconnected(self, charger_id: str, at: datetime) -> None:
        """Note that a charger is gone: its note leaves memory once it is stored."""
        self._note(charger_id, at).gone = True

    def forget(self, charger_id: str) -> None:
        """Drop a charger's rows and its note; waits for the commit."""
        self._notes.pop(charger_id, None)
        self._due.pop(charger_id, None)
        unit = self._database.unit()
        for table in ("connectors", "configurations", "chargers"):
            unit.execute(f"DELETE FROM {table} WHERE charger_id = ?", (charger_id,))
        self._database.wait_for(unit)

    def _note(self, charger_id: str, at: datetime) -> Note:
        note = self._notes.get(charger_id)
        if note is None:
            note = self._notes[charger_id] = Note()
        note.last_seen_at = at
        self._due[charger_id] = float("-inf")
        return note

    def store_due(self, *, all_of_them: bool = False) -> None:
        """Hand notes that are due to the writer, some hundred chargers at a time."""
        if not self._due or not (self._database.healthy or all_of_them):
            return
        now = self._clock()
        due = [one for one, at in self._due.items() if all_of_them or at <= now]
        for first in range(0, len(due), CHARGERS_PER_UNIT):
            self._store(due[first : first + CHARGERS_PER_UNIT], now)

    def _store(self, charger_ids: list[str], now: float) -> None:
        unit = self._database.unit()
        taken: dict[str, dict[int, ConnectorStatus]] = {}
        for charger_id in charger_ids:
            note = self._notes[charger_id]
            del self._due[charger_id]
            note.stored_s = now
            taken[charger_id], note.changed = note.changed, {}
            unit.execute(STORE_CHARGER, note.charger_params(charger_id))
            for status in taken[charger_id].values():
                unit.execute(STORE_CONNECTOR, connector_params(charger_id, status))

        def done(error: BaseException | None) -> None:
            if error is None:
                self._forget_gone(charger_ids)
                return
            log.warning("notes of %d chargers could not be stored: %s", len(charger_ids), error)
            for charger_id, changed in taken.items():
                note = self._notes.get(charger_id)
                if note is None:
                    continue  # it was forgotten meanwhile
                note.changed = {**changed, **note.changed}
                self._due.setdefault(charger_id, now + 1.0)

        unit.submit(done)

    def _forget_gone(self, charger_ids: list[str]) -> None:
        for charger_id in charger_ids:
            note = self._notes.get(charger_id)
            if note is not None and note.gone and charger_id not in self._due:
                del self._notes[charger_id]

    def recall(
        self,
        charger_id: str,
        stored: Row | None,
        connector_rows: Iterable[Row],
        open_transactions: tuple[Transaction, ...],
    ) -> ChargerMemory:
        """Tell what disk and memory know of a charger; memory has the later word.

        :param stored: its row, if there is one
        """
        registration, boot, last_seen_at = "", None, None
        if stored is not None:
            registration = stored["registration"]
            boot = boot_of(stored["boot"])
            last_seen_at = when(stored["last_seen_at"])
        connectors = {row["connector_id"]: connector_of(row) for row in connector_rows}
        note = self._notes.get(charger_id)
        if note is not None:
            registration = registration if note.registration is None else note.registration
            boot = note.boot or boot
            last_seen_at = note.last_seen_at or last_seen_at
            connectors.update(note.connectors)
        return ChargerMemory(
            charger_id=charger_id,
            registration=registration,
            boot=boot,
            connectors=tuple(connectors[key] for key in sorted(connectors)),
            open_transactions=open_transactions,
            last_seen_at=last_seen_at,
        )
