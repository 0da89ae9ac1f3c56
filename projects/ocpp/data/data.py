"""What the chargers did: transactions, meter values, errors, connections.

Everything is kept in `work/ocpp.sqlite`; completed transactions are also written as
`.dat` files below `work/ocpp/records`. The central system never calls this project:
it tells facts, and this is where they stay.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from gway import hookimpl
from gway.hookspecs import HealthCheck
from gway.projects.ocpp.data.api import (
    api_errors,
    api_summary,
    api_time_series,
    api_transaction,
    api_transaction_curves,
    api_transactions,
)
from gway.projects.ocpp.data.pages import (
    view_charger_details,
    view_charger_summary,
    view_index,
    view_time_series,
)
from gway.projects.ocpp.data.pages_transaction import view_record, view_transaction
from gway.projects.ocpp.data.security import api_security_events, keep, view_security_events
from gway.projects.ocpp.data.store import Store
from gway.projects.ocpp.data.verbs import (
    backup,
    check,
    compact,
    errors,
    export,
    records,
    security_events,
    transactions,
)
from gway.projects.ocpp.database import DATABASE
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
    SecurityEvent,
    TagDecision,
    Transaction,
)
from gway.projects.ocpp.receipts import Receipt
from gway.resolver import current

__all__ = [
    "api_errors",
    "api_security_events",
    "api_summary",
    "api_time_series",
    "api_transaction",
    "api_transaction_curves",
    "api_transactions",
    "backup",
    "check",
    "compact",
    "errors",
    "export",
    "records",
    "security_events",
    "setup_app",
    "transactions",
    "view_charger_details",
    "view_charger_summary",
    "view_index",
    "view_record",
    "view_security_events",
    "view_time_series",
    "view_transaction",
]

NAV = {  # what the site's navigation shows
    "charger-summary": "Summary",
    "charger-details": "Transactions",
    "time-series": "Energy",
}

SETTINGS = (DATABASE,)


def _store() -> Store:
    return current().service(Store)  # asked at every message: `gw` takes ten times as long


def setup_app() -> None:
    """Open the database before chargers come; a damaged one stops the start here."""
    _store()


# --- decisions ---------------------------------------------------------------


@hookimpl
def ocpp_recall_charger(charger_id: str) -> ChargerMemory | None:
    memory = _store().recall_charger(charger_id)
    # To remember nothing is None: the central system forgets such a charger if it is refused.
    return None if memory == ChargerMemory(charger_id=charger_id) else memory


@hookimpl
def ocpp_recall_chargers(limit: int) -> list[ChargerMemory]:
    return _store().recall_chargers(limit)


@hookimpl
def ocpp_recall_configuration(charger_id: str) -> ChargerConfiguration | None:
    return _store().recall_configuration(charger_id)


@hookimpl
def ocpp_store_ready() -> bool:
    return _store().database.healthy


@hookimpl
def ocpp_forget_charger(charger_id: str) -> bool:
    _store().forget_charger(charger_id)
    return True


@hookimpl
def ocpp_recall_transaction(transaction_id: int) -> Transaction | None:
    return _store().recall_transaction(transaction_id)


@hookimpl
def ocpp_recall_start(
    charger_id: str, connector_id: int, id_tag: str, meter_start_wh: int, start_time_raw: str
) -> Transaction | None:
    return _store().recall_start(charger_id, connector_id, id_tag, meter_start_wh, start_time_raw)


@hookimpl
def ocpp_recall_stop(charger_id: str, meter_stop_wh: int, stop_time_raw: str) -> Transaction | None:
    return _store().recall_stop(charger_id, meter_stop_wh, stop_time_raw)


@hookimpl
def ocpp_open_transactions(id_tag: str | None, charger_id: str | None) -> list[Transaction]:
    return _store().open_transactions(id_tag, charger_id)


@hookimpl
def ocpp_next_transaction_id(charger_id: str) -> int:
    return _store().ids.take()


# --- facts -------------------------------------------------------------------


@hookimpl
def ocpp_transaction_started(transaction: Transaction, receipt: Receipt) -> None:
    _store().transaction_started(transaction, receipt)


@hookimpl
def ocpp_meter_values_received(
    reading: Reading, transaction: Transaction | None, receipt: Receipt
) -> None:
    _store().meter_values_received(reading, transaction, receipt)


@hookimpl
def ocpp_transaction_stopped(
    transaction: Transaction, reading: Reading | None, receipt: Receipt
) -> None:
    _store().transaction_stopped(transaction, reading, receipt)


@hookimpl
def ocpp_transaction_revised(transaction: Transaction, at: datetime, receipt: Receipt) -> None:
    _store().transaction_revised(transaction, at, receipt)


@hookimpl
def ocpp_orphan_kept(orphan: Orphan, receipt: Receipt) -> None:
    _store().orphan_kept(orphan, receipt)


@hookimpl
def ocpp_security_event_reported(event: SecurityEvent, receipt: Receipt) -> None:
    keep(_store(), event, receipt)


@hookimpl
def ocpp_transaction_closed(transaction: Transaction, why: str, at: datetime) -> None:
    _store().transaction_closed(transaction, why, at)


@hookimpl
def ocpp_charger_connected(link: Link, at: datetime) -> None:
    _store().charger_connected(link, at)


@hookimpl
def ocpp_charger_disconnected(link: Link, code: int, reason: str, at: datetime) -> None:
    _store().charger_disconnected(link, code, reason, at)


@hookimpl
def ocpp_charger_booted(charger_id: str, boot: Boot, registration: str, at: datetime) -> None:
    _store().charger_booted(charger_id, boot, registration, at)


@hookimpl
def ocpp_registration_changed(charger_id: str, registration: str, at: datetime) -> None:
    _store().registration_changed(charger_id, registration, at)


@hookimpl
def ocpp_charger_seen(charger_id: str, charger_time: datetime | None, at: datetime) -> None:
    _store().charger_seen(charger_id, charger_time, at)


@hookimpl
def ocpp_connector_changed(charger_id: str, status: ConnectorStatus, at: datetime) -> None:
    _store().connector_changed(charger_id, status, at)


@hookimpl
def ocpp_configuration_told(charger_id: str, configuration: ChargerConfiguration) -> None:
    _store().configuration_told(charger_id, configuration)


@hookimpl
def ocpp_error_reported(report: ErrorReport) -> None:
    _store().error_reported(report)


@hookimpl
def ocpp_tag_judged(
    charger_id: str, id_tag: str, purpose: Purpose, decision: TagDecision, at: datetime
) -> None:
    _store().tag_judged(charger_id, id_tag, purpose, decision, at)


@hookimpl
def ocpp_command_changed(command: Command) -> None:
    _store().command_changed(command)


@hookimpl
def ocpp_data_transferred(
    charger_id: str, vendor_id: str, message_id: str | None, data: str | None, at: datetime
) -> None:
    content = {"vendorId": vendor_id, "messageId": message_id, "data": data}
    _store().noticed(charger_id, "DataTransfer", content, at)


@hookimpl
def ocpp_status_told(
    charger_id: str, action: str, status: str, request_id: int | None, at: datetime
) -> None:
    content = {"status": status, "requestId": request_id}
    _store().noticed(charger_id, action, content, at)


@hookimpl
def gway_server_started(at: datetime) -> None:
    _store().server_started(at)


@hookimpl
def gway_health() -> list[HealthCheck]:
    database = _store().database
    return [HealthCheck("ocpp.data", database.healthy, database.failure)]


@hookimpl
def gway_register_metrics(registry: Any) -> None:
    from gway.projects.ocpp.data.metrics import StoreMetrics

    registry.register(StoreMetrics(_store()))
