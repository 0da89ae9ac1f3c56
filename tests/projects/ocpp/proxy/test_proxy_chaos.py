"""A short run of chaos; the long one is `python -m tests.projects.ocpp.proxy.chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects.ocpp.proxy.chaos import chaos

pytestmark = pytest.mark.flag("proxy")


MOST_S = 110.0
"""Of faults: with the end, no run takes over two minutes; a third of it is usual."""


def test_kills_and_partitions_lose_nothing_and_double_nothing(workspace: Path) -> None:
    outcome = chaos(
        workspace, 7, chargers=5, transactions=30, kills=15, partitions=15, most_seconds=MOST_S
    )
    print(outcome, outcome.history)
    assert outcome.kills >= 15
    assert outcome.partitions >= 15
    assert outcome.transactions >= 30
    assert outcome.samples > 0
    assert (outcome.lost, outcome.duplicated, outcome.apart_wh) == (0, 0, 0)
    assert outcome.unknown_here == [], "what a charger was answered is there"
    assert outcome.dead == 0


def test_a_run_whose_time_is_over_breaks_nothing_more_and_is_judged(workspace: Path) -> None:
    outcome = chaos(
        workspace, 1, chargers=1, transactions=1_000, kills=100, partitions=100, most_seconds=2
    )
    assert outcome.cut_short
    assert "when the time was over" in str(outcome)
    assert (outcome.lost, outcome.duplicated, outcome.apart_wh) == (0, 0, 0)
