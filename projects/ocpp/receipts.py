"""What must be durable before a charger gets its answer.

The central system emits a money fact together with a :class:`Receipt`. A
subscriber that stores something joins the receipt's unit of work; all
subscribers that use the same database share one unit, so their rows stand or
fall together. The central system then settles the receipt and answers when it
is told that everything is on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Done = Callable[[BaseException | None], None]


class Unit(Protocol):
    """Writes that reach a database whole or not at all."""

    def execute(self, sql: str, params: tuple[object, ...] = ()) -> None: ...

    def submit(self, done: Done) -> None: ...


class Store(Protocol):
    """A database that hands out units of work."""

    def unit(self) -> Unit: ...


class Receipt:
    """Collects the writes that one answer depends on.

    Without a subscriber that joins, settling succeeds at once: a central
    system without a store answers like one with a very fast one.

    :param action: of the message that will be answered, "" when there is none
    :param raw: its payload, as it was received
    """

    __slots__ = ("_error", "_raw", "_units", "action")

    def __init__(self, action: str = "", raw: bytes = b"{}") -> None:
        self.action = action
        self._raw = raw
        self._units: dict[int, tuple[Store, Unit]] = {}
        self._error: BaseException | None = None

    @property
    def payload(self) -> bytes:
        """The payload of the message that will be answered, byte for byte."""
        return bytes(self._raw)

    def unit(self, store: Store) -> Unit:
        """Join the unit of `store` that all subscribers of this fact share."""
        joined = self._units.get(id(store))
        if joined is None:
            joined = self._units[id(store)] = (store, store.unit())
        return joined[1]

    def required(self) -> Receipt:
        """Let no answer go out if the `with` block fails; the error is raised on."""
        return self

    def __enter__(self) -> None:
        """Begin a block as :meth:`required` says (a generator would cost ten times this)."""

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is not None:
            self.fail(error)

    def fail(self, error: BaseException) -> None:
        """Refuse the answer; the first error is the one reported."""
        if self._error is None:
            self._error = error

    def settle(self, done: Done) -> None:
        """Submit all units and call `done(error or None)` once, after the last.

        With several databases the units commit independently; an error in any
        of them is reported, so the charger is not answered and repeats itself.
        """
        if self._error is not None or not self._units:
            done(self._error)
            return
        units = [unit for _, unit in self._units.values()]
        if len(units) == 1:
            units[0].submit(done)
            return
        waiting = len(units)

        def one_done(error: BaseException | None) -> None:
            nonlocal waiting
            if error is not None:
                self.fail(error)
            waiting -= 1
            if waiting == 0:
                done(self._error)

        for unit in units:
            unit.submit(one_done)
