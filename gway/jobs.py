"""Work that goes on beside the verbs: started by them, waited for by `until`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any, Protocol

LOOK_S = 1.0

log = logging.getLogger("gway.jobs")


class Alive(Protocol):
    """Anything that ends: a thread, a simulator, a job."""

    def is_alive(self) -> bool: ...


class Job:
    """A function that runs in a thread (a greenlet where gevent is patched in).

    `error` is what ended it, None when it ended well or still runs.
    """

    def __init__(self, name: str, function: Callable[..., object], args: tuple[Any, ...]) -> None:
        self.name = name
        self.error: BaseException | None = None
        self._function = function
        self._args = args
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._function(*self._args)
        except Exception as error:
            self.error = error
            log.exception("%s failed", self.name)

    def is_alive(self) -> bool:
        """Say whether it still runs."""
        return self._thread.is_alive()

    def join(self, timeout_s: float | None = None) -> None:
        """Wait for its end."""
        self._thread.join(timeout_s)


class Jobs:
    """The work of one gateway that is under way, and the sign to end it.

    `released` says that somebody has waited already, so that the process may end.
    """

    def __init__(self) -> None:
        self.released = False
        self.stopping = threading.Event()
        self._tracked: list[Alive] = []

    def spawn(self, function: Callable[..., object], *args: Any, name: str = "") -> Job:
        """Run a function beside this one; it should end when `stopping` is set."""
        job = Job(name or getattr(function, "__name__", "job"), function, args)
        self.track(job)
        return job

    def track(self, thing: Alive) -> None:
        """Let `until --done` wait for a thing that has `is_alive()`."""
        self._tracked.append(thing)

    def alive(self) -> list[Alive]:
        """List what still runs."""
        return [thing for thing in self._tracked if thing.is_alive()]

    def errors(self) -> list[BaseException]:
        """List what ended jobs that failed."""
        found = (getattr(thing, "error", None) for thing in self._tracked)
        return [error for error in found if isinstance(error, BaseException)]

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until somebody asks to stop; True if so, False after `timeout_s`."""
        if timeout_s is not None:
            return self.stopping.wait(timeout_s)
        # With a timer the loop of gevent has something to live for, whatever else ended.
        while not self.stopping.wait(LOOK_S):
            pass
        return True

    def stop(self) -> None:
        """Ask everything to end."""
        self.stopping.set()
