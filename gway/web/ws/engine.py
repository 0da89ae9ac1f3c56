"""The connections of one event loop, and the pace they keep."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import gevent

from gway.web.ws import frames
from gway.web.ws.connection import Connection
from gway.web.ws.timers import Wheel

if TYPE_CHECKING:
    from gway.web.ws.streams import Stream

log = logging.getLogger("gway.web.ws")


@dataclass(frozen=True, slots=True)
class Pace:
    """Sizes and times that connections keep.

    :param message_bytes: largest message over all fragments; more closes with 1009
    :param ping_interval_s: time between pings; 0 sends none
    :param missed_pings: pings without a sign of life until the close with 1011
    :param frame_timeout_s: time from the first byte of a message to its last
    :param write_timeout_s: time in which a peer must take at least one byte
    :param close_timeout_s: time the peer has to answer a close frame
    :param drain_timeout_s: time the peer has to hang up after that
    :param outbox_messages: messages that may wait for a slow peer
    :param outbox_bytes: bytes that may wait for a slow peer
    :param messages_per_turn: messages served before other connections get their turn
    :param read_bytes: bytes read at once
    """

    message_bytes: int = frames.MAX_MESSAGE_BYTES
    ping_interval_s: float = 30.0
    missed_pings: int = 2
    frame_timeout_s: float = 30.0
    write_timeout_s: float = 10.0
    close_timeout_s: float = 5.0
    drain_timeout_s: float = 2.0
    outbox_messages: int = 64
    outbox_bytes: int = 1024 * 1024
    messages_per_turn: int = 64
    read_bytes: int = 65536


class Engine:
    """The connections of one event loop, with the pace they share.

    :param wheel: the deadlines; one of its own if absent
    """

    def __init__(self, pace: Pace | None = None, wheel: Wheel | None = None) -> None:
        self.pace = pace or Pace()
        self.loop = gevent.get_hub().loop
        self.wheel = wheel or Wheel(self.loop)
        self.connections: set[Connection] = set()

    def adopt(
        self,
        stream: Stream,
        on_open: Callable[[Connection], None],
        *,
        remote_addr: str = "",
        received: bytes = b"",
        client: bool = False,
        on_gone: Callable[[], None] | None = None,
    ) -> Connection:
        """Make a connection of a socket whose handshake is done.

        :param stream: non-blocking socket, owned by the connection from now on
        :param on_open: sets the callbacks; runs before anything is read
        :param received: bytes that came with the handshake
        :param client: whether we are the client, who masks what it sends
        :param on_gone: called once when the socket is closed
        """
        connection = Connection(self, stream, remote_addr, client, on_gone)
        self.connections.add(connection)
        try:
            on_open(connection)
        except Exception:
            log.exception("could not open the connection of %s", remote_addr)
            connection.close(frames.INTERNAL_ERROR, "internal error")
        self.loop.run_callback(connection._begin, received)
        return connection

    def close_all(self, code: int, reason: str) -> None:
        """Begin to close every connection."""
        for connection in tuple(self.connections):
            connection.close(code, reason)

    def abort_all(self) -> None:
        """Drop every connection at once."""
        for connection in tuple(self.connections):
            connection.abort("stopped")
