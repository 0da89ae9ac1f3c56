from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest

from gway.completion import complete


@pytest.fixture
def shop(gw, write):
    write(
        "projects/energy/meter.py",
        """
        from __future__ import annotations
        from typing import Literal

        Phase = Literal["a", "b"]

        def read_all(kind: Literal["power", "work"] = "work", *, phase: Phase = "a"): ...

        def view_table(): ...

        def ws_connect(upgrade): ...
        """,
    )
    write("recipes/site/main.gwr", "projects [port|1]\n")


@pytest.mark.parametrize(
    ("words", "prefix", "found"),
    [
        ([], "ener", ["energy"]),
        ([], "comp", ["completion"]),
        ([], "--js", ["--json"]),
        (["--json"], "ener", ["energy"]),
        ([], "energy.", ["energy.meter"]),
        ([], "energy.meter.r", ["energy.meter.read-all"]),
        (["energy"], "", ["meter"]),
        (["energy.meter"], "", ["read-all", "view_table"]),
        (["help", "energy.meter"], "read", ["read-all"]),
        (["energy.meter", "read-all"], "--p", ["--phase"]),
        (["energy.meter", "read-all", "--phase"], "", ["a", "b"]),
        (["energy.meter", "read-all"], "p", ["power"]),
        (["projects", "-", "energy.meter", "read-all"], "--ph", ["--phase"]),
        (["run"], "site", ["site/main"]),
        (["run"], "recipes/s", ["recipes/site/main.gwr"]),
        (["run", "site/main"], "--p", ["--port"]),
        (["-r", "site/main"], "--c", ["--check", "--csv"]),
        (["completion"], "", ["bash", "fish", "zsh"]),
        (["nothing"], "", []),
        (["energy.meter", "nothing"], "--", []),
    ],
)
def test_words_are_completed(shop, words, prefix, found):
    assert complete(words, prefix) == found


def ask(workspace, line, *, point=None):
    """Ask as the shell does: through variables, the answer on descriptor 8."""
    read_end, write_end = os.pipe()
    env = {
        **os.environ,
        "_ARGCOMPLETE": "1",
        "_ARGCOMPLETE_IFS": "\n",
        "COMP_LINE": line,
        "COMP_POINT": str(len(line.encode()) if point is None else point),
        "COMP_TYPE": "",
    }
    code = "import os,sys; os.dup2(int(sys.argv.pop(1)), 8); from gway.__main__ import main; main()"
    subprocess.run(
        [sys.executable, "-c", code, str(write_end)],
        cwd=workspace,
        env=env,
        pass_fds=[write_end],
        check=True,
        timeout=20,
    )
    os.close(write_end)
    with open(read_end) as answer:
        return answer.read().split("\n")


def test_a_shell_is_answered_the_way_it_asks(shop, workspace):
    assert ask(workspace, "gway energy.meter read-all --ph") == ["--phase "]
    assert ask(workspace, "gway energy.meter read-all --phase x", point=12) == ["energy.meter "]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_code(cli, shell):
    done = cli("completion", shell)
    assert done.code == 0
    assert "gway" in done.stdout
    assert "_ARGCOMPLETE" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_can_read_its_code(run):
    code = run("completion", "bash").stdout
    subprocess.run(["bash", "-n"], input=code, text=True, check=True, timeout=10)
