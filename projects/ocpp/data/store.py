"""Subscribes to the facts of OCPP, keeps them, and answers for what was kept."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gway.projects.ocpp.data import codec, configurations, history, hours, queries, schema
from gway.projects.ocpp.data.closings import Closings
from gway.projects.ocpp.data.ids import TransactionIds
from gway.projects.ocpp.data.later import Later
from gway.projects.ocpp.data.notes import Notes
from gway.projects.ocpp.data.records import Records
from gway.projects.ocpp.data.repeats import LastReadings
from gway.projects.ocpp.facts import (
    Boot,
    ChargerConfiguration,
    ChargerMemory,
    Command,
    ConnectorStatus,
    ErrorReport,
    Link,
    Orphan,
    Purpose,
    Reading,
    TagDecision,
    Transaction,
)
from gway.projects.ocpp.receipts import Receipt
from gway.projects.sql.database import Row
from gway.projects.sql.sql import Database, Databases, Unit

if TYPE_CHECKING:
    from gway.resolver import Gateway

log = logging.getLogger("ocpp.data")

TICK_S = 1.0
LATEST = 100  # transactions of a charger among which a stop without an id is looked for
READ_AT_ONCE = 500  # chargers in one turn of the thread pool
RECALLED_AT_ONCE = 50  # chargers put together in one turn of the hub: a few milliseconds

INSERT_ORPHAN = (
    "INSERT INTO orphans (charger_id, action, reason, payload, at) VALUES (?, ?, ?, ?, ?)"
)
INSERT_ERROR = (
    "INSERT INTO errors (charger_id, connector_id, error_code, status, info, vendor_id,"
    " vendor_error_code, time, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_CONNECTION = (
    "INSERT INTO connections (charger_id, link_id, remote_addr, subprotocol, connected_at)"
    " VALUES (?, ?, ?, ?, ?)"
)
END_CONNECTION = (
    "UPDATE connections SET disconnected_at = ?, code = ?, reason = ?"
    " WHERE charger_id = ? AND link_id = ? AND connected_at = ? AND disconnected_at IS NULL"
)
# Connections of a process that ended without a word: when they ended is not known.
END_LOST_CONNECTIONS = (
    "UPDATE connections SET code = 1006, reason = 'lost when the server ended'"
    " WHERE code IS NULL AND connected_at < ?"
)
INSERT_BOOT = "INSERT INTO boots (charger_id, registration, boot, at) VALUES (?, ?, ?, ?)"
INSERT_TAG_CHECK = (
    "INSERT INTO tag_checks (charger_id, id_tag, tag_key, purpose, status, reason, source, at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
INSERT_NOTICE = "INSERT INTO notices (charger_id, kind, content, at) VALUES (?, ?, ?, ?)"
STORE_COMMAND = (
    "INSERT OR REPLACE INTO commands (command_id, charger_id, action, payload, state, queued_at,"
    " sent_at, answered_at, answer, status, error_code, error, effect, late)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)


class Store:
    """The memory of the central system: one database, one writer."""

    def __init__(self, gateway: Gateway) -> None:
        databases = gateway.service(Databases)
        self.database: Database = databases.open(str(gateway.settings.get("OCPP_DB")))
        self.database.migrate(schema.COMPONENT, schema.STEPS)
        self.ids = TransactionIds(self.database)
        self.notes = Notes(self.database)
        self.records = Records(
            self.database, gateway.workspace.work("ocpp", "records", parents=False)
        )
        self.last_readings = LastReadings()
        self.later = Later(self.database)
        self.closings = Closings(self.database, self.records.request)
        self._timer: Any = None
        if self.database.hub is not None:
            self._timer = self.database.hub.loop.timer(TICK_S, TICK_S)
            self._timer.start(self._tick)

    def close(self) -> None:
        """Store what is only in memory; the database itself is closed by its owner."""
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self.later.close()
        self.closings.store_due(all_of_them=True)
        self.notes.store_due(all_of_them=True)
        self.database.flush()
        if self.closings:
            log.error("%d closings are lost: the disk does not take them", len(self.closings))
        self.records.close()

    def _tick(self) -> None:
        try:
            self._store_due()
        except Exception:  # a loop callback must not raise
            log.exception("what is due could not be stored")

    def _store_due(self) -> None:
        self.closings.store_due()
        self.notes.store_due()

    # --- money: durable before the charger is answered ------------------------

    def transaction_started(self, transaction: Transaction, receipt: Receipt) -> None:
        """Keep a new transaction."""
        with receipt.required():
            unit = self._unit(receipt)
            unit.execute(codec.INSERT_TRANSACTION, codec.transaction_params(transaction))

    def meter_values_received(
        self, reading: Reading, transaction: Transaction | None, receipt: Receipt
    ) -> None:
        """Keep a reading; the transaction's own row needs no change by it."""
        with receipt.required():
            sql = codec.INSERT_READING
            if not self.last_readings.differs(reading):
                sql = codec.INSERT_READING_ONCE
            unit = self._unit(receipt)
            unit.execute(sql, codec.reading_params(reading, transaction))
            if transaction is not None and transaction.state != "open":
                unit.call(partial(hours.store, transaction_id=transaction.transaction_id))

    def transaction_stopped(
        self, transaction: Transaction, reading: Reading | None, receipt: Receipt
    ) -> None:
        """Keep the end of a transaction, and write its record after the commit."""
        with receipt.required():
            unit = self._unit(receipt)
            self._bring_up_to_date(unit, transaction)
            if reading is not None:
                unit.execute(codec.INSERT_READING_ONCE, codec.reading_params(reading, transaction))
            unit.call(partial(hours.store, transaction_id=transaction.transaction_id))
            self.last_readings.forget(transaction.transaction_id)
            self._record_after(unit, transaction)

    def transaction_revised(self, transaction: Transaction, at: datetime, receipt: Receipt) -> None:
        """Keep a correction and when it came, and write the record again if there is one."""
        with receipt.required():
            unit = self._unit(receipt)
            self._bring_up_to_date(unit, transaction)
            unit.execute(history.KEEP_REVISION, history.revision_params(transaction, at))
            unit.call(partial(hours.store, transaction_id=transaction.transaction_id))
            if transaction.state != "open":
                self._record_after(unit, transaction)

    def orphan_kept(self, orphan: Orphan, receipt: Receipt) -> None:
        """Keep a money message that belongs to no transaction."""
        with receipt.required():
            self._unit(receipt).execute(INSERT_ORPHAN, codec.orphan_params(orphan))

    def transaction_closed(self, transaction: Transaction, why: str, at: datetime) -> None:
        """Keep that we closed a transaction, with the reason; tried until it is stored."""
        self.last_readings.forget(transaction.transaction_id)
        self.closings.keep(transaction, why, at)

    def _unit(self, receipt: Receipt) -> Unit:
        return cast("Unit", receipt.unit(self.database))

    def _bring_up_to_date(self, unit: Unit, transaction: Transaction) -> None:
        self.closings.overtake(transaction.transaction_id)
        for sql, params in codec.store_transaction(transaction):
            unit.execute(sql, params)

    def _record_after(self, unit: Unit, transaction: Transaction) -> None:
        transaction_id = transaction.transaction_id
        unit.on_commit(lambda: self.records.request(transaction_id))

    # --- the rest: stored soon, nobody waits for it ---------------------------

    def charger_connected(self, link: Link, at: datetime) -> None:
        """Keep a connection."""
        self.notes.connected(link.charger_id, at)
        self._soon(
            INSERT_CONNECTION,
            link.charger_id,
            link.link_id,
            link.remote_addr,
            link.subprotocol,
            codec.micros(link.connected_at),
        )

    def charger_disconnected(self, link: Link, code: int, reason: str, at: datetime) -> None:
        """Keep the end of a connection."""
        self.notes.disconnected(link.charger_id, at)
        self._soon(
            END_CONNECTION,
            codec.micros(at),
            code,
            codec.clean(reason),
            link.charger_id,
            link.link_id,
            codec.micros(link.connected_at),
        )

    def charger_booted(self, charger_id: str, boot: Boot, registration: str, at: datetime) -> None:
        """Keep a boot and what was answered: acceptance survives restarts."""
        self.notes.booted(charger_id, boot, registration, at)
        self._soon(INSERT_BOOT, charger_id, registration, codec.boot_json(boot), codec.micros(at))
        self.notes.store_due()

    def registration_changed(self, charger_id: str, registration: str, at: datetime) -> None:
        """Keep what an operator decided about a charger."""
        self.notes.registered(charger_id, registration, at)
        self.notes.store_due()

    def forget_charger(self, charger_id: str) -> None:
        """Drop what is known of a charger that is gone; its transactions stay."""
        self.later.store()  # what waits there must not come back after it
        self.notes.forget(charger_id)

    def charger_seen(self, charger_id: str, charger_time: datetime | None, at: datetime) -> None:
        """Note that a charger spoke."""
        self.notes.seen(charger_id, charger_time, at)
        if self._timer is None:
            self._store_due()

    def connector_changed(self, charger_id: str, status: ConnectorStatus, at: datetime) -> None:
        """Note a connector's status, and keep that it changed."""
        self.notes.connector(charger_id, status, at)
        self._soon(history.KEEP_STATUS, *history.status_params(charger_id, status, at))
        if self._timer is None:
            self._store_due()

    def configuration_told(self, charger_id: str, configuration: ChargerConfiguration) -> None:
        """Keep what is known of a charger's configuration, in place of what was."""
        self._soon(configurations.KEEP, *configurations.params(charger_id, configuration))

    def error_reported(self, report: ErrorReport) -> None:
        """Keep a fault."""
        self._soon(INSERT_ERROR, *codec.error_params(report))

    def tag_judged(
        self, charger_id: str, id_tag: str, purpose: Purpose, decision: TagDecision, at: datetime
    ) -> None:
        """Keep why a tag was accepted or refused."""
        self._soon(
            INSERT_TAG_CHECK,
            charger_id,
            codec.clean(id_tag),
            codec.tag_key(id_tag),
            str(purpose),
            str(decision.status),
            codec.clean(decision.reason),
            decision.source,
            codec.micros(at),
        )

    def command_changed(self, command: Command) -> None:
        """Keep how a command goes; keys and passwords in it are not kept."""
        self._soon(STORE_COMMAND, *codec.command_params(command))

    def noticed(
        self, charger_id: str, kind: str, content: Mapping[str, object], at: datetime
    ) -> None:
        """Keep a message that has no table of its own."""
        self._soon(INSERT_NOTICE, charger_id, kind, codec.to_json(content), codec.micros(at))

    def server_started(self, at: datetime) -> None:
        """Tidy up after a process that ended without a word."""
        self._soon(END_LOST_CONNECTIONS, codec.micros(at))
        self.records.catch_up()

    def _soon(self, sql: str, *params: object) -> None:
        self.later.add(sql, params)

    # --- what is asked of it --------------------------------------------------

    def recall_charger(self, charger_id: str) -> ChargerMemory:
        """Tell what is known of a charger."""
        stored, connectors, open_rows = self.database.peek(
            lambda connection: queries.charger(connection, charger_id)
        )
        return self.notes.recall(charger_id, stored, connectors, self._open(open_rows))

    def recall_chargers(self, limit: int) -> list[ChargerMemory]:
        """Tell what is known of all chargers, those heard of last first.

        Read and put together some at a time: other greenlets go on in between.
        """
        read = self.database.read
        latest = read(lambda connection: queries.latest_chargers(connection, limit))
        memories: list[ChargerMemory] = []
        for first in range(0, len(latest), READ_AT_ONCE):
            some = latest[first : first + READ_AT_ONCE]
            for known in read(partial(queries.chargers, charger_ids=some)):
                memories.append(self._memory(*known))
                if not len(memories) % RECALLED_AT_ONCE:
                    self._breathe()
        return memories

    def _memory(self, stored: Row, connectors: list[Row], open_rows: list[Row]) -> ChargerMemory:
        return self.notes.recall(stored["charger_id"], stored, connectors, self._open(open_rows))

    def _breathe(self) -> None:
        if self.database.hub is not None:
            import gevent

            gevent.sleep(0)

    def recall_configuration(self, charger_id: str) -> ChargerConfiguration | None:
        """Tell what a charger told of its configuration."""
        return configurations.recall(self.database, charger_id)

    def recall_transaction(self, transaction_id: int) -> Transaction | None:
        """Find a transaction by its id."""
        if not -codec.INT64 <= transaction_id < codec.INT64:
            return None
        return self._first("transaction_id = ?", transaction_id)

    def recall_start(
        self,
        charger_id: str,
        connector_id: int,
        id_tag: str,
        meter_start_wh: int,
        start_time_raw: str,
    ) -> Transaction | None:
        """Find the transaction that these very words began, the tag in any spelling."""
        return self._first(
            "charger_id = ? AND connector_id = ? AND start_time_raw = ?"
            " AND meter_start_wh = ? AND tag_key = ?",
            charger_id,
            codec.whole(connector_id),
            codec.clean(start_time_raw),
            codec.whole(meter_start_wh),
            codec.tag_key(id_tag),
        )

    def recall_stop(
        self, charger_id: str, meter_stop_wh: int, stop_time_raw: str
    ) -> Transaction | None:
        """Find the transaction that these very words ended, among a charger's latest."""
        return self._first(
            "transaction_id IN (SELECT transaction_id FROM transactions WHERE charger_id = ?"
            " ORDER BY started_at DESC LIMIT ?) AND state = 'stopped'"
            " AND meter_stop_wh = ? AND stop_time_raw = ?",
            charger_id,
            LATEST,
            codec.whole(meter_stop_wh),
            codec.clean(stop_time_raw),
        )

    def open_transactions(self, id_tag: str | None, charger_id: str | None) -> list[Transaction]:
        """List the open transactions of a tag, of a charger, of both, or all."""
        tag_key = None if id_tag is None else codec.tag_key(id_tag)
        return list(
            self._open(
                self.database.peek(
                    lambda connection: queries.open_transactions(connection, charger_id, tag_key)
                )
            )
        )

    def _open(self, found: Iterable[Row]) -> tuple[Transaction, ...]:
        read = (self.closings.latest(codec.transaction_of(row)) for row in found)
        return tuple(one for one in read if one.state == "open")

    def _first(self, where: str, *params: object) -> Transaction | None:
        found = self.database.peek(
            lambda connection: queries.transactions(connection, where + " LIMIT 1", params)
        )
        return self.closings.latest(codec.transaction_of(found[0])) if found else None
