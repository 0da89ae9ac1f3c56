"""How often something may be tried, in bounded memory whoever tries it."""

from __future__ import annotations

import ipaddress
import math
from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 10_000


class Throttle:
    """Grants a number of tries at once, and more as time goes by, for each key.

    A flood of keys pushes out those that were used least recently; the flood itself has
    as many keys as it takes to do so.

    :param tries: what a key has at first, and at most
    :param per_s: the time in which all of them come back
    :param clock: seconds that never jump
    """

    def __init__(
        self, tries: int, per_s: float, clock: Callable[[], float], remembered: int = REMEMBERED
    ) -> None:
        self._tries = float(tries)
        self._rate = tries / per_s
        self._clock = clock
        self._remembered = remembered
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str) -> float:
        """Take one try; 0 when it was granted, else the seconds until there is one."""
        left = self._now_left(key)
        if left < 1:
            return (1 - left) / self._rate
        self._put(key, left - 1)
        return 0.0

    def give_back(self, key: str) -> None:
        """Undo a `take`: the try was none."""
        left = self._now_left(key) + 1
        if left >= self._tries:
            self._left.pop(key, None)
        else:
            self._put(key, left)

    def __len__(self) -> int:
        return len(self._left)

    def _now_left(self, key: str) -> float:
        left, at = self._left.get(key, (self._tries, 0.0))
        return min(self._tries, left + (self._clock() - at) * self._rate)

    def _put(self, key: str, left: float) -> None:
        self._left[key] = (left, self._clock())
        self._left.move_to_end(key)
        if len(self._left) > self._remembered:
            self._left.popitem(last=False)


def retry_after(seconds: float) -> tuple[str, str]:
    """Give the header that says when to come back."""
    return "Retry-After", str(max(1, math.ceil(seconds)))


def address_key(address: str) -> str:
    """Give what stands for one visitor's address; with IPv6 that is a whole network of /64."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address[:64]
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed.packed[:8] + bytes(8), 64)))
    return str(parsed)
