"""Read and write RFC 6455 frames: pure, strict, for both roles, without any I/O.

A `Parser` is fed bytes as they come and hands out whole text messages and control
frames. Everything that a peer may not do ends in a `ProtocolError` that carries the
close code of the RFC. Sizes are judged from the header alone, so a peer that announces
4 GiB is refused before it has sent them.
"""

from __future__ import annotations

import functools
import os
import struct
from typing import Final

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE: Final = 0x8
PING: Final = 0x9
PONG: Final = 0xA

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
PROTOCOL_ERROR: Final = 1002
UNSUPPORTED: Final = 1003
NO_STATUS: Final = 1005
ABNORMAL: Final = 1006
INVALID_DATA: Final = 1007
POLICY: Final = 1008
TOO_BIG: Final = 1009
INTERNAL_ERROR: Final = 1011
RESTART: Final = 1012

MAX_MESSAGE_BYTES: Final = 1024 * 1024
MAX_CONTROL_BYTES: Final = 125

_FIN: Final = 0x80
_RSV: Final = 0x70
_OPCODE: Final = 0x0F
_MASKED: Final = 0x80
_LENGTH: Final = 0x7F
_WHOLE_TEXT: Final = _FIN | TEXT
_TABLE_BYTES: Final = 4096  # from here on, table look-ups beat arithmetic on long integers
_CODES: Final = frozenset((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014))


class ProtocolError(Exception):
    """A peer broke the protocol; `code` is the close code that answers it."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


class Parser:
    """Turn a stream of bytes into messages and control frames.

    :param masked: whether the peer must mask (True in a server, False in a client)
    :param limit: the largest message in bytes, over all its fragments
    """

    __slots__ = ("_buffer", "_limit", "_masked", "_message", "_need", "_start")

    def __init__(self, *, masked: bool, limit: int = MAX_MESSAGE_BYTES) -> None:
        self._masked = _MASKED if masked else 0
        self._limit = limit
        self._buffer: bytes | bytearray = b""
        self._start = 0  # where in the buffer the next frame begins
        self._need = 2  # bytes from there without which nothing new can be said
        self._message: bytearray | None = None  # the fragments so far

    @property
    def partial(self) -> bool:
        """Whether a frame or a message has begun and not ended."""
        return len(self._buffer) > self._start or self._message is not None

    @property
    def fragmented(self) -> bool:
        """Whether fragments of a message wait for their last one."""
        return self._message is not None

    def clear(self) -> None:
        """Forget what has come."""
        self._buffer, self._start, self._need, self._message = b"", 0, 2, None

    def feed(self, data: bytes) -> None:
        """Add what came from the network."""
        buffer = self._buffer
        if not buffer:
            self._buffer = data
            return
        if isinstance(buffer, bytes):  # a bytearray, or a trickle of bytes would cost its square
            self._buffer = buffer = bytearray(buffer)
        if self._start:
            del buffer[: self._start]
            self._start = 0
        buffer += data

    def whole(self, data: bytes) -> bytes | None:
        """Return the message if the data is one whole text frame and nothing else.

        Nearly all traffic is of this kind, so it gets a shorter way than `feed` and `next`;
        None means that nothing was taken and that way is the one to go.
        """
        if self._buffer or self._message is not None or data[0] != _WHOLE_TEXT or len(data) < 8:
            return None
        size = data[1] ^ self._masked
        head = 2
        if size == 126:
            size = data[2] << 8 | data[3]
            head = 4
        elif size > 126:
            return None
        if self._masked:
            head += 4
        if len(data) != head + size or size > self._limit:
            return None
        payload = data[head:]
        if self._masked:
            payload = mask(payload, data[head - 4 : head])
        if not payload.isascii():
            _check_utf8(payload)
        return payload

    def next(self) -> tuple[int, bytes] | None:
        """Return the next text message or control frame as (opcode, payload), or None.

        The payload of a text message is valid UTF-8.
        """
        while True:
            buffer, start = self._buffer, self._start
            if len(buffer) - start < self._need:
                if len(buffer) == start:
                    self._buffer, self._start = b"", 0
                return None
            first, second = buffer[start], buffer[start + 1]
            size = second & _LENGTH
            head = 2
            if first != _WHOLE_TEXT or second & _MASKED != self._masked:
                self._check(first, second)
            if size > MAX_CONTROL_BYTES:
                head = 4 if size == 126 else 10
                if len(buffer) - start < head:
                    self._need = head
                    continue
                layout = ">H" if size == 126 else ">Q"
                (size,) = struct.unpack_from(layout, buffer, start + 2)
            self._check_size(first, size)
            body = start + head + (4 if self._masked else 0)
            end = body + size
            if len(buffer) < end:
                self._need = end - start
                continue
            payload = bytes(buffer[body:end])
            if self._masked:
                payload = mask(payload, buffer[body - 4 : body])
            self._start, self._need = end, 2
            event = self._take(first, payload)
            if event is not None:
                return event

    def _check(self, first: int, second: int) -> None:
        """Judge the first two bytes of a frame."""
        opcode = first & _OPCODE
        if first & _RSV:
            raise ProtocolError(PROTOCOL_ERROR, "reserved bits set, no extension agreed")
        if second & _MASKED != self._masked:
            what = "unmasked" if self._masked else "masked"
            raise ProtocolError(PROTOCOL_ERROR, f"{what} frame")
        if opcode >= CLOSE:
            if opcode > PONG:
                raise ProtocolError(PROTOCOL_ERROR, f"unknown opcode {opcode:#x}")
            if not first & _FIN:
                raise ProtocolError(PROTOCOL_ERROR, "fragmented control frame")
            if second & _LENGTH > MAX_CONTROL_BYTES:
                raise ProtocolError(PROTOCOL_ERROR, "control frame over 125 bytes")
        elif opcode == BINARY:
            raise ProtocolError(UNSUPPORTED, "binary message, only text is spoken here")
        elif opcode > BINARY:
            raise ProtocolError(PROTOCOL_ERROR, f"unknown opcode {opcode:#x}")

    def _check_size(self, first: int, size: int) -> None:
        """Judge a frame by its place in the message and by the length it announces."""
        opcode = first & _OPCODE
        if opcode >= CLOSE:
            return
        message = self._message
        if (opcode == CONTINUATION) != (message is not None):
            wrong = "continuation of nothing" if message is None else "message inside a message"
            raise ProtocolError(PROTOCOL_ERROR, wrong)
        if message is not None:
            size += len(message)
        if size >> 63:
            raise ProtocolError(PROTOCOL_ERROR, "length with its highest bit set")
        if size > self._limit:
            raise ProtocolError(TOO_BIG, f"message over {self._limit} bytes")

    def _take(self, first: int, payload: bytes) -> tuple[int, bytes] | None:
        """Put a whole frame in its place; return what it completes."""
        opcode = first & _OPCODE
        if opcode >= CLOSE:
            return opcode, payload
        if self._message is not None:
            self._message += payload
            if not first & _FIN:
                return None
            payload, self._message = bytes(self._message), None
        elif not first & _FIN:
            self._message = bytearray(payload)
            return None
        if not payload.isascii():
            _check_utf8(payload)
        return TEXT, payload


def _check_utf8(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError as error:
        raise ProtocolError(INVALID_DATA, f"invalid UTF-8 at byte {error.start}") from None


@functools.lru_cache(maxsize=256)
def _table(key: int) -> bytes:
    return bytes(byte ^ key for byte in range(256))


def mask(payload: bytes, key: bytes | bytearray) -> bytes:
    """Mask or unmask a payload with a key of four bytes."""
    size = len(payload)
    if size < _TABLE_BYTES:
        keys = (key * (size + 3 >> 2))[:size]
        mixed = int.from_bytes(payload, "little") ^ int.from_bytes(keys, "little")
        return mixed.to_bytes(size, "little")
    out = bytearray(payload)
    for index in range(4):
        out[index::4] = payload[index::4].translate(_table(key[index]))
    return bytes(out)


def encode(opcode: int, payload: bytes, *, fin: bool = True, masked: bool = False) -> bytes:
    """Write one frame.

    :param masked: mask it with a fresh key, as a client must
    """
    first = opcode | _FIN if fin else opcode
    flag = _MASKED if masked else 0
    size = len(payload)
    if size < 126:
        head = bytes((first, flag | size))
    elif size < 65536:
        head = struct.pack(">BBH", first, flag | 126, size)
    else:
        head = struct.pack(">BBQ", first, flag | 127, size)
    if not masked:
        return head + payload
    key = os.urandom(4)
    return head + key + mask(payload, key)


def encode_close(code: int, reason: str = "", *, masked: bool = False) -> bytes:
    """Write a close frame; the reason is cut to what a control frame holds.

    :param code: a close code, or 1005 for a frame that says none
    """
    if code == NO_STATUS:
        return encode(CLOSE, b"", masked=masked)
    text = reason.encode()[: MAX_CONTROL_BYTES - 2].decode(errors="ignore").encode()
    return encode(CLOSE, struct.pack(">H", code) + text, masked=masked)


def parse_close(payload: bytes) -> tuple[int, str]:
    """Read the payload of a close frame as (code, reason); 1005 if it says none."""
    if not payload:
        return NO_STATUS, ""
    if len(payload) == 1:
        raise ProtocolError(PROTOCOL_ERROR, "close frame with half a code")
    code = int.from_bytes(payload[:2], "big")
    if code not in _CODES and not 3000 <= code < 5000:
        raise ProtocolError(PROTOCOL_ERROR, f"close code {code} is not to be sent")
    _check_utf8(payload[2:])
    return code, payload[2:].decode()
