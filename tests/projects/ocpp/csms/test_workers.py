"""Workers on the event loop: order, blocking handlers, and how few greenlets they take."""

import gevent
import pytest
from gevent.event import Event
from gevent.monkey import get_original

from gway.projects.ocpp.csms.runtime import IDLE_WORKERS, LARGE, GeventRuntime

DEADLINE_S = 5


class Recorder:
    def __init__(self):
        self.served = []
        self.greenlets = set()
        self.blocked = {}
        self.complete = Event()
        self.expected = 0

    def serve(self, item):
        if item in self.blocked:
            self.blocked[item].wait(DEADLINE_S)
        if item == "broken":
            raise RuntimeError("cannot be served")
        self.greenlets.add(gevent.getcurrent())
        self.served.append(item)
        if len(self.served) == self.expected:
            self.complete.set()

    def wait_for(self, count):
        self.expected = count
        if len(self.served) < count:
            assert self.complete.wait(DEADLINE_S)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def runtime(recorder):
    return GeventRuntime(recorder.serve)


def test_one_worker_serves_all_that_came_in_order(recorder, runtime):
    for item in range(1_000):
        runtime.put(item)
    recorder.wait_for(1_000)
    assert recorder.served == list(range(1_000))
    assert len(recorder.greenlets) == 1


def test_a_handler_that_blocks_holds_up_nobody_else(recorder, runtime):
    gate = recorder.blocked["slow"] = Event()
    for item in ("slow", "a", "b"):
        runtime.put(item)
    recorder.wait_for(2)
    assert recorder.served == ["a", "b"]
    gate.set()
    recorder.complete.clear()
    recorder.wait_for(3)
    assert recorder.served == ["a", "b", "slow"]


def test_workers_are_kept_but_not_hoarded(recorder, runtime):
    gates = {f"slow {number}": Event() for number in range(3 * IDLE_WORKERS)}
    recorder.blocked.update(gates)
    for item in gates:
        runtime.put(item)
    runtime.put("last")
    recorder.wait_for(1)
    for gate in gates.values():
        gate.set()
    recorder.complete.clear()
    recorder.wait_for(len(gates) + 1)
    assert len(runtime._idle) <= IDLE_WORKERS


def test_an_item_that_cannot_be_served_is_logged_and_the_next_is_served(recorder, runtime, caplog):
    runtime.put("broken")
    runtime.put("fine")
    recorder.wait_for(1)
    assert recorder.served == ["fine"]
    assert "cannot be served" in caplog.text


def test_a_timer_calls_later_and_not_when_it_was_stopped(runtime):
    fired = Event()
    calls = []
    runtime.later(0.001, lambda: calls.append("stopped")).stop()
    runtime.later(0.002, fired.set)
    assert fired.wait(DEADLINE_S)
    assert calls == []


def test_what_is_large_is_read_in_another_thread_while_the_loop_goes_on(recorder, runtime):
    ident = get_original("_thread", "get_ident")
    here = ident()
    assert runtime.aside(LARGE - 1, ident) == here
    assert runtime.aside(LARGE, ident) != here
    gate = get_original("_thread", "allocate_lock")()
    gate.acquire()
    gevent.spawn(gate.release)  # would never run if the loop stood still
    assert runtime.aside(LARGE, gate.acquire, True, DEADLINE_S)


def test_what_reading_aside_raises_is_raised_here_and_not_printed(runtime, capfd):
    with pytest.raises(ValueError, match="not a number"):
        runtime.aside(LARGE, _refuse, "not a number")
    assert capfd.readouterr().err == ""


def _refuse(why):
    raise ValueError(why)
