"""What the measures share: the plan, the servers, and fleets ready to load them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import wire
from benchmarks.generator import Fleet, Load, LoadError
from benchmarks.processes import CHECKOUT, ServerProcess, cores
from benchmarks.report import Report


@dataclass(frozen=True)
class Plan:
    """How long and how large: the full run is the one whose floors count."""

    seconds: float = 3.0
    rounds: int = 3
    sizes: tuple[int, ...] = (1, 20, 200)
    fleet: int = 1000
    idle_sizes: tuple[int, ...] = (1000, 10_000)
    paced_rates: tuple[int, ...] = (1000, 5000)
    paced_s: float = 10.0
    accepts: int = 2000
    page_requests: int = 200
    startup_runs: int = 25
    soak_minutes: float = 10.0


QUICK = Plan(
    seconds=0.5,
    rounds=1,
    sizes=(1, 20),
    fleet=100,
    idle_sizes=(200,),
    paced_rates=(1000,),
    paced_s=1.0,
    accepts=200,
    page_requests=20,
    startup_runs=3,
    soak_minutes=0.2,
)


class Bench:
    """One run of the benchmarks."""

    def __init__(self, plan: Plan, soak_minutes: float | None = None) -> None:
        self.plan = plan
        self.soak_minutes = plan.soak_minutes if soak_minutes is None else soak_minutes
        self.report = Report()
        self.server_core, self.generator_core = cores()
        os.sched_setaffinity(0, {self.generator_core})
        if self.server_core == self.generator_core:
            print("one core only: server and generator share it, so the figures are low")

    def serve(self, module: str) -> ServerProcess:
        return ServerProcess(module, core=self.server_core)

    @contextmanager
    def central_system(
        self, folder: Path | None = None, *arguments: str, core: int | None = None
    ) -> Iterator[ServerProcess]:
        """Serve our central system on a workspace, by default an empty one of its own.

        :param arguments: of `benchmarks.servers.csms`
        :param core: to run on, by default the server's
        """
        with ExitStack() as stack:
            home = folder or stack.enter_context(workspace())
            where = self.server_core if core is None else core
            environment = {"GWAY_WORKSPACE": str(home)}
            yield stack.enter_context(
                ServerProcess("csms", *arguments, core=where, env=environment)
            )


@contextmanager
def workspace() -> Iterator[Path]:
    """Make an empty workspace; under `work/`, since /tmp may be no disk at all."""
    parent = CHECKOUT / "work"
    parent.mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="benchmark-", dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def echo_fleet(server: ServerProcess) -> Fleet:
    return Fleet(server.ws_port, lambda index: f"/{index}", server_cpu_s=server.cpu_s)


def ocpp_fleet(server: ServerProcess, name: str, prefix: str = "/ocpp/csms/") -> Fleet:
    """Prepare chargers called `<name>-0`, `<name>-1`, ..."""
    path = f"{prefix}{name}-"
    return Fleet(
        server.ws_port,
        lambda index: f"{path}{index}",
        subprotocol="ocpp1.6",
        server_cpu_s=server.cpu_s,
    )


def register(fleet: Fleet, first: int = 0) -> None:
    """Let the chargers boot and report an available connector."""
    boot = {"chargePointVendor": "GWAY", "chargePointModel": "Bench"}
    status = {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
    chargers = range(first, fleet.size)
    fleet.ask([_call(index, "BootNotification", boot) for index in chargers], first)
    fleet.ask([_call(index, "StatusNotification", status) for index in chargers], first)


def start_transactions(fleet: Fleet) -> list[int]:
    """Let each charger start a transaction; tell their ids."""
    now = wire.ocpp_time(datetime.now(UTC))
    answers = fleet.ask(
        [
            _call(
                index,
                "StartTransaction",
                {"connectorId": 1, "idTag": f"TAG{index}", "meterStart": 0, "timestamp": now},
            )
            for index in range(fleet.size)
        ]
    )
    ids = []
    for answer in answers:
        if answer["idTagInfo"]["status"] != "Accepted":
            raise LoadError(f"a transaction was not accepted: {answer}")
        ids.append(int(answer["transactionId"]))
    return ids


def _call(index: int, action: str, payload: Mapping[str, object]) -> bytes:
    message_id = wire.first_id(index).replace("-4000-", f"-{action[:4].lower()}-")
    return wire.client_frame(wire.call(message_id, action, payload))


@dataclass
class Contestant:
    """A server with a connected fleet and what the fleet says to it."""

    name: str
    server: ServerProcess
    fleet: Fleet
    small: wire.Script
    large: wire.Script

    @classmethod
    def echo(cls, name: str, server: ServerProcess, size: int) -> Contestant:
        fleet = echo_fleet(server)
        fleet.open(size)
        small = wire.heartbeats(size, answer=b"[2")
        return cls(name, server, fleet, small, wire.meter_values([1] * size, answer=b"[2"))

    @classmethod
    def ocpp(cls, name: str, server: ServerProcess, size: int, label: str) -> Contestant:
        fleet = ocpp_fleet(server, label)
        fleet.open(size)
        register(fleet)
        ids = start_transactions(fleet)
        return cls(name, server, fleet, wire.heartbeats(size), wire.meter_values(ids))


def compete(
    contestants: list[Contestant], *, large: bool, seconds: float, rounds: int
) -> dict[str, list[Load]]:
    """Load the servers in turn, round after round, so that all see the same machine."""
    loads: dict[str, list[Load]] = {contestant.name: [] for contestant in contestants}
    for _ in range(rounds):
        for contestant in contestants:
            for other in contestants:
                other.fleet.tend()
            script = contestant.large if large else contestant.small
            loads[contestant.name].append(contestant.fleet.closed_loop(script, seconds))
    return loads


def median(loads: list[Load]) -> Load:
    """Take the run with the median rate."""
    return sorted(loads, key=lambda load: load.rate)[len(loads) // 2]
