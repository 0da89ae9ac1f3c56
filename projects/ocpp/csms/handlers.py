"""What the central system does with each message of a charge point (SPEC 4)."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from gway.projects.ocpp.csms.charger import ACCEPTED, Charger
from gway.projects.ocpp.csms.effects import Event
from gway.projects.ocpp.csms.money import Outcome
from gway.projects.ocpp.csms.wording import (
    boot_of,
    connector_status,
    meter_words,
    start_words,
    stop_words,
    tag_info,
    tag_info_of,
)
from gway.projects.ocpp.facts import (
    ConnectorStatus,
    ErrorReport,
    Orphan,
    Purpose,
    SecurityEvent,
    TagStatus,
    Transaction,
)
from gway.projects.ocpp.messages import payloads_charger as p
from gway.projects.ocpp.messages.catalogue import DURABLE_ACTIONS, SERVED
from gway.projects.ocpp.messages.shapes import IdTagInfo, Payload
from gway.projects.ocpp.messages.times import format_time, parse_time
from gway.projects.ocpp.receipts import Receipt
from gway.projects.ocpp.transactions.rules import Flag, is_historical
from gway.projects.ocpp.transactions.words import Metered, StopKind, Stopped

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Plain = Callable[[Charger, Any, datetime], Payload]
Money = Callable[[Charger, Any, datetime, msgspec.Raw, tuple[str, ...]], Outcome]

_STOPPED = p.StopTransactionConf()
_METERED = p.MeterValuesConf()
_NOTED = p.StatusNotificationConf()
_EVENT_KEPT = p.SecurityEventNotificationConf()
_KEPT: dict[str, Payload] = {
    "MeterValues": _METERED,
    "StopTransaction": _STOPPED,
    "SecurityEventNotification": _EVENT_KEPT,
}


class Handlers:
    """One `on_<action>` per message, found by its name.

    `plain` are answered at once. `money` are answered when what their outcome
    stores is on disk.
    """

    def __init__(self, central: CentralSystem) -> None:
        self.central = central
        self.plain: dict[str, Plain] = {
            action: getattr(self, handler_name(action)) for action in SERVED - DURABLE_ACTIONS
        }
        self.money: dict[str, Money] = {
            action: getattr(self, handler_name(action)) for action in DURABLE_ACTIONS
        }

    # --- plain ---

    def on_boot_notification(
        self, charger: Charger, boot: p.BootNotification, at: datetime
    ) -> p.BootNotificationConf:
        """Register a charger; what it was charging is doubted until it says more."""
        options = self.central.options
        charger.boot = boot_of(boot)
        charger.registration = charger.registration or ACCEPTED
        self.central.ledger(charger).booted()
        registration = charger.registration
        self.central.emit(
            "ocpp_charger_booted",
            charger_id=charger.charger_id,
            boot=charger.boot,
            registration=registration,
            at=at,
        )
        self.central.commands.note_restart(charger, at)
        self.central.observe(charger, Event("booted"), at)
        accepted = registration == ACCEPTED
        return p.BootNotificationConf(
            status=registration,
            current_time=format_time(at),
            interval=options.heartbeat_s if accepted else options.pending_retry_s,
        )

    def on_heartbeat(
        self, charger: Charger, heartbeat: p.Heartbeat, at: datetime
    ) -> p.HeartbeatConf:
        """Tell the time."""
        return p.HeartbeatConf(current_time=format_time(at))

    def on_authorize(
        self, charger: Charger, authorize: p.Authorize, at: datetime
    ) -> p.AuthorizeConf:
        """Say what a tag may do."""
        decision = self.central.decisions.judge(charger, authorize.id_tag, Purpose.AUTHORIZE, at)
        return p.AuthorizeConf(id_tag_info=tag_info(decision))

    def on_status_notification(
        self, charger: Charger, notification: p.StatusNotification, at: datetime
    ) -> p.StatusNotificationConf:
        """Keep a connector's status, report its fault, close what cannot charge any more."""
        status = connector_status(notification, at)
        before = charger.connectors.get(status.connector_id)
        if before is None or before.time != status.time:
            charger.hear_clock(status.time, at)  # a repeated one tells when it changed, not now
        if is_fault(status) and not same_fault(before, status):
            self.central.emit("ocpp_error_reported", report=_report(charger, status, at))
        if is_historical(status.time, at) and before is not None:
            return _NOTED  # it was queued: it says nothing about now
        if not charger.set_connector(status):
            return _NOTED
        self.central.emit(
            "ocpp_connector_changed", charger_id=charger.charger_id, status=status, at=at
        )
        ledger = self.central.ledger(charger)
        for closing in ledger.connector_says(status.connector_id, status.status, status.time, at):
            self.central.tell_closed(closing, at)
        event = Event("status", connector_id=status.connector_id, status=status.status)
        self.central.observe(charger, event, at)
        return _NOTED

    def on_data_transfer(
        self, charger: Charger, transfer: p.DataTransfer, at: datetime
    ) -> p.DataTransferConf:
        """Note vendor data; nobody here understands it (SPEC 4.3)."""
        self.central.emit(
            "ocpp_data_transferred",
            charger_id=charger.charger_id,
            vendor_id=transfer.vendor_id,
            message_id=transfer.message_id,
            data=transfer.data,
            at=at,
        )
        return p.DataTransferConf(status="UnknownVendorId")

    def on_diagnostics_status_notification(
        self, charger: Charger, told: p.DiagnosticsStatusNotification, at: datetime
    ) -> p.DiagnosticsStatusNotificationConf:
        """Follow an upload of diagnostics."""
        self._job(charger, "DiagnosticsStatusNotification", told.status, at)
        return p.DiagnosticsStatusNotificationConf()

    def on_firmware_status_notification(
        self, charger: Charger, told: p.FirmwareStatusNotification, at: datetime
    ) -> p.FirmwareStatusNotificationConf:
        """Follow an update of firmware."""
        self._job(charger, "FirmwareStatusNotification", told.status, at)
        return p.FirmwareStatusNotificationConf()

    def on_signed_firmware_status_notification(
        self, charger: Charger, told: p.SignedFirmwareStatusNotification, at: datetime
    ) -> p.SignedFirmwareStatusNotificationConf:
        """Follow an update of signed firmware."""
        action = "SignedFirmwareStatusNotification"
        self._job(charger, action, told.status, at, told.request_id)
        return p.SignedFirmwareStatusNotificationConf()

    def on_log_status_notification(
        self, charger: Charger, told: p.LogStatusNotification, at: datetime
    ) -> p.LogStatusNotificationConf:
        """Follow an upload of a log."""
        self._job(charger, "LogStatusNotification", told.status, at, told.request_id)
        return p.LogStatusNotificationConf()

    def _job(
        self,
        charger: Charger,
        action: str,
        status: str,
        at: datetime,
        request_id: int | None = None,
    ) -> None:
        charger.jobs = {**(charger.jobs or {}), action: status}
        self.central.emit(
            "ocpp_status_told",
            charger_id=charger.charger_id,
            action=action,
            status=status,
            request_id=request_id,
            at=at,
        )
        self.central.observe(charger, Event("job", action=action, status=status), at)

    # --- money ---

    def on_start_transaction(
        self,
        charger: Charger,
        start: p.StartTransaction,
        at: datetime,
        raw: msgspec.Raw,
        flags: tuple[str, ...],
    ) -> Outcome:
        """Begin a transaction; the tag is checked even if Authorize passed (SPEC 4.8)."""
        words = start_words(start, flags)
        charger.hear_clock(words.time, at)
        ledger = self.central.ledger(charger)
        known = ledger.find_start(words)
        if known is not None:
            return Outcome(_started(known, tag_info_of(known)))
        # The id first: it may have to wait for the disk, and between the judgement and the
        # ledger nothing may, or two starts of one tag would both be its only one.
        transaction_id = self.central.decisions.next_transaction_id(charger)
        decision = self.central.decisions.judge_start(charger, words.connector_id, words.id_tag, at)
        started = ledger.start(words, decision, transaction_id, at)
        self.central.decisions.tell(charger, words.id_tag, Purpose.START, decision, at)
        transaction = started.transaction
        for closing in started.closed:
            self.central.tell_closed(closing, at)
        if Flag.HISTORICAL not in transaction.flags:
            event = Event(
                "started",
                connector_id=transaction.connector_id,
                transaction_id=transaction_id,
                id_tag=transaction.id_tag,
            )
            self.central.observe(charger, event, at)

        def store(receipt: Receipt) -> None:
            self.central.emit(
                "ocpp_transaction_started", transaction=transaction, at=at, receipt=receipt
            )

        return Outcome(_started(transaction, tag_info(decision)), store)

    def on_meter_values(
        self,
        charger: Charger,
        meter: p.MeterValues,
        at: datetime,
        raw: msgspec.Raw,
        flags: tuple[str, ...],
    ) -> Outcome:
        """Keep meter values, with their transaction if they have one."""
        aside = self.central.runtime.aside
        words = aside(len(raw), meter_words, meter, raw, flags, at)
        charger.hear_clock(words.time, at)
        metered = self.central.ledger(charger).meter(words, at)
        self.central.powers.hear(metered)
        if metered.orphan:
            return self._orphan(charger, "MeterValues", metered.orphan, raw, at, _METERED)
        return Outcome(_METERED, _StoreMeter(self.central, metered, at))

    def on_stop_transaction(
        self,
        charger: Charger,
        stop: p.StopTransaction,
        at: datetime,
        raw: msgspec.Raw,
        flags: tuple[str, ...],
    ) -> Outcome:
        """End a transaction; the first stop wins and every stop is answered (SPEC 4.10)."""
        aside = self.central.runtime.aside
        words = aside(len(raw), stop_words, stop, raw, flags, at)
        charger.hear_clock(words.time, at)
        answer = _STOPPED
        if words.id_tag is not None:
            decision = self.central.decisions.judge(charger, words.id_tag, Purpose.STOP, at)
            answer = p.StopTransactionConf(id_tag_info=tag_info(decision))
        stopped = self.central.ledger(charger).stop(words, at)
        if stopped.kind is StopKind.REPEAT:
            return Outcome(answer)
        if stopped.kind is StopKind.ORPHAN:
            return self._orphan(charger, "StopTransaction", stopped.reason, raw, at, answer)
        if stopped.kind is StopKind.CONFLICT:
            return self._conflict(charger, stopped, raw, at, answer)
        transaction = stopped.transaction
        if transaction is not None:
            self.central.powers.drop(transaction.transaction_id)
        if transaction is not None and Flag.HISTORICAL not in transaction.flags:
            event = Event(
                "stopped",
                transaction_id=transaction.transaction_id,
                status=transaction.stop_reason,
            )
            self.central.observe(charger, event, at)

        def store(receipt: Receipt) -> None:
            self.central.emit(
                "ocpp_transaction_stopped",
                transaction=transaction,
                reading=stopped.reading,
                at=at,
                receipt=receipt,
            )

        return Outcome(answer, store)

    def on_security_event_notification(
        self,
        charger: Charger,
        told: p.SecurityEventNotification,
        at: datetime,
        raw: msgspec.Raw,
        flags: tuple[str, ...],
    ) -> Outcome:
        """Keep an event of a charger's security; the charger repeats it until it is answered."""
        event = SecurityEvent(
            charger_id=charger.charger_id,
            type=told.type,
            tech_info=told.tech_info,
            time=parse_time(told.timestamp),
            time_raw=told.timestamp,
            at=at,
        )

        def store(receipt: Receipt) -> None:
            self.central.emit("ocpp_security_event_reported", event=event, receipt=receipt)

        return Outcome(_EVENT_KEPT, store)

    def _conflict(
        self,
        charger: Charger,
        stopped: Stopped,
        raw: msgspec.Raw,
        at: datetime,
        answer: p.StopTransactionConf,
    ) -> Outcome:
        kept = self._orphan(charger, "StopTransaction", stopped.reason, raw, at, answer)

        def store(receipt: Receipt) -> None:
            self.central.emit(
                "ocpp_transaction_revised",
                transaction=stopped.transaction,
                at=at,
                receipt=receipt,
            )
            if kept.store is not None:
                kept.store(receipt)

        return Outcome(answer, store)

    def _orphan(
        self,
        charger: Charger,
        action: str,
        reason: str,
        raw: msgspec.Raw,
        at: datetime,
        answer: Payload,
    ) -> Outcome:
        orphan = Orphan(
            charger_id=charger.charger_id, action=action, reason=reason, payload=bytes(raw), at=at
        )

        def store(receipt: Receipt) -> None:
            self.central.emit("ocpp_orphan_kept", orphan=orphan, receipt=receipt)

        return Outcome(answer, store)

    def keep(self, charger: Charger, action: str, raw: msgspec.Raw, at: datetime) -> Outcome:
        """Keep a money message that we failed to handle, and answer it as valid."""
        answer = _KEPT.get(action)
        if answer is None:
            transaction_id = self.central.decisions.next_transaction_id(charger)
            info = IdTagInfo(status=TagStatus.INVALID.value)
            answer = p.StartTransactionConf(id_tag_info=info, transaction_id=transaction_id)
        return self._orphan(charger, action, "the central system failed", raw, at, answer)


class _StoreMeter:
    """Tells the facts of a MeterValues; the path that most messages take."""

    __slots__ = ("_at", "_central", "_metered")

    def __init__(self, central: CentralSystem, metered: Metered, at: datetime) -> None:
        self._central = central
        self._metered = metered
        self._at = at

    def __call__(self, receipt: Receipt) -> None:
        metered = self._metered
        self._central.emit(
            "ocpp_meter_values_received",
            reading=metered.reading,
            transaction=metered.transaction,
            at=self._at,
            receipt=receipt,
        )
        if metered.revised:
            self._central.emit(
                "ocpp_transaction_revised",
                transaction=metered.transaction,
                at=self._at,
                receipt=receipt,
            )


def handler_name(action: str) -> str:
    """Name the handler of an action: MeterValues becomes on_meter_values."""
    return "on_" + re.sub(r"(?<=[a-z])(?=[A-Z])", "_", action).lower()


def is_fault(status: ConnectorStatus) -> bool:
    """Tell whether a connector's status reports a fault."""
    return status.status == "Faulted" or status.error_code not in ("", "NoError")


def same_fault(before: ConnectorStatus | None, status: ConnectorStatus) -> bool:
    """Tell whether a fault was reported before, as chargers do after each reconnect."""
    return before is not None and (
        (before.status, before.error_code, before.vendor_error_code, before.info)
        == (status.status, status.error_code, status.vendor_error_code, status.info)
    )


def _report(charger: Charger, status: ConnectorStatus, at: datetime) -> ErrorReport:
    return ErrorReport(
        charger_id=charger.charger_id,
        connector_id=status.connector_id,
        error_code=status.error_code,
        status=status.status,
        info=status.info,
        vendor_id=status.vendor_id,
        vendor_error_code=status.vendor_error_code,
        time=status.time,
        at=at,
    )


def _started(transaction: Transaction, info: IdTagInfo) -> p.StartTransactionConf:
    return p.StartTransactionConf(id_tag_info=info, transaction_id=transaction.transaction_id)
