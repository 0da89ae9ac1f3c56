"""Frames, judged by the RFC's table of faults and by the `websockets` package."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import CLIENT, SERVER, Protocol

from gway.web.ws import frames
from gway.web.ws.frames import Parser, ProtocolError, encode, encode_close, mask, parse_close

LIMIT = 4096


def client_frame(opcode: int, payload: bytes = b"", fin: bool = True, rsv: int = 0) -> bytes:
    data = encode(opcode, payload, fin=fin, masked=True)
    return bytes((data[0] | rsv << 4,)) + data[1:]


def outcome(chunks: Iterable[bytes], masked: bool = True) -> tuple[list[tuple[int, bytes]], int]:
    """Parse chunks; return the events and the close code of the failure, or 0."""
    parser = Parser(masked=masked, limit=LIMIT)
    events = []
    try:
        for chunk in chunks:
            parser.feed(chunk)
            while (event := parser.next()) is not None:
                events.append(event)
    except ProtocolError as error:
        return events, error.code
    return events, 0


# --- faults, each with its close code ----------------------------------------

FAULTS = {
    "an unmasked frame": (encode(frames.TEXT, b"x"), 1002),
    "first reserved bit": (client_frame(frames.TEXT, b"x", rsv=4), 1002),
    "second reserved bit": (client_frame(frames.TEXT, b"x", rsv=2), 1002),
    "third reserved bit": (client_frame(frames.PING, b"x", rsv=1), 1002),
    "reserved data opcode": (client_frame(0x3, b"x"), 1002),
    "last reserved data opcode": (client_frame(0x7), 1002),
    "reserved control opcode": (client_frame(0xB, b"x"), 1002),
    "last reserved control opcode": (client_frame(0xF), 1002),
    "fragmented ping": (client_frame(frames.PING, b"x", fin=False), 1002),
    "fragmented close": (client_frame(frames.CLOSE, b"", fin=False), 1002),
    "ping of 126 bytes": (client_frame(frames.PING, b"x" * 126), 1002),
    "close of 70,000 bytes": (client_frame(frames.CLOSE, b"x" * 70_000), 1002),
    "continuation of nothing": (client_frame(frames.CONTINUATION, b"x"), 1002),
    "last continuation of nothing": (client_frame(frames.CONTINUATION, b"x", fin=False), 1002),
    "message inside a message": (client_frame(frames.TEXT, b"a", fin=False) * 2, 1002),
    "binary": (client_frame(frames.BINARY, b"x"), 1003),
    "first fragment of binary": (client_frame(frames.BINARY, b"x", fin=False), 1003),
    "invalid UTF-8": (client_frame(frames.TEXT, b"a\xff"), 1007),
    "surrogate in UTF-8": (
        client_frame(frames.TEXT, "\ud800".encode("utf-8", "surrogatepass")),
        1007,
    ),
    "overlong UTF-8": (client_frame(frames.TEXT, b"\xc0\x80"), 1007),
    "UTF-8 cut off by the end": (client_frame(frames.TEXT, "€".encode()[:2]), 1007),
    "one byte over the limit": (client_frame(frames.TEXT, b"x" * (LIMIT + 1)), 1009),
    "4 GiB announced, nothing sent": (b"\x81\xff" + struct.pack(">Q", 1 << 32), 1009),
    "length with its highest bit set": (b"\x81\xff" + struct.pack(">Q", 1 << 63), 1002),
    "fragments over the limit": (
        client_frame(frames.TEXT, b"x" * LIMIT, fin=False)
        + client_frame(frames.CONTINUATION, b"x", fin=False),
        1009,
    ),
}


@pytest.mark.parametrize(("data", "code"), FAULTS.values(), ids=FAULTS)
def test_a_fault_ends_in_its_close_code(data: bytes, code: int) -> None:
    assert outcome([data]) == ([], code)


def test_a_client_does_not_take_masked_frames() -> None:
    assert outcome([client_frame(frames.TEXT, b"x")], masked=False) == ([], 1002)
    assert outcome([encode(frames.TEXT, b"x")], masked=False) == ([(frames.TEXT, b"x")], 0)


def test_what_came_before_a_fault_is_still_told() -> None:
    events, code = outcome([client_frame(frames.TEXT, b"good") + encode(frames.TEXT, b"bad")])
    assert (events, code) == ([(frames.TEXT, b"good")], 1002)


def test_a_size_is_judged_before_the_payload_comes() -> None:
    assert outcome([client_frame(frames.TEXT, b"x" * (LIMIT + 1))[:4]]) == ([], 1009)


def test_control_frames_may_come_between_fragments() -> None:
    data = (
        client_frame(frames.TEXT, b"a", fin=False)
        + client_frame(frames.PING, b"p")
        + client_frame(frames.CONTINUATION, "€".encode()[:1], fin=False)
        + client_frame(frames.PONG)
        + client_frame(frames.CONTINUATION, "€".encode()[1:])
    )
    expected = [(frames.PING, b"p"), (frames.PONG, b""), (frames.TEXT, "a€".encode())]
    assert outcome([data]) == (expected, 0)


def test_fragments_of_one_byte_cost_no_more_than_their_bytes() -> None:
    parser = Parser(masked=True, limit=LIMIT)
    parser.feed(client_frame(frames.TEXT, b"", fin=False))
    for payload in (b"x", b"") * 2000:
        parser.feed(client_frame(frames.CONTINUATION, payload, fin=False))
        assert parser.next() is None
    parser.feed(client_frame(frames.CONTINUATION))
    assert parser.next() == (frames.TEXT, b"x" * 2000)


def test_a_large_message_may_come_byte_by_byte() -> None:
    data = client_frame(frames.TEXT, b"x" * 300_000)
    parser = Parser(masked=True)
    begun = time.process_time()
    for index in range(len(data)):
        parser.feed(data[index : index + 1])
        event = parser.next()
    assert event == (frames.TEXT, b"x" * 300_000)
    assert time.process_time() - begun < 5, "the time grows with the square of the size"


def test_a_parser_knows_when_it_is_in_the_middle() -> None:
    parser = Parser(masked=True)
    data = client_frame(frames.TEXT, b"x", fin=False)
    parser.feed(data[:3])
    assert parser.next() is None
    assert (parser.partial, parser.fragmented) == (True, False)
    parser.feed(data[3:])
    assert parser.next() is None
    assert (parser.partial, parser.fragmented) == (True, True)
    parser.feed(client_frame(frames.CONTINUATION))
    assert parser.next() is not None
    assert (parser.partial, parser.fragmented) == (False, False)


# --- against the oracle ------------------------------------------------------

utf8 = st.text(max_size=400).map(str.encode)
texts = st.one_of(utf8, st.binary(max_size=300))
sizes = st.sampled_from([0, 1, 124, 125, 126, 127, 128, 1000, LIMIT - 1, LIMIT, LIMIT + 1])
sized = sizes.map(lambda size: b"s" * size)
legal = st.one_of(
    st.tuples(st.just(frames.TEXT), st.one_of(utf8, sized), st.booleans()),
    st.tuples(st.just(frames.CONTINUATION), st.one_of(utf8, sized), st.booleans()),
    st.tuples(st.sampled_from([frames.PING, frames.PONG]), st.binary(max_size=125), st.just(True)),
)
anything = st.tuples(st.integers(0, 15).filter(lambda op: op not in (2, 8)), texts, st.booleans())
reserved = st.sampled_from([0] * 12 + [1, 2, 4])


def oracle(data: bytes) -> tuple[list[tuple[int, bytes]], int]:
    """Say what the `websockets` package makes of it.

    It leaves the check of UTF-8 to others, and inside a message it lets control frames count
    towards the limit; so both are added here.
    """
    protocol = Protocol(SERVER, max_size=None)
    protocol.receive_data(data)
    events: list[tuple[int, bytes]] = []
    message = b""
    for frame in protocol.events_received():
        if frame.opcode in (Opcode.PING, Opcode.PONG):
            events.append((int(frame.opcode), bytes(frame.data)))
            continue
        message += frame.data
        if len(message) > LIMIT:
            return events, 1009
        if frame.fin:
            try:
                message.decode()
            except UnicodeDecodeError:
                return events, 1007
            events.append((frames.TEXT, message))
            message = b""
    failed = protocol.parser_exc is not None and protocol.close_sent
    return events, protocol.close_sent.code if failed and protocol.close_sent else 0


@given(st.lists(st.tuples(st.one_of(legal, legal, anything), reserved), max_size=8), st.data())
def test_the_parser_agrees_with_websockets(
    program: list[tuple[tuple[int, bytes, bool], int]], draw: st.DataObject
) -> None:
    data = b"".join(client_frame(*frame, rsv=rsv) for frame, rsv in program)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(data)), max_size=6)))
    chunks = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert outcome(chunks) == oracle(data)


@given(texts, st.integers(0, 3))
def test_the_short_way_and_the_long_way_say_the_same(payload: bytes, cut: int) -> None:
    data = client_frame(frames.TEXT, payload)
    data = data[: len(data) - cut]
    short, code = None, 0
    try:
        short = Parser(masked=True, limit=LIMIT).whole(data)
    except ProtocolError as error:
        code = error.code
    if short is not None or code:
        assert outcome([data]) == ([(frames.TEXT, short)] if short is not None else [], code)


def test_the_short_way_takes_every_ordinary_size() -> None:
    for size in (6, 125, 126, LIMIT):
        assert Parser(masked=True, limit=LIMIT).whole(client_frame(frames.TEXT, b"x" * size))
        assert Parser(masked=False, limit=LIMIT).whole(encode(frames.TEXT, b"x" * size))


def test_the_short_way_leaves_the_middle_of_a_message_alone() -> None:
    parser = Parser(masked=True)
    parser.feed(client_frame(frames.TEXT, b"a", fin=False))
    assert parser.next() is None
    assert parser.whole(client_frame(frames.TEXT, b"inside")) is None


@given(st.sampled_from([frames.TEXT, frames.PING, frames.CLOSE]), sized, st.booleans())
def test_websockets_reads_what_we_write(opcode: int, payload: bytes, masked: bool) -> None:
    if opcode != frames.TEXT:
        payload = payload[:125]
    if opcode == frames.CLOSE:
        payload = b"\x03\xe8" + payload[2:]
    protocol = Protocol(SERVER if masked else CLIENT)
    protocol.receive_data(encode(opcode, payload, masked=masked))
    assert protocol.events_received() == [Frame(Opcode(opcode), payload)]


@given(
    st.one_of(st.binary(max_size=300), st.binary(min_size=4090, max_size=9000)),
    st.binary(min_size=4, max_size=4),
)
def test_masking_is_what_the_rfc_says(payload: bytes, key: bytes) -> None:
    expected = bytes(byte ^ key[index % 4] for index, byte in enumerate(payload))
    assert mask(payload, key) == expected


# --- close frames ------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1011, 1012, 3000, 4999])
def test_a_close_frame_carries_code_and_reason(code: int) -> None:
    assert parse_close(encode_close(code, "why")[2:]) == (code, "why")


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000])
def test_a_code_that_may_not_be_sent_is_a_fault(code: int) -> None:
    with pytest.raises(ProtocolError) as caught:
        parse_close(struct.pack(">H", code))
    assert caught.value.code == 1002


def test_odd_close_payloads() -> None:
    assert parse_close(b"") == (1005, "")
    with pytest.raises(ProtocolError) as half:
        parse_close(b"\x03")
    assert half.value.code == 1002
    with pytest.raises(ProtocolError) as garbled:
        parse_close(b"\x03\xe8\xff")
    assert garbled.value.code == 1007


def test_a_long_reason_is_cut_between_characters() -> None:
    data = encode_close(1008, "€" * 100)
    assert len(data) <= 127
    assert parse_close(data[2:]) == (1008, "€" * 41)


def test_no_status_is_an_empty_close_frame() -> None:
    assert encode_close(1005) == b"\x88\x00"
