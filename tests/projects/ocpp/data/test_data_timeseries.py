"""Energy over time: what the intervals hold adds up to what was charged."""

from __future__ import annotations

import itertools
from datetime import date, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gway.errors import UnknownName, UsageError
from gway.projects.ocpp.data import timeseries
from gway.projects.ocpp.data.timeseries import MICROS, Point, Window

from .conftest import START, Site, iso

HOUR = 3_600 * MICROS
DAY = START.date()


def series(site: Site, **words: Any) -> dict[str, Any]:
    given = {"since": DAY, "until": DAY, "step": "hour", **words}
    found: dict[str, Any] = site.gateway.ocpp.data.api_time_series(**given)
    return found


def by_hour(site: Site, charger_id: str = "CPX") -> dict[int, float]:
    found = series(site, chargers=[charger_id])
    return {hour: kwh for hour, kwh in enumerate(found["series"][0]["energy_kwh"]) if kwh}


points = st.lists(
    st.tuples(st.integers(-50, 150), st.integers(0, 10_000)), min_size=1, max_size=8
).map(lambda pairs: [Point(*pair) for pair in sorted(pairs)])


@given(points, st.integers(1, 40))
def test_a_window_around_a_session_holds_all_of_it(session: list[Point], step: int) -> None:
    over = Window(-200, -200 + step * -(-400 // step), step)
    sums = [0.0] * len(over.starts)
    timeseries.spread(session, over, sums)
    gained = max(point.energy_wh for point in session) - session[0].energy_wh
    assert sum(sums) == pytest.approx(gained)
    assert min(sums) >= 0


@given(points, st.lists(st.integers(0, 100), min_size=2, max_size=5, unique=True).map(sorted))
def test_windows_side_by_side_hold_what_one_window_holds(
    session: list[Point], edges: list[int]
) -> None:
    def held(begin: int, end: int) -> float:
        sums = [0.0]
        timeseries.spread(session, Window(begin, end, end - begin), sums)
        return sums[0]

    parts = sum(held(*pair) for pair in itertools.pairwise(edges))
    assert parts == pytest.approx(held(edges[0], edges[-1]), abs=1e-6)


def test_energy_lies_where_the_readings_say(site: Site) -> None:
    started = site.start()
    site.advance(hours=1)
    site.meter(started, 2_000)
    site.advance(hours=1)
    site.meter(started, 2_500)
    site.advance(minutes=30)
    site.stop(started, 4_500)
    assert by_hour(site) == {12: 1.0, 13: 0.5, 14: 2.0}


def test_without_readings_energy_is_spread_evenly(site: Site) -> None:
    started = site.start()
    site.advance(hours=4)
    site.stop(started, 5_000)
    assert by_hour(site) == {12: 1.0, 13: 1.0, 14: 1.0, 15: 1.0}


def test_an_open_session_counts_up_to_its_last_reading(site: Site) -> None:
    started = site.start()
    site.advance(hours=1)
    site.meter(started, 3_000)
    site.advance(hours=5)
    assert by_hour(site) == {12: 2.0}


def test_readings_above_the_stop_do_not_count(site: Site) -> None:
    started = site.start()
    site.advance(minutes=30)
    site.meter(started, 99_000)
    site.advance(hours=1)
    site.stop(started, 3_000)
    assert sum(by_hour(site).values()) == pytest.approx(2.0)


def test_queued_sessions_lie_where_the_charger_says(site: Site) -> None:
    began = START - timedelta(hours=5)
    started = site.start(start_time=began, start_time_raw=iso(began), flags=("historical",))
    queued = began + timedelta(hours=1)
    site.meter(started, 2_000, samples_time=queued)
    ended = began + timedelta(hours=2)
    site.stop(started, 4_000, stop_time=ended)
    assert by_hour(site) == {7: 1.0, 8: 2.0}


def test_a_charger_with_a_wrong_clock_lies_where_the_server_says(site: Site) -> None:
    wrong = START - timedelta(days=4000)
    started = site.start(start_time=wrong)
    site.advance(hours=1)
    site.stop(started, 4_000, stop_time=wrong)
    assert by_hour(site) == {12: 3.0}


def test_sessions_over_the_edge_of_the_window_count_in_part(site: Site) -> None:
    site.advance(hours=11)
    started = site.start()
    site.advance(hours=2)
    site.stop(started, 5_000)
    assert by_hour(site) == {23: 2.0}


def test_several_chargers_have_a_series_each(site: Site) -> None:
    site.session("CP1", 1_000)
    site.session("CP2", 2_000)
    site.session("CP3", 3_000)
    found = series(site, chargers=["CP3", "CP1", "CP3"])
    assert [(one["charger_id"], one["total_kwh"]) for one in found["series"]] == [
        ("CP3", 3.0),
        ("CP1", 1.0),
    ]
    assert [one["charger_id"] for one in series(site)["series"]] == ["CP1", "CP2", "CP3"]
    with pytest.raises(UnknownName, match="'CP9'"):
        series(site, chargers=["CP9"])


def test_intervals_begin_on_whole_steps_and_cover_the_span(site: Site) -> None:
    found = series(site, since=START + timedelta(minutes=20), until=START + timedelta(hours=2))
    assert found["step_s"] == 3_600
    assert [time % 3_600 for time in found["times"]] == [0, 0]
    assert (found["begin"], found["end"]) == (START, START + timedelta(hours=2))


@pytest.mark.parametrize(
    ("days", "step_s"),
    [(1, 900), (2, 900), (7, 3_600), (30, 21_600), (180, 86_400), (900, 604_800)],
)
def test_the_step_that_is_left_out_fits_the_span(site: Site, days: int, step_s: int) -> None:
    found = series(site, since=DAY, until=DAY + timedelta(days=days - 1), step="auto")
    assert found["step_s"] == step_s


def test_spans_that_cannot_be_are_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="before it begins"):
        series(site, since=date(2024, 5, 18), until=date(2024, 5, 17))
    with pytest.raises(UsageError, match="too many"):
        series(site, since=date(2000, 1, 1), until=DAY, step="15min")
    for day in (date(1, 1, 1), date(1969, 12, 31), date(9999, 12, 31)):
        with pytest.raises(UsageError, match="too far away"):
            series(site, until=day)


def test_a_misspelt_charger_is_refused_with_the_one_that_was_meant(site: Site) -> None:
    site.session("CP-ONE")
    for name, hint in (("CP-ON", "did you mean 'CP-ONE'?"), ("Z", "see `gway ocpp.csms chargers`")):
        with pytest.raises(UnknownName, match="nothing is known") as refused:
            series(site, chargers=[name])
        assert refused.value.hint == hint


def test_a_closed_session_of_unknown_energy_counts_what_its_readings_say(site: Site) -> None:
    started = site.start()
    site.advance(hours=1)
    metered = site.meter(started, 2_000)
    stopped = msgspec.structs.replace(metered, meter_start_wh=1_000)
    site.stop(stopped, 500, energy_wh=None, energy_source="")
    assert by_hour(site) == {12: 1.0}


def test_what_cannot_be_known_is_no_figure(site: Site) -> None:
    """Before the charger was heard of, and what is to come, is null; in between it is zero."""
    site.session()  # 12:00 to 13:00
    site.at = START + timedelta(hours=3, minutes=30)
    energy = series(site, chargers=["CPX"])["series"][0]["energy_kwh"]
    assert energy[11:18] == [None, 3.5, 0, 0, 0, None, None]


def test_weeks_begin_on_mondays(site: Site) -> None:
    site.session()
    found = series(site, since=date(2024, 5, 1), until=date(2024, 6, 1), step="week")
    assert found["begin"].weekday() == 0
    assert found["step_s"] == 7 * 86_400
    assert found["series"][0]["total_kwh"] == 3.5


def test_zoomed_in_the_steps_are_finer(site: Site) -> None:
    site.session()
    found = series(site, since=START, until=START + timedelta(hours=2), step="auto")
    assert found["step_s"] == 60
    assert found["series"][0]["total_kwh"] == 3.5
    assert found["series"][0]["energy_kwh"][0] == pytest.approx(3.5 / 60, abs=1e-3)
