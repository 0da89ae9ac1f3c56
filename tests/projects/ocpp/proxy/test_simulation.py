"""Proofs 1 and 2: whatever happens, the remote ends with what the chargers told, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.projects.ocpp.proxy.bugs import BUGS
from tests.projects.ocpp.proxy.onfile import FileRun
from tests.projects.ocpp.proxy.seeds import failure_of, failures, failures_of_many
from tests.projects.ocpp.proxy.simulation import Run

FEW = 300
MANY = 20_000
ON_FILE = 300
FOUND_WITHIN = 2_000


def test_a_few_hundred_histories_end_with_both_sides_equal() -> None:
    assert failures(Run, 0, FEW) == []


@pytest.mark.flag("proxy")
def test_twenty_thousand_histories_end_with_both_sides_equal() -> None:
    assert failures_of_many(0, MANY) == []


def test_the_store_on_disk_behaves_like_the_model_of_it(tmp_path: Path) -> None:
    class OnFile(FileRun):
        folder = tmp_path

    for seed in range(20):
        on_file, in_memory = OnFile(seed), Run(seed)
        assert on_file.go() == in_memory.go() == []
        assert on_file.events == in_memory.events
        assert on_file.remote.ledger() == in_memory.remote.ledger()


@pytest.mark.flag("proxy")
def test_hundreds_of_histories_over_a_file_end_with_both_sides_equal(tmp_path: Path) -> None:
    class OnFile(FileRun):
        folder = tmp_path

    assert failures(OnFile, 0, ON_FILE) == []


def test_a_seed_is_a_history_that_can_be_told_again() -> None:
    first, second = Run(42), Run(42)
    first.go(), second.go()
    assert first.events == second.events
    assert first.remote.ledger() == second.remote.ledger() != []


def test_a_failing_seed_prints_itself_and_its_events() -> None:
    told = failure_of(BUGS["a row is deleted when it is sent"], 0)
    assert told.startswith("seed 0 of DeletedOnSend:")
    assert "the remote has" in told
    assert "events: " in told
    assert "heal" in told


@pytest.mark.parametrize("bug", BUGS, ids=str)
def test_the_oracle_sees(bug: str) -> None:
    for seed in range(FOUND_WITHIN):
        if failure_of(BUGS[bug], seed):
            return
    pytest.fail(f"{FOUND_WITHIN} histories did not show that {bug}")
