"""A site and its remote as two processes: what chargers do here arrives there, once."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.flag("proxy")

T1 = "2026-03-01T09:00:00Z"


def test_a_whole_session_arrives_with_its_own_words_and_another_id(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    started = charger.start(1_000)
    charger.values(started, 1_500, 2_500)
    charger.stop(started, 4_000, T1)
    eventually(sites.drained, 10)
    from tests.projects.ocpp.proxy.conftest import story

    assert story(sites.local) == story(sites.remote)
    assert len(story(sites.local)) == 1
