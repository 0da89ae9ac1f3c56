"""What may be asked of the simulator, and what address comes of it."""

from __future__ import annotations

import pytest

from gway.errors import UsageError
from gway.projects.ocpp.evcs.keeper import Backoff
from gway.projects.ocpp.evcs.plan import Plan


@pytest.mark.parametrize(
    ("options", "url", "charger_id"),
    [
        ({}, "ws://127.0.0.1:9000/ocpp/csms/CPX", "CPX"),
        ({"cp_path": "/ocpp/csms/CPX/"}, "ws://127.0.0.1:9000/ocpp/csms/CPX", "CPX"),
        ({"cp_path": "x/RDAM 123"}, "ws://127.0.0.1:9000/x/RDAM%20123", "RDAM 123"),
        ({"cp_path": "x/RDAM%20123"}, "ws://127.0.0.1:9000/x/RDAM%20123", "RDAM 123"),
        ({"host": "::1", "ws_port": 80}, "ws://[::1]:80/ocpp/csms/CPX", "CPX"),
        ({"tls": True}, "wss://127.0.0.1:9000/ocpp/csms/CPX", "CPX"),
        ({"ws_url": "wss://c.example/a/B"}, "wss://c.example/a/B", "B"),
    ],
)
def test_the_address_is_made_of_host_port_and_path(options, url, charger_id):
    target = Plan(**options).target(0)
    assert (target.url, target.charger_id) == (url, charger_id)


def test_further_charge_points_get_numbers():
    plan = Plan(threads=3)
    assert [plan.target(index).charger_id for index in range(3)] == ["CPX", "CPX2", "CPX3"]


@pytest.mark.parametrize(
    "options",
    [
        {"rfid": ""},
        {"rfid": "X" * 21},
        {"duration": 0},
        {"duration": float("nan")},
        {"interval": 0},
        {"kwh_min": 70},
        {"kwh_min": 0},
        {"kwh_max": float("inf")},
        {"pre_charge_delay": -1},
        {"repeat": -1},
        {"threads": 0},
        {"threads": 1001},
        {"ws_port": 65536},
        {"cp_path": ""},
        {"ws_url": "http://c.example/B"},
        {"link": "cut=2"},
        {"ws_url": "wss://user:secret@c.example/B"},
    ],
)
def test_what_cannot_be_simulated_is_a_usage_error(options):
    with pytest.raises(UsageError):
        Plan(**options)


@pytest.mark.parametrize(
    ("password", "sent"),
    [
        ("0123456789abcdef", b"0123456789abcdef"),
        ("00" * 19 + "ff", b"\x00" * 19 + b"\xff"),
        ("zz" * 20, b"zz" * 20),
        (None, None),
    ],
)
def test_a_key_of_forty_hex_digits_is_sent_as_twenty_bytes(password, sent):
    assert Plan(password=password).target(0).password() == sent


def test_a_key_that_the_central_system_set_replaces_the_password():
    runner = Plan(password="old").make(0)
    runner.point.authorization_key = "0123456789abcdef"
    assert runner.target.password() == b"0123456789abcdef"


def test_the_same_seed_gives_the_same_sessions():
    def wanted(seed):
        appetite = Plan(seed=seed).make(0).point.sessions.appetite
        return [appetite.car().target_wh for _ in range(3)]

    assert wanted(7) == wanted(7) != wanted(8)


class Middle:
    """Always the middle of what is asked for."""

    def uniform(self, low, high):
        return (low + high) / 2


def test_pauses_double_up_to_a_minute_and_begin_anew_after_a_steady_link():
    backoff = Backoff(Middle())
    assert [backoff.pause_s(0) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert backoff.pause_s(5) == 60
    assert [backoff.pause_s(held) for held in (31, 0)] == [1, 2]
