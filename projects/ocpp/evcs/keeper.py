"""Keeps a link up: dials, reads, waits and dials again."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from gway.projects.ocpp.evcs.link import LinkError

log = logging.getLogger("ocpp.evcs")

FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 60.0
JITTER = 0.2
STEADY_S = 30.0
"""A link that held for so long was a good one: the pauses begin anew."""


class Link(Protocol):
    """One open connection, of whatever kind."""

    def send(self, frame: bytes) -> None: ...

    def ping(self) -> None: ...

    def receive(self) -> bytes | None: ...

    def hang_up(self, code: int = 1000, reason: str = "") -> None: ...

    def drop(self) -> None: ...

    def release(self) -> None: ...


class Listener(Protocol):
    """Who is told about the link; called in the keeper's thread."""

    def link_up(self, link: Link) -> None: ...

    def link_heard(self, link: Link, message: bytes | None) -> None: ...

    def link_down(self, link: Link | None, reason: str, pause_s: float) -> None: ...


class Backoff:
    """Pauses of 1, 2, 4 ... 60 seconds, a little apart from everybody else's."""

    def __init__(self, rng: random.Random | None = None, first_s: float = FIRST_PAUSE_S) -> None:
        self._rng = rng or random.Random()
        self._first_s = self._next_s = first_s

    def pause_s(self, held_s: float) -> float:
        """Give the pause after a link that held for so long (0: never came up)."""
        if held_s >= STEADY_S:
            self._next_s = self._first_s
        pause_s = self._next_s
        self._next_s = min(2 * self._next_s, LONGEST_PAUSE_S)
        return min(pause_s * self._rng.uniform(1 - JITTER, 1 + JITTER), LONGEST_PAUSE_S)


class Keeper:
    """A thread that holds the link of one charge point."""

    def __init__(
        self, dial: Callable[[], Link], listener: Listener, backoff: Backoff | None = None
    ) -> None:
        self._dial = dial
        self._listener = listener
        self._backoff = backoff or Backoff()
        self._stopped = threading.Event()
        self._ordered_pause_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="evcs link", daemon=True)

    def start(self) -> None:
        """Begin to dial."""
        self._thread.start()

    def stop(self, link: Link | None) -> None:
        """Dial no more and let go of the link."""
        self._stopped.set()
        if link is not None:
            link.hang_up()

    def join(self, timeout_s: float) -> None:
        """Wait for the thread."""
        self._thread.join(timeout_s)

    def redial(self, link: Link, pause_s: float) -> None:
        """Hang up and dial again after a pause of our own choice."""
        self._ordered_pause_s = pause_s
        link.hang_up()

    def _run(self) -> None:
        while not self._stopped.is_set():
            link, reason, held_s = self._hold()
            pause_s, self._ordered_pause_s = self._ordered_pause_s, None
            if pause_s is None:
                pause_s = self._backoff.pause_s(held_s)
            self._listener.link_down(link, reason, pause_s)
            self._stopped.wait(pause_s)

    def _hold(self) -> tuple[Link | None, str, float]:
        """Dial and read until the end; give the link, why it ended, how long it held."""
        try:
            link = self._dial()
        except LinkError as error:
            return None, str(error), 0.0
        since = monotonic()
        try:
            self._listener.link_up(link)
            while not self._stopped.is_set():
                self._listener.link_heard(link, link.receive())
        except LinkError as error:
            return link, str(error), monotonic() - since
        finally:
            link.release()
        return link, "stopped", monotonic() - since
