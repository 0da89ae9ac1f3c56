"""What an outlet does whatever it sends: connecting, storing, keeping time.

The connection is a number: what is told of another one is of the past. A step is done
at a time, and after each the driver is asked to wake us for the next.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

import msgspec

from gway.projects.ocpp.proxy.commands import Commands
from gway.projects.ocpp.proxy.dial import Dial
from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.ports import (
    Change,
    Clock,
    Done,
    Driver,
    Failed,
    Latest,
    LinkState,
    Options,
    Row,
    Store,
    Unstorable,
)

COMMIT_RETRY_S = 1.0
LONGEST_ERROR = 255
"""Characters that are kept of what a remote says about an error: it may say a megabyte."""


class Flight(msgspec.Struct, gc=False):
    """The one CALL that waits for its answer (SPEC-J 4.1.1).

    `settled` says that the answer came; what follows from it is being stored.
    """

    kind: str
    message_id: str
    action: str
    connection: int
    sent_at: float
    row: Row | None = None
    latest: Latest | None = None
    tag: str = ""
    settled: bool = False


class Uplink:
    """A connection to the remote that comes and goes, and what is stored about it.

    For reading: `state`, `connection` (its number, 0 when there is none), `up_since`,
    `in_flight`, `next_try_at`, `last_error`, `counts` (sent, delivered, dead, timeouts,
    resent, stray, junk, errors, commands, connects, ...).
    """

    def __init__(
        self,
        charger_id: str,
        store: Store,
        driver: Driver,
        clock: Clock,
        governor: Governor,
        options: Options,
        chance: Random,
    ) -> None:
        self.charger_id = charger_id
        self.state = LinkState.IDLE
        self.connection = 0
        self.up_since: float | None = None
        self.in_flight: Flight | None = None
        self.last_error = ""
        self.counts: Counter[str] = Counter()
        self._store = store
        self._driver = driver
        self._clock = clock
        self._governor = governor
        self._options = options
        self._dial = Dial(options, governor, chance)
        self._commands = Commands(charger_id, store, driver, options, self.counts, self._note)
        self._dialled_at = 0.0
        self._unsettled: tuple[Sequence[Change], Callable[[], None]] | None = None
        self._commit_at: float | None = None
        self._pumping = self._again = self._over = False

    @property
    def next_try_at(self) -> float:
        """The moment of the clock at which it may connect again."""
        return self._dial.at

    @property
    def charger_is_online(self) -> bool:
        """Whether the charger itself is connected to us."""
        return self._commands.charger_online

    # --- told by the driver -----------------------------------------------------

    def begin(self) -> None:
        """Look what waits, and connect if there is a reason to."""
        self._pump()

    def end(self) -> None:
        """Close the connection for good: the process ends or the charger is not proxied."""
        self._over = True
        if self.connection:
            self._hang_up("the proxy ends")

    def connected(self, connection: int) -> None:
        """A connection is open."""
        if connection != self.connection or self.state is not LinkState.CONNECTING:
            return
        self.up_since = self._clock.monotonic()
        self.state = LinkState.BOOTING
        self._commands.begin(connection)
        self._after_begin(self.up_since)
        self._pump()

    def refused(self, connection: int, status: int, why: str) -> None:
        """A connection could not be opened; `status` is HTTP's, 0 when there was none."""
        if connection == self.connection:
            self._ended(why, status)
            self._pump()

    def lost(self, connection: int, why: str) -> None:
        """A connection ended, by whomever."""
        if connection == self.connection:
            self._ended(why or "the connection was lost")
            self._pump()

    # --- connecting -------------------------------------------------------------

    def _connect(self, now: float) -> None:
        if not self._wanted(now):
            self.state = LinkState.IDLE
            return
        if self._dial.due(now) > now:
            self.state = LinkState.WAITING
            return
        self._dial.tried(now)
        self.counts["connects"] += 1
        self.connection = next(self._governor.serials)
        self.state = LinkState.CONNECTING
        self._dialled_at = now
        self._driver.connect(self.charger_id, self.connection)

    def _hang_up(self, why: str) -> None:
        connection = self.connection
        self._ended(why)
        self._driver.close(self.charger_id, connection, why)

    def _ended(self, why: str, status: int = 0) -> None:
        """Clean up after a connection; what was in flight will be sent again, the same."""
        why = why[:LONGEST_ERROR]
        now = self._clock.monotonic()
        was_online = self.state is LinkState.ONLINE
        self._dial.failed(now, self.up_since, status)
        self.connection = 0
        self.up_since = None
        self.state = LinkState.WAITING
        self.last_error = why
        self._commands.begin(0)
        flight = self.in_flight
        if flight is not None and not flight.settled:
            self.in_flight = None
            if flight.row is not None:
                self.counts["resent"] += 1
                row = flight.row
                again = not self._options.remote_deduplicates
                self._note([Failed(row.sequence, row.attempts, why, resent=again)], None)
        self._after_end()
        if was_online and self._options.mode == "transparent" and self.charger_is_online:
            self._driver.drop_charger(self.charger_id, "the remote is away")

    def _answer_late(self, flight: Flight | None, now: float) -> bool:
        if self.up_since is None:
            return now >= self._dialled_at + self._options.answer_s
        if flight is None or flight.settled:
            return False
        return now >= flight.sent_at + self._options.answer_s

    # --- a step at a time ---

    def _pump(self) -> None:
        """Do what can be done now, then ask to be woken for the rest."""
        if self._pumping:
            self._again = True
            return
        self._pumping = True
        try:
            self._again = True
            while self._again and not self._over:
                self._again = False
                self._step(self._clock.monotonic())
        except BaseException:
            self._driver.wake(self.charger_id, self._clock.monotonic() + COMMIT_RETRY_S)
            raise
        finally:
            self._pumping = False
        self._set_alarm()

    def _step(self, now: float) -> None:
        if not self.connection:
            self._connect(now)
        elif self.up_since is not None and self.in_flight is None and self._unsettled is None:
            self._step_open(now)

    # --- storing ------------------------------------------------------------------

    def _settle(self, changes: Sequence[Change], then: Callable[[], None] | None = None) -> None:
        """Store what an answer means; nothing else is sent before that is done (P6)."""
        if self.in_flight is not None:
            self.in_flight.settled = True

        def stored() -> None:
            self.in_flight = None
            if then is not None:
                then()

        self._unsettled = (changes, stored)
        self._submit()

    def _submit(self) -> None:
        self._commit_at = None
        if self._unsettled is not None:
            self._store.commit(self.charger_id, self._unsettled[0], self._stored)

    def _stored(self, error: BaseException | None) -> None:
        if isinstance(error, Unstorable):
            self._drop_unsettled(error)
            return
        if error is not None:
            self.counts["commit failures"] += 1
            self.last_error = f"not stored: {error}"
            self._commit_at = self._clock.monotonic() + COMMIT_RETRY_S
            self._set_alarm()
            return
        settled, self._unsettled = self._unsettled, None
        if settled is not None:
            settled[1]()
        self._pump()

    def _drop_unsettled(self, error: Unstorable) -> None:
        """Give up what no try will store, and ask the remote again: it may answer better."""
        self.counts["not storable"] += 1
        self._unsettled = None
        flight, self.in_flight = self.in_flight, None
        if flight is not None and flight.connection == self.connection:
            self._hang_up(f"its answer cannot be stored: {error}")
        self._pump()

    def _note(self, changes: Sequence[Change], done: Done | None) -> None:
        """Store what nothing waits for."""

        def noted(error: BaseException | None) -> None:
            if error is not None:
                self.counts["commit failures"] += 1
            if done is not None:
                done(error)

        self._store.commit(self.charger_id, changes, noted)

    # --- time -------------------------------------------------------------------

    def _set_alarm(self) -> None:
        if self._over:
            return
        times = [] if self._commit_at is None else [self._commit_at]
        times.extend(self._times())
        if self.state is LinkState.WAITING:
            times.append(max(self._dial.at, self._dial.due(self._clock.monotonic())))
        elif self.connection and self.up_since is None:
            times.append(self._dialled_at + self._options.answer_s)
        elif self.in_flight is not None and not self.in_flight.settled:
            times.append(self.in_flight.sent_at + self._options.answer_s)
        if times:
            self._driver.wake(self.charger_id, min(times))

    # --- what the heirs fill in ---------------------------------------------------

    def _wanted(self, now: float) -> bool:
        """Tell whether there is a reason to be connected."""
        raise NotImplementedError

    def _step_open(self, now: float) -> None:
        """Do what can be done on an open connection on which nothing is in flight."""
        raise NotImplementedError

    def _after_begin(self, now: float) -> None:
        """Forget what was of the connection before."""
        raise NotImplementedError

    def _after_end(self) -> None:
        """Let go what was of the connection."""
        raise NotImplementedError

    def _times(self) -> list[float]:
        """List the moments at which something has to be done, beyond those known here."""
        raise NotImplementedError
