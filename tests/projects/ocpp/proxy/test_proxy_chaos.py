"""A short run of chaos; the long one is `python -m tests.projects.ocpp.proxy.chaos`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects.ocpp.proxy.chaos import chaos

pytestmark = pytest.mark.flag("proxy")


def test_kills_and_partitions_lose_nothing_and_double_nothing(workspace: Path) -> None:
    outcome = chaos(workspace, 7, chargers=5, transactions=30, kills=15, partitions=15)
    print(outcome, outcome.history)
    assert outcome.kills >= 15
    assert outcome.partitions >= 15
    assert outcome.transactions >= 30
    assert outcome.samples > 0
    assert (outcome.lost, outcome.duplicated, outcome.apart_wh) == (0, 0, 0)
    assert outcome.unknown_here == [], "what a charger was answered is there"
    assert outcome.dead == 0
