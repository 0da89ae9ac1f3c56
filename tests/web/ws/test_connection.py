"""Connections over real sockets: close codes, pings, slow readers, callbacks that fail."""

from __future__ import annotations

import struct
from typing import Any

import gevent
import pytest
from gevent import socket

from gway.web.ws import Accept, Engine, Pace, frames
from gway.web.ws.streams import take_over

CLOSE, PING, PONG, TEXT = frames.CLOSE, frames.PING, frames.PONG, frames.TEXT


def client_frame(opcode: int, payload: bytes = b"", fin: bool = True) -> bytes:
    return frames.encode(opcode, payload, fin=fin, masked=True)


# --- close codes, in the manner of the Autobahn test suite --------------------

ENDINGS = {
    "nothing said": (client_frame(CLOSE), 1005),
    "normal": (frames.encode_close(1000, "bye", masked=True), 1000),
    "own code": (frames.encode_close(4321, masked=True), 4321),
    "code that may not be sent": (client_frame(CLOSE, struct.pack(">H", 1006)), 1002),
    "half a code": (client_frame(CLOSE, b"\x03"), 1002),
    "garbled reason": (client_frame(CLOSE, b"\x03\xe8\xff\xfe"), 1007),
    "unmasked": (frames.encode(TEXT, b"x"), 1002),
    "reserved bits": (b"\xc1\x80abcd", 1002),
    "unknown opcode": (client_frame(0x5), 1002),
    "fragmented ping": (client_frame(PING, fin=False), 1002),
    "long ping": (client_frame(PING, b"x" * 126), 1002),
    "continuation of nothing": (client_frame(frames.CONTINUATION, b"x"), 1002),
    "message inside a message": (client_frame(TEXT, b"a", fin=False) * 2, 1002),
    "binary": (client_frame(frames.BINARY, b"x"), 1003),
    "invalid UTF-8": (client_frame(TEXT, b"\xff"), 1007),
    "invalid UTF-8 over fragments": (
        client_frame(TEXT, b"\xe2\x82", fin=False) + client_frame(frames.CONTINUATION, b"x"),
        1007,
    ),
    "too large": (b"\x81\xff" + struct.pack(">Q", 1 << 20 | 1) + b"abcd", 1009),
}


@pytest.mark.parametrize(("data", "code"), ENDINGS.values(), ids=ENDINGS)
def test_every_ending_has_its_close_code(
    meet: Any, desk: Any, until: Any, data: bytes, code: int
) -> None:
    peer = meet(desk, answers=False)
    peer.send(data)
    assert peer.farewell()[0] == code
    peer.close()
    until(lambda: desk.ends)
    assert [ended for ended, _ in desk.ends] == [code]
    assert desk.texts == []


def test_a_message_that_came_before_a_fault_is_served(meet: Any, desk: Any) -> None:
    peer = meet(desk)
    peer.send(client_frame(TEXT, b"good"), frames.encode(TEXT, b"bad"))
    assert peer.farewell()[0] == 1002
    assert desk.texts == [b"good"]


def test_nothing_is_heard_after_the_peer_has_closed(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk)
    peer.send(frames.encode_close(1000, masked=True), client_frame(TEXT, b"late"))
    assert peer.farewell() == (1000, "")
    assert until(lambda: desk.ends) == [(1000, "")]
    assert desk.texts == []


def test_a_peer_that_vanishes_ends_with_1006(meet: Any, desk: Any, until: Any) -> None:
    meet(desk).close()
    until(lambda: desk.ends)
    assert [code for code, _ in desk.ends] == [1006]
    assert not desk.connections[0].open


def test_our_close_sends_what_is_queued_first(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk)
    connection = desk.connections[0]
    for index in range(5):
        connection.send(f"{index}" * 100_000)
    connection.close(1008, "replaced")
    assert desk.ends == [], "on_close ran inside close()"
    assert [peer.message()[0] for _ in range(5)] == list("01234")
    assert peer.farewell() == (1008, "replaced")
    assert until(lambda: desk.ends) == [(1008, "replaced")]
    until(lambda: not connection._engine.connections)


def test_closing_twice_or_sending_after_it_does_nothing(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk)
    connection = desk.connections[0]
    connection.close(1000, "first")
    connection.close(1011, "second")
    connection.send("late")
    assert peer.farewell() == (1000, "first")
    until(lambda: not connection._engine.connections)
    connection.abort("third")
    gevent.idle()
    assert desk.ends == [(1000, "first")]


def test_a_peer_that_ignores_our_close_is_dropped(serve: Any, peers: Any, desk: Any) -> None:
    server = serve(desk, pace=Pace(close_timeout_s=0.1))
    peer = peers(server.ws_port, answers=False)
    peer.ask()
    desk.connections[0].close(1001)
    assert peer.farewell() == (1001, "")
    assert server.door.count == 0


# --- what owners do -----------------------------------------------------------


def test_a_message_may_be_text_or_bytes(meet: Any, desk: Any) -> None:
    peer = meet(desk)
    desk.connections[0].send("höflich")
    desk.connections[0].send("höflich".encode())
    assert [peer.message(), peer.message()] == ["höflich", "höflich"]


def test_an_owner_that_fails_closes_its_connection_with_1011(
    meet: Any, desk: Any, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    peer = meet(desk)
    desk.connections[0].on_text = lambda message: 1 / 0
    peer.text("x")
    assert peer.farewell() == (1011, "internal error")
    assert until(lambda: desk.ends) == [(1011, "internal error")]
    assert "ZeroDivisionError" in caplog.text


def test_an_owner_that_fails_while_opening_closes_with_1011(
    meet: Any, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(connection: Any) -> None:
        raise RuntimeError("no desk free")

    assert meet(lambda upgrade: Accept(None, fail)).farewell() == (1011, "internal error")
    assert "no desk free" in caplog.text


def test_an_on_close_that_fails_is_logged(
    meet: Any, desk: Any, until: Any, caplog: pytest.LogCaptureFixture
) -> None:
    peer = meet(desk)
    desk.connections[0].on_close = lambda code, reason: 1 / 0
    peer.close()
    until(lambda: "on_close failed" in caplog.text)


def test_many_greenlets_may_send_to_a_slow_reader(meet: Any, desk: Any) -> None:
    peer = meet(desk)
    send = desk.connections[0].send
    letters = "abcdefgh"
    gevent.joinall([gevent.spawn(send, letter * 100_000) for letter in letters], raise_error=True)
    got = [peer.message() for _ in letters]
    assert sorted(got) == [letter * 100_000 for letter in letters]


def test_answers_to_messages_that_came_together_keep_their_order(meet: Any) -> None:
    peer = meet()
    numbers = [str(number) for number in range(300)]
    peer.send(*(client_frame(TEXT, number.encode()) for number in numbers))
    assert [peer.message() for _ in numbers] == numbers


def test_one_connection_gets_one_turn_at_a_time(serve: Any, peers: Any) -> None:
    order: list[str] = []

    def endpoint(upgrade: Any) -> Accept:
        def on_open(connection: Any) -> None:
            connection.on_text = lambda message: order.append(upgrade.rest)

        return Accept(None, on_open)

    server = serve(endpoint, pace=Pace(messages_per_turn=8))
    busy, quiet = peers(server.ws_port), peers(server.ws_port)
    busy.ask("/busy")
    quiet.ask("/quiet")
    busy.send(client_frame(TEXT, b"x") * 5000)
    quiet.text("x")
    with gevent.Timeout(20):
        while order.count("busy") < 5000 or "quiet" not in order:
            gevent.sleep(0.001)
    assert order.index("quiet") < 4000


def test_a_paused_connection_reads_on_where_it_stopped(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk)
    connection = desk.connections[0]

    def take_one(message: Any) -> None:
        desk.texts.append(message)
        connection.pause()

    connection.on_text = take_one
    peer.send(*(client_frame(TEXT, text) for text in (b"1", b"2", b"3")))
    until(lambda: desk.texts)
    peer.text("4")
    gevent.idle()
    assert desk.texts == [b"1"]
    for count in (2, 3, 4):
        connection.resume()
        until(lambda count=count: len(desk.texts) == count)
    assert desk.texts == [b"1", b"2", b"3", b"4"]


# --- pings --------------------------------------------------------------------

QUICK = Pace(ping_interval_s=0.05, drain_timeout_s=0.05)


def test_a_ping_comes_back_and_its_round_trip_is_known(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk, pace=QUICK)
    peer.attend()
    rtt_s = until(lambda: desk.connections[0].rtt_s)
    assert 0 < rtt_s < 5


def test_two_missed_pings_close_with_1011(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk, pace=QUICK, answers=False)
    assert peer.farewell() == (1011, "no answer to pings")
    assert until(lambda: desk.ends) == [(1011, "no answer to pings")]


def test_a_dead_peer_is_forgotten(serve: Any, peers: Any, until: Any) -> None:
    server = serve(pace=QUICK)
    peers(server.ws_port).ask()
    assert server.door.count == 1
    until(lambda: server.door.count == 0)


def test_whoever_sends_is_alive_without_pongs(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk, pace=QUICK, answers=False)
    pings = 0
    while pings < 6:
        frame = peer.frame()
        assert frame.opcode == PING
        pings += 1
        peer.text("busy")
    assert desk.connections[0].open


def test_pings_can_be_turned_off_for_one_connection(serve: Any, peers: Any, desk: Any) -> None:
    server = serve(desk, pace=QUICK)
    spared, pinged = (peers(server.ws_port, answers=False) for _ in range(2))
    spared.ask()
    desk.connections[0].ping_interval_s = 0
    pinged.ask()
    assert pinged.farewell()[0] == 1011
    desk.connections[0].send("only this")
    assert spared.message() == "only this"


def test_pings_are_answered_with_their_payload(meet: Any) -> None:
    peer = meet()
    peer.send(client_frame(PING, b"payload"))
    frame = peer.frame()
    assert (frame.opcode, bytes(frame.data)) == (PONG, b"payload")


def test_a_foreign_pong_is_no_answer(meet: Any, desk: Any) -> None:
    peer = meet(desk)
    peer.send(client_frame(PONG, b"never asked"), client_frame(PING))
    peer.frame()
    assert desk.connections[0].rtt_s is None


def test_a_probe_learns_whether_the_peer_answers(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk)
    told: list[bool] = []
    desk.connections[0].probe(5, told.append)
    peer.attend()
    until(lambda: told)
    peer.answers = False
    desk.connections[0].probe(0.05, told.append)
    until(lambda: len(told) == 2)
    assert told == [True, False]
    assert desk.connections[0].open


def test_a_probe_of_a_lost_connection_is_answered_no(meet: Any, desk: Any, until: Any) -> None:
    peer = meet(desk, answers=False)
    told: list[bool] = []
    desk.connections[0].probe(60, told.append)
    peer.close()
    until(lambda: told)
    desk.connections[0].probe(60, told.append)
    until(lambda: len(told) == 2)
    assert told == [False, False]


# --- the other role -----------------------------------------------------------


def test_the_engine_speaks_as_a_client_too(serve: Any, peers: Any, until: Any) -> None:
    peer = peers(serve().ws_port)
    peer.ask()
    engine, got, ends = Engine(), [], []

    def on_open(connection: Any) -> None:
        connection.on_text = got.append
        connection.on_close = lambda code, reason: ends.append(code)

    connection = engine.adopt(take_over(peer.sock), on_open, client=True)
    connection.send("masked")
    assert until(lambda: got) == [b"masked"]
    connection.close(1000)
    until(lambda: not engine.connections)
    assert ends == [1000]


def test_a_socket_pair_makes_two_connections() -> None:
    engine = Engine()
    left, right = socket.socketpair()
    heard: list[Any] = []
    engine.adopt(take_over(left), lambda end: setattr(end, "on_text", heard.append))
    other = engine.adopt(take_over(right), lambda end: None, client=True)
    other.send("across")
    with gevent.Timeout(20):
        while not heard:
            gevent.sleep(0.001)
    assert heard == [b"across"]
    engine.abort_all()
    assert not engine.connections


def test_defaults_are_those_of_the_specification() -> None:
    pace = Pace()
    assert (pace.message_bytes, pace.ping_interval_s, pace.missed_pings) == (1 << 20, 30, 2)
    assert (pace.frame_timeout_s, pace.write_timeout_s) == (30, 10)
    assert (pace.outbox_messages, pace.outbox_bytes) == (64, 1 << 20)
    assert pace.close_timeout_s <= 5
