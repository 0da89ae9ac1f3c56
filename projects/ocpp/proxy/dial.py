"""When an outlet may try to connect again (P9): patience that grows, and budgets."""

from __future__ import annotations

from collections import deque
from random import Random

from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.ports import Options

MOVED = (301, 302, 303, 307, 308)
NOT_ALLOWED = (401, 403)


class Dial:
    """Decides about the next try; told how the last ones went.

    :ivar at: the earliest moment of the next try
    """

    __slots__ = ("_chance", "_failures", "_governor", "_options", "_recent", "_turn", "at")

    def __init__(self, options: Options, governor: Governor, chance: Random) -> None:
        self._options = options
        self._governor = governor
        self._chance = chance
        self._failures = 0
        self._recent: deque[float] = deque(maxlen=options.connects)
        self._turn: float | None = None
        self.at = 0.0

    def due(self, now: float) -> float:
        """Give the moment at which to connect, now or later."""
        if self.at > now:
            return self.at
        if self._turn is None:
            self._turn = self._governor.connects.take(now)
        return self._turn

    def tried(self, now: float) -> None:
        """Note that a connection is being opened."""
        self._turn = None
        self._recent.append(now)

    def failed(self, now: float, up_since: float | None, status: int = 0) -> None:
        """Note that a connection ended, or was refused with an HTTP status.

        :param up_since: when it had opened, None when it never did
        """
        options = self._options
        if up_since is not None and now - up_since >= options.steady_s:
            self._failures = 0
        delay_s: float = min(options.first_retry_s * 2**self._failures, options.longest_retry_s)
        self._failures = min(self._failures + 1, 16)
        if status in NOT_ALLOWED or status in MOVED:
            # Asking again soon changes nothing, and may lock the account.
            self._wait_until(now, now + options.refused_retry_s)
            return
        spread = options.jitter * (2 * self._chance.random() - 1)
        self._wait_until(now, now + delay_s * (1 + spread))

    def again(self, now: float, delay_s: float) -> None:
        """Ask for a new connection after a delay: the remote answers, but not to our liking."""
        self._wait_until(now, now + delay_s)

    def _wait_until(self, now: float, at: float) -> None:
        recent, options = self._recent, self._options
        if len(recent) == options.connects:
            at = max(at, recent[0] + options.connects_within_s)
        self.at = at
