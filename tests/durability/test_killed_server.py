"""A server that is killed, again and again, loses and doubles nothing it has answered."""

from __future__ import annotations

import pytest
from durability_ordeal import kill_often, losses

pytestmark = pytest.mark.flag("durability")


def test_thirty_kills_lose_no_answered_row_and_double_none(make_site):
    site = make_site()
    ordeal = kill_often(site, kills=30, seed=1)
    assert losses(site, ordeal) == []
    assert ordeal.repeats >= 30, "the kills hit nothing that was under way"
    assert len(ordeal.sessions) >= 60
    assert site.rows("PRAGMA integrity_check") == [{"integrity_check": "ok"}]


def test_a_slow_disk_alone_loses_nothing_either(make_site):
    site = make_site(plants=("slow-commit",))
    assert losses(site, kill_often(site, kills=4, seed=2)) == []


def find(make_site, word: str, plant: str) -> bool:
    """Kill a server with a planted bug until a difference of a kind shows; a few times."""
    for seed in range(3, 8):
        site = make_site(f"site{seed}", plants=("slow-commit", plant))
        found = losses(site, kill_often(site, kills=4, seed=seed))
        if any(line.startswith(word) for line in found):
            return True
    return False


def test_answering_before_the_commit_would_be_noticed(make_site):
    assert find(make_site, "lost:", "answer-before-commit")


def test_taking_repetitions_for_new_messages_would_be_noticed(make_site):
    assert find(make_site, "doubled:", "no-deduplication")
