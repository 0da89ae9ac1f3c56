"""The load generator against the smallest of servers, in a process of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from benchmarks import wire
from benchmarks.generator import Fleet, LoadError, percentile
from benchmarks.processes import ServerProcess, cores

SIZE = 5


@pytest.fixture
def fleet() -> Iterator[Fleet]:
    with (
        ServerProcess("sink", core=cores()[0]) as server,
        Fleet(server.ws_port, lambda index: f"/{index}") as opened,
    ):
        opened.open(SIZE)
        yield opened


def test_a_closed_loop_counts_every_answer_and_leaves_none_behind(fleet):
    script = wire.meter_values([1] * SIZE, answer=b"[2")
    load = fleet.closed_loop(script, 0.05, warm_up_s=0.0)
    assert load.count > SIZE
    assert load.percentile_ms(50) <= load.percentile_ms(99)
    assert load.count <= script.begin * SIZE
    fleet.tend()


def test_a_paced_load_keeps_its_pace(fleet):
    load = fleet.paced(wire.heartbeats(SIZE, answer=b"[2"), 400, 0.25, warm_up_s=0.0)
    assert load.count == pytest.approx(100, abs=10)


def test_the_next_run_goes_on_with_new_message_ids(fleet):
    script = wire.heartbeats(SIZE, answer=b"[2")
    fleet.closed_loop(script, 0.02, warm_up_s=0.0)
    first = script.begin
    fleet.closed_loop(script, 0.02, warm_up_s=0.0)
    assert script.begin > first > 0


def test_an_answer_of_another_kind_ends_the_measurement(fleet):
    with pytest.raises(LoadError, match=r"charger \d got"):
        fleet.closed_loop(wire.heartbeats(SIZE, answer=b"[3"), 0.05)


def test_a_server_that_goes_away_ends_the_measurement():
    with ServerProcess("sink", core=cores()[0]) as server:
        fleet = Fleet(server.ws_port, str)
        fleet.open(1)
    with fleet, pytest.raises((LoadError, ConnectionError)):
        fleet.closed_loop(wire.heartbeats(1, answer=b"[2"), 5.0)


def test_percentiles_are_of_the_nearest_rank():
    ordered = list(range(1, 101))
    assert [percentile(ordered, percent) for percent in (50, 99, 100)] == [50, 99, 100]
    assert percentile([7], 99) == 7
    with pytest.raises(LoadError):
        percentile([], 50)
