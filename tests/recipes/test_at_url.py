"""`gway --at URL`: verbs on a running server, from a workspace that knows nothing of it."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


class Cloud:
    """The cloud recipe as a process in its own workspace."""

    def __init__(self, folder: Path, eventually: Any) -> None:
        self.folder = folder
        (folder / "projects").mkdir(parents=True)
        record = folder / "work" / "server.json"
        words = ["run", "etron/cloud", "--port", "0", "--ws-port", "0"]
        with (folder / "log.txt").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gway", *words], cwd=folder, stdout=log, stderr=log
            )
        eventually(lambda: record.exists() or self.process.poll() is not None, 20)
        assert self.process.poll() is None, (folder / "log.txt").read_text()
        self.record: dict[str, Any] = json.loads(record.read_text())
        self.url: str = self.record["url"]


@pytest.fixture
def cloud(workspace: Path, tmp_path: Path, eventually: Any, run: Any) -> Iterator[Cloud]:
    """A cloud with one session, of charger CP1."""
    one = Cloud(tmp_path / "cloud", eventually)
    port = one.record["ws_url"].rpartition(":")[2]
    words = ["--cp-path", "ocpp/csms/CP1", "--pre-charge-delay", "0", "--duration", "1"]
    ran = run("ocpp.evcs", "simulate", "--ws-port", port, *words, "--interval", "1")
    assert ran.code == 0, ran.stderr
    yield one
    one.process.send_signal(signal.SIGTERM)
    one.process.wait(15)


@pytest.fixture
def at(cloud: Cloud, run: Any) -> Callable[..., Any]:
    """Run a command with --at and the token of the server's record."""
    env = {"GWAY_TOKEN": cloud.record["token"]}
    return lambda *words, env=env: run("--at", cloud.url, *words, env=env)


VERBS = (
    ("ocpp.data", "view_charger_summary"),
    ("ocpp.data", "view_charger_details", "CP1"),
    ("ocpp.data", "transactions", "CP1", "--limit", "3"),
    ("ocpp.data", "errors"),
    ("ocpp.rfid", "list-tags"),
)


def test_a_verb_shows_the_same_from_afar(at: Any, cloud: Cloud, run: Any) -> None:
    assert run("ocpp.rfid", "put-tag", "AA", cwd=cloud.folder).code == 0
    for verb in VERBS:
        for form in ((), ("--json",), ("--csv",)):
            near, far = run(*verb, *form, cwd=cloud.folder), at(*verb, *form)
            if near.stdout != far.stdout:  # when the charger was last seen is stored a bit later
                near, far = run(*verb, *form, cwd=cloud.folder), at(*verb, *form)
            assert (far.code, far.stderr) == (near.code, near.stderr)
            assert far.code == 0
            assert far.stdout == near.stdout


def test_a_command_goes_to_a_charger_only_with_the_token(at: Any, cloud: Cloud) -> None:
    told = at("ocpp.csms", "reset", "CP1", "--type", "Soft")
    assert told.code == 0, told.stderr
    assert "Reset" in told.stdout
    without = at("ocpp.csms", "reset", "CP1", "--type", "Soft", env={})
    assert without.code == 1
    assert "(401)" in without.stderr
    assert "--token-file" in without.stderr
    wrong = at("ocpp.csms", "chargers", env={"GWAY_TOKEN": "wrong"})
    assert (wrong.code, "(401)" in wrong.stderr) == (1, True)
    nobody = at("ocpp.csms", "charger", "CP9")
    assert (nobody.code, "(404)" in nobody.stderr) == (1, True)
    assert at("ocpp.csms", "nothing").code == 2


def test_a_token_may_do_what_its_role_may(at: Any, cloud: Cloud, run: Any) -> None:
    made = run("web.auth", "token", "laptop", "--role", "viewer", "--json", cwd=cloud.folder)
    assert made.code == 0, made.stderr
    env = {"GWAY_TOKEN": json.loads(made.stdout)["token"]}
    assert "CP1" in at("ocpp.csms", "chargers", env=env).stdout
    refused = at("ocpp.csms", "reset", "CP1", "--type", "Soft", env=env)
    assert refused.code == 1
    assert "(403)" in refused.stderr
    assert "--role ROLE" in refused.stderr


def test_a_person_types_the_token_unseen(cloud: Cloud, workspace: Path) -> None:
    """The token is asked for on the terminal when the server wants one."""
    main, terminal = pty.openpty()
    words = ["--at", cloud.url, "ocpp.csms", "approve", "CP1", "--json"]
    env = {key: value for key, value in os.environ.items() if not key.startswith("GWAY_")}
    process = subprocess.Popen(
        [sys.executable, "-m", "gway", *words],
        cwd=workspace,
        env=env,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,
    )
    os.close(terminal)
    shown = b""
    while b"Token of" not in shown:
        assert select.select([main], [], [], 15)[0], shown
        shown += os.read(main, 1000)
    os.write(main, cloud.record["token"].encode() + b"\n")
    out, _ = process.communicate(timeout=15)
    while select.select([main], [], [], 0)[0]:
        try:
            shown += os.read(main, 1000)
        except OSError:  # the other end is closed
            break
    os.close(main)
    assert (process.returncode, json.loads(out)["charger_id"]) == (0, "CP1")
    assert cloud.record["token"] not in shown.decode()
