"""The proxy: what chargers notice of a remote that is away, and how a queue drains."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import wire
from benchmarks.generator import Fleet, LoadError, percentile
from benchmarks.processes import ServerProcess
from benchmarks.stage import QUICK, Bench, ocpp_fleet, register, workspace

RATIO = 1.2
DRAIN_S, DRAIN_EACH_S = 200, 50
SHORT_OF = 0.97  # of a rate that is also the most that the proxy may send
DISK_MB, RSS_MIB = 100, 20
RATE = 120  # messages a second, below what may be forwarded, so that nothing queues up
PATIENCE_S = 120.0


@dataclass(frozen=True)
class Size:
    """How large a run is."""

    chargers: int = 100
    seconds: float = 15.0
    outage: int = 4_000
    alone: int = 500
    queue: int = 100_000
    drained_s: float = 10.0


SMALL = Size(chargers=20, seconds=2.0, outage=600, alone=100, queue=2_000, drained_s=1.5)


class Site:
    """A central system that forwards, its chargers, and the remote that comes and goes."""

    def __init__(self, bench: Bench, size: Size, folder: Path, stack: ExitStack) -> None:
        self.size = size
        self._bench = bench
        self._home = folder / "remote"
        self._home.mkdir()
        (folder / "local").mkdir()
        self._remote = ExitStack()
        stack.callback(self.cut_off)
        self._port = self.bring_back(0)
        self.server: ServerProcess = stack.enter_context(
            bench.central_system(
                folder / "local", "--remote", f"ws://127.0.0.1:{self._port}/ocpp/csms"
            )
        )
        self.fleet: Fleet = stack.enter_context(ocpp_fleet(self.server, "LOCAL"))
        self.fleet.open(size.chargers)
        register(self.fleet)
        self.database = folder / "local" / "work" / "ocpp.sqlite"
        self._calls = 0

    def bring_back(self, port: int | None = None) -> int:
        """Start the remote where it was; it has the generator's core, not the local one's."""
        arguments = ("--ws-port", str(self._port if port is None else port))
        server = self._remote.enter_context(
            self._bench.central_system(self._home, *arguments, core=self._bench.generator_core)
        )
        return server.ws_port

    def cut_off(self) -> None:
        """Stop the remote."""
        self._remote.close()
        self._remote = ExitStack()

    def pending(self) -> int:
        return int(str(self.server.ask("queued")["pending"]))

    def wait_for(self, what: str, condition: Callable[[], bool]) -> float:
        """Wait until something is so; tell the seconds that it took."""
        began = time.perf_counter()
        while not condition():
            if time.perf_counter() - began > PATIENCE_S:
                raise LoadError(f"not within {PATIENCE_S:.0f} s: {what}")
            self.fleet.tend()
            time.sleep(0.1)
        return time.perf_counter() - began

    def caught_up(self) -> None:
        self.server.ask("hurry")
        self.wait_for("the queue is empty", lambda: self.pending() == 0)

    # --- what chargers do ---------------------------------------------------------

    def one_by_one(self, action: str, payloads: list[dict[str, object]]) -> list[tuple[int, dict]]:
        """Let each charger say something after the other; nanoseconds and answers."""
        answers = []
        for index, payload in enumerate(payloads):
            self._calls += 1
            frame = wire.client_frame(wire.call(f"one-{self._calls:08d}", action, payload))
            began = time.perf_counter_ns()
            (answer,) = self.fleet.ask([frame], index)
            answers.append((time.perf_counter_ns() - began, answer))
        return answers

    def start(self, count: int | None = None) -> tuple[list[int], list[int]]:
        """Start transactions; the times that took, and their ids."""
        now = wire.ocpp_time(datetime.now(UTC))
        words: list[dict[str, object]] = [
            {"connectorId": 1, "idTag": f"TAG{index}", "meterStart": 0, "timestamp": now}
            for index in range(count or self.size.chargers)
        ]
        answers = self.one_by_one("StartTransaction", words)
        return [took for took, _ in answers], [int(one["transactionId"]) for _, one in answers]

    def stop(self, transaction_ids: list[int]) -> list[int]:
        """Stop transactions; the times that took."""
        now = wire.ocpp_time(datetime.now(UTC))
        words: list[dict[str, object]] = [
            {"transactionId": one, "meterStop": 20_000_000, "timestamp": now}
            for one in transaction_ids
        ]
        return [took for took, _ in self.one_by_one("StopTransaction", words)]

    def sessions(self, seconds: float) -> list[int]:
        """Let all chargers charge for a while; the times of all their messages, in order."""
        starts, ids = self.start()
        load = self.fleet.paced(samples(ids), RATE, seconds, warm_up_s=0.2)
        return sorted([*starts, *load.latencies, *self.stop(ids)])


def samples(transaction_ids: list[int]) -> wire.Script:
    """Make MeterValues as most chargers send them: four samples, 440 bytes."""
    begin = datetime.now(UTC)
    moment = wire.ocpp_time(begin)
    messages = []
    for index, transaction_id in enumerate(transaction_ids):
        sampled = [
            {"value": "10000000", "measurand": "Energy.Active.Import.Register", "unit": "Wh"},
            {"value": "11040", "measurand": "Power.Active.Import", "unit": "W"},
            {"value": "16.1", "measurand": "Current.Import", "unit": "A", "phase": "L1"},
            {"value": "57", "measurand": "SoC", "unit": "Percent"},
        ]
        value = [{"timestamp": moment, "sampledValue": sampled}]
        payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": value}
        first = f"s{transaction_id:07x}-{wire.first_id(index)[9:]}"
        text = wire.call(first, "MeterValues", payload)
        slots = (wire.FIRST_TAIL, moment.encode(), b"10000000")
        messages.append(wire.Message(text, slots, b"[3"))

    def step(number: int) -> tuple[bytes, ...]:
        later = begin + timedelta(milliseconds=number + 1)
        return b"%012x" % (number + 1), wire.ocpp_time(later).encode(), b"%d" % (10000001 + number)

    return wire.Script(messages, step)


def proxy(bench: Bench) -> None:
    """Compare local answers with the remote up and away, then let queues drain."""
    size = SMALL if bench.plan is QUICK else Size()
    with _site(bench, size) as site:
        _answers(bench, site)
        _outage(bench, site)
        _one_charger(bench, site)
        _days(bench, site)


@contextmanager
def _site(bench: Bench, size: Size) -> Iterator[Site]:
    with workspace() as folder, ExitStack() as stack:
        bench.report.begin(f"A site of {size.chargers} chargers that forwards to a remote")
        yield Site(bench, size, folder, stack)


def _p99_ms(took: list[int]) -> float:
    return percentile(took, 99) / 1e6


def _answers(bench: Bench, site: Site) -> None:
    report = bench.report
    site.caught_up()
    up = site.sessions(site.size.seconds)
    site.caught_up()
    site.cut_off()
    away = site.sessions(site.size.seconds)
    for name, took in (("up", up), ("away", away)):
        note = f"p50 {percentile(took, 50) / 1e6:.1f} ms, {len(took):,} messages"
        report.add(f"local answers, remote {name}, p99", _p99_ms(took), "ms", note)
    report.at_most("local answers, p99 away to p99 up", _p99_ms(away) / _p99_ms(up), RATIO)


def _fill(site: Site, script: wire.Script, messages: int) -> int:
    """Let chargers say as much as they can until so much waits; tell how much that is."""
    while (waiting := site.pending()) < messages:
        site.fleet.closed_loop(script, min(2.0, (messages - waiting) / 4_000), warm_up_s=0.0)
    return waiting


def _outage(bench: Bench, site: Site) -> None:
    """Drain what many chargers queued; the remote has been away since the comparison."""
    _, ids = site.start()
    waiting = _fill(site, samples(ids), site.size.outage)
    site.stop(ids)
    site.bring_back()
    site.server.ask("hurry")
    waiting = site.pending()
    site.wait_for("the queue begins to drain", lambda: site.pending() < waiting * 0.95)
    began, before = time.perf_counter(), site.pending()
    site.wait_for("most has been drained", lambda: site.pending() < waiting * 0.1)
    rate = (before - site.pending()) / (time.perf_counter() - began)
    bench.report.add(f"drain, {site.size.chargers} chargers", rate, "/s", f"{before:,} waited")
    bench.report.at_least("drain with many chargers", rate, DRAIN_S * SHORT_OF, "/s")
    site.caught_up()


def _one_charger(bench: Bench, site: Site) -> None:
    """Drain what a single charger queued."""
    site.cut_off()
    (_, (only,)) = site.start(1)
    now = wire.ocpp_time(datetime.now(UTC))
    for number in range(site.size.alone):
        value = [{"timestamp": now, "sampledValue": [{"value": str(number)}]}]
        site.one_by_one(
            "MeterValues", [{"connectorId": 1, "transactionId": only, "meterValue": value}]
        )
    site.stop([only])
    site.bring_back()
    site.server.ask("hurry")
    waiting = site.pending()
    site.wait_for("the queue begins to drain", lambda: site.pending() < waiting * 0.95)
    began, before = time.perf_counter(), site.pending()
    site.wait_for("most has been drained", lambda: site.pending() < waiting * 0.1)
    rate = (before - site.pending()) / (time.perf_counter() - began)
    bench.report.add("drain, 1 charger", rate, "/s", f"{before:,} waited")
    bench.report.at_least("drain with one charger", rate, DRAIN_EACH_S * SHORT_OF, "/s")
    site.caught_up()


def _days(bench: Bench, site: Site) -> None:
    """Queue as much as in days, and see what that costs."""
    report, size = bench.report, site.size
    site.cut_off()
    before = site.sessions(size.seconds)
    _, ids = site.start()
    script = samples(ids)
    _fill(site, script, size.queue // 20)  # code and caches that any queue needs
    first, rss, disk = site.pending(), site.server.rss_bytes(), _disk_bytes(site)
    waiting = _fill(site, script, size.queue)
    grown_mib = (site.server.rss_bytes() - rss) / 2**20
    disk_mb = (_disk_bytes(site) - disk) / 1e6 / (waiting - first) * size.queue
    site.stop(ids)
    after = site.sessions(size.seconds)
    report.add(f"{waiting:,} messages queued: disk", disk_mb, "MB", "local rows included")
    report.add("memory for them", grown_mib, "MiB")
    note = f"before {_p99_ms(before):.1f} ms"
    report.add("local answers beside them, p99", _p99_ms(after), "ms", note)
    report.at_most(f"disk for {size.queue:,} queued messages", disk_mb, DISK_MB, "MB")
    report.at_most("memory for them", grown_mib, RSS_MIB, "MiB")
    report.at_most("local answers beside them, to before", _p99_ms(after) / _p99_ms(before), RATIO)
    site.bring_back()
    site.server.ask("hurry")
    waiting = site.pending()
    site.wait_for("the queue begins to drain", lambda: site.pending() < waiting - 200)
    began, start = time.perf_counter(), site.pending()
    site.wait_for("a while", lambda: time.perf_counter() - began > size.drained_s)
    rate = (start - site.pending()) / (time.perf_counter() - began)
    report.add("drain of them", rate, "/s")
    report.at_least("drain of a queue of days", rate, DRAIN_S * SHORT_OF, "/s")


def _disk_bytes(site: Site) -> int:
    return sum(path.stat().st_size for path in site.database.parent.glob("ocpp.sqlite"))
