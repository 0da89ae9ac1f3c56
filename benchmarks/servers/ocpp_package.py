"""A central system made with the PyPI package `ocpp`: validated, nothing stored."""

# The package carries no types, so its decorators and its base class have none.
# mypy: disable-error-code="misc,import-untyped,untyped-decorator"

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from itertools import count

import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call_result
from ocpp.v16.datatypes import IdTagInfo
from ocpp.v16.enums import AuthorizationStatus, RegistrationStatus


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Charger(ChargePoint):
    """Answers the messages that the load sends."""

    transaction_ids = count(1)

    @on("BootNotification")
    def on_boot_notification(self, **_: object) -> call_result.BootNotification:
        return call_result.BootNotification(now(), 300, RegistrationStatus.accepted)

    @on("StatusNotification")
    def on_status_notification(self, **_: object) -> call_result.StatusNotification:
        return call_result.StatusNotification()

    @on("Heartbeat")
    def on_heartbeat(self) -> call_result.Heartbeat:
        return call_result.Heartbeat(now())

    @on("StartTransaction")
    def on_start_transaction(self, **_: object) -> call_result.StartTransaction:
        tag = IdTagInfo(AuthorizationStatus.accepted)
        return call_result.StartTransaction(next(self.transaction_ids), tag)

    @on("MeterValues")
    def on_meter_values(self, **_: object) -> call_result.MeterValues:
        return call_result.MeterValues()


async def serve_charger(connection: websockets.ServerConnection) -> None:
    assert connection.request is not None
    charger = Charger(connection.request.path.rpartition("/")[2], connection)
    try:
        await charger.start()
    except websockets.ConnectionClosed:
        return


async def main() -> None:
    """Serve until standard input is closed."""
    async with websockets.serve(
        serve_charger,
        "127.0.0.1",
        0,
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        backlog=1024,
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        print(json.dumps({"ws_port": port}), flush=True)
        closed = asyncio.Event()
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), closed.set)
        await closed.wait()
        server.close(close_connections=True)


if __name__ == "__main__":
    asyncio.run(main())
