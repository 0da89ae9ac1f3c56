"""The proxy's subscriptions; the face of the project takes them from here.

Without a remote they do nothing.
"""

from __future__ import annotations

from collections.abc import Generator
from datetime import datetime
from functools import partial

from gway import hookimpl
from gway.projects.ocpp.facts import (
    Frame,
    Orphan,
    Purpose,
    SecurityEvent,
    TagDecision,
    Transaction,
)
from gway.projects.ocpp.proxy.intake import Intake
from gway.projects.ocpp.proxy.thinning import Thinner, percent_used
from gway.projects.ocpp.receipts import Receipt
from gway.resolver import Gateway, current

__all__ = [
    "ocpp_authorize",
    "ocpp_forget_charger",
    "ocpp_frame",
    "ocpp_meter_values_received",
    "ocpp_orphan_kept",
    "ocpp_security_event_reported",
    "ocpp_transaction_started",
    "ocpp_transaction_stopped",
]


class Subscription:
    """Who takes the facts of one gateway; a service."""

    def __init__(self, gateway: Gateway) -> None:
        self._now = gateway.now
        self._intake: Intake | None = None
        self._thinner: Thinner | None = None

    @property
    def intake(self) -> Intake | None:
        """What queues for the remote; None while there is no remote."""
        return self._intake

    @intake.setter
    def intake(self, intake: Intake | None) -> None:
        self.close()
        self._intake = intake
        if intake is not None:
            place = intake.store.database.path.parent
            self._thinner = Thinner(intake.store, partial(percent_used, place), self._now)
            self._thinner.begin()

    def look_at_the_disk(self) -> int:
        """Make room now if there is too little; gives how many samples were left out."""
        return 0 if self._thinner is None else self._thinner.check()

    def close(self) -> None:
        """Look at the disk no more."""
        if self._thinner is not None:
            self._thinner.end()
            self._thinner = None


def _intake() -> Intake | None:
    subscription: Subscription = current().service(Subscription)
    return subscription.intake


@hookimpl
def ocpp_transaction_started(transaction: Transaction, at: datetime, receipt: Receipt) -> None:
    intake = _intake()
    if intake is not None:
        intake.transaction_started(transaction, at, receipt)


@hookimpl
def ocpp_meter_values_received(
    transaction: Transaction | None, at: datetime, receipt: Receipt
) -> None:
    intake = _intake()
    if intake is not None:
        intake.meter_values_received(transaction, at, receipt)


@hookimpl
def ocpp_transaction_stopped(transaction: Transaction, at: datetime, receipt: Receipt) -> None:
    intake = _intake()
    if intake is not None:
        intake.transaction_stopped(transaction, at, receipt)


@hookimpl
def ocpp_orphan_kept(orphan: Orphan, receipt: Receipt) -> None:
    intake = _intake()
    if intake is not None:
        intake.orphan_kept(orphan, receipt)


@hookimpl
def ocpp_security_event_reported(event: SecurityEvent, receipt: Receipt) -> None:
    intake = _intake()
    if intake is not None:
        intake.security_event_reported(event, receipt)


@hookimpl(tryfirst=True)
def ocpp_forget_charger(charger_id: str) -> None:
    """Forget it before the store answers: that ends the asking."""
    intake = _intake()
    if intake is not None:
        intake.forget(charger_id)


@hookimpl
def ocpp_frame(frame: Frame) -> None:
    intake = _intake()
    if intake is not None:
        intake.frame(frame)


@hookimpl(wrapper=True)
def ocpp_authorize(
    charger_id: str, id_tag: str, purpose: Purpose
) -> Generator[None, TagDecision | None, TagDecision | None]:
    decision = yield
    intake = _intake()
    if intake is None:
        return decision
    return intake.judge(charger_id, id_tag, purpose, decision)
