"""The proxy's memory in the same database as the transactions, so one commit holds both."""

from __future__ import annotations

import logging
import secrets
import sqlite3
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import msgspec

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.data.codec import boot_of, micros, tag_key
from gway.projects.ocpp.proxy import payloads, schema, statements
from gway.projects.ocpp.proxy.ports import (
    BootAccepted,
    Change,
    Dead,
    Delivered,
    Done,
    Expected,
    Failed,
    Finding,
    Latest,
    LatestDelivered,
    Registration,
    ReservationGiven,
    Row,
    Sent,
    StopAsked,
    TagWord,
    Unstorable,
)
from gway.projects.sql.sql import Database, StorageError, Unit

log = logging.getLogger("ocpp.proxy")

FIRST_RESERVATION = 2**30  # ours for the remote's; operators give small ones
STOP = "StopTransaction"
BOOT = "Boot"
BOOT_NAMES = (
    ("vendor", "chargePointVendor"),
    ("model", "chargePointModel"),
    ("serial", "chargePointSerialNumber"),
    ("firmware", "firmwareVersion"),
    ("iccid", "iccid"),
    ("imsi", "imsi"),
    ("meter_type", "meterType"),
    ("meter_serial", "meterSerialNumber"),
)


class Store:
    """What waits for one remote, and what is known of it.

    :param remote_id: of the remote in `proxy_remotes`
    :param token: begins the message ids of this remote's rows
    :ivar leaving: chargers to be forgotten of which the remote has yet to hear
    :ivar settled: called with one of these when something of it was settled; also by the loop
    """

    def __init__(self, database: Database, remote_id: int, token: str, url: str) -> None:
        self.database = database
        self.remote_id = remote_id
        self.url = url
        self._token = token
        self._given: dict[str, int] = {}
        self.leaving: set[str] = set()
        self.settled: Callable[[str], None] = _nobody

    # --- into the outbox, within the unit of a domain row -----------------------

    def put(
        self,
        unit: Unit,
        charger_id: str,
        local_tx: int | None,
        action: str,
        payload: bytes,
        at: datetime,
        message_id: str = "",
    ) -> None:
        """Queue a message; one that is told again makes no second row.

        :param message_id: the charger's, of a message that may well say the same as another
        """
        digest = payloads.digest(action, payload, message_id)
        is_samples = action == "MeterValues"
        periodic = is_samples and payloads.is_periodic(payload)
        sql = statements.PUT_SAMPLES if is_samples else statements.PUT
        row = (charger_id, local_tx, action, payload, digest, periodic, micros(at))
        unit.execute(sql, row)
        if action == STOP:
            unit.execute(statements.ENDED, (self.remote_id, charger_id, local_tx))

    def put_latest(
        self, unit: Unit, charger_id: str, kind: str, action: str, payload: bytes
    ) -> None:
        """Note a message of which only the newest counts."""
        if kind == BOOT:
            unit.execute(statements.BOOT_CAME, (self.remote_id, charger_id))
        unit.execute(statements.PUT_LATEST, (charger_id, kind, action, payload))

    def forget(self, charger_id: str, *, only_leaving: bool = False) -> bool:
        """Drop what is known of a charger, now or when the remote has heard all of it.

        What waits, and what is dead and may be sent again, needs what is known.
        Until then it is among those that are `leaving`.

        :param only_leaving: do nothing unless it is among them
        Gives whether nothing is known of it any more.
        """

        def change(connection: sqlite3.Connection) -> bool:
            if only_leaving and not connection.execute(statements.IS_LEAVING, row).fetchone():
                return False
            if connection.execute(statements.UNTOLD, row).fetchone()[0]:
                connection.execute(statements.LEAVES, row)
                return False
            for sql in statements.OF_CHARGER:
                connection.execute(sql, row)
            return True

        row = (charger_id,)
        if not only_leaving:
            self.leaving.add(charger_id)
        is_gone = self.database.transact(change)
        if is_gone:
            self.leaving.discard(charger_id)
        return is_gone

    def stays(self, charger_id: str) -> None:
        """Note that a charger that was to be forgotten is here again."""
        if charger_id in self.leaving:
            self.leaving.discard(charger_id)
            unit = self.database.unit()
            unit.execute(statements.STAYS, (charger_id,))
            unit.submit(partial(_noted, charger_id))

    # --- what the core reads ----------------------------------------------------

    def window(self, charger_id: str, limit: int) -> list[Row]:
        """Give the first rows that wait, oldest first."""
        found = self._peek(statements.WINDOW, charger_id, limit)
        return [
            Row(
                sequence=one[0],
                charger_id=charger_id,
                local_tx=one[1],
                action=one[2],
                payload=one[3],
                message_id=self.message_id(one[0]),
                attempts=one[4],
                last_error=one[5],
            )
            for one in found
        ]

    def message_id(self, sequence: int) -> str:
        """Give the id under which a row goes over the wire, for ever."""
        return f"{self._token}-{sequence:x}"

    def latest(self, charger_id: str) -> list[Latest]:
        """Give the Boot, and what else of the latest the remote does not know yet."""
        sql = (
            "SELECT kind, action, payload, version, after FROM proxy_latest"
            " WHERE charger_id = ? AND (kind = 'Boot' OR delivered < version)"
        )
        known = [Latest(*one) for one in self._peek(sql, charger_id)]
        if not any(one.kind == "Boot" for one in known):
            known.extend(self._boot_before(charger_id))
        return known

    def _boot_before(self, charger_id: str) -> list[Latest]:
        """Give what a charger said of itself before there was a proxy.

        It may be connected for months before it boots again (SPEC-J 5.4).
        """
        sql = "SELECT boot FROM chargers WHERE charger_id = ? AND boot IS NOT NULL"
        found = self._peek(sql, charger_id) if self._has_chargers() else []
        boot = boot_of(found[0][0]) if found else None
        if boot is None:
            return []
        names = {wire: getattr(boot, name) for name, wire in BOOT_NAMES}
        payload = msgspec.json.encode({name: text for name, text in names.items() if text})
        return [Latest("Boot", "BootNotification", payload, 0)]

    def _has_chargers(self) -> bool:
        sql = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'chargers'"
        return self._one(sql) is not None

    def registration(self, charger_id: str) -> Registration:
        """Tell which Boot the remote accepted."""
        sql = (
            "SELECT boot_digest, interval_s, sent FROM proxy_chargers"
            " WHERE remote_id = ? AND charger_id = ?"
        )
        found = self._peek(sql, self.remote_id, charger_id)
        return Registration(*found[0]) if found else Registration()

    def remote_tx(self, charger_id: str, local_tx: int) -> int | None:
        """Give the remote's id of a transaction."""
        sql = "SELECT remote_tx FROM txmap WHERE remote_id = ? AND charger_id = ? AND local_tx = ?"
        return self._one(sql, self.remote_id, charger_id, local_tx)

    def local_tx(self, charger_id: str, remote_tx: int) -> int | None:
        """Give our id of a transaction of the remote; the newest, if it gave an id twice.

        Some give 0 or -1 with every refusal: such a number means a transaction only if it
        was given once.
        """
        sql = (
            "SELECT local_tx FROM txmap WHERE remote_id = ? AND charger_id = ? AND remote_tx = ?"
            " ORDER BY map_id DESC LIMIT 2"
        )
        found = self._peek(sql, self.remote_id, charger_id, remote_tx)
        if not found or (remote_tx <= 0 and len(found) > 1):
            return None
        local_tx: int = found[0][0]
        return local_tx

    def start_is_dead(self, charger_id: str, local_tx: int) -> bool:
        """Tell whether the start of a transaction is a dead letter."""
        sql = (
            "SELECT 1 FROM outbox WHERE charger_id = ? AND local_tx = ? AND state = 1"
            " AND action = 'StartTransaction' LIMIT 1"
        )
        return self._one(sql, charger_id, local_tx) is not None

    def stops_wanted(self, charger_id: str) -> list[int]:
        """List the transactions that the remote refused and that still charge, by our ids."""
        sql = (
            "SELECT local_tx FROM txmap WHERE remote_id = ? AND charger_id = ? AND stop_wanted = 1"
        )
        return [one[0] for one in self._peek(sql, self.remote_id, charger_id)]

    def local_reservation(self, charger_id: str, remote_id: int) -> int | None:
        """Give our id of a reservation of the remote."""
        sql = (
            "SELECT local_reservation FROM proxy_reservations"
            " WHERE remote_id = ? AND charger_id = ? AND remote_reservation = ?"
        )
        return self._one(sql, self.remote_id, charger_id, remote_id)

    def remote_reservation(self, charger_id: str, local_id: int) -> int | None:
        """Give the remote's id of a reservation."""
        sql = (
            "SELECT remote_reservation FROM proxy_reservations"
            " WHERE remote_id = ? AND charger_id = ? AND local_reservation = ?"
        )
        return self._one(sql, self.remote_id, charger_id, local_id)

    def next_reservation(self, charger_id: str) -> int:
        """Give an id for a reservation that this charger was never given."""
        sql = "SELECT max(local_reservation) FROM proxy_reservations WHERE charger_id = ?"
        newest = self._one(sql, charger_id) or FIRST_RESERVATION - 1
        given = self._given[charger_id] = max(newest, self._given.get(charger_id, 0)) + 1
        return given

    def refused(self, id_tag: str) -> str:
        """Give the status with which the remote refused a tag, "" when it did not."""
        sql = "SELECT status FROM proxy_tags WHERE remote_id = ? AND tag_key = ?"
        found = self._peek(sql, self.remote_id, tag_key(id_tag))
        return found[0][0] if found else ""

    def chargers_waiting(self) -> list[str]:
        """List the chargers of which something waits."""
        sql = "SELECT DISTINCT charger_id FROM outbox WHERE state = 0 ORDER BY charger_id"
        return [one[0] for one in self._peek(sql)]

    # --- what the core commits --------------------------------------------------

    def commit(self, charger_id: str, changes: Sequence[Change], done: Done) -> None:
        """Store all of `changes` or none."""
        unit = self.database.unit()
        now = micros(datetime.now(UTC))
        for change in changes:
            self._write(unit, charger_id, change, now)
        if charger_id in self.leaving:
            unit.on_commit(partial(self.settled, charger_id))
        unit.submit(partial(_outcome, done))

    def _write(self, unit: Unit, charger_id: str, change: Change, now: int | None) -> None:
        remote_id, execute = self.remote_id, unit.execute
        if isinstance(change, Delivered):
            execute(statements.FORGET_SENT, (charger_id,))
            execute(statements.KEEP_SENT, (change.row.sequence,))
            if change.remote_tx is not None:
                map_row = (charger_id, change.row.local_tx, change.remote_tx, change.stop_wanted)
                execute(statements.MAP, (remote_id, *map_row, now))
        elif isinstance(change, Sent):
            execute(statements.SENT, (remote_id, charger_id, change.sequence))
        elif isinstance(change, Failed):
            execute(statements.NOT_SENT, (remote_id, charger_id, change.sequence))
            execute(statements.FAILED, (change.attempts, change.error, now, change.sequence))
            if change.resent:
                execute(statements.DUPLICATE, (remote_id, charger_id))
        elif isinstance(change, Dead):
            execute(statements.NOT_SENT, (remote_id, charger_id, change.row.sequence))
            execute(statements.BURY, (change.error, now, change.row.sequence))
            if change.followers and change.row.local_tx is not None:
                words = change.error_of_followers
                execute(statements.BURY_FOLLOWERS, (words, now, charger_id, change.row.local_tx))
        elif isinstance(change, LatestDelivered):
            execute(
                "UPDATE proxy_latest SET delivered = ? WHERE charger_id = ? AND kind = ?",
                (change.version, charger_id, change.kind),
            )
        else:
            self._write_rare(unit, charger_id, change, now)

    def _write_rare(
        self,
        unit: Unit,
        charger_id: str,
        change: Expected | BootAccepted | TagWord | StopAsked | ReservationGiven | Finding,
        now: int | None,
    ) -> None:
        remote_id, execute = self.remote_id, unit.execute
        if isinstance(change, Expected):
            if change.kind == BOOT:
                execute(statements.EXPECT_BOOT, (change.expected, remote_id, charger_id))
            else:
                execute(statements.EXPECT, (change.expected, charger_id, change.kind))
        elif isinstance(change, BootAccepted):
            execute(statements.BOOT, (remote_id, charger_id, change.digest, change.interval_s))
        elif isinstance(change, TagWord):
            key = tag_key(change.id_tag)
            if change.status == "Accepted":
                execute(
                    "DELETE FROM proxy_tags WHERE remote_id = ? AND tag_key = ?", (remote_id, key)
                )
            else:
                execute(
                    "INSERT OR REPLACE INTO proxy_tags (remote_id, tag_key, id_tag, status, at)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (remote_id, key, change.id_tag, change.status, now),
                )
        elif isinstance(change, StopAsked):
            execute(statements.ENDED, (remote_id, charger_id, change.local_tx))
        elif isinstance(change, ReservationGiven):
            execute(
                "INSERT OR IGNORE INTO proxy_reservations (remote_id, charger_id,"
                " remote_reservation, local_reservation) VALUES (?, ?, ?, ?)",
                (remote_id, charger_id, change.remote_id, change.local_id),
            )
        else:
            known = (remote_id, charger_id, change.kind, change.local_tx)
            execute(statements.FORGET_FINDING, known)
            found = (remote_id, charger_id, change.kind, change.text, change.local_tx, now)
            execute(statements.FINDING, found)

    def _peek(self, sql: str, *params: object) -> list[tuple[Any, ...]]:
        def read(connection: sqlite3.Connection) -> list[tuple[Any, ...]]:
            return connection.execute(sql, params).fetchall()

        return self.database.peek(read)

    def _one(self, sql: str, *params: object) -> int | None:
        found = self._peek(sql, *params)
        return found[0][0] if found else None


def _nobody(charger_id: str) -> None:
    """Tell nobody: there is no intake yet."""


def _noted(charger_id: str, error: BaseException | None) -> None:
    if error is not None:
        log.error("%s: that it is here again was not stored: %s", charger_id, error)


def _outcome(done: Done, error: BaseException | None) -> None:
    """Tell the storage's errors as they are, and all others for what they are."""
    if error is not None and not isinstance(error, StorageError):
        log.error("it cannot be stored: %s", error)
        told = Unstorable(str(error))
        told.__cause__ = error
        error = told
    done(error)


def address(url: str) -> str:
    """Give what makes two addresses the same remote: no credentials, no trailing slash."""
    parts = urlsplit(url.strip())
    if parts.scheme not in ("ws", "wss") or not parts.hostname:
        raise UsageError(f"{url!r} is no address of a central system", "ws://HOST:PORT/PATH")
    port = parts.port or (443 if parts.scheme == "wss" else 80)
    return f"{parts.scheme}://{parts.hostname}:{port}{parts.path.rstrip('/')}"


def open_store(database: Database, url: str, *, keep_queue: bool = False) -> Store:
    """Open the proxy's memory for a remote.

    :param url: where the remote is, without the charger's id
    :param keep_queue: send what waits for another remote to this one
    Errors: GwayError when messages wait for another remote.
    """
    database.migrate(schema.COMPONENT, schema.STEPS)
    place = address(url)

    def adopt(connection: sqlite3.Connection) -> tuple[int, str]:
        now = connection.execute("SELECT url FROM proxy_remotes WHERE current = 1").fetchone()
        if now is not None and now[0] != place:
            _check_queue(connection, now[0], place, keep_queue)
            connection.execute("UPDATE proxy_remotes SET current = 0")
            connection.execute("UPDATE proxy_latest SET delivered = 0")
        connection.execute(
            "INSERT INTO proxy_remotes (url, token, current, added_at) VALUES (?, ?, 1, ?)"
            " ON CONFLICT (url) DO UPDATE SET current = 1",
            (place, secrets.token_hex(4), micros(datetime.now(UTC))),
        )
        found = connection.execute("SELECT remote_id, token FROM proxy_remotes WHERE current = 1")
        remote_id, token = found.fetchone()
        return remote_id, token

    remote_id, token = database.transact(adopt)
    store = Store(database, remote_id, token, place)
    leaving = database.query("SELECT charger_id FROM proxy_leaving")
    store.leaving.update(row["charger_id"] for row in leaving)
    return store


def _check_queue(connection: sqlite3.Connection, old: str, new: str, keep: bool) -> None:
    waiting = connection.execute("SELECT count(*) FROM outbox WHERE state = 0").fetchone()[0]
    if waiting and not keep:
        raise GwayError(
            f"{waiting} messages wait for {old}, the remote is now {new}",
            hint="let them reach the old remote first, or keep the queue with --keep-queue",
        )
