"""What keeps the pages cheap: bounded traces, events that are told together, shared fragments."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import gevent
from gevent.event import Event

from gway.projects.ocpp.csms.framelog import SHOWN_BYTES, FrameLog, describe
from gway.projects.ocpp.csms.powers import (
    HEIGHT,
    SAMPLES,
    SESSIONS,
    WIDTH,
    PowerTraces,
    sparkline,
)
from gway.projects.ocpp.csms.readmodel import natural
from gway.projects.ocpp.csms.shared import Shared
from gway.projects.ocpp.csms.topics import ALL, GAP_OF_ALL_S, Teller
from gway.web.page import Page

NOON = datetime(2024, 5, 17, 12, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.seconds = 100.0
        self.due = []

    def __call__(self) -> float:
        return self.seconds

    def later(self, delay_s, call):
        self.due.append((self.seconds + delay_s, call))

    def advance(self, seconds: float) -> None:
        self.seconds += seconds
        due, self.due = self.due, []
        for at, call in due:
            if at <= self.seconds:
                call()
            else:
                self.due.append((at, call))


# --- traces ---


def test_a_trace_keeps_the_last_samples_of_so_many_sessions():
    traces = PowerTraces()
    for second in range(SAMPLES + 5):
        traces.note(1, second, NOON + timedelta(seconds=second))
    assert [watts for _, watts in traces.of(1)] == list(range(5, SAMPLES + 5))
    traces.note(1, 9_999, NOON)
    assert traces.of(1)[-1][1] == SAMPLES + 4, "what is older than the last is none of now"
    for transaction_id in range(2, SESSIONS + 3):
        traces.note(transaction_id, 1, NOON)
    assert len(traces) == SESSIONS
    assert traces.of(1) == [], "the one that was heard of least recently"
    traces.drop(SESSIONS)
    assert traces.of(SESSIONS) == []


def test_a_sparkline_goes_from_zero_up_and_stays_in_its_picture():
    assert sparkline([]) is None
    assert sparkline([(0, 5.0)]) is None
    line = sparkline([(0, 0.0), (30, 11_000.0), (60, 5_500.0)])
    assert (line.span_s, line.lowest_w, line.highest_w) == (60, 0, 11_000)
    assert line.line == "0.0,26.0 60.0,2.0 120.0,14.0"
    for points in ([(0, -3e9), (0, 3e9)], [(5, 0.0), (4, 0.0)], [(0, 1e-9), (1e9, 0.0)]):
        for pair in sparkline(points).area.split():
            across, up = map(float, pair.split(","))
            assert 0 <= across <= WIDTH
            assert 0 <= up <= HEIGHT


def test_power_of_a_session_is_traced_while_it_goes_on(site, line, clock):
    transaction_id = line.start()
    for watts in (3_000, 4_000):
        clock.at += timedelta(seconds=10)
        sampled = [
            {"value": str(watts), "measurand": "Power.Active.Import", "unit": "W"},
            {"value": "1500"},
        ]
        value = {"timestamp": line.time(), "sampledValue": sampled}
        words = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [value]}
        line.call("MeterValues", words)
    assert [watts for _, watts in site.central.powers.of(transaction_id)] == [3_000, 4_000]
    line.stop(transaction_id)
    assert site.central.powers.of(transaction_id) == []


# --- events ---


class Heard:
    listeners = 1

    def __init__(self, *topics: str) -> None:
        self.topics = topics
        self.told: list[tuple[str, str]] = []

    def listens(self, topic: str) -> bool:
        return topic in self.topics

    def publish(self, topic: str, data) -> None:
        self.told.append((topic, data["what"]))


def test_a_change_is_told_at_once_and_those_that_follow_it_together():
    clock, events = Clock(), Heard(ALL)
    teller = Teller(events, clock.later, clock)
    for number in range(50):
        teller.tell(f"CP{number}", f"m{number}")
    assert events.told == [(ALL, "m0")]
    clock.advance(GAP_OF_ALL_S)
    assert events.told == [(ALL, "m0"), (ALL, "m49")]
    clock.advance(GAP_OF_ALL_S)
    assert len(events.told) == 2, "nothing happened since"


def test_an_edition_ends_with_each_event_and_at_each_change_while_nobody_listens():
    clock, events = Clock(), Heard(ALL)
    teller = Teller(events, clock.later, clock)
    teller.tell("CP1", "a")
    edition = teller.edition
    teller.tell("CP1", "b")
    assert teller.edition == edition
    clock.advance(GAP_OF_ALL_S)
    assert teller.edition == edition + 1
    events.topics = ()
    teller.tell("CP1", "c")
    assert teller.edition == edition + 2


# --- shared fragments ---


def test_a_fragment_is_made_once_for_all_who_ask_at_the_same_time():
    clock = Clock()
    shared = Shared(clock, Event)
    started = Event()

    def slow() -> Page:
        started.set()
        gevent.sleep(0.01)
        return Page("cards")

    asking = [gevent.spawn(shared.get, "cards", 1, slow) for _ in range(20)]
    gevent.joinall(asking, timeout=10)
    assert [str(one.get(timeout=20)) for one in asking] == ["cards"] * 20
    assert shared.made == 1
    shared.get("cards", 2, slow)
    assert shared.made == 2, "another edition"
    clock.advance(2)
    shared.get("cards", 2, slow)
    assert shared.made == 3, "it tells how long ago things were"
    shared.clear()
    shared.get("cards", 2, slow)
    assert shared.made == 4


def test_a_fragment_that_fails_is_made_by_the_next():
    shared = Shared(Clock(), Event)
    calls = []

    def once_broken() -> Page:
        calls.append(None)
        gevent.sleep(0)
        if len(calls) == 1:
            raise OSError("away")
        return Page("cards")

    one, other = (gevent.spawn(shared.get, "cards", 1, once_broken) for _ in range(2))
    gevent.joinall([one, other], timeout=10)
    assert isinstance(one.exception, OSError)
    assert str(other.get(timeout=20)) == "cards"


# --- words ---


def test_ids_are_ordered_as_people_count():
    ids = ["CP10", "cp2", "A", "CP1-b", "7", "CP1-10"]
    assert sorted(ids, key=natural) == ["7", "A", "CP1-10", "CP1-b", "cp2", "CP10"]


def test_a_frame_is_shown_without_its_secrets_also_when_it_was_cut():
    frames = FrameLog()
    long = {"configurationKey": [{"value": "x" * SHOWN_BYTES, "key": "AuthorizationKey"}]}
    for told in ([3, "1", long], [2, "2", "DataTransfer", {"data": '{"token": "hunter2"}'}]):
        frames.add("CPX", "in", NOON, json.dumps(told).encode())
    shown = [str(row["text"]) for row in describe(frames.of("CPX"))]
    assert "xxx" not in shown[0]
    assert "hunter2" not in shown[1]
    assert "DataTransfer" in shown[1]
