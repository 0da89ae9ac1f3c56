from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

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


def test_what_has_no_verbs_is_not_offered(shop, write):
    write("projects/energy/facts.py", "class Fact: ...\n\ndef _hidden(): ...\n")
    write("projects/silent/facts.py", "class Fact: ...\n")
    assert complete(["energy"], "") == ["meter"]
    assert complete([], "energy.") == ["energy.meter"]
    assert complete([], "sil") == []
    assert complete(["help", "energy"], "") == ["meter"]
    offered = {name.removeprefix("ocpp.") for name in complete([], "ocpp.")}
    assert {"csms", "data", "evcs", "messages"} <= offered
    assert offered.isdisjoint({"database", "facts", "receipts", "transactions"})


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


def test_a_list_in_the_text_of_a_project_is_enough(write, workspace):
    write(
        "projects/shop/shop.py",
        """
        from gway.projects.shop.till import pay, api_pay, view_post_pay
        __all__ = ["pay", "api_pay", "view_post_pay", "ws_connect"]
        raise AssertionError("was imported")
        """,
    )
    write(
        "projects/shop/till.py",
        """
        from pathlib import Path
        from typing import Literal
        def pay(cent: int, into: Path | None = None, *, how: Literal["cash", "card"] = "cash",
                loud: bool = False, kinds: list[Literal["a", "b"]] = ()): ...
        """,
    )
    write("notes/bill.txt", "")
    assert complete(["shop"], "") == ["pay"]
    assert complete(["shop"], "api") == ["api-pay"]
    options = ["--cent", "--how", "--into", "--kinds", "--loud", "--no-loud"]
    assert set(options) < set(complete(["shop", "pay"], "--"))
    assert "--how" not in complete(["shop", "pay", "--how", "cash"], "--")
    assert complete(["shop", "pay", "--how"], "") == ["card", "cash"]
    assert complete(["shop", "pay"], "--how=c") == ["--how=card", "--how=cash"]
    assert complete(["shop", "pay"], "--loud=") == ["--loud=no", "--loud=yes"]
    assert complete(["shop", "pay", "--kinds", "a", "--kinds"], "") == ["a", "b"]
    assert complete(["shop", "pay", "5"], "notes/") == ["notes/bill.txt"]
    assert complete(["shop", "pay", "--loud", "5"], "no") == ["notes/"]
    assert complete(["shop", "pay", "--into"], str(workspace / "notes/b")) == [
        str(workspace / "notes/bill.txt")
    ]
    assert complete(["shop", "pay"], "") == []


def test_a_project_offers_values_for_its_parameters(write):
    write(
        "projects/shop/till.py",
        """
        def pay(customer: str, *, for_customer: str = ""): ...
        def fail(broken: str): ...
        """,
    )
    write(
        "projects/shop/completions.py",
        """
        def customer(gateway):
            return ["ada", "bob", gateway.workspace.root.name]
        def broken(gateway):
            raise RuntimeError("no")
        """,
    )
    assert complete(["shop", "till", "pay"], "") == ["ada", "bob", "workspace"]
    assert complete(["shop.till", "pay", "--customer"], "b") == ["bob"]
    assert complete(["shop.till", "pay"], "--customer=b") == ["--customer=bob"]
    assert complete(["shop.till", "fail"], "") == []
    assert "completions" not in complete(["shop"], "")


def test_a_recipes_option_takes_what_the_verbs_option_takes(shop, write):
    write(
        "recipes/site/more.gwr",
        "energy.meter read-all --phase [phase|] --kind=[kind|]\n",
    )
    assert complete(["run", "site/more", "--phase"], "") == ["a", "b"]
    assert complete(["run", "site/more"], "--kind=p") == ["--kind=power"]
    assert complete(["web", "app", "setup-app"], "energy") == ["energy.meter"]


def test_options_of_gway_itself_are_completed(shop, workspace):
    assert complete(["--workspace"], "proj") == ["projects/"]
    assert complete(["--json", "--run"], "site") == ["site/main"]
    assert complete(["--site", "x", "energy.meter"], "read") == ["read-all"]
    (workspace / "work" / "corner").mkdir(parents=True)
    (workspace / "work" / "corner" / "server.lock").touch()
    assert complete(["--site"], "") == ["corner"]
    assert complete(["--at"], "") == []


def test_chargers_are_offered_within_the_time_that_one_waits(workspace):
    file = workspace / "work" / "ocpp.sqlite"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("CREATE TABLE chargers (charger_id TEXT, last_seen_at INTEGER)")
        database.executemany("INSERT INTO chargers VALUES (?, 1)", [("CP1",), ("CP 2",)])
        database.commit()
        assert ask(workspace, "gway ocpp.csms reset CP") == ["CP\\ 2", "CP1"]
        database.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        complete(["ocpp.csms", "reset"], "CP")
        assert time.monotonic() - began < 1
    assert complete(["ocpp.csms", "reset"], "CP") == ["CP 2", "CP1"]
    file.write_bytes(b"nonsense" * 1000)
    assert complete(["ocpp.csms", "reset"], "") == []


# --- a real shell ------------------------------------------------------------


@pytest.fixture
def tab(workspace, run):
    """Press the tab key in bash: give what it would offer."""
    bin = workspace / "bin"
    bin.mkdir()
    (bin / "gway").write_text(f'#!/bin/sh\nexec {sys.executable} -m gway "$@"\n')
    (bin / "gway").chmod(0o755)
    (workspace / "code.sh").write_text(run("completion", "bash").stdout)
    script = r"""
        PATH="$PWD/bin:$PATH"
        source ./code.sh
        COMP_LINE=$1 COMP_POINT=${#1} COMP_TYPE=9 COMP_KEY=9
        read -r -a COMP_WORDS <<< "$1"
        [[ $1 == *" " ]] && COMP_WORDS+=("")
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        completer=$(complete -p gway); completer=${completer##*-F }; completer=${completer%% *}
        "$completer" gway "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
        printf '%s\n' "${COMPREPLY[@]}"
    """

    def press(line):
        words = ["bash", "--norc", "-c", script, "bash", line]
        done = subprocess.run(
            words, cwd=workspace, capture_output=True, text=True, timeout=20, check=True
        )
        assert done.stderr == ""
        return [each.strip() for each in done.stdout.splitlines() if each.strip()]

    return press


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here")
def test_bash_completes_a_line_piece_by_piece(shop, tab):
    assert tab("gway ener") == ["energy"]
    assert tab("gway energy.meter ") == ["read-all", "view_table"]
    assert tab("gway energy.meter read-all --ph") == ["--phase"]
    assert tab("gway energy.meter read-all --phase ") == ["a", "b"]
    assert tab("gway run si") == ["site/main"]
    assert tab("gway run site/main --po") == ["--port"]
    assert tab("gway nothing of this ") == []
    assert tab("gway 'unclosed ") == []
