"""Whole sessions over real sockets, with the PyPI package `ocpp` as an independent client."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Callable, Coroutine
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from typing import Any

import pytest
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from ocpp.v16.enums import (
    ChargePointErrorCode,
    ChargePointStatus,
    RegistrationStatus,
    RemoteStartStopStatus,
    ResetStatus,
)
from websockets.exceptions import ConnectionClosed, InvalidStatus

DEADLINE_S = 15


def now() -> str:
    return datetime.now(UTC).isoformat()


class Charger(ChargePoint):
    """A charge point that obeys, on one connection."""

    def __init__(self, charger_id: str, connection: Any) -> None:
        super().__init__(charger_id, connection, response_timeout=DEADLINE_S)
        self.asked: list[str] = []
        self.stopped: asyncio.Queue[int] = asyncio.Queue()

    async def boot(self) -> Any:
        answer = await self.call(call.BootNotification("Model", "Vendor"))
        assert answer.status == RegistrationStatus.accepted
        return answer

    async def status(self, connector_id: int, status: ChargePointStatus) -> None:
        error = ChargePointErrorCode.no_error
        await self.call(
            call.StatusNotification(connector_id, error, status, timestamp=now()),
        )

    async def begin(self, connector_id: int, meter_wh: int, tag: str = "ADA") -> int:
        answer = await self.call(
            call.StartTransaction(connector_id, tag, meter_wh, timestamp=now())
        )
        assert answer.id_tag_info["status"] == "Accepted"
        return int(answer.transaction_id)

    async def meter(self, connector_id: int, transaction_id: int, energy_wh: int) -> None:
        value = {"timestamp": now(), "sampled_value": [{"value": str(energy_wh), "unit": "Wh"}]}
        await self.call(call.MeterValues(connector_id, [value], transaction_id))

    async def end(self, transaction_id: int, meter_wh: int, reason: str = "Local") -> None:
        await self.call(
            call.StopTransaction(meter_wh, now(), transaction_id, reason=reason, id_tag="ADA")
        )

    @on("RemoteStopTransaction")
    async def on_remote_stop(self, transaction_id: int) -> Any:
        self.stopped.put_nowait(transaction_id)
        return call_result.RemoteStopTransaction(RemoteStartStopStatus.accepted)

    @on("Reset")
    async def on_reset(self, type: str) -> Any:
        self.asked.append(f"Reset {type}")
        return call_result.Reset(ResetStatus.accepted)

    @on("GetConfiguration")
    async def on_get_configuration(self, key: list[str] | None = None) -> Any:
        self.asked.append(f"GetConfiguration {len(key or [])}")
        known = {"GetConfigurationMaxKeys": "2", "A": "1", "B": "2", "C": "3"}
        found = [
            {"key": one, "readonly": True, "value": known[one]} for one in key or () if one in known
        ]
        return call_result.GetConfiguration(found, [one for one in key or () if one not in known])


@asynccontextmanager
async def connected(csms: Any, charger_id: str) -> Any:
    url = csms.charger_url(charger_id)
    async with websockets.connect(url, subprotocols=["ocpp1.6"]) as connection:
        charger = Charger(charger_id, connection)
        listening = asyncio.create_task(charger.start())
        try:
            yield charger
        finally:
            listening.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await listening


def run(session: Coroutine[Any, Any, Any]) -> Any:
    """Run a session, but not for ever."""

    async def limited() -> Any:
        async with asyncio.timeout(4 * DEADLINE_S):
            return await session

    return asyncio.run(limited())


def rows(csms: Any, sql: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(csms.folder / "work" / "ocpp.sqlite", timeout=10)) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(sql)]


def transactions(csms: Any) -> list[dict[str, Any]]:
    return rows(
        csms,
        "SELECT transaction_id, connector_id, state, energy_wh FROM transactions"
        " ORDER BY transaction_id",
    )


async def in_thread(function: Callable[..., Any], *args: Any, **more: Any) -> Any:
    return await asyncio.to_thread(function, *args, **more)


def test_two_connectors_charge_at_once(csms):
    async def session():
        async with connected(csms, "CPX") as charger:
            await charger.boot()
            one = await charger.begin(1, 1_000)
            two = await charger.begin(2, 50_000)
            shown = await in_thread(csms.api, "csms/charger", charger_id="CPX")
            assert {each["transaction_id"] for each in shown["transactions"]} == {one, two}
            for step in range(1, 6):
                await asyncio.gather(
                    charger.meter(1, one, 1_000 + step * 100),
                    charger.meter(2, two, 50_000 + step * 10),
                )
            await charger.end(two, 50_060)
            await charger.end(one, 1_700)

    run(session())
    stored = transactions(csms)
    assert [(row["connector_id"], row["state"], row["energy_wh"]) for row in stored] == [
        (1, "stopped", 700),
        (2, "stopped", 60),
    ]
    assert rows(csms, "SELECT count(*) AS n FROM readings")[0]["n"] == 10


def test_a_session_goes_on_after_a_reconnect(csms):
    async def session():
        async with connected(csms, "CPX") as charger:
            await charger.boot()
            transaction_id = await charger.begin(1, 1_000)
            await charger.meter(1, transaction_id, 2_000)
        async with connected(csms, "CPX") as charger:
            await charger.meter(1, transaction_id, 3_000)
            await charger.end(transaction_id, 4_500)
        return transaction_id

    transaction_id = run(session())
    (row,) = transactions(csms)
    assert (row["transaction_id"], row["energy_wh"]) == (transaction_id, 3_500)


def test_a_server_killed_in_mid_session_loses_nothing(csms):
    async def first():
        async with connected(csms, "CPX") as charger:
            await charger.boot()
            one = await charger.begin(1, 1_000)
            two = await charger.begin(2, 2_000)
            await charger.meter(1, one, 1_500)
            csms.kill()
        return one, two

    one, two = run(first())
    csms.start()

    async def second():
        async with connected(csms, "CPX") as charger:
            shown = await in_thread(csms.api, "csms/charger", charger_id="CPX")
            assert {each["transaction_id"] for each in shown["transactions"]} == {one, two}
            await charger.meter(2, two, 2_500)
            await charger.end(one, 3_000)
            await charger.end(two, 2_600)
        async with connected(csms, "CPY") as other:
            await other.boot()
            return await other.begin(1, 0)

    three = run(second())
    assert len({one, two, three}) == 3
    energy = {row["transaction_id"]: row["energy_wh"] for row in transactions(csms)}
    assert energy == {one: 2_000, two: 600, three: None}
    assert rows(csms, "SELECT count(*) AS n FROM readings")[0]["n"] == 2


def test_a_start_whose_answer_was_lost_is_one_transaction(csms):
    words = {"connectorId": 1, "idTag": "ADA", "meterStart": 5, "timestamp": now()}

    async def send(message_id: str) -> Any:
        url = csms.charger_url("CPX")
        async with websockets.connect(url, subprotocols=["ocpp1.6"]) as connection:
            await connection.send(json.dumps([2, message_id, "StartTransaction", words]))
            return json.loads(await connection.recv())[2]["transactionId"]

    first = run(send("a"))
    csms.kill()
    csms.start()
    assert run(send("b")) == first
    assert len(transactions(csms)) == 1


def test_events_of_security_are_kept_once_and_listed(csms, eventually):
    async def session():
        async with connected(csms, "CPX") as charger:
            await charger.boot()
            at = now()
            for _ in range(2):  # its answer was lost: it says the same again
                await charger.call(
                    call.SecurityEventNotification("FirmwareUpdated", at, tech_info="2.0 -> 2.1")
                )
            await charger.call(call.SecurityEventNotification("SettingSystemTime", at, None))
            await charger.call(call.LogStatusNotification("Uploading", request_id=7))
            await charger.call(call.SignedFirmwareStatusNotification("Downloading", request_id=8))

    run(session())
    found = rows(csms, "SELECT type, tech_info FROM security_events ORDER BY security_event_id")
    assert found == [
        {"type": "FirmwareUpdated", "tech_info": "2.0 -> 2.1"},
        {"type": "SettingSystemTime", "tech_info": ""},
    ]
    notices = "SELECT kind, content FROM notices ORDER BY notice_id"
    eventually(lambda: len(rows(csms, notices)) == 2)  # these are stored a moment later
    told = rows(csms, notices)
    assert [row["kind"] for row in told] == [
        "LogStatusNotification",
        "SignedFirmwareStatusNotification",
    ]
    assert '"requestId":7' in told[0]["content"].replace(" ", "")


def test_a_stop_from_the_operator_ends_the_session(csms):
    async def session():
        async with connected(csms, "CPX") as charger:
            await charger.boot()
            transaction_id = await charger.begin(1, 1_000)
            await charger.status(1, ChargePointStatus.charging)
            order = asyncio.create_task(
                in_thread(csms.api, "csms/remote_stop", {"charger_id": "CPX"})
            )
            assert await charger.stopped.get() == transaction_id
            result = await order
            assert (result["state"], result["status"]) == ("answered", "Accepted")
            await charger.end(transaction_id, 1_500, reason="Remote")
            (latest,) = await in_thread(csms.api, "csms/commands", charger_id="CPX")
            assert latest["effect"] == f"transaction {transaction_id} stopped (Remote)"

    run(session())
    assert transactions(csms)[0]["energy_wh"] == 500


def test_verbs_reach_the_running_server(csms, run: Any):
    verbs = run

    async def session():
        async with connected(csms, "CPX") as charger:
            await charger.boot()
            ran = await in_thread(verbs, "ocpp.csms", "reset", "CPX", "--type", "Soft", "--json")
            assert ran.code == 0, ran.stderr
            assert json.loads(ran.stdout)["status"] == "Accepted"
            assert charger.asked == ["Reset Soft"]
            words = ("ocpp.csms", "send", "CPX", "Reset", '{"type": "Hard"}', "--json")
            ran = await in_thread(verbs, *words)
            assert json.loads(ran.stdout)["status"] == "Accepted"
            ran = await in_thread(verbs, "ocpp.csms", "chargers", "--json")
            assert [row["charger_id"] for row in json.loads(ran.stdout)] == ["CPX"]
            words = ("ocpp.csms", "get-configuration", "CPX", "--keys", "A,B,C,D", "--json")
            ran = await in_thread(verbs, *words)
            answer = json.loads(ran.stdout)["answer"]
            assert [one["value"] for one in answer["configurationKey"]] == ["1", "2", "3"]
            assert answer["unknownKey"] == ["D"]
            assert charger.asked[-2:] == ["GetConfiguration 2", "GetConfiguration 2"]

    asyncio.run(session())


def test_refusals_are_http_answers_and_no_upgrades(csms):
    async def status_of(charger_id: str, *subprotocols: str) -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.connect(
                csms.charger_url(charger_id), subprotocols=list(subprotocols) or None
            ):
                pass
        return refused.value.response.status_code

    async def session():
        assert await status_of("CPX") == 400
        assert await status_of("CPX", "ocpp2.0.1") == 400
        assert await status_of("CP%2FX", "ocpp1.6") == 400

    run(session())


def test_a_second_connection_needs_a_dead_first_one(csms):
    async def session():
        url = csms.charger_url("CPX")
        async with websockets.connect(url, subprotocols=["ocpp1.6"]) as first:
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(url, subprotocols=["ocpp1.6"])
            assert refused.value.response.status_code == 403
            await first.send('[2,"1","Heartbeat",{}]')
            assert json.loads(await first.recv())[0] == 3

    run(session())


def test_the_server_stops_cleanly_with_chargers_connected(csms):
    async def session():
        url = csms.charger_url("CPX")
        async with websockets.connect(url, subprotocols=["ocpp1.6"]) as connection:
            await connection.send('[2,"1","Heartbeat",{}]')
            await connection.recv()
            stopping = asyncio.create_task(in_thread(csms.stop))
            with pytest.raises(ConnectionClosed) as ended:
                await connection.recv()
            assert ended.value.rcvd.code == 1001
            return await stopping

    assert run(session()) in (0, 143)
    assert "Traceback" not in csms.output()
    (row,) = rows(csms, "SELECT code FROM connections")
    assert row["code"] == 1001
