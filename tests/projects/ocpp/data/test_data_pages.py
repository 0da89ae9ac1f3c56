"""Pages and API of the stored data: the same figures everywhere, texts escaped."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gway.errors import UnknownName, UsageError
from gway.projects.ocpp.data import queries
from gway.projects.ocpp.facts import ConnectorStatus, ErrorReport, SecurityEvent

from .conftest import START, Site, iso

EVIL = "<script>alert('x')</script>"


def report(site: Site, charger_id: str, code: str, info: str | None = None) -> None:
    error = ErrorReport(charger_id, 1, code, "Faulted", info, None, None, None, site.at)
    site.tell("ocpp_error_reported", report=error)


def rows_of(page: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(page.to_csv())))


# --- summary ----------------------------------------------------------------------


def test_the_summary_tells_sessions_energy_last_stop_and_last_error(site: Site) -> None:
    site.session("CP1", 3_500)
    last = site.session("CP1", 1_500)
    site.start("CP1")
    report(site, "CP1", "GroundFailure")
    site.advance(minutes=1)
    report(site, "CP1", "HighTemperature", "hot")
    site.tell("ocpp_charger_seen", charger_id="CP2", charger_time=None, at=site.at)
    one, two = site.gateway.ocpp.data.view_charger_summary().rows
    assert (one["charger_id"], one["sessions"], one["open_sessions"]) == ("CP1", 3, 1)
    assert one["energy_kwh"] == 5.0
    assert one["last_stop_at"] == last.stopped_at
    assert (one["last_error"], one["last_error_info"]) == ("HighTemperature", "hot")
    assert one["last_error_at"] == site.at
    assert (two["charger_id"], two["sessions"], two["last_stop_at"]) == ("CP2", 0, None)


def test_the_summary_counts_what_is_being_charged(site: Site) -> None:
    site.session("CP1", 3_500)
    started = site.start("CP1")
    site.meter(started, 1_500)
    site.meter(started, 1_750)
    site.start("CP1", connector_id=2)
    (row,) = site.gateway.ocpp.data.view_charger_summary().rows
    assert (row["open_sessions"], row["energy_kwh"]) == (2, 4.25)


def test_the_summary_says_in_words_who_has_a_session_and_who_a_fault(site: Site) -> None:
    site.session("CP1")
    site.start("CP2")
    for charger_id, words in (("CP3", ("Faulted", "GroundFailure")), ("CP2", ("Charging", ""))):
        said = ConnectorStatus(1, *words, time=site.at, at=site.at)
        site.tell("ocpp_connector_changed", charger_id=charger_id, status=said, at=site.at)
    page = site.gateway.ocpp.data.view_charger_summary()
    assert [row["state"] for row in page.rows] == [None, "open", "faulted"]
    assert '<span class="badge" data-status="faulted">Faulted</span>' in page
    assert '<span class="badge" data-status="open">In session</span>' in page
    assert '<tr data-status="faulted">' in page


def test_where_nothing_is_filtered_there_is_no_transaction_yet(site: Site) -> None:
    view = site.gateway.ocpp.data.view_charger_details
    assert "No transaction yet." in view()
    assert "No transaction fits." in view(state="open")


def test_the_summary_has_twins_with_the_same_figures(site: Site) -> None:
    site.session("CP1", 3_500)
    page = site.gateway.ocpp.data.view_charger_summary()
    assert json.loads(page.to_json())[0]["energy_kwh"] == 3.5
    assert rows_of(page)[0]["energy_kwh"] == "3.5"
    assert site.gateway.ocpp.data.api_summary() == {"chargers": page.rows}
    assert "CP1" in page.to_text()


def test_pages_of_an_empty_store_say_so(site: Site) -> None:
    data = site.gateway.ocpp.data
    assert "No charger has connected yet" in data.view_charger_summary()
    assert "No transaction yet" in data.view_charger_details("CPX")
    assert "No charger has connected yet" in data.view_time_series()


def test_texts_of_chargers_are_escaped_on_every_page(site: Site) -> None:
    stopped = site.session(EVIL, id_tag=EVIL, start_time_raw=EVIL)
    report(site, EVIL, EVIL, EVIL)
    site.stop(stopped, stop_reason=EVIL)
    data = site.gateway.ocpp.data
    pages = [
        data.view_charger_summary(),
        data.view_charger_details(),
        data.view_charger_details(EVIL),
        data.view_transaction(stopped.transaction_id),
        data.view_time_series([EVIL], since=START.date(), until=START.date()),
    ]
    for page in pages:
        assert "<script" not in page
        assert "&lt;script" in page


# --- details ----------------------------------------------------------------------


@pytest.fixture
def many(site: Site) -> Site:
    """Ten sessions on two connectors with two tags over ten days."""
    for number in range(10):
        site.at = START + timedelta(days=number)
        site.session(
            energy_wh=1_000 + 100 * (number * 7 % 10),
            connector_id=1 + number % 2,
            id_tag="Ada" if number % 3 else "BOB",
        )
    site.session("other")
    site.start()
    return site


def ids(site: Site, **words: Any) -> list[int]:
    page = site.gateway.ocpp.data.view_charger_details("CPX", **words)
    return [row["transaction_id"] for row in page.rows]


def test_details_are_paged_from_the_newest_on(many: Site) -> None:
    assert ids(many, per_page=4) == [12, 10, 9, 8]
    assert ids(many, per_page=4, page=3) == [3, 2, 1]
    assert ids(many, per_page=4, page=4) == []
    page = many.gateway.ocpp.data.view_charger_details("CPX", per_page=4, page=2)
    assert (page.data["total"], page.data["pages"], page.data["page"]) == (11, 3, 2)
    assert "5\N{EN DASH}8 of 11" in page


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"since": date(2024, 5, 20), "until": date(2024, 5, 21)}, [5, 4]),
        ({"until": START + timedelta(days=1)}, [1]),
        ({"connector_id": 2, "since": date(2024, 5, 24)}, [10, 8]),
        ({"id_tag": "bob"}, [10, 7, 4, 1]),
        ({"state": "open"}, [12]),
        ({"state": "inferred"}, []),
        ({"sort": "oldest", "per_page": 2}, [1, 2]),
        ({"sort": "most-energy", "per_page": 3}, [8, 5, 2]),
        ({"sort": "least-energy", "per_page": 2}, [1, 4]),
        ({"id_tag": "ADA", "connector_id": 1, "sort": "oldest"}, [3, 5, 9]),
    ],
)
def test_details_are_filtered_and_sorted(
    many: Site, words: dict[str, Any], expected: list[int]
) -> None:
    assert ids(many, **words) == expected


def test_a_programs_details_are_whole_and_a_page_can_be_sorted_by_what_it_does_not_show(
    many: Site,
) -> None:
    for number in range(60):
        many.at = START + timedelta(days=20, minutes=number)
        many.session(energy_wh=5_000 + number)
    page = many.gateway.ocpp.data.view_charger_details("CPX", sort="-meter_stop_wh")
    assert len(page.rows) == page.data["total"] == 71
    assert [row["energy_wh"] for row in page.rows[:2]] == [5_059, 5_058]
    assert 'href="?sort=-transaction_id"' not in page  # it is not sorted by that yet
    assert 'href="?sort=transaction_id"' in page


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("stopped", [1, 2]),
        ("open", [3]),
        ("ladesäule", [2, 3]),
        ("LADESÄULE", [2, 3]),
        ("2026-06", [1]),
        ("2026-07-01", [2, 3]),
        ("2026", [1, 2, 3]),
        ("2026-07-01 open", [3]),
        ("2025", []),
        ("2026-13", []),
        ("9" * 30, []),
    ],
)
def test_details_are_found_by_all_that_the_table_shows(
    site: Site, words: str, expected: list[int]
) -> None:
    site.at = datetime(2026, 6, 30, 22, tzinfo=UTC)
    site.session("CPX")
    site.at = datetime(2026, 7, 1, 0, tzinfo=UTC)
    site.session("LADESÄULE-1")
    site.start("Ladesäule-2")
    found = site.gateway.ocpp.data.view_charger_details(q=words, sort="transaction_id")
    assert [row["transaction_id"] for row in found.rows] == expected


def test_a_span_at_the_end_of_the_calendar_is_shown(site: Site) -> None:
    site.session()
    begin, end = datetime(9990, 1, 1, tzinfo=UTC), datetime(9998, 12, 31, tzinfo=UTC)
    shown = site.gateway.ocpp.data.view_time_series(since=begin, until=end, step="week")
    assert "Earlier" in shown


def test_pages_that_cannot_be_are_refused(site: Site) -> None:
    for words in ({"page": 0}, {"per_page": 0}, {"per_page": 1_001}):
        with pytest.raises(UsageError, match="there is no page"):
            site.gateway.ocpp.data.view_charger_details("CPX", **words)


def test_the_transactions_of_the_api_say_what_other_programs_need(site: Site) -> None:
    stopped = site.session(reservation_id=4)
    site.meter(site.start(), 1_750)
    site.advance(minutes=2)
    found = site.gateway.ocpp.data.api_transactions("CPX")
    running, done = found["transactions"]
    assert (running["active"], running["energy_wh"], running["energy_source"]) == (
        True,
        750,
        "last sample",
    )
    assert running["duration_s"] == 120
    assert (done["active"], done["reason"], done["duration_s"]) == (False, "Local", 3_600)
    for name in ("transaction_id", "started_at", "start_time", "start_time_raw", "stopped_at"):
        assert done[name] == getattr(stopped, name)


def test_durations_are_measured_by_one_clock(site: Site) -> None:
    wrong = START - timedelta(days=100)
    started = site.start(start_time=wrong)
    site.advance(minutes=10)
    site.stop(started, stop_time=None, stop_time_raw="?")
    (found,) = site.gateway.ocpp.data.api_transactions()["transactions"]
    assert found["duration_s"] == 600


def test_a_transaction_is_given_with_its_samples(site: Site) -> None:
    site.session()
    found = site.gateway.ocpp.data.api_transaction(1)
    assert [(one["value"], one["unit"]) for one in found["samples"]] == [("2750", "Wh")]
    assert "samples" not in site.gateway.ocpp.data.api_transaction(1, samples=False)
    with pytest.raises(UnknownName, match="no transaction 99"):
        site.gateway.ocpp.data.api_transaction(99)


def test_the_page_of_a_transaction_shows_samples_as_its_table(site: Site) -> None:
    site.session()
    page = site.gateway.ocpp.data.view_transaction(1)
    assert [row["value"] for row in rows_of(page)] == ["2750"]
    assert "3.50 kWh" in page


def test_errors_are_listed_the_latest_first(site: Site) -> None:
    for minute, code in enumerate(["A", "B", "C"]):
        site.at = START + timedelta(minutes=minute)
        report(site, "CP1" if code != "B" else "CP2", code)
    data = site.gateway.ocpp.data
    assert [row["error_code"] for row in data.errors()] == ["C", "B", "A"]
    assert [row["error_code"] for row in data.errors("CP1", limit=1)] == ["C"]
    assert len(data.errors(limit=2**70)) == 3
    assert len(data.errors(limit=-1)) == 1
    since = START + timedelta(minutes=1)
    assert [row["error_code"] for row in data.api_errors(since=since)["errors"]] == ["C", "B"]


# --- time series ------------------------------------------------------------------


def test_the_time_series_has_a_row_per_interval_and_a_column_per_charger(site: Site) -> None:
    site.session("CP1", 3_000)
    site.session("CP2", 2_000)
    page = site.gateway.ocpp.data.view_time_series(since=START.date(), step="day")
    assert page.columns == ["begin", "CP1 kWh", "CP2 kWh"]
    assert [list(row.values()) for row in rows_of(page)] == [["2024-05-17T00:00:00.000Z", "3", "2"]]


def test_the_table_of_intervals_begins_with_the_newest_and_names_chargers_as_they_are(
    site: Site,
) -> None:
    site.session("DEPOT-NORTH_07", 3_000)
    site.session("DEPOT-NORTH_07", 2_000)
    page = site.gateway.ocpp.data.view_time_series(span="day", step="hour")
    times = [row["begin"] for row in rows_of(page)]
    assert times == sorted(times, reverse=True)
    assert ">DEPOT-NORTH_07 kWh</a></th>" in page
    assert 'id="time-series-table" >' in page  # closed: nobody has asked for anything in it


def test_the_caption_of_the_chart_ends_now_and_not_with_the_interval(site: Site) -> None:
    site.session()
    site.advance(minutes=20)
    page = site.gateway.ocpp.data.view_time_series(span="week", step="6h")
    assert f'data-moment="{iso(site.at).replace("Z", ".000Z")}"' in page


def test_a_chart_of_nobody_in_particular_shows_those_heard_of_last(site: Site) -> None:
    for number in range(14):
        site.session(f"CP{number:02}")
    page = site.gateway.ocpp.data.view_time_series()
    assert page.columns == ["begin", *(f"CP{number:02} kWh" for number in range(2, 14))]


def test_the_chart_is_made_of_files_of_our_own(site: Site) -> None:
    site.session()
    page = site.gateway.ocpp.data.view_time_series()
    assert all(address.startswith("/static/ocpp/data/") for address in page.scripts)
    assert 'data-series="/api/ocpp/data/time-series' in page
    assert "style=" not in page
    assert "<script" not in page
    assert "https://" not in page


# --- orders and filters ------------------------------------------------------------


@pytest.fixture
def varied(site: Site) -> Site:
    for number in range(12):
        site.session(
            f"CP{number % 3}",
            1_000 * (number * 5 % 12 + 1),
            connector_id=number % 2 + 1,
            id_tag=f"Tag{number * 7 % 12}",
        )
    site.start("CP9", id_tag="Late")
    return site


@pytest.mark.parametrize("column", queries.COLUMNS)
def test_transactions_are_sorted_by_any_column_both_ways(varied: Site, column: str) -> None:
    found = varied.gateway.ocpp.data.api_transactions
    up = [row[column] for row in found(sort=column)["transactions"]]
    down = [row[column] for row in found(sort=f"-{column}")["transactions"]]
    assert len(up) == len(down) == 13
    if column == "energy_wh":
        up, down = up[:-1], down[:-1]  # of the open one it is not certain
    up, down = [x for x in up if x is not None], [x for x in down if x is not None]
    key = str.casefold if column == "id_tag" else None
    assert up == sorted(up, key=key)
    assert down == sorted(down, key=key, reverse=True)


def test_an_order_that_no_column_has_is_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="no order 'nonsense; DROP'"):
        site.gateway.ocpp.data.api_transactions(sort="nonsense; DROP")


@pytest.mark.parametrize(
    ("q", "count"), [("cp1", 4), ("TAG1", 3), ("late", 1), ("13", 1), ("local", 12), ("%", 0)]
)
def test_free_text_finds_what_a_transaction_says(varied: Site, q: str, count: int) -> None:
    assert varied.gateway.ocpp.data.api_transactions(q=q)["total"] == count
    found = varied.gateway.ocpp.data.api_transactions(q=q, state="open")
    assert found["total"] == (q in ("late", "13"))


def test_pages_together_hold_each_transaction_once(varied: Site) -> None:
    ask = varied.gateway.ocpp.data.api_transactions
    pages = [ask(sort="connector_id", page=page, per_page=5) for page in (1, 2, 3)]
    found = [row["transaction_id"] for page in pages for row in page["transactions"]]
    assert sorted(found) == list(range(1, 14))
    assert pages[0]["pages"] == 3


# --- events of security -------------------------------------------------------------


def security(site: Site, charger_id: str, kind: str, info: str | None = None) -> None:
    event = SecurityEvent(charger_id, kind, info, site.at, iso(site.at), site.at)
    assert site.settle("ocpp_security_event_reported", event=event) == [None]


def test_events_of_security_are_kept_once_and_shown_as_text(site: Site) -> None:
    security(site, "CPX", "FirmwareUpdated", EVIL)
    security(site, "CPX", "FirmwareUpdated", EVIL)
    site.advance(minutes=1)
    security(site, "CPY", "TamperDetectionActivated")
    data = site.gateway.ocpp.data
    assert [row["charger_id"] for row in data.api_security_events()["events"]] == ["CPY", "CPX"]
    assert len(data.api_security_events("CPX")["events"]) == 1
    assert data.api_security_events(since=site.at)["events"][0]["type"] == (
        "TamperDetectionActivated"
    )
    page = data.view_security_events(q="firmware")
    assert [row["type"] for row in rows_of(page)] == ["FirmwareUpdated"]
    assert EVIL not in page
