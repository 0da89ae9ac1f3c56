"""Ctrl-C and SIGTERM, and an end that does not hang."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from gway.errors import Terminated
from gway.native import is_patched, original

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from gway.resolver import Gateway


@contextmanager
def signals() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM arrive in the main flow as exceptions, inside the block."""
    set_handler = original("signal", "signal")
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        _install()
        yield
    finally:
        for number, handler in before.items():
            set_handler(number, handler)


def _install() -> None:
    if not is_patched():
        signal.signal(signal.SIGTERM, _terminate)
        return
    import gevent

    # A plain handler would raise in whatever greenlet happens to run.
    gevent.signal_handler(signal.SIGTERM, _throw, Terminated())
    gevent.signal_handler(signal.SIGINT, _throw, KeyboardInterrupt())


def close(gateway: Gateway, code: int) -> None:
    """Close the gateway; a second signal, or too long a wait, ends the process at once.

    :param code: the exit code of an end by force
    """
    if not gateway.has_services():
        return
    timeout_s = float(gateway.settings.get("STOP_TIMEOUT_S"))
    finished = original("_thread", "allocate_lock")()
    finished.acquire()

    def cut_off() -> None:
        if not finished.acquire(True, timeout_s):
            os.write(2, f"gway: not closed after {timeout_s:g} s, ended by force\n".encode())
            os._exit(code or 1)

    original("_thread", "start_new_thread")(cut_off, ())
    for number in (signal.SIGINT, signal.SIGTERM):
        original("signal", "signal")(number, lambda *_: os._exit(code or 1))
    try:
        gateway.close()
    finally:
        finished.release()
        sys.stdout.flush()


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def _throw(error: BaseException) -> None:
    import gevent

    gevent.get_hub().handle_system_error(type(error), error)
