"""What a gevent server tells about itself on its standard input and output."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import gevent
from gevent.fileobject import FileObjectPosix

TICK_S = 0.001

Answer = Callable[[list[str]], dict[str, object]]


class Ticker:
    """Measures how long the hub's loop was away: a timer that should fire each ms."""

    def __init__(self) -> None:
        self.longest_s = 0.0
        self._last = time.perf_counter()
        self._timer = gevent.get_hub().loop.timer(TICK_S, TICK_S)
        self._timer.start(self._tick)

    def _tick(self) -> None:
        now = time.perf_counter()
        self.longest_s = max(self.longest_s, now - self._last - TICK_S)
        self._last = now

    def take_ms(self) -> float:
        """Tell the longest stall since the last question, and forget it."""
        longest, self.longest_s = self.longest_s, 0.0
        return longest * 1000


def answer_until_closed(answers: dict[str, Answer]) -> None:
    """Answer questions, `word argument ...`, until standard input is closed."""
    lines = FileObjectPosix(sys.stdin.fileno(), "rb", bufsize=0, closefd=False)
    while line := lines.readline():
        word, *arguments = line.decode().split()
        print(json.dumps(answers[word](arguments)), flush=True)
