"""How often something may be tried, and by whom."""

from __future__ import annotations

import tracemalloc

import pytest

from gway.web.throttle import Throttle, address_key, retry_after


class Seconds:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def test_tries_come_back_one_by_one(seconds: Seconds) -> None:
    throttle = Throttle(5, 60.0, seconds)
    assert [throttle.take("a") for _ in range(6)] == [0.0] * 5 + [12.0]
    assert throttle.take("b") == 0.0
    seconds.now += 11.9
    assert throttle.take("a") == pytest.approx(0.1)
    seconds.now += 0.1
    assert (throttle.take("a"), throttle.take("a")) == (0.0, pytest.approx(12.0))


def test_there_are_never_more_tries_than_at_first(seconds: Seconds) -> None:
    throttle = Throttle(3, 60.0, seconds)
    throttle.take("a")
    seconds.now += 1e6
    throttle.give_back("a")
    assert [throttle.take("a") for _ in range(4)] == [0.0] * 3 + [20.0]


def test_what_was_no_try_is_given_back_and_forgotten(seconds: Seconds) -> None:
    throttle = Throttle(1, 60.0, seconds)
    for _ in range(5):
        assert throttle.take("a") == 0.0
        throttle.give_back("a")
    assert len(throttle) == 0


def test_a_flood_of_addresses_takes_little_memory(seconds: Seconds) -> None:
    throttle = Throttle(5, 60.0, seconds)
    tracemalloc.start()
    for number in range(100_000):
        throttle.take(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(throttle) == 10_000
    assert peak < 5_000_000


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("no address" * 100, ("no address" * 100)[:64]),
    ],
)
def test_a_network_of_one_visitor_is_one_address(address: str, key: str) -> None:
    assert address_key(address) == key


def test_waiting_is_told_in_whole_seconds() -> None:
    assert retry_after(0.01) == ("Retry-After", "1")
    assert retry_after(11.2) == ("Retry-After", "12")
