"""Own a WebSocket: read in the loop's callbacks, write through one bounded outbox.

A connection has no greenlet. Its read watcher hands bytes to the parser and messages to
`on_text`; sends go straight to the socket while it takes them, else into the outbox.
While idle it holds no buffers, and all its deadlines share one entry in the timer wheel.
"""

from __future__ import annotations

import logging
import math
import random
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from gway.web.ws import frames
from gway.web.ws.frames import Parser, ProtocolError
from gway.web.ws.outbox import Outbox

if TYPE_CHECKING:
    from gevent._types import _IoWatcher

    from gway.web.ws.engine import Engine
    from gway.web.ws.streams import Stream

log = logging.getLogger("gway.web.ws")

_READ: Final = 1
_WRITE: Final = 2

_OPEN: Final = 0
_CLOSING: Final = 1  # our close frame is out, the peer's is awaited
_DRAINING: Final = 2  # all is said; what still comes is thrown away until the peer hangs up
_CLOSED: Final = 3


def _ignore_text(message: str | bytes) -> None:
    """Stand in for a callback that is not set, or not wanted any more."""


def _ignore_close(code: int, reason: str) -> None:
    """Stand in for a callback that is not set, or not wanted any more."""


class Connection:
    """One WebSocket.

    `on_text` is called in the loop with each whole message as bytes of valid UTF-8 and
    must neither block nor raise. `on_close` is called in the loop exactly once, with the
    code and reason by which the connection ended: the peer's, ours, or 1006.
    """

    __slots__ = (
        "_client",
        "_close_due",
        "_corked",
        "_ended",
        "_engine",
        "_frame_due",
        "_heard",
        "_missed",
        "_on_gone",
        "_outbox",
        "_parser",
        "_paused",
        "_ping_due",
        "_ping_interval_s",
        "_ping_sent",
        "_probes",
        "_reader",
        "_state",
        "_stream",
        "_write_due",
        "_writer",
        "on_close",
        "on_text",
        "remote_addr",
        "rtt_s",
        "slot",
    )

    def __init__(
        self,
        engine: Engine,
        stream: Stream,
        remote_addr: str,
        client: bool,
        on_gone: Callable[[], None] | None,
    ) -> None:
        self.on_text: Callable[[str | bytes], None] = _ignore_text
        self.on_close: Callable[[int, str], None] = _ignore_close
        self.remote_addr = remote_addr
        self.rtt_s: float | None = None
        self.slot = 0
        self._engine = engine
        self._stream = stream
        self._client = client
        self._on_gone = on_gone
        self._parser = Parser(masked=not client, limit=engine.pace.message_bytes)
        self._state: int = _OPEN
        self._ended = False
        self._paused = False
        self._corked = False
        self._reader: _IoWatcher | None = None
        self._writer: _IoWatcher | None = None
        self._outbox: Outbox | None = None
        self._heard = False
        self._missed = 0
        self._ping_sent: float | None = None
        self._ping_due: float | None = None
        self._frame_due: float | None = None
        self._write_due: float | None = None
        self._close_due: float | None = None
        self._probes: list[tuple[float, Callable[[bool], None]]] | None = None
        self._ping_interval_s = engine.pace.ping_interval_s
        if self._ping_interval_s:
            # Thousands that connect together shall not be pinged together.
            first = self._ping_interval_s * random.uniform(0.5, 1.0)
            self._ping_due = engine.wheel.now() + first
            engine.wheel.add(self, self._ping_due)

    def __repr__(self) -> str:
        state = ("open", "closing", "draining", "closed")[self._state]
        return f"<Connection from {self.remote_addr or '?'}, {state}>"

    @property
    def open(self) -> bool:
        """Whether messages can be sent."""
        return self._state == _OPEN

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the peer has yet to take."""
        return 0 if self._outbox is None else self._outbox.size

    @property
    def ping_interval_s(self) -> float:
        """Seconds between pings; 0 sends none."""
        return self._ping_interval_s

    @ping_interval_s.setter
    def ping_interval_s(self, seconds: float) -> None:
        self._ping_interval_s = seconds
        self._missed = 0
        self._ping_due = self._due_in(seconds) if seconds and self.open else None

    # --- what owners call, from any greenlet ---------------------------------

    def send(self, text: str | bytes) -> None:
        """Send a text message, or queue it; a peer that does not keep up is disconnected.

        :param text: text, or its UTF-8 bytes
        """
        if self._state == _OPEN:
            payload = text.encode() if isinstance(text, str) else text
            self._put(frames.encode(frames.TEXT, payload, masked=self._client))

    def close(self, code: int = frames.NORMAL, reason: str = "") -> None:
        """Close after what is queued has gone out; the peer gets the code and the reason."""
        if self._state == _OPEN:
            self._end(code, reason)
            self._state = _CLOSING
            self.resume()  # or the peer's answer would not be seen
            self._close_due = self._due_in(self._engine.pace.close_timeout_s)
            self._put_last(frames.encode_close(code, reason, masked=self._client))

    def abort(self, reason: str) -> None:
        """Drop the connection without a farewell."""
        self._end(frames.ABNORMAL, reason)
        self._destroy()

    def probe(self, timeout_s: float, done: Callable[[bool], None]) -> None:
        """Ping the peer now; `done` learns in the loop whether it answered in time."""
        if self._state != _OPEN:
            self._engine.loop.run_callback(done, False)
            return
        probe = (self._due_in(timeout_s), done)
        self._probes = [*(self._probes or ()), probe]
        self._ping(self._engine.wheel.now())

    def pause(self) -> None:
        """Read no more until `resume`, so that the peer has to wait.

        Messages that were read already are kept; deadlines of the peer are suspended.
        """
        self._paused = True
        self._frame_due = None
        if self._reader is not None:
            self._reader.stop()

    def resume(self) -> None:
        """Read on after `pause`."""
        if self._paused:
            self._paused = False
            self._heard = True
            self._engine.loop.run_callback(self._read_on)

    # --- reading: callbacks of the loop --------------------------------------

    def _begin(self, received: bytes) -> None:
        if self._state == _CLOSED:
            return
        self._reader = self._engine.loop.io(self._stream.fileno(), _READ)
        if received:
            self._parser.feed(received)
        self._read_on()

    def _read_on(self) -> None:
        if self._reader is not None and not self._paused:
            self._reader.start(self._readable)
            self._work()

    def _readable(self) -> None:
        try:
            data = self._stream.recv(self._engine.pace.read_bytes)
        except BlockingIOError:
            return
        except OSError as error:
            self.abort(f"connection lost: {error.strerror or error}")
            return
        if not data:
            self.abort("connection lost")
        elif self._state != _DRAINING:
            self._heard = True
            try:
                text = self._parser.whole(data)
                if text is not None:
                    if self._state == _OPEN:
                        self.on_text(text)
                    return
            except ProtocolError as error:
                self._fail(error.code, error.reason)
                return
            except Exception:
                log.exception("a message of %s could not be taken", self.remote_addr)
                self._fail(frames.INTERNAL_ERROR, "internal error")
                return
            self._parser.feed(data)
            self._work()

    def _work(self) -> None:
        """Serve the messages that have come, as many as one turn allows."""
        parser = self._parser
        try:
            for _ in range(self._engine.pace.messages_per_turn):
                event = parser.next()
                if event is None:
                    break
                opcode, payload = event
                if opcode != frames.TEXT:
                    self._control(opcode, payload)
                elif self._state == _OPEN:
                    self.on_text(payload)
                if self._frame_due is not None and not parser.fragmented:
                    self._frame_due = None
                if self._paused or self._state >= _DRAINING:
                    break
                if not parser.partial:
                    break
                self._corked = True  # answers to messages that came together leave together
            else:
                self._yield()
        except ProtocolError as error:
            self._fail(error.code, error.reason)
        except Exception:
            log.exception("a message of %s could not be taken", self.remote_addr)
            self._fail(frames.INTERNAL_ERROR, "internal error")
        if self._corked:
            self._corked = False
            self._flush()
        if parser.partial and self._frame_due is None and not self._paused:
            self._frame_due = self._due_in(self._engine.pace.frame_timeout_s)

    def _yield(self) -> None:
        """Let others have a turn before the rest is served."""
        if self._reader is not None:
            self._reader.stop()
        self._engine.loop.run_callback(self._read_on)

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == frames.PING:
            if self._state == _OPEN:
                self._put(frames.encode(frames.PONG, payload, masked=self._client))
        elif opcode == frames.PONG:
            sent = self._ping_sent
            if sent is not None and payload == struct.pack(">d", sent):
                self.rtt_s = self._engine.wheel.now() - sent
                self._ping_sent = None
                self._missed = 0
                self._tell_probes(True)
        else:
            code, reason = frames.parse_close(payload)
            if self._state == _OPEN:
                self._end(code, reason)
                self._put_last(frames.encode_close(code, masked=self._client))
            self._drain()

    # --- writing -------------------------------------------------------------

    def _put(self, frame: bytes) -> None:
        """Send a frame, or queue it while the queue has room."""
        outbox = self._outbox
        if outbox is not None:
            pace = self._engine.pace
            if self._corked and self._writer is None:
                if outbox.size > pace.read_bytes:
                    self._flush()
            elif len(outbox) >= pace.outbox_messages or outbox.size >= pace.outbox_bytes:
                log.warning("%s does not read: %d bytes wait", self.remote_addr, outbox.size)
                outbox.cut()
                self._fail(frames.POLICY, "reading too slowly")
                return
        self._put_last(frame)

    def _put_last(self, frame: bytes) -> None:
        """Send or queue a frame, room or not."""
        if self._outbox is not None:
            self._outbox.add(frame)
            return
        if not self._corked:
            sent = self._send_now(frame)
            if sent == len(frame) or self._state == _CLOSED:
                return
            frame = frame[sent:]
        self._outbox = Outbox()
        self._outbox.add(frame)
        if not self._corked:
            self._await_writable()

    def _send_now(self, data: bytes) -> int:
        """Return how many bytes the socket takes; a broken one ends the connection."""
        try:
            return self._stream.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            self.abort(f"connection lost: {error.strerror or error}")
            return 0

    def _flush(self) -> None:
        """Send what is queued, as far as the socket takes it."""
        outbox = self._outbox
        if outbox is None:
            return
        sent = self._send_now(outbox.data())
        if self._state == _CLOSED:
            return
        outbox.took(sent)
        if outbox.size:
            self._await_writable(progress=sent > 0)
            return
        self._outbox, self._write_due = None, None
        self._drop_writer()
        if self._state == _DRAINING:
            self._hang_up()

    def _await_writable(self, progress: bool = True) -> None:
        if progress or self._write_due is None:
            self._write_due = self._due_in(self._engine.pace.write_timeout_s)
        if self._writer is None:
            self._writer = self._engine.loop.io(self._stream.fileno(), _WRITE)
            self._writer.start(self._flush)

    def _drop_writer(self) -> None:
        if self._writer is not None:
            self._writer.stop()
            self._writer.close()
            self._writer = None

    # --- ending --------------------------------------------------------------

    def _end(self, code: int, reason: str) -> None:
        """Let the owner know, once, in the loop and never inside its own call."""
        if not self._ended:
            self._ended = True
            self._ping_due = None
            self._engine.loop.run_callback(self._tell_end, code, reason)

    def _tell_end(self, code: int, reason: str) -> None:
        on_close = self.on_close
        self.on_close, self.on_text = _ignore_close, _ignore_text  # no cycles with the owner
        self._tell_probes(False)
        try:
            on_close(code, reason)
        except Exception:
            log.exception("on_close failed for %s", self.remote_addr)

    def _tell_probes(self, answered: bool, until: float = math.inf) -> None:
        """Tell the probes that are due until a time how they ended."""
        probes = self._probes or ()
        self._probes = [probe for probe in probes if probe[0] > until] or None
        for due, done in probes:
            if due > until:
                continue
            try:
                done(answered)
            except Exception:
                log.exception("a probe's callback failed for %s", self.remote_addr)

    def _fail(self, code: int, reason: str) -> None:
        """Say why and end; what the peer still sends is not looked at."""
        if self._state == _OPEN:
            log.info("closing %s with %d: %s", self.remote_addr, code, reason)
            self._end(code, reason)
            self._put_last(frames.encode_close(code, reason, masked=self._client))
        self._drain()

    def _drain(self) -> None:
        """Wait for the peer to hang up: closing first would take our last words from it."""
        if self._state >= _DRAINING:
            return
        self._state = _DRAINING
        self._parser.clear()
        self._frame_due = None
        self._close_due = self._due_in(self._engine.pace.drain_timeout_s)
        if self._reader is not None:
            self._reader.start(self._readable)
        if self._outbox is None:
            self._hang_up()

    def _hang_up(self) -> None:
        with suppress(OSError):
            self._stream.shutdown(socket.SHUT_WR)

    def _destroy(self) -> None:
        if self._state == _CLOSED:
            return
        self._state = _CLOSED
        self._drop_writer()
        if self._reader is not None:
            self._reader.stop()
            self._reader.close()
            self._reader = None
        self._outbox = None
        self._parser.clear()
        self._engine.wheel.remove(self)
        self._engine.connections.discard(self)
        with suppress(OSError):
            self._stream.close()
        if self._on_gone is not None:
            self._on_gone()

    # --- deadlines -----------------------------------------------------------

    def _due_in(self, seconds: float) -> float:
        due = self._engine.wheel.now() + seconds
        self._engine.wheel.add(self, due)
        return due

    def on_due(self, now: float) -> float | None:
        """Do what is due (called by the timer wheel) and return the next deadline."""
        if self._close_due is not None and self._close_due <= now:
            self.abort("the peer did not hang up")
            return None
        if self._write_due is not None and self._write_due <= now:
            self.abort("write timed out")
            return None
        if self._frame_due is not None and self._frame_due <= now:
            self._fail(frames.POLICY, "message not finished in time")
        if self._probes is not None:
            self._tell_probes(False, until=now)
        if self._ping_due is not None and self._ping_due <= now:
            self._judge_ping(now)
        dues = [self._close_due, self._write_due, self._frame_due, self._ping_due]
        dues += [due for due, _ in self._probes or ()]
        waiting = [due for due in dues if due is not None]
        return min(waiting) if waiting and self._state != _CLOSED else None

    def _judge_ping(self, now: float) -> None:
        """Ping; whoever has sent anything since the last one is alive."""
        if self._ping_sent is not None and not self._heard and not self._paused:
            self._missed += 1
            if self._missed >= self._engine.pace.missed_pings:
                self._fail(frames.INTERNAL_ERROR, "no answer to pings")
                return
        else:
            self._missed = 0
        self._ping(now)
        self._ping_due = now + self._ping_interval_s

    def _ping(self, now: float) -> None:
        self._heard = False
        self._ping_sent = now
        self._put(frames.encode(frames.PING, struct.pack(">d", now), masked=self._client))
