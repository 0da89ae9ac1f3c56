"""Frames that are passed on: to our central system, and to one that looks at every byte."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import websockets
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gway.projects.ocpp.evcs.link import LinkError
from gway.projects.ocpp.sink.relay import Relay

DEADLINE_S = 15
BOOT = '[2, "boot",\t"BootNotification", {"chargePointModel": "M",  "chargePointVendor": "V"}]'
BEAT = '[2,"b\\u00e4","Heartbeat",{}]'
BASIC = "Basic " + base64.b64encode(b"CP1:geheim").decode()

Talk = Callable[[Any], Awaitable[None]]


class Central:
    """A central system that keeps every byte; `talk` is what it does with a connection."""

    def __init__(self, talk: Talk | None = None) -> None:
        self.received: list[str] = []
        self.requests: list[Any] = []
        self.closes: list[tuple[int, str]] = []
        self.pings = 0
        self._talk = talk
        self.url = ""

    async def serve_one(self, connection: Any) -> None:
        self.requests.append(connection.request)
        try:
            if self._talk is not None:
                await self._talk(connection)
            async for message in connection:
                self.received.append(message)
        except ConnectionClosed:
            pass
        await connection.wait_closed()
        self.closes.append((connection.close_code, connection.close_reason))

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[Central]:
        options.setdefault("subprotocols", ["ocpp1.6", "ocpp2.0.1"])
        async with websockets.serve(self.serve_one, "127.0.0.1", self.port, **options):
            yield self

    port = 0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def central() -> Central:
    found = Central()
    found.port = free_port()
    found.url = f"ws://127.0.0.1:{found.port}"
    return found


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(DEADLINE_S):
        while not condition():
            await asyncio.sleep(0.01)


def charger(sink: Any, charger_id: str = "CP1", *subprotocols: str, **more: Any) -> Any:
    offered: Any = list(subprotocols or ("ocpp1.6",))
    return websockets.connect(f"{sink.ws_url}/{charger_id}", subprotocols=offered, **more)


# --- our own central system -----------------------------------------------------------


def test_a_session_through_the_logger_is_the_same_on_both_sides(serve, run, eventually) -> None:
    csms = serve("csms", "ocpp.csms")
    sink = serve("sink", "ocpp.sink", "--forward", f"{csms.ws_url}/ocpp/csms/")
    port = sink.ws_url.rpartition(":")[2]
    csms.json("/api/ocpp/csms/chargers")
    short = ["--duration", "1", "--interval", "1", "--pre-charge-delay", "0", "--json"]
    ran = run("ocpp.evcs", "simulate", "--ws-port", port, "--cp-path", "SIM", *short)
    (row,) = json.loads(ran.stdout)
    eventually(lambda: sink.entries(type="close", leg="charger"))
    frames = [(each["direction"], each["frame"]) for each in sink.entries() if each["direction"]]
    theirs = csms.json("/api/ocpp/csms/charger?charger_id=SIM")["frames"]
    assert len(theirs) > 15
    for direction in ("in", "out"):
        ours = [text for each, text in frames if each == direction]
        assert ours == [each["text"] for each in theirs if each["direction"] == direction]
    assert {each["leg"] for each in sink.entries(direction="in")} == {"charger"}
    assert {each["leg"] for each in sink.entries(direction="out")} == {"central"}
    assert [each for each in sink.entries() if each["verdict"] not in ("ok", "-")] == []
    (started,) = sink.entries(type="result", action="StartTransaction")
    assert json.loads(started["frame"])[2]["transactionId"] == row["transaction_id"]


# --- byte for byte ------------------------------------------------------------------------


def test_every_byte_passes_both_ways_in_order(serve, central: Central, eventually) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", f"{central.url}/ocpp")
    up = [BOOT, BEAT, "junk", "", "[2]", '[2,"ä","DataTransfer",{"vendorId":"\\/"}]']
    up += [json.dumps([2, f"m{number}", "Heartbeat", {}]) for number in range(300)]
    up += [json.dumps([2, "big", "DataTransfer", {"vendorId": "V", "data": "x" * 300_000}])]
    up += [json.dumps([2, f"n{number}", "Heartbeat", {}]) for number in range(20)]
    down = [f"{{odd {number}}}  " for number in range(200)]
    down += ['[2,"r","Reset",{"type": "Soft"}]', "y" * 500_000, "€", "end"]
    got: list[str] = []

    async def say(connection: Any) -> None:
        for text in down:
            await connection.send(text)

    async def talk() -> None:
        central._talk = say
        async with central.running(), charger(sink) as socket:
            for text in up:
                await socket.send(text)
            while len(got) < len(down):
                got.append(await asyncio.wait_for(socket.recv(), DEADLINE_S))
            await until(lambda: len(central.received) == len(up))

    asyncio.run(talk())
    assert central.received == up
    assert got == down
    eventually(lambda: sink.entries(type="close"))
    assert [row["frame"] for row in sink.entries(direction="in")] == up


def test_the_address_carries_the_id_as_ocpp_says(serve, central: Central) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", f"{central.url}/a/b/?x=1")

    async def talk() -> None:
        async with central.running():
            for name in ("CP%201", "some/where/%C3%A4%2F", ""):
                async with charger(sink, name):
                    pass
            await until(lambda: len(central.closes) == 3)

    asyncio.run(talk())
    assert [each.path for each in central.requests] == [
        "/a/b/CP%201?x=1",
        "/a/b/%C3%A4%2F?x=1",
        "/a/b?x=1",
    ]


def test_the_subprotocol_is_the_one_that_the_central_system_chose(
    serve, central: Central, eventually
) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)
    chosen: list[str | None] = []

    async def talk() -> None:
        async with central.running():
            async with charger(sink, "A", "ocpp2.0.1", "ocpp1.6") as socket:
                chosen.append(socket.subprotocol)
                await socket.send('[2,"a","TransactionEvent",{"any":"thing"}]')
                await until(lambda: central.received)
            async with charger(sink, "B", "ocpp1.6") as socket:
                chosen.append(socket.subprotocol)
        bare = websockets.connect(f"{sink.ws_url}/C")
        async with central.running(subprotocols=None), bare as socket:
            chosen.append(socket.subprotocol)

    asyncio.run(talk())
    assert chosen == ["ocpp1.6", "ocpp1.6", None]
    assert [each.headers["Sec-WebSocket-Protocol"] for each in central.requests[:2]] == [
        "ocpp2.0.1,ocpp1.6",
        "ocpp1.6",
    ]
    eventually(lambda: sink.entries(type="close", charger="C"))


def test_of_another_version_only_the_framing_is_judged(serve, central: Central, eventually) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)

    async def talk() -> None:
        async with (
            central.running(subprotocols=["ocpp2.0.1"]),
            charger(sink, "A", "ocpp2.0.1") as socket,
        ):
            assert socket.subprotocol == "ocpp2.0.1"
            await socket.send('[2,"a","TransactionEvent",{"any":"thing"}]')
            await until(lambda: central.received)

    asyncio.run(talk())
    eventually(lambda: sink.entries(type="close"))
    assert [row["verdict"] for row in sink.entries(type="call")] == ["ok"]
    assert [row["verdict"] for row in sink.entries(type="open")] == ["wrong-subprotocol"]


@pytest.mark.parametrize("passed", [True, False])
def test_credentials_are_passed_on_only_when_asked_and_never_written(
    serve, central: Central, passed: bool, eventually
) -> None:
    option = ("--forward-credentials",) if passed else ()
    sink = serve("sink", "ocpp.sink", "--forward", central.url, *option)

    async def talk() -> None:
        async with central.running(), charger(sink, additional_headers={"Authorization": BASIC}):
            pass

    asyncio.run(talk())
    eventually(lambda: sink.entries(type="close"))
    assert central.requests[0].headers.get("Authorization") == (BASIC if passed else None)
    written = sink.log.read_text() + sink.output()
    written += "".join(each.read_text() for each in sink.folder.rglob("*.log"))
    assert BASIC[6:] not in written
    assert "geheim" not in written


# --- ends -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1001, "reboot"), (3456, "own words")])
def test_the_charger_s_end_is_the_central_system_s(serve, central: Central, code, reason) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)

    async def talk() -> None:
        async with central.running():
            socket = await charger(sink)
            await socket.send(BOOT)
            await socket.close(code, reason)
            await until(lambda: central.closes)

    asyncio.run(talk())
    assert central.received == [BOOT]
    assert central.closes == [(code, reason)]


@pytest.mark.parametrize(("code", "reason"), [(1000, ""), (1012, "restart"), (4001, "own words")])
def test_the_central_system_s_end_is_the_charger_s(
    serve, central: Central, eventually, code, reason
) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)
    ends: list[tuple[int, str]] = []

    async def leave(connection: Any) -> None:
        await connection.send("last words")
        await connection.close(code, reason)

    async def talk() -> None:
        central._talk = leave
        async with central.running(), charger(sink) as socket:
            assert await socket.recv() == "last words"
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            ends.append((socket.close_code, socket.close_reason))

    asyncio.run(talk())
    assert ends == [(code, reason)]
    eventually(lambda: sink.entries(type="close", leg="charger"))
    (central_end,) = sink.entries(type="close", leg="central")
    assert str(code) in central_end["note"]


def test_a_lost_charger_is_a_going_away_and_a_lost_central_system_a_bad_gateway(
    serve, central: Central
) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)
    ends: list[int] = []

    async def cut(connection: Any) -> None:
        with suppress(ConnectionClosed):
            if await connection.recv() == "cut":
                connection.transport.abort()

    async def talk() -> None:
        central._talk = cut
        async with central.running():
            socket = await charger(sink, "A")
            socket.transport.abort()
            await until(lambda: central.closes)
            async with charger(sink, "B") as socket:
                await socket.send("cut")
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(socket.recv(), DEADLINE_S)
                ends.append(socket.close_code)

    asyncio.run(talk())
    assert central.closes[0][0] == 1001
    assert ends == [1014]


def test_a_refusal_of_the_central_system_is_the_charger_s(
    serve, central: Central, eventually
) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)
    statuses: list[int] = []

    async def attempt() -> None:
        with pytest.raises(InvalidStatus) as refused:
            async with charger(sink):
                pass
        statuses.append(refused.value.response.status_code)

    async def talk() -> None:
        for status in (401, 404, 418, 302):

            def answer(connection: Any, request: Any, status: int = status) -> Any:
                reply = connection.respond(status, "no\n")
                if status == 302:
                    reply.headers["Location"] = f"{central.url}/elsewhere"
                return reply

            async with central.running(process_request=answer):
                await attempt()
        await attempt()  # nobody listens any more

    asyncio.run(talk())
    assert statuses == [401, 404, 502, 502, 502]
    eventually(lambda: len(sink.entries(type="refused")) == 5)
    notes = [row["note"] for row in sink.entries(type="refused")]
    assert notes[0].startswith("HTTP 401")
    assert "nothing listens there" in notes[4]


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=test"
    more = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(["openssl", *words.split(), *more], check=True, capture_output=True)
    return cert, key


def test_certificates_of_the_central_system_are_checked(
    serve, certificate: tuple[Path, Path], central: Central
) -> None:
    cert, key = certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    url = f"wss://localhost:{central.port}"
    strict = serve("strict", "ocpp.sink", "--forward", url)
    told = serve("told", "ocpp.sink", "--forward", url, "--ca", str(cert))

    async def talk() -> None:
        async with central.running(ssl=context):
            with pytest.raises(InvalidStatus) as refused:
                async with charger(strict):
                    pass
            assert refused.value.response.status_code == 502
            assert b"not trusted" in refused.value.response.body
            async with charger(told) as socket:
                await socket.send(BOOT)
                await until(lambda: central.received == [BOOT])

    asyncio.run(talk())


# --- keeping up -------------------------------------------------------------------------------


def test_pings_are_answered_on_both_sides(serve, central: Central) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)
    answered: list[float] = []

    async def ping(connection: Any) -> None:
        answered.append(await asyncio.wait_for(await connection.ping(), DEADLINE_S))

    async def talk() -> None:
        central._talk = ping
        async with central.running(), charger(sink) as socket:
            answered.append(await asyncio.wait_for(await socket.ping(), DEADLINE_S))
            await until(lambda: len(answered) == 2)

    asyncio.run(talk())
    assert len(answered) == 2


def test_a_central_system_that_does_not_read_makes_the_charger_wait(
    serve, central: Central
) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)
    process = psutil.Process(sink.process.pid)
    filler = "x" * 60_000
    count = 1_500  # 90 MB

    async def talk() -> None:
        gate = asyncio.Event()

        async def slow(connection: Any) -> None:
            connection.transport.pause_reading()
            await gate.wait()
            connection.transport.resume_reading()

        central._talk = slow
        async with central.running(), charger(sink, write_limit=65_536) as socket:
            sent = 0

            async def send() -> None:
                nonlocal sent
                for number in range(count):
                    await socket.send(
                        json.dumps([2, f"m{number}", "DataTransfer", {"data": filler}])
                    )
                    sent += 1

            before = process.memory_info().rss
            sending = asyncio.create_task(send())
            seen = -1
            while seen != sent:  # until nothing moves any more
                seen = sent
                await asyncio.sleep(0.5)
            assert 0 < sent < count
            assert process.memory_info().rss - before < 40 * 1024 * 1024
            gate.set()
            await asyncio.wait_for(sending, 60)
            await until(lambda: len(central.received) == count)

    asyncio.run(talk())
    assert [json.loads(text)[1] for text in central.received] == [f"m{n}" for n in range(count)]


def test_a_charger_that_does_not_read_makes_the_central_system_wait(
    serve, central: Central
) -> None:
    sink = serve("sink", "ocpp.sink", "--forward", central.url)
    process = psutil.Process(sink.process.pid)
    filler = "x" * 20_000
    count = 2_000  # 40 MB
    sent = 0
    got: list[int] = []

    async def flood(connection: Any) -> None:
        nonlocal sent
        for number in range(count):
            await connection.send(json.dumps([3, f"m{number}", {"data": filler}]))
            sent += 1

    async def talk() -> None:
        central._talk = flood
        before = process.memory_info().rss
        async with central.running(write_limit=65_536), charger(sink) as socket:
            socket.transport.pause_reading()
            seen = -1
            while seen != sent or not sent:  # until nothing moves any more
                seen = sent
                await asyncio.sleep(0.5)
            assert sent < count
            assert process.memory_info().rss - before < 20 * 1024 * 1024
            socket.transport.resume_reading()
            async with asyncio.timeout(60):
                while len(got) < count:
                    got.append(int(json.loads(await socket.recv())[1][1:]))

    asyncio.run(talk())
    assert got == list(range(count))


def test_a_central_system_without_a_sign_of_life_is_given_up() -> None:
    class Dead:
        pings = 0

        def receive(self) -> bytes | None:
            return None  # ten quiet seconds

        def ping(self) -> None:
            self.pings += 1

    relay = Relay.__new__(Relay)
    relay._link = dead = Dead()  # type: ignore[assignment]
    with pytest.raises(LinkError, match="no sign of life"):
        relay._read()
    assert dead.pings == 2
