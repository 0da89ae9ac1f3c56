"""One connection to the remote: a greenlet reads, another writes, pings find a dead one.

It follows no redirects, takes no message beyond 1 MiB and no flood of them; see
evcs/link.py. To be used on the hub of a process that serves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from gway.projects.ocpp.evcs.link import LinkError, Target, WebSocketLink

log = logging.getLogger("ocpp.proxy")

DIAL_S = 15.0
"""For name, TCP, TLS and handshake together, however slowly they drip in."""
QUIET_S = 10.0
"""What `receive` waits for a message."""
PING_AFTER_S = 20.0
DEAD_AFTER_S = 50.0
"""Two pings went unanswered: the other side is gone, or our way to it (within 60 s)."""
GOODBYE_S = 1.0
MOST_UNSENT = 500
"""One CALL is in flight, and the remote's own are answered: so many wait only for the deaf."""

Told = Callable[..., None]


class Wire:
    """A connection, from the try to its end.

    :param opened: called when it is open
    :param refused: called with an HTTP status (0: none) and words when it never opened
    :param heard: called with each message
    :param ended: called with words when it ended; also after `close`
    One of `refused` and `ended` is called once, as the last.
    """

    def __init__(
        self, target: Target, opened: Told, refused: Told, heard: Told, ended: Told
    ) -> None:
        from gevent.queue import SimpleQueue

        self._target = target
        self._opened, self._refused, self._heard, self._ended = opened, refused, heard, ended
        self._link: WebSocketLink | None = None
        self._outgoing: Any = SimpleQueue()
        self._why: str | None = None

    def start(self) -> None:
        """Begin to connect."""
        import gevent

        gevent.spawn(self._run)

    def send(self, text: bytes) -> None:
        """Send a message soon; after the end it is dropped."""
        if self._link is None or self._why is not None:
            return
        if self._outgoing.qsize() < MOST_UNSENT:
            self._outgoing.put(text)
            return
        self._why = "it takes nothing that is sent"
        self._link.drop()

    def close(self, why: str) -> None:
        """Say goodbye and end it, or give up connecting."""
        import gevent

        if self._why is None:
            self._why = why
            if self._link is not None:
                gevent.spawn(self._leave, self._link)

    def _run(self) -> None:
        link = self._dial()
        if link is None:
            return
        import gevent

        self._link = link
        if self._why is None:
            self._opened()
        else:
            link.drop()
        writer = gevent.spawn(self._write, link)
        try:
            why = self._read(link)
        finally:
            self._link = None
            self._outgoing.put(None)
            writer.join()
            link.release()
        self._ended(self._why or why)

    def _dial(self) -> WebSocketLink | None:
        import gevent

        try:
            with gevent.Timeout(DIAL_S, LinkError("it does not finish its handshake")):
                return WebSocketLink(self._target, wary=True)
        except LinkError as error:
            status, words = error.status, str(error)
        except Exception as error:
            # A library that stumbles over what a stranger sends must not end the retries.
            log.exception("%s: no connection", self._target.url)
            status, words = 0, str(error)
        if self._why is None:
            self._refused(status, words)
        else:
            self._ended(self._why)
        return None

    def _read(self, link: WebSocketLink) -> str:
        quiet_s = 0.0
        try:
            while True:
                message = link.receive()
                if message is None:
                    quiet_s += QUIET_S
                    self._mind(link, quiet_s)
                    continue
                quiet_s = 0.0
                if message and self._why is None:
                    self._heard(message)
        except LinkError as error:
            return str(error)

    def _mind(self, link: WebSocketLink, quiet_s: float) -> None:
        """Ping a quiet connection, give up one that is dead."""
        if quiet_s >= DEAD_AFTER_S:
            raise LinkError("it answers no pings")
        if quiet_s % PING_AFTER_S == 0:
            link.ping()

    def _write(self, link: WebSocketLink) -> None:
        try:
            # What is left when the reader ended would have to fail one by one, each slowly.
            while (text := self._outgoing.get()) is not None and self._link is link:
                link.send(text)
        except LinkError as error:
            self._why = self._why or str(error)
            link.drop()

    def _leave(self, link: WebSocketLink) -> None:
        import gevent

        link.hang_up(1000, "")
        gevent.sleep(GOODBYE_S)
        if self._link is link:
            link.drop()
