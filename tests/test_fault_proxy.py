"""The proxy that other tests rely on fails just as it is told."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import ConnectionClosed, InvalidMessage
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.fault_proxy import FaultProxy


@pytest.fixture
def proxy() -> Iterator[FaultProxy]:
    """A proxy in front of a server that says everything back."""

    def echo(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            for message in connection:
                connection.send(message)

    server = serve(echo, "127.0.0.1", 0)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    made = FaultProxy(server.socket.getsockname()[1])
    yield made
    made.close()
    server.shutdown()
    thread.join(5)


@pytest.fixture
def client(proxy: FaultProxy) -> Iterator[ClientConnection]:
    options = {"compression": None, "ping_interval": None, "close_timeout": 0.2}
    with connect(f"ws://127.0.0.1:{proxy.port}/", **options) as made:
        yield made


def said_back(client: ClientConnection, word: str, timeout_s: float = 5.0) -> bool:
    client.send(word)
    return client.recv(timeout_s) == word


def test_a_healthy_proxy_passes_frames_of_every_length(client):
    for size in (1, 125, 126, 65_535, 65_536, 200_000):
        assert said_back(client, "x" * size)


def test_a_cut_ends_connections_and_a_partition_lets_none_in_until_it_heals(proxy, client):
    assert said_back(client, "before")
    proxy.partition()
    with pytest.raises(ConnectionClosed):
        client.recv(5)
    with pytest.raises((InvalidMessage, ConnectionClosed, OSError)):
        connect(f"ws://127.0.0.1:{proxy.port}/").__enter__()
    proxy.heal()
    with connect(f"ws://127.0.0.1:{proxy.port}/") as again:
        assert said_back(again, "after")
    assert proxy.connects == 3


def test_a_black_hole_keeps_everything_back_and_loses_nothing(proxy, client):
    proxy.black_hole()
    client.send("held")
    with pytest.raises(TimeoutError):
        client.recv(0.1)
    proxy.heal()
    assert client.recv(5) == "held"


def test_a_half_closed_connection_still_takes_what_goes_the_other_way(proxy, client):
    assert said_back(client, "before")
    seen = proxy.hold(lambda way, text: way == "up" and text == "still heard")
    proxy.half_close("down")
    with pytest.raises(ConnectionClosed):
        client.recv(5)
    with pytest.raises(ConnectionClosed):
        client.send("still heard")  # the library hears the end and speaks no more
    assert seen.text == ""


def test_delay_and_throttle_make_each_frame_late(proxy, client):
    assert said_back(client, "fast")
    for fault in ({"delay_s": 0.1}, {"bytes_per_s": 1_000.0}):
        for name, value in fault.items():
            setattr(proxy, name, value)
        began = time.monotonic()
        assert said_back(client, "x" * 100)
        assert time.monotonic() - began >= 0.2
        proxy.heal()


def test_a_frame_is_held_until_it_is_let_go_and_the_client_can_be_asked_what_it_read(proxy, client):
    held = proxy.hold(lambda way, text: way == "down" and text == "answer")
    client.send("other")
    client.send("answer")
    assert held.wait() == "answer"
    assert client.recv(5) == "other"
    with pytest.raises(TimeoutError):
        client.recv(0.05)
    held.let_go()
    assert client.recv(5) == "answer"
    assert held.pipe is not None
    held.pipe.ping_client()


def test_what_is_held_at_a_cut_never_arrives(proxy, client):
    held = proxy.hold(lambda way, text: way == "up")
    client.send("lost")
    held.wait()
    proxy.cut()
    with pytest.raises(ConnectionClosed):
        client.recv(5)
