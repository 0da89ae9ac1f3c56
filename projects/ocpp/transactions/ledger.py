"""The transactions of one charger, and the rules that change them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from types import MappingProxyType

from msgspec.structs import replace

from gway.projects.ocpp.facts import Reading, TagDecision, Transaction
from gway.projects.ocpp.transactions.rules import (
    HISTORICAL_AFTER,
    Flag,
    Why,
    energy_of,
    is_ahead,
    is_historical,
    is_valid_id,
    same_tag,
    time_flags,
    with_flags,
)
from gway.projects.ocpp.transactions.words import (
    Closing,
    Metered,
    MeterWords,
    Recall,
    Started,
    StartWords,
    StopKind,
    Stopped,
    StopWords,
)

RECENT = 4
_NONE: Mapping[int, Transaction] = MappingProxyType({})
_NOBODY_ASKED = Recall()


class Ledger:
    """Open transactions of one charger, and the last few that ended.

    Older ones are asked from `recall`. It holds no clock: `at` is the server's
    time of receipt.
    """

    __slots__ = ("_doubtful", "_open", "_recent", "charger_id", "recall")

    def __init__(
        self,
        charger_id: str,
        open_transactions: Iterable[Transaction] = (),
        recall: Recall = _NOBODY_ASKED,
    ) -> None:
        self.charger_id = charger_id
        self.recall = recall
        # An idle charger costs no dicts: they are made when something happens.
        self._open: Mapping[int, Transaction] = {
            one.transaction_id: one for one in open_transactions
        } or _NONE
        self._recent: Mapping[int, Transaction] = _NONE
        self._doubtful: frozenset[int] = frozenset()

    def __iter__(self) -> Iterator[Transaction]:
        """Go through the open transactions, oldest first."""
        return iter(tuple(self._open.values()))

    def __len__(self) -> int:
        return len(self._open)

    def on_connector(self, connector_id: int) -> Transaction | None:
        """Find the newest open transaction of a connector."""
        for transaction in reversed(tuple(self._open.values())):
            if transaction.connector_id == connector_id:
                return transaction
        return None

    def find(self, transaction_id: int) -> Transaction | None:
        """Find a transaction of this charger, open or ended; never another charger's."""
        known = self._open.get(transaction_id) or self._recent.get(transaction_id)
        if known is None and is_valid_id(transaction_id):
            known = self.recall.transaction(transaction_id)
        if known is None or known.charger_id != self.charger_id:
            return None
        return known

    # --- start ---

    def find_start(self, words: StartWords) -> Transaction | None:
        """Find the transaction that the same start began before, open or ended.

        A charger repeats a start until it gets an answer, with any message id.
        """
        for held in (self._open, self._recent):
            for one in held.values():
                if (
                    one.connector_id == words.connector_id
                    and one.meter_start_wh == words.meter_start_wh
                    and one.start_time_raw == words.time_raw
                    and same_tag(one.id_tag, words.id_tag)
                ):
                    return one
        return self.recall.start(self.charger_id, words)

    def start(
        self, words: StartWords, decision: TagDecision, transaction_id: int, at: datetime
    ) -> Started:
        """Begin a transaction; a refused tag gets a real one too (SPEC 4.8)."""
        closed = tuple(
            self._close(one, Why.NEXT_START, at)
            for one in self
            if one.connector_id == words.connector_id and _began_before(one, words.time)
        )
        transaction = Transaction(
            transaction_id=transaction_id,
            charger_id=self.charger_id,
            connector_id=words.connector_id,
            id_tag=words.id_tag,
            meter_start_wh=words.meter_start_wh,
            start_time=words.time,
            start_time_raw=words.time_raw,
            started_at=at,
            reservation_id=words.reservation_id,
            tag_status=decision.status,
            tag_reason=decision.reason,
            parent_id_tag=decision.parent_id_tag,
            flags=with_flags(words.flags, *time_flags(words.time, None, at)),
        )
        self._hold(transaction)
        return Started(transaction, closed)

    # --- meter values ---

    def meter(self, words: MeterWords, at: datetime) -> Metered:
        """Give meter values to their transaction, named or matched by connector."""
        inferred = words.transaction_id is None or not is_valid_id(words.transaction_id)
        if inferred:
            transaction = self._charging(words.connector_id, words.time)
            orphan = words.transaction_id is not None and transaction is None
        else:
            transaction = self.find(words.transaction_id or 0)
            orphan = transaction is None
        flags = words.flags
        if words.time is None or at - words.time > HISTORICAL_AFTER:
            flags = with_flags(flags, *time_flags(words.time, None, at))
        revised = False
        if transaction is not None:
            revised = transaction.state == "inferred"
            flags, transaction = self._advance(transaction, words, flags, at)
        reading = Reading(
            charger_id=self.charger_id,
            connector_id=words.connector_id,
            transaction_id=None if transaction is None else transaction.transaction_id,
            inferred=inferred and transaction is not None,
            raw=words.raw,
            samples_time=words.time,
            at=at,
            energy_wh=words.energy_wh,
            power_w=words.power_w,
            soc_percent=words.soc_percent,
            flags=flags,
        )
        why = f"transaction {words.transaction_id} is not known here" if orphan else ""
        return Metered(reading, transaction, why, revised)

    def _charging(self, connector_id: int, time: datetime | None) -> Transaction | None:
        """Find what a connector was charging at a time."""
        for transaction in reversed(tuple(self._open.values())):
            if transaction.connector_id == connector_id and _began_before(transaction, time):
                return transaction
        return None

    def _advance(
        self, transaction: Transaction, words: MeterWords, flags: tuple[str, ...], at: datetime
    ) -> tuple[tuple[str, ...], Transaction]:
        """Bring a transaction up to its newest sample."""
        if transaction.state == "stopped":
            return with_flags(flags, Flag.AFTER_STOP), transaction
        live = Flag.HISTORICAL not in flags
        last = _last_heard(transaction)
        newer = words.time is None or last is None or words.time >= last
        if not newer:
            flags = with_flags(flags, Flag.TIME_ORDER)
        energy_wh = transaction.last_energy_wh
        if newer and words.energy_wh is not None:
            energy_wh = words.energy_wh
        power_w, soc_percent = transaction.power_w, transaction.soc_percent
        if newer and live:
            power_w = words.power_w if words.power_w is not None else power_w
            soc_percent = words.soc_percent if words.soc_percent is not None else soc_percent
        transaction = replace(
            transaction,
            last_energy_wh=energy_wh,
            power_w=power_w,
            soc_percent=soc_percent,
            last_sample_at=at,
            last_sample_time=words.time if newer and words.time is not None else last,
        )
        if transaction.state == "inferred":
            transaction = self._reconsider(transaction, live=live)
        if transaction.state == "open":
            self._hold(transaction)
            if self._doubtful and live:
                self._doubtful -= {transaction.transaction_id}
        else:
            self._remember(transaction)
        return flags, transaction

    def _reconsider(self, transaction: Transaction, *, live: bool) -> Transaction:
        """Reopen what we had given up when it still charges, else count its last sample."""
        if live and self.on_connector(transaction.connector_id) is None:
            return replace(
                transaction,
                state="open",
                meter_stop_wh=None,
                stop_time=None,
                stopped_at=None,
                energy_wh=None,
                energy_source="",
                flags=with_flags(transaction.flags, Flag.REOPENED),
            )
        return _estimated(transaction)

    # --- stop ---

    def stop(self, words: StopWords, at: datetime) -> Stopped:
        """End a transaction; the first stop wins and every stop is answered."""
        flags = words.flags
        if is_valid_id(words.transaction_id):
            transaction = self.find(words.transaction_id)
            reason = f"transaction {words.transaction_id} is not known here"
        else:
            # The charger never got our answer to its start (errata 3.18).
            transaction, reason = self._match_stop(words)
            flags = with_flags(flags, Flag.ID_MATCHED)
        if transaction is None:
            return Stopped(StopKind.ORPHAN, reading=self._data(words, None, at), reason=reason)
        if transaction.state == "stopped":
            if _same_stop(transaction, words):
                return Stopped(StopKind.REPEAT, transaction)
            why = f"transaction {transaction.transaction_id} was stopped otherwise before"
            transaction = replace(
                transaction, flags=with_flags(transaction.flags, Flag.CONFLICTING_STOP)
            )
            self._remember(transaction)
            return Stopped(StopKind.CONFLICT, transaction, self._data(words, transaction, at), why)
        reading = self._data(words, transaction, at)
        stopped = _stopped(transaction, words, reading, flags, at)
        self._remember(stopped)
        return Stopped(StopKind.STOPPED, stopped, reading)

    def _match_stop(self, words: StopWords) -> tuple[Transaction | None, str]:
        for one in self._recent.values():
            if one.state == "stopped" and _same_stop(one, words):
                return one, ""
        ended = self.recall.stop(self.charger_id, words)
        if ended is not None and _same_stop(ended, words):
            return ended, ""
        fitting = [
            one
            for one in self._open.values()
            if _began_before(one, words.time)
            and one.meter_start_wh <= words.meter_stop_wh
            and (words.id_tag is None or same_tag(one.id_tag, words.id_tag))
        ]
        if len(fitting) == 1:
            return fitting[0], ""
        return None, f"{len(fitting) or 'no'} open transactions fit a stop without an id"

    def _data(
        self, words: StopWords, transaction: Transaction | None, at: datetime
    ) -> Reading | None:
        data = words.data
        if data is None:
            return None
        return Reading(
            charger_id=self.charger_id,
            connector_id=0 if transaction is None else transaction.connector_id,
            transaction_id=None if transaction is None else transaction.transaction_id,
            inferred=False,
            raw=data.raw,
            samples_time=data.time,
            at=at,
            energy_wh=data.energy_wh,
            power_w=data.power_w,
            soc_percent=data.soc_percent,
            origin="transactionData",
            flags=data.flags,
        )

    # --- closed without a stop ---

    def booted(self) -> None:
        """Doubt what is open: a restarted charger may have lost it.

        Many chargers send a BootNotification on every reconnect, in the middle of
        charging, so a boot alone closes nothing; a connector that then says it is
        free does.
        """
        self._doubtful = frozenset(self._open)

    def connector_says(
        self, connector_id: int, status: str, time: datetime | None, at: datetime
    ) -> tuple[Closing, ...]:
        """Close what cannot be charging any more by a connector's status."""
        if connector_id == 0 or not self._open or is_historical(time, at):
            return ()
        return tuple(
            self._close(one, Why.AVAILABLE if status == "Available" else Why.BOOT, at)
            for one in self
            if one.connector_id == connector_id
            and _began_before(one, time)
            and (
                status == "Available"
                or (status == "Preparing" and one.transaction_id in self._doubtful)
            )
        )

    def close_open(self, at: datetime, why: Why = Why.OPERATOR) -> tuple[Closing, ...]:
        """Close every open transaction."""
        return tuple(self._close(one, why, at) for one in self)

    def _close(self, transaction: Transaction, why: Why, at: datetime) -> Closing:
        closed = _estimated(
            replace(
                transaction,
                state="inferred",
                stopped_at=at,
                flags=with_flags(transaction.flags, why.flag),
            )
        )
        self._remember(closed)
        return Closing(closed, why)

    # --- keeping ---

    def _hold(self, transaction: Transaction) -> None:
        if not isinstance(self._open, dict):
            self._open = {}
        self._open[transaction.transaction_id] = transaction
        if transaction.transaction_id in self._recent:
            self._recent = {
                key: one for key, one in self._recent.items() if key != transaction.transaction_id
            }

    def _remember(self, transaction: Transaction) -> None:
        """Move a transaction to those that ended."""
        if isinstance(self._open, dict):
            self._open.pop(transaction.transaction_id, None)
            self._open = self._open or _NONE
        if not isinstance(self._recent, dict):
            self._recent = {}
        self._recent.pop(transaction.transaction_id, None)
        self._recent[transaction.transaction_id] = transaction
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]


def _began_before(transaction: Transaction, time: datetime | None) -> bool:
    """Tell whether a transaction can have been running at a time; unknown times can.

    A start that came before its own time was told by a clock that lies: all that can be
    said of it is that it is over when the next one comes.
    """
    began = transaction.start_time
    return time is None or began is None or began <= time or is_ahead(began, transaction.started_at)


def _last_heard(transaction: Transaction) -> datetime | None:
    """Give the time of the newest sample, or of the start; None if its clock ran ahead.

    One sample from the year 2099 must not make all that follow look old.
    """
    last = transaction.last_sample_time or transaction.start_time
    heard_at = transaction.last_sample_at or transaction.started_at
    return None if last is not None and is_ahead(last, heard_at) else last


def _same_stop(transaction: Transaction, words: StopWords) -> bool:
    return (
        transaction.meter_stop_wh == words.meter_stop_wh
        and transaction.stop_time_raw == words.time_raw
    )


def _estimated(transaction: Transaction) -> Transaction:
    """Count the energy up to the best register seen."""
    best = transaction.last_energy_wh
    known = best is not None and best >= transaction.meter_start_wh
    return replace(
        transaction,
        meter_stop_wh=best,
        stop_time=transaction.last_sample_time,
        energy_wh=best - transaction.meter_start_wh if known and best is not None else None,
        energy_source="last sample" if known else "",
    )


def _stopped(
    transaction: Transaction,
    words: StopWords,
    reading: Reading | None,
    flags: tuple[str, ...],
    at: datetime,
) -> Transaction:
    """Write the charger's stop into a transaction."""
    energy_wh, source = energy_of(transaction, words.meter_stop_wh, reading)
    latest = transaction.last_sample_time or transaction.start_time
    flags = with_flags(transaction.flags, *flags, *time_flags(words.time, latest, at))
    if words.reason is None:
        flags = with_flags(flags, Flag.REASON_IMPLIED)
    if words.meter_stop_wh < transaction.meter_start_wh:
        flags = with_flags(flags, Flag.METER_BACKWARDS)
    elif words.meter_stop_wh < (transaction.last_energy_wh or 0):
        flags = with_flags(flags, Flag.BELOW_SAMPLES)
    if transaction.state == "inferred":
        flags = with_flags(flags, Flag.LATE_STOP)
    return replace(
        transaction,
        state="stopped",
        stop_id_tag=words.id_tag,
        meter_stop_wh=words.meter_stop_wh,
        stop_time=words.time,
        stop_time_raw=words.time_raw,
        stopped_at=at,
        stop_reason=words.reason or "Local",  # SPEC 6.49: the default when it is left out
        energy_wh=energy_wh,
        energy_source=source,
        power_w=None,
        flags=flags,
    )
