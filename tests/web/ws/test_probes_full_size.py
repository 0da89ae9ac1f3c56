"""The probes that need crowds, at full size and with the deadlines of everyday use."""

from __future__ import annotations

import resource
import ssl
import time
from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from gevent.pool import Pool

from gway.web.ws import frames

pytestmark = pytest.mark.flag("slow")

CROWD = 500  # sockets for each way to be slow
ALIVE_S = 35.0
FILES = 8_000


@pytest.fixture(autouse=True)
def many_files() -> Iterator[None]:
    """Let this process, and the servers that it starts, have thousands of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def client_hello() -> bytes:
    """Make the first message of a TLS handshake."""
    context = ssl.create_default_context()
    sent = ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        context.wrap_bio(ssl.MemoryBIO(), sent, server_hostname="gateway.example").do_handshake()
    return sent.read()


def seconds_until_gone(peer: Any) -> float:
    """Tell how long the other end keeps a socket."""
    begun = time.monotonic()
    assert peer.gone(ALIVE_S), "still alive"
    return time.monotonic() - begun


def test_nothing_half_sent_is_alive_after_35_seconds(
    start_outside: Any, peers: Any, certificates: Any, until: Any
) -> None:
    plain, tls = start_outside(), start_outside("--tls", *certificates["ECDSA"])
    files = plain.process.num_fds(), tls.process.num_fds()
    heads = (b"", b"GET /known HT", b"GET /known HTTP/1.1\r\nHost: x\r\nUpg")
    hello = client_hello()
    hellos = (b"", hello[:3], hello[: len(hello) // 2], hello)
    frame = frames.encode(frames.TEXT, b"x" * 1000, masked=True)
    cuts = (1, 3, 7, 500)

    def begin(port: int, begin: bytes, *path: str) -> Any:
        peer = peers(port, answers=False)
        if path:
            assert peer.ask(*path).status == 101
        peer.send(begin)
        return gevent.spawn(seconds_until_gone, peer)

    crowds: dict[str, list[Any]] = {"frame": [], "handshake": [], "head": []}
    for number in range(CROWD):
        cut = cuts[number % len(cuts)]
        crowds["frame"].append(begin(plain.port, frame[:cut], "/known"))
        crowds["handshake"].append(begin(tls.port, hellos[number % len(hellos)]))
        crowds["head"].append(begin(plain.port, heads[number % len(heads)]))
    took_s = {kind: [one.get() for one in crowd] for kind, crowd in crowds.items()}
    # They were held until the deadline of their kind, so it was that which ended them.
    assert min(took_s["head"]) > 4
    assert min(took_s["handshake"]) > 8
    assert min(took_s["frame"]) > 25
    until(lambda: (plain.process.num_fds(), tls.process.num_fds()) <= files)


def test_2000_connections_of_one_address_keep_nobody_else_out(
    start_outside: Any, peers: Any, until: Any
) -> None:
    server = start_outside("--per-address", "1000")
    statuses: list[int] = []

    def knock(number: int) -> None:
        peer = peers(server.port)
        try:
            statuses.append(peer.ask(f"/known-{number}").status)
        except (AssertionError, OSError):  # hung up on without a word
            statuses.append(0)

    crowd = gevent.spawn(Pool(100).map, knock, range(2_000))
    until(lambda: len(statuses) > 1_100, 60)
    begun = time.monotonic()
    charger = peers(server.port, source="127.0.0.2")
    assert charger.ask("/known-charger").status == 101
    charger.text("in the crowd")
    assert charger.message() == "in the crowd"
    assert time.monotonic() - begun < 1
    crowd.get()
    assert statuses.count(101) == 1_000
    assert set(statuses) <= {0, 101, 429}
    charger.text("still in")
    assert charger.message() == "still in"
