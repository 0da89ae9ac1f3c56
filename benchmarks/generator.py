"""A load generator that can outrun the servers it measures.

Raw non-blocking sockets under one epoll, answers read into one shared buffer, and
nothing parsed beyond a frame's header and the first bytes of its payload. It holds
to OCPP's rule of one outstanding call per charger.
"""

from __future__ import annotations

import gc
import json
import select
import socket
import struct
import time
from array import array
from collections import deque
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from benchmarks import wire

if TYPE_CHECKING:
    from collections.abc import Iterator

SETTLE_S = 60.0  # how long unanswered messages of a finished run may take
CONNECT_S = 60.0
PER_ADDRESS = 200  # connections from each 127.0.x.y, so that no cap is in the way
IP_BIND_ADDRESS_NO_PORT = 24
BUFFER_BYTES = 1 << 16


class LoadError(Exception):
    """The server did not answer as a server that is being measured must."""


@dataclass
class Load:
    """What one run of messages did.

    :param latencies: nanoseconds from sending a message to its answer
    :param late_ms: how long after its time the generator sent a paced message, at most
    :param server_share: how much of its core the server used, 0 to 1
    """

    seconds: float
    latencies: array[int] = field(repr=False)
    late_ms: float = 0.0
    server_share: float = 0.0

    @property
    def count(self) -> int:
        return len(self.latencies)

    @property
    def rate(self) -> float:
        return self.count / self.seconds

    def percentile_ms(self, percent: float) -> float:
        return percentile(sorted(self.latencies), percent) / 1e6


def percentile(ordered: list[int], percent: float) -> float:
    """Take the nearest-rank percentile of ordered numbers."""
    if not ordered:
        raise LoadError("no message was answered")
    rank = max(1, -(-len(ordered) * percent // 100))
    return ordered[int(rank) - 1]


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Keep the generator's own garbage collector out of the figures."""
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Fleet:
    """Connections to one server, each of them a charger.

    :param path: the request path of charger number i
    :param credentials: user and password of charger number i, "" for none
    :param server_cpu_s: tells the processor time the server has used
    """

    def __init__(
        self,
        port: int,
        path: Callable[[int], str],
        *,
        host: str = "127.0.0.1",
        subprotocol: str | None = None,
        credentials: Callable[[int], str] = lambda _: "",
        server_cpu_s: Callable[[], float] = float,
    ) -> None:
        self.server_cpu_s = server_cpu_s
        self._credentials = credentials
        self._address = (host, port)
        self._path = path
        self._subprotocol = subprotocol
        self.sockets: list[socket.socket] = []
        self._epoll = select.epoll()
        self._index_of: dict[int, int] = {}
        self._partial: dict[int, bytearray] = {}
        self._buffer = bytearray(BUFFER_BYTES)

    def __enter__(self) -> Fleet:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size(self) -> int:
        return len(self.sockets)

    def close(self) -> None:
        """Drop all connections at once, with a reset, so that no port stays taken."""
        for sock in self.sockets:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sock.close()
        self.sockets.clear()
        self._index_of.clear()
        self._epoll.close()

    # --- connecting ----------------------------------------------------------

    def open(self, count: int, *, in_flight: int = 64) -> float:
        """Connect `count` more chargers.

        :return: the seconds that the server took to accept and upgrade them all
        """
        first, goal = self.size, self.size + count
        started = time.perf_counter()
        deadline = started + CONNECT_S
        heads: dict[int, bytes] = {}
        upgraded, begun = first, first
        self.sockets.extend(self._new_socket(index) for index in range(first, goal))
        while upgraded < goal:
            while begun < goal and begun - upgraded < in_flight:
                self._begin(begun)
                heads[begun] = b""
                begun += 1
            for fd, event in self._epoll.poll(1.0):
                index = self._index_of[fd]
                if index not in heads:
                    raise LoadError(f"charger {index} was not left in peace")
                if event & select.EPOLLOUT:
                    self._knock(index)
                else:
                    heads[index] += self.sockets[index].recv(4096)
                    if self._is_upgraded(index, heads[index]):
                        del heads[index]
                        upgraded += 1
            if time.perf_counter() > deadline:
                raise LoadError(f"{goal - upgraded} of {count} connections were not upgraded")
        return time.perf_counter() - started

    def _new_socket(self, index: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        block = index // PER_ADDRESS
        sock.bind((f"127.0.{1 + block // 250}.{1 + block % 250}", 0))
        return sock

    def _begin(self, index: int) -> None:
        sock = self.sockets[index]
        sock.connect_ex(self._address)
        self._index_of[sock.fileno()] = index
        self._epoll.register(sock.fileno(), select.EPOLLOUT)

    def _knock(self, index: int) -> None:
        sock = self.sockets[index]
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if error:
            raise LoadError(f"charger {index} cannot connect: errno {error}")
        host, port = self._address
        words = (self._path(index), self._subprotocol, self._credentials(index))
        sock.send(wire.upgrade_request(host, port, *words))
        self._epoll.modify(sock.fileno(), select.EPOLLIN)

    def _is_upgraded(self, index: int, head: bytes) -> bool:
        if head and not head.startswith(b"HTTP/1.1 101"[: len(head)]):
            raise LoadError(f"charger {index} was refused: {head[:200]!r}")
        end = head.find(b"\r\n\r\n")
        if end < 0:
            return False
        if rest := head[end + 4 :]:
            self._partial[index] = bytearray(rest)
        return True

    # --- one call from each charger ------------------------------------------

    def ask(self, frames: list[bytes], first: int = 0) -> list[dict[str, Any]]:
        """Send one call from each charger, `first` and on, and wait for all the answers.

        :return: the payload of each CALLRESULT
        """
        answers: list[dict[str, Any]] = [{} for _ in frames]
        waiting = set(range(first, first + len(frames)))
        for index, frame in enumerate(frames, first):
            self._send(index, frame)
        deadline = time.perf_counter() + SETTLE_S
        while waiting:
            for index, payload in self._receive(1.0):
                message = json.loads(payload)
                if message[0] != 3:
                    raise LoadError(f"charger {index} got {payload[:300]!r}")
                answers[index - first] = message[2]
                waiting.discard(index)
            if time.perf_counter() > deadline:
                raise LoadError(f"{len(waiting)} chargers got no answer")
        return answers

    def _send(self, index: int, frame: bytes | bytearray) -> None:
        if self.sockets[index].send(frame) != len(frame):
            raise LoadError(f"charger {index} cannot send a whole frame")

    def _receive(self, timeout_s: float) -> Iterator[tuple[int, bytes]]:
        for fd, _ in self._epoll.poll(timeout_s):
            index = self._index_of[fd]
            for payload in self._payloads(index, self.sockets[index].recv_into(self._buffer)):
                yield index, payload

    def _payloads(self, index: int, count: int) -> list[bytes]:
        """Take whole answers out of what has come in; pings and calls are dealt with."""
        if count == 0:
            raise LoadError(f"the server closed the connection of charger {index}")
        data = self._partial.pop(index, bytearray())
        data += memoryview(self._buffer)[:count]
        answers = []
        while True:
            head, size = wire.frame_size(data)
            if head == 0 or len(data) < head + size:
                break
            opcode, payload = data[0] & 0xF, bytes(data[head : head + size])
            del data[: head + size]
            if opcode == wire.CLOSE:
                raise LoadError(f"the server closed charger {index}: {payload!r}")
            if opcode == wire.PING:
                self._send(index, wire.client_frame(payload, wire.PONG))
            elif payload.startswith(b"[2") and self._subprotocol is not None:
                refusal = [4, json.loads(payload)[1], "NotSupported", "", {}]
                self._send(index, wire.client_frame(json.dumps(refusal).encode()))
            elif opcode == wire.TEXT:
                answers.append(payload)
        if data:
            self._partial[index] = data
        return answers

    def tend(self) -> None:
        """Answer the pings that came while another fleet was loaded."""
        for index, payload in self._receive(0):
            raise LoadError(f"charger {index} got {payload[:300]!r} unasked")

    # --- load ----------------------------------------------------------------

    def closed_loop(self, script: wire.Script, seconds: float, *, warm_up_s: float = 0.3) -> Load:
        """Let every charger send its next message as soon as the last is answered."""
        with quiet_collector():
            return _ClosedLoop(self, script).run(seconds, warm_up_s)

    def paced(
        self, script: wire.Script, rate: float, seconds: float, *, warm_up_s: float = 0.5
    ) -> Load:
        """Send `rate` messages a second whatever the server does, charger after charger.

        A message that is due while its charger still waits for an answer is sent
        after it, and its latency counts from the moment it was due.
        """
        with quiet_collector():
            return _Paced(self, script, rate).run(seconds, warm_up_s)


class _Run:
    """The part that both kinds of load share: sending, and reading answers."""

    def __init__(self, fleet: Fleet, script: wire.Script) -> None:
        if len(script.messages) != fleet.size:
            raise LoadError(f"{len(script.messages)} messages for {fleet.size} chargers")
        self.fleet = fleet
        self.script = script
        self.sent_at = [0] * fleet.size
        self.said = [script.begin] * fleet.size
        self.latencies: array[int] = array("q")
        self.outstanding = 0

    def send(self, index: int) -> None:
        message = self.script.messages[index]
        number = self.said[index]
        self.said[index] = number + 1
        frame = message.frame
        for slot, word in zip(message.slots, self.script.step(number), strict=True):
            frame[slot] = word
        self.sent_at[index] = time.perf_counter_ns()
        self.fleet._send(index, frame)
        self.outstanding += 1

    def check(self, index: int, payload: bytes) -> None:
        if not payload.startswith(self.script.messages[index].answer):
            raise LoadError(f"charger {index} got {payload[:300]!r}")

    def settle(self) -> None:
        """Wait for what is still unanswered, so that the next run begins with nothing."""
        deadline = time.perf_counter() + SETTLE_S
        while self.outstanding:
            for index, payload in self.fleet._receive(1.0):
                self.check(index, payload)
                self.outstanding -= 1
            if time.perf_counter() > deadline:
                raise LoadError(f"{self.outstanding} messages were never answered")
        self.script.begin = max(self.said)


class _ClosedLoop(_Run):
    def run(self, seconds: float, warm_up_s: float) -> Load:
        for index in range(self.fleet.size):
            self.send(index)
        self.exchange(warm_up_s)
        self.latencies = array("q")
        cpu_s = self.fleet.server_cpu_s()
        took = self.exchange(seconds)
        cpu_s = self.fleet.server_cpu_s() - cpu_s
        load = Load(took, self.latencies, server_share=cpu_s / took)
        self.settle()
        return load

    def exchange(self, seconds: float) -> float:
        """Answer every answer with the next message; one long function for speed.

        It ends after whole rounds of the fleet: a server may answer all chargers in
        one burst every second or two, and half such a period tells nothing.
        """
        fleet, buffer, latencies = self.fleet, self.fleet._buffer, self.latencies
        poll, index_of, partial = fleet._epoll.poll, fleet._index_of, fleet._partial
        sent_at, said, step = self.sent_at, self.said, self.script.step
        receive = [sock.recv_into for sock in fleet.sockets]
        send = [sock.send for sock in fleet.sockets]
        messages = self.script.messages
        clock = time.perf_counter_ns
        began = now = clock()
        end = began + int(seconds * 1e9)
        give_up = end + int(SETTLE_S * 1e9)
        goal = 0
        while now < end or len(latencies) < goal:
            if now > give_up:
                raise LoadError(f"{goal - len(latencies)} messages were never answered")
            for fd, _ in poll(0.2):
                index = index_of[fd]
                count = receive[index](buffer)
                size, head = buffer[1], 2
                if size == 126:
                    size, head = buffer[2] << 8 | buffer[3], 4
                message = messages[index]
                if (
                    count != head + size
                    or buffer[0] != 0x81
                    or buffer[head : head + 2] != message.answer
                    or index in partial
                ) and not self.unusual(index, count):
                    continue
                now = clock()
                latencies.append(now - sent_at[index])
                number = said[index]
                said[index] = number + 1
                frame = message.frame
                for slot, word in zip(message.slots, step(number)):  # noqa: B905
                    frame[slot] = word
                sent_at[index] = now
                if send[index](frame) != len(frame):
                    raise LoadError(f"charger {index} cannot send a whole frame")
            now = clock()
            if now >= end and not goal:
                goal = max(1, -(-len(latencies) // fleet.size)) * fleet.size
        return (now - began) / 1e9

    def unusual(self, index: int, count: int) -> bool:
        """Read what is not one whole answer; tell whether the answer is there now."""
        payloads = self.fleet._payloads(index, count)
        for payload in payloads:
            self.check(index, payload)
        if len(payloads) > 1:
            raise LoadError(f"charger {index} got {len(payloads)} answers to one call")
        return bool(payloads)


class _Paced(_Run):
    def __init__(self, fleet: Fleet, script: wire.Script, rate: float) -> None:
        super().__init__(fleet, script)
        self.gap_ns = int(1e9 / rate)
        self.waiting = [False] * fleet.size
        self.overdue: dict[int, deque[int]] = {}
        self.late_ns = 0

    def run(self, seconds: float, warm_up_s: float) -> Load:
        began = time.perf_counter_ns()
        measure_from = began + int(warm_up_s * 1e9)
        end = measure_from + int(seconds * 1e9)
        due, turn, cpu_s = began, 0, 0.0
        measuring = False
        while (now := time.perf_counter_ns()) < end:
            if not measuring and now >= measure_from:
                measuring, self.latencies, self.late_ns = True, array("q"), 0
                cpu_s = self.fleet.server_cpu_s()
            while due <= now:
                self.offer(turn % self.fleet.size, due, now)
                turn += 1
                due += self.gap_ns
            self.read(min(0.001, max(0.0, (due - now) / 1e9)))
        took = (end - measure_from) / 1e9
        cpu_s = self.fleet.server_cpu_s() - cpu_s
        load = Load(took, self.latencies, self.late_ns / 1e6, cpu_s / took)
        while self.overdue:
            self.read(0.1)
        self.settle()
        return load

    def offer(self, index: int, due: int, now: int) -> None:
        if self.waiting[index]:
            self.overdue.setdefault(index, deque()).append(due)
            return
        self.late_ns = max(self.late_ns, now - due)
        self.waiting[index] = True
        self.send(index)

    def read(self, timeout_s: float) -> None:
        for index, payload in self.fleet._receive(timeout_s):
            self.latencies.append(time.perf_counter_ns() - self.sent_at[index])
            self.check(index, payload)
            self.outstanding -= 1
            self.waiting[index] = False
            if backlog := self.overdue.get(index):
                due = backlog.popleft()
                if not backlog:
                    del self.overdue[index]
                self.waiting[index] = True
                self.send(index)
                self.sent_at[index] = due
