"""The pages and the terminal beside a real server, with chargers of the PyPI package `ocpp`."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import asynccontextmanager, closing, suppress
from datetime import UTC, datetime
from typing import Any
from urllib.request import Request, urlopen

import pytest
import websockets
from ocpp.routing import on
from ocpp.v16 import ChargePoint, call, call_result
from websockets.exceptions import ConnectionClosed, InvalidStatus

DEADLINE_S = 15
BASE = "/ocpp/csms"
EVIL = "<script>alert(1)</script>"


def now() -> str:
    return datetime.now(UTC).isoformat()


class Charger(ChargePoint):
    @on("GetConfiguration")
    def on_get_configuration(self, **words: Any) -> Any:
        key = {"key": "HeartbeatInterval", "readonly": False, "value": "300"}
        secret = {"key": "AuthorizationKey", "readonly": False, "value": "hunter2"}
        return call_result.GetConfiguration(configuration_key=[key, secret])

    async def boot(self, vendor: str = "Acme", model: str = "One") -> None:
        await self.call(call.BootNotification(model, vendor))

    async def status(self, status: str, error: str = "NoError", info: str | None = None) -> None:
        said = call.StatusNotification(1, error, status, timestamp=now(), info=info)
        await self.call(said)

    async def begin(self, tag: str = "ADA") -> int:
        answer = await self.call(call.StartTransaction(1, tag, 1_000, timestamp=now()))
        return int(answer.transaction_id)

    async def meter(self, transaction_id: int, energy_wh: int, power_w: int) -> None:
        sampled = [
            {"value": str(energy_wh)},
            {"value": str(power_w), "measurand": "Power.Active.Import", "unit": "W"},
        ]
        value = {"timestamp": now(), "sampled_value": sampled}
        await self.call(call.MeterValues(1, [value], transaction_id))


@asynccontextmanager
async def connected(csms: Any, charger_id: str) -> Any:
    url = csms.charger_url(charger_id)
    async with websockets.connect(url, subprotocols=["ocpp1.6"]) as link:
        charger = Charger(charger_id, link, response_timeout=DEADLINE_S)
        task = asyncio.create_task(charger.start())
        try:
            yield charger
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError, ConnectionClosed):
                await task


def get(csms: Any, path: str) -> str:
    headers = {"Authorization": f"Bearer {csms.token}"}
    with urlopen(Request(csms.url + path, headers=headers), timeout=15) as reply:
        return str(reply.read().decode())


def words(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", html))


def ids(html: str) -> list[str]:
    return re.findall(r'id="charger-(CP\d+)"', html)


async def aside(function: Any, *args: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, function, *args)


def test_cards_have_what_chargers_told_in_the_order_that_was_asked_for(csms):
    async def story() -> None:
        async with (
            connected(csms, "CP2") as two,
            connected(csms, "CP10") as ten,
            connected(csms, "CP3") as three,
        ):
            for charger, power_w in ((two, 3_000), (ten, 11_000)):
                await charger.boot(vendor="Alfen" if charger is two else "ABB")
                transaction_id = await charger.begin(EVIL[:20])
                for step in (1, 2, 3):
                    await charger.meter(transaction_id, 1_000 + step * 500, power_w * step)
            await three.boot(vendor=EVIL[:20])
            await three.status("Faulted", "GroundFailure", EVIL)
            page = await aside(get, csms, f"{BASE}/charger-status")
            assert ids(page) == ["CP3", "CP2", "CP10"], "the one with a fault first"
            assert "<script>alert" not in page
            assert EVIL.replace("<", "&lt;").replace(">", "&gt;") in page
            assert len(re.findall(r'<svg class="sparkline"[^>]*role="img"', page)) == 2
            assert "9.0 kW" in words(page)
            assert "42.0 kW now" in words(page), "all of them together"
            for query, found in (
                ("sort=-power", ["CP10", "CP2", "CP3"]),
                ("sort=power", ["CP2", "CP10", "CP3"]),
                ("sort=-id", ["CP10", "CP3", "CP2"]),
                ("q=alf", ["CP2"]),
                ("status=Faulted", ["CP3"]),
                ("q=nothing", []),
            ):
                for path in (f"{BASE}/charger-status", f"/render{BASE}/charger-cards"):
                    assert ids(await aside(get, csms, f"{path}?{query}")) == found, query
            twin = json.loads(await aside(get, csms, f"{BASE}/charger-status.json?sort=-power"))
            assert [row["power_w"] for row in twin] == [33_000, 9_000, None]

    asyncio.run(story())


def test_time_of_a_charger_that_is_away_does_not_go_on(csms, eventually):
    async def story() -> None:
        async with connected(csms, "CP1") as charger:
            await charger.boot()
            await charger.meter(await charger.begin(), 2_000, 7_000)
            assert "data-counts" in await aside(get, csms, f"/render{BASE}/charger-cards")

    asyncio.run(story())

    def away() -> bool:
        page = get(csms, f"/render{BASE}/charger-cards")
        return "last seen" in words(page) and "data-counts" not in page

    eventually(away, 10)
    assert "7.0 kW" not in words(get(csms, f"/render{BASE}/charger-cards"))


def test_chargers_that_were_turned_away_are_listed_with_what_helps(csms):
    async def knock(url: str, **more: Any) -> int:
        with pytest.raises(InvalidStatus) as refused:
            async with websockets.connect(url, **{"subprotocols": ["ocpp1.6"], **more}):
                pass
        return int(refused.value.response.status_code)

    async def story() -> None:
        assert await knock(f"{csms.ws_url}/ocpp/CP1") == 404
        assert await knock(f"{csms.ws_url}/ocpp/csms/bad%3Cid") == 400
        assert await knock(csms.charger_url("CP2"), subprotocols=None) == 400
        stranger = {"Authorization": "Basic Q1A5OmFiYw=="}  # CP9:abc
        assert await knock(csms.charger_url("CP3"), additional_headers=stranger) == 401
        for _ in range(30):
            assert await knock(f"{csms.ws_url}/elsewhere", subprotocols=["chat"]) == 404
        shown = words(await aside(get, csms, f"{BASE}/charger-status"))
        assert (
            f"Set the charger's address to {csms.charger_url('CP1')}".replace("'", "&#039;")
            in shown
        )
        assert "/ocpp/CP1" in shown
        assert "bad&lt;id" in shown
        assert "gway ocpp.keys set-key CP3" in shown
        assert "--lenient-subprotocol" in shown
        assert "elsewhere" not in shown, "that was no charger"
        listed = await aside(csms.api, "csms/refused")
        assert {row["kind"] for row in listed} == {"path", "id", "subprotocol", "key"}
        async with connected(csms, "CP1"):
            shown = words(await aside(get, csms, f"{BASE}/charger-status"))
            assert "/ocpp/CP1" not in shown, "it found the way"

    asyncio.run(story())


def test_the_configuration_is_shown_without_its_password(csms):
    async def story() -> None:
        async with connected(csms, "CP1") as charger:
            await charger.boot()
            ask = {"charger_id": "CP1"}
            answer = await aside(csms.api, "csms/configuration", ask)
            assert answer["status"] == ""
            detail = f"{BASE}/charger-detail?charger_id=CP1"
            for path in (
                detail,
                detail.replace("?", ".json?"),
                f"/api{BASE}/charger?charger_id=CP1",
            ):
                page = await aside(get, csms, path)
                assert "hunter2" not in page
                assert ".json" in path or "HeartbeatInterval" in page
            assert "hunter2" not in json.dumps(answer)

    asyncio.run(story())


def test_only_who_came_is_approved_and_who_is_gone_is_forgotten_for_good(csms, eventually):
    run = [sys.executable, "-m", "gway", "ocpp.csms"]

    def gway(*more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*run, *more], cwd=csms.folder, capture_output=True, text=True, timeout=60
        )

    mistyped = gway("approve", "CPZ")
    assert mistyped.returncode != 0
    assert "no charger 'CPZ' has come yet" in mistyped.stderr
    assert "--force" in mistyped.stderr
    assert gway("approve", "CPZ", "--force").returncode == 0
    assert [row["charger_id"] for row in csms.api("csms/chargers")] == ["CPZ"]
    assert gway("forget", "CPZ").returncode == 0
    assert csms.api("csms/chargers") == []

    async def story() -> None:
        async with connected(csms, "CP1") as charger:
            await charger.boot()
            transaction_id = await charger.begin()
            there = await aside(gway, "forget", "CP1")
            assert "CP1 is connected" in there.stderr
            await charger.call(call.StopTransaction(2_000, now(), transaction_id))

    asyncio.run(story())
    eventually(lambda: gway("forget", "CP1").returncode == 0, 20)
    assert csms.api("csms/chargers") == []
    csms.stop()
    csms.start()
    assert csms.api("csms/chargers") == [], "not even after a restart"
    with closing(sqlite3.connect(csms.folder / "work" / "ocpp.sqlite")) as database:
        rows = database.execute("SELECT charger_id, state FROM transactions").fetchall()
    assert rows == [("CP1", "stopped")], "its history stays"
    wrong = gway("chargers", "--status", "nothing-like-it")
    assert wrong.returncode == 2
    assert "Available, Preparing, Charging" in wrong.stderr


# --- watch ---


def test_watch_writes_a_line_for_each_change_and_ends_with_ctrl_c(csms):
    words = [sys.executable, "-m", "gway", "ocpp.csms", "watch"]
    watch = subprocess.Popen(words, cwd=csms.folder, stdout=subprocess.PIPE, text=True)
    try:

        async def story() -> None:
            async with connected(csms, "CP1") as charger:
                await charger.boot()
                await charger.status("Available")
                assert watch.stdout is not None
                assert "CP1  Available" in await aside(until, watch.stdout, "Available")
                await charger.meter(await charger.begin(), 3_500, 7_000)
                assert "7.0 kW  2.50 kWh" in await aside(until, watch.stdout, "7.0 kW")

        asyncio.run(story())
    finally:
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=20)
    assert watch.returncode == 130


@pytest.mark.parametrize("words", [("--at", "URL", "ocpp.csms", "watch"),
                                   ("ocpp.csms", "watch", "--url", "URL")])  # fmt: skip
def test_watch_follows_the_server_that_is_named(csms, tmp_path, words):
    named = [csms.url if word == "URL" else word for word in words]
    command = [sys.executable, "-m", "gway", *named]
    env = {**os.environ, "GWAY_TOKEN": csms.token}
    away = tmp_path / "elsewhere"
    away.mkdir()
    watch = subprocess.Popen(command, cwd=away, env=env, stdout=subprocess.PIPE, text=True)
    try:

        async def story() -> None:
            async with connected(csms, "CP1") as charger:
                await charger.boot()
                assert watch.stdout is not None
                assert "CP1" in await aside(until, watch.stdout, "CP1")

        asyncio.run(story())
    finally:
        watch.send_signal(signal.SIGINT)
        watch.communicate(timeout=20)
    assert watch.returncode == 130


def until(lines: Any, part: str) -> str:
    """Read lines up to one that has a part."""
    for line in lines:
        if part in line:
            return str(line)
    raise AssertionError(f"no line has {part!r}")


def watched(csms: Any, part: bytes) -> tuple[Any, int, bytes]:
    """Start `watch` on a terminal, and give it, the terminal and what is shown up to a part."""
    words = [sys.executable, "-m", "gway", "ocpp.csms", "watch", "--url", csms.url]
    ours, theirs = pty.openpty()
    env = {**os.environ, "TERM": "xterm-256color", "COLUMNS": "160", "LINES": "24"}
    env["GWAY_TOKEN"] = csms.token
    watch = subprocess.Popen(
        words, cwd=csms.folder, stdin=theirs, stdout=theirs, stderr=theirs, env=env
    )
    os.close(theirs)
    seen = b""
    deadline = time.monotonic() + 20
    while part not in seen and time.monotonic() < deadline:
        if select.select([ours], [], [], 0.5)[0]:
            seen += os.read(ours, 65_536)
    return watch, ours, seen


def test_watch_has_a_screen_of_its_own_on_a_terminal_and_gives_it_back(csms):
    """Entering and leaving the alternate screen, and the cursor as it was."""
    watch, ours, seen = watched(csms, b"Ctrl-C")
    assert b"\x1b[?1049h" in seen
    assert b"0 chargers" in seen
    watch.send_signal(signal.SIGINT)
    with suppress(OSError):  # the other end is closed
        while select.select([ours], [], [], 10)[0]:
            seen += os.read(ours, 65_536)
    assert watch.wait(10) == 130
    assert seen.rindex(b"\x1b[?1049l") > seen.rindex(b"\x1b[?1049h")
    os.close(ours)


def test_no_charger_writes_to_the_terminal_of_who_watches(csms):
    """A fault's text holds the escape sequences for a window's title and an empty screen."""

    async def story() -> None:
        async with connected(csms, "CP1") as charger:
            await charger.boot()
            await charger.status("Faulted", "OtherError", "\x1b]0;mine\x07\x1b[2J\u009b31m\u202e")

    asyncio.run(story())
    watch, ours, seen = watched(csms, b"OtherError")
    watch.send_signal(signal.SIGINT)
    with suppress(OSError):  # the other end is closed
        while select.select([ours], [], [], 10)[0]:
            seen += os.read(ours, 65_536)
    watch.wait(10)
    os.close(ours)
    assert rb"\x1b]0;mine\x07\x1b[2J" in seen, "it is told in escaped form"
    for sequence in (b"\x1b]0;", b"\x1b[2J", "\u009b".encode(), "\u202e".encode()):
        assert sequence not in seen


def test_watch_without_a_server_says_so(workspace):
    words = [sys.executable, "-m", "gway", "ocpp.csms", "watch"]
    ended = subprocess.run(words, cwd=workspace, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "no server runs in" in ended.stderr
