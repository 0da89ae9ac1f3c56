"""`gway test`: pytest with the flags that were asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gway.errors import GwayError, UsageError

if TYPE_CHECKING:
    from gway.resolver import Gateway

# pytest: 0 passed, 1 failed, 2 interrupted, 3 internal, 4 usage, 5 nothing collected.
EXIT_CODES = {0: 0, 2: 130, 4: 2}


def run_tests(gateway: Gateway, words: list[str]) -> int:
    """Run pytest in the workspace and give gway's exit code.

    :param words: `--flags a,b` is taken, all the rest is pytest's
    """
    flags, rest = _split_flags(words)
    root = gateway.workspace.root
    if not (root / "tests").is_dir():
        raise GwayError(f"{root} has no tests/", "go to a checkout, or name it with --workspace")
    if find_spec("pytest") is None:
        raise GwayError("pytest is not installed", "pip install 'gway[test]'")
    given = [flag for flag in str(gateway.settings.get("TEST_FLAGS")).split(",") if flag]
    env = {**os.environ, "GWAY_TEST_FLAGS": ",".join(dict.fromkeys([*given, *flags]))}
    command = [sys.executable, "-m", "pytest", *rest]
    done = subprocess.run(command, cwd=root, env=env, check=False)
    return EXIT_CODES.get(done.returncode, 1)


def _split_flags(words: list[str]) -> tuple[list[str], list[str]]:
    flags: list[str] = []
    rest: list[str] = []
    left = list(words)
    while left:
        word = left.pop(0)
        if word == "--flags":
            if not left:
                raise UsageError("'test': --flags needs a value", "such as --flags proxy")
            flags.extend(left.pop(0).split(","))
        elif word.startswith("--flags="):
            flags.extend(word.removeprefix("--flags=").split(","))
        else:
            rest.append(word)
    return [flag.strip() for flag in flags if flag.strip()], rest
