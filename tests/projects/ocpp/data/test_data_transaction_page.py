"""The page of a transaction: curves without inventions, what happened, samples, the record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gway.errors import UnknownName, UsageError
from gway.projects.ocpp.facts import ConnectorStatus

from .conftest import START, Site, power_sample
from .test_data_pages import rows_of


def curves(site: Site, transaction_id: int = 1) -> dict[str, Any]:
    found: dict[str, Any] = site.gateway.ocpp.data.api_transaction_curves(transaction_id)
    return found


def page(site: Site, transaction_id: int = 1, **words: Any) -> Any:
    return site.gateway.ocpp.data.view_transaction(transaction_id, **words)


def metered(site: Site, minutes: list[int]) -> None:
    """A session with a sample in each of these minutes."""
    started = metered = site.start()
    for minute in minutes:
        site.at = START + timedelta(minutes=minute)
        metered = site.meter(started, 1_000 + 100 * minute, power_sample(6_000.0 + minute))
    site.advance(minutes=1)
    site.stop(metered, 7_000)


# --- curves -----------------------------------------------------------------------


def test_a_curve_begins_and_ends_with_the_registers(site: Site) -> None:
    metered(site, [1, 2, 3])
    found = curves(site)
    assert found["energy_wh"] == [0, 100, 200, 300, 6_000]
    assert found["power_w"] == [None, 6_001, 6_002, 6_003, None]
    assert [time - found["times"][0] for time in found["times"]] == [0, 60, 120, 180, 240]
    assert (found["points"], found["shown"]) == (5, 5)


def test_where_samples_stayed_away_nothing_is_drawn(site: Site) -> None:
    metered(site, [1, 2, 3, 30, 31])
    found = curves(site)
    gap = found["times"].index((3 + 30) / 2 * 60 + START.timestamp())
    assert found["power_w"][gap] is None
    assert found["energy_wh"][gap] is None
    assert found["energy_wh"].count(None) == 1


def test_nothing_is_measured_before_the_first_sample(site: Site) -> None:
    site.start()
    site.advance(hours=1)
    found = curves(site)
    assert (found["power_w"], found["energy_wh"]) == ([None], [0])


def test_the_power_of_phases_is_added_up_unless_the_whole_is_told(site: Site) -> None:
    started = site.start()
    phases = [{**power_sample(1_000), "phase": phase} for phase in ("L1", "L2", "L3")]
    kilo = {**power_sample(3.5), "unit": "kW"}
    for values in (phases, [*phases, kilo]):
        site.advance(minutes=1)
        site.meter(started, 1_100, *values)
    assert curves(site)["power_w"] == [None, 3_000, 3_500]


def test_of_very_many_points_the_peaks_stay(site: Site) -> None:
    started = after = site.start()
    for second in range(2_000):
        site.advance(seconds=1)
        watts = 22_000 if second == 777 else 5_000
        after = site.meter(started, 1_000 + second, power_sample(watts))
    found = curves(site)
    assert found["points"] == 2_001
    assert found["shown"] < 1_500
    assert max(value for value in found["power_w"] if value) == 22_000
    assert after.last_energy_wh == 2_999


def test_of_very_many_points_the_energy_begins_and_ends_with_the_registers(site: Site) -> None:
    started = after = site.start()
    for second in range(3_100):
        site.advance(seconds=1)
        after = site.meter(started, 1_000 + 10 * second, power_sample(5_000 + second % 7))
    site.advance(seconds=1)
    site.stop(after, 99_999)
    found = curves(site)
    assert found["shown"] <= 1_502
    assert (found["energy_wh"][0], found["energy_wh"][-1]) == (0, 98_999)


# --- samples ----------------------------------------------------------------------


def test_samples_are_sorted_by_size_and_what_no_meter_says_comes_last(site: Site) -> None:
    started = site.start()
    said = ["10", "1.5", "1.25", "-3", "-10", "1e9999999", "9" * 5_000, "n/a"]
    for value in said:
        site.advance(minutes=1)
        after = site.meter(started, 1_000, {"value": value, "measurand": "Voltage", "unit": "V"})
    site.stop(after, 1_000)
    rows = [row for row in rows_of(page(site, sort="value")) if row["measurand"] == "Voltage"]
    assert [row["value"] for row in rows[:5]] == ["-10", "-3", "1.25", "1.5", "10"]
    assert {row["value"] for row in rows[5:]} == {"1e9999999", "9" * 5_000, "n/a"}


def test_samples_say_whose_clock_a_time_is_of_and_values_stand_right(site: Site) -> None:
    metered(site, [1])
    shown = page(site)
    for heading in ("Charger&#039;s clock", "Server&#039;s clock"):
        assert heading in shown
    assert '<td class="number">' in shown
    assert '<a href="/ocpp/data/charger-details?charger_id=CPX">CPX</a>, connector 1' in shown


# --- what happened ----------------------------------------------------------------


def test_events_tell_both_sides_in_order(site: Site) -> None:
    def status(word: str) -> None:
        said = ConnectorStatus(connector_id=1, status=word, time=site.at, at=site.at)
        site.tell("ocpp_connector_changed", charger_id="CPX", status=said, at=site.at)

    status("Preparing")
    site.advance(seconds=5)
    started = site.start()
    site.advance(seconds=1)
    status("Charging")
    site.advance(hours=1)
    closed = msgspec.structs.replace(started, state="inferred", stopped_at=site.at, energy_wh=0)
    site.tell("ocpp_transaction_closed", transaction=closed, why="operator", at=site.at)
    site.advance(minutes=1)
    stopped = site.stop(started, 3_000, flags=("late-stop",))
    assert site.settle("ocpp_transaction_revised", transaction=stopped) == [None]
    site.advance(days=1)
    status("Faulted")  # long after
    events = page(site).data["events"]
    assert [(one["kind"], one["what"]) for one in events] == [
        ("status", "connector 1 Preparing"),
        ("start", "tag TAG1 Accepted, register 1000 Wh"),
        ("status", "connector 1 Charging"),
        ("closed by us", "operator"),
        ("stop", "Local, register 3000 Wh"),
        ("revised", "now stopped, 2000 Wh by registers (late-stop)"),
    ]
    assert "the stop came after we had closed it" in page(site)


def test_events_of_the_sessions_before_and_after_are_not_told(site: Site) -> None:
    def status(word: str, connector_id: int = 1) -> None:
        said = ConnectorStatus(connector_id, word, time=site.advance(seconds=20), at=site.at)
        site.tell("ocpp_connector_changed", charger_id="CPX", status=said, at=site.at)

    for number in range(3):
        status("Preparing")
        site.advance(seconds=5)
        started = site.start(meter_start_wh=1_000 + number)
        site.advance(seconds=1)
        status(f"Charging {number}")
        site.advance(minutes=1)
        site.stop(started, 3_000)
        status("Finishing")
    site.start(connector_id=2)  # which bounds nothing
    status("Available")
    told = [one["what"] for one in page(site, 2).data["events"] if one["kind"] == "status"]
    words = ("Finishing", "Preparing", "Charging 1", "Finishing", "Preparing")
    assert told == [f"connector 1 {word}" for word in words]
    last = [one["what"] for one in page(site, 3).data["events"]]
    assert last[-2:] == ["connector 1 Finishing", "connector 1 Available"]


def test_a_stop_that_came_in_the_next_session_is_told_with_all_before_it(site: Site) -> None:
    first = site.start()
    site.advance(minutes=1)
    second = site.start(meter_start_wh=2_000)
    said = ConnectorStatus(connector_id=1, status="Charging", time=site.at, at=site.at)
    site.tell("ocpp_connector_changed", charger_id="CPX", status=said, at=site.at)
    site.advance(minutes=1)
    site.stop(first, 2_000)
    site.stop(second, 4_000)
    for number in (1, 2):
        kinds = [one["kind"] for one in page(site, number).data["events"]]
        assert kinds == ["start", "status", "stop"]


def test_texts_of_chargers_are_escaped(site: Site) -> None:
    evil = "<script>alert('x')</script>"
    site.session(id_tag=evil, tag_reason=evil)
    assert evil not in page(site)


# --- samples ----------------------------------------------------------------------


def test_samples_are_filtered_sorted_and_paged_by_the_address(site: Site) -> None:
    metered(site, list(range(1, 41)))
    assert len(rows_of(page(site))) == 80  # a program that names no page gets all of them
    power = page(site, q="power.ACTIVE", sort="-value", per_page=10, page=2)
    assert [row["value"] for row in rows_of(power)] == [f"{6_030 - n}.0" for n in range(10)]
    assert 'aria-sort="descending"' in power
    assert "of 40" in power
    numbers = [float(row["value"]) for row in rows_of(page(site, sort="value"))]
    assert numbers == sorted(numbers)


@pytest.mark.parametrize("words", [{"sort": "nothing"}, {"page": 0}, {"per_page": 5_000}])
def test_an_order_or_a_page_that_cannot_be_is_refused(site: Site, words: dict[str, Any]) -> None:
    site.session()
    with pytest.raises(UsageError):
        page(site, **words)


# --- the record -------------------------------------------------------------------


def test_the_record_is_given_byte_for_byte_and_made_if_it_is_missing(site: Site) -> None:
    site.session()
    path = site.records / "CPX" / "1_1.dat"
    content = path.read_bytes()
    path.unlink()
    reply = site.gateway.ocpp.data.view_record(1)
    assert reply.body == content == path.read_bytes()
    assert dict(reply.headers)["Content-Disposition"] == 'attachment; filename="1_1.dat"'


def test_an_open_transaction_has_no_record(site: Site) -> None:
    site.start()
    for transaction_id in (1, 99):
        with pytest.raises(UnknownName, match="no record of transaction"):
            site.gateway.ocpp.data.view_record(transaction_id)
    assert "Record (.dat)" not in page(site)
