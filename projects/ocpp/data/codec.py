"""Facts as rows, and rows as facts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from gway.projects.ocpp.facts import (
    Boot,
    Command,
    ConnectorStatus,
    ErrorReport,
    Orphan,
    Reading,
    TagStatus,
    Transaction,
)
from gway.projects.ocpp.messages.hiding import hide_value

Params = tuple[object, ...]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
INT64 = 2**63

TRANSACTION_FIELDS = Transaction.__struct_fields__
TIMES = frozenset(name for name in TRANSACTION_FIELDS if name.endswith(("_at", "_time")))
# These are given once; a stop or a correction leaves them as they are.
GIVEN_AT_START = frozenset(
    {
        "transaction_id",
        "charger_id",
        "connector_id",
        "id_tag",
        "meter_start_wh",
        "start_time",
        "start_time_raw",
        "started_at",
    }
)

_COLUMNS = (*TRANSACTION_FIELDS, "tag_key")
INSERT_TRANSACTION = (
    f"INSERT INTO transactions ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))})"
)
# An upsert would use up a sequence number for every update. The charger is compared
# as well: no message of one charger changes a row of another.
_CHANGING = tuple(name for name in TRANSACTION_FIELDS if name not in GIVEN_AT_START)
UPDATE_TRANSACTION = (
    f"UPDATE transactions SET {', '.join(f'{name} = ?' for name in _CHANGING)}"
    " WHERE transaction_id = ? AND charger_id = ?"
)
INSERT_MISSING_TRANSACTION = (
    f"INSERT INTO transactions ({', '.join(_COLUMNS)}) SELECT {', '.join('?' * len(_COLUMNS))}"
    " WHERE NOT EXISTS (SELECT 1 FROM transactions WHERE transaction_id = ?)"
)

_READING_COLUMNS = (
    "charger_id, connector_id, transaction_id, inferred, origin, at, samples_time, energy_wh,"
    " power_w, soc_percent, last_energy_wh, last_power_w, last_soc_percent, last_sample_time,"
    " flags, raw"
)
INSERT_READING = f"INSERT INTO readings ({_READING_COLUMNS}) VALUES ({', '.join('?' * 16)})"
# What the last reading of a transaction holds already is not stored twice.
INSERT_READING_ONCE = f"""
INSERT INTO readings ({_READING_COLUMNS})
SELECT {", ".join(f"?{number}" for number in range(1, 17))} WHERE NOT EXISTS (
    SELECT 1 FROM readings WHERE raw = ?16 AND origin = ?5 AND connector_id = ?2
    AND sequence = (SELECT max(sequence) FROM readings WHERE transaction_id = ?3))
"""


def micros(time: datetime | None) -> int | None:
    """Turn an aware time into microseconds since 1970, exactly."""
    if time is None:
        return None
    since = time - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def when(value: int | None) -> datetime | None:
    """Turn microseconds since 1970 into an aware time."""
    return None if value is None else EPOCH + timedelta(microseconds=value)


def iso(value: int | None) -> str | None:
    """Write microseconds since 1970 as ISO 8601 with `Z`, to the millisecond."""
    if value is None:
        return None
    text = (EPOCH + timedelta(microseconds=value)).isoformat(timespec="milliseconds")
    return text.removesuffix("+00:00").removesuffix(".000") + "Z"


def whole(value: int | None) -> int | None:
    """Keep a charger's number inside what a column takes; odd ones are clipped, not lost."""
    if value is None or -INT64 <= value < INT64:
        return value
    return INT64 - 1 if value > 0 else -INT64


def clean(text: str | None) -> str | None:
    """Replace lone surrogates, which no database takes."""
    if text is None or text.isascii():
        return text
    return text.encode("utf-8", "replace").decode()


def tag_key(id_tag: str) -> str:
    """Give what two spellings of one tag have in common (SPEC 7.28)."""
    return clean(id_tag.casefold()) or ""


def transaction_params(transaction: Transaction) -> Params:
    """Give the values of a transaction for `INSERT_TRANSACTION`."""
    return (
        *(_plain(getattr(transaction, name)) for name in TRANSACTION_FIELDS),
        tag_key(transaction.id_tag),
    )


def store_transaction(transaction: Transaction) -> tuple[tuple[str, Params], ...]:
    """Give the statements that bring a transaction's row up to date, or make it."""
    changing = (_plain(getattr(transaction, name)) for name in _CHANGING)
    transaction_id = transaction.transaction_id
    return (
        (UPDATE_TRANSACTION, (*changing, transaction_id, transaction.charger_id)),
        (INSERT_MISSING_TRANSACTION, (*transaction_params(transaction), transaction_id)),
    )


def _plain(value: object) -> object:
    if isinstance(value, datetime):
        return micros(value)
    if isinstance(value, str):
        return clean(str(value))
    if isinstance(value, int):
        return whole(value)
    if isinstance(value, tuple):
        return " ".join(value)
    return value


def transaction_of(row: Mapping[str, Any]) -> Transaction:
    """Make a transaction of its row."""
    values: dict[str, Any] = {
        name: when(row[name]) if name in TIMES else row[name] for name in TRANSACTION_FIELDS
    }
    values["tag_status"] = TagStatus(row["tag_status"])
    values["flags"] = tuple(row["flags"].split())
    return Transaction(**values)


def reading_params(reading: Reading, after: Transaction | None) -> Params:
    """Give the values of a reading for `INSERT_READING`.

    :param after: the transaction as it is after the reading; its figures are kept in
        the reading's row, so that samples of an open transaction change no other row
    """
    if after is None:
        last: Params = (None, None, None, None)
    else:
        last = (
            after.last_energy_wh,
            after.power_w,
            after.soc_percent,
            micros(after.last_sample_time),
        )
    return (
        reading.charger_id,
        whole(reading.connector_id),
        reading.transaction_id,
        reading.inferred,
        reading.origin,
        micros(reading.at),
        micros(reading.samples_time),
        whole(reading.energy_wh),
        reading.power_w,
        reading.soc_percent,
        *last,
        " ".join(reading.flags),
        reading.raw.decode("utf-8", "replace"),
    )


def orphan_params(orphan: Orphan) -> Params:
    """Give the values of an orphan in the order of its columns."""
    return (
        orphan.charger_id,
        orphan.action,
        clean(orphan.reason),
        orphan.payload.decode("utf-8", "replace"),
        micros(orphan.at),
    )


def error_params(report: ErrorReport) -> Params:
    """Give the values of an error report in the order of its columns."""
    return (
        report.charger_id,
        whole(report.connector_id),
        clean(report.error_code),
        clean(report.status),
        clean(report.info),
        clean(report.vendor_id),
        clean(report.vendor_error_code),
        micros(report.time),
        micros(report.at),
    )


def connector_params(charger_id: str, status: ConnectorStatus) -> Params:
    """Give the values of a connector's row in the order of its columns."""
    return (
        charger_id,
        whole(status.connector_id),
        clean(status.status),
        clean(status.error_code),
        clean(status.info),
        clean(status.vendor_id),
        clean(status.vendor_error_code),
        micros(status.time),
        micros(status.at),
    )


def connector_of(row: Mapping[str, Any]) -> ConnectorStatus:
    """Make a connector's status of its row."""
    return ConnectorStatus(
        connector_id=row["connector_id"],
        status=row["status"],
        error_code=row["error_code"],
        info=row["info"],
        vendor_id=row["vendor_id"],
        vendor_error_code=row["vendor_error_code"],
        time=when(row["time"]),
        at=when(row["at"]),
    )


def command_params(command: Command) -> Params:
    """Give the values of a command in the order of its columns, its secrets hidden."""
    return (
        command.command_id,
        command.charger_id,
        command.action,
        to_json(hide_value(command.payload)),
        str(command.state),
        micros(command.queued_at),
        micros(command.sent_at),
        micros(command.answered_at),
        None if command.answer is None else to_json(command.answer),
        clean(command.status),
        clean(command.error_code),
        clean(command.error),
        clean(command.effect),
        command.late,
    )


def boot_json(boot: Boot) -> str:
    """Write what a charger said of itself."""
    return to_json(boot)


def boot_of(text: str | None) -> Boot | None:
    """Read what a charger said of itself."""
    return None if text is None else msgspec.json.decode(text, type=Boot)


def to_json(value: object) -> str:
    """Write compact JSON."""
    return msgspec.json.encode(value).decode("utf-8", "replace")
