"""A world without sockets, disks and clocks for the core of the proxy.

A charger, a local central system with its disk, a network and a remote, all driven by
one seeded scheduler. What differs from the real thing is only that time, frames and
commits wait until they are told to go on, and that everything can be killed.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase

import msgspec

from gway.projects.ocpp.proxy import payloads
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
)

EPOCH = datetime(2027, 1, 1, tzinfo=UTC)
_decode = msgspec.json.decode


class FakeClock:
    """Time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def utc(self) -> datetime:
        return EPOCH + timedelta(seconds=self.now)


class Disk:
    """A disk with one writer: units wait, are committed in order, or die with the process."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[Callable[[], None], Done]] = deque()
        self.full = False

    def submit(self, apply: Callable[[], None], done: Done) -> None:
        self.waiting.append((apply, done))

    def commit(self) -> None:
        """Make durable what waits, then tell those who wait for it."""
        batch = list(self.waiting)
        self.waiting.clear()
        if self.full:
            for _, done in batch:
                done(OSError("no space left"))
            return
        for apply, _ in batch:
            apply()
        for _, done in batch:
            done(None)

    def kill(self) -> None:
        self.waiting.clear()


class MemoryStore:
    """The proxy's store as its contract says, in dicts; what is in them is durable."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.sequence = 0
        self.rows: dict[str, dict[int, Row]] = {}
        self.dead: dict[int, Row] = {}
        self.errors: dict[int, str] = {}
        self.digests: dict[tuple[str, int], int] = {}
        self.newest: dict[str, int] = {}
        self.maps: dict[tuple[str, int], int] = {}
        self.back: dict[tuple[str, int], int] = {}
        self.stops: dict[str, set[int]] = {}
        self.known: dict[str, Registration] = {}
        self.newest_of: dict[tuple[str, str], Latest] = {}
        self.told: dict[tuple[str, str], int] = {}
        self.tags: dict[str, str] = {}
        self.reservations: dict[tuple[str, int], int] = {}
        self.findings: list[Finding] = []
        self.possible_duplicates = 0
        self.sent: dict[str, int] = {}
        self.expected: set[tuple[str, str]] = set()

    # --- what intake does, inside a unit of the domain ---

    def put(self, charger_id: str, local_tx: int | None, action: str, payload: bytes) -> None:
        key = (charger_id, payloads.digest(action, payload))
        if key in self.digests:
            return
        self.sequence += 1
        sequence = self.digests[key] = self.sequence
        row = Row(sequence, charger_id, local_tx, action, payload, f"m-{sequence}")
        self.rows.setdefault(charger_id, {})[sequence] = row
        if action == "StopTransaction" and local_tx is not None:
            self.stops.get(charger_id, set()).discard(local_tx)

    def put_latest(self, charger_id: str, kind: str, action: str, payload: bytes) -> None:
        old = self.newest_of.get((charger_id, kind))
        is_expected = (charger_id, kind) in self.expected
        self.expected.discard((charger_id, kind))
        if is_expected and kind == "Boot":
            self.known.pop(charger_id, None)
        elif is_expected or old is None or old.payload != payload:
            version = old.version + 1 if old else 1
            latest = Latest(kind, action, payload, version, self.sequence)
            self.newest_of[charger_id, kind] = latest

    # --- Store ---

    def window(self, charger_id: str, limit: int) -> list[Row]:
        rows = self.rows.get(charger_id)
        if not rows:
            return []
        if limit == 1:
            return [rows[next(iter(rows))]]
        return list(rows.values())[:limit]

    def latest(self, charger_id: str) -> list[Latest]:
        return [
            one
            for (charger, kind), one in self.newest_of.items()
            if charger == charger_id
            and (kind == "Boot" or self.told.get((charger, kind), 0) < one.version)
        ]

    def registration(self, charger_id: str) -> Registration:
        known = self.known.get(charger_id, Registration())
        return msgspec.structs.replace(known, sent=self.sent.get(charger_id, 0))

    def remote_tx(self, charger_id: str, local_tx: int) -> int | None:
        return self.maps.get((charger_id, local_tx))

    def local_tx(self, charger_id: str, remote_tx: int) -> int | None:
        if remote_tx <= 0 and list(self.maps.values()).count(remote_tx) > 1:
            return None
        return self.back.get((charger_id, remote_tx))

    def start_is_dead(self, charger_id: str, local_tx: int) -> bool:
        return any(
            row.action == "StartTransaction" and row.local_tx == local_tx
            for row in self.dead.values()
            if row.charger_id == charger_id
        )

    def stops_wanted(self, charger_id: str) -> list[int]:
        return sorted(self.stops.get(charger_id, ()))

    def local_reservation(self, charger_id: str, remote_id: int) -> int | None:
        return self.reservations.get((charger_id, remote_id))

    def remote_reservation(self, charger_id: str, local_id: int) -> int | None:
        found = [
            r for (c, r), own in self.reservations.items() if (c, own) == (charger_id, local_id)
        ]
        return found[0] if found else None

    def next_reservation(self, charger_id: str) -> int:
        return 2**30 + len(self.reservations)

    def commit(self, charger_id: str, changes: Sequence[Change], done: Done) -> None:
        self.disk.submit(lambda: self.apply(charger_id, changes), done)

    def apply(self, charger_id: str, changes: Sequence[Change]) -> None:
        for change in changes:
            self.apply_one(charger_id, change)

    def apply_one(self, charger_id: str, change: Change) -> None:
        if isinstance(change, Delivered):
            self.delivered(charger_id, change)
        elif isinstance(change, Sent):
            self.sent[charger_id] = change.sequence
        elif isinstance(change, Failed):
            self.not_sent(charger_id, change.sequence)
            rows = self.rows.get(charger_id, {})
            row = rows.get(change.sequence)
            self.possible_duplicates += change.resent
            if row is not None:
                rows[change.sequence] = msgspec.structs.replace(
                    row, attempts=change.attempts, last_error=change.error
                )
        elif isinstance(change, Dead):
            self.bury(charger_id, change)
        elif isinstance(change, LatestDelivered):
            self.told[charger_id, change.kind] = change.version
        elif isinstance(change, Expected):
            self.expect(charger_id, change)
        elif isinstance(change, BootAccepted):
            self.known[charger_id] = Registration(change.digest, change.interval_s)
        elif isinstance(change, TagWord):
            self.tags[change.id_tag.lower()] = change.status
        elif isinstance(change, StopAsked):
            self.stops.get(charger_id, set()).discard(change.local_tx)
        elif isinstance(change, ReservationGiven):
            self.reservations[charger_id, change.remote_id] = change.local_id
        else:
            self.findings.append(change)

    def delivered(self, charger_id: str, change: Delivered) -> None:
        row = change.row
        self.rows.get(charger_id, {}).pop(row.sequence, None)
        before = self.newest.get(charger_id)
        self.newest[charger_id] = row.sequence
        if before is not None:
            self.digests = {k: v for k, v in self.digests.items() if v != before}
        if change.remote_tx is not None and row.local_tx is not None:
            self.maps[charger_id, row.local_tx] = change.remote_tx
            self.back[charger_id, change.remote_tx] = row.local_tx
            if change.stop_wanted and not any(
                one.action == "StopTransaction" and one.local_tx == row.local_tx
                for one in self.rows.get(charger_id, {}).values()
            ):
                self.stops.setdefault(charger_id, set()).add(row.local_tx)

    def expect(self, charger_id: str, change: Expected) -> None:
        kinds = [kind for charger, kind in self.newest_of if charger == charger_id]
        for kind in kinds:
            if fnmatchcase(kind, change.kind):
                known = (charger_id, kind)
                (self.expected.add if change.expected else self.expected.discard)(known)

    def not_sent(self, charger_id: str, sequence: int) -> None:
        if self.sent.get(charger_id) == sequence:
            del self.sent[charger_id]

    def bury(self, charger_id: str, change: Dead) -> None:
        self.not_sent(charger_id, change.row.sequence)
        rows = self.rows.get(charger_id, {})
        for row in list(rows.values()):
            of_it = change.followers and row.local_tx == change.row.local_tx
            if row.sequence == change.row.sequence or of_it:
                self.dead[row.sequence] = rows.pop(row.sequence)
                is_first = row.sequence == change.row.sequence
                self.errors[row.sequence] = change.error if is_first else change.error_of_followers

    def waiting(self) -> list[Row]:
        return [row for rows in self.rows.values() for row in rows.values()]


class Remote:
    """A central system that deduplicates by content, like ours; all it keeps is durable.

    :ivar faults: what a proxy must never do, as sentences
    """

    def __init__(self, first_id: int, *, deduplicates: bool = True) -> None:
        self.next_id = first_id
        self.deduplicates = deduplicates
        self.booted: set[str] = set()
        self.ever_booted: set[str] = set()
        self.starts: dict[tuple[object, ...], int] = {}
        self.transactions: dict[int, dict[str, object]] = {}
        self.message_ids: dict[tuple[str, str, str], str] = {}
        self.refused: set[str] = set()
        self.poison: set[str] = set()
        self.statuses: dict[str, str] = {}
        self.faults: list[str] = []

    def answer(self, charger_id: str, message_id: str, action: str, text: bytes) -> bytes:
        """Serve a CALL and give its answer."""
        payload = _decode(text)
        if action == "BootNotification":
            self.booted.add(charger_id)
            self.ever_booted.add(charger_id)
            return self.result(
                message_id,
                {"status": "Accepted", "interval": 300, "currentTime": "2027-01-01T00:00:00Z"},
            )
        if charger_id not in self.booted:
            if charger_id not in self.ever_booted:  # else it forgot, which happens
                self.faults.append(f"{action} before the boot was accepted")
            return self.error(message_id, "SecurityError")
        handler = getattr(self, "on_" + action, None)
        if handler is None:
            return self.result(message_id, {})
        if any(word in text.decode() for word in self.poison):
            return self.error(message_id, "FormationViolation")
        self.check_message_id(charger_id, message_id, action, payload)
        return self.result(message_id, handler(charger_id, payload))

    def check_message_id(
        self, charger_id: str, message_id: str, action: str, payload: dict[str, object]
    ) -> None:
        if action == "StatusNotification":
            return  # it does not stay: each telling is a new message
        content = payload.get("meterValue", payload.get("timestamp"))
        known = self.message_ids.setdefault((charger_id, action, str(content)), message_id)
        if known != message_id:
            self.faults.append(f"{action} {content} came as {known} and as {message_id}")

    def on_StartTransaction(self, charger_id: str, start: dict) -> dict:
        key = (
            charger_id,
            start["connectorId"],
            start["idTag"].lower(),
            start["meterStart"],
            start["timestamp"],
        )
        known = self.starts.get(key) if self.deduplicates else None
        if known is None:
            known = self.starts[key] = self.next_id
            self.next_id += 1
            self.transactions[known] = {"start": key, "samples": [], "stop": None}
        status = "Blocked" if start["idTag"] in self.refused else "Accepted"
        return {"transactionId": known, "idTagInfo": {"status": status}}

    def on_MeterValues(self, charger_id: str, meter: dict) -> dict:
        transaction = self.find(charger_id, meter.get("transactionId"))
        if transaction is None:
            self.faults.append(f"samples of an unknown transaction: {meter}")
            return {}
        sample = str(meter["meterValue"])
        if self.deduplicates and sample in transaction["samples"]:
            return {}
        if transaction["stop"] is not None:
            self.faults.append(f"samples after the stop: {meter}")
        transaction["samples"].append(sample)
        return {}

    def on_StopTransaction(self, charger_id: str, stop: dict) -> dict:
        transaction = self.find(charger_id, stop["transactionId"])
        words = (stop["meterStop"], stop["timestamp"])
        if transaction is None:
            self.faults.append(f"stop of an unknown transaction: {stop}")
        elif transaction["stop"] is None:
            transaction["stop"] = words
        elif transaction["stop"] != words or not self.deduplicates:
            self.faults.append(f"a second stop: {words} after {transaction['stop']}")
        return {}

    def on_StatusNotification(self, charger_id: str, status: dict) -> dict:
        self.statuses[charger_id] = status["timestamp"]
        for transaction in self.transactions.values():
            start = transaction["start"]
            is_before = start[0] == charger_id and start[4] < status["timestamp"]
            if is_before and transaction["stop"] is None and not self.poison:
                self.faults.append(f"free at {status['timestamp']}, but {start} goes on")
        return {}

    def find(self, charger_id: str, transaction_id: object) -> dict | None:
        found = self.transactions.get(transaction_id)
        return found if found and found["start"][0] == charger_id else None

    def result(self, message_id: str, payload: dict[str, object]) -> bytes:
        return msgspec.json.encode([3, message_id, payload])

    def error(self, message_id: str, code: str) -> bytes:
        return msgspec.json.encode([4, message_id, code, "", {}])

    def ledger(self) -> list[tuple[object, ...]]:
        """List what it knows of transactions, to be compared."""
        return sorted(
            (*one["start"], tuple(one["samples"]), one["stop"])
            for one in self.transactions.values()
        )
