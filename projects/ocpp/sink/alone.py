"""A charger's connection where the logger itself plays the central system."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gway.projects.ocpp.csms.runtime import LARGE, LARGE_COUNTS
from gway.projects.ocpp.sink.answers import Answers
from gway.projects.ocpp.sink.tap import Tap

if TYPE_CHECKING:
    from gway.projects.ocpp.sink.service import Sink
    from gway.web.ws import Connection

PAUSE_AT = LARGE_COUNTS - 1
RESUME_AT = 8


class Session:
    """One connection of a charger: no more of its messages wait than can be served soon.

    What is called `on_` is a callback of the loop and must not block.
    """

    def __init__(self, sink: Sink, tap: Tap, connection: Connection) -> None:
        self.sink = sink
        self.tap = tap
        self.connection = connection
        self.ended: tuple[int, str] | None = None
        self._waiting = 0
        self._paused = False
        connection.on_text = self.on_text
        connection.on_close = self.on_close

    def on_text(self, data: str | bytes) -> None:
        """Queue a message; a charger that sends faster than it is served has to wait."""
        self._waiting += _weight(data)
        if self._waiting > PAUSE_AT and not self._paused:
            self._paused = True
            self.connection.pause()
        self.put(data.encode() if isinstance(data, str) else data)

    def on_close(self, code: int, reason: str) -> None:
        """Note the end; what came before it is still served."""
        self.ended = (code, reason)
        self.put(None)

    def put(self, data: bytes | None) -> None:
        """Have a message served in its turn, or the end of the connection (None)."""
        self.sink.runtime.put((self, data))

    def take(self, data: bytes | None) -> None:
        """Serve what was put; not in the loop."""
        raise NotImplementedError

    def done_with(self, data: bytes) -> None:
        """Let the charger go on sending when little of what it sent is left."""
        self._waiting -= _weight(data)
        if self._paused and self._waiting <= RESUME_AT:
            self._paused = False
            self.connection.resume()

    def left(self, leg: str = "") -> None:
        """Note that the charger has gone."""
        code, reason = self.ended or (1006, "")
        open_calls = ", ".join(action for _, action in self.tap.conversation.unanswered()[:5])
        words = [f"closed with {code}", reason, f"unanswered: {open_calls}" if open_calls else ""]
        self.tap.event("close", "; ".join(filter(None, words)), (), leg)
        self.sink.left(self)


class Alone(Session):
    """Answers the charger so that it goes on."""

    def __init__(self, sink: Sink, tap: Tap, connection: Connection) -> None:
        super().__init__(sink, tap, connection)
        self._answers = Answers(tap.charger, sink.ids, sink.now, sink.options.interval_s)

    def take(self, data: bytes | None) -> None:
        """Judge, note and answer one message; in a worker."""
        if data is None:
            self.left()
            return
        try:
            self.tap.frame(data, "in")
            answer = self.sink.runtime.aside(len(data), self._answers.to, data)
            if answer is not None and self.connection.open:
                self.tap.frame(answer, "out")
                self.connection.send(answer)
        finally:
            self.done_with(data)


def _weight(data: str | bytes) -> int:
    return 1 if len(data) < LARGE else LARGE_COUNTS
