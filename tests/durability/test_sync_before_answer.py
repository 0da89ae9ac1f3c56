"""The system calls of one StartTransaction: written, synced, and only then answered."""

from __future__ import annotations

import shutil

import pytest
from durability_charger import Charger
from durability_trace import COMMAND, answered_after_sync, read_trace

pytestmark = [
    pytest.mark.flag("durability"),
    pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed"),
]


def start_under_strace(make_site, tmp_path, *plants: str) -> bool:
    """Start one transaction; tell whether its row was synced before its answer."""
    trace = tmp_path / "trace"
    site = make_site(wrapper=(*COMMAND, str(trace)), plants=plants)
    with Charger("TRACED", site, seed=0) as charger:
        charger.say("Heartbeat", {})
        session = charger.start_session(1)
    assert session.transaction_id > 0
    site.kill()
    return answered_after_sync(read_trace(trace), session.start_time, charger.last_message_id)


def test_a_start_is_synced_to_disk_before_it_is_answered(make_site, tmp_path):
    assert start_under_strace(make_site, tmp_path)


def test_the_trace_would_show_an_answer_that_comes_first(make_site, tmp_path):
    assert not start_under_strace(make_site, tmp_path, "slow-commit", "answer-before-commit")
