"""A TCP proxy that fails as it is told: cut, black hole, delay, half close, throttle.

It stands between two processes under test. Beside the raw faults it understands
WebSocket frames, so that a test can stop the world at a message: `hold` keeps back
the first frame that matches, until it is let go or the connection is cut.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from typing import Literal

Way = Literal["up", "down"]
Match = Callable[[Way, str], bool]

CONNECT_S = 5.0
_CHUNK = 65_536
_TEXT, _CLOSE, _PING, _PONG = 1, 8, 9, 10


class Held:
    """A frame that is kept back; up is towards the server."""

    def __init__(self, match: Match) -> None:
        self.match = match
        self.text = ""
        self.pipe: Pipe | None = None
        self._caught = threading.Event()
        self._go = threading.Event()

    def wait(self, timeout_s: float = 10.0) -> str:
        """Wait until a frame was caught; give its text."""
        if not self._caught.wait(timeout_s):
            raise AssertionError(f"no such frame within {timeout_s} s")
        return self.text

    def let_go(self) -> None:
        """Send the frame on its way."""
        self._go.set()

    def _catch(self, pipe: Pipe, text: str) -> None:
        self.pipe, self.text = pipe, text
        self._caught.set()
        while not self._go.wait(0.02) and not pipe.ended.is_set():
            pass


class Pipe:
    """One connection: a client, the server, and a thread for each way."""

    def __init__(self, proxy: FaultProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self.client, self.server = client, server
        self.ended = threading.Event()
        self.half: set[Way] = set()
        self.ponged = threading.Event()
        self._send_down = threading.Lock()
        self.threads = [
            threading.Thread(target=self._pump, args=("up", client, server), daemon=True),
            threading.Thread(target=self._pump, args=("down", server, client), daemon=True),
        ]

    def cut(self) -> None:
        """Reset both ends at once."""
        self.ended.set()
        for side in (self.client, self.server):
            with suppress(OSError):
                # Linger 0: a reset and no goodbye, whatever is on its way is lost.
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)

    def close_half(self, way: Way) -> None:
        """Tell one side that nothing more comes; the other way goes on."""
        self.half.add(way)
        with suppress(OSError):
            (self.server if way == "up" else self.client).shutdown(socket.SHUT_WR)

    def ping_client(self, timeout_s: float = 5.0) -> None:
        """Wait until the client has read all that it was sent: its pong comes after."""
        self.ponged.clear()
        with self._send_down:
            self.client.sendall(b"\x89\x04sync")
        if not self.ponged.wait(timeout_s):
            raise AssertionError("the client did not read what it was sent")

    def _pump(self, way: Way, source: socket.socket, sink: socket.socket) -> None:
        reader = _Reader()
        try:
            while data := source.recv(_CHUNK):
                for chunk, kind, text in reader.split(data):
                    if kind == _PONG and text == "sync" and way == "up":
                        self.ponged.set()
                        continue
                    if not self._proxy._passes(self, way, len(chunk), text):
                        return
                    if way in self.half:
                        continue
                    with self._send_down if way == "down" else nullcontext():
                        sink.sendall(chunk)
        except OSError:
            return  # one of the two is gone: the other is told below
        finally:
            self.ended.set()
            for side in (self.client, self.server):
                with suppress(OSError):
                    side.shutdown(socket.SHUT_RDWR)


class _Reader:
    """Splits a stream into an HTTP head and frames."""

    def __init__(self) -> None:
        self._held = b""
        self._head = True
        self._raw = False

    def split(self, data: bytes) -> Iterator[tuple[bytes, int, str]]:
        self._held += data
        if self._head:
            end = self._held.find(b"\r\n\r\n")
            if end < 0:
                return
            head, self._held = self._held[: end + 4], self._held[end + 4 :]
            self._head = False
            # What follows a refusal is a body and no frames.
            self._raw = head.startswith(b"HTTP/") and b" 101 " not in head.split(b"\r\n", 1)[0]
            yield head, 0, ""
        if self._raw:
            body, self._held = self._held, b""
            if body:
                yield body, 0, ""
            return
        while (length := _frame_length(self._held)) is not None and len(self._held) >= length:
            frame, self._held = self._held[:length], self._held[length:]
            kind = frame[0] & 15
            yield frame, kind, _payload(frame).decode("utf-8", "replace")


def _frame_length(data: bytes) -> int | None:
    if len(data) < 2:
        return None
    short = data[1] & 127
    more = {126: 2, 127: 8}.get(short, 0)
    if len(data) < 2 + more:
        return None
    size = int.from_bytes(data[2 : 2 + more], "big") if more else short
    return 2 + more + (4 if data[1] & 128 else 0) + size


def _payload(frame: bytes) -> bytes:
    start = 2 + {126: 2, 127: 8}.get(frame[1] & 127, 0)
    if not frame[1] & 128:
        return frame[start:]
    mask, body = frame[start : start + 4], frame[start + 4 :]
    key = int.from_bytes((mask * (len(body) // 4 + 1))[: len(body)], "big")
    return (int.from_bytes(body, "big") ^ key).to_bytes(len(body), "big")


class FaultProxy:
    """Listens on a free port of this machine and passes on to another.

    :param to_port: where it passes on to; may change while it runs
    """

    def __init__(self, to_port: int) -> None:
        self.to_port = to_port
        self.connects = 0
        self.pipes: list[Pipe] = []
        self.delay_s = 0.0
        self.bytes_per_s = 0.0
        self._hole = False
        self._refuse = False
        self._held: list[Held] = []
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._acceptor = threading.Thread(target=self._accept, daemon=True)
        self._acceptor.start()

    # --- faults ------------------------------------------------------------------

    def cut(self) -> int:
        """Reset all connections; give how many there were. New ones are let through."""
        with self._lock:
            alive = [pipe for pipe in self.pipes if not pipe.ended.is_set()]
            self.pipes.clear()
        for pipe in alive:
            pipe.cut()
        return len(alive)

    def partition(self) -> None:
        """Cut, and refuse everybody until `heal`."""
        self._refuse = True
        self.cut()

    def black_hole(self) -> None:
        """Let nothing through either way, and say nothing about it, until `heal`."""
        with self._changed:
            self._hole = True

    def half_close(self, way: Way = "down") -> None:
        """Let one way of all connections end while the other goes on."""
        for pipe in tuple(self.pipes):
            pipe.close_half(way)

    def heal(self) -> None:
        """Be a good proxy again; what a black hole held back arrives."""
        with self._changed:
            self._hole = self._refuse = False
            self.delay_s = self.bytes_per_s = 0.0
            self._changed.notify_all()

    def hold(self, match: Match) -> Held:
        """Keep back the first frame that matches from now on.

        :param match: called with the way, "up" to the server or "down", and the text
        """
        held = Held(match)
        with self._lock:
            self._held.append(held)
        return held

    def close(self) -> None:
        """End all of it."""
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.heal()
        pipes = tuple(self.pipes)
        self.cut()
        for pipe in pipes:
            for thread in pipe.threads:
                thread.join(5)
        self._acceptor.join(5)

    # --- at work -----------------------------------------------------------------

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        self.connects += 1
        self._wait_for_hole()
        try:
            if self._refuse or self._closed.is_set():
                raise ConnectionRefusedError
            server = socket.create_connection(("127.0.0.1", self.to_port), CONNECT_S)
        except OSError:
            client.close()
            return
        server.settimeout(None)
        pipe = Pipe(self, client, server)
        with self._lock:
            self.pipes = [one for one in self.pipes if not one.ended.is_set()]
            self.pipes.append(pipe)
        if self._refuse:
            pipe.cut()  # it was on its way when the partition came
        for thread in pipe.threads:
            thread.start()
        for thread in pipe.threads:
            thread.join()
        client.close()
        server.close()

    def _wait_for_hole(self, pipe: Pipe | None = None) -> None:
        with self._changed:
            while self._hole and not self._closed.is_set():
                if pipe is not None and pipe.ended.is_set():
                    return
                self._changed.wait(0.05)

    def _passes(self, pipe: Pipe, way: Way, size: int, text: str) -> bool:
        """Let a chunk wait for what it has to; tell whether it may go on."""
        self._wait_for_hole(pipe)
        pause_s = self.delay_s + (size / self.bytes_per_s if self.bytes_per_s else 0.0)
        if pause_s and pipe.ended.wait(pause_s):
            return False
        held = self._caught(way, text)
        if held is not None:
            held._catch(pipe, text)
        return not pipe.ended.is_set()

    def _caught(self, way: Way, text: str) -> Held | None:
        with self._lock:
            for held in self._held:
                if text and held.match(way, text):
                    self._held.remove(held)
                    return held
        return None
