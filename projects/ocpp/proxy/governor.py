"""Shares one line among many chargers: turns are given in the order of asking."""

from __future__ import annotations

from itertools import count


class Turns:
    """Hands out moments, `rate` of them in a second.

    Who asks gets the next free moment, now if nobody was before: first come, first
    served, so no charger with a long queue holds up another.

    :param rate: how many in a second
    :param slack_s: moments that went by unused may be made up for, as far back as this:
        timers are late by some milliseconds
    """

    __slots__ = ("_next", "_slack_s", "_spacing_s")

    def __init__(self, rate: float, slack_s: float = 0.05) -> None:
        self._spacing_s = 1.0 / rate
        self._slack_s = slack_s
        self._next = 0.0

    def take(self, now: float) -> float:
        """Give the moment at which the one who asks may act, now or later."""
        turn = max(self._next, now - self._slack_s)
        self._next = turn + self._spacing_s
        return max(turn, now)


class Governor:
    """What all outlets share: messages in all, connections in all, their numbers.

    :param total_rate: messages per second over all chargers
    :param connect_rate: connections opened per second over all chargers
    """

    __slots__ = ("connects", "messages", "serials")

    def __init__(self, total_rate: float = 200.0, connect_rate: float = 50.0) -> None:
        self.messages = Turns(total_rate)
        self.connects = Turns(connect_rate)
        self.serials = count(1)  # no two connections of a process have one number
