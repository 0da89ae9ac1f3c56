"""Many open dashboards in one process: each hears events and renews its cards as a browser does.

`python -m benchmarks.viewers PORT COUNT SECONDS` prints one line of JSON. A viewer holds an
event stream and a kept connection; at an event it asks for the fragment, at most every
200 ms and one at a time, which is what `gway.js` does.
"""

from __future__ import annotations

import gzip
import json
import re
import select
import socket
import sys
import time
from array import array
from collections import OrderedDict
from datetime import datetime

from benchmarks.generator import LoadError, percentile

FRAGMENT = "/render/ocpp/csms/charger-cards"
TOPIC = "ocpp"
GAP_S = 0.2
PATIENCE_S = 30.0
PER_ADDRESS = 50
READ_BYTES = 1 << 18
_SEEN = re.compile(rb'<time datetime="([^"]+)"')
_COOKIE = re.compile(rb"\r\nset-cookie: *([^;\r]+)", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


class Viewer:
    """One open page: its event stream, and its requests."""

    __slots__ = (
        "again",
        "answer",
        "ask",
        "asked_s",
        "cookie",
        "due_s",
        "events",
        "heard_s",
        "seen",
        "stream",
    )

    def __init__(self, stream: socket.socket, ask: socket.socket) -> None:
        self.stream, self.ask = stream, ask
        self.answer: bytearray | None = None  # of the request under way
        self.again = False
        self.asked_s = self.due_s = self.heard_s = 0.0
        self.seen: frozenset[bytes] | None = None  # the moments on the page
        self.events = 0
        self.cookie = b""


class Viewers:
    """All viewers under one epoll.

    :param path: of the fragment that they ask for
    """

    def __init__(self, port: int, count: int, path: str = FRAGMENT) -> None:
        self._address = ("127.0.0.1", port)
        self._request = (
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nX-GWAY-Fragment: 1\r\n"
            "Accept-Encoding: gzip, deflate, br\r\n".encode()
        )
        self._epoll = select.epoll()
        self._of: dict[int, Viewer] = {}
        self._moments: OrderedDict[bytes, frozenset[bytes]] = OrderedDict()
        self.message_to_page: array[float] = array("d")
        self.event_to_page: array[float] = array("d")
        self.fragments = self.fragment_bytes = 0
        self.viewers = [self._open(number) for number in range(count)]

    def _open(self, number: int) -> Viewer:
        visitor = (f"127.0.2.{1 + number // PER_ADDRESS}", 0)  # an address has so many pages
        stream = socket.create_connection(self._address, PATIENCE_S, visitor)
        stream.sendall(
            f"GET /events?topic={TOPIC} HTTP/1.1\r\nHost: 127.0.0.1:{self._address[1]}\r\n"
            "Accept: text/event-stream\r\n\r\n".encode()
        )
        head = stream.recv(4096)
        if b" 200 " not in head[:20]:
            raise LoadError(f"no event stream: {head[:200]!r}")
        viewer = Viewer(stream, socket.create_connection(self._address, PATIENCE_S, visitor))
        for sock in (viewer.stream, viewer.ask):
            sock.setblocking(False)
            self._of[sock.fileno()] = viewer
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        return viewer

    def run(self, seconds: float) -> None:
        """Look for a time; the first fragment of each only tells what is new in the next."""
        until = time.monotonic() + seconds
        while (now := time.monotonic()) < until:
            for viewer in self.viewers:
                if viewer.due_s and viewer.due_s <= now:
                    self._renew(viewer)
            for fd, _ in self._epoll.poll(0.01):
                viewer = self._of[fd]
                if fd == viewer.stream.fileno():
                    self._hear(viewer)
                else:
                    self._read(viewer)

    def _hear(self, viewer: Viewer) -> None:
        data = viewer.stream.recv(65536)
        if not data:
            raise LoadError("an event stream ended")
        if b"data: " not in data:
            return
        viewer.events += 1
        now = time.monotonic()
        if viewer.answer is not None:
            viewer.again = True
            return
        viewer.heard_s = viewer.heard_s or now
        viewer.due_s = viewer.due_s or viewer.asked_s + GAP_S
        if viewer.due_s <= now:
            self._renew(viewer)

    def _renew(self, viewer: Viewer) -> None:
        viewer.asked_s, viewer.due_s = time.monotonic(), 0.0
        viewer.answer = bytearray()
        viewer.ask.send(self._request + viewer.cookie + b"\r\n")

    def _read(self, viewer: Viewer) -> None:
        data = viewer.ask.recv(READ_BYTES)
        answer = viewer.answer
        if not data or answer is None:
            raise LoadError("a dashboard was hung up on")
        answer += data
        head = answer.find(b"\r\n\r\n")
        if head < 0:
            return
        if not answer.startswith(b"HTTP/1.1 200 "):
            raise LoadError(f"a dashboard was refused: {bytes(answer[:300])!r}")
        length = _LENGTH.search(answer, 0, head + 2)
        if length is None:
            raise LoadError(f"a fragment of no length: {bytes(answer[:300])!r}")
        if len(answer) >= head + 4 + int(length[1]):
            viewer.answer = None
            if cookie := _COOKIE.search(answer, 0, head + 2):
                viewer.cookie = b"Cookie: " + cookie[1] + b"\r\n"
            self._shown(viewer, bytes(answer[head + 4 :]))

    def _shown(self, viewer: Viewer, fragment: bytes) -> None:
        now_s, wall_s = time.monotonic(), time.time()
        self.fragments += 1
        self.fragment_bytes = len(fragment)
        if viewer.heard_s:
            self.event_to_page.append(now_s - viewer.heard_s)
        moments = self._moments.get(fragment)
        if moments is None:  # the same for all viewers: read once
            moments = self._moments[fragment] = frozenset(_SEEN.findall(gzip.decompress(fragment)))
            if len(self._moments) > 8:
                self._moments.popitem(last=False)
        if viewer.seen is not None:
            self.message_to_page.extend(
                wall_s - datetime.fromisoformat(one.decode()).timestamp()
                for one in moments - viewer.seen
            )
        viewer.seen = moments
        viewer.heard_s = 0.0
        if viewer.again:
            viewer.again = False
            viewer.heard_s = now_s
            viewer.due_s = viewer.asked_s + GAP_S

    def figures(self, seconds: float) -> dict[str, float]:
        """Tell what was seen."""
        message, event = sorted(self.message_to_page), sorted(self.event_to_page)
        return {
            "fragments_s": self.fragments / seconds,
            "fragment_kib": self.fragment_bytes / 1024,
            "events_s": sum(viewer.events for viewer in self.viewers) / seconds,
            "message_p50_ms": _percentile_ms(message, 50),
            "message_p95_ms": _percentile_ms(message, 95),
            "event_p50_ms": _percentile_ms(event, 50),
            "event_p95_ms": _percentile_ms(event, 95),
        }


def _percentile_ms(ordered: list[float], percent: float) -> float:
    return percentile([round(one * 1e6) for one in ordered], percent) / 1000


def main() -> None:
    port, count, seconds = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
    viewers = Viewers(port, count)
    print("{}", flush=True)  # all are there
    viewers.run(seconds)
    print(json.dumps(viewers.figures(seconds)), flush=True)


if __name__ == "__main__":
    main()
