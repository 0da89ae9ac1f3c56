"""One `.dat` file per completed transaction, as real charge points log them.

The database is the truth: a record is made from it after the commit, and made again
it is the same, byte for byte. Only of a transaction whose samples were thinned (see
compact.py) the file has more than the database: what it holds of them stays in it.
"""

from __future__ import annotations

import json
import logging
import os
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any
from urllib.parse import quote

from gway.errors import GwayError, UnknownName
from gway.projects.ocpp.data.codec import iso, micros
from gway.projects.ocpp.data.samples import Taken, in_kilo, unique
from gway.projects.sql.database import Database, rows
from gway.projects.sql.writer import StorageError

log = logging.getLogger("ocpp.data")

CATCH_UP = 1_000  # of the latest transactions, records that a kill left unwritten are made up
AT_ONCE = 50
CLOSE_TIMEOUT_S = 5.0
RETRY_S = 5.0  # after a failure; each one in a row doubles it, up to the longest
LONGEST_RETRY_S = 600.0

PLACE = (
    "SELECT charger_id, connector_id FROM transactions WHERE transaction_id = ? AND state <> 'open'"
)
WAS_THINNED = "SELECT 1 FROM thinned WHERE transaction_id = ?"
SELECT_READINGS = "SELECT at, origin, raw FROM readings WHERE transaction_id = ? ORDER BY sequence"


class Records:
    """Writes records behind the commits, never on the hub."""

    def __init__(self, database: Database, base: Path) -> None:
        self._database = database
        self.base = base
        self.written = 0
        self._wanted: deque[int] = deque()
        self._failed: set[int] = set()
        self._busy = False
        self._retry_s = RETRY_S
        self._retry: Any = None  # the timer of the next try, when the last one failed

    def request(self, *transaction_ids: int) -> None:
        """Have records written soon; without a hub they are written now."""
        self._wanted.extend(transaction_ids)
        if self._busy or not self._wanted:
            return
        self._busy = True
        self._run(self._write_wanted)

    def catch_up(self) -> None:
        """Write what is missing among the latest transactions."""
        self._run(self._catch_up)

    def _run(self, function: Callable[[], None]) -> None:
        if self._database.hub is None:
            function()
        else:
            import gevent

            gevent.spawn(function)

    def _catch_up(self) -> None:
        try:
            found = self.missing(CATCH_UP)
        except (OSError, sqlite3.Error, GwayError) as error:
            log.error("which records are missing could not be found out: %s", error)
            self._later(self.catch_up)
        else:
            self.request(*found)

    def missing(self, latest: int | None = None) -> list[int]:
        """List closed transactions that have no record.

        :param latest: look only at that many, the youngest; None looks at all
        """
        return self._database.read(lambda connection: list(self._missing(connection, latest)))

    def rebuild(self, transaction_ids: Sequence[int] | None = None) -> int:
        """Write records again; gives how many there were.

        :param transaction_ids: which ones; None means all
        """
        if transaction_ids is None:
            transaction_ids = [
                row["transaction_id"]
                for row in self._database.query(
                    "SELECT transaction_id FROM transactions WHERE state <> 'open'"
                    " ORDER BY sequence"
                )
            ]
        return sum(self._database.read(partial(self._write, each)) for each in transaction_ids)

    def content(self, transaction_id: int) -> tuple[str, bytes]:
        """Give the name and the content of a record; one that is missing is made.

        Errors: UnknownName when there is no such transaction, or it is not completed.
        """
        return self._database.read(partial(self._content, transaction_id))

    def _content(self, transaction_id: int, connection: sqlite3.Connection) -> tuple[str, bytes]:
        found = connection.execute(PLACE, (transaction_id,)).fetchone()
        if found is None:
            raise UnknownName(
                f"there is no record of transaction {transaction_id}",
                hint="one is written when a transaction is completed",
            )
        charger_id, connector_id = found
        path = self.path(charger_id, connector_id, transaction_id)
        if not path.exists():
            self._write(transaction_id, connection)
        return path.name, path.read_bytes()

    def make_missing(self, transaction_ids: Iterable[int]) -> None:
        """Write those of some records that are not there.

        Errors: OSError, StorageError; whoever takes samples away must not go on then.
        """
        for each in transaction_ids:
            self._database.read(partial(self._make_missing, each))

    def _make_missing(self, transaction_id: int, connection: sqlite3.Connection) -> None:
        found = connection.execute(PLACE, (transaction_id,)).fetchone()
        if found is None:
            return
        charger_id, connector_id = found
        if not self.path(charger_id, connector_id, transaction_id).exists():
            self._write(transaction_id, connection)

    def path(self, charger_id: str, connector_id: int, transaction_id: int) -> Path:
        """Tell where a record is kept.

        Errors: GwayError for an id that would leave the folder.
        """
        folder = quote(charger_id, safe=" @+,!~$").replace("~", "%7E")
        if folder.startswith("."):
            folder = "%2E" + folder[1:]
        path = self.base / folder / f"{connector_id}_{transaction_id}.dat"
        if not path.resolve().is_relative_to(self.base.resolve()):
            raise GwayError(f"no record can be kept for the charger id {charger_id!r}")
        return path

    def close(self) -> None:
        """Wait until what was requested is written; what failed is made up at the next start."""
        if self._database.hub is None:
            return
        import gevent

        if self._retry is not None:
            self._retry.kill()
        until = time.monotonic() + CLOSE_TIMEOUT_S
        while self._busy and time.monotonic() < until:
            gevent.sleep(0.01)

    def _write_wanted(self) -> None:
        failed: set[int] = set()
        try:
            while self._wanted:
                some = [self._wanted.popleft() for _ in range(min(len(self._wanted), AT_ONCE))]
                try:
                    failed |= self._database.read(partial(self._write_some, some))
                except (StorageError, sqlite3.Error) as error:
                    log.error("%d records were not written: %s", len(some), error)
                    failed |= {*some, *self._wanted}
                    self._wanted.clear()
        finally:
            self._busy = False
        self._failed |= failed
        if failed:
            self._later(self._write_failed)
        elif not self._failed:
            self._retry_s = RETRY_S

    def _write_failed(self) -> None:
        failed, self._failed = self._failed, set()
        self.request(*sorted(failed))

    def _later(self, function: Callable[[], None]) -> None:
        """Try again after a while; without a hub, the next start makes up for it."""
        if self._database.hub is None or self._retry is not None:
            return
        import gevent

        self._retry = gevent.spawn_later(self._retry_s, self._again, function)
        self._retry_s = min(2 * self._retry_s, LONGEST_RETRY_S)

    def _again(self, function: Callable[[], None]) -> None:
        self._retry = None
        function()

    def _write_some(self, transaction_ids: list[int], connection: sqlite3.Connection) -> set[int]:
        """Write some records; gives those that may be written later."""
        failed = set()
        for each in transaction_ids:
            try:
                self._write(each, connection)
            except (OSError, sqlite3.Error, GwayError) as error:
                log.error("the record of transaction %d was not written: %s", each, error)
                if not isinstance(error, GwayError):
                    failed.add(each)
            except Exception:  # what nobody foresaw costs this record alone; a restart tries again
                log.exception("the record of transaction %d cannot be made", each)
        return failed

    def _write(self, transaction_id: int, connection: sqlite3.Connection) -> int:
        """Write one record from the database; 0 when there is nothing to record."""
        found = rows(
            connection,
            "SELECT * FROM transactions WHERE transaction_id = ? AND state <> 'open'",
            (transaction_id,),
        )
        if not found:
            return 0
        readings = rows(connection, SELECT_READINGS, (transaction_id,))
        row = found[0]
        path = self.path(row["charger_id"], row["connector_id"], transaction_id)
        record = build_record(row, unique(readings))
        if connection.execute(WAS_THINNED, (transaction_id,)).fetchone():
            record["MeterValues"] = _with_those_of(path, record["MeterValues"])
        write_whole(path, as_bytes(record))
        self.written += 1
        return 1

    def _missing(self, connection: sqlite3.Connection, latest: int | None) -> Iterator[int]:
        for charger_id, connector_id, transaction_id in connection.execute(
            "SELECT charger_id, connector_id, transaction_id FROM transactions"
            " WHERE state <> 'open' ORDER BY sequence DESC LIMIT ?",
            (-1 if latest is None else latest,),
        ):
            if not self.path(charger_id, connector_id, transaction_id).exists():
                yield transaction_id


def write_whole(path: Path, content: bytes) -> None:
    """Put a file in place whole: after a crash it is the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with open(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as handle:
            handle.write(content)
            handle.flush()
            os.fsync(handle.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _with_those_of(path: Path, values: Any) -> Any:
    """Put the samples of a record that is there with those that the database still has."""
    try:
        known = json.loads(path.read_bytes())["MeterValues"]
        times = {one["timeMs"] for one in known}
    except FileNotFoundError:
        return values
    except (ValueError, KeyError, TypeError) as error:
        log.warning("%s is no record, it is written anew: %s", path, error)
        return values
    more = [one for one in values if one["timeMs"] not in times]
    return sorted([*known, *more], key=lambda one: one["timeMs"]) if more else known


def as_bytes(record: Mapping[str, object]) -> bytes:
    """Give the content of a record's file."""
    return (json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode(
        "utf-8", "replace"
    )


def build_record(transaction: Mapping[str, Any], samples: Iterable[Taken]) -> dict[str, object]:
    """Make the record of a closed transaction.

    `...Time` are whole seconds and `...Ms` milliseconds since 1970, by the server's
    clock; samples have the charger's clock where it could be read. `chargerStartTime`
    and `chargerStopTime` are what the charger said. Registers are Wh.

    :param transaction: its row
    """
    reservation_id = transaction["reservation_id"]
    reason = transaction["stop_reason"]
    return {
        "connectorId": transaction["connector_id"],
        "idTagStart": transaction["id_tag"],
        "meterStart": transaction["meter_start_wh"],
        "reservationId": -1 if reservation_id is None else reservation_id,
        **_clock("startTime", "startTimeStr", "startMs", transaction["started_at"]),
        "transactionId": transaction["transaction_id"],
        "MeterValues": [
            {
                **_clock("timestamp", "timestampStr", "timeMs", micros(time)),
                "sampledValue": [_sampled(taken) for taken in group],
            }
            for time, group in groupby(samples, key=lambda taken: taken.time)
        ],
        "idTagStop": transaction["stop_id_tag"] or "",
        "meterStop": transaction["meter_stop_wh"],
        **_clock("stopTime", "stopTimeStr", "stopMs", transaction["stopped_at"]),
        "reason": reason,
        "reasonStr": reason,
        "chargerStartTime": transaction["start_time_raw"],
        "chargerStopTime": transaction["stop_time_raw"],
        "energyWh": transaction["energy_wh"],
        "energySource": transaction["energy_source"],
    }


def _clock(seconds: str, text: str, millis: str, value: int | None) -> dict[str, object]:
    if value is None:
        return {seconds: None, text: None, millis: None}
    return {seconds: value // 1_000_000, text: iso(value), millis: value // 1_000}


def _sampled(taken: Taken) -> dict[str, object]:
    sample = taken.sample
    value, unit = in_kilo(sample)
    entry: dict[str, object] = {
        "value": value,
        "unit": unit,
        "measurand": sample.measurand,
        "context": sample.context,
    }
    if sample.phase:
        entry["phase"] = sample.phase
    if sample.location != "Outlet":
        entry["location"] = sample.location
    return entry
