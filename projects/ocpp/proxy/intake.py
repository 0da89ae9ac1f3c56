"""Queues what the central system tells, for the remote.

A row of the outbox is put into the unit of the money fact's receipt: what happened and
what is to be told of it are stored together or not at all (P2).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import cast

import msgspec

from gway.projects.ocpp.data.codec import tag_key
from gway.projects.ocpp.facts import (
    Frame,
    Orphan,
    Purpose,
    SecurityEvent,
    TagDecision,
    TagStatus,
    Transaction,
)
from gway.projects.ocpp.messages.catalogue import CHARGE_POINT_ACTIONS
from gway.projects.ocpp.messages.codec import decode_request
from gway.projects.ocpp.messages.faults import Violation
from gway.projects.ocpp.messages.framing import Call, parse_frame
from gway.projects.ocpp.proxy.payloads import STORABLE
from gway.projects.ocpp.proxy.ports import TagWord
from gway.projects.ocpp.proxy.store import Store
from gway.projects.ocpp.receipts import Receipt
from gway.projects.sql.sql import Unit

log = logging.getLogger("ocpp.proxy")

TRUSTED = 10_000  # tags that the remote accepted lately
NO_TRANSACTION = -1  # of a message whose id nobody can have given: no map row ever fits
LATEST = ("BootNotification", "StatusNotification")
#: What is queued only if the settings say so (P5).
OPTIONAL = frozenset(
    {"DataTransfer", "DiagnosticsStatusNotification", "FirmwareStatusNotification"}
)


class _Named(msgspec.Struct, rename="camel"):
    transaction_id: int = NO_TRANSACTION
    connector_id: int = 0


class Intake:
    """Subscribes on behalf of one remote.

    :param also: actions that are queued beyond those about transactions, of `OPTIONAL`
    :ivar told: called with a charger id after a commit that gave its outlet something to
        send: the driver calls `Outlet.look` then
    :ivar admits: whether a charger was let in: of one that waits for approval the remote
        hears nothing
    :ivar forgotten: called with a charger id when nothing is known of it any more
    :ivar ask: asks the remote about a tag of a charger, at most two seconds; gives None
        when it is away
    """

    def __init__(self, store: Store, also: frozenset[str] = frozenset()) -> None:
        self.store = store
        self.also = also & OPTIONAL
        self._trusted: dict[str, None] = {}
        self.told: Callable[[str], None] = _nobody
        self.forgotten: Callable[[str], None] = _nobody
        self.admits: Callable[[str], bool] = _everybody
        self.ask: Callable[[str, str], TagWord | None] = _no_answer

    # --- money ------------------------------------------------------------------

    def transaction_started(self, transaction: Transaction, at: datetime, receipt: Receipt) -> None:
        """Queue a start."""
        self._queue(transaction.charger_id, transaction.transaction_id, at, receipt)

    def meter_values_received(
        self, transaction: Transaction | None, at: datetime, receipt: Receipt
    ) -> None:
        """Queue meter values, if they are of a transaction."""
        if transaction is not None:
            self._queue(transaction.charger_id, transaction.transaction_id, at, receipt)

    def transaction_stopped(self, transaction: Transaction, at: datetime, receipt: Receipt) -> None:
        """Queue a stop."""
        self._queue(transaction.charger_id, transaction.transaction_id, at, receipt)

    def orphan_kept(self, orphan: Orphan, receipt: Receipt) -> None:
        """Queue what fits no transaction here: a second stop is the remote's business too.

        What the remote never heard the start of becomes a dead letter when its turn comes.
        """
        if orphan.action == "StartTransaction":
            return  # our own failure; nothing was begun
        self._queue(orphan.charger_id, _named(orphan.payload).transaction_id, orphan.at, receipt)

    def security_event_reported(self, event: SecurityEvent, receipt: Receipt) -> None:
        """Queue an event of security; it is of no transaction."""
        self._queue(event.charger_id, None, event.at, receipt)

    def _queue(self, charger_id: str, local_tx: int | None, at: datetime, receipt: Receipt) -> None:
        with receipt.required():
            unit = cast("Unit", receipt.unit(self.store.database))
            self.store.put(unit, charger_id, local_tx, receipt.action, receipt.payload, at)
            unit.on_commit(partial(self._tell, charger_id))

    # --- the rest ---------------------------------------------------------------

    def frame(self, frame: Frame) -> None:
        """Note the newest Boot and statuses; queue what the settings say."""
        if frame.direction != "in" or not (frame.action in LATEST or frame.action in self.also):
            return
        if not self.admits(frame.charger_id):
            return
        call = parse_frame(frame.text)
        if not isinstance(call, Call):
            return
        try:
            decode_request(call.action, call.payload, CHARGE_POINT_ACTIONS)
        except Violation:
            return  # answered with an error: it was never said
        payload = bytes(call.payload)
        if call.action in LATEST:
            kind = "Boot"
            if call.action == "StatusNotification":
                kind = f"Status/{_named(payload).connector_id}"
            self.note_latest(frame.charger_id, kind, call.action, payload)
        else:
            unit = self.store.database.unit()
            put = (unit, frame.charger_id, None, call.action, payload, frame.at)
            self.store.put(*put, message_id=call.message_id)
            unit.submit(partial(self._stored, frame.charger_id))

    def note_latest(self, charger_id: str, kind: str, action: str, payload: bytes) -> None:
        """Note a message of which only the newest counts."""
        unit = self.store.database.unit()
        self.store.put_latest(unit, charger_id, kind, action, payload)
        unit.submit(partial(self._stored, charger_id))

    def _stored(self, charger_id: str, error: BaseException | None) -> None:
        if error is not None:
            log.error("%s: not stored for the remote: %s", charger_id, error)
        else:
            self._tell(charger_id)

    def _tell(self, charger_id: str) -> None:
        self.told(charger_id)

    def forget(self, charger_id: str) -> None:
        """Drop what is known of a charger that is gone, as soon as the remote has heard of it."""
        if self.store.forget(charger_id):
            self.forgotten(charger_id)

    def forget_if_told(self, charger_id: str) -> None:
        """Drop what is known of a charger that is to be forgotten, if the remote has all of it."""
        if self.store.forget(charger_id, only_leaving=True):
            self.forgotten(charger_id)

    # --- tags -------------------------------------------------------------------

    def judge(
        self, charger_id: str, id_tag: str, purpose: Purpose, decision: TagDecision | None
    ) -> TagDecision | None:
        """Let the remote overrule an acceptance, and decide about tags unknown here (P1).

        What it refused stays refused while it is away. Anybody may end what runs.
        """
        if purpose is Purpose.STOP or (decision and _is_refusal(decision)):
            return decision
        refused = self.store.refused(id_tag)
        if not refused and not _is_unknown(decision):
            return decision
        # A start waits for nobody: it has what the remote said last (P1).
        word = self.ask(charger_id, id_tag) if purpose is Purpose.AUTHORIZE else None
        status = refused or self._known(id_tag) if word is None else word.status
        if word is not None and word.status == TagStatus.ACCEPTED:
            self.trust(id_tag)
        if not status:
            return decision
        if status == TagStatus.CONCURRENT_TX and decision is not None:
            return decision  # it may be the very transaction that it was asked for
        why = "the remote accepts this tag"
        if status != TagStatus.ACCEPTED:
            why = "the remote refuses this tag"
        elif decision is not None and decision.status is TagStatus.ACCEPTED:
            return decision
        return TagDecision(_status(status), why, "remote")

    def trust(self, id_tag: str) -> None:
        """Keep in mind that the remote accepted a tag, or ordered a start with it."""
        key = tag_key(id_tag)
        self._trusted.pop(key, None)
        self._trusted[key] = None
        if len(self._trusted) > TRUSTED:
            del self._trusted[next(iter(self._trusted))]

    def _known(self, id_tag: str) -> str:
        return str(TagStatus.ACCEPTED) if tag_key(id_tag) in self._trusted else ""


def _status(word: str) -> TagStatus:
    try:
        return TagStatus(word)
    except ValueError:
        return TagStatus.INVALID


def _is_refusal(decision: TagDecision) -> bool:
    return decision.status is not TagStatus.ACCEPTED and decision.source != "policy"


def _is_unknown(decision: TagDecision | None) -> bool:
    return decision is None or decision.source == "policy"


def _named(payload: bytes) -> _Named:
    try:
        named = msgspec.json.decode(payload, type=_Named)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return _Named()
    if not -STORABLE <= named.transaction_id < STORABLE:
        # It is answered all the same, so it must not spoil the unit of its receipt.
        named.transaction_id = NO_TRANSACTION
    return named


def _nobody(charger_id: str) -> None:
    """Tell nobody: there is no driver yet."""


def _everybody(charger_id: str) -> bool:
    """Let everybody in: there is no central system that could turn one away."""
    return True


def _no_answer(charger_id: str, id_tag: str) -> TagWord | None:
    """Know nothing of the remote: there is no driver yet."""
    return None
