"""Both sides of each transaction beside each other, and what can be said of them."""

from __future__ import annotations

from typing import Any

import pytest

from gway.projects.ocpp.proxy.reconcile import compare, sums

START = "2026-03-01T08:00:00Z"


def here(**more: Any) -> dict[str, Any]:
    row = {
        "charger_id": "CP1",
        "local_tx": 7,
        "remote_tx": 70,
        "id_tag": "TAG",
        "meter_start_wh": 1_000,
        "start_time_raw": START,
        "state": "stopped",
        "energy_wh": 3_000,
        "pending": 0,
        "dead": 0,
    }
    return {**row, **more}


def there(**more: Any) -> dict[str, Any]:
    row = {
        "charger_id": "CP1",
        "transaction_id": 70,
        "id_tag": "tag",
        "meter_start_wh": 1_000,
        "start_time_raw": START,
        "state": "stopped",
        "energy_wh": 3_000,
    }
    return {**row, **more}


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict", "apart"),
    [
        (here(), there(), "equal", 0),
        (here(), there(energy_wh=2_900), "differs", 100),
        (here(state="open", energy_wh=None), there(state="open"), "open", None),
        (here(), there(state="open", energy_wh=None), "open there, ended here", None),
        (here(state="open"), there(), "ended there, open here", None),
        (here(pending=2), there(state="open"), "waiting", None),
        (here(dead=1), None, "dead letters", None),
        (here(), None, "missing there", None),
        (here(remote_tx=None), None, "never sent", None),
        (here(remote_tx=None), there(), "equal", 0),  # known again by its words
    ],
)
def test_each_pair_has_its_verdict(ours, theirs, verdict, apart):
    rows = compare([ours], [] if theirs is None else [theirs])
    assert [(row["verdict"], row["difference_wh"]) for row in rows] == [(verdict, apart)]


def test_what_only_the_remote_has_is_listed():
    rows = compare([here()], [there(), there(transaction_id=71, start_time_raw="later")])
    assert [(row["verdict"], row["remote_tx"]) for row in rows] == [
        ("equal", 70),
        ("only there", 71),
    ]


def test_without_figures_of_the_remote_only_its_answers_are_told():
    rows = compare(
        [here(), here(pending=1), here(remote_tx=None), here(dead=3)],
        None,
    )
    assert [row["verdict"] for row in rows] == ["answered", "waiting", "never sent", "dead letters"]
    assert all(row["remote_wh"] is None and row["difference_wh"] is None for row in rows)


def test_sums_are_of_what_ended_on_both_sides():
    rows = compare(
        [
            here(),
            here(local_tx=8, remote_tx=71, energy_wh=500),
            here(local_tx=9, remote_tx=None, start_time_raw="x"),
        ],
        [there(energy_wh=2_990), there(transaction_id=71, energy_wh=510, start_time_raw="y")],
    )
    assert sums(rows) == {
        "verdicts": {"differs": 2, "never sent": 1},
        "local_wh": 3_500,
        "remote_wh": 3_500,
        "apart_wh": 20,
    }
