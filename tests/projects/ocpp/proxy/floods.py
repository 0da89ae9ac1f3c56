"""Remotes that never stop talking: real servers on a free port, in threads."""

from __future__ import annotations

import base64
import hashlib
import re
import select
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress

CALL = b'[2,"1","Nonsense",{}]'
ACCEPT_KEY = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
BLOCK = 65_536
Flood = Callable[[socket.socket, bytes], None]


class Flooding:
    """Listens, and treats each client as its flood does.

    :param flood: gets a client and the head of its request, and writes until that is gone
    """

    def __init__(self, flood: Flood) -> None:
        self.clients = 0
        self._flood = flood
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._run, daemon=True)]
        self._threads[0].start()

    def _run(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.clients += 1
                self._open.append(client)
                thread = threading.Thread(target=self._serve, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _serve(self, client: socket.socket) -> None:
        with client, suppress(OSError):
            client.settimeout(30)
            head = b""
            while b"\r\n\r\n" not in head and (more := client.recv(4096)):
                head += more
            self._flood(client, head)

    def close(self) -> None:
        """Stop listening, and let go of all clients."""
        for one in (self._listener, *self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(10)


def endless_head(client: socket.socket, _head: bytes) -> None:
    """A header that never ends."""
    client.sendall(b"HTTP/1.1 101 Switching Protocols\r\nX: ")
    while True:
        client.sendall(b"a" * BLOCK)


def endless_headers(client: socket.socket, _head: bytes) -> None:
    """Headers without end."""
    client.sendall(b"HTTP/1.1 101 Switching Protocols\r\n")
    while True:
        client.sendall(b"X: y\r\n" * (BLOCK // 6))


def endless_refusal(client: socket.socket, _head: bytes) -> None:
    """A refusal with a page of some gigabytes."""
    client.sendall(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 9999999999\r\n\r\n")
    while True:
        client.sendall(b"a" * BLOCK)


def frames(frame: bytes, first: bytes = b"") -> Flood:
    """A good handshake, and then a frame again and again."""
    block = frame * max(1, BLOCK // len(frame))

    def flood(client: socket.socket, head: bytes) -> None:
        client.sendall(welcome(head) + first)
        while True:
            client.sendall(block)

    return flood


def deaf(client: socket.socket, head: bytes) -> None:
    """As many calls as may be sent at once, and not a word is read of what is said to them."""
    client.sendall(welcome(head) + message(CALL) * 1_900)
    gone = select.poll()
    gone.register(client, select.POLLRDHUP)
    gone.poll(30_000)


def talkative(client: socket.socket, head: bytes) -> None:
    """As many calls as may be sent at once, and a goodbye."""
    client.sendall(welcome(head) + message(CALL) * 1_900 + message(b"\x03\xe8", opcode=8))
    while client.recv(BLOCK):
        pass


def message(text: bytes, *, opcode: int = 1, fin: bool = True) -> bytes:
    """A frame of a server."""
    first = bytes([opcode | (0x80 if fin else 0)])
    if len(text) < 126:
        return first + bytes([len(text)]) + text
    return first + bytes([127]) + struct.pack("!Q", len(text)) + text


def welcome(head: bytes) -> bytes:
    """The answer to a good handshake."""
    found = re.search(rb"Sec-WebSocket-Key: (\S+)", head)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found[1] + ACCEPT_KEY).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Protocol: ocpp1.6\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


FLOODS: dict[str, tuple[Flood, str]] = {
    "a header without end": (endless_head, "does not end"),
    "headers without end": (endless_headers, "does not end"),
    "a refusal without end": (endless_refusal, "HTTP 401"),
    "calls": (frames(message(CALL)), "more messages than can be meant"),
    "pings": (frames(message(b"", opcode=9)), "more messages than can be meant"),
    "long messages": (frames(message(b" " * 1_000_000)), "more messages than can be meant"),
    "parts of a message": (
        frames(message(b"", opcode=0, fin=False), first=message(b"[", fin=False)),
        "more messages than can be meant",
    ),
}
