"""Which readings may be repetitions: only those cost a look at what is stored.

A charger that got no answer says the same again, with a new message id perhaps, and
perhaps to a new process of ours. What the last reading of a transaction was is on
disk; reading it back for each message would cost as much as storing one.
"""

from __future__ import annotations

from gway.projects.ocpp.facts import Reading

KEPT = 20_000  # transactions; those of stragglers come on top of what is open


class LastReadings:
    """Remembers what came last for each transaction.

    It does not say that a reading is stored, only that it differs from the last one
    submitted; where it knows nothing, or the same came again, the database decides.
    """

    def __init__(self) -> None:
        self._digests: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._digests)

    def differs(self, reading: Reading) -> bool:
        """Tell whether a reading is surely another than the last of its transaction."""
        transaction_id = reading.transaction_id
        if transaction_id is None:
            return True
        digest = hash(reading.raw)
        known = self._digests.get(transaction_id)
        if known is None and len(self._digests) >= KEPT:
            self._digests.clear()
        self._digests[transaction_id] = digest
        return known is not None and known != digest

    def forget(self, transaction_id: int) -> None:
        """Drop what a transaction said that ended."""
        self._digests.pop(transaction_id, None)
