"""What lies under gevent's patches: functions that block their thread, and native threads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


def original(module: str, name: str) -> Any:
    """Give a function of the standard library that blocks its native thread.

    :param module: such as "time"
    :param name: such as "sleep"
    """
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    return getattr(__import__(module), name)


def is_patched() -> bool:
    """Say whether gevent's patches are in force in this process."""
    monkey = sys.modules.get("gevent.monkey")
    return monkey is not None and bool(monkey.is_module_patched("socket"))


def in_thread(hub: Any, function: Callable[[], T]) -> T:
    """Run a function in a hub's pool of native threads, while other greenlets go on.

    What it raises is raised here. gevent would hand it over too, but would first print
    it on stderr as a crash, and a "not found" is none.

    :param hub: the hub of the calling thread
    """
    result: list[T] = []
    raised: list[Exception] = []

    def run() -> None:
        try:
            result.append(function())
        except Exception as error:  # noqa: BLE001 (it is raised below)
            raised.append(error)

    hub.threadpool.apply(run)
    if raised:
        raise raised.pop()
    return result[0]
