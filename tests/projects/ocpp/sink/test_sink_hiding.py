"""Secrets do not reach the logger's files and pages."""

from __future__ import annotations

import asyncio
import json

import websockets


def test_the_log_and_the_page_hold_no_secret_and_no_tag(serve, eventually) -> None:
    sink = serve("sink", "ocpp.sink", "--redact-tags")
    long_tag = "ADA" * 10
    frames = [
        json.dumps([2, "a", "Authorize", {"idTag": "ADALOVELACE"}]),
        json.dumps([2, "b", "Authorize", {"idTag": long_tag}]),
        json.dumps([2, "c", "DataTransfer", {"vendorId": "V", "data": '{"password":"geheim"}'}]),
    ]

    async def talk() -> None:
        url = f"{sink.ws_url}/CP1"
        async with websockets.connect(url, subprotocols=["ocpp1.6"]) as socket:  # type: ignore[list-item]
            for frame in frames:
                await socket.send(frame)
                await socket.recv()

    asyncio.run(talk())
    eventually(lambda: sink.entries(type="close"))
    assert [row["redacted"] for row in sink.entries(type="call")] == [True] * 3
    assert sink.entries(type="call")[0]["size"] == len(frames[0])
    seen = sink.log.read_text() + sink.get("/ocpp/sink/messages") + sink.output()
    for secret in ("ADALOVELACE", long_tag, "geheim"):
        assert secret not in seen
