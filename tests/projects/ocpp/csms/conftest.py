"""Central systems to test: one in the process without sockets, one as a real server."""

from __future__ import annotations

import heapq
import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from gway import hookimpl, resolver
from gway.projects.ocpp.csms.central import CentralSystem, Item
from gway.projects.ocpp.facts import (
    Admission,
    ChargerConfiguration,
    ChargerMemory,
    Knock,
    TagDecision,
    Transaction,
)
from gway.projects.ocpp.receipts import Receipt
from gway.resolver import Gateway
from gway.web.routes import Site as WebSite
from gway.web.ws import Accept, Refuse, Upgrade
from tests.projects.ocpp.csms.browsing import Browser

# --- in the process -----------------------------------------------------------


class ManualFlag:
    """Waiting moves the clock on until somebody sets it."""

    def __init__(self, runtime: ManualRuntime) -> None:
        self._runtime = runtime
        self.is_set = False

    def set(self) -> None:
        self.is_set = True

    def wait(self, timeout: float) -> bool:
        self._runtime.advance(timeout, until=lambda: self.is_set)
        return self.is_set


class ManualTimer:
    def __init__(self, call: Callable[[], None]) -> None:
        self.call: Callable[[], None] | None = call

    def stop(self) -> None:
        self.call = None


class ManualRuntime:
    """Serves at once, and has a clock that only tests move."""

    def __init__(self) -> None:
        self.serve: Callable[[Item], None] = lambda item: None
        self.seconds = 1_000.0
        self.breaths = 0
        self.paused: deque[Item] | None = None
        self._timers: list[tuple[float, int, ManualTimer]] = []
        self._order = itertools.count()

    def put(self, item: Item) -> None:
        if self.paused is not None:
            self.paused.append(item)
        else:
            self.serve(item)

    def go_on(self) -> None:
        """Serve what was put while paused."""
        waiting, self.paused = self.paused or (), None
        for item in waiting:
            self.serve(item)

    def spawn(self, call: Callable[[], None]) -> None:
        call()

    def later(self, delay_s: float, call: Callable[[], None]) -> ManualTimer:
        timer = ManualTimer(call)
        heapq.heappush(self._timers, (self.seconds + delay_s, next(self._order), timer))
        return timer

    def breathe(self) -> None:
        self.breaths += 1

    def aside(self, size: int, call: Callable[..., Any], *args: Any) -> Any:
        return call(*args)

    def flag(self) -> ManualFlag:
        return ManualFlag(self)

    def clock(self) -> float:
        return self.seconds

    def advance(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, and everything happen that is due in it."""
        end = self.seconds + seconds
        while not until() and self._timers and self._timers[0][0] <= end:
            self.seconds, _, timer = heapq.heappop(self._timers)
            if timer.call is not None:
                timer.call()
        if not until():
            self.seconds = end


class Unit:
    """A unit of work of the fake store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def execute(self, sql: str, params: tuple[object, ...] = ()) -> None:
        raise NotImplementedError

    def submit(self, done: Callable[[BaseException | None], None]) -> None:
        if self._store.slow:
            self._store.waiting.append(done)
        else:
            done(self._store.broken)


class Store:
    """A plugin that keeps facts as a store would, and fails when told to."""

    def __init__(self) -> None:
        self.facts: list[tuple[str, dict[str, Any]]] = []
        self.transactions: dict[int, Transaction] = {}
        self.memories: dict[str, ChargerMemory] = {}
        self.configurations: dict[str, ChargerConfiguration] = {}
        self.decisions: dict[str, TagDecision] = {}
        self.admission: Callable[[Knock], Admission | None] = lambda knock: None
        self.broken: BaseException | None = None
        self.deaf: BaseException | None = None
        self.slow = False
        self.ready: bool | None = None
        self.waiting: list[Callable[[BaseException | None], None]] = []
        self._ids = itertools.count(1)

    def unit(self) -> Unit:
        return Unit(self)

    def of(self, name: str) -> list[dict[str, Any]]:
        """Give what a fact told each time."""
        return [told for each, told in self.facts if each == name]

    def _keep(self, name: str, receipt: Receipt | None = None, **told: Any) -> None:
        self.facts.append((name, told))
        if receipt is not None:
            receipt.unit(self)
        transaction = told.get("transaction")
        if transaction is not None and self.broken is None:
            self.transactions[transaction.transaction_id] = transaction

    @hookimpl
    def ocpp_admit(self, knock: Knock) -> Admission | None:
        return self.admission(knock)

    @hookimpl
    def ocpp_authorize(self, id_tag: str) -> TagDecision | None:
        if id_tag == "PLUGIN-FAILS":
            raise RuntimeError("the tag service is away")
        return self.decisions.get(id_tag.upper())

    @hookimpl
    def ocpp_recall_charger(self, charger_id: str) -> ChargerMemory | None:
        if self.deaf:
            raise self.deaf
        return self.memories.get(charger_id)

    @hookimpl
    def ocpp_recall_chargers(self, limit: int) -> list[ChargerMemory]:
        return list(self.memories.values())[:limit]

    @hookimpl
    def ocpp_recall_configuration(self, charger_id: str) -> ChargerConfiguration | None:
        if self.deaf:
            raise self.deaf
        return self.configurations.get(charger_id)

    @hookimpl
    def ocpp_configuration_told(self, charger_id: str, configuration: ChargerConfiguration) -> None:
        self.configurations[charger_id] = configuration

    @hookimpl
    def ocpp_recall_transaction(self, transaction_id: int) -> Transaction | None:
        if self.deaf:
            raise self.deaf
        return self.transactions.get(transaction_id)

    @hookimpl
    def ocpp_open_transactions(self, id_tag: str) -> list[Transaction]:
        return [
            one
            for one in self.transactions.values()
            if one.state == "open" and one.id_tag.casefold() == id_tag.casefold()
        ]

    @hookimpl
    def ocpp_next_transaction_id(self) -> int:
        return next(self._ids)

    @hookimpl
    def ocpp_store_ready(self) -> bool | None:
        return self.ready

    @hookimpl
    def ocpp_charger_connected(self, link: Any) -> None:
        self._keep("connected", link=link)

    @hookimpl
    def ocpp_charger_disconnected(self, link: Any, code: int, reason: str) -> None:
        self._keep("disconnected", link=link, code=code, reason=reason)

    @hookimpl
    def ocpp_charger_refused(self, knock: Any, status: int, reason: str) -> None:
        self._keep("refused", knock=knock, status=status, reason=reason)

    @hookimpl
    def ocpp_charger_booted(self, charger_id: str, boot: Any, registration: str) -> None:
        self._keep("booted", charger_id=charger_id, boot=boot, registration=registration)

    @hookimpl
    def ocpp_registration_changed(self, charger_id: str, registration: str) -> None:
        self._keep("registration", charger_id=charger_id, registration=registration)

    @hookimpl
    def ocpp_charger_seen(
        self, charger_id: str, charger_time: datetime | None, at: datetime
    ) -> None:
        self._keep("seen", charger_id=charger_id, charger_time=charger_time, at=at)

    @hookimpl
    def ocpp_connector_changed(self, charger_id: str, status: Any) -> None:
        self._keep("connector", charger_id=charger_id, status=status)

    @hookimpl
    def ocpp_error_reported(self, report: Any) -> None:
        self._keep("error", report=report)

    @hookimpl
    def ocpp_tag_judged(self, id_tag: str, purpose: str, decision: TagDecision) -> None:
        self._keep("judged", id_tag=id_tag, purpose=purpose, decision=decision)

    @hookimpl
    def ocpp_transaction_started(self, transaction: Transaction, receipt: Receipt) -> None:
        self._keep("started", receipt, transaction=transaction)

    @hookimpl
    def ocpp_meter_values_received(
        self, reading: Any, transaction: Transaction | None, receipt: Receipt
    ) -> None:
        self._keep("metered", receipt, reading=reading, transaction=transaction)

    @hookimpl
    def ocpp_transaction_stopped(
        self, transaction: Transaction, reading: Any, receipt: Receipt
    ) -> None:
        self._keep("stopped", receipt, transaction=transaction, reading=reading)

    @hookimpl
    def ocpp_transaction_closed(self, transaction: Transaction, why: str) -> None:
        self._keep("closed", transaction=transaction, why=why)

    @hookimpl
    def ocpp_transaction_revised(self, transaction: Transaction, receipt: Receipt) -> None:
        self._keep("revised", receipt, transaction=transaction)

    @hookimpl
    def ocpp_orphan_kept(self, orphan: Any, receipt: Receipt) -> None:
        self._keep("orphan", receipt, orphan=orphan)

    @hookimpl
    def ocpp_security_event_reported(self, event: Any, receipt: Receipt) -> None:
        self._keep("security", receipt, event=event)

    @hookimpl
    def ocpp_data_transferred(self, vendor_id: str, data: str | None) -> None:
        self._keep("data", vendor_id=vendor_id, data=data)

    @hookimpl
    def ocpp_status_told(self, action: str, status: str) -> None:
        self._keep("job", action=action, status=status)

    @hookimpl
    def ocpp_command_changed(self, command: Any) -> None:
        self._keep("command", action=command.action, state=command.state, effect=command.effect)


class Line:
    """The fake connection, and the charger at its other end."""

    def __init__(self, charger_id: str, clock: Callable[[], datetime]) -> None:
        self.charger_id = charger_id
        self.remote_addr = "127.0.0.1"
        self.rtt_s: float | None = None
        self.ping_interval_s = 30.0
        self.open = True
        self.answers_pings = True
        self.paused = False
        self.closed: tuple[int, str] | None = None
        self.sent: list[Any] = []
        self.before_send: Callable[[Any], None] = lambda frame: None
        self.on_text: Callable[[bytes], None] = lambda data: None
        self.on_close: Callable[[int, str], None] = lambda code, reason: None
        self._clock = clock
        self._ids = itertools.count(1)

    # the connection, as the central system sees it

    def send(self, text: bytes) -> None:
        assert self.open
        frame = json.loads(text)
        self.before_send(frame)
        self.sent.append(frame)

    def close(self, code: int = 1000, reason: str = "") -> None:
        if self.open:
            self.open = False
            self.closed = (code, reason)
            self.on_close(code, reason)

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def probe(self, timeout_s: float, done: Callable[[bool], None]) -> None:
        done(self.answers_pings)

    # the charger

    def say(self, text: str) -> list[Any]:
        """Send a text and give what was sent back meanwhile."""
        before = len(self.sent)
        self.on_text(text.encode())
        return self.sent[before:]

    def frame(self, action: str, payload: Any, message_id: str | None = None) -> str:
        return json.dumps([2, message_id or f"m{next(self._ids)}", action, payload])

    def call(self, action: str, payload: Any = None, message_id: str | None = None) -> Any:
        """Send a CALL and give the payload of its answer, or [code, description]."""
        (answer,) = self.say(self.frame(action, payload or {}, message_id))
        return answer[2] if answer[0] == 3 else answer[2:4]

    def result(self, payload: Any) -> list[Any]:
        """Answer the last CALL of the central system."""
        return self.say(json.dumps([3, self.last_call()[1], payload]))

    def last_call(self) -> list[Any]:
        return [frame for frame in self.sent if frame[0] == 2][-1]

    def calls(self) -> list[str]:
        return [frame[2] for frame in self.sent if frame[0] == 2]

    def time(self) -> str:
        return self._clock().isoformat()

    def boot(self) -> Any:
        words = {"chargePointVendor": "Acme", "chargePointModel": "One"}
        return self.call("BootNotification", words)

    def start(self, connector_id: int = 1, id_tag: str = "ADA", meter_wh: int = 1_000) -> int:
        answer = self.call("StartTransaction", self.start_words(connector_id, id_tag, meter_wh))
        return int(answer["transactionId"])

    def start_words(
        self, connector_id: int = 1, id_tag: str = "ADA", meter_wh: int = 1_000
    ) -> dict[str, Any]:
        return {
            "connectorId": connector_id,
            "idTag": id_tag,
            "meterStart": meter_wh,
            "timestamp": self.time(),
        }

    def meter(self, transaction_id: int | None, energy_wh: int, connector_id: int = 1) -> Any:
        sample = {"timestamp": self.time(), "sampledValue": [{"value": str(energy_wh)}]}
        words: dict[str, Any] = {"connectorId": connector_id, "meterValue": [sample]}
        if transaction_id is not None:
            words["transactionId"] = transaction_id
        return self.call("MeterValues", words)

    def stop(self, transaction_id: int, meter_wh: int = 4_500, **more: Any) -> Any:
        words = {"transactionId": transaction_id, "meterStop": meter_wh, "timestamp": self.time()}
        return self.call("StopTransaction", words | more)

    def status(self, connector_id: int, status: str, **more: Any) -> Any:
        words = {"connectorId": connector_id, "status": status, "errorCode": "NoError"}
        return self.call("StatusNotification", words | {"timestamp": self.time()} | more)


class Site:
    """A central system without sockets, its store, and a way in.

    :param on_disk: keep what is told in ocpp.data, and nothing in `store`
    """

    def __init__(self, gateway: Gateway, clock: Any, on_disk: bool = False) -> None:
        gateway.load("ocpp.csms")
        self.store = Store()
        if on_disk:
            gateway.load("ocpp.data")
        else:
            gateway.plugins.register(self.store)
        gateway.plugins.check()
        self.gateway = gateway
        self.clock = clock
        self.runtime = ManualRuntime()
        self.central = CentralSystem(gateway, self.runtime)
        self.runtime.serve = self.central.serve

    def knock(self, rest: str = "CPX", **more: Any) -> Accept | Refuse:
        """Ask for an upgrade."""
        words: dict[str, Any] = {
            "path": f"/ocpp/csms/{rest}",
            "rest": rest,
            "query": "",
            "headers": {},
            "remote_addr": "127.0.0.1",
            "tls": False,
            "offered": ("ocpp1.6",),
        }
        return self.central.connect(Upgrade(**(words | more)))

    def line(self, charger_id: str = "CPX", **more: Any) -> Line:
        """Open a connection."""
        accepted = self.knock(charger_id, **more)
        assert isinstance(accepted, Accept), accepted
        line = Line(charger_id, self.clock)
        accepted.on_open(line)  # type: ignore[arg-type]
        return line

    def restart(self) -> None:
        """Forget all but the store, as a new process does."""
        by_charger: dict[str, list[Transaction]] = {}
        for one in self.store.transactions.values():
            if one.state == "open":
                by_charger.setdefault(one.charger_id, []).append(one)
        registrations = {
            told["charger_id"]: told["registration"]
            for name, told in self.store.facts
            if name in ("booted", "registration")
        }
        for charger_id in {*by_charger, *registrations}:
            self.store.memories[charger_id] = ChargerMemory(
                charger_id=charger_id,
                registration=registrations.get(charger_id, ""),
                open_transactions=tuple(by_charger.get(charger_id, ())),
            )
        self.central = CentralSystem(self.gateway, self.runtime)
        self.runtime.serve = self.central.serve


@pytest.fixture
def site(workspace: Path, clock: Any) -> Iterator[Site]:
    gateway = Gateway(workspace, now=clock)
    try:
        yield Site(gateway, clock)
    finally:
        gateway.close()


@pytest.fixture
def make_site() -> Callable[..., Site]:
    """For tests that need several, one after the other."""
    return Site


@pytest.fixture
def line(site: Site) -> Line:
    """A booted charger."""
    line = site.line()
    assert line.boot()["status"] == "Accepted"
    return line


@pytest.fixture
def serving(site: Site) -> Iterator[Site]:
    """The site as the gateway's own central system, with its pages on the web."""
    site.gateway._services[CentralSystem] = site.central
    site.gateway.serving = True
    site.gateway.service(WebSite).mount("ocpp.csms")
    with resolver.use(site.gateway):
        yield site
        site.gateway.close()


@pytest.fixture
def browser(serving: Site) -> Browser:
    return Browser(serving.gateway.service(WebSite))


# --- as a process -------------------------------------------------------------

START_TIMEOUT_S = 20.0


class Csms:
    """A real server on free ports: `setup-app ocpp.csms` and `start-app`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self.url = self.ws_url = self.token = ""

    def start(self, *options: str) -> None:
        """Start and wait until it listens."""
        env = {key: value for key, value in os.environ.items() if not key.startswith("GWAY_")}
        words = ("web", "app", "setup-app", "ocpp.csms", *options, "-")
        words += ("web", "server", "start-app", "--port", "0", "--ws-port", "0")
        with (self.folder / "output.txt").open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gway", *words],
                cwd=self.folder,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise AssertionError(f"the server ended at once:\n{self.output()}")
            with suppress(FileNotFoundError, ValueError):
                record = json.loads((self.folder / "work" / "server.json").read_text())
                if record["pid"] == self.process.pid:
                    self.url, self.ws_url = record["url"], record["ws_url"]
                    self.token = record["token"]
                    return
            time.sleep(0.02)
        raise AssertionError(f"the server did not start:\n{self.output()}")

    def kill(self) -> None:
        """End it as a power cut would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        """End it as an operator does, and give its exit code."""
        if self.process is None:
            return 0
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def output(self) -> str:
        return (self.folder / "output.txt").read_text(errors="replace")

    def charger_url(self, charger_id: str) -> str:
        return f"{self.ws_url}/ocpp/csms/{charger_id}"

    def api(self, name: str, body: dict[str, Any] | None = None, **query: str) -> Any:
        """Call an API function: POST with a body, else GET."""
        from urllib.parse import urlencode
        from urllib.request import Request, urlopen

        url = f"{self.url}/api/ocpp/{name}" + (f"?{urlencode(query)}" if query else "")
        data = None if body is None else json.dumps(body).encode()
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
        }
        with urlopen(Request(url, data=data, headers=headers), timeout=15) as reply:
            return json.load(reply)


@pytest.fixture
def csms(workspace: Path) -> Iterator[Csms]:
    """A real central system on free ports."""
    server = Csms(workspace)
    server.start()
    try:
        yield server
    finally:
        server.stop()
