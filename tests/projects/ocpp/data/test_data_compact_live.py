"""Thinning beside a server that stores: both go on, and a kill loses nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.request import urlopen

import pytest

from .conftest import START, Site
from .test_data_compact import long_session

SERVE = "web app setup-app ocpp.data - web server start-app --port 0 --ws-port 0"
COMPACT = ("ocpp.data", "compact", "--before", "2024-06-30", "--keep-every", "0")


@pytest.fixture
def stored(site: Site) -> Site:
    """Forty sessions of an hour, in a workspace that nobody has open."""
    for number in range(40):
        site.at = START + timedelta(hours=2 * number)
        long_session(site, f"CP{number % 4}")
    site.gateway.close()
    return site


@pytest.fixture
def url(stored: Site, eventually: Any) -> Iterator[str]:
    root = stored.gateway.workspace.root
    server = subprocess.Popen([sys.executable, "-m", "gway", *SERVE.split()], cwd=root)
    recorded = root / "work" / "server.json"
    try:
        eventually(recorded.exists, timeout_s=20)
        yield json.loads(recorded.read_text())["url"]
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(10) in (0, 143)


def get(url: str) -> Any:
    with urlopen(url, timeout=10) as answer:
        return json.load(answer)


@pytest.mark.flag("durability")
def test_a_running_server_shows_what_was_thinned_beside_it(
    stored: Site, url: str, run: Any
) -> None:
    address = f"{url}/api/ocpp/data/transaction?transaction_id=7"
    before = get(address)
    done = run(*COMPACT, "--json")
    assert done.code == 0, done.stderr
    rows = {row["what"]: row["count"] for row in json.loads(done.stdout)}
    assert rows["MeterValues messages of ended transactions"] == 40 * 56
    after = get(address)
    assert (len(before["samples"]), len(after["samples"])) == (118, 6)
    assert after["energy_wh"] == before["energy_wh"] == 6_000
    with urlopen(f"{url}/readyz", timeout=10) as answer:
        assert answer.status == 200
    refused = run(*COMPACT, "--vacuum")
    assert refused.code == 1
    assert "a server runs here" in refused.stderr


@pytest.mark.flag("durability")
def test_a_kill_in_the_middle_loses_nothing(stored: Site, run: Any, eventually: Any) -> None:
    root = stored.gateway.workspace.root
    words = [sys.executable, "-m", "gway", *COMPACT]
    child = subprocess.Popen(words, cwd=root, stdout=subprocess.DEVNULL)
    import sqlite3

    reader = sqlite3.connect(root / "work" / "ocpp.sqlite")

    def begun() -> bool:
        return bool(reader.execute("SELECT count(*) FROM thinned").fetchone()[0])

    eventually(begun, timeout_s=20)
    child.kill()
    child.wait(10)
    energy = reader.execute("SELECT sum(energy_wh) FROM transactions").fetchone()
    reader.close()
    assert energy == (40 * 6_000,)
    for words_ in (("ocpp.data", "check"), COMPACT, ("ocpp.data", "check")):
        done = run(*words_)
        assert done.code == 0, done.stderr
