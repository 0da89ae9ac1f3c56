"""What is read from the tables; each function takes a connection, all values are parameters."""

from __future__ import annotations

import re
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NamedTuple, get_args

from gway.errors import UsageError
from gway.projects.ocpp.data.codec import micros, tag_key
from gway.projects.sql.database import Row, rows

State = Literal["open", "stopped", "inferred"]
STATES: tuple[State, ...] = get_args(State)
PERIOD = re.compile(r"([12][0-9]{3})(?:-([0-9]{2})(?:-([0-9]{2}))?)?")
Sort = Literal["newest", "oldest", "most-energy", "least-energy"]

# An open transaction's energy is in its last reading: it sorts as one without.
COLUMNS = {
    "transaction_id": "transaction_id",
    "charger_id": "charger_id",
    "connector_id": "connector_id",
    "id_tag": "tag_key",
    "state": "state",
    "started_at": "started_at",
    "start_time": "start_time",
    "stopped_at": "stopped_at",
    "stop_time": "stop_time",
    "duration_s": "iif(state = 'open', {now} - started_at, iif(start_time IS NOT NULL"
    " AND stop_time IS NOT NULL, stop_time - start_time, stopped_at - started_at))",
    "meter_start_wh": "meter_start_wh",
    "meter_stop_wh": "meter_stop_wh",
    "energy_wh": "energy_wh",
    "energy_source": "energy_source",
    "reason": "stop_reason",
    "flags": "flags",
}
WORDS: dict[Sort, str] = {
    "newest": "-started_at",
    "oldest": "started_at",
    "most-energy": "-energy_wh",
    "least-energy": "energy_wh",
}
KNOWN = """
WITH RECURSIVE met(charger_id) AS (
    SELECT min(charger_id) FROM transactions
    UNION ALL
    SELECT (SELECT min(charger_id) FROM transactions WHERE charger_id > met.charger_id)
    FROM met WHERE charger_id IS NOT NULL
),
known AS (
    SELECT charger_id FROM chargers
    UNION SELECT charger_id FROM met WHERE charger_id IS NOT NULL
)
"""
LAST_READING = (
    "SELECT at, last_energy_wh, last_power_w, last_soc_percent, last_sample_time FROM readings"
    " WHERE transaction_id = ? ORDER BY sequence DESC LIMIT 1"
)
SUMMARY = f"""
{KNOWN},
sums AS (
    SELECT charger_id, count(*) AS sessions, coalesce(sum(energy_wh), 0) AS energy_wh,
        max(stopped_at) AS last_stop_at, sum(state = 'open') AS open_sessions
    FROM transactions GROUP BY charger_id
),
charging AS (
    SELECT charger_id, sum(max(0, coalesce((
        SELECT last_energy_wh FROM readings WHERE readings.transaction_id = t.transaction_id
        ORDER BY sequence DESC LIMIT 1), last_energy_wh, 0) - meter_start_wh)) AS energy_wh
    FROM transactions AS t WHERE state = 'open' GROUP BY charger_id
)
SELECT known.charger_id, coalesce(sessions, 0) AS sessions,
    coalesce(sums.energy_wh, 0) + coalesce(charging.energy_wh, 0) AS energy_wh,
    coalesce(open_sessions, 0) AS open_sessions,
    last_stop_at, errors.error_code AS last_error, errors.info AS last_error_info,
    errors.connector_id AS last_error_connector_id, errors.at AS last_error_at,
    chargers.last_seen_at, chargers.drift_ms, EXISTS (
        SELECT 1 FROM connectors AS c WHERE c.charger_id = known.charger_id
        AND (c.status = 'Faulted' OR c.error_code NOT IN ('NoError', ''))
    ) AS faulted
FROM known
LEFT JOIN sums USING (charger_id)
LEFT JOIN charging USING (charger_id)
LEFT JOIN chargers USING (charger_id)
LEFT JOIN errors ON error_id = (
    SELECT error_id FROM errors AS e WHERE e.charger_id = known.charger_id
    ORDER BY e.at DESC, e.error_id DESC LIMIT 1
)
ORDER BY known.charger_id
"""


# One text, one search: five of them would take twice the time.
TEXT = (
    "charger_id || '\n' || tag_key || '\n' || stop_reason || '\n' || energy_source || '\n' || flags"
)


def _holds(word: str) -> tuple[str, list[object]]:
    """Give the condition that a transaction has a word somewhere, in any case, or that id.

    A state, and a year, month or day of its start, are words, too.
    """
    # LIKE knows upper and lower case of ASCII alone.
    spellings = dict.fromkeys(
        (word,) if word.isascii() else (word, word.lower(), word.upper(), word.casefold())
    )
    conditions = [rf"{TEXT} LIKE ? ESCAPE '\'"] * len(spellings)
    values: list[object] = [f"%{_literally(each)}%" for each in spellings]
    for state in STATES:
        if word.casefold() in state:
            conditions.append("state = ?")
            values.append(state)
    if word.isascii() and word.isdigit() and len(word) < 19:
        conditions.append("transaction_id = ?")
        values.append(int(word))
    begun = _period(word)
    if begun is not None:
        conditions.append("(started_at >= ? AND started_at < ?)")
        values += begun
    return f"({' OR '.join(conditions)})", values


def _literally(word: str) -> str:
    for special in "\\%_":
        word = word.replace(special, "\\" + special)
    return word


def _period(word: str) -> tuple[int, int] | None:
    """Give the begin and the end of a year, month or day in UTC, in microseconds."""
    found = PERIOD.fullmatch(word)
    if found is None:
        return None
    year, month, day = (int(part or 0) for part in found.groups())
    try:
        begin = datetime(year, month or 1, day or 1, tzinfo=UTC)
    except ValueError:
        return None
    if day:
        end = begin + timedelta(days=1)
    elif month:
        end = (begin + timedelta(days=31)).replace(day=1)
    else:
        end = begin.replace(year=begin.year + 1)
    return micros(begin) or 0, micros(end) or 0


class Filter(NamedTuple):
    """Which transactions are wanted; None means any. Times are microseconds."""

    charger_id: str | None = None
    connector_id: int | None = None
    id_tag: str | None = None
    state: State | None = None
    since: int | None = None
    before: int | None = None
    text: str | None = None

    def where(self) -> tuple[str, list[object]]:
        """Give the condition and its parameters."""
        parts: list[tuple[str, object]] = [
            ("charger_id = ?", self.charger_id),
            ("connector_id = ?", self.connector_id),
            ("tag_key = ?", None if self.id_tag is None else tag_key(self.id_tag)),
            ("state = ?", self.state),
            ("started_at >= ?", self.since),
            ("started_at < ?", self.before),
        ]
        used = [(text, [value]) for text, value in parts if value is not None]
        used += [_holds(word) for word in (self.text or "").split()]
        params = [value for _, values in used for value in values]
        return " AND ".join(text for text, _ in used) or "1", params


def transactions(
    connection: sqlite3.Connection, where: str, params: Iterable[object] = ()
) -> list[Row]:
    """Read transactions, the open ones with the figures of their last reading.

    :param where: a condition of ours, never a charger's text
    """
    found = rows(connection, f"SELECT * FROM transactions WHERE {where}", tuple(params))
    for row in found:
        if row["state"] == "open":
            _bring_up_to_last_reading(connection, row)
    return found


def _bring_up_to_last_reading(connection: sqlite3.Connection, row: Row) -> None:
    last = connection.execute(LAST_READING, (row["transaction_id"],)).fetchone()
    if last is not None and last[0] >= (row["last_sample_at"] or 0):
        names = ("last_sample_at", "last_energy_wh", "power_w", "soc_percent", "last_sample_time")
        row.update(zip(names, last, strict=True))


def order(sort: str, now: int) -> str:
    """Give the ORDER BY of a column's name, with "-" before it for descending.

    Errors: UsageError for a name that no column has.
    """
    name = WORDS.get(sort, sort)  # type: ignore[call-overload]
    column = COLUMNS.get(name.removeprefix("-"))
    if column is None:
        raise UsageError(
            f"transactions have no order {sort!r}", hint=f"one of {', '.join((*WORDS, *COLUMNS))}"
        )
    way = "DESC" if name.startswith("-") else "ASC"
    return f"{column.format(now=now)} {way} NULLS LAST, sequence {way}"


AT_ONCE = 500  # rows named in one statement, which takes some ten thousand parameters at most


def page_of_transactions(
    connection: sqlite3.Connection, wanted: Filter, ordered: str, page: int, per_page: int
) -> tuple[list[Row], int]:
    """Read one page of transactions; gives it and the number of all.

    :param ordered: as `order` gives it
    """
    where, params = wanted.where()
    # Sorted are numbers alone: what a page needs of the rest is read for its rows only.
    found = connection.execute(
        f"SELECT sequence FROM transactions WHERE {where} ORDER BY {ordered} LIMIT ? OFFSET ?",
        [*params, per_page, (page - 1) * per_page],
    )
    sequences = [row[0] for row in found]
    total = len(sequences)
    if page > 1 or total == per_page:
        total = scalar(connection, f"SELECT count(*) FROM transactions WHERE {where}", params)
    by_sequence: dict[int, Row] = {}
    for first in range(0, len(sequences), AT_ONCE):
        some = sequences[first : first + AT_ONCE]
        marks = ", ".join("?" * len(some))
        for row in transactions(connection, f"sequence IN ({marks})", some):
            by_sequence[row["sequence"]] = row
    return [by_sequence[each] for each in sequences], int(total)


def open_transactions(
    connection: sqlite3.Connection, charger_id: str | None, key: str | None
) -> list[Row]:
    """Read open transactions, the oldest first.

    :param key: of a tag, as `tag_key` gives it
    """
    where, params = "state = 'open'", []  # as the partial index has it
    if charger_id is not None:
        where += " AND charger_id = ?"
        params.append(charger_id)
    if key is not None:
        where += " AND tag_key = ?"
        params.append(key)
    return transactions(connection, where + " ORDER BY sequence", params)


def readings(connection: sqlite3.Connection, transaction_id: int) -> list[Row]:
    """Read a transaction's readings in the order in which they came."""
    return rows(
        connection,
        "SELECT sequence, at, origin, inferred, flags, raw FROM readings"
        " WHERE transaction_id = ? ORDER BY sequence",
        (transaction_id,),
    )


Stored = tuple[Row, list[Row], list[Row]]
Known = tuple[Row | None, list[Row], list[Row]]


NEVER_SEEN = """
    SELECT NOT EXISTS (SELECT 1 FROM chargers WHERE charger_id = :charger_id)
        AND NOT EXISTS (SELECT 1 FROM connectors WHERE charger_id = :charger_id)
        AND NOT EXISTS (
            SELECT 1 FROM transactions WHERE charger_id = :charger_id AND state = 'open'
        )
"""


def charger(connection: sqlite3.Connection, charger_id: str) -> Known:
    """Read a charger's row, its connectors and its open transactions, as of one moment.

    The connection is in no transaction. One for all three reads halves their time,
    of which each handshake has its part; of one never seen, one read says that.
    """
    of_charger = (charger_id,)
    if connection.execute(NEVER_SEEN, {"charger_id": charger_id}).fetchone()[0]:
        return None, [], []
    connection.execute("BEGIN")
    try:
        found = rows(connection, "SELECT * FROM chargers WHERE charger_id = ?", of_charger)
        connectors = rows(connection, "SELECT * FROM connectors WHERE charger_id = ?", of_charger)
        open_rows = open_transactions(connection, charger_id, None)
    finally:
        connection.execute("ROLLBACK")
    return (found[0] if found else None, connectors, open_rows)


def is_kept(connection: sqlite3.Connection, charger_id: str) -> bool:
    """Tell whether a charger has a row: it has come, and was not forgotten."""
    sql = "SELECT EXISTS (SELECT 1 FROM chargers WHERE charger_id = ?)"
    return bool(scalar(connection, sql, (charger_id,)))


def latest_chargers(connection: sqlite3.Connection, limit: int) -> list[str]:
    """List the chargers heard of last, the latest first."""
    found = connection.execute(
        "SELECT charger_id FROM chargers ORDER BY last_seen_at DESC LIMIT ?", (limit,)
    )
    return [row[0] for row in found]


def chargers(connection: sqlite3.Connection, charger_ids: Sequence[str]) -> list[Stored]:
    """Read some chargers in the order given, with connectors and open transactions.

    :param charger_ids: some hundred at most; those without a row are left out
    """
    among = f"charger_id IN ({', '.join('?' * len(charger_ids))})"
    found = rows(connection, f"SELECT * FROM chargers WHERE {among}", charger_ids)
    connectors = _by_charger(
        rows(connection, f"SELECT * FROM connectors WHERE {among}", charger_ids)
    )
    charging = _by_charger(
        transactions(connection, f"state = 'open' AND {among} ORDER BY sequence", charger_ids)
    )
    by_id = {row["charger_id"]: row for row in found}
    return [(by_id[one], connectors[one], charging[one]) for one in charger_ids if one in by_id]


def _by_charger(found: Iterable[Row]) -> defaultdict[str, list[Row]]:
    grouped: defaultdict[str, list[Row]] = defaultdict(list)
    for row in found:
        grouped[row["charger_id"]].append(row)
    return grouped


def charger_ids(connection: sqlite3.Connection, *, latest: int | None = None) -> list[str]:
    """List all chargers that anything is known of, by name.

    :param latest: only so many, those that were heard of last
    """
    found = connection.execute(
        f"{KNOWN} SELECT charger_id FROM known LEFT JOIN chargers USING (charger_id) ORDER BY max("
        "coalesce(last_seen_at, 0), coalesce((SELECT max(started_at) FROM transactions AS t"
        " WHERE t.charger_id = known.charger_id), 0)) DESC LIMIT ?",
        (-1 if latest is None else latest,),
    )
    return sorted(row[0] for row in found)


def summary(connection: sqlite3.Connection) -> list[Row]:
    """Sum up each charger: sessions, energy, last stop, last error, whether it has a fault."""
    return rows(connection, SUMMARY)


def errors(
    connection: sqlite3.Connection, charger_id: str | None, since: int | None, limit: int
) -> list[Row]:
    """Read reported faults, the latest first."""
    where = "1"
    params: list[object] = []
    if charger_id is not None:
        where += " AND charger_id = ?"
        params.append(charger_id)
    if since is not None:
        where += " AND at >= ?"
        params.append(since)
    return rows(
        connection,
        f"SELECT * FROM errors WHERE {where} ORDER BY at DESC, error_id DESC LIMIT ?",
        [*params, limit],
    )


def scalar(connection: sqlite3.Connection, sql: str, params: Sequence[object] = ()) -> Any:
    """Read one value."""
    return connection.execute(sql, params).fetchone()[0]


def closings(connection: sqlite3.Connection, transaction_id: int) -> list[Row]:
    """Read when and why we closed a transaction ourselves."""
    return rows(
        connection,
        "SELECT why, at FROM closings WHERE transaction_id = ? ORDER BY closing_id",
        (transaction_id,),
    )
