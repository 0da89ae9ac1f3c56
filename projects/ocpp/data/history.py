"""What changed and when: a connector's status, what was corrected of a transaction.

Each row is written when it differs from the one before it: chargers repeat themselves.
"""

from __future__ import annotations

import sqlite3
from datetime import datetime

from gway.projects.ocpp.data.codec import Params, clean, micros, whole
from gway.projects.ocpp.facts import ConnectorStatus, Transaction
from gway.projects.sql.database import Row, rows

_STATUS = (
    "INSERT INTO status_changes (charger_id, connector_id, status, error_code, info, time, at)"
)
INSERT_STATUS = f"{_STATUS} VALUES (?, ?, ?, ?, ?, ?, ?)"
KEEP_STATUS = f"""
{_STATUS}
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (
    SELECT 1 FROM (
        SELECT status, error_code, info FROM status_changes
        WHERE charger_id = ?1 AND connector_id = ?2 ORDER BY at DESC LIMIT 1
    ) WHERE status = ?3 AND error_code = ?4 AND info IS ?5
)
"""
KEEP_REVISION = """
INSERT INTO revisions (transaction_id, charger_id, state, energy_wh, energy_source, flags, at)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (
    SELECT 1 FROM revisions WHERE state = ?3 AND flags = ?6 AND revision_id =
        (SELECT max(revision_id) FROM revisions WHERE transaction_id = ?1)
)
"""


def status_params(charger_id: str, status: ConnectorStatus, at: datetime) -> Params:
    """Give the values for `KEEP_STATUS`."""
    return (
        charger_id,
        whole(status.connector_id),
        clean(status.status),
        clean(status.error_code),
        clean(status.info),
        micros(status.time),
        micros(at),
    )


def revision_params(transaction: Transaction, at: datetime) -> Params:
    """Give the values for `KEEP_REVISION`."""
    return (
        transaction.transaction_id,
        transaction.charger_id,
        transaction.state,
        whole(transaction.energy_wh),
        transaction.energy_source,
        " ".join(transaction.flags),
        micros(at),
    )


def statuses(
    connection: sqlite3.Connection, charger_id: str, connector_id: int, since: int, until: int
) -> list[Row]:
    """Read how a connector's status changed in a time, and what it was before.

    The charger as a whole (connector 0) counts, too.
    """
    return rows(
        connection,
        "SELECT connector_id, status, error_code, info, time, at FROM status_changes"
        " WHERE charger_id = ? AND connector_id IN (0, ?) AND at BETWEEN ? AND ?"
        " ORDER BY at, status_change_id LIMIT 500",
        (charger_id, connector_id, since, until),
    )


def revisions(connection: sqlite3.Connection, transaction_id: int) -> list[Row]:
    """Read what was corrected of a transaction, the oldest first."""
    return rows(
        connection,
        "SELECT state, energy_wh, energy_source, flags, at FROM revisions"
        " WHERE transaction_id = ? ORDER BY revision_id",
        (transaction_id,),
    )
