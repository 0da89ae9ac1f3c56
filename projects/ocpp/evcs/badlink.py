"""A link that is bad on purpose: it cuts, delays, repeats and swaps frames, by a seed.

What happens to a frame is decided by :class:`Weather`, which is pure: its verdicts
depend on the seed, the direction and how many frames went that way before. What a
charge point and a central system make of it is then theirs, as on a bad mobile link.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass, fields
from random import Random
from time import monotonic
from typing import Literal

from gway.errors import UsageError, did_you_mean
from gway.projects.ocpp.evcs.keeper import Link
from gway.projects.ocpp.evcs.link import LinkError

log = logging.getLogger("ocpp.evcs")

Way = Literal["out", "in"]

QUIET_S = 10.0
"""How long a reader waits for a message, as on a good link."""
LONGEST_DELAY_S = 60.0
OVERTAKEN_S = 0.2
"""A frame that is swapped waits at least this long for the ones that overtake it."""


@dataclass(frozen=True, slots=True)
class Faults:
    """How bad a link is: chances per frame, each from 0 to 1, and a time in seconds.

    :ivar cut: the link ends, before the frame or just after it
    :ivar delay: each frame takes up to so many seconds longer, in order
    :ivar duplicate: the frame arrives twice
    :ivar reorder: the frame is overtaken by those that follow
    """

    cut: float = 0.0
    delay: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0

    @classmethod
    def parse(cls, text: str) -> Faults:
        """Read `cut=0.02,delay=0.5`; raises UsageError for what cannot be."""
        names = {each.name for each in fields(cls)}
        given: dict[str, float] = {}
        for word in filter(None, (part.strip() for part in text.split(","))):
            name, _, number = word.partition("=")
            if name not in names:
                hint = did_you_mean(name, names) or "there are " + ", ".join(sorted(names))
                raise UsageError(f"--link: a link has no {name!r}", hint)
            limit = LONGEST_DELAY_S if name == "delay" else 1.0
            try:
                given[name] = float(number)
            except ValueError:
                given[name] = -1.0
            if not 0 <= given[name] <= limit:
                raise UsageError(
                    f"--link: {word!r} is no number from 0 to {limit:g}",
                    "such as cut=0.02,delay=0.5,duplicate=0.01,reorder=0.01",
                )
        return cls(**given)

    def __bool__(self) -> bool:
        """Tell whether anything is wrong with such a link."""
        return any(getattr(self, each.name) for each in fields(self))


@dataclass(frozen=True, slots=True)
class Fate:
    """What becomes of one frame."""

    delay_s: float = 0.0
    copies: int = 1
    overtaken: bool = False
    cut: Literal["", "before", "after"] = ""


class Weather:
    """Decides the fate of each frame; goes on from one connection to the next.

    :param seed: the same seed gives the same fates
    """

    def __init__(self, faults: Faults, seed: int | None) -> None:
        self._faults = faults
        base = Random().getrandbits(64) if seed is None else seed
        # One source for each way: how the two interleave must not change the fates.
        self._chance: dict[Way, Random] = {
            "out": Random(f"{base} out"),
            "in": Random(f"{base} in"),
        }

    def fate(self, way: Way) -> Fate:
        """Decide about the next frame that goes this way."""
        chance = self._chance[way]
        # All are drawn each time, so that one kind of fault does not shift the others.
        cut, side, delay, copy, swap = (chance.random() for _ in range(5))
        faults = self._faults
        return Fate(
            delay_s=delay * faults.delay,
            copies=2 if copy < faults.duplicate else 1,
            overtaken=swap < faults.reorder,
            cut="" if cut >= faults.cut else "before" if side < 0.5 else "after",
        )


class Lane:
    """One way of a link: hands frames over when their time has come.

    :param hand_over: called in the lane's thread
    :param cut: ends the link
    """

    def __init__(self, hand_over: Callable[[bytes], None], cut: Callable[[], None]) -> None:
        self._hand_over = hand_over
        self._cut = cut
        self._ready = threading.Condition()
        self._due: list[tuple[float, int, bytes | None]] = []
        self._numbers = itertools.count()
        self._last = 0.0
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="evcs bad link", daemon=True)
        self._thread.start()

    def put(self, frame: bytes, fate: Fate) -> None:
        """Take a frame; it arrives in order unless its fate is another."""
        at = max(monotonic() + fate.delay_s, self._last)
        if fate.overtaken:
            at += OVERTAKEN_S + fate.delay_s
        else:
            self._last = at
        with self._ready:
            for _ in range(fate.copies if fate.cut != "before" else 0):
                self._push(at, frame)
            if fate.cut:
                self._push(at, None)
            self._ready.notify()

    def close(self) -> None:
        """Hand nothing over any more."""
        with self._ready:
            self._closed = True
            self._ready.notify()

    def _push(self, at: float, frame: bytes | None) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), frame))

    def _run(self) -> None:
        while (found := self._next()) is not None:
            frame = found[0]
            if frame is None:
                self._cut()
                return
            try:
                self._hand_over(frame)
            except LinkError as error:
                log.debug("a delayed frame was not sent: %s", error)
                return

    def _next(self) -> tuple[bytes | None] | None:
        with self._ready:
            while not self._closed:
                if self._due and self._due[0][0] <= monotonic():
                    return (heapq.heappop(self._due)[2],)
                self._ready.wait(self._due[0][0] - monotonic() if self._due else None)
        return None


class BadLink:
    """A link as another one, only bad.

    :param inner: the link that carries what gets through
    """

    def __init__(self, inner: Link, weather: Weather) -> None:
        self._inner = inner
        self._weather = weather
        self._arrived: queue.Queue[bytes | LinkError] = queue.Queue()
        self._out = Lane(inner.send, self.drop)
        self._in = Lane(self._arrived.put, self.drop)
        self._reader = threading.Thread(target=self._read, name="evcs bad link", daemon=True)
        self._reader.start()

    def send(self, frame: bytes) -> None:
        """Let a frame go its way."""
        self._out.put(frame, self._weather.fate("out"))

    def ping(self) -> None:
        """Ask for a sign of life."""
        self._inner.ping()

    def receive(self) -> bytes | None:
        """Wait for what arrives; None after ten quiet seconds."""
        try:
            found = self._arrived.get(timeout=QUIET_S)
        except queue.Empty:
            return None
        if isinstance(found, LinkError):
            raise found
        return found

    def hang_up(self, code: int = 1000, reason: str = "") -> None:
        """Say goodbye."""
        self._inner.hang_up(code, reason)

    def drop(self) -> None:
        """Cut the link."""
        self._inner.drop()

    def release(self) -> None:
        """Give back what the link holds."""
        self._out.close()
        self._in.close()
        self._inner.drop()
        self._reader.join(QUIET_S)
        self._inner.release()

    def _read(self) -> None:
        while True:
            try:
                message = self._inner.receive()
            except LinkError as error:
                self._arrived.put(error)
                return
            if message:
                self._in.put(message, self._weather.fate("in"))
            elif message is not None:
                self._arrived.put(message)  # a pong says nothing that could be late
