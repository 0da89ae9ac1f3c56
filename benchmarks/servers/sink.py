"""The least a Python server can do: it shows how fast the load generator is.

It answers whatever comes with one frame made beforehand, parses nothing, and so
stands for the upper end of what this machine's generator can measure.
"""

from __future__ import annotations

import json
import select
import socket
import sys

from benchmarks import wire


def main() -> None:
    """Serve until standard input is closed."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)
    print(json.dumps({"ws_port": listener.getsockname()[1]}), flush=True)
    epoll = select.epoll()
    epoll.register(listener.fileno(), select.EPOLLIN)
    epoll.register(sys.stdin.fileno(), select.EPOLLIN)
    peers: dict[int, socket.socket] = {}
    answers: dict[int, bytes] = {}
    buffer = bytearray(1 << 16)
    while True:
        for fd, _ in epoll.poll():
            peer = peers.get(fd)
            if peer is None:
                if fd == sys.stdin.fileno():
                    return
                peer, _address = listener.accept()
                peer.setblocking(False)
                peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                peers[peer.fileno()] = peer
                epoll.register(peer.fileno(), select.EPOLLIN)
                continue
            try:
                count = peer.recv_into(buffer)
            except ConnectionError:
                count = 0
            if count == 0:
                epoll.unregister(fd)
                answers.pop(fd, None)
                peers.pop(fd).close()
            elif answer := answers.get(fd):
                peer.send(answer)
            elif buffer.startswith(b"GET"):
                peer.send(upgrade(bytes(buffer[:count])))
            else:
                answers[fd] = unmasked(buffer[:count])
                peer.send(answers[fd])


def upgrade(request: bytes) -> bytes:
    key = request.partition(b"Sec-WebSocket-Key: ")[2].partition(b"\r\n")[0]
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + wire.accept_key(key) + b"\r\n\r\n"
    )


def unmasked(frame: bytearray) -> bytes:
    """Turn a client's frame (masked with zeros) into the same frame from a server."""
    head = 4 if frame[1] & 0x7F == 126 else 2
    return bytes([frame[0], frame[1] & 0x7F]) + frame[2:head] + frame[head + 4 :]


if __name__ == "__main__":
    main()
