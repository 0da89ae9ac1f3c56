"""What a load generator writes and reads: handshakes, masked frames, OCPP calls.

Frames are masked with a key of four zero bytes. RFC 6455 §5.3 allows any key, a
server unmasks with it as with any other, and the bytes of a frame that is ready to
send can then be patched in place: a new message id costs a slice assignment.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import struct
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

ZERO_MASK = b"\0\0\0\0"
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 0x1, 0x8, 0x9, 0xA

SMALL_BYTES = 57  # a Heartbeat call whose message id is a UUID
LARGE_BYTES = 1024


def upgrade_request(
    host: str, port: int, path: str, subprotocol: str | None, credentials: str = ""
) -> bytes:
    """Build the HTTP request that opens a WebSocket.

    :param credentials: user and password for Basic authentication, with a colon between
    """
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: {host}:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    if credentials:
        lines.append(f"Authorization: Basic {base64.b64encode(credentials.encode()).decode()}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def accept_key(key: bytes) -> bytes:
    """Answer a Sec-WebSocket-Key (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + GUID).digest())


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Build a whole masked frame around a payload."""
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
    elif size < 65536:
        head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
    return head + ZERO_MASK + payload


def frame_size(data: bytes | bytearray | memoryview) -> tuple[int, int]:
    """Tell the length of an unmasked frame's header and of its payload.

    :return: (0, 0) when the header is not whole yet
    """
    if len(data) < 2:
        return 0, 0
    size = data[1]
    if size < 126:
        return 2, size
    if size == 126:
        return (4, data[2] << 8 | data[3]) if len(data) >= 4 else (0, 0)
    return (10, int.from_bytes(data[2:10], "big")) if len(data) >= 10 else (0, 0)


def now() -> datetime:
    """Tell the time, in UTC."""
    return datetime.now(UTC)


def ocpp_time(moment: datetime) -> str:
    """Write a time as OCPP does: UTC, `Z`, three decimals."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def call(message_id: str, action: str, payload: object) -> bytes:
    """Write a CALL in compact JSON."""
    return json.dumps([2, message_id, action, payload], separators=(",", ":")).encode()


def first_id(index: int) -> str:
    """Give charger number `index` a message id as long as a UUID."""
    return f"{index:08x}-0000-4000-8000-000000000000"


class Message:
    """One charger's message, ready to send and cheap to make new.

    :param payload: the text as sent first
    :param slots: the words in it that are new each time
    :param answer: the first two bytes of a good answer's payload
    """

    __slots__ = ("answer", "frame", "slots")

    def __init__(self, payload: bytes, slots: tuple[bytes, ...], answer: bytes) -> None:
        self.frame = bytearray(client_frame(payload))
        self.answer = answer
        self.slots: list[slice] = []
        for word in slots:
            at = self.frame.rindex(word)
            self.slots.append(slice(at, at + len(word)))


class Script:
    """The messages of a whole fleet: what each charger says, over and over.

    `steps(k)` gives the words that message number k of every charger has in its
    slots; they are computed once and shared.
    """

    def __init__(
        self,
        messages: list[Message],
        step: Callable[[int], tuple[bytes, ...]],
        *,
        begin: int = 0,
    ) -> None:
        self.messages = messages
        self._step = step
        self._ready: list[tuple[bytes, ...]] = []
        self.begin = begin

    def step(self, number: int) -> tuple[bytes, ...]:
        ready = self._ready
        while len(ready) <= number:
            ready.append(self._step(len(ready)))
        return ready[number]


def _id_tail(number: int) -> bytes:
    return b"%012x" % number


FIRST_TAIL = _id_tail(0)


def heartbeats(size: int, *, answer: bytes = b"[3") -> Script:
    """Make Heartbeats of 57 bytes; to an echo they are just text."""
    messages = [
        Message(call(first_id(index), "Heartbeat", {}), (FIRST_TAIL,), answer)
        for index in range(size)
    ]
    return Script(messages, lambda number: (_id_tail(number + 1),))


def meter_values(transaction_ids: list[int], *, answer: bytes = b"[3") -> Script:
    """Make MeterValues of 1,024 bytes, one transaction for each charger.

    Every message has its own id, time and energy register, so that none of them is
    a repetition that a server may drop.
    """
    begin = datetime.now(UTC)
    first_time, first_energy = ocpp_time(begin), "10000000"
    messages = []
    for index, transaction_id in enumerate(transaction_ids):
        text = _meter_values(first_id(index), transaction_id, first_time, first_energy)
        slots = (FIRST_TAIL, first_time.encode(), first_energy.encode())
        messages.append(Message(text, slots, answer))

    def step(number: int) -> tuple[bytes, ...]:
        moment = begin + timedelta(milliseconds=number + 1)
        return _id_tail(number + 1), ocpp_time(moment).encode(), b"%d" % (10000001 + number)

    return Script(messages, step)


def _meter_values(message_id: str, transaction_id: int, moment: str, energy: str) -> bytes:
    def text(filling: str) -> bytes:
        samples = [
            {
                "value": energy,
                "context": "Sample.Periodic",
                "measurand": "Energy.Active.Import.Register",
                "unit": "Wh",
            },
            {"value": "11", "measurand": "Power.Active.Import", "unit": "kW"},
            *(
                {
                    "value": value,
                    "context": "Sample.Periodic",
                    "measurand": measurand,
                    "phase": phase,
                    "unit": unit,
                }
                for measurand, unit, values in (
                    ("Current.Import", "A", ("16.01", "15.98", "16.00")),
                    ("Voltage", "V", ("230.1", "229.8", "230.4")),
                )
                for value, phase in zip(values, ("L1", "L2", "L3"), strict=True)
            ),
            {"value": "31.0", "measurand": "Temperature", "unit": "Celsius"},
            {"value": "55." + filling, "measurand": "SoC", "unit": "Percent"},
        ]
        value = [{"timestamp": moment, "sampledValue": samples}]
        payload = {"connectorId": 1, "transactionId": transaction_id, "meterValue": value}
        return call(message_id, "MeterValues", payload)

    return text("0" * (LARGE_BYTES - len(text(""))))
