from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gway.web import running

CHAIN = '''
from __future__ import annotations
from collections.abc import Iterator

def find_awg(amps: int):
    """Find a gauge."""
    return {"size": 8, "amps": amps}

def order(what: str = "nothing", *, awg: dict[str, object] | None = None):
    """Order it."""
    return f"{what}: {awg['size'] if awg else 'no gauge'}"

def list_rows() -> Iterator[dict[str, int]]:
    yield {"n": 1}
    yield {"n": 2}

async def later(x: int):
    return x + 1

async def several():
    for number in range(2):
        yield number

def locked():
    raise PermissionError(13, "Permission denied", "/no/way")

def broken():
    raise ZeroDivisionError("no tea")

def quit():
    raise KeyboardInterrupt
'''


@pytest.fixture
def shop(write):
    return write("projects/shop/kitchen.py", CHAIN)


@pytest.mark.parametrize(
    "words",
    [
        ("shop.kitchen", "order", "tea"),
        ("shop.kitchen.order", "tea"),
        ("shop", "kitchen", "order", "--what", "tea"),
        ("--debug", "shop", "kitchen.order", "--what=tea"),
    ],
)
def test_all_spellings_reach_the_verb(cli, shop, words):
    assert cli(*words) == (0, "tea: no gauge\n", "")


def test_the_newcomers_project_is_a_verb(cli, hello):
    assert (
        cli("hello", "greet", "--name", "Ada", "--times", "2").stdout == "Hello Ada! Hello Ada!\n"
    )


def test_a_verb_fills_the_parameter_of_its_noun(cli, shop):
    done = cli("shop.kitchen", "find-awg", "40", "-", "shop.kitchen", "order", "wire")
    assert done == (0, "wire: 8\n", "")


def test_a_sigil_takes_from_a_result(cli, shop):
    done = cli("shop.kitchen", "find-awg", "40", ";", "shop.kitchen", "order", "[awg.amps] A")
    assert done.stdout == "40 A: 8\n"


@pytest.mark.parametrize("separator", ["-", ";"])
def test_a_chain_with_a_hole_is_an_error(cli, shop, separator):
    assert cli("shop.kitchen", "find-awg", "4", separator).code == 2


def test_the_last_result_is_shown_in_the_form_asked_for_before_or_after_the_verb(cli, shop):
    for words in (
        ("--json", "shop.kitchen", "find-awg", "4"),
        ("shop.kitchen", "find-awg", "4", "--json"),
    ):
        assert json.loads(cli(*words).stdout) == {"size": 8, "amps": 4}


def test_a_verb_may_shape_its_result_for_people_but_not_for_programs(cli, write):
    write(
        "projects/scale.py",
        """
        def weigh(): return {"g": 1500}

        weigh.__gway_people__ = lambda result: {"weight": f"{result['g'] / 1000} kg"}
        """,
    )
    assert cli("scale", "weigh").stdout == "weight  1.5 kg\n"
    assert json.loads(cli("scale", "weigh", "--json").stdout) == {"g": 1500}


def test_generators_and_coroutines_are_verbs_too(cli, shop):
    assert cli("shop.kitchen", "list-rows", "--csv").stdout == "n\n1\n2\n"
    assert cli("shop.kitchen", "later", "1").stdout == "2\n"
    assert json.loads(cli("shop.kitchen", "several", "--json").stdout) == [0, 1]


@pytest.mark.parametrize(
    ("words", "code", "message", "hint"),
    [
        (["shopp"], 2, "no project or verb 'shopp'", "'shop'"),
        (["shop", "kitche", "x"], 2, "no project 'kitche' in shop", "'kitchen'"),
        (["shop.kitchen", "ordr"], 2, "no verb 'ordr' in shop.kitchen", "'order'"),
        (["shop.kitchen.order.more"], 2, "no verb 'more' in shop.kitchen", "'order'"),
        (["shop.kitchen"], 2, "a verb of shop.kitchen is missing", "gway help shop.kitchen"),
        (["shop.kitchen", "order", "--wat", "x"], 2, "has no option '--wat'", "'--what'"),
        (["shop.kitchen", "find-awg", "x"], 2, "AMPS: 'x' is not an int", ""),
        (["shop.kitchen", "find-awg"], 2, "'shop.kitchen find-awg' needs AMPS", "usage: gway"),
        (["shop.kitchen", "order", "[none]"], 2, "nothing is known for [none]", "default"),
        (["shop.kitchen", "broken"], 1, "ZeroDivisionError: no tea", "not foreseen; --debug"),
        (["shop.kitchen", "locked"], 1, "/no/way: Permission denied", "--debug shows"),
        (["--jsn", "x"], 2, "gway has no option '--jsn'", "'--json'"),
        (["--at"], 2, "--at needs a value", "--help"),
        (
            ["--at", "http://127.0.0.1:1", "settings"],
            2,
            "'settings' is about this machine and does not run at http://127.0.0.1:1",
            "leave --at out",
        ),
        (["--set", "x", "projects"], 2, "is not NAME=VALUE", "settings"),
        (["--set", "LOG_KEP=1", "projects"], 2, "no setting 'LOG_KEP'", "LOG_KEEP"),
        (["local.gwr"], 2, "no project or verb 'local'", ""),
    ],
)
def test_an_error_is_a_sentence_a_hint_and_a_code(cli, shop, words, code, message, hint):
    done = cli(*words)
    first, *rest = done.stderr.splitlines()
    assert (done.code, done.stdout) == (code, "")
    assert first.startswith("gway: ")
    assert message in first
    assert hint in "".join(rest)
    assert "Traceback" not in done.stderr


def test_debug_shows_where_it_happened(cli, shop):
    for words in (("--debug", "shop.kitchen", "broken"), ("shop.kitchen", "broken", "--debug")):
        done = cli(*words)
        assert "Traceback" in done.stderr
        assert "kitchen.py" in done.stderr


def test_an_interrupt_ends_with_its_code(cli, shop):
    assert cli("shop.kitchen", "quit").code == 130


def test_an_error_message_stays_on_one_line(cli, write):
    write("projects/bad.py", "def go(): raise ValueError('a\\nb\\x1b[31m')")
    assert cli("bad", "go").stderr.splitlines()[0] == "gway: ValueError: a\\nb\\x1b[31m"


def test_a_project_that_cannot_be_imported_is_a_sentence(cli, write):
    write("projects/bad.py", "import nothing_like_this\ndef go(): ...")
    done = cli("bad", "go")
    assert (done.code, "nothing_like_this" in done.stderr) == (1, True)


def test_settings_may_be_set_for_one_run(cli, write):
    write(
        "projects/shop.py",
        """
        from gway import Setting, gw
        SETTINGS = (Setting("SHOP_SIZE", 9, int, "how big"),)
        def size(): return gw.settings.get("SHOP_SIZE")
        """,
    )
    assert cli("shop", "size").stdout == "9\n"
    assert cli("--set", "SHOP_SIZE=4", "shop", "size").stdout == "4\n"
    rows = json.loads(cli("--set", "SHOP_SIZE=4", "settings", "--json").stdout)
    assert {"setting": "GWAY_SHOP_SIZE", "value": 4, "source": "flag", "help": "how big"} in rows


def test_another_workspace_may_be_named(cli, tmp_path, hello):
    other = tmp_path / "other"
    (other / "projects").mkdir(parents=True)
    (other / "projects" / "there.py").write_text("def where(): return 'there'")
    assert cli("--workspace", str(other), "there", "where").stdout == "there\n"
    assert cli("--workspace", str(other), "hello", "greet").code == 2
    assert cli("-w", str(other / "none"), "there", "where").code == 1


def test_nothing_is_written_by_a_verb_that_only_reads(cli, hello, workspace):
    cli("hello", "greet")
    assert not (workspace / "work").exists()


def test_without_a_verb_there_is_help(cli):
    done = cli()
    assert done.code == 0
    assert "Usage" in done.stdout
    assert cli("--version").stdout.startswith("gway ")


# --- as a process of its own -------------------------------------------------


def start(workspace: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "gway", *words],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


WAITER = """
from gway import gw

class Till:
    def __init__(self, gateway): ...
    def close(self): print("closed", flush=True)

def stand():
    gw.service(Till)
    print("ready", flush=True)
    {wait}

def serve():
    gw.service(Till)
    gw.serving = True
    print("ready", flush=True)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("served", ["", "__serves__ = ('stand', 'serve')\n"])
@pytest.mark.parametrize("verb", ["stand", "serve"])
def test_a_signal_closes_services_and_gives_its_code(workspace, write, number, code, served, verb):
    write(
        "projects/hall.py",
        served + WAITER.format(wait="import threading; threading.Event().wait(30)"),
    )
    process = start(workspace, "hall", verb)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        out, err = process.communicate(timeout=15)
    assert (process.returncode, out) == (code, "closed\n"), err
    assert "Traceback" not in err


def test_a_shutdown_that_hangs_is_cut_off(workspace, write):
    write(
        "projects/hall.py",
        WAITER.format(wait="").replace(
            'print("closed", flush=True)', "import time; time.sleep(60)"
        ),
    )
    process = start(workspace, "--set", "STOP_TIMEOUT_S=0.2", "hall", "serve")
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        _, err = process.communicate(timeout=15)
    assert process.returncode == 143
    assert "ended by force" in err


def test_a_shutdown_has_five_seconds_and_the_server_leaves_some_for_the_rest(gw):
    assert gw.settings.get("STOP_TIMEOUT_S") == 5
    assert running.STOP_TIMEOUT_S < 5


@pytest.mark.parametrize(("serves", "patched"), [("('go',)", "True"), ("('other',)", "False")])
def test_gevent_patches_only_for_a_verb_that_serves(run, write, serves, patched):
    write(
        "projects/hall.py",
        f"__serves__ = {serves}\n"
        "def go():\n    import sys\n    return str('gevent' in sys.modules)\n",
    )
    assert run("hall", "go").stdout == f"{patched}\n"


def test_a_reader_that_has_seen_enough_is_no_error(workspace, write):
    write("projects/long.py", "def go():\n    for n in range(100000):\n        yield str(n)\n")
    process = start(workspace, "long", "go")
    with process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()


def test_data_goes_to_stdout_and_all_else_to_stderr(run, write):
    write(
        "projects/mix.py",
        "import logging\n"
        "def go():\n    logging.getLogger('gway.mix').warning('careful')\n    return {'a': 1}\n",
    )
    done = run("mix", "go", "--json")
    assert json.loads(done.stdout) == {"a": 1}
    assert done.stderr == "gway.mix: warning: careful\n"


def test_output_in_a_pipe_has_no_colour(run, hello):
    assert "\x1b" not in run("--help").stdout + run("projects").stdout


def test_the_workspace_is_found_from_below(run, hello, workspace):
    (workspace / "a" / "b").mkdir(parents=True)
    assert run("hello", "greet", cwd=workspace / "a" / "b").stdout == "Hello World!\n"
    assert os.listdir(workspace / "a" / "b") == []


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (("chargers",), "`gway ocpp.csms.chargers`"),
        (("ocpp.data", "chargers"), "`gway ocpp.csms.chargers`"),
        (("ocpp", "chargers"), "`gway ocpp.csms.chargers`"),
        (("resett",), "`gway ocpp.csms.reset`"),
        (("csms", "chargers"), "`gway ocpp.csms`"),
        (("charger-status",), "`gway ocpp.csms.view_charger_status`"),
        (("local",), "`gway run etron/local`"),
        (("recipes/etron/local.gwr",), "`gway run etron/local`"),
        (("zzzzqqq",), "see `gway projects`"),
    ],
)
def test_a_name_in_the_wrong_place_is_told_the_right_one(cli, words, hint):
    done = cli(*words)
    assert done.code == 2
    assert hint in done.stderr.splitlines()[1]
