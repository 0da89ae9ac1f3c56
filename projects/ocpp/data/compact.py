"""Takes away what nobody looks at any more, a little at a time, while a server goes on.

What is charged, by whom and when is never touched: transactions, their corrections and
closings, orphans and energy by hour stay, and each transaction's first and last samples.
Each batch is one commit of a few milliseconds that also counts what it removed, so that a
missing row is told from one that was removed, and an end at any moment loses nothing.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from typing import NamedTuple, TypeVar

import msgspec

from gway.projects.ocpp.data.records import Records
from gway.projects.ocpp.data.samples import DEFAULTS, number
from gway.projects.sql.database import Database

AT_ONCE = 20  # transactions in one commit
ROWS_AT_ONCE = 500
LEAST_PAUSE_S = 0.005
POWER = "Power."
PERIODIC = "Sample.Periodic"

CANDIDATES = """
SELECT sequence, transaction_id FROM transactions LEFT JOIN thinned USING (transaction_id)
WHERE sequence > ? AND state <> 'open' AND stopped_at < ?
    AND coalesce(keep_every_s < ?, 1)
ORDER BY sequence LIMIT ?
"""
READINGS = """
SELECT sequence, coalesce(samples_time, at), flags, raw FROM readings
WHERE transaction_id = ? AND origin = 'MeterValues' ORDER BY sequence
"""
# Whether it is still closed is asked in the very commit: a late stop may open it again.
REMOVE = """
DELETE FROM readings WHERE sequence = ?1
    AND EXISTS (SELECT 1 FROM transactions WHERE transaction_id = ?2 AND state <> 'open')
"""
NOTE_THINNED = """
INSERT INTO thinned (transaction_id, keep_every_s, removed, at) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (transaction_id) DO UPDATE
    SET keep_every_s = ?2, removed = removed + ?3, at = ?4
"""
NOTE_PRUNED = """
INSERT INTO pruned (name, removed, at) VALUES (?1, ?2, ?3)
ON CONFLICT (name) DO UPDATE SET removed = removed + ?2, at = ?3
"""

T = TypeVar("T")
Advance = Callable[[int], None]


class Kind(NamedTuple):
    """A table of what happened, of which old rows may go.

    :param what: the rows, in words
    :param only: a condition for those that may go
    """

    what: str
    table: str
    key: str
    time: str
    only: str = "1"
    first: object = 0


HISTORY = (
    Kind("connections that ended", "connections", "connection_id", "connected_at",
         "code IS NOT NULL"),
    Kind("boots", "boots", "boot_id", "at"),
    Kind("tag checks", "tag_checks", "tag_check_id", "at"),
    Kind("commands", "commands", "command_id", "queued_at", first=""),
    Kind("other messages", "notices", "notice_id", "at"),
    Kind("security events", "security_events", "security_event_id", "at"),
    Kind("faults, but each charger's last", "errors", "error_id", "at",
         "at < (SELECT max(at) FROM errors AS e WHERE e.charger_id = errors.charger_id)"),
    Kind("status changes, but each connector's last", "status_changes", "status_change_id", "at",
         "at < (SELECT max(at) FROM status_changes AS s WHERE s.charger_id ="
         " status_changes.charger_id AND s.connector_id = status_changes.connector_id)"),
    Kind("meter values that belong to no transaction", "readings", "sequence", "at",
         "transaction_id IS NULL"),
)  # fmt: skip


class Thinned(NamedTuple):
    """What a thinning took away, or would."""

    transactions: int = 0
    removed: int = 0
    text_bytes: int = 0

    def plus(self, other: Thinned) -> Thinned:
        return Thinned(*(one + two for one, two in zip(self, other, strict=True)))


class Message(NamedTuple):
    """A stored MeterValues message, as the question whether it may go needs it."""

    sequence: int
    time: int
    flags: str
    raw: str


class Sampled(msgspec.Struct, gc=False):
    """What of a sampled value decides whether it may go; with the defaults of SPEC 7."""

    value: str
    context: str = PERIODIC
    measurand: str = DEFAULTS["measurand"]
    unit: str = "Wh"
    phase: str = ""
    location: str = DEFAULTS["location"]


class MeterValue(msgspec.Struct, gc=False):
    """The samples of one moment, as they stand in a message."""

    sampledValue: list[Sampled]


CONTENT = msgspec.json.Decoder(list[MeterValue])  # a tenth of the time of `samples_of`


class Compaction:
    """Thins the samples of ended transactions, and takes away old history.

    :param now: microseconds since 1970
    :param dry_run: only count
    """

    def __init__(self, database: Database, records: Records, now: int, *, dry_run: bool) -> None:
        self._database = database
        self._records = records
        self._now = now
        self._dry_run = dry_run

    def thin(self, before: int, keep_every_s: int, advance: Advance) -> Thinned:
        """Take periodic samples out of the transactions that ended before a time.

        :param keep_every_s: one message stays in each time of this length; 0 keeps none
        """
        total, after = Thinned(), 0
        while True:
            asked = (after, before, keep_every_s, AT_ONCE)
            found = self._read(partial(_candidates, asked))
            if not found:
                return total
            after = found[-1][0]
            ids = [transaction_id for _, transaction_id in found]
            total = total.plus(self._thin_some(ids, keep_every_s))
            advance(len(found))

    def _thin_some(self, transaction_ids: Sequence[int], keep_every_s: int) -> Thinned:
        chosen = self._read(partial(_choose, transaction_ids, keep_every_s))
        if self._dry_run:
            return _counted(chosen)
        # The record has every sample, and keeps them: it is there before they go.
        self._records.make_missing([each for each, messages in chosen.items() if messages])
        return self._write(partial(self._remove, chosen, keep_every_s))

    def _remove(
        self, chosen: dict[int, list[Message]], keep_every_s: int, connection: sqlite3.Connection
    ) -> Thinned:
        total = Thinned()
        for transaction_id, messages in chosen.items():
            gone = [
                each
                for each in messages
                if connection.execute(REMOVE, (each.sequence, transaction_id)).rowcount
            ]
            if len(gone) == len(messages):
                noted = (transaction_id, keep_every_s, len(gone), self._now)
                connection.execute(NOTE_THINNED, noted)
            total = total.plus(_counted({transaction_id: gone}))
        connection.execute(NOTE_PRUNED, ("readings", total.removed, self._now))
        return total

    def prune(self, kind: Kind, before: int) -> int:
        """Take away the old rows of a table; gives their number."""
        where = f"{kind.time} < ? AND {kind.only}"
        if self._dry_run:
            counted = f"SELECT count(*) FROM {kind.table} WHERE {where}"
            return int(self._read(lambda one: one.execute(counted, (before,)).fetchone()[0]))
        found = f"SELECT {kind.key} FROM {kind.table} WHERE {where} ORDER BY {kind.key}"
        keys = self._read(lambda one: [row[0] for row in one.execute(found, (before,))])
        rest = iter(keys)
        while some := list(islice(rest, ROWS_AT_ONCE)):
            self._write(partial(self._remove_rows, kind, some))
        return len(keys)

    def _remove_rows(
        self, kind: Kind, keys: Sequence[object], connection: sqlite3.Connection
    ) -> None:
        marks = ", ".join("?" * len(keys))
        done = connection.execute(f"DELETE FROM {kind.table} WHERE {kind.key} IN ({marks})", keys)
        connection.execute(NOTE_PRUNED, (kind.table, done.rowcount, self._now))

    def count(self, before: int, keep_every_s: int) -> int:
        """Count the transactions to be looked at."""
        sql = f"SELECT count(*) FROM ({CANDIDATES})"
        asked = (0, before, keep_every_s, -1)
        return int(self._read(lambda one: one.execute(sql, asked).fetchone()[0]))

    def free_bytes(self) -> int:
        """Tell how much of the file holds nothing, and takes what comes next."""
        return int(
            self._read(
                lambda one: (
                    one.execute("PRAGMA freelist_count").fetchone()[0]
                    * one.execute("PRAGMA page_size").fetchone()[0]
                )
            )
        )

    def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return self._database.read(function)

    def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Commit one batch, then leave the disk to others for as long as that took."""
        began = time.monotonic()
        result = self._database.transact(function)
        time.sleep(max(LEAST_PAUSE_S, time.monotonic() - began))
        return result


def _candidates(asked: tuple[int, ...], connection: sqlite3.Connection) -> list[tuple[int, int]]:
    return connection.execute(CANDIDATES, asked).fetchall()


def _choose(
    transaction_ids: Iterable[int], keep_every_s: int, connection: sqlite3.Connection
) -> dict[int, list[Message]]:
    return {
        each: superfluous(
            [Message(*row) for row in connection.execute(READINGS, (each,))], keep_every_s
        )
        for each in transaction_ids
    }


def _counted(chosen: dict[int, list[Message]]) -> Thinned:
    gone = [message for messages in chosen.values() for message in messages]
    size = sum(len(message.raw) for message in gone)
    return Thinned(sum(1 for messages in chosen.values() if messages), len(gone), size)


def superfluous(messages: Sequence[Message], keep_every_s: int) -> list[Message]:
    """Choose the messages of a transaction that may go.

    The first and the last stay, in the order of coming and in that of time; what has
    a sample of another context than Sample.Periodic, a flag, or nothing readable; the
    highest power of each series; and one in each `keep_every_s` seconds.
    """
    if len(messages) <= 2:
        return []
    by_time = sorted(messages, key=lambda message: message.time)
    ends = (messages[0], messages[-1], by_time[0], by_time[-1])
    kept = {message.sequence for message in ends}
    contents = {message.sequence: content_of(message.raw) for message in messages}
    kept |= {message.sequence for message in messages if message.flags}
    kept |= {sequence for sequence, values in contents.items() if not _is_periodic(values)}
    kept |= set(_peaks(contents))
    last = by_time[0].time
    for message in by_time:
        if message.sequence not in kept and keep_every_s:
            if message.time - last < keep_every_s * 1_000_000:
                continue
            kept.add(message.sequence)
        if message.sequence in kept:
            last = message.time
    return [message for message in messages if message.sequence not in kept]


def content_of(raw: str) -> list[Sampled]:
    """Read the samples of a message; none when anything in it is not as it should be."""
    try:
        return [sampled for value in CONTENT.decode(raw) for sampled in value.sampledValue]
    except msgspec.DecodeError:
        return []


def _is_periodic(values: Sequence[Sampled]) -> bool:
    return bool(values) and all(each.context == PERIODIC for each in values)


def _peaks(contents: Mapping[int, Sequence[Sampled]]) -> Iterator[int]:
    """Give the message with the highest power of each series (measurand, phase, location)."""
    highest: dict[tuple[str, str, str], tuple[float, int]] = {}
    for sequence, values in contents.items():
        for each in values:
            value = number(each.value) if each.measurand.startswith(POWER) else None
            if value is None:
                continue
            watts = float(value) * (1000 if each.unit.startswith("k") else 1)
            series = (each.measurand, each.phase, each.location)
            if series not in highest or watts > highest[series][0]:
                highest[series] = (watts, sequence)
    return (sequence for _, sequence in highest.values())
