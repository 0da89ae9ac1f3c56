"""The database that pages are timed on: the same for the same seed, and whole."""

from __future__ import annotations

import sqlite3

from benchmarks.pages_data import READINGS_EACH, SAMPLES_EACH, Volume, fill, sessions
from benchmarks.pages_volume import pages
from gway.projects.ocpp.data.check import COUNTS, RULES
from gway.projects.ocpp.data.samples import samples_of

SMALL = Volume(chargers=3, transactions=20)


def dump(path):
    connection = sqlite3.connect(path)
    try:
        return [line for line in connection.iterdump() if "gway_schema" not in line]
    finally:
        connection.close()


def test_the_same_seed_makes_the_same_database(tmp_path):
    for name in ("one", "two"):
        fill(tmp_path / name, SMALL)
    assert dump(tmp_path / "one") == dump(tmp_path / "two")
    assert sessions(SMALL) != sessions(Volume(chargers=3, transactions=20, seed=2))


def test_what_is_made_keeps_every_rule_of_the_store(tmp_path):
    fill(tmp_path / "made", SMALL)
    connection = sqlite3.connect(tmp_path / "made")
    broken = {rule: connection.execute(sql).fetchone()[0] for rule, sql in RULES.items()}
    assert set(broken.values()) == {0}, broken
    assert connection.execute(COUNTS["open transactions"]).fetchone() == (0,)
    counts = [
        connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("transactions", "readings", "chargers")
    ]
    assert counts == [20, 20 * READINGS_EACH, 3]
    (raw,) = connection.execute("SELECT raw FROM readings LIMIT 1").fetchone()
    assert len(list(samples_of(raw))) == SAMPLES_EACH
    connection.close()


def test_every_page_is_timed_once():
    addresses = [path for _, path in pages(Volume())]
    assert len(set(addresses)) == len(addresses) > 40
