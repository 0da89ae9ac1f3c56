"""Another program that holds the database delays money, and nothing else."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing

import pytest
from durability_charger import Charger

pytestmark = pytest.mark.flag("durability")

HELD_S = 3.0


def test_a_lock_of_three_seconds_delays_no_heartbeat_by_more_than_100_ms(make_site, eventually):
    site = make_site()
    delays = []
    with (
        Charger("BEATING", site, seed=0) as beating,
        Charger("PAYING", site, seed=0) as paying,
        closing(sqlite3.connect(site.database, isolation_level=None)) as other,
    ):
        for charger in (beating, paying):
            charger.say("Heartbeat", {})
        payment = threading.Thread(target=paying.start_session, args=(1,))
        other.execute("BEGIN IMMEDIATE")
        payment.start()
        until = time.monotonic() + HELD_S
        while (began := time.monotonic()) < until:
            beating.say("Heartbeat", {})
            delays.append(time.monotonic() - began)
        answered_while_locked = paying.sessions[0].transaction_id
        other.execute("COMMIT")
        eventually(lambda: paying.sessions[0].transaction_id)
        payment.join()
    assert max(delays) <= 0.1
    assert len(delays) > 100
    assert answered_while_locked == 0
    assert paying.repeats == 0
