"""A site as an operator runs it, with as much as it is made for: at once, and for long."""

from __future__ import annotations

import http.client
import statistics
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks import wire
from benchmarks.fanout import watching
from benchmarks.generator import Fleet
from benchmarks.processes import RecipeProcess
from benchmarks.stage import QUICK, Bench, register, start_transactions, workspace
from gway.projects.ocpp.keys.hashing import hash_key
from gway.projects.ocpp.keys.store import KeyStore
from gway.projects.sql.database import Database

RSS_MIB = 100
CONNECT_S = 15
RATE, P99_MS, DASHBOARD_P95_MS = 5_000, 20, 300
STOP_S = 5
GROWTH_PERCENT = 5.0
KEY = "a-key-of-24-characters-{:04d}"
PAGE = "/ocpp/csms/charger-status"


@dataclass(frozen=True)
class Size:
    """How much a run asks of the site."""

    chargers: int = 1_000
    rate: int = RATE
    seconds: float = 60.0
    dashboards: int = 10


LARGE, SMALL = Size(), Size(chargers=100, rate=500, seconds=3.0, dashboards=3)
SOAKED = Size(chargers=200, rate=500, seconds=8.0, dashboards=5)
CHURN = 40  # chargers that come and go in each round of a soak
WARM = 0.25  # of a soak, before anything is compared


def load(bench: Bench) -> None:
    """Connect a thousand chargers with keys, let them send, and stop the site."""
    size = SMALL if bench.plan is QUICK else LARGE
    report = bench.report
    report.begin(f"gway run etron/cloud with {size.chargers:,} chargers, each with a key")
    with workspace() as folder, ExitStack() as stack:
        _keys(folder, size.chargers)
        site = stack.enter_context(
            RecipeProcess(folder, "etron/cloud", "--require-keys", core=bench.server_core)
        )
        fleet = stack.enter_context(_fleet(site, "LOAD", keys=True))
        took = fleet.open(size.chargers)
        report.add(f"{size.chargers:,} authenticated connects", took, "s")
        report.at_most("authenticated connects", took, CONNECT_S, "s")
        register(fleet)
        _weigh(bench, site, "all connected and booted", floor=True)
        script = wire.meter_values(start_transactions(fleet))
        _under_load(bench, site, fleet, script, size)
        _weigh(bench, site, "after the load", floor=False)
        took = site.stop()
        report.add("SIGTERM to its end", took, "s")
        report.at_most("SIGTERM to its end", took, STOP_S, "s")


def _under_load(
    bench: Bench, site: RecipeProcess, fleet: Fleet, script: wire.Script, size: Size
) -> None:
    report = bench.report
    with watching(site.port, size.dashboards, size.seconds) as seen:
        sent = fleet.paced(script, size.rate, size.seconds)
    late = sent.percentile_ms(99)
    note = f"p50 {sent.percentile_ms(50):.2f} ms; server's core {sent.server_share:.0%}"
    note += f", generator late by {sent.late_ms:.1f} ms at most"
    report.add(f"durable MeterValues for {size.seconds:.0f} s", sent.rate, "/s", note)
    report.add("their p99", late, "ms")
    report.add(f"{size.dashboards} dashboards, event to page, p95", seen["event_p95_ms"], "ms")
    report.at_least("durable MeterValues under load", sent.rate, size.rate * 0.99, "/s")
    report.at_most("their p99", late, P99_MS, "ms")
    report.at_most("dashboards meanwhile, p95", seen["event_p95_ms"], DASHBOARD_P95_MS, "ms")


def _weigh(bench: Bench, site: RecipeProcess, name: str, *, floor: bool) -> None:
    rss_mib = site.rss_bytes() / 2**20
    bench.report.add(f"memory, {name}", rss_mib, "MiB")
    if floor:
        bench.report.at_most(f"memory, {name}", rss_mib, RSS_MIB, "MiB")


def _keys(folder: Path, count: int) -> None:
    """Set the keys before the site starts, as an operator would over the years."""
    moment = wire.now()
    database = Database(folder / "work" / "ocpp.sqlite")
    store = KeyStore(database)
    for index in range(count):
        store.put(f"LOAD-{index}", hash_key(KEY.format(index).encode()), moment)
    database.close()


def _fleet(site: RecipeProcess, name: str, *, keys: bool = False) -> Fleet:
    return Fleet(
        site.ws_port,
        lambda index: f"/ocpp/csms/{name}-{index}",
        subprotocol="ocpp1.6",
        credentials=lambda index: f"{name}-{index}:{KEY.format(index)}" if keys else "",
        server_cpu_s=site.cpu_s,
    )


# --- for long ---------------------------------------------------------------------


def soak(bench: Bench) -> None:
    """Let sessions begin and end, chargers come and go, and people look, for minutes."""
    quick = bench.plan is QUICK
    minutes = bench.soak_minutes
    size = SMALL if quick else SOAKED
    report = bench.report
    report.begin(f"gway run etron/cloud for {minutes:g} min, {size.chargers} chargers")
    with workspace() as folder, ExitStack() as stack:
        site = stack.enter_context(RecipeProcess(folder, "etron/cloud", core=bench.server_core))
        fleet = stack.enter_context(_fleet(site, "SOAK"))
        fleet.open(size.chargers)
        register(fleet)
        weights = _rounds(site, fleet, size, minutes * 60)
    report.add("rounds of sessions, of chargers that come and go", len(weights), "")
    compared = weights[int(len(weights) * WARM) :]
    few = max(1, len(compared) // 4)
    first, last = (
        statistics.median(rss for rss, _ in part) / 2**20
        for part in (compared[:few], compared[-few:])
    )
    growth = (last / first - 1) * 100
    report.add("memory, early and late", last, "MiB", f"early {first:.1f} MiB")
    descriptors = [count for _, count in compared]
    spread = max(descriptors) - min(descriptors)
    report.add("open descriptors", descriptors[-1], "", f"{min(descriptors)} to {max(descriptors)}")
    report.at_most(f"memory after {minutes:g} min, growth", growth, GROWTH_PERCENT, "%")
    report.at_most("open descriptors, spread", spread, 4)


def _rounds(site: RecipeProcess, fleet: Fleet, size: Size, seconds: float) -> list[tuple[int, int]]:
    """Go through rounds of sessions; memory and descriptors after each."""
    weights = []
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(weights) < 4:
        ids = start_transactions(fleet)
        with watching(site.port, size.dashboards, size.seconds / 2):
            fleet.paced(wire.meter_values(ids), size.rate, size.seconds)
        with _fleet(site, f"GUEST{len(weights) % 3}") as guests:
            guests.open(CHURN)
            register(guests)
        _stop_all(fleet, ids)
        _look(site)
        time.sleep(0.5)  # what the round left is stored and tidied up
        weights.append((site.rss_bytes(), site.descriptors()))
        fleet.tend()
    return weights


def _stop_all(fleet: Fleet, transaction_ids: list[int]) -> None:
    now = wire.ocpp_time(wire.now())
    fleet.ask(
        [
            wire.client_frame(
                wire.call(
                    f"stop-{one}",
                    "StopTransaction",
                    {"transactionId": one, "meterStop": 20_000_000, "timestamp": now},
                )
            )
            for one in transaction_ids
        ]
    )


def _look(site: RecipeProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    for path in (PAGE, "/ocpp/data/charger-summary", "/ocpp/data/charger-details.csv"):
        connection.request("GET", path)
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise http.client.HTTPException(f"{path} answered {response.status}")
    connection.close()
