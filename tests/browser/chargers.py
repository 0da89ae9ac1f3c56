"""Charge points for browser tests: they obey, and are told what to do from the test's thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import websockets
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result

DEADLINE_S = 10


def now() -> str:
    return datetime.now(UTC).isoformat()


class Obedient(ChargePoint):
    """A charge point of the PyPI package `ocpp` that starts, stops and resets when told."""

    transaction_id = 0
    asked: list[str]

    async def boot(self, vendor: str = "Acme") -> None:
        await self.call(call.BootNotification(charge_point_model="One", charge_point_vendor=vendor))

    async def status(self, connector_id: int, status: str, **more: str) -> None:
        words = {"error_code": "NoError", "timestamp": now(), **more}
        await self.call(call.StatusNotification(connector_id, status=status, **words))

    async def begin(self, tag: str = "ADA", connector_id: int = 1) -> None:
        answer = await self.call(call.StartTransaction(connector_id, tag, 1_000, now()))
        self.transaction_id = answer.transaction_id
        await self.status(connector_id, "Charging")

    async def meter(self, energy_wh: int) -> None:
        value = {"timestamp": now(), "sampled_value": [{"value": str(energy_wh)}]}
        await self.call(call.MeterValues(1, [value], self.transaction_id))

    async def end(self, meter_wh: int, reason: str) -> None:
        await self.call(call.StopTransaction(meter_wh, now(), self.transaction_id, reason=reason))
        await self.status(1, "Available")

    async def leave(self) -> None:
        await self._connection.close()

    @on("RemoteStartTransaction")
    def on_remote_start(self, **words: Any) -> Any:
        return call_result.RemoteStartTransaction("Accepted")

    @after("RemoteStartTransaction")
    async def after_remote_start(self, id_tag: str, **words: Any) -> None:
        await self.begin(id_tag)

    @on("RemoteStopTransaction")
    def on_remote_stop(self, transaction_id: int) -> Any:
        same = transaction_id == self.transaction_id
        return call_result.RemoteStopTransaction("Accepted" if same else "Rejected")

    @after("RemoteStopTransaction")
    async def after_remote_stop(self, transaction_id: int) -> None:
        await self.end(3_500, "Remote")

    @on("Reset")
    def on_reset(self, type: str) -> Any:
        self.asked.append(f"Reset {type}")
        return call_result.Reset("Accepted")

    @after("Reset")
    async def after_reset(self, type: str) -> None:
        await self.boot()


class Chargers:
    """Charge points on an event loop in a thread, told what to do from the test's thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self._thread.start()
        self._links: list[tuple[Any, asyncio.Task[None]]] = []

    def do(self, step: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(step, self.loop).result(DEADLINE_S)

    def connect(self, ws_url: str, charger_id: str = "CPX") -> Obedient:
        return self.do(self._connect(f"{ws_url}/ocpp/csms/{charger_id}", charger_id))

    async def _connect(self, url: str, charger_id: str) -> Obedient:
        link = await websockets.connect(url, subprotocols=["ocpp1.6"], ping_interval=None)
        charger = Obedient(charger_id, link, response_timeout=DEADLINE_S)
        charger.asked = []
        self._links.append((link, asyncio.create_task(self._serve(charger))))
        return charger

    async def _serve(self, charger: Obedient) -> None:
        try:
            await charger.start()
        except websockets.ConnectionClosed:
            return

    def hang_up(self) -> None:
        async def end() -> None:
            for link, task in self._links:
                await link.close()
                await task
            self._links.clear()

        self.do(end())

    def close(self) -> None:
        self.hang_up()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(DEADLINE_S)
        self.loop.close()


async def draw(charger: Obedient, energy_wh: int, power_w: int) -> None:
    """Tell a register and a power."""
    sampled = [
        {"value": str(energy_wh)},
        {"value": str(power_w), "measurand": "Power.Active.Import", "unit": "W"},
    ]
    value = {"timestamp": now(), "sampled_value": sampled}
    await charger.call(call.MeterValues(1, [value], charger.transaction_id))


def detail(site: Any, charger_id: str = "CPX") -> str:
    return f"{site.url}/ocpp/csms/charger-detail?charger_id={charger_id}"


def status(site: Any) -> str:
    return f"{site.url}/ocpp/csms/charger-status"


def dd(place: Any, name: str) -> Any:
    """The value that a page shows under a name."""
    return place.locator(f"div:has(> dt:text-is('{name}')) dd")
