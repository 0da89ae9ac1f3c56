"""Whose address counts when a reverse proxy stands in between."""

from __future__ import annotations

from typing import Any

import pytest

from gway.errors import UsageError
from gway.web.proxies import Proxies, came_through_a_proxy


def corrected(
    remote: str, forwarded: str = "", proto: str = "", trusted: str = ""
) -> tuple[str, str]:
    environ: dict[str, Any] = {"REMOTE_ADDR": remote, "wsgi.url_scheme": "http"}
    if forwarded:
        environ["HTTP_X_FORWARDED_FOR"] = forwarded
    if proto:
        environ["HTTP_X_FORWARDED_PROTO"] = proto
    Proxies(trusted.split()).correct(environ)
    return environ["REMOTE_ADDR"], environ["wsgi.url_scheme"]


def test_nobody_is_believed_unless_configured() -> None:
    assert corrected("192.0.2.1", "203.0.113.9", "https") == ("192.0.2.1", "http")
    assert corrected("192.0.2.1", "203.0.113.9", "https", "10.0.0.0/8") == ("192.0.2.1", "http")


@pytest.mark.parametrize(
    ("forwarded", "address"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("127.0.0.1, 203.0.113.9", "203.0.113.9"),  # the visitor wrote the first one
        ("203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("198.51.100.1, 203.0.113.9, 10.0.0.3, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.5, 10.0.0.2", "10.0.0.5"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::9]:4711", "2001:db8::9"),
        ("203.0.113.9, nonsense", "10.0.0.1"),
        ("", "10.0.0.1"),
        (" , ,", "10.0.0.1"),
    ],
)
def test_the_rightmost_hop_that_is_no_proxy_of_ours_is_the_visitor(
    forwarded: str, address: str
) -> None:
    assert corrected("10.0.0.1", forwarded, trusted="10.0.0.0/8")[0] == address


def test_the_proxy_says_what_was_encrypted() -> None:
    assert corrected("10.0.0.1", "192.0.2.9", "https", "10.0.0.1") == ("192.0.2.9", "https")
    assert corrected("10.0.0.1", "192.0.2.9", "http", "10.0.0.1") == ("192.0.2.9", "http")


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(UsageError, match="no address"):
        Proxies(["proxy.example"])


@pytest.mark.parametrize("name", ["X_FORWARDED_FOR", "FORWARDED", "X_REAL_IP"])
def test_what_was_passed_on_is_seen(name: str) -> None:
    assert came_through_a_proxy({f"HTTP_{name}": "for=192.0.2.1"})
    assert not came_through_a_proxy({"HTTP_HOST": "127.0.0.1"})
