"""Fragments that many open pages ask for at once: each is made once per change.

An event reaches all dashboards in the same moment, and all of them ask for the same
cards. The first one has them made; the others wait for it and get the same text. What
is shared must be the same for everybody: no token of a visitor may be in it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from gway.web.packing import SharedPage
from gway.web.page import Page

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.runtime import Flag

KEPT = 64
STALE_S = 1.0  # what in it tells how long ago something was may be this old
PATIENCE_S = 5.0


class Shared:
    """Keeps the latest fragments by what was asked for.

    :param clock: seconds that never jump
    :param flag: makes something to wait for
    """

    def __init__(self, clock: Callable[[], float], flag: Callable[[], Flag]) -> None:
        self._clock = clock
        self._flag = flag
        self._kept: OrderedDict[Hashable, tuple[int, float, Page]] = OrderedDict()
        self._making: dict[Hashable, Flag] = {}
        self.made = 0

    def get(self, key: Hashable, edition: int, make: Callable[[], Page]) -> Page:
        """Give a fragment that is current, made now or by somebody else just before.

        :param edition: of what is shown; another one has it made anew
        """
        while True:
            found = self._current(key, edition)
            if found is not None:
                return found
            making = self._making.get(key)
            if making is None:
                return self._make(key, edition, make)
            making.wait(PATIENCE_S)

    def clear(self) -> None:
        """Have all made anew: somebody did something and wants to see it at once."""
        self._kept.clear()

    def _current(self, key: Hashable, edition: int) -> Page | None:
        kept = self._kept.get(key)
        if kept is None:
            return None
        made_for, at, page = kept
        age_s = self._clock() - at
        return page if made_for == edition and age_s < STALE_S else None

    def _make(self, key: Hashable, edition: int, make: Callable[[], Page]) -> Page:
        done = self._making[key] = self._flag()
        try:
            page = SharedPage.of(make())
            self.made += 1
            self._kept[key] = (edition, self._clock(), page)
            self._kept.move_to_end(key)
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
            return page
        finally:
            del self._making[key]
            done.set()
