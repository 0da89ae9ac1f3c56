"""Whether this process lives, and whether it can do its work."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from gway.web.reply import Reply, json_reply

if TYPE_CHECKING:
    from gway.hookspecs import HealthCheck
    from gway.resolver import Gateway


def alive() -> Reply:
    """Answer `/healthz`: a process that can say so is alive."""
    return json_reply({"status": "ok"})


def ready(gw: Gateway) -> Reply:
    """Answer `/readyz`: every part is asked; one that is not well makes it 503."""
    failures = gw.plugins.failures
    failed_before = failures["gway_health"]
    checks: list[HealthCheck] = list(chain.from_iterable(gw.plugins.collect("gway_health")))
    silent = failures["gway_health"] - failed_before  # parts that raised instead of answering
    well = all(check.ok for check in checks) and not silent and not gw.closed
    parts = {check.name: "ok" if check.ok else "failed" for check in checks}
    if silent:
        parts["unanswered"] = "failed"
    return json_reply({"status": "ok" if well else "failed", "checks": parts}, 200 if well else 503)
