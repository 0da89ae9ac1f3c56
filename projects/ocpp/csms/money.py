"""Money messages: answered when they are on disk, and not before.

A charger that gets a CALLERROR throws its message away after a few tries; one that
loses its connection keeps it. So while nothing can be stored, chargers are better
off disconnected.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec

from gway.errors import DecisionFailed
from gway.projects.ocpp.csms.runtime import LARGE, LARGE_COUNTS
from gway.projects.ocpp.messages.shapes import Payload
from gway.projects.ocpp.receipts import Receipt

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.session import Session
    from gway.projects.ocpp.messages.framing import Call

log = logging.getLogger("ocpp.csms")

FIRST_RETRY_S = 0.1
LONGEST_RETRY_S = 1.0
PROBE_S = 1.0
INTERNAL_ERROR_CLOSE = 1011


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """The answer to a money message, and how to store what it depends on.

    Without `store` nothing is new, but the answer still waits for what this charger
    has under way: a repetition must not be answered before the original is on disk.
    """

    answer: Payload
    store: Callable[[Receipt], None] | None = None


class StorageGate:
    """Whether chargers are let in: not while their transactions cannot be stored.

    :param ask: tells whether the store works again; None when nobody knows
    :param clock: seconds that never jump
    :param rest_s: how long to wait before trying when nobody knows
    """

    def __init__(
        self, ask: Callable[[], bool | None], clock: Callable[[], float], rest_s: float
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._rest_s = rest_s
        self._asked_at = 0.0
        self._failed_at = 0.0
        self._unknown = False
        self.closed = False
        self.reason = ""

    def failed(self, error: BaseException) -> None:
        """Close the gate: a money message could not be stored in time."""
        if not self.closed:
            log.error("transactions cannot be stored, chargers are turned away: %s", error)
        self.closed = True
        self.reason = str(error)
        self._failed_at = self._clock()

    def worked(self) -> None:
        """Open the gate: something was stored."""
        if self.closed:
            self.closed = False
            self.reason = ""
            log.warning("transactions are stored again")

    def lets_in(self) -> bool:
        """Tell whether a charger may connect."""
        if self.is_open():
            return True
        now = self._clock()
        if self._unknown and now - self._failed_at >= self._rest_s:
            self._failed_at = now  # one charger may try; the next only after another rest
            return True
        return False

    def is_open(self) -> bool:
        """Tell whether all are let in; asks the store when it is time to.

        A balancer that sends no chargers while we are not ready must learn that we are.
        """
        now = self._clock()
        if self.closed and now - self._asked_at >= PROBE_S:
            self._asked_at = now
            ready = self._ask()
            self._unknown = ready is None
            if ready:
                self.worked()
        return not self.closed


class Settlement:
    """One money message on its way to the disk and to its answer.

    :param raw: its payload as received
    :param flags: what is odd about it
    """

    __slots__ = (
        "_action",
        "_at",
        "_attempts",
        "_began",
        "_flags",
        "_message_id",
        "_outcome",
        "_payload",
        "_raw",
        "_session",
    )

    def __init__(
        self,
        session: Session,
        call: Call,
        payload: Payload,
        flags: tuple[str, ...],
        at: datetime,
    ) -> None:
        self._session = session
        self._message_id = call.message_id
        self._action = call.action
        self._payload = payload
        self._raw = call.payload
        self._flags = flags
        self._at = at
        self._outcome: Outcome | None = None
        self._began = 0.0
        self._attempts = 0

    def __str__(self) -> str:
        return f"{self._session.charger.charger_id}: {self._action}"

    def run(self) -> None:
        """Store and answer; runs in a worker."""
        session = self._session
        session.charger.settling += 1
        if len(self._raw) >= LARGE:
            session.waiting += LARGE_COUNTS  # it is in memory until it is on disk
        self._attempt()

    def _let_go(self) -> None:
        if len(self._raw) >= LARGE:
            self._session.done_with(LARGE_COUNTS)

    def _attempt(self) -> None:
        outcome = self._outcome
        if outcome is None:
            try:
                outcome = self._outcome = self._handle()
            except DecisionFailed as error:
                self._done(error)
                return
            except Exception as error:
                log.exception("%s: not even kept", self)
                self._done(error)
                return
        if outcome.store is None:
            self._wait()
            return
        receipt = Receipt(self._action, self._raw)
        try:
            outcome.store(receipt)
            receipt.settle(self._done)
        except Exception as error:  # nothing was handed over, so nobody tells how it ended
            log.exception("%s: not handed to the store", self)
            self._done(error)

    def _handle(self) -> Outcome:
        session = self._session
        handlers = session.central.handlers
        try:
            handle = handlers.money[self._action]
            return handle(session.charger, self._payload, self._at, self._raw, self._flags)
        except DecisionFailed:
            raise
        except Exception:
            # Our fault; a CALLERROR would make the charger throw the message away.
            log.exception("%s: failed", self)
            session.charger.ledger = None  # half a change may be in it: it is read again
            return handlers.keep(session.charger, self._action, self._raw, self._at)

    def _done(self, error: BaseException | None) -> None:
        """Answer, or try again; runs in the loop and must not block."""
        session = self._session
        if error is None:
            if session.central.gate.closed:
                session.central.gate.worked()
            self._answer()
            self._leave()
            return
        runtime = session.central.runtime
        if not self._attempts:
            self._began = runtime.clock()
            session.charger.held += 1
        left_s = self._began + session.central.options.store_retry_s - runtime.clock()
        if left_s > 0:
            delay_s = min(FIRST_RETRY_S * 2**self._attempts, LONGEST_RETRY_S, left_s)
            self._attempts += 1
            runtime.later(delay_s, self._attempt)
        else:
            self._give_up(error)

    def _release(self) -> None:
        if self._attempts:
            self._session.central.release(self._session.charger)

    def _give_up(self, error: BaseException) -> None:
        session = self._session
        central = session.central
        charger = session.charger
        central.gate.failed(error)
        log.error("%s: not stored, not answered: %s", charger.charger_id, error)
        charger.waiting = None
        charger.settling -= 1
        charger.ledger = None  # what the store has is the truth; it is read again
        session.connection.close(INTERNAL_ERROR_CLOSE, "not stored, please repeat")
        self._let_go()
        central.release(charger)

    def _wait(self) -> None:
        """Answer when all that came before is on disk."""
        charger = self._session.charger
        charger.settling -= 1
        if charger.settling:
            charger.waiting = [*(charger.waiting or ()), self._answer]
        else:
            self._answer()
        self._release()

    def _answer(self) -> None:
        session = self._session
        try:
            if self._outcome is not None:
                session.reply(self._message_id, self._outcome.answer)
        except Exception:  # it is stored all the same, and others wait for their answers
            log.exception("%s: not answered", self)
        self._let_go()

    def _leave(self) -> None:
        charger = self._session.charger
        charger.settling -= 1
        if charger.waiting is not None and not charger.settling:
            waiting, charger.waiting = charger.waiting, None
            for answer in waiting:
                answer()
        self._release()
