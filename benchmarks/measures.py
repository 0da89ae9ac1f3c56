"""The measures, one function each: what is started, loaded, and written down."""

from __future__ import annotations

import http.client
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from benchmarks.endurance import load, soak
from benchmarks.fanout import dashboards
from benchmarks.first_load import weight
from benchmarks.generator import Fleet, Load, percentile
from benchmarks.pages_volume import volumes
from benchmarks.processes import ServerProcess, run_seconds
from benchmarks.stage import (
    Bench,
    Contestant,
    compete,
    echo_fleet,
    median,
    ocpp_fleet,
    register,
    workspace,
)
from benchmarks.standin import proxy
from benchmarks.validation import validation

KINDS = (("Heartbeat", "57 B", False), ("MeterValues", "1 KB", True))
PAGES = ("/healthz", "/ocpp/csms/charger-status")


def generator_ceiling(bench: Bench) -> None:
    """Load a server that does next to nothing: what the generator can do at most."""
    bench.report.begin("Load generator against a sink that parses nothing (its own ceiling)")
    with bench.serve("sink") as server:
        sink = Contestant.echo("sink", server, bench.plan.fleet)
        with sink.fleet:
            for kind, size, large in KINDS:
                loads = compete([sink], large=large, seconds=bench.plan.seconds, rounds=1)
                _add_load(bench, f"{size} ({kind})", median(loads["sink"]))


def contest(bench: Bench) -> None:
    """Load all servers in turn with the full fleet; the floors that are ratios."""
    plan = bench.plan
    bench.report.begin(f"{plan.fleet:,} connections, one call outstanding on each")
    with ExitStack() as stack:
        field = _field(bench, stack)
        rates: dict[tuple[str, bool], float] = {}
        for kind, size, large in KINDS:
            loads = compete(field, large=large, seconds=plan.seconds, rounds=plan.rounds)
            for name, runs in loads.items():
                load = median(runs)
                rates[name, large] = load.rate
                what = kind if name in ("gway ocpp.csms", "ocpp package") else f"{size} echo"
                _add_load(bench, f"{name}, {what}", load)
        _with_another_plugin(bench, field[0])
    ours, package, echo, stock = (contestant.name for contestant in field)
    floor = bench.report.at_least
    floor("Heartbeat, to the ocpp package", rates[ours, False] / rates[package, False], 6)
    floor("durable MeterValues, to the ocpp package", rates[ours, True] / rates[package, True], 10)
    floor("durable MeterValues, to our bare echo", rates[ours, True] / rates[echo, True], 0.2)
    floor("echo of 57 B, to gevent-websocket's", rates[echo, False] / rates[stock, False], 3)
    floor("echo of 1 KB, to gevent-websocket's", rates[echo, True] / rates[stock, True], 10)


def _with_another_plugin(bench: Bench, ours: Contestant) -> None:
    """Show what a plugin that subscribes to every frame costs."""
    ours.server.ask("frames on")
    for kind, _, large in KINDS:
        loads = compete([ours], large=large, seconds=bench.plan.seconds, rounds=1)
        _add_load(bench, f"{ours.name}, {kind}, a plugin hears all", median(loads[ours.name]))
    ours.server.ask("frames off")


def _field(bench: Bench, stack: ExitStack) -> list[Contestant]:
    size = bench.plan.fleet
    ours = stack.enter_context(bench.central_system())
    package = stack.enter_context(bench.serve("ocpp_package"))
    echo = stack.enter_context(bench.serve("echo"))
    stock = stack.enter_context(bench.serve("stock_echo"))
    contestants = [
        Contestant.ocpp("gway ocpp.csms", ours, size, "FIELD"),
        Contestant.ocpp("ocpp package", package, size, "FIELD"),
        Contestant.echo("gway echo", echo, size),
        Contestant.echo("gevent-websocket echo", stock, size),
    ]
    for contestant in contestants:
        stack.enter_context(contestant.fleet)
    return contestants


def smaller_fleets(bench: Bench) -> None:
    """Load our central system and the package's with few chargers."""
    plan = bench.plan
    bench.report.begin("Fewer chargers, one call outstanding on each")
    with bench.central_system() as ours, bench.serve("ocpp_package") as package:
        for size in plan.sizes:
            with ExitStack() as stack:
                label = f"FEW{size}"
                field = [
                    Contestant.ocpp("gway ocpp.csms", ours, size, label),
                    Contestant.ocpp("ocpp package", package, size, label),
                ]
                for contestant in field:
                    stack.enter_context(contestant.fleet)
                for kind, _, large in KINDS:
                    loads = compete(field, large=large, seconds=plan.seconds, rounds=1)
                    for name, runs in loads.items():
                        _add_load(bench, f"{size:,} x {name}, {kind}", median(runs))


def steady_load(bench: Bench) -> None:
    """Offer durable MeterValues at a fixed rate; latency, hub stalls and pages meanwhile."""
    plan, report = bench.plan, bench.report
    report.begin(f"Durable MeterValues at a fixed rate from {plan.fleet:,} chargers")
    with bench.central_system() as server:
        ours = Contestant.ocpp("gway ocpp.csms", server, plan.fleet, "STEADY")
        with ours.fleet:
            stalls = []
            for rate in plan.paced_rates:
                _stall_ms(server)
                load = ours.fleet.paced(ours.large, rate, plan.paced_s)
                stalls.append(_stall_ms(server))
                _add_load(bench, f"{rate:,}/s", load)
                report.add(f"{rate:,}/s, longest hub stall", stalls[-1], "ms")
                if rate == plan.paced_rates[0]:
                    late = load.percentile_ms(99)
                    report.at_most("p99 at 1,000 durable MeterValues/s", late, 5, "ms")
            _stall_ms(server)
            ours.fleet.closed_loop(ours.large, plan.seconds)
            report.add("as fast as it goes, longest hub stall", _stall_ms(server), "ms")
            report.at_most("longest hub stall while storing at a fixed rate", max(stalls), 20, "ms")


def _stall_ms(server: ServerProcess) -> float:
    return float(str(server.ask("stall")["stall_ms"]))


def idle_memory(bench: Bench) -> None:
    """Weigh connections that say nothing: on the bare engine, and as known chargers."""
    bench.report.begin("Memory of an idle connection")
    with bench.serve("echo") as server:
        _weigh(bench, "bare connection", 2, server, echo_fleet, lambda _fleet, _first: None)
    with bench.central_system() as server:
        _weigh(
            bench,
            "charger, booted",
            8,
            server,
            lambda process: ocpp_fleet(process, "IDLE"),
            register,
        )


def _weigh(
    bench: Bench,
    name: str,
    bound_kib: float,
    server: ServerProcess,
    fleet_of: Callable[[ServerProcess], Fleet],
    prepare: Callable[[Fleet, int], None],
) -> None:
    with fleet_of(server) as fleet:
        first = min(100, bench.plan.idle_sizes[0])
        fleet.open(first)  # code and buffers that the first ones bring are not theirs
        prepare(fleet, 0)
        before = server.rss_bytes()
        for size in bench.plan.idle_sizes:
            begin = fleet.size
            fleet.open(size + first - begin)
            prepare(fleet, begin)
            kib = (server.rss_bytes() - before) / size / 1024
            bench.report.add(f"{name}, of {size:,}", kib, "KiB")
            bench.report.at_most(f"idle {name}, of {size:,}", kib, bound_kib, "KiB")


def accepts(bench: Bench) -> None:
    """Count connections accepted and upgraded each second."""
    plan, report = bench.plan, bench.report
    report.begin(f"Connections accepted, {plan.accepts:,} at a stretch")
    with ExitStack() as stack:
        echo = stack.enter_context(bench.serve("echo"))
        ours = stack.enter_context(bench.central_system())
        fleets: list[tuple[str, Callable[[int], Fleet]]] = [
            ("gway echo", lambda _: echo_fleet(echo)),
            ("gway ocpp.csms", lambda turn: ocpp_fleet(ours, f"ACCEPT{turn}")),
        ]
        rates: dict[str, list[float]] = {name: [] for name, _ in fleets}
        for turn in range(plan.rounds):
            for name, fleet_of in fleets:
                # They stay, so that no one's leaving costs the next one's coming.
                fleet = stack.enter_context(fleet_of(turn))
                rates[name].append(plan.accepts / fleet.open(plan.accepts))
        for name, measured in rates.items():
            report.add(name, statistics.median(measured), "/s")
    report.at_least("accepts", statistics.median(rates["gway ocpp.csms"]), 1500, "/s")


def pages(bench: Bench) -> None:
    """Time pages over one keep-alive connection, beside their own work in the server."""
    bench.report.begin("A page on a keep-alive connection, 20 chargers connected")
    with bench.central_system() as server:
        ours = Contestant.ocpp("gway ocpp.csms", server, 20, "PAGE")
        with ours.fleet:
            for path in PAGES:
                took = _page_times(int(str(server.ports["port"])), path, bench.plan.page_requests)
                times = bench.plan.page_requests
                own_ms = float(str(server.ask(f"page {path} {times}")["page_ms"]))
                middle = percentile(took, 50) / 1e6
                note = f"p99 {percentile(took, 99) / 1e6:.2f} ms, own work {own_ms:.2f} ms"
                bench.report.add(path, middle, "ms", note)
                bench.report.at_most(f"{path} over its own work", middle - own_ms, 2, "ms")


def _page_times(port: int, path: str, times: int) -> list[int]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    took = []
    for _ in range(times + 5):
        began = time.perf_counter_ns()
        connection.request("GET", path, headers={"Accept-Encoding": "gzip"})
        response = connection.getresponse()
        response.read()
        if response.status != 200:
            raise http.client.HTTPException(f"{path} answered {response.status}")
        took.append(time.perf_counter_ns() - began)
    connection.close()
    return sorted(took[5:])


def start_up(bench: Bench) -> None:
    """Time commands from start to end, beside an interpreter that does nothing."""
    report = bench.report
    report.begin("Start-up, medians of interleaved runs")
    gway = shutil.which("gway", path=str(Path(sys.executable).parent)) or shutil.which("gway")
    if gway is None:
        raise FileNotFoundError("the command gway is not installed beside this interpreter")
    bare, shown, verb = "python -c pass", "gway --help", "gway ocpp.data.view_charger_summary"
    commands = {
        "python -S -c pass": [sys.executable, "-S", "-c", "pass"],
        bare: [sys.executable, "-c", "pass"],
        shown: [gway, "--help"],
        verb: [gway, "ocpp.data.view_charger_summary"],
    }
    with workspace() as folder:
        _store_some_sessions(bench, folder)
        took: dict[str, list[float]] = {name: [] for name in commands}
        environment = {"GWAY_WORKSPACE": str(folder)}
        for turn in range(bench.plan.startup_runs + 1):
            for name, command in commands.items():
                seconds = run_seconds(command, core=bench.server_core, cwd=folder, env=environment)
                if turn:  # the first of each fills the caches, of bytecode too
                    took[name].append(seconds * 1000)
    middle = {name: statistics.median(times) for name, times in took.items()}
    for name, value in middle.items():
        report.add(name, value, "ms")
    report.at_most("gway --help, to the bare interpreter", middle[shown] / middle[bare], 4)
    report.at_most("a data verb over gway --help", middle[verb] - middle[shown], 100, "ms")


def _store_some_sessions(bench: Bench, folder: Path) -> None:
    with bench.central_system(folder) as server:
        ours = Contestant.ocpp("gway ocpp.csms", server, 20, "STORED")
        with ours.fleet:
            ours.fleet.closed_loop(ours.large, 0.2)


def _add_load(bench: Bench, name: str, load: Load) -> None:
    note = f"p50 {load.percentile_ms(50):.2f} ms, p99 {load.percentile_ms(99):.2f} ms"
    note += f"; server's core {load.server_share:.0%}"
    if load.late_ms:
        note += f", generator late by {load.late_ms:.2f} ms at most"
    bench.report.add(name, load.rate, "msg/s", note)


ALL: dict[str, Callable[[Bench], None]] = {
    "generator": generator_ceiling,
    "contest": contest,
    "fleets": smaller_fleets,
    "steady": steady_load,
    "memory": idle_memory,
    "accepts": accepts,
    "pages": pages,
    "weight": weight,
    "dashboards": dashboards,
    "proxy": proxy,
    "volumes": volumes,
    "validation": validation,
    "startup": start_up,
    "load": load,
    "soak": soak,
}
