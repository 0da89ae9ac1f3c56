"""A site with everything in it: all bundled projects, a day of history, chargers in all states.

What the sweep looks at. Beside it runs the remote that its proxy tells everything to.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import websockets
from ocpp.v16 import call
from websockets.sync.client import connect

from gway.resolver import install
from tests.browser.chargers import Chargers, Obedient, draw, now
from tests.browser.conftest import Served, begin
from tests.projects.ocpp.data.conftest import Site as History
from tests.projects.ocpp.data.conftest import power_sample
from tests.visitors import PASSWORD

BUNDLED = (
    "ocpp.csms --home charger-status --unknown pending",
    "ocpp.data",
    "ocpp.rfid",
    "ocpp.keys",
    "ocpp.evcs",
    "ocpp.sink",
    "ocpp.proxy",
    "web.auth",
    "web.nav",
    "garage",
)
# A project as one's first is: no template, and values of every shape.
GARAGE = '''
"""The places in a garage."""

def view_places():
    """List the places."""
    return [{"place": n, "free": n % 3 == 0, "width_m": 2.5} for n in range(1, 9)]

def view_place(number: int = 1):
    """Show one place."""
    return {"place": number, "free": True, "charger": "CPX"}

def view_rules():
    """Say what holds here."""
    return "Walk. No engine may run, and whoever is full moves on."
'''
TOKEN = "dashboard-hall"


@dataclass
class Furnished:
    """The site, its remote, its chargers, and some ids to look at."""

    site: Served
    remote: Served
    chargers: Chargers
    held: dict[str, Obedient] = field(default_factory=dict)
    simulator: str = "SIM1"
    open_transaction: int = 0
    long_transaction: int = 0

    def post(self, path: str, **values: Any) -> Any:
        """Do something by the site's API."""
        return ask(self.site, path, values)

    def get(self, path: str) -> Any:
        return ask(self.site, path)

    def end(self) -> None:
        self.chargers.close()
        for served in (self.site, self.remote):
            if served.process.poll() is None:
                served.stop()


def ask(served: Served, path: str, values: Any = None) -> Any:
    """Ask a server with its own token; with values it is told them."""
    body = None if values is None else json.dumps(values).encode()
    headers = {"Authorization": f"Bearer {served.token}", "Content-Type": "application/json"}
    request = urllib.request.Request(served.url + path, body, headers)
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{path}: {error.code} {error.read().decode()}") from None


def words_of(projects: tuple[str, ...]) -> tuple[str, ...]:
    """Give the command that sets projects up."""
    words: list[str] = []
    for project in projects:
        words += ["web.app", "setup-app", *project.split(), "-"]
    return tuple(words)


def furnish(root: Path, eventually: Callable[..., Any]) -> Furnished:
    """Start everything; full when this returns."""
    home, away = root / "site", root / "remote"
    for place in (home, away):
        (place / "projects").mkdir(parents=True)
    (home / "projects" / "garage.py").write_text(GARAGE.lstrip())
    history(home)
    account(home, "create-user", "ada", "--stdin", stdin=PASSWORD + "\n")
    account(home, "create-user", "bo", "--role", "viewer", "--stdin", stdin=PASSWORD + "\n")
    account(home, "token", TOKEN, "--expires", "30")
    remote = begin(away, words_of(("ocpp.csms --unknown accept", "ocpp.data")), "0", eventually)
    projects = tuple(
        f"{one} --remote {remote.ws_url}/ocpp/csms --web {remote.url}"
        if one == "ocpp.proxy"
        else one
        for one in BUNDLED
    )
    site = begin(home, words_of(projects), "0", eventually)
    made = Furnished(site, remote, Chargers())
    try:
        fill(made, eventually)
    except BaseException:
        made.end()
        raise
    return made


def account(home: Path, *words: str, stdin: str = "") -> None:
    command = [sys.executable, "-m", "gway", "web.auth", *words]
    subprocess.run(command, cwd=home, input=stdin, text=True, check=True, capture_output=True)


def history(home: Path) -> None:
    """Store a day and a night before the server starts."""
    before = install(None)
    past = History(home)
    past.at = datetime.now(UTC) - timedelta(hours=26)
    try:
        for _ in range(7):
            past.session("CP-GARAGE-1", 11_000, id_tag="ADA")
            past.session("CP-GARAGE-2", 7_400, connector_id=2, id_tag="04A1B2C3D4E5F6A7B8C9")
            past.advance(minutes=70)
        started = metered = past.start("CP-GARAGE-1", id_tag="ADA")
        for minute in range(1, 80):
            past.advance(minutes=1)
            metered = past.meter(started, 1_000 + 120 * minute, power_sample(7_200 + minute))
        past.stop(metered, 1_000 + 120 * 80)
    finally:
        past.gateway.close()
        install(before)


# --- what is there now ----------------------------------------------------------


def fill(made: Furnished, eventually: Callable[..., Any]) -> None:
    """Let chargers charge, fail, leave, wait and be turned away."""
    names = ("CP-GARAGE-1", "CP-GARAGE-2", "YARD-3", "YARD-4", "GONE-5")
    for name in names:
        made.post("/api/ocpp/csms/approve", charger_id=name, force=True)
        made.held[name] = made.chargers.connect(made.site.ws_url, name)
        made.chargers.do(made.held[name].boot())
    charging(made)
    made.chargers.do(made.held["CP-GARAGE-2"].status(1, "Available"))
    made.chargers.do(reporting(made.held["CP-GARAGE-1"]))
    made.chargers.do(made.held["CP-GARAGE-2"].status(2, "Unavailable"))
    broken = made.held["YARD-3"]
    made.chargers.do(broken.status(1, "Faulted", error_code="GroundFailure", info="Residual 38 mA"))
    made.chargers.do(broken.status(2, "SuspendedEV"))
    other = made.held["YARD-4"]
    made.chargers.do(other.status(1, "Preparing"))
    made.chargers.do(orphan(other))
    gone = made.held["GONE-5"]
    made.chargers.do(gone.status(1, "Available"))
    made.chargers.do(gone.leave())
    waiting = made.chargers.connect(made.site.ws_url, "NEW-6")
    made.chargers.do(waiting.boot("Twenty letters long"))
    turned_away(made.site)
    sinking(made.site)
    simulating(made, eventually)
    commanded(made)
    eventually(lambda: made.get("/api/ocpp/proxy/dead"), 20)
    made.open_transaction = made.held["CP-GARAGE-1"].transaction_id
    rows = made.get("/api/ocpp/data/transactions?state=stopped&sort=newest&charger_id=CP-GARAGE-1")
    made.long_transaction = rows["transactions"][0]["transaction_id"]


def charging(made: Furnished) -> None:
    charger = made.held["CP-GARAGE-1"]
    made.chargers.do(charger.begin("ADA"))
    for step in range(1, 8):
        made.chargers.do(draw(charger, 1_000 + 150 * step, 6_000 + 700 * step))


async def orphan(charger: Obedient) -> None:
    """Stop what never began: the remote cannot be told of it."""
    await charger.call(call.StopTransaction(5, now(), 777_777, reason="PowerLoss"))


async def reporting(charger: Obedient) -> None:
    """Report an event of security."""
    await charger.call(
        call.SecurityEventNotification("FirmwareUpdated", now(), tech_info="2.0 -> 2.1")
    )


def turned_away(site: Served) -> None:
    for path in ("ocpp/YARD-7", "ocpp/csms/.hidden"):
        with contextlib.suppress(websockets.InvalidStatus):
            connect(f"{site.ws_url}/{path}", subprotocols=["ocpp1.6"]).close()


def sinking(site: Served) -> None:
    """Say right and wrong things to the logger."""
    frames = (
        '[2,"1","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]',
        '[2,"2","Heartbeat",{}]',
        '[2,"3","Heartbeat",{"x":1}]',
        '[2,"4","Nonsense",{}]',
        '[2,"5","Authorize",{"idTag":"' + "A" * 60 + '"}]',
        '[2,"6","StatusNotification",{"connectorId":1,"errorCode":"NoError","status":"Available"}]',
    )
    with connect(f"{site.ws_url}/ocpp/sink/LOGGED-1", subprotocols=["ocpp1.6"]) as socket:
        for frame in frames:
            socket.send(frame)
            socket.recv(10)
        socket.send("this is no JSON")


def simulating(made: Furnished, eventually: Callable[..., Any]) -> None:
    port = int(made.site.ws_url.rpartition(":")[2])
    made.post("/api/ocpp/csms/approve", charger_id="SIM1", force=True)
    for name, session_s in (("SIM1", 3_600), ("SIM2", 60)):
        made.post(
            "/api/ocpp/evcs/start", ws_port=port, cp_path=f"ocpp/csms/{name}", interval=1,
            duration=session_s, pre_charge_delay=0, kwh_min=20, kwh_max=30,
        )  # fmt: skip
    eventually(lambda: made.get("/api/ocpp/csms/charger?charger_id=SIM1")["transactions"], 20)


def commanded(made: Furnished) -> None:
    """Give commands that are accepted, and one that the charger does not know."""
    made.post("/api/ocpp/csms/reset", charger_id="YARD-4", type="Soft")
    made.post("/api/ocpp/csms/send", charger_id="SIM1", action="GetConfiguration", payload={})
    made.post("/api/ocpp/csms/unlock-connector", charger_id="CP-GARAGE-1", connector_id=1)
