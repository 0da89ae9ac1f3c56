"""Looks whether the stored data is whole: the file, the rules, the records."""

from __future__ import annotations

import sqlite3
from typing import Any, Literal, NamedTuple

from gway.projects.ocpp.data.queries import scalar
from gway.projects.ocpp.data.store import Store

Result = Literal["ok", "note", "bad"]


class Finding(NamedTuple):
    """One thing that was looked at, and what was found."""

    check: str
    result: Result
    found: str


# Each query counts rows that break a rule.
RULES = {
    "transaction ids are above 0 and below 2^31": (
        "SELECT count(*) FROM transactions WHERE transaction_id NOT BETWEEN 1 AND 2147483647"
    ),
    "no id will be given twice": (
        "SELECT count(*) FROM transactions, counters"
        " WHERE name = 'transaction_id' AND transaction_id >= next"
    ),
    "transactions are numbered without gaps": (
        "SELECT coalesce(max(sequence), 0) - count(*) FROM transactions"
    ),
    "readings are numbered without gaps": (
        "SELECT (SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'readings')"
        " - (SELECT coalesce(sum(removed), 0) FROM pruned WHERE name = 'readings')"
        " - count(*) FROM readings"
    ),
    "closed transactions have an end": (
        "SELECT count(*) FROM transactions WHERE state <> 'open' AND stopped_at IS NULL"
    ),
    "open transactions have no end": (
        "SELECT count(*) FROM transactions WHERE state = 'open'"
        " AND (stopped_at IS NOT NULL OR meter_stop_wh IS NOT NULL)"
    ),
    "energy by registers is their difference": (
        "SELECT count(*) FROM transactions WHERE energy_source = 'registers'"
        " AND energy_wh IS NOT meter_stop_wh - meter_start_wh"
    ),
    "energy by hour adds up to the energy of transactions": (
        "SELECT count(*) FROM transactions"
        " LEFT JOIN (SELECT transaction_id, sum(energy_wh) AS spread"
        " FROM energy_hours GROUP BY transaction_id) USING (transaction_id)"
        " WHERE state <> 'open' AND abs(coalesce(spread, 0) - energy_wh) > 1"
        " AND transaction_id NOT IN (SELECT transaction_id FROM long_sessions)"
    ),
    "no energy is negative": "SELECT count(*) FROM transactions WHERE energy_wh < 0",
    "readings belong to transactions of their charger": (
        "SELECT count(*) FROM readings AS r LEFT JOIN transactions AS t USING (transaction_id)"
        " WHERE r.transaction_id IS NOT NULL AND t.charger_id IS NOT r.charger_id"
    ),
}
# These are worth knowing; they are no faults of the store.
COUNTS = {
    "open transactions": "SELECT count(*) FROM transactions WHERE state = 'open'",
    "transactions closed without the charger's word": (
        "SELECT count(*) FROM transactions WHERE state = 'inferred'"
    ),
    "orphans": "SELECT count(*) FROM orphans",
    "readings without a transaction": "SELECT count(*) FROM readings WHERE transaction_id IS NULL",
}


def findings(store: Store) -> list[Finding]:
    """Check everything; the bad comes first."""
    database = store.database
    problems = database.integrity()
    found = [Finding("database file", "bad", problem) for problem in problems]
    if not problems:
        found.append(Finding("database file", "ok", "sound"))
    found += database.read(_rules)
    missing = store.records.missing()
    found.append(
        Finding(
            "completed transactions have a record",
            "bad" if missing else "ok",
            _listed(missing) if missing else "all",
        )
    )
    return sorted(found, key=lambda finding: ("bad", "note", "ok").index(finding.result))


def _rules(connection: sqlite3.Connection) -> list[Finding]:
    found = []
    for rule, sql in RULES.items():
        broken: Any = scalar(connection, sql)
        found.append(
            Finding(rule, "bad" if broken else "ok", f"{broken} break it" if broken else "")
        )
    for what, sql in COUNTS.items():
        number: Any = scalar(connection, sql)
        found.append(Finding(what, "note" if number else "ok", str(number)))
    return found


def _listed(transaction_ids: list[int]) -> str:
    shown = ", ".join(str(each) for each in transaction_ids[:10])
    more = len(transaction_ids) - 10
    return f"missing: {shown}{f' and {more} more' if more > 0 else ''}"
