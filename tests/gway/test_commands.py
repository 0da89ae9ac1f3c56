from __future__ import annotations

import json
import signal
import subprocess
import sys
import time

import pytest

from gway.errors import GwayError


def test_projects_lists_those_with_functions(cli, hello, write):
    write("projects/energy/meter.py", '"""Read meters."""\ndef read(): ...')
    write("projects/energy/units.py", '"""No functions here."""\nWH = 1')
    rows = {row["project"]: row for row in json.loads(cli("projects", "--json").stdout)}
    assert rows["hello"] == {
        "project": "hello",
        "summary": "Greetings",
        "file": "projects/hello.py",
    }
    assert "energy.meter" in rows
    assert "energy.units" not in rows
    assert "ocpp.facts" not in rows


def test_settings_show_value_and_source_but_no_secret(cli, write, monkeypatch):
    monkeypatch.setenv("GWAY_TOKEN", "hunter2")
    write(".env", "GWAY_LOG_KEEP=2\n")
    done = cli("settings", "--json")
    rows = {row["setting"]: (row["value"], row["source"]) for row in json.loads(done.stdout)}
    assert rows["GWAY_TOKEN"] == ("***", "environment")
    assert rows["GWAY_LOG_KEEP"] == (2, ".env")
    assert rows["GWAY_LOG_LEVEL"] == ("INFO", "default")
    assert "hunter2" not in done.stdout


def test_settings_of_a_project_that_cannot_be_imported_are_missed_aloud(cli, write):
    write("projects/bad.py", "import nothing_like_this\nSETTINGS = ()\n")
    done = cli("settings")
    assert done.code == 0
    assert "the settings of gway.projects.bad cannot be read" in done.stderr


# --- until and every ---------------------------------------------------------


def test_until_needs_to_know_what_for(cli):
    done = cli("until")
    assert (done.code, "--forever" in done.stderr) == (2, True)


def test_until_waits_for_a_file_to_change(cli, workspace, gw, write):
    path = write("flag.txt", "old")
    write(
        "projects/touch.py",
        """
        from pathlib import Path
        from gway import gw

        def later():
            gw.jobs.spawn(change)

        def change():
            while not gw.jobs.released:
                gw.jobs.wait(0.001)
            Path("flag.txt").write_text("new and longer")
        """,
    )
    begun = time.monotonic()
    assert cli("touch", "later", "-", "until", "--file", "flag.txt", "--seconds", "60").code == 0
    assert path.read_text() == "new and longer"
    assert time.monotonic() - begun < 30


def test_until_ends_after_its_time(cli, clock):
    assert cli("until", "--seconds", "0.01").code == 0
    assert cli("until", "--minutes", "0.0001").code == 0


@pytest.mark.parametrize(("fails", "code"), [(False, 0), (True, 1)])
def test_until_done_waits_for_background_work_and_tells_its_failure(cli, write, fails, code):
    write(
        "projects/oven.py",
        f"""
        from gway import gw

        def bake():
            gw.jobs.spawn(work)

        def work():
            print("baked")
            if {fails}:
                raise OSError("burnt")
        """,
    )
    done = cli("oven", "bake", "-", "until", "--done")
    assert (done.code, done.stdout) == (code, "baked\n")
    assert ("background work failed: burnt" in done.stderr) == fails


def test_every_repeats_a_verb_also_after_a_failure(cli, write, workspace):
    write(
        "projects/clock.py",
        """
        count = []

        def tick():
            count.append(1)
            if len(count) == 2:
                raise OSError("stuck")
            return len(count)
        """,
    )
    done = cli("every", "--seconds", "0.01", "--times", "3", "clock", "tick")
    assert done.code == 0
    assert done.stdout == "1\n3\n"
    assert "clock tick failed" in done.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["clock"], "needs --seconds above 0"),
        (["--seconds", "0", "projects"], "needs --seconds above 0"),
        (["--seconds", "x", "projects"], "is not a number"),
        (["--second", "5", "projects"], "has no option '--second'"),
        (["--seconds", "5", "nothing"], "no project or verb 'nothing'"),
        (["--seconds"], "--seconds needs a value"),
    ],
)
def test_every_that_cannot_be_run_is_an_error(cli, words, message):
    done = cli("every", *words)
    assert (done.code, message in done.stderr) == (2, True), done.stderr


def test_every_goes_on_until_ctrl_c(workspace):
    command = [sys.executable, "-m", "gway", "every", "--seconds", "0.01", "projects", "--csv"]
    with subprocess.Popen(command, cwd=workspace, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            while not process.stdout.readline().startswith("project,"):
                assert process.poll() is None
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 130


def test_jobs_that_fail_keep_their_error(gw, caplog):
    def work():
        raise GwayError("no")

    job = gw.jobs.spawn(work, name="worker")
    job.join(5)
    assert not job.is_alive()
    assert [str(error) for error in gw.jobs.errors()] == ["no"]
    assert "worker failed" in caplog.text


def test_closing_asks_jobs_to_stop(gw, eventually):
    job = gw.jobs.spawn(gw.jobs.wait)
    assert gw.jobs.alive() == [job]
    gw.close()
    job.join(5)
    assert gw.jobs.alive() == []


# --- gway test ---------------------------------------------------------------

SUITE = """
import os
import pytest

def test_plain(): ...

@pytest.mark.flag("slow")
def test_flagged():
    assert os.environ["GWAY_TEST_FLAGS"] == "slow,other"
"""


@pytest.fixture
def suite(write, request):
    own = request.config.rootpath / "tests" / "conftest.py"
    write("tests/conftest.py", own.read_text())
    write("setup.cfg", "[tool:pytest]\nmarkers =\n    flag(name): x\n")
    return write("tests/test_some.py", SUITE)


def test_flagged_tests_run_only_when_asked_for_and_say_so(run, suite):
    done = run("test", "-q", "-p", "no:cacheprovider")
    assert done.code == 0
    assert "1 passed, 1 deselected" in done.stdout
    assert "1 tests need: gway test --flags slow" in done.stdout
    done = run("test", "--flags", "slow,other", "-q", "-p", "no:cacheprovider")
    assert (done.code, "2 passed" in done.stdout) == (0, True)


def test_failing_tests_give_one(run, suite):
    done = run("test", "--flags", "slow", "-q", "-p", "no:cacheprovider")
    assert (done.code, "1 failed, 1 passed" in done.stdout) == (1, True)


def test_without_tests_it_says_where_to_go(cli):
    done = cli("test")
    assert (done.code, "has no tests/" in done.stderr) == (1, True)
