"""Shared fragments: compressed once, and only for browsers that take it."""

from __future__ import annotations

import gzip
from types import SimpleNamespace

import pytest

from gway.web.packing import SharedPage, fragment_reply, takes_gzip
from gway.web.page import Page

CARDS = "<li>Wallbox «Ost» 11 kW</li>" * 100


def asking(accepted: str) -> SimpleNamespace:
    return SimpleNamespace(header={"Accept-Encoding": accepted}.__getitem__)


def test_a_shared_fragment_is_compressed_once_for_all_who_take_that():
    page = SharedPage.of(Page(CARDS, title="Chargers", status=200))
    first, second = (fragment_reply(asking("gzip, deflate, br"), page) for _ in range(2))
    assert first.body is second.body
    assert gzip.decompress(first.body).decode() == CARDS
    assert ("Content-Encoding", "gzip") in first.headers
    assert ("Vary", "Accept-Encoding") in first.headers
    assert len(first.body) < len(CARDS) / 10


def test_others_get_it_as_it_is():
    plain = fragment_reply(asking("identity"), SharedPage.of(Page(CARDS)))
    assert (plain.body, plain.headers) == (CARDS.encode(), [("Vary", "Accept-Encoding")])


def test_what_is_not_shared_is_never_compressed():
    reply = fragment_reply(asking("gzip"), Page(CARDS, status=404))
    assert (reply.body, reply.status, reply.headers) == (CARDS, 404, [])


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        ("gzip", True),
        ("br, GZIP ; q=0.5", True),
        ("gzip;q=0", False),
        ("gzip; q=0.0", False),
        ("", False),
        ("x-gzip2, br", False),
    ],
)
def test_a_browser_says_whether_it_takes_gzip(accepted, takes):
    assert takes_gzip(accepted) is takes
