"""Times every page of a whole site on a database of a year, while the chargers go on sending.

`volumes`: 200 chargers, 100,000 transactions, a million MeterValues messages of five
samples each. The chargers send MeterValues as fast as chargers do that are asked for one
each second, ten times what is usual.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks import wire
from benchmarks.generator import Fleet, Load, LoadError, percentile
from benchmarks.pages_data import Volume, fill
from benchmarks.processes import ServerProcess
from benchmarks.stage import QUICK, Bench, ocpp_fleet, register, start_transactions, workspace

QUICK_VOLUME = Volume(chargers=20, transactions=1_000)
ALSO = ("ocpp.sink", "ocpp.evcs", "web.auth", "web.nav")  # what has pages besides
AWAY = "ws://127.0.0.1:9/ocpp"  # a remote where nobody listens: what is to be told it is queued
P95_MS = 300
DOWNLOAD_MS = (
    1_000  # of 10,000 rows, which a program or a spreadsheet reads and nobody waits before
)
DOWNLOAD = "details, 10,000 rows"
TURNS = 12
RECORDS = 1_000  # are made up for when a server starts; until then it is busy with that
SORTED = (
    "transaction_id",
    "charger_id",
    "connector_id",
    "id_tag",
    "state",
    "started_at",
    "stopped_at",
    "duration_s",
    "energy_wh",
    "energy_source",
    "reason",
)


def volumes(bench: Bench) -> None:
    """Time all pages on a full database under load."""
    quick = bench.plan is QUICK
    volume = replace(QUICK_VOLUME if quick else Volume(), end=today())
    bench.report.begin(
        f"Pages on {volume.transactions:,} transactions, {volume.readings:,} messages,"
        f" {volume.samples:,} samples"
    )
    with workspace() as folder:
        began = time.perf_counter()
        work = folder / "work"
        work.mkdir()
        fill(work / "ocpp.sqlite", volume)
        size = (work / "ocpp.sqlite").stat().st_size
        bench.report.add("database made", time.perf_counter() - began, "s", f"{size / 1e6:.0f} MB")
        with bench.central_system(folder, "--remote", AWAY, "--also", *ALSO) as server:
            _wait_for_records(folder, min(RECORDS, volume.transactions))
            with ocpp_fleet(server, volume.name) as fleet, _Sending(fleet, volume) as sending:
                _measure(bench, server, volume, turns=3 if quick else TURNS)
            if sending.load is not None:
                late = sending.load.percentile_ms(99)
                bench.report.add("durable MeterValues meanwhile, p99", late, "ms")


def pages(volume: Volume) -> Iterator[tuple[str, str]]:
    """Name every page and its address."""
    charger, middle = volume.charger_id(7), volume.transactions // 2
    twelve = "&chargers=".join(volume.charger_id(index) for index in range(12))
    data = "/ocpp/data"
    yield "charger-status", "/ocpp/csms/charger-status"
    yield from _of_chargers(volume, charger)
    yield "index", data
    yield "details", f"{data}/charger-details"
    yield from _twins("summary", f"{data}/charger-summary", "")
    yield from _twins("transaction", f"{data}/transaction", f"?transaction_id={middle}")
    yield from _twins("details, 1,000 rows", f"{data}/charger-details", "?per_page=1000")
    for form in ("JSON", "CSV"):
        yield f"{DOWNLOAD}, {form}", f"{data}/charger-details.{form.lower()}"
    yield from _twins("details of one", f"{data}/charger-details", f"?charger_id={charger}")
    for column in SORTED:
        yield f"details by {column}", f"{data}/charger-details?sort=-{column}"
    yield "details, free text", f"{data}/charger-details?q=TAG00017"
    yield "details, a tag and a state", f"{data}/charger-details?id_tag=TAG00017&state=stopped"
    last = volume.transactions // 50
    yield "details, the last page", f"{data}/charger-details?page={last}"
    yield (
        "details, 500 on the middle page",
        f"{data}/charger-details?page={last // 20}&per_page=500",
    )
    for name, days in (("day", 1), ("week", 7), ("month", 30), ("year", 365)):
        since = volume.end - timedelta(days=days)
        span = f"since={since:%Y-%m-%d}&until={volume.end - timedelta(days=1):%Y-%m-%d}"
        for who, chargers in (("1 charger", charger), ("12 chargers", twelve)):
            path = f"{data}/time-series"
            yield from _twins(f"{name}, {who}", path, f"?{span}&chargers={chargers}")
    yield "errors, API", "/api/ocpp/data/errors"
    yield "security events", f"{data}/security-events"
    for view in ("messages", "stats"):
        yield f"sink: {view}", f"/ocpp/sink/{view}"
    for view in ("remote", "dead-letters", "findings", "refused-tags", "reconcile"):
        yield f"proxy: {view}", f"/ocpp/proxy/{view}"
    yield "simulators", "/ocpp/evcs/cp-simulator"
    for view in ("account", "users", "tokens"):
        yield f"accounts: {view}", f"/web/auth/{view}"
    yield "all pages", "/web/nav/site-map"


def _of_chargers(volume: Volume, charger: str) -> Iterator[tuple[str, str]]:
    """Name the pages of the central system, and what renews parts of them."""
    base, one = "/ocpp/csms", f"?charger_id={charger}"
    since = volume.end - timedelta(days=365)
    yield "charger detail", f"{base}/charger-detail{one}"
    yield "transactions of a charger", f"{base}/charger-transactions{one}&since={since:%Y-%m-%d}"
    for view in ("commands", "configuration", "messages"):
        yield f"{view} of a charger", f"{base}/charger-{view}{one}"
    yield "refused chargers", f"{base}/refused-chargers"
    yield "fragment: cards", f"/render{base}/charger-cards"
    for part in ("charger-state", "charger-transactions", "command-log", "message-log"):
        yield f"fragment: {part}", f"/render{base}/{part}{one}"


def _twins(name: str, path: str, query: str) -> Iterator[tuple[str, str]]:
    yield name, path + query
    yield f"{name}, JSON", f"{path}.json{query}"
    yield f"{name}, CSV", f"{path}.csv{query}"


def _measure(bench: Bench, server: ServerProcess, volume: Volume, turns: int) -> None:
    port = int(str(server.ports["port"]))
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for name, path in pages(volume):
        took, length = _times(connection, path, turns)
        middle, late = percentile(took, 50) / 1e6, percentile(took, 95) / 1e6
        bench.report.add(name, middle, "ms", f"p95 {late:.1f} ms, {length / 1024:,.0f} KiB")
        most_ms = DOWNLOAD_MS if name.startswith(DOWNLOAD) else P95_MS
        bench.report.at_most(f"{name}, p95", late, most_ms, "ms")
    connection.close()
    stall_ms = float(str(server.ask("stall")["stall_ms"]))
    bench.report.add("longest stall of the hub", stall_ms, "ms")


def _times(connection: http.client.HTTPConnection, path: str, turns: int) -> tuple[list[int], int]:
    took, length = [], 0
    for _ in range(turns):
        began = time.perf_counter_ns()
        connection.request("GET", path)
        response = connection.getresponse()
        length = len(response.read())
        if response.status != 200:
            raise http.client.HTTPException(f"{path} answered {response.status}")
        took.append(time.perf_counter_ns() - began)
    return sorted(took), length


class _Sending:
    """All chargers in a transaction, each with one MeterValues a second, in a thread."""

    def __init__(self, fleet: Fleet, volume: Volume) -> None:
        self._fleet = fleet
        self._size = volume.chargers
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._send)
        self._failure: Exception | None = None
        self.load: Load | None = None

    def __enter__(self) -> _Sending:
        self._fleet.open(self._size)
        register(self._fleet)
        self._script = wire.meter_values(start_transactions(self._fleet))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        if self._failure is not None:
            raise LoadError(f"the chargers stopped: {self._failure}") from self._failure

    def _send(self) -> None:
        try:
            while not self._ended.is_set():
                self.load = self._fleet.paced(self._script, self._size, 1.0, warm_up_s=0.0)
        except Exception as error:  # noqa: BLE001 - raised by the thread that waits
            self._failure = error


def _wait_for_records(folder: Path, wanted: int) -> None:
    deadline = time.monotonic() + 120
    while sum(1 for _ in folder.glob("work/ocpp/records/*/*.dat")) < wanted:
        if time.monotonic() > deadline:
            raise LoadError(f"the server did not write {wanted} records")
        time.sleep(0.2)


def today() -> datetime:
    """Give the beginning of this day, in UTC: until then sessions are made up."""
    return datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
