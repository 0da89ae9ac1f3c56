"""Makes the pictures of the README again: `python tests/browser/make_pictures.py`.

A server of its own in a temporary workspace, simulated charge points by a recipe, and a few
charge points here that do what those do not: report a fault, go away, and deliver a day of
sessions that they kept while they had no network. What the pages show is what was received.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import websocket

if TYPE_CHECKING:
    from playwright.sync_api import Browser

DOCS = Path(__file__).resolve().parents[2] / "projects" / "ocpp" / "docs"
CHROMIUM = "/usr/bin/chromium"
ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--hide-scrollbars"]
LARGEST = 120_000  # bytes of a picture
RECIPE = """
web app setup-app:
    - ocpp.csms --home charger-status
    - ocpp.data
    - ocpp.rfid
    - ocpp.keys
    - ocpp.evcs
web server start-app --port 0 --ws-port 0
until --forever
"""
# charger, kWh of a session, seconds of it, tag; 0 sessions: it waits for a car
CARS = (
    ("DEPOT-1", 62, 2400, "ADA", 1),
    ("DEPOT-2", 11, 3600, "BOB", 1),
    ("DEPOT-3", 44, 1500, "CHEN", 1),
    ("DEPOT-5", 22, 3600, "DORA", 0),
)
FAULTY, AWAY = "DEPOT-4", "DEPOT-6"
WATCHED_S = 75  # how long sessions go on before the pictures
FAULT = {
    "connectorId": 1,
    "errorCode": "GroundFailure",
    "status": "Faulted",
    "info": "residual current 32 mA",
}


class Picture(NamedTuple):
    """A file, and the page that it shows."""

    name: str
    path: str
    scheme: Literal["light", "dark"]
    width: int = 1280
    height: int = 900


class Charger:
    """A charge point here: it sends what it is told to, and waits for each answer."""

    def __init__(self, url: str, charger_id: str) -> None:
        self._link = websocket.create_connection(
            f"{url}/ocpp/csms/{charger_id}", subprotocols=["ocpp1.6"], timeout=20
        )
        self._sent = 0
        boot = {"chargePointVendor": "Example", "chargePointModel": "Wallbox 22"}
        self.call("BootNotification", boot | {"firmwareVersion": "2.4.1"})
        self.call(
            "StatusNotification", {"connectorId": 1, "errorCode": "NoError", "status": "Available"}
        )

    def call(self, action: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send a message; give its answer."""
        self._sent += 1
        self._link.send(json.dumps([2, str(self._sent), action, payload]))
        while True:
            answer = json.loads(self._link.recv())
            if answer[0] != 2 and answer[1] == str(self._sent):
                return dict(answer[2])

    def charged(self, tag: str, began: datetime, minutes: int, power_w: int, meter_wh: int) -> int:
        """Deliver a session of before; give the register at its end."""
        when = [began + timedelta(minutes=5 * step) for step in range(minutes // 5 + 1)]
        watts = [power_w if step < 0.75 * len(when) else power_w // 3 for step in range(len(when))]
        start = {"connectorId": 1, "idTag": tag, "meterStart": meter_wh, "timestamp": _iso(began)}
        number = self.call("StartTransaction", start)["transactionId"]
        for at, power in zip(when[1:], watts, strict=False):
            meter_wh += power // 12
            sample = {"value": str(meter_wh), "measurand": "Energy.Active.Import.Register"}
            drawn = {"value": str(power), "measurand": "Power.Active.Import", "unit": "W"}
            meter = [{"timestamp": _iso(at), "sampledValue": [sample, drawn]}]
            told = {"connectorId": 1, "transactionId": number, "meterValue": meter}
            self.call("MeterValues", told)
        stop = {"transactionId": number, "meterStop": meter_wh, "timestamp": _iso(when[-1])}
        self.call("StopTransaction", stop | {"reason": "EVDisconnected", "idTag": tag})
        return meter_wh

    def stay(self) -> None:
        """Answer pings from now on, and nothing else."""
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(websocket.WebSocketException, OSError):
            self._link.settimeout(None)
            while True:
                self._link.recv()

    def close(self) -> None:
        """Go away."""
        self._link.close()


def _iso(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def server(folder: Path) -> Iterator[dict[str, Any]]:
    """Run a server in a folder; give what `work/server.json` says of it."""
    (folder / "recipes").mkdir()
    (folder / "recipes" / "pictures.gwr").write_text(RECIPE, encoding="utf-8")
    state = folder / "work" / "server.json"
    process = subprocess.Popen([sys.executable, "-m", "gway", "run", "pictures"], cwd=folder)
    try:
        _until(lambda: state.exists() and process.poll() is None)
        yield json.loads(state.read_text(encoding="utf-8"))
    finally:
        process.terminate()
        process.wait(20)


def _until(met: Callable[[], bool], limit_s: float = 30) -> None:
    deadline = time.monotonic() + limit_s
    while not met():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not so after {limit_s} s")
        time.sleep(0.2)


def gway(folder: Path, *words: str) -> Any:
    """Run a verb in the folder of the server; give its result."""
    command = [sys.executable, "-m", "gway", "--json", *words]
    done = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def furnish(folder: Path, url: str) -> list[Charger]:
    """Let a day of sessions be delivered, cars come, one charger fail and one go away."""
    chance = random.Random(6)
    now = datetime.now(UTC)
    stay = []
    for charger_id in (*(car[0] for car in CARS), FAULTY, AWAY):
        charger = Charger(url, charger_id)
        meter_wh, at = chance.randrange(10**6, 10**7), now - timedelta(hours=chance.uniform(23, 30))
        while at < now - timedelta(hours=3):
            minutes, power_w = chance.randrange(40, 150), chance.choice((7_200, 11_000, 22_000))
            tag = chance.choice(("ADA", "BOB", "CHEN", "DORA", "EVE"))
            meter_wh = charger.charged(tag, at, minutes, power_w, meter_wh)
            at += timedelta(minutes=minutes + chance.randrange(20, 240))
        if charger_id == FAULTY:
            charger.call("StatusNotification", FAULT)
            charger.stay()
            stay.append(charger)
        else:
            charger.close()
    for charger_id, kwh, seconds, tag, repeat in CARS:
        path = ("--ws-port", "0", "--cp-path", f"ocpp/csms/{charger_id}", "--rfid", tag)
        energy = ("--kwh-min", str(kwh), "--kwh-max", str(kwh), "--duration", str(seconds))
        pace = ("--interval", "2", "--repeat", str(repeat), "--pre-charge-delay", "1")
        gway(folder, "ocpp.evcs", "start", *path, *energy, *pace)
    time.sleep(WATCHED_S)
    return stay


def take(browser: Browser, url: str, picture: Picture) -> None:
    """Take a picture of the upper part of a page."""
    tab = browser.new_page(
        viewport={"width": picture.width, "height": picture.height},
        color_scheme=picture.scheme,
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    answer = tab.goto(url + picture.path)
    if answer is None or answer.status != 200:
        raise ValueError(f"{picture.path} is not there: {answer and answer.status}")
    tab.wait_for_function("() => document.querySelectorAll('[aria-busy]').length === 0")
    tab.wait_for_timeout(1_000)  # charts are drawn a moment after the page is there
    file = DOCS / f"{picture.name}.png"
    size = len(tab.screenshot(path=file))
    tab.close()
    if size > LARGEST:
        raise ValueError(f"{file.name} has {size} bytes")
    print(f"{file.name} {size} bytes")


def main() -> None:
    """Make all pictures."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name, server(Path(name)) as state:
        folder = Path(name)
        stay = furnish(folder, state["ws_url"])
        ended = gway(folder, "ocpp.data", "transactions", "--state", "stopped")
        most = max(ended, key=lambda row: row["energy_wh"])["transaction_id"]
        charger = f"/ocpp/csms/charger-detail?charger_id={CARS[0][0]}"
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
            for picture in (
                Picture("chargers-light", "/ocpp/csms/charger-status", "light", 1280, 620),
                Picture("charger-phone", charger, "dark", 390, 800),
                Picture("energy-light", "/ocpp/data/time-series?span=day", "light", 1280, 800),
                Picture(
                    "transaction-dark", f"/ocpp/data/transaction?transaction_id={most}", "dark"
                ),
            ):
                take(browser, state["url"], picture)
            browser.close()
        for each in stay:
            each.close()


if __name__ == "__main__":
    main()
