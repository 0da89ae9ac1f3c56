"""One charger's virtual charge point towards the remote: the core of the proxy.

It holds no queue: what waits is in the store, of which it reads a few rows at a time.
Rules are numbered as in the proxy's design: P3 Boot policy, P4 one CALL in flight,
P6 ids, P8 no answer, P9 pace, P10 errors, P12 commands.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.ports import (
    Clock,
    CommandAnswer,
    Driver,
    LinkState,
    Options,
    Store,
    TagWord,
)


class Outlet:
    """Forwards what one charger did, and brings it what the remote wants.

    :param governor: shared by all outlets of a process
    :param chance: for the jitter of the back-off

    For reading: `state`, `connection` (its number, 0 when there is none), `up_since`,
    `skew_s` (remote's clock minus ours, None unknown), `in_flight` (action and message
    id, or None), `next_try_at`, `last_error`, `counts` (a Counter: sent, delivered, dead,
    timeouts, resent, stray answers, junk, commands, connects).
    """

    state: LinkState
    connection: int
    skew_s: float | None

    def __init__(
        self,
        charger_id: str,
        *,
        store: Store,
        driver: Driver,
        clock: Clock,
        governor: Governor,
        options: Options,
        chance: Random,
    ) -> None:
        self.charger_id = charger_id

    # --- told by the driver -----------------------------------------------------

    def begin(self) -> None:
        """Look what waits, and connect if there is a reason to."""

    def end(self) -> None:
        """Close the connection for good: the process ends or the charger is not proxied."""

    def connected(self, connection: int) -> None:
        """A connection is open."""

    def refused(self, connection: int, status: int, why: str) -> None:
        """A connection could not be opened; `status` is HTTP's, 0 when there was none."""

    def lost(self, connection: int, why: str) -> None:
        """A connection ended, by whomever."""

    def received(self, connection: int, text: bytes) -> None:
        """A frame arrived."""

    def tick(self) -> None:
        """The time asked for with `Driver.wake` has come."""

    def look(self) -> None:
        """Something new was committed for this charger: a row, or a latest message."""

    def charger_online(self) -> None:
        """The charger connected to us."""

    def charger_offline(self) -> None:
        """The charger's connection to us ended."""

    def command_answered(self, token: int, answer: CommandAnswer) -> None:
        """The charger answered what `Driver.command` sent, or did not."""

    def authorize(self, id_tag: str, done: Callable[[TagWord | None], None]) -> None:
        """Ask the remote about a tag; `done` gets None when it is away or too slow (P1)."""

    # --- asked by the driver ----------------------------------------------------

    def admits(self) -> bool:
        """Tell whether the charger may connect: in mode transparent, not while the remote is away."""
        return True
