"""A queue of days costs disk, not memory, and is gone as fast as the remote allows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.projects.ocpp.proxy.seeds import ROOT

MIB = 1024 * 1024


@pytest.mark.flag("proxy")
def test_a_hundred_thousand_messages_cost_little_and_drain_at_full_speed(tmp_path: Path) -> None:
    module = "tests.projects.ocpp.proxy.days_offline"
    ran = subprocess.run(
        [sys.executable, "-m", module, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    cost = json.loads(ran.stdout)
    assert cost["disk"] <= 100_000_000
    assert cost["offline_rss"] <= 20 * MIB
    assert cost["draining_rss"] <= 20 * MIB
    assert cost["messages_per_second"] >= 199
    assert cost["seconds_of_cpu_per_message"] < 1 / 250
    # What a charger says is stored as fast as before: the index is one level deeper.
    assert cost["seconds_per_message_with_a_queue"] < 4 * cost["seconds_per_message_without"]
