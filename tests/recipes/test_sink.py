"""`gway run recipes/etron/sink.gwr` and `gway ocpp.sink listen`, as a developer runs them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
RECIPE = ROOT / "recipes" / "etron" / "sink.gwr"
SHORT = ("--duration", "1", "--interval", "1", "--pre-charge-delay", "0", "--json")

Start = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture
def start(workspace: Path, eventually: Any) -> Iterator[Start]:
    """Run a `gway` command that serves, in a folder of the workspace."""
    started: list[subprocess.Popen[bytes]] = []

    def call(name: str, *words: str) -> subprocess.Popen[bytes]:
        folder = workspace / name
        (folder / "work").mkdir(parents=True)
        with (folder / "out.txt").open("wb") as out, (folder / "err.txt").open("wb") as err:
            process = subprocess.Popen(
                [sys.executable, "-m", "gway", *words],
                cwd=folder,
                env={
                    key: value for key, value in os.environ.items() if not key.startswith("GWAY_")
                },
                stdout=out,
                stderr=err,
            )
        started.append(process)
        record = folder / "work" / "server.json"
        eventually(lambda: record.exists() or process.poll() is not None, timeout_s=20)
        assert process.poll() is None, (folder / "err.txt").read_text()
        return process

    yield call
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def ws_port(folder: Path) -> str:
    url: str = json.loads((folder / "work" / "server.json").read_text())["ws_url"]
    return url.rpartition(":")[2]


def test_the_recipe_logs_a_simulated_session(
    start: Start, run, workspace: Path, eventually
) -> None:
    words = ("--port", "0", "--ws_port", "0", "--to", "lab.jsonl", "--max-mb", "8", "--redact-tags")
    process = start("sink", "run", str(RECIPE), *words)
    folder = workspace / "sink"
    eventually(lambda: "/ocpp/sink/messages" in (folder / "err.txt").read_text())
    ran = run("ocpp.evcs", "simulate", "--ws-port", ws_port(folder), "--cp-path", "LAB", *SHORT)
    assert ran.code == 0, ran.stderr
    log = folder / "work" / "ocpp" / "sink" / "lab.jsonl"
    eventually(lambda: '"close"' in log.read_text())
    assert "FFFFFFFF" not in log.read_text(), "the tag of the simulator"
    good = run("ocpp.sink", "validate", "lab.jsonl", cwd=folder)
    assert good.code == 0, good.stdout
    assert "no violation" in good.stderr
    stats = json.loads(run("ocpp.sink", "stats", "lab.jsonl", "--json", cwd=folder).stdout)
    assert {row["charger"] for row in stats} == {"LAB", "(all)"}
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 130


def test_listen_passes_on_and_shows_messages_as_they_come(
    start: Start, run, workspace: Path, eventually
) -> None:
    start("back", "run", str(RECIPE), "--port", "0", "--ws_port", "0")
    url = f"ws://127.0.0.1:{ws_port(workspace / 'back')}/lab"
    words = ("--port", "0", "--ws-port", "0", "--forward", url, "--to", "front.jsonl")
    process = start("front", "ocpp.sink", "listen", *words)
    port = ws_port(workspace / "front")
    assert run("ocpp.evcs", "simulate", "--ws-port", port, "--cp-path", "LAB", *SHORT).code == 0
    shown = workspace / "front" / "out.txt"
    eventually(lambda: "disconnected" in shown.read_text())
    lines = shown.read_text().splitlines()
    assert any(" -> StartTransaction answer " in line for line in lines)
    logs = [
        workspace / name / "work" / "ocpp" / "sink" / file
        for name, file in (("front", "front.jsonl"), ("back", "sink.jsonl"))
    ]
    eventually(lambda: '"close"' in logs[1].read_text())
    both = [[json.loads(line)["frame"] for line in log.read_text().splitlines()] for log in logs]
    front, back = ([frame for frame in frames if frame] for frames in both)
    assert front == back
    process.terminate()
    assert process.wait(15) == 143
    assert "Traceback" not in (workspace / "front" / "err.txt").read_text()


def test_a_wrong_address_to_pass_on_to_is_said_at_once(run) -> None:
    for wrong in ("http://x", "ws://", "ws://user:pw@host/", "nonsense"):
        ran = run("run", str(RECIPE), "--port", "0", "--ws_port", "0", "--forward", wrong)
        assert ran.code == 2, ran.stderr
        assert "Traceback" not in ran.stderr


def test_options_that_cannot_be_kept_are_said_at_once(run, workspace: Path) -> None:
    (workspace / "no.pem").write_text("no certificate")
    for wrong in (("--ca", "nowhere.pem"), ("--ca", "no.pem"), ("--keep", "-1")):
        ran = run("web.app", "setup-app", "ocpp.sink", *wrong)
        assert ran.code == 2, ran.stderr
        assert "Traceback" not in ran.stderr
