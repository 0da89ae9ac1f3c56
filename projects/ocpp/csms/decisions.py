"""What the central system asks of others: tags, ids, and what the store remembers."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from gway.errors import DecisionFailed
from gway.projects.ocpp.csms.ids import LocalIds
from gway.projects.ocpp.facts import (
    ChargerConfiguration,
    Purpose,
    TagDecision,
    TagStatus,
    Transaction,
)
from gway.projects.ocpp.transactions.rules import limit_concurrency, same_tag

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem
    from gway.projects.ocpp.csms.charger import Charger
    from gway.projects.ocpp.transactions.words import StartWords, StopWords

NOBODY = TagDecision(TagStatus.ACCEPTED, reason="nobody decides about tags", source="policy")


class Decisions:
    """Asks the plugins, and knows what no answer and a failing plugin mean."""

    def __init__(self, central: CentralSystem) -> None:
        self._central = central
        self._ask = central.plugins.decide
        self._local_ids: LocalIds | None = None

    # --- tags ---

    def judge(self, charger: Charger, id_tag: str, purpose: Purpose, at: datetime) -> TagDecision:
        """Ask what a tag may do; a plugin that fails refuses it."""
        decision = self._ask_about(charger, id_tag, purpose, at)
        self.tell(charger, id_tag, purpose, decision, at)
        return decision

    def judge_start(
        self, charger: Charger, connector_id: int, id_tag: str, at: datetime
    ) -> TagDecision:
        """Ask whether a tag may start here, and count what it has open elsewhere.

        Nothing may block between this and the ledger, or two starts would both be a
        tag's only one; so the decision is told by the caller, afterwards.
        """
        decision = self._ask_about(charger, id_tag, Purpose.START, at)
        if decision.status is TagStatus.ACCEPTED and decision.concurrent_limit is not None:
            stored = self._ask("ocpp_open_transactions", id_tag=id_tag, charger_id=None) or ()
            others = [one for one in stored if not self._is_held_here(one)]
            others += self._open_here(id_tag)
            decision = limit_concurrency(decision, others, charger.charger_id, connector_id)
        return decision

    def _ask_about(
        self, charger: Charger, id_tag: str, purpose: Purpose, at: datetime
    ) -> TagDecision:
        try:
            decision: TagDecision | None = self._ask(
                "ocpp_authorize",
                charger_id=charger.charger_id,
                id_tag=id_tag,
                purpose=purpose,
                at=at,
            )
        except DecisionFailed as error:
            return TagDecision(TagStatus.INVALID, reason=error.message, source="failure")
        return decision or NOBODY

    def tell(
        self,
        charger: Charger,
        id_tag: str,
        purpose: Purpose,
        decision: TagDecision,
        at: datetime,
    ) -> None:
        """Tell what was decided about a tag."""
        self._central.emit(
            "ocpp_tag_judged",
            charger_id=charger.charger_id,
            id_tag=id_tag,
            purpose=purpose,
            decision=decision,
            at=at,
        )

    def _is_held_here(self, stored: Transaction) -> bool:
        """Tell whether a transaction's charger is here, so that the store may be behind."""
        charger = self._central.chargers.get(stored.charger_id)
        return charger is not None and charger.ledger is not None

    def _open_here(self, id_tag: str) -> list[Transaction]:
        return [
            transaction
            for charger in self._central.chargers.values()
            if charger.ledger
            for transaction in charger.ledger
            if same_tag(transaction.id_tag, id_tag)
        ]

    # --- the store ---

    def next_transaction_id(self, charger: Charger) -> int:
        """Give a transaction id that no other transaction ever had."""
        given: int | None = self._ask("ocpp_next_transaction_id", charger_id=charger.charger_id)
        if given is not None:
            return given
        if self._local_ids is None:
            file = self._central.gateway.workspace.work("ocpp", "transaction-ids.txt")
            self._local_ids = LocalIds(file)
        return self._local_ids.take()

    def recall_transaction(self, transaction_id: int) -> Transaction | None:
        """Find a transaction of any charger in the store."""
        found: Transaction | None = self._ask(
            "ocpp_recall_transaction", transaction_id=transaction_id
        )
        return found

    def recall_start(self, charger_id: str, words: StartWords) -> Transaction | None:
        """Find the transaction in the store that these very words began."""
        found: Transaction | None = self._ask(
            "ocpp_recall_start",
            charger_id=charger_id,
            connector_id=words.connector_id,
            id_tag=words.id_tag,
            meter_start_wh=words.meter_start_wh,
            start_time_raw=words.time_raw,
        )
        return found

    def recall_stop(self, charger_id: str, words: StopWords) -> Transaction | None:
        """Find the transaction in the store that these very words ended."""
        found: Transaction | None = self._ask(
            "ocpp_recall_stop",
            charger_id=charger_id,
            meter_stop_wh=words.meter_stop_wh,
            stop_time_raw=words.time_raw,
        )
        return found

    def recall_configuration(self, charger_id: str) -> ChargerConfiguration | None:
        """Find what a charger told of its configuration in the store."""
        found: ChargerConfiguration | None = self._ask(
            "ocpp_recall_configuration", charger_id=charger_id
        )
        return found

    def store_ready(self) -> bool | None:
        """Ask whether transactions can be stored; None when nobody knows."""
        try:
            ready: bool | None = self._ask("ocpp_store_ready")
        except DecisionFailed:
            return False
        return ready
