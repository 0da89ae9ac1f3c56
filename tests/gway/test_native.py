"""Threads beside the hub: what they compute long is done in slices."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from gway.native import Pace


def test_long_work_rests_whenever_a_slice_is_over() -> None:
    seen: list[object] = []
    clock = itertools.count()  # it goes on by one with each look
    pace = Pace(work_s=3, rest_s=0.5, clock=lambda: next(clock), sleep=seen.append)
    seen.extend(pace.between("abcdefg"))
    assert [one for one in seen if one == 0.5] == [0.5, 0.5]
    assert [one for one in seen if one != 0.5] == list("abcdefg")


def test_a_rest_comes_before_the_next_thing_is_worked_out() -> None:
    told: list[str] = []
    clock = itertools.count()
    pace = Pace(work_s=1, rest_s=1, clock=lambda: next(clock), sleep=lambda _: told.append("rest"))

    def work() -> Iterator[str]:
        for name in ("first", "second"):
            told.append(name)
            yield name

    list(pace.between(work()))
    assert told == ["first", "rest", "second", "rest"]


def test_whoever_waits_for_the_work_can_do_without_the_rests() -> None:
    told: list[object] = []
    clock = itertools.count()
    pace = Pace(work_s=1, rest_s=1, clock=lambda: next(clock), sleep=told.append)
    things = pace.between("abc")
    next(things)
    pace.hurry()
    assert list(things) == ["b", "c"]
    assert told == []
