"""A link that is bad on purpose: the same seed is the same weather."""

from __future__ import annotations

import queue
import threading

import pytest

from gway.errors import UsageError
from gway.projects.ocpp.evcs.badlink import BadLink, Fate, Faults, Weather
from gway.projects.ocpp.evcs.link import LinkError


class Wire:
    """A good link in memory."""

    def __init__(self) -> None:
        self.sent: queue.Queue[bytes] = queue.Queue()
        self.arriving: queue.Queue[bytes | None] = queue.Queue()
        self.pings = 0
        self.goodbyes: list[int] = []
        self.released = threading.Event()

    def send(self, frame: bytes) -> None:
        self.sent.put(frame)

    def ping(self) -> None:
        self.pings += 1

    def receive(self) -> bytes | None:
        frame = self.arriving.get()
        if frame is None:
            raise LinkError("cut")
        return frame

    def hang_up(self, code: int = 1000, reason: str = "") -> None:
        self.goodbyes.append(code)

    def drop(self) -> None:
        self.arriving.put(None)

    def release(self) -> None:
        self.released.set()


def frames_through(link: BadLink, wire: Wire, count: int) -> list[bytes]:
    for number in range(count):
        link.send(b"%d" % number)
    found = []
    try:
        while len(found) < count:
            found.append(wire.sent.get(timeout=3))
    except queue.Empty:
        pass
    return found


def test_the_same_seed_gives_the_same_fates_whatever_goes_the_other_way():
    faults = Faults(cut=0.1, delay=2, duplicate=0.2, reorder=0.3)
    one, other = Weather(faults, 7), Weather(faults, 7)
    fates = [one.fate("out") for _ in range(200)]
    for expected in fates:
        other.fate("in")
        assert other.fate("out") == expected
    assert fates != [Weather(faults, 8).fate("out") for _ in range(200)]


def test_each_chance_is_about_what_was_asked_for_and_shifts_no_other():
    many = 4_000
    mild, bad = Weather(Faults(cut=0.02), 1), Weather(Faults(0.02, 1.0, 0.1, 0.2), 1)
    fates = [bad.fate("in") for _ in range(many)]
    assert [fate.cut for fate in fates] == [mild.fate("in").cut for _ in range(many)]
    assert 0.01 < sum(bool(fate.cut) for fate in fates) / many < 0.03
    assert {fate.cut for fate in fates} == {"", "before", "after"}
    assert 0.08 < sum(fate.copies == 2 for fate in fates) / many < 0.12
    assert 0.17 < sum(fate.overtaken for fate in fates) / many < 0.23
    assert 0.45 < sum(fate.delay_s for fate in fates) / many < 0.55


def test_no_faults_are_no_weather():
    assert not Faults.parse("")
    assert Weather(Faults(), 1).fate("out") == Fate()


@pytest.mark.parametrize(
    ("words", "hint"),
    [("cuts=1", "did you mean 'cut'"), ("cut=2", "cut=0.02"), ("cut", "cut=0.02"), ("delay=x", "")],
)
def test_a_fault_that_cannot_be_is_a_usage_error_with_a_hint(words, hint):
    with pytest.raises(UsageError) as caught:
        Faults.parse(words)
    assert hint in (caught.value.hint or "")


def test_delayed_frames_arrive_in_order():
    wire = Wire()
    link = BadLink(wire, Weather(Faults(delay=0.05), 3))
    assert frames_through(link, wire, 10) == [b"%d" % number for number in range(10)]
    link.release()


def test_a_reordered_frame_is_overtaken_and_a_duplicated_one_arrives_twice():
    wire = Wire()
    link = BadLink(wire, Weather(Faults(reorder=0.4), 3))
    found = frames_through(link, wire, 10)
    assert sorted(found) == [b"%d" % number for number in range(10)]
    assert found != sorted(found)
    link.release()
    wire = Wire()
    link = BadLink(wire, Weather(Faults(duplicate=1), 3))
    assert frames_through(link, wire, 2) == [b"0", b"0"]
    link.release()
    assert wire.released.is_set()


def test_a_cut_takes_the_frame_along_or_comes_just_after_it():
    seen = set()
    for seed in range(8):
        wire = Wire()
        link = BadLink(wire, Weather(Faults(cut=1), seed))
        link.send(b"0")
        with pytest.raises(LinkError, match="cut"):
            link.receive()
        link.release()
        seen.add(wire.sent.qsize())
    assert seen == {0, 1}


def test_what_arrives_has_its_fate_too():
    wire = Wire()
    link = BadLink(wire, Weather(Faults(duplicate=1), 3))
    wire.arriving.put(b"answer")
    wire.arriving.put(b"")
    assert sorted(link.receive() or b"" for _ in range(3)) == [b"", b"answer", b"answer"]
    link.ping()
    link.hang_up(1000)
    assert (wire.pings, wire.goodbyes) == (1, [1000])
    link.release()
