"""Simulated charge points in real time, against a central system that is not ours."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import http
import random
import socket
import ssl
import subprocess
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint as OcppChargePoint
from ocpp.v16 import call, call_result
from websockets.asyncio.server import serve

from gway.errors import GwayError
from gway.projects.ocpp.evcs import runner as running
from gway.projects.ocpp.evcs.badlink import BadLink, Faults, Weather
from gway.projects.ocpp.evcs.chargepoint import ChargePoint, Need
from gway.projects.ocpp.evcs.driver import Driver
from gway.projects.ocpp.evcs.keeper import Backoff
from gway.projects.ocpp.evcs.link import Target, WebSocketLink
from gway.projects.ocpp.evcs.registration import Identity
from gway.projects.ocpp.evcs.runner import Runner

ACCEPTED = {"status": "Accepted"}


def _now() -> str:
    return datetime.now(UTC).isoformat()


class Side(OcppChargePoint):
    """The central system's side of one connection, from the package `ocpp`."""

    def __init__(self, central: Central, link: Any) -> None:
        super().__init__(link.request.path.rpartition("/")[2], link)
        self.central = central

    async def route_message(self, raw_msg: str) -> None:
        self.central.frames.append(raw_msg)
        await super().route_message(raw_msg)

    def _tell(self, action: str, values: dict[str, Any]) -> None:
        self.central.told.append((action, values))

    @on("BootNotification")
    def on_boot(self, **values: Any) -> Any:
        self._tell("Boot", values)
        return call_result.BootNotification(current_time=_now(), interval=60, status="Accepted")

    @on("Heartbeat")
    def on_heartbeat(self) -> Any:
        self._tell("Heartbeat", {})
        return call_result.Heartbeat(current_time=_now())

    @on("StatusNotification")
    def on_status(self, **values: Any) -> Any:
        self._tell("Status", values)
        return call_result.StatusNotification()

    @on("Authorize")
    def on_authorize(self, **values: Any) -> Any:
        self._tell("Authorize", values)
        return call_result.Authorize(id_tag_info={"status": self.central.tag_status})

    @on("StartTransaction")
    def on_start(self, **values: Any) -> Any:
        self._tell("Start", values)
        return call_result.StartTransaction(transaction_id=77, id_tag_info=ACCEPTED)

    @on("MeterValues")
    def on_values(self, **values: Any) -> Any:
        self._tell("Values", values)
        return call_result.MeterValues()

    @on("StopTransaction")
    def on_stop(self, **values: Any) -> Any:
        self._tell("Stop", values)
        return call_result.StopTransaction()


class Central:
    """A central system in a thread of its own, on a free port."""

    def __init__(self, process_request: Any = None, tls: ssl.SSLContext | None = None) -> None:
        self.told: list[tuple[str, dict[str, Any]]] = []
        self.frames: list[str] = []
        self.requests: list[Any] = []
        self.sides: list[Side] = []
        self.closings: list[int] = []
        self.tag_status = "Accepted"
        self.scheme = "wss" if tls else "ws"
        self._process_request = process_request
        self._tls = tls
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._ready.wait(5)

    @property
    def url(self) -> str:
        return f"{self.scheme}://localhost:{self.port}/ocpp/CPX"

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        async with serve(
            self._talk,
            "127.0.0.1",
            0,
            subprotocols=["ocpp1.6"],
            process_request=self._asked,
            ssl=self._tls,
        ) as server:
            self.port = server.sockets[0].getsockname()[1]
            self._ready.set()
            await self._stop.wait()

    async def _asked(self, connection: Any, request: Any) -> Any:
        self.requests.append(request)
        return self._process_request(connection, request) if self._process_request else None

    async def _talk(self, link: Any) -> None:
        side = Side(self, link)
        self.sides.append(side)
        try:
            await side.start()
        except websockets.ConnectionClosed as closed:
            self.closings.append(closed.rcvd.code if closed.rcvd else 1006)

    def run(self, coroutine: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def ask(self, request: Any) -> Any:
        """Send a command over the newest connection and give the answer."""
        return self.run(self.sides[-1].call(request, suppress=False))

    def send(self, message: Any) -> None:
        """Send anything over the newest connection, which may not survive it."""
        with contextlib.suppress(websockets.ConnectionClosed):
            self.run(self.sides[-1]._connection.send(message))

    def cut(self) -> None:
        """Break the newest connection without a word."""
        self.loop.call_soon_threadsafe(self.sides[-1]._connection.transport.abort)

    def of(self, action: str) -> list[dict[str, Any]]:
        return [values for told, values in list(self.told) if told == action]

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)


@pytest.fixture
def central() -> Iterator[Callable[..., Central]]:
    made: list[Central] = []

    def make(*args: Any, **options: Any) -> Central:
        made.append(Central(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def simulator() -> Iterator[Callable[..., Runner]]:
    made: list[Runner] = []

    def make(
        url: str, *, repeat: int = 1, duration_s: float = 0.5, leave: bool = False, **more: Any
    ) -> Runner:
        ca = more.pop("ca", None)
        password = more.pop("password", None)
        driver = Driver("TAG", repeat=repeat, pause_s=0.02, step_s=0.02)
        point = ChargePoint(
            Identity("CPX"),
            Need(20, 20, duration_s, 1),
            rng=random.Random(1),
            person=driver,
        )
        point.configuration.put("MeterValueSampleInterval", more.pop("interval", "1"))
        target = Target(url, password=lambda: password, ca=ca)
        backoff = Backoff(random.Random(1), first_s=0.05)
        runner = Runner(point, target, leave=leave, backoff=backoff, **more)
        made.append(runner)
        runner.start()
        return runner

    yield make
    for one in made:
        one.close()
        assert one.error is None


def test_a_whole_session_with_a_foreign_central_system(central, simulator):
    site = central()
    runner = simulator(site.url, duration_s=1.5, leave=True)
    assert runner.wait(15)
    (row,) = runner.finished
    (stop,) = site.of("Stop")
    assert stop["meter_stop"] - site.of("Start")[0]["meter_start"] == 20_000
    assert (row.transaction_id, row.energy_kwh, row.delivered) == (77, 20.0, True)
    assert [one["status"] for one in site.of("Status") if one["connector_id"] == 1] == [
        "Available",
        "Preparing",
        "Charging",
        "SuspendedEV",
        "Finishing",
        "Available",
    ]
    assert site.of("Values")
    assert not [frame for frame in site.frames if frame.startswith("[4")]


def test_the_verb_fails_when_no_session_took_place(central, gw, monkeypatch, capsys):
    monkeypatch.setattr("gway.projects.ocpp.evcs.plan.Driver", partial(Driver, step_s=0.02))
    site = central()
    site.tag_status = "Blocked"
    with pytest.raises(GwayError, match="no session took place: Blocked"):
        gw.ocpp.evcs.simulate(ws_url=site.url, pre_charge_delay=0)
    assert "tag FFFFFFFF refused: Blocked" in capsys.readouterr().err


def test_a_broken_link_is_made_again_without_a_boot_and_nothing_is_lost(
    central, simulator, eventually
):
    site = central()
    runner = simulator(site.url, duration_s=2, leave=True)
    eventually(lambda: site.of("Start"))
    site.cut()
    eventually(lambda: len(site.sides) == 2)
    assert runner.wait(15)
    assert len(site.of("Boot")) == 1
    assert [one["meter_stop"] for one in site.of("Stop")] == [20_000]


def test_over_a_link_that_cuts_repeats_and_swaps_all_money_arrives_in_order(central, simulator):
    site = central()
    target = Target(site.url)
    weather = Weather(Faults(cut=0.15, delay=0.05, duplicate=0.2, reorder=0.2), seed=5)
    runner = simulator(
        site.url,
        duration_s=2,
        leave=True,
        repeat=2,
        dial=lambda: BadLink(WebSocketLink(target), weather),
    )
    assert runner.wait(60)
    assert len(site.sides) > 1, "the link was cut"
    assert [row.delivered for row in runner.finished] == [True, True]
    starts = {one["timestamp"]: one["meter_start"] for one in site.of("Start")}
    stops = {one["timestamp"]: one["meter_stop"] for one in site.of("Stop")}
    assert len(starts) == len(stops) == 2
    first, second = (starts[at] for at in sorted(starts))
    assert [
        stops[at] - before for at, before in zip(sorted(stops), (first, second), strict=True)
    ] == [
        20_000,
        20_000,
    ]


def test_commands_from_a_foreign_central_system_are_obeyed(central, simulator, eventually):
    site = central()
    runner = simulator(site.url, repeat=0, duration_s=600)
    eventually(lambda: len(site.of("Status")) == 2)
    started = site.ask(call.RemoteStartTransaction(id_tag="APP"))
    assert started.status == "Accepted"
    eventually(lambda: runner.view.connectors[0].transaction_id == 77)
    assert site.of("Start")[0]["id_tag"] == "APP"
    stopped = site.ask(call.RemoteStopTransaction(transaction_id=77))
    assert stopped.status == "Accepted"
    eventually(lambda: site.of("Stop"))
    assert site.of("Stop")[0]["reason"] == "Remote"


def test_a_reset_hangs_up_politely_and_boots_again(central, simulator, eventually, monkeypatch):
    monkeypatch.setattr("gway.projects.ocpp.evcs.chargepoint.REBOOT_S", 0.05)
    site = central()
    simulator(site.url, repeat=0)
    eventually(lambda: len(site.of("Status")) == 2)
    assert site.ask(call.Reset(type="Soft")).status == "Accepted"
    eventually(lambda: len(site.of("Boot")) == 2)
    assert site.closings == [1000]


def test_stopping_ends_the_session_before_the_link(central, simulator, eventually):
    site = central()
    runner = simulator(site.url, duration_s=600)
    eventually(lambda: runner.view.connectors[0].transaction_id == 77)
    runner.close()
    assert site.of("Stop")[0]["reason"] == "Local"
    assert runner.finished[0].delivered
    eventually(lambda: site.closings == [1000])
    assert runner.view.link == "stopped"


def test_the_session_of_a_page_can_be_begun_and_ended(central, simulator, eventually):
    site = central()
    runner = simulator(site.url, repeat=0, duration_s=600)
    eventually(lambda: runner.view.registration == "Accepted")
    runner.start_session()
    eventually(lambda: runner.view.connectors[0].transaction_id == 77)
    runner.stop_session()
    eventually(lambda: site.of("Stop"))
    eventually(lambda: runner.view.status == "Available")
    assert runner.is_alive()


def test_refusals_are_told_in_words_and_redirects_are_not_followed(central, simulator, eventually):
    def refuse(connection: Any, request: Any) -> Any:
        return connection.respond(http.HTTPStatus.UNAUTHORIZED, "no")

    runner = simulator(central(refuse).url)
    eventually(lambda: "HTTP 401: user name or password is wrong" in runner.view.trouble)
    elsewhere = central()

    def redirect(connection: Any, request: Any) -> Any:
        response = connection.respond(http.HTTPStatus.FOUND, "there")
        response.headers["Location"] = elsewhere.url
        return response

    runner = simulator(central(redirect).url)
    eventually(lambda: runner.view.trouble)
    assert elsewhere.requests == []


def test_nobody_listening_is_told_and_tried_again(simulator, eventually):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    notes: list[str] = []
    runner = simulator(f"ws://127.0.0.1:{port}/CPX", watch=lambda _, new: notes.extend(new))
    eventually(lambda: len(notes) >= 2)
    assert "connection refused" in runner.view.trouble


@pytest.mark.parametrize(
    ("message", "codes"),
    # While more of a long message is still coming, the goodbye may get lost.
    [("x" * (2 << 20), {1009, 1006}), (b"binary", {1003})],
)
def test_messages_that_are_none_of_ocpp_end_the_link(
    central, simulator, eventually, message, codes
):
    site = central()
    simulator(site.url, repeat=0)
    eventually(lambda: len(site.of("Status")) == 2)
    site.send(message)
    eventually(lambda: len(site.sides) == 2)
    eventually(lambda: site.closings)
    assert site.closings[0] in codes


def test_fragments_are_joined_but_not_beyond_the_limit(central, simulator, eventually):
    site = central()
    simulator(site.url, repeat=0)
    eventually(lambda: len(site.of("Status")) == 2)
    site.send(['[2,"a","ClearC', 'ache",{}]'])
    eventually(lambda: any(frame.startswith('[3,"a"') for frame in site.frames))
    site.send(["x" * 700_000, "x" * 700_000])
    eventually(lambda: len(site.sides) == 2)


def test_credentials_go_as_basic_authentication_with_the_id_as_user(central, simulator, eventually):
    site = central()
    simulator(site.url, password=b"\x00secret\xff", repeat=0)
    eventually(lambda: site.of("Boot"))
    expected = base64.b64encode(b"CPX:\x00secret\xff").decode()
    assert site.requests[0].headers["Authorization"] == f"Basic {expected}"


def test_a_link_that_says_nothing_is_given_up_after_a_ping(simulator, eventually, monkeypatch):
    """A listener that never answers the handshake's ping: only the handshake itself."""
    monkeypatch.setattr(running, "PONG_S", 0.1)
    accepted: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def mute() -> None:
            for _ in range(2):
                side, _ = listener.accept()
                accepted.append(side)
                _handshake(side)

        thread = threading.Thread(target=mute)
        thread.start()
        runner = simulator(f"ws://127.0.0.1:{listener.getsockname()[1]}/CPX", repeat=0)
        runner.point.configuration.put("WebSocketPingInterval", "1")
        eventually(lambda: len(accepted) == 2, timeout_s=10)
        thread.join(5)
        for side in accepted:
            side.close()


def _handshake(side: socket.socket) -> None:
    request = side.recv(4096).decode()
    (key,) = [line.split(": ")[1] for line in request.split("\r\n") if "WebSocket-Key" in line]
    answer = websockets.utils.accept_key(key)
    side.sendall(
        (
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Accept: {answer}\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
        ).encode()
    )


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "cert.pem", folder / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    subprocess.run(
        [
            "openssl",
            *words.split(),
            "-addext",
            "subjectAltName=DNS:localhost",
            "-keyout",
            str(key),
            "-out",
            str(cert),
        ],
        check=True,
        capture_output=True,
    )
    return cert, key


def test_tls_certificates_are_checked(central, simulator, eventually, certificate):
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    site = central(tls=context)
    wary = simulator(site.url)
    eventually(lambda: "certificate is not trusted" in wary.view.trouble)
    simulator(site.url, ca=cert, leave=True)
    eventually(lambda: site.of("Stop"), timeout_s=10)
