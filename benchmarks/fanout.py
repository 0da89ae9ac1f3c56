"""Dashboards that are open while chargers charge: how soon they show it, and what that costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from benchmarks import wire
from benchmarks.generator import Fleet, Load
from benchmarks.processes import CHECKOUT, ServerProcess
from benchmarks.stage import QUICK, Bench, ocpp_fleet, register, start_transactions

CHARGERS, DASHBOARDS = 200, 200
SECONDS, WARM_UP_S = 15.0, 2.0
EVENT_P95_MS, MESSAGE_P95_MS, CHARGERS_P99_MS = 300, 1_300, 50


def dashboards(bench: Bench) -> None:
    """Open 200 dashboards on 200 chargers that send a message a second each."""
    quick = bench.plan is QUICK
    chargers, count = (40, 20) if quick else (CHARGERS, DASHBOARDS)
    seconds = 3.0 if quick else SECONDS
    report = bench.report
    report.begin(f"{count} dashboards on {chargers} chargers, a message a second from each")
    with bench.central_system() as server, ocpp_fleet(server, "SEEN") as fleet:
        script = charging(fleet, chargers)
        alone, alone_share = _send(server, fleet, script, seconds)
        report.add("no dashboard: chargers' p99", alone.percentile_ms(99), "ms", _cpu(alone_share))
        before = server.rss_bytes()
        with watching(int(str(server.ports["port"])), count, seconds + WARM_UP_S) as seen:
            fleet.paced(script, chargers, WARM_UP_S / 2)
            load, share = _send(server, fleet, script, seconds)
            grown = server.rss_bytes() - before
        report.add("fragments", seen["fragments_s"], "/s", f"{seen['fragment_kib']:.0f} KiB each")
        _add_delay(bench, seen, "message to page", "message")
        _add_delay(bench, seen, "event to page", "event")
        report.add("server's core", share * 100, "%")
        report.add("memory for them", grown / 2**20, "MiB", f"of {server.rss_bytes() / 2**20:.0f}")
        late = load.percentile_ms(99)
        report.add("chargers' p99 meanwhile", late, "ms")
    report.at_most(
        f"{count} dashboards: event to page, p95", seen["event_p95_ms"], EVENT_P95_MS, "ms"
    )
    report.at_most(
        f"{count} dashboards: message to page, p95", seen["message_p95_ms"], MESSAGE_P95_MS, "ms"
    )
    report.at_most("chargers' p99 beside them", late, CHARGERS_P99_MS, "ms")


def charging(fleet: Fleet, size: int) -> wire.Script:
    """Connect chargers, each in a transaction; give what they send from then on."""
    fleet.open(size)
    register(fleet)
    return wire.meter_values(start_transactions(fleet))


@contextmanager
def watching(port: int, count: int, seconds: float) -> Iterator[dict[str, float]]:
    """Have dashboards look in a process of their own; their figures are there at the end."""
    command = [sys.executable, "-m", "benchmarks.viewers"]
    command += [str(port), str(count), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=CHECKOUT) as process:
        assert process.stdout is not None
        figures: dict[str, float] = {}
        try:
            process.stdout.readline()
            yield figures
            figures.update(json.loads(process.stdout.readline()))
        finally:
            process.kill()


def _send(
    server: ServerProcess, fleet: Fleet, script: wire.Script, seconds: float
) -> tuple[Load, float]:
    load = fleet.paced(script, fleet.size, seconds)
    return load, load.server_share


def _cpu(share: float) -> str:
    return f"server's core {share:.0%}"


def _add_delay(bench: Bench, seen: dict[str, float], name: str, key: str) -> None:
    note = f"p50 {seen[f'{key}_p50_ms']:.0f} ms"
    bench.report.add(f"{name}, p95", seen[f"{key}_p95_ms"], "ms", note)
