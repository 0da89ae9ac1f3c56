"""The timer wheel: thousands of deadlines, one timer."""

from __future__ import annotations

from dataclasses import dataclass, field

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gway.web.ws.timers import PER_TURN, Slots, Wheel


@dataclass(eq=False)
class Egg:
    """An entry that notes when it was called, and may want more."""

    again: list[float] = field(default_factory=list)
    calls: list[float] = field(default_factory=list)
    slot: int = 0

    def on_due(self, now: float) -> float | None:
        self.calls.append(now)
        return now + self.again.pop(0) if self.again else None


def popped(slots: Slots, now: float) -> list[Egg]:
    eggs = []
    while (entry := slots.pop(now)) is not None:
        assert isinstance(entry, Egg)
        eggs.append(entry)
    return eggs


def test_an_entry_is_due_at_its_time_and_not_before() -> None:
    slots, egg = Slots(0.1), Egg()
    slots.add(egg, 5.0)
    assert popped(slots, 4.99) == []
    assert popped(slots, 5.11) == [egg]
    assert popped(slots, 99.0) == []


def test_an_earlier_deadline_wins_and_a_later_one_waits_its_turn() -> None:
    slots, egg = Slots(0.1), Egg()
    slots.add(egg, 9.0)
    slots.add(egg, 5.0)
    slots.add(egg, 30.0)
    assert popped(slots, 5.2) == [egg]
    assert popped(slots, 99.0) == []


def test_a_removed_entry_is_forgotten_and_may_come_back() -> None:
    slots, egg = Slots(0.1), Egg()
    slots.add(egg, 5.0)
    slots.remove(egg)
    assert slots.first() is None
    slots.add(egg, 6.0)
    assert popped(slots, 7.0) == [egg]


@given(st.lists(st.tuples(st.integers(0, 9), st.floats(0, 50), st.booleans()), max_size=40))
def test_nobody_is_lost_called_early_or_called_twice(
    steps: list[tuple[int, float, bool]],
) -> None:
    slots = Slots(0.1)
    eggs = [Egg() for _ in range(10)]
    wanted: dict[int, float] = {}
    for index, due, keep in steps:
        if keep:
            slots.add(eggs[index], due)
            wanted[index] = min(due, wanted.get(index, due))
        else:
            slots.remove(eggs[index])
            wanted.pop(index, None)
    for now in [second + 0.15 for second in range(52)]:
        due_now = {index for index, due in wanted.items() if due + 0.1 <= now}
        got = {eggs.index(egg) for egg in popped(slots, now)}
        assert due_now <= got
        assert all(wanted.pop(index) <= now for index in got)
    assert not wanted


@pytest.fixture
def wheel() -> Wheel:
    return Wheel(gevent.get_hub().loop, resolution_s=0.005)


def until_called(egg: Egg, times: int = 1) -> None:
    with gevent.Timeout(20):
        while len(egg.calls) < times:
            gevent.sleep(0.001)


def test_the_wheel_calls_again_as_long_as_it_is_asked_to(wheel: Wheel) -> None:
    egg = Egg(again=[0.01, 0.01])
    wheel.add(egg, wheel.now() + 0.01)
    until_called(egg, times=3)
    assert egg.calls == sorted(egg.calls)
    assert egg.slot == 0


def test_an_entry_that_fails_takes_nobody_with_it(
    wheel: Wheel, caplog: pytest.LogCaptureFixture
) -> None:
    class Bad(Egg):
        def on_due(self, now: float) -> float | None:
            raise ValueError("rotten")

    egg = Egg()
    wheel.add(Bad(), wheel.now())
    wheel.add(egg, wheel.now() + 0.02)
    until_called(egg)
    assert "a deadline failed" in caplog.text


def test_thousands_due_at_once_leave_the_loop_its_turns(wheel: Wheel) -> None:
    eggs = [Egg() for _ in range(PER_TURN * 5)]
    due = wheel.now() + 0.01
    for egg in eggs:
        wheel.add(egg, due)
    seen = set()
    with gevent.Timeout(20):
        while not all(egg.calls for egg in eggs):
            gevent.sleep(0)
            seen.add(sum(1 for egg in eggs if egg.calls))
    assert len(seen) >= 3, "all were served in one turn"


def test_a_closed_wheel_calls_nobody(wheel: Wheel) -> None:
    dropped, later = Egg(), Egg()
    wheel.add(dropped, wheel.now() + 0.01)
    wheel.close()
    wheel.add(later, wheel.now() + 0.03)
    until_called(later)
    assert not dropped.calls
