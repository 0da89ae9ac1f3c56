"""The WebSocket that a charge point opens: what the other side may not do to it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from gway.projects.ocpp.evcs import link
from gway.projects.ocpp.evcs.link import LinkError, Target, WebSocketLink
from tests.projects.ocpp.proxy.floods import Flood, Flooding, message, welcome


@pytest.fixture
def side() -> Iterator[Callable[[Flood], Target]]:
    """Start a server that treats its clients as it is told; give how to get there."""
    made: list[Flooding] = []

    def start(talk: Flood) -> Target:
        made.append(Flooding(talk))
        return Target(f"ws://127.0.0.1:{made[-1].port}/ocpp/CP1")

    yield start
    for one in made:
        one.close()


def answers(text: bytes) -> Flood:
    return lambda client, _head: client.sendall(text)


def says(*frames: bytes) -> Flood:
    def talk(client: socket.socket, head: bytes) -> None:
        client.sendall(welcome(head) + b"".join(frames))
        while client.recv(4096):
            pass

    return talk


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_told_with_its_status(side, status):
    head = f"HTTP/1.1 {status} There\r\nLocation: ws://127.0.0.1:1/x\r\n\r\n"
    with pytest.raises(LinkError, match=r"another address, which is not followed") as refusal:
        WebSocketLink(side(answers(head.encode())))
    assert refusal.value.status == status


@pytest.mark.parametrize(
    "rest",
    [
        b"Content-Length: 0\r\n\r\n",
        b"Content-Length: 40000\r\n\r\n" + b"<p>" * 20_000,
        b"Content-Length: 40000\r\n\r\n<p>and no more",
        b"Content-Length: 9999999999999999999\r\n\r\n",
        b"no header at all\r\n\r\n",
    ],
)
def test_a_refusal_keeps_its_status_whatever_follows_it(side, rest):
    with pytest.raises(LinkError, match="HTTP 401: user name or password") as refusal:
        WebSocketLink(side(answers(b"HTTP/1.1 401 Unauthorized\r\n" + rest)))
    assert refusal.value.status == 401


def test_a_handshake_that_drips_in_ends_in_time(side, monkeypatch):
    monkeypatch.setattr(link, "TIMEOUT_S", 0.3)
    over = threading.Event()

    def drip(client: socket.socket, _head: bytes) -> None:
        with suppress(OSError):
            client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nX: ")
            while not over.wait(0.01):
                client.sendall(b"a")

    with pytest.raises(LinkError, match="does not finish its handshake") as refusal:
        WebSocketLink(side(drip))
    over.set()
    assert refusal.value.status == 0


def test_text_is_utf8(side):
    made = WebSocketLink(side(says(message("[\u20ac]".encode()), message(b"[\xff]"))))
    assert made.receive() == "[\u20ac]".encode()
    with pytest.raises(LinkError, match="not UTF-8"):
        made.receive()
    made.release()


def test_many_messages_are_taken_by_all_but_the_wary(side):
    many = side(says(message(b"[]") * 3_000))
    made = WebSocketLink(many)
    assert [made.receive() for _ in range(3_000)] == [b"[]"] * 3_000
    made.release()
    wary = WebSocketLink(many, wary=True)
    with pytest.raises(LinkError, match="more messages than can be meant"):
        _ = [wary.receive() for _ in range(3_000)]
    wary.release()


def test_a_message_in_parts_is_one(side):
    parts = (b"[\xe2\x82", b"\xac", b"]")
    frames = [message(parts[0], fin=False), message(parts[1], opcode=0, fin=False)]
    made = WebSocketLink(side(says(*frames, message(parts[2], opcode=0))))
    assert made.receive() == "[\u20ac]".encode()
    made.release()


def test_a_message_beyond_the_limit_is_not_read(side):
    made = WebSocketLink(side(says(message(b" " * (1 << 20)), message(b" " * ((1 << 20) + 1)))))
    assert len(made.receive() or b"") == 1 << 20
    with pytest.raises(LinkError, match="too long"):
        made.receive()
    made.release()
