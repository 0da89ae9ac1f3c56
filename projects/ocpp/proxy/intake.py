"""Subscribes to what the central system tells, and queues it for the remote.

A row of the outbox is put into the unit of the money fact's receipt: what happened and
what is to be told of it are stored together or not at all (P2).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from gway.projects.ocpp.facts import Frame, Orphan, Reading, Transaction
from gway.projects.ocpp.receipts import Receipt


class Intake:
    """Queues facts for one remote; does nothing for chargers that are not proxied.

    The raw payload of a money message is `receipt.payload`, its action `receipt.action`.

    :ivar told: called with a charger id after a commit that gave its outlet something to
        send: the driver calls `Outlet.look` then
    """

    told: Callable[[str], None]

    def transaction_started(self, transaction: Transaction, receipt: Receipt) -> None:
        """Queue a start."""

    def meter_values_received(
        self, reading: Reading, transaction: Transaction | None, receipt: Receipt
    ) -> None:
        """Queue meter values of a transaction."""

    def transaction_stopped(self, transaction: Transaction, receipt: Receipt) -> None:
        """Queue a stop."""

    def orphan_kept(self, orphan: Orphan, receipt: Receipt) -> None:
        """Queue a message of a transaction that is not known here, as a dead letter at once."""

    def frame(self, frame: Frame) -> None:
        """Note the latest Boot and statuses; queue what the settings say."""

    def charger_online(self, charger_id: str, at: datetime) -> None:
        """Note a charger."""
