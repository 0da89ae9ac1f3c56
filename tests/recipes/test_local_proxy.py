"""The recipe of one place: its options reach the proxy, and mean what its head comment says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gway.recipes import find, load

RECIPE = "etron/local_proxy"
REMOTE = ("--remote", "wss://127.0.0.1:1/ocpp", "--port", "0", "--ws-port", "0")


@pytest.mark.parametrize(
    ("option", "word", "told"),
    [
        ("--ca", "nothing.pem", "nothing.pem holds no certificates that can be read"),
        ("--keys", "nothing.cdv", "nothing.cdv cannot be read"),
        ("--also", "DataTransfer,Heartbeat", "--also 'Heartbeat' is no message"),
        ("--boot", "alway", "did you mean 'always'?"),
        ("--mode", "standing", "did you mean 'standin'?"),
        ("--on-remote-reject", "goes-on", "--on-remote-reject"),
        ("--on-remote-concurrent", "goes-on", "--on-remote-concurrent"),
    ],
)
def test_options_of_the_proxy_reach_it(run: Any, option: str, word: str, told: str) -> None:
    ran = run("run", RECIPE, *REMOTE, option, word)
    assert ran.code != 0
    assert told in ran.stderr


def test_all_its_options_together_can_run(run: Any) -> None:
    words = ("--ca", "ca.pem", "--keys", "keys.cdv", "--also", "DataTransfer", "--boot", "always")
    more = ("--on-remote-reject", "continue", "--on-remote-concurrent", "stop", "--read-only")
    ran = run("run", RECIPE, "--check", *REMOTE, *words, *more)
    assert ran.code == 0, ran.stderr


def test_its_head_tells_each_option() -> None:
    recipe = find(RECIPE, Path.cwd())
    head = recipe.read_text().split("\nsite ", 1)[0]
    for name in load(recipe).names():
        assert f"--{name.replace('_', '-')} " in head
