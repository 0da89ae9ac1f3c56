"""The hooks of OCPP: decisions that the central system asks for, facts that it tells.

Decisions are `firstresult`: None passes the question on, an exception means no.
Facts are past tense; each subscriber runs alone, and one that fails is logged and
counted while the others run. Facts that carry a `receipt` are about money: what a
subscriber adds to it is on disk before the charger is answered, and `receipt.action`
and `receipt.payload` are the message that will be, byte for byte. While it cannot be
stored, a fact about money is told again, the same one with a new receipt: do nothing
at it that must not be done twice, or do it when the receipt's unit is committed.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from gway.plugins import hookspec

if TYPE_CHECKING:
    from gway.projects.ocpp.facts import (
        Admission,
        Boot,
        ChargerConfiguration,
        ChargerMemory,
        Command,
        ConnectorStatus,
        ErrorReport,
        Frame,
        Knock,
        Link,
        Orphan,
        Purpose,
        Reading,
        SecurityEvent,
        TagDecision,
        Transaction,
    )
    from gway.projects.ocpp.receipts import Receipt

# --- decisions ---------------------------------------------------------------


@hookspec(firstresult=True)
def ocpp_admit(knock: Knock, at: datetime) -> Admission | None:
    """Decide whether a charger may open a connection, before the upgrade."""


@hookspec(firstresult=True)
def ocpp_authorize(
    charger_id: str, id_tag: str, purpose: Purpose, at: datetime
) -> TagDecision | None:
    """Decide what a tag may do; None passes the question on, an exception means no."""


@hookspec(firstresult=True)
def ocpp_recall_charger(charger_id: str) -> ChargerMemory | None:
    """Tell what is known of a charger that has just connected."""


@hookspec(firstresult=True)
def ocpp_recall_chargers(limit: int) -> list[ChargerMemory] | None:
    """List what is known of all chargers, those heard of last first."""


@hookspec(firstresult=True)
def ocpp_recall_configuration(charger_id: str) -> ChargerConfiguration | None:
    """Tell the configuration that a charger told last; None: it never did."""


@hookspec(firstresult=True)
def ocpp_store_ready() -> bool | None:
    """Tell whether transactions can be stored now; asked again and again while they cannot."""


@hookspec(firstresult=True)
def ocpp_recall_transaction(transaction_id: int) -> Transaction | None:
    """Find a transaction of any charger by its id."""


@hookspec(firstresult=True)
def ocpp_recall_start(
    charger_id: str, connector_id: int, id_tag: str, meter_start_wh: int, start_time_raw: str
) -> Transaction | None:
    """Find the transaction, open or ended, that these words began; tags compare without case."""


@hookspec(firstresult=True)
def ocpp_recall_stop(charger_id: str, meter_stop_wh: int, stop_time_raw: str) -> Transaction | None:
    """Find the latest transaction of a charger that these words ended, for a stop without an id."""


@hookspec(firstresult=True)
def ocpp_forget_charger(charger_id: str) -> bool | None:
    """Drop what is stored of a charger itself, not its history; True when that is on disk."""


@hookspec(firstresult=True)
def ocpp_open_transactions(id_tag: str | None, charger_id: str | None) -> list[Transaction] | None:
    """List the open transactions of a tag (compared without case), of a charger, or all."""


@hookspec(firstresult=True)
def ocpp_next_transaction_id(charger_id: str) -> int | None:
    """Give a transaction id, > 0 and < 2^31, that was never given before."""


# --- facts -------------------------------------------------------------------


@hookspec
def ocpp_charger_connected(link: Link, at: datetime) -> None:
    """A charger's connection was accepted and is open."""


@hookspec
def ocpp_charger_disconnected(link: Link, code: int, reason: str, at: datetime) -> None:
    """A charger's connection ended."""


@hookspec
def ocpp_charger_refused(knock: Knock, status: int, reason: str, at: datetime) -> None:
    """A charger's connection was refused with an HTTP status."""


@hookspec
def ocpp_frame(frame: Frame) -> None:
    """A frame was received or sent."""


@hookspec
def ocpp_charger_booted(charger_id: str, boot: Boot, registration: str, at: datetime) -> None:
    """A charger sent a BootNotification and was told `registration`."""


@hookspec
def ocpp_registration_changed(charger_id: str, registration: str, at: datetime) -> None:
    """An operator accepted a charger, or took that back."""


@hookspec
def ocpp_charger_seen(charger_id: str, charger_time: datetime | None, at: datetime) -> None:
    """A charger spoke; `charger_time` is the clock in its message, when it had one."""


@hookspec
def ocpp_connector_changed(charger_id: str, status: ConnectorStatus, at: datetime) -> None:
    """A connector reported its status."""


@hookspec
def ocpp_configuration_told(
    charger_id: str, configuration: ChargerConfiguration, at: datetime
) -> None:
    """A charger told keys of its configuration, or accepted a change: all that is known now."""


@hookspec
def ocpp_error_reported(report: ErrorReport) -> None:
    """A connector reported a fault."""


@hookspec
def ocpp_tag_judged(
    charger_id: str, id_tag: str, purpose: Purpose, decision: TagDecision, at: datetime
) -> None:
    """A tag was accepted or refused, with the rule that decided."""


@hookspec
def ocpp_transaction_started(transaction: Transaction, at: datetime, receipt: Receipt) -> None:
    """A transaction began; told again while it cannot be stored, answered when it is."""


@hookspec
def ocpp_meter_values_received(
    reading: Reading, transaction: Transaction | None, at: datetime, receipt: Receipt
) -> None:
    """Meter values arrived; `transaction` is theirs after them; told again until it is stored."""


@hookspec
def ocpp_transaction_stopped(
    transaction: Transaction, reading: Reading | None, at: datetime, receipt: Receipt
) -> None:
    """A transaction ended; `reading` is its transactionData; told again until it is stored."""


@hookspec
def ocpp_transaction_closed(transaction: Transaction, why: str, at: datetime) -> None:
    """A transaction was closed without the charger's word, by us or by an operator; told once."""


@hookspec
def ocpp_transaction_revised(transaction: Transaction, at: datetime, receipt: Receipt) -> None:
    """What we had written of a transaction proved wrong: it goes on, used more, or is disputed."""


@hookspec
def ocpp_orphan_kept(orphan: Orphan, receipt: Receipt) -> None:
    """A money message that matches no transaction was kept; told again until it is stored."""


@hookspec
def ocpp_security_event_reported(event: SecurityEvent, receipt: Receipt) -> None:
    """A charger reported an event of its security; told again until it is stored."""


@hookspec
def ocpp_data_transferred(
    charger_id: str, vendor_id: str, message_id: str | None, data: str | None, at: datetime
) -> None:
    """A charger sent a DataTransfer that nobody took."""


@hookspec
def ocpp_status_told(
    charger_id: str, action: str, status: str, request_id: int | None, at: datetime
) -> None:
    """A charger told how a firmware, diagnostics or log job goes."""


@hookspec
def ocpp_command_changed(command: Command, at: datetime) -> None:
    """A command was queued, sent, answered, timed out, failed, or had its effect."""
