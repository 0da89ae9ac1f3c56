"""The functions of the standard library as they are under gevent's patches."""

from __future__ import annotations

import sys
from typing import Any


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
