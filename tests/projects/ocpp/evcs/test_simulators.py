"""Simulators in the background: the service, its page, its API, and the terminal."""

from __future__ import annotations

import io
import json
import re
import socket
from datetime import UTC, datetime

import pytest

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.evcs.connector import SessionRow
from gway.projects.ocpp.evcs.plan import Plan
from gway.projects.ocpp.evcs.simulators import NOTES_KEPT, Simulators
from gway.projects.ocpp.evcs.terminal import Terminal, describe
from gway.projects.ocpp.evcs.verbs import simulate


@pytest.fixture
def nobody():
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]


@pytest.fixture
def simulators(gw):
    gw.serving = True
    return gw.service(Simulators)


def test_simulators_are_started_listed_and_stopped(gw, simulators, nobody):
    rows = gw.ocpp.evcs.start(ws_port=nobody, threads=2)
    assert [row["charger_id"] for row in rows] == ["CPX", "CPX2"]
    assert [row["charger_id"] for row in gw.ocpp.evcs.list()] == ["CPX", "CPX2"]
    assert gw.jobs.alive() == simulators.all()
    assert gw.ocpp.evcs.stop("CPX2") == [{"charger_id": "CPX2", "link": "stopped"}]
    gw.ocpp.evcs.stop()
    assert gw.ocpp.evcs.api_simulators() == []
    assert gw.jobs.alive() == []


def test_a_name_runs_only_once_and_an_unknown_one_is_told(gw, simulators, nobody):
    gw.ocpp.evcs.start(ws_port=nobody)
    with pytest.raises(UsageError, match="CPX is simulated already"):
        gw.ocpp.evcs.start(ws_port=nobody)
    with pytest.raises(GwayError, match="no simulator 'CPY'"):
        gw.ocpp.evcs.stop("CPY")


def test_port_zero_is_that_of_the_server_in_this_process(gw, simulators, nobody):
    gw.load("ocpp.evcs")
    with pytest.raises(UsageError, match="needs a server"):
        simulators.start(Plan(ws_port=0))
    gw.plugins.emit("gway_server_started", host="127.0.0.1", port=1, ws_port=nobody, at=gw.now())
    (runner,) = simulators.start(Plan(ws_port=0))
    assert f":{nobody}/" in runner.target.url


def test_all_are_stopped_before_the_server_closes_its_connections(gw, simulators, nobody):
    gw.load("ocpp.evcs")
    (runner,) = simulators.start(Plan(ws_port=nobody))
    gw.plugins.emit("gway_server_stopping", at=gw.now())
    assert not runner.is_alive()


def test_what_happened_lately_is_kept_but_not_for_ever(gw, simulators, nobody):
    (runner,) = simulators.start(Plan(ws_port=nobody))
    simulators._watch(runner, [f"note {number}" for number in range(NOTES_KEPT + 5)])
    assert len(simulators.notes("CPX")) == NOTES_KEPT
    assert simulators.notes("CPX")[0].endswith("note 34")


def test_the_password_comes_from_the_settings_and_shows_nowhere(
    gw, simulators, nobody, monkeypatch
):
    monkeypatch.setenv("GWAY_EVCS_PASSWORD", "hush-hush-hush-16")
    rows = gw.ocpp.evcs.start(ws_port=nobody)
    (runner,) = simulators.all()
    assert runner.target.password() == b"hush-hush-hush-16"
    page = gw.ocpp.evcs.view_simulator()
    assert "hush" not in json.dumps([rows, gw.ocpp.evcs.list()], default=str) + page


def test_the_page_shows_every_simulator_and_renews_by_events(gw, simulators, nobody):
    gw.ocpp.evcs.start(ws_port=nobody, threads=2)
    page = gw.ocpp.evcs.view_cp_simulator()
    assert re.search(r'gw-render="simulators" gw-refresh="5" gw-topic="evcs"', page)
    assert [row["charger_id"] for row in page.rows] == ["CPX", "CPX2"]
    assert 'value="ocpp/csms/CPX3"' in page  # a free name for the next one
    assert page.count('class="card simulator"') == 2


def test_cards_and_table_are_filtered_sorted_and_paged_together(gw, simulators, nobody):
    gw.ocpp.evcs.start(ws_port=nobody, threads=3)
    page = gw.ocpp.evcs.view_cp_simulator(sort="-charger_id", per_page=2)
    assert re.findall(r'id="simulator-(\w+)"', page) == ["CPX3", "CPX2"]
    assert 'class="table"' in page
    part = gw.ocpp.evcs.render_simulators(q="cpx2")
    assert re.findall(r'id="simulator-(\w+)"', part) == ["CPX2"]


def test_names_are_escaped_on_the_page(gw, simulators, nobody):
    gw.ocpp.evcs.start(ws_port=nobody, cp_path="ocpp/csms/<b>x", rfid="<i>")
    page = gw.ocpp.evcs.view_cp_simulator()
    assert "<b>x" not in page
    assert "&lt;b&gt;x" in page


def test_the_form_starts_and_the_buttons_stop(gw, simulators, nobody):
    page = gw.ocpp.evcs.view_post_start(ws_port=nobody, cp_path="ocpp/csms/NEW", password="")
    assert 'id="simulator-NEW"' in page
    assert simulators.get("NEW").target.password() is None
    assert 'id="simulator-NEW"' in gw.ocpp.evcs.view_post_start_session("NEW")
    assert 'id="simulator-NEW"' in gw.ocpp.evcs.view_post_stop_session("NEW")
    assert "No charge point is simulated" in gw.ocpp.evcs.view_post_stop("NEW")


# --- in the terminal ------------------------------------------------------------


class FakeTerminal(io.StringIO):
    def isatty(self):
        return True


def test_elsewhere_than_on_a_terminal_progress_is_plain_lines(nobody):
    out = io.StringIO()
    with Terminal(out) as terminal:
        terminal.watch(Plan(ws_port=nobody).make(0), ["boot Accepted", "evil\n\x1b[2Jline"])
    lines = out.getvalue().splitlines()
    assert lines[0] == "CPX  boot Accepted"
    assert len(lines) == 2
    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_there_is_a_bar(nobody, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    out = FakeTerminal()
    with Terminal(out) as terminal:
        terminal.watch(Plan(ws_port=nobody).make(0), ["[bold]boot Accepted"])
    assert "[bold]boot Accepted" in out.getvalue()
    assert "Connecting" in out.getvalue()


def test_the_line_tells_energy_power_battery_and_a_lost_link(world):
    site = world(duration_s=600, kwh=(20, 20)).plug().tag().run(60)
    from gway.projects.ocpp.evcs.view import look

    view = look(site.point, site.now, "ws://x/CPX", "offline", "cut")
    line = describe(view)
    assert re.match(r"Charging  \d+\.\d\d / 20\.00 kWh  \d+\.\d kW  \d+ %  \(offline, ", line)


def test_the_table_for_people_is_narrow_and_knows_its_columns():
    at = datetime(2026, 3, 1, 8, 5, 9, tzinfo=UTC)
    row = SessionRow("CPX", 1, 7, "TAG", at, at, 1.5, 3, "Local", True)
    fields = {name: getattr(row, name) for name in row.__struct_fields__}
    (shown,) = simulate.__gway_people__([fields])
    assert shown["started"] == "08:05:09Z"
    assert list(shown)[:3] == ["charger", "transaction_id", "id_tag"]
    assert fields["started"] is at


# --- as a command ------------------------------------------------------------------


def test_a_central_system_that_is_not_there_is_told_and_ctrl_c_ends_it(
    workspace, nobody, eventually
):
    import signal
    import subprocess
    import sys

    words = ["ocpp.evcs", "simulate", "--ws-port", str(nobody)]
    process = subprocess.Popen(
        [sys.executable, "-m", "gway", *words],
        cwd=workspace,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "connection refused" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in errors


def test_wrong_options_are_one_sentence(run):
    ran = run("ocpp.evcs", "simulate", "--kwh-min", "70")
    assert (ran.code, ran.stdout) == (2, "")
    assert ran.stderr == "gway: --kwh-min 70 and --kwh-max 60 are no range\n"
