"""Whole sessions against the logger: the `ocpp` package, our simulator, and hostile chargers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from typing import Any

import jsonschema
import psutil
import pytest
import websockets
from ocpp.v16 import ChargePoint, call
from websockets.exceptions import ConnectionClosed, InvalidStatus

from gway.web.routes import Site
from gway.web.ws import Refuse

DEADLINE_S = 15
LONG = '[2,"a","Authorize",{"idTag":"' + "x" * 21 + '"}]'
BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'


def now() -> str:
    return datetime.now(UTC).isoformat()


@cache
def schema(name: str) -> jsonschema.Draft4Validator:
    text = (resources.files("ocpp.v16") / "schemas" / f"{name}.json").read_text("utf-8-sig")
    return jsonschema.Draft4Validator(json.loads(text))


def rules(entry: dict[str, Any]) -> list[str]:
    return [each["rule"] for each in entry["violations"]]


@asynccontextmanager
async def connected(sink: Any, path: str, *subprotocols: str, **more: Any) -> AsyncIterator[Any]:
    offered: Any = [*subprotocols] or None
    async with websockets.connect(sink.ws_url + path, subprotocols=offered, **more) as socket:
        yield socket


async def exchange(sink: Any, *frames: str, path: str = "/CP1") -> list[Any]:
    """Send frames one by one and give what each was answered, None for silence."""
    answers: list[Any] = []
    async with connected(sink, path, "ocpp1.6") as socket:
        for frame in frames:
            await socket.send(frame)
            try:
                answers.append(json.loads(await asyncio.wait_for(socket.recv(), 0.5)))
            except TimeoutError:
                answers.append(None)
    return answers


class Charger(ChargePoint):
    """A charge point of the PyPI package `ocpp`, which validates what it is answered."""

    async def everything(self) -> None:
        """Make every call that a charge point can make."""
        boot = await self.call(call.BootNotification("Model", "Vendor"))
        assert (boot.status, boot.interval) == ("Accepted", 300)
        await self.call(call.Heartbeat())
        assert (await self.call(call.Authorize("ADA"))).id_tag_info["status"] == "Accepted"
        await self.call(call.StatusNotification(1, "NoError", "Preparing", timestamp=now()))
        begun = await self.call(call.StartTransaction(1, "ADA", 100, now()))
        value = {"timestamp": now(), "sampled_value": [{"value": "150"}]}
        await self.call(call.MeterValues(1, [value], begun.transaction_id))
        await self.call(call.StopTransaction(200, now(), begun.transaction_id, id_tag="ADA"))
        assert (await self.call(call.DataTransfer("V", data="x"))).status == "Accepted"
        await self.call(call.DiagnosticsStatusNotification("Idle"))
        await self.call(call.FirmwareStatusNotification("Idle"))
        await self.call(call.LogStatusNotification("Idle", 1))
        await self.call(call.SecurityEventNotification("StartupOfTheDevice", now(), "x"))
        await self.call(call.SignCertificate("csr"))
        await self.call(call.SignedFirmwareStatusNotification("Idle", 1))


def test_a_foreign_charge_point_makes_every_call_and_nothing_is_found(sink, eventually) -> None:
    async def session() -> None:
        async with connected(sink, "/CP1", "ocpp1.6") as socket:
            charger = Charger("CP1", socket, response_timeout=DEADLINE_S)
            listening = asyncio.create_task(charger.start())
            await asyncio.wait_for(charger.everything(), DEADLINE_S)
            listening.cancel()

    asyncio.run(session())
    eventually(lambda: sink.entries(type="close"))
    calls, results = sink.entries(type="call"), sink.entries(type="result")
    assert [row["action"] for row in calls] == [row["action"] for row in results]
    assert len({row["action"] for row in calls}) == 14
    assert [row for row in sink.entries() if row["verdict"] not in ("ok", "-")] == []
    for row in results:
        schema(f"{row['action']}Response").validate(json.loads(row["frame"])[2])
        assert row["latency_ms"] >= 0
        assert row["size"] == len(row["frame"].encode())
        assert datetime.fromisoformat(row["time"]).tzinfo is not None
        assert row["time"][-5:-4] == "."
        assert row["time"].endswith("Z")


def test_our_simulator_charges_at_the_logger(sink, run, eventually) -> None:
    port = sink.ws_url.rpartition(":")[2]
    short = ["--duration", "1", "--interval", "1", "--pre-charge-delay", "0", "--json"]
    ran = run("ocpp.evcs", "simulate", "--ws-port", port, "--cp-path", "any/where/SIM", *short)
    (row,) = json.loads(ran.stdout)
    eventually(lambda: sink.entries(type="close"))
    (started,) = sink.entries(type="result", action="StartTransaction", charger="SIM")
    assert json.loads(started["frame"])[2]["transactionId"] == row["transaction_id"]
    assert [each for each in sink.entries() if each["verdict"] not in ("ok", "-")] == []


def test_starts_get_fresh_ids_and_a_repeated_one_its_own(sink) -> None:
    def start(message_id: str, meter: int) -> str:
        words = {
            "connectorId": 1,
            "idTag": "A",
            "meterStart": meter,
            "timestamp": "2026-01-01T00:00:00Z",
        }
        return json.dumps([2, message_id, "StartTransaction", words])

    answers = asyncio.run(exchange(sink, start("a", 1), start("b", 2), start("c", 1)))
    first, second, again = (answer[2]["transactionId"] for answer in answers)
    assert first != second
    assert first == again
    assert 0 < first < 2**31


@pytest.mark.parametrize(
    ("frame", "code", "rule"),
    [
        ('[2,"a","Explode",{}]', "NotImplemented", "unknown-action"),
        ('[2,"a","Reset",{"type":"Soft"}]', "NotSupported", "wrong-side"),
        ('[2,"a","Heartbeat",{"x":1}]', "FormationViolation", "schema.unknown"),
        ('[2,"a","Heartbeat"]', "FormationViolation", "framing"),
        ('[2,"a","Authorize",{}]', "OccurenceConstraintViolation", "schema.missing"),
        ('[2,"a","Authorize",{"idTag":5}]', "TypeConstraintViolation", "schema.type"),
        (LONG, "PropertyConstraintViolation", "schema.length"),
        ('[2,"a","StartTransaction",{}]', "OccurenceConstraintViolation", "schema.missing"),
    ],
)  # fmt: skip
def test_a_malformed_call_gets_its_error_and_is_logged(sink, eventually, frame, code, rule) -> None:
    answers = asyncio.run(exchange(sink, BOOT, frame))
    assert answers[1][:3] == [4, "a", code]
    eventually(lambda: sink.entries(type="close"))
    assert rule in [
        each for row in sink.entries(direction="in", frame=frame) for each in rules(row)
    ]


def test_an_odd_money_message_is_answered_all_the_same(sink, eventually) -> None:
    frame = (
        '[2,"a","StartTransaction",{"connectorId":1,"idTag":"A","meterStart":1,"timestamp":"noon"}]'
    )
    answers = asyncio.run(exchange(sink, BOOT, frame))
    assert answers[1][0] == 3
    eventually(lambda: sink.entries(type="close"))
    assert sink.entries(frame=frame)[0]["verdict"] == "schema.date-time"


def test_junk_neither_closes_nor_is_forgotten(sink, eventually) -> None:
    junk = ["", "x", "{}", "[]", "[2]", "null", '[2,"', '[4,"a"]', "[" * 5_000]
    answers = asyncio.run(exchange(sink, *junk, '[2,"z","Heartbeat",{}]'))
    assert answers[-1][:2] == [3, "z"]
    eventually(lambda: sink.entries(type="close"))
    found = sink.entries(type="junk")
    assert [row["frame"] for row in found] == junk
    assert {row["verdict"] for row in found} == {"framing"}


def test_the_same_bytes_again_get_the_same_answer(sink, eventually) -> None:
    beat = '[2,"a","Heartbeat",{}]'
    first, second, other = asyncio.run(exchange(sink, beat, beat, '[2,"a","Heartbeat", {}]'))
    assert first == second
    assert other[2] == "ProtocolError"
    eventually(lambda: sink.entries(type="close"))
    assert [rules(row) for row in sink.entries(frame=beat)] == [["boot-first"], ["duplicate-id"]]


# --- who connects ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "charger"),
    [
        ("/CP1", "CP1"),
        ("/ocpp/1.6/CP%201", "CP 1"),
        ("/a/b/c/%C3%A4%2F%26", "ä/&"),
        ("/ocpp/sink/CP1/", "CP1"),
        ("/CP1?token=x", "CP1"),
        ("/%00%0A", "\x00\n"),
    ],
)
def test_any_charger_is_taken_on_any_path(sink, eventually, path: str, charger: str) -> None:
    asyncio.run(exchange(sink, BOOT, path=path))
    (opened,) = eventually(lambda: sink.entries(type="open"))
    assert (opened["charger"], opened["verdict"]) == (charger, "-")


def test_a_path_without_an_id_is_taken_and_noted(sink, eventually) -> None:
    asyncio.run(exchange(sink, BOOT, path="/"))
    (opened,) = eventually(lambda: sink.entries(type="open"))
    assert (opened["charger"], rules(opened)) == ("unnamed@127.0.0.1", ["charger-id"])


def test_a_charger_without_subprotocol_is_taken_and_noted(sink, eventually) -> None:
    async def talk() -> None:
        async with connected(sink, "/CP1") as socket:
            assert socket.subprotocol is None
            await socket.send(BOOT)
            await socket.recv()

    asyncio.run(talk())
    (opened,) = eventually(lambda: sink.entries(type="open"))
    assert rules(opened) == ["no-subprotocol"]


def test_another_version_is_refused_with_the_reason(sink, eventually) -> None:
    async def talk() -> None:
        async with connected(sink, "/CP1", "ocpp2.0.1", "ocpp1.5"):
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(talk())
    assert refused.value.response.status_code == 400
    assert b"ocpp1.6 alone" in refused.value.response.body
    (entry,) = eventually(lambda: sink.entries(type="refused"))
    assert rules(entry) == ["wrong-subprotocol"]


def test_credentials_are_judged_and_never_written(sink, eventually) -> None:
    def basic(user: str) -> dict[str, str]:
        return {"Authorization": "Basic " + base64.b64encode(f"{user}:geheim".encode()).decode()}

    async def talk(header: dict[str, str]) -> None:
        async with connected(sink, "/CP1", "ocpp1.6", additional_headers=header):
            pass

    for header in (basic("CP1"), basic("OTHER"), {"Authorization": "Digest geheim"}):
        asyncio.run(talk(header))
    opened = eventually(lambda: (found := sink.entries(type="open"))[2:] and found)
    assert [rules(row) for row in opened] == [[], ["credentials"], ["credentials"]]
    assert "with credentials" in opened[0]["note"]
    written = sink.log.read_text() + sink.output()
    assert "geheim" not in written
    assert base64.b64encode(b"CP1:geheim").decode() not in written


def test_beside_a_central_system_it_keeps_to_its_own_path(serve, eventually) -> None:
    site = serve("site", "ocpp.sink", more=("web.app", "setup-app", "ocpp.csms", "-"))

    async def first_answer(path: str) -> Any:
        async with connected(site, path, "ocpp1.6") as socket:
            await socket.send(BOOT)
            return json.loads(await socket.recv())

    assert asyncio.run(first_answer("/ocpp/csms/CP1"))[2]["status"] == "Accepted"
    assert asyncio.run(first_answer("/ocpp/sink/CP2"))[2]["status"] == "Accepted"
    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(first_answer("/elsewhere/CP3"))
    assert refused.value.response.status_code == 404
    eventually(lambda: site.entries(type="close"))
    assert {row["charger"] for row in site.entries()} == {"CP2"}
    assert [row["charger_id"] for row in site.json("/api/ocpp/csms/chargers")] == ["CP1"]
    assert "/ocpp/sink/CHARGER_ID" in site.get("/ocpp/sink/messages")


def test_of_projects_with_websockets_only_a_lonely_one_gets_every_path(gw) -> None:
    site = gw.service(Site)
    site.mount("ocpp.sink")
    assert set(site.ws_routes) == {"/", "/ocpp/sink/"}
    site.mount("ocpp.csms")
    assert set(site.ws_routes) == {"/ocpp/sink/", "/ocpp/csms/"}
    site.ws_routes["/"] = stray = lambda upgrade: Refuse(404, "lost")
    site.mount("ocpp.data")
    assert site.ws_routes["/"] is stray  # what others put there stays


# --- too much ------------------------------------------------------------------------


def test_a_flood_is_served_in_bounded_memory(sink, eventually) -> None:
    process = psutil.Process(sink.process.pid)
    filler = "x" * 20_000
    count = 2_000

    async def flood() -> None:
        async with connected(sink, "/FLOOD", "ocpp1.6", max_queue=None) as socket:

            async def read() -> None:
                for _ in range(count):
                    await socket.recv()

            reading = asyncio.create_task(read())
            for number in range(count):
                words = {"vendorId": "V", "data": f"{number}{filler}"}
                await socket.send(json.dumps([2, f"m{number}", "DataTransfer", words]))
            await asyncio.wait_for(reading, 60)

    before = process.memory_info().rss
    asyncio.run(flood())
    grown = process.memory_info().rss - before
    assert grown < 40 * 1024 * 1024  # 40 MB were sent
    eventually(lambda: sink.entries(type="close"), timeout_s=20)
    calls = sink.entries(type="call")
    lost = sink.json("/ocpp/sink/messages.json")
    assert len(calls) == count
    assert [row["message_id"] for row in calls] == [f"m{number}" for number in range(count)]
    assert len(lost["rows"] if isinstance(lost, dict) else lost) <= 1_000


def test_a_large_frame_is_logged_whole_and_a_larger_one_ends_the_connection(
    sink, eventually
) -> None:
    words = {"vendorId": "V", "data": "ä" * 400_000}
    frame = json.dumps([2, "a", "DataTransfer", words], ensure_ascii=False)
    answers = asyncio.run(exchange(sink, BOOT, frame))
    assert answers[1][:2] == [3, "a"]
    eventually(lambda: sink.entries(type="close"))
    (entry,) = sink.entries(type="call", action="DataTransfer")
    assert entry["frame"] == frame
    assert entry["size"] == len(frame.encode())

    async def too_large() -> int:
        async with connected(sink, "/CP2", "ocpp1.6") as socket:
            await socket.send("x" * 1_100_000)
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            return int(socket.close_code)

    assert asyncio.run(too_large()) == 1009
    (closed,) = eventually(lambda: sink.entries(type="close", charger="CP2"))
    assert "1009" in closed["note"]


def test_the_end_of_the_server_is_told_and_the_log_is_whole(sink, eventually) -> None:
    async def talk() -> int:
        async with connected(sink, "/CP1", "ocpp1.6") as socket:
            await socket.send(BOOT)
            await socket.recv()
            sink.process.terminate()
            with pytest.raises(ConnectionClosed):
                await asyncio.wait_for(socket.recv(), DEADLINE_S)
            return int(socket.close_code)

    assert asyncio.run(talk()) == 1001
    assert sink.process.wait(DEADLINE_S) == 143
    assert [row["type"] for row in sink.entries()] == ["open", "call", "result", "close"]
    assert "Traceback" not in sink.output()
