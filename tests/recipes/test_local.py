"""`gway run recipes/etron/local.gwr`, as a newcomer runs it: pages and a charger charging."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "etron" / "local.gwr"


class Site:
    """The recipe as a process, and its web."""

    def __init__(self, workspace: Path, eventually: Any, **values: Any) -> None:
        self.workspace = workspace
        values = {"port": 0, "ws_port": 0, **values}
        options = [word for name, value in values.items() for word in (f"--{name}", str(value))]
        env = {key: value for key, value in os.environ.items() if not key.startswith("GWAY_")}
        self.errors = workspace / "stderr.txt"
        with self.errors.open("w") as errors, (workspace / "stdout.txt").open("w") as out:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gway", "run", str(RECIPE), *options],
                cwd=workspace,
                env=env,
                stdout=out,
                stderr=errors,
            )
        record = workspace / "work" / "server.json"
        eventually(lambda: record.exists() or self.process.poll() is not None, timeout_s=20)
        assert self.process.poll() is None, self.errors.read_text()
        self.server: dict[str, Any] = json.loads(record.read_text())

    @property
    def ws_port(self) -> str:
        return str(self.server["ws_url"].rpartition(":")[2])

    def get(self, path: str) -> str:
        return self._open(Request(self.server["url"] + path))

    def json(self, path: str) -> Any:
        return json.loads(self.get(path))

    def post(self, path: str, values: dict[str, Any]) -> Any:
        headers = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {self.server['token']}",
        }
        request = Request(self.server["url"] + path, json.dumps(values).encode(), headers)
        return json.loads(self._open(request))

    def _open(self, request: Request) -> str:
        with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
            text: str = answer.read().decode()
            return text

    def charger(self, charger_id: str = "CPX") -> dict[str, Any]:
        """The charger as the list shows it; empty while it is unknown."""
        rows = self.json("/api/ocpp/csms/chargers")
        return next((row for row in rows if row["charger_id"] == charger_id), {})

    def session(self) -> dict[str, Any]:
        """The open transaction of CPX; empty when there is none."""
        return next(iter(self.charger().get("transactions", ())), {})

    def transactions(self, charger_id: str = "CPX") -> list[dict[str, Any]]:
        found = self.json(f"/api/ocpp/data/transactions?charger_id={charger_id}")
        rows: list[dict[str, Any]] = found["transactions"]
        return rows

    def end(self, number: int = signal.SIGINT) -> int:
        """Stop the process by a signal and give its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(15)


@pytest.fixture
def site(workspace: Path, eventually: Any) -> Iterator[Callable[..., Site]]:
    started: list[Site] = []

    def start(**values: Any) -> Site:
        started.append(Site(workspace, eventually, **values))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait(10)


def test_the_recipe_can_run_wherever_one_stands(run):
    for name in ("etron/local", "recipes/etron/local.gwr", str(RECIPE)):
        assert run("run", name, "--check").code == 0


def test_a_car_charges_by_itself_and_is_stopped_from_the_outside(site, eventually, run):
    local = site(duration=60, interval=1)
    eventually(lambda: "/ocpp/csms/charger-status" in local.errors.read_text())
    eventually(lambda: local.session().get("energy_wh"), timeout_s=20)
    first = local.session()
    eventually(lambda: local.session()["energy_wh"] > first["energy_wh"], timeout_s=10)
    assert local.charger()["status"] == "Charging"
    assert "CPX" in local.get("/ocpp/csms/charger-status")
    assert 'id="simulator-CPX"' in local.get("/ocpp/evcs/cp-simulator")

    stop = {"charger_id": "CPX", "transaction_id": first["transaction_id"]}
    local.post("/api/ocpp/csms/remote_stop", stop)
    eventually(lambda: local.transactions()[0]["state"] == "stopped", timeout_s=10)
    (row,) = local.transactions()
    assert row["reason"] == "Remote"
    assert row["energy_wh"] == row["meter_stop_wh"] - row["meter_start_wh"] > 0
    records = local.workspace / "work" / "ocpp" / "records" / "CPX"
    eventually(lambda: list(records.glob("1_*.dat")))
    summary = run("ocpp.data.view_charger_summary", "--json")
    assert "CPX" in summary.stdout, summary.stderr
    assert local.end() == 130
    assert not (local.workspace / "work" / "server.json").exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ending_the_recipe_ends_the_session_in_good_order(site, eventually, run, number, code):
    local = site(duration=600, interval=1)
    eventually(lambda: local.session(), timeout_s=20)
    assert local.end(number) == code
    assert "Traceback" not in local.errors.read_text()
    ran = run("ocpp.data", "api_transactions", "--charger-id", "CPX", "--json")
    (row,) = json.loads(ran.stdout)["transactions"]
    assert (row["state"], row["reason"]) == ("stopped", "Local")


def test_simulators_from_the_command_line_join_it(site, eventually, run):
    local = site(repeat=0)
    words = ["--ws-port", local.ws_port, "--cp-path", "ocpp/csms/SIM", "--threads", "2"]
    short = ["--duration", "1", "--interval", "1", "--kwh-min", "40", "--kwh-max", "70"]
    ran = run("ocpp.evcs", "simulate", *words, *short, "--pre-charge-delay", "0", "--json")
    rows = json.loads(ran.stdout)
    assert [row["charger"] for row in rows] == ["SIM", "SIM2"]
    for row in rows:
        (stored,) = local.transactions(row["charger"])
        assert stored["energy_wh"] == round(row["energy_kwh"] * 1000)
        assert 40 <= row["energy_kwh"] <= 70
        assert stored["transaction_id"] == row["transaction_id"]
    assert len({row["transaction_id"] for row in rows}) == 2

    started = run("ocpp.evcs", "start", "--ws-port", "0", "--cp-path", "ocpp/csms/LATER", "--json")
    assert json.loads(started.stdout)[0]["charger_id"] == "LATER", started.stderr
    eventually(lambda: local.charger("LATER").get("connected"))
    assert "LATER" in run("ocpp.evcs", "list").stdout
    assert run("ocpp.evcs", "stop", "LATER").code == 0
    eventually(lambda: not local.charger("LATER")["connected"])
