"""A remote that floods: the hub, and with it every charger of the site, goes on."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.projects.ocpp.proxy.floods import FLOODS, Flood, Flooding, deaf, talkative

Told = dict[str, Any]

GAP_S = 1.0
"""Far above what is seen, on any machine; without a guard it is the time that a flood lasts."""
GROWN_MIB = 24


@pytest.fixture
def flooded() -> Iterator[Callable[..., Told]]:
    """Let a process of its own connect to a server that floods; give what it says of that."""
    made: list[Flooding] = []

    def run(flood: Flood, *more: str) -> Told:
        made.append(Flooding(flood))
        address = f"ws://127.0.0.1:{made[-1].port}/ocpp/CP1"
        words = [sys.executable, "-m", "tests.projects.ocpp.proxy.flooded", address, *more]
        ran = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
        assert ran.returncode == 0, ran.stderr
        found: Told = json.loads(ran.stdout)
        return found

    yield run
    for one in made:
        one.close()


@pytest.mark.parametrize("kind", FLOODS)
def test_a_remote_that_floods_holds_up_nobody_and_is_left(
    flooded: Callable[..., Told], kind: str
) -> None:
    flood, words = FLOODS[kind]
    told = flooded(flood)
    assert words in told["words"]
    assert told["gap_s"] < GAP_S, told
    assert told["grown_mib"] < GROWN_MIB, told


def test_answers_that_nobody_reads_are_not_kept_without_end(flooded: Callable[..., Told]) -> None:
    told = flooded(deaf, "16000")
    assert told["words"] == "it takes nothing that is sent"
    assert told["heard"] < 1_900
    assert told["gap_s"] < GAP_S, told
    assert told["grown_mib"] < GROWN_MIB, told


def test_as_many_messages_as_can_be_meant_are_heard(flooded: Callable[..., Told]) -> None:
    told = flooded(talkative)
    assert told["words"] == "closed with 1000"
    assert told["heard"] == 1_900
