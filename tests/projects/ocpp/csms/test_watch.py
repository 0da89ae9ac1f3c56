"""The table of `watch`: what a narrow screen must not lose."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import Any

import pytest

from gway import gw
from gway.projects.ocpp.csms.terminal import ago
from gway.projects.ocpp.csms.watch import Screen


def row(charger_id: str, status: str, **more: Any) -> dict[str, Any]:
    known = {
        "charger_id": charger_id,
        "status": status,
        "connectors": {"1": status, "2": status},
        "power_w": 107_000.0,
        "energy_wh": 44_000,
        "duration_s": 3_700.0,
        "last_seen_at": gw.now(),
        "faults": [],
    }
    return {**known, **more}


def drawn(monkeypatch: pytest.MonkeyPatch, width: int, *rows: dict[str, Any]) -> list[str]:
    """Give the lines of the screen from the table's heading on."""
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("LINES", "24")
    out = io.StringIO()
    screen = Screen("http://127.0.0.1:8888", out)
    screen._console.print(screen.drawn(rows, ""))
    return out.getvalue().splitlines()[2:]


FAULT = {"connector_id": 1, "error_code": "GroundFailure", "info": "residual current 32 mA"}


def rows() -> tuple[dict[str, Any], ...]:
    return (
        row("LONG-" + "X" * 43, "Charging"),
        row("DEPOT-NORTH-07", "SuspendedEVSE"),
        row("CP3", "Faulted", faults=[FAULT]),
    )


def test_on_80_columns_ids_and_faults_are_cut_and_no_status(
    monkeypatch: pytest.MonkeyPatch, gw: Any
) -> None:
    head, *lines = drawn(monkeypatch, 80, *rows())
    assert all(len(line) <= 80 for line in (head, *lines))
    assert head.split() == [
        "charger", "id", "status", "connectors", "power", "energy", "duration", "last", "seen",
    ]  # fmt: skip
    for line, status in zip(lines, ("Charging", "SuspendedEVSE", "Faulted"), strict=False):
        assert f" {status} " in line
        assert " 107.0 kW 44.00 kWh " in line
        assert line.rstrip().endswith(" ago")
    assert lines[0].startswith("LONG-XXXX")
    assert lines[1].startswith("DEPOT-NORTH-07 ")
    assert " 1 GroundF\N{HORIZONTAL ELLIPSIS} " in lines[2]


def test_on_a_wide_screen_nothing_is_cut(monkeypatch: pytest.MonkeyPatch, gw: Any) -> None:
    lines = drawn(monkeypatch, 200, *rows())
    assert "\N{HORIZONTAL ELLIPSIS}" not in "".join(lines)
    assert "LONG-" + "X" * 43 in lines[1]
    assert "1 GroundFailure residual current 32 mA" in lines[3]


def test_on_a_very_narrow_screen_status_and_silence_stay(
    monkeypatch: pytest.MonkeyPatch, gw: Any
) -> None:
    head, *lines = drawn(monkeypatch, 50, *rows())
    assert head.split() == ["charger", "id", "status", "connectors", "last", "seen"]
    assert " SuspendedEVSE " in lines[1]
    assert lines[1].rstrip().endswith(" ago")


def test_how_long_ago_something_was_is_told_in_one_unit(gw: Any) -> None:
    told = [ago(gw.now() - timedelta(seconds=each)) for each in (7, 654, 7_500, 200_000)]
    assert told == ["7 s ago", "10 min ago", "2 h ago", "2 d ago"]
