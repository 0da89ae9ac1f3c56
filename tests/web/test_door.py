"""Who may come in: counted by address, given back when they leave."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gway.web.door import Door, Limits, Ticket, is_loopback

FAR, NEAR = "192.0.2.1", "127.0.0.1"


def statuses(door: Door, addresses: list[str]) -> list[int | None]:
    tickets = [door.enter(address) for address in addresses]
    return [None if ticket is None else ticket.refused for ticket in tickets]


def test_an_address_has_its_own_limit() -> None:
    door = Door(Limits(per_address=2))
    assert statuses(door, [FAR] * 3) == [0, 0, 429]
    assert statuses(door, ["192.0.2.2"]) == [0]


def test_a_network_of_one_visitor_has_one_limit() -> None:
    """Whoever has one address of IPv6 has 2^64 of them."""
    door = Door(Limits(per_address=2))
    network = [f"2001:db8:0:7::{number:x}" for number in range(1, 5)]
    tickets = [door.enter(address) for address in network]
    assert [ticket and ticket.refused for ticket in tickets] == [0, 0, 429, 429]
    assert [ticket and ticket.address for ticket in tickets] == network, "as logs tell them"
    assert statuses(door, ["2001:db8:0:8::1"]) == [0], "another network"
    assert statuses(door, ["::ffff:192.0.2.1", FAR, FAR]) == [0, 0, 429], "one of IPv4"
    for ticket in tickets:
        assert ticket is not None
        ticket.give_back()
    assert statuses(door, network[2:]) == [0, 0]


def test_this_machine_has_no_limit_of_its_own_unless_given_one() -> None:
    assert statuses(Door(Limits(per_address=1)), [NEAR] * 3) == [0, 0, 0]
    assert statuses(Door(Limits(per_address=1)), ["::1"] * 3) == [0, 0, 0]
    assert statuses(Door(Limits(per_loopback_address=1)), [NEAR] * 2) == [0, 429]


def test_all_together_have_a_limit() -> None:
    assert statuses(Door(Limits(connections=2)), [FAR, NEAR, NEAR]) == [0, 0, 503]


def test_only_so_many_are_told_that_they_are_refused() -> None:
    door = Door(Limits(connections=1, refusals=1))
    assert statuses(door, [FAR] * 4) == [0, 503, None, None]
    assert door.refused == 3


def test_a_refused_one_takes_no_place() -> None:
    door = Door(Limits(connections=2, per_address=1))
    assert statuses(door, [FAR, FAR, NEAR]) == [0, 429, 0]


def test_the_last_one_to_leave_is_noticed() -> None:
    left: list[int] = []
    door = Door(Limits(), lambda: left.append(door.count))
    tickets = [door.enter(FAR), door.enter(NEAR)]
    for ticket in tickets:
        assert ticket is not None
        ticket.give_back()
        ticket.give_back()
    assert left == [0]


@given(st.lists(st.tuples(st.sampled_from([FAR, NEAR, "::1"]), st.booleans()), max_size=60))
def test_places_are_neither_lost_nor_doubled(steps: list[tuple[str, bool]]) -> None:
    door = Door(Limits(connections=5, per_address=2, refusals=2))
    inside: list[Ticket] = []
    for address, enters in steps:
        if enters:
            ticket = door.enter(address)
            inside += [ticket] if ticket else []
        elif inside:
            inside.pop(0).give_back()
        assert door.count == len(inside)
        assert sum(1 for ticket in inside if not ticket.refused) <= 5
        assert sum(1 for ticket in inside if ticket.refused) <= 2
    for ticket in inside:
        ticket.give_back()
    assert door.count == 0
    assert not door._by_address


def test_loopback_has_many_spellings() -> None:
    assert all(map(is_loopback, ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]))
    assert not any(map(is_loopback, ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", "", "unix"]))


def test_the_defaults_hold_a_fleet_and_no_flood() -> None:
    limits = Limits()
    assert limits.connections >= 10_000
    assert limits.per_address < 2_000
    assert limits.idle_timeout_s > 0
