from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

HEAVY = (
    "gevent",
    "bottle",
    "msgspec",
    "rich",
    "pluggy",
    "sqlite3",
    "argparse",
    "inspect",
    "logging",
)


def loaded_by(workspace: Path, code: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; print('|', *sys.modules)"],
        cwd=workspace,
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    return set(done.stdout.rpartition("|")[2].split())


@pytest.mark.parametrize(
    "code",
    [
        "import gway",
        "import gway.projects",
        "from gway.__main__ import main; main(['--help'])",
        "from gway.__main__ import main; main([])",
    ],
)
def test_help_loads_nothing_heavy(workspace, code):
    assert loaded_by(workspace, code).isdisjoint(HEAVY)


def test_a_plain_verb_loads_no_server_and_no_database(workspace, hello):
    loaded = loaded_by(workspace, "from gway.__main__ import main; main(['hello', 'greet'])")
    assert loaded.isdisjoint({"gevent", "bottle", "rich", "pluggy", "sqlite3", "argparse"})


def seconds(workspace: Path, *words: str) -> float:
    """The best of several starts: what is slower is the machine's doing."""
    # With bytecode, as everybody has it after the first start.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    times = []
    for _ in range(7):
        begun = time.perf_counter()
        command = [sys.executable, *words]
        subprocess.run(command, cwd=workspace, env=env, capture_output=True, check=True)
        times.append(time.perf_counter() - begun)
    return min(times)


@pytest.mark.flag("timing")
def test_help_starts_within_four_bare_interpreters_and_a_verb_within_100_ms_of_it(workspace, hello):
    os.sync()
    bare = seconds(workspace, "-c", "pass")
    help_s = seconds(workspace, "-m", "gway", "--help")
    assert help_s <= 4 * bare
    assert seconds(workspace, "-m", "gway", "hello", "greet") <= help_s + 0.1
