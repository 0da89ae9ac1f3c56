"""Live updates: topics that pages listen to, as server-sent events.

Publishing costs one dictionary look-up while nobody listens. A listener that is slow sees the
latest event of each topic, never a backlog.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from time import monotonic
from typing import TYPE_CHECKING, Any

from gway.web import formats
from gway.web.reply import Problem, Reply
from gway.web.throttle import address_key
from gway.web.waves import Waves

if TYPE_CHECKING:
    from gevent.event import Event as Signal

    from gway.resolver import Gateway
    from gway.web.request import Request

HEARTBEAT_S = 15.0
LOOK_S = 2.0  # how soon a stream ends after the session of who listens
MIN_GAP_S = 0.1
MAX_LISTENERS = 1_000
MAX_EACH = 200  # of one visitor: nobody takes the live updates away from all others
MAX_TOPICS = 32
_RETRY_MS = 2000
_TOPIC_LENGTH = 200


class _Event:
    """What happened, encoded at most once however many listeners there are."""

    def __init__(self, topic: str, data: Mapping[str, Any]) -> None:
        self.topic = topic
        self.data = data

    @cached_property
    def frame(self) -> bytes:
        """The event in the format of text/event-stream."""
        body = formats.to_json_bytes({"topic": self.topic, "data": self.data})
        return b"data: " + body + b"\n\n"


class Listener:
    """One open stream: the latest event of each of its topics, until they are sent."""

    def __init__(self, topics: Sequence[str], signal: Signal, visitor: str = "") -> None:
        self.topics = tuple(topics)
        self.visitor = visitor
        self._signal = signal
        self._pending: dict[str, _Event] = {}
        self.closed = False

    def offer(self, event: _Event) -> None:
        """Keep an event for sending; it replaces an unsent one of the same topic."""
        self._pending[event.topic] = event
        self._signal.set()

    def close(self) -> None:
        """End the stream at its next turn."""
        self.closed = True
        self._signal.set()

    def wait(self, timeout_s: float) -> list[_Event]:
        """Return what is to be sent, after waiting for it; empty after the timeout."""
        self._signal.wait(timeout_s)
        self._signal.clear()
        events, self._pending = list(self._pending.values()), {}
        return events


class Events:
    """The topics of one gateway and who listens to them."""

    def __init__(self, gw: Gateway) -> None:
        self._gw = gw
        self._by_topic: dict[str, set[Listener]] = {}
        self._waves: Waves[_Event] = Waves()
        self.heartbeat_s = HEARTBEAT_S
        self.min_gap_s = MIN_GAP_S
        self.listeners = 0
        self._each: Counter[str] = Counter()

    def publish(self, topic: str, data: Mapping[str, Any]) -> None:
        """Tell everybody who listens to a topic; for greenlets of the serving thread.

        :param topic: such as `ocpp` or `ocpp:CPX`
        :param data: small, of JSON types; must not change afterwards
        """
        listeners = self._by_topic.get(topic)
        if listeners is None:
            return
        self._waves.tell(topic, _Event(topic, data), listeners)

    def listens(self, topic: str) -> bool:
        """Tell whether anybody listens, for publishers whose data is costly to make."""
        return topic in self._by_topic

    def open(self, topics: Sequence[str], visitor: str = "") -> Listener:
        """Begin to listen; to be ended with `leave`.

        :param topics: at most 32, each of at most 200 characters
        :param visitor: whose limit it counts for; empty for no limit of its own
        """
        from gevent.event import Event as Signal

        if (
            not topics
            or len(topics) > MAX_TOPICS
            or any(not topic or len(topic) > _TOPIC_LENGTH for topic in topics)
        ):
            raise Problem(
                400,
                f"topic: between 1 and {MAX_TOPICS} topics are needed",
                hint="/events?topic=a&topic=b",
            )
        if self.listeners >= MAX_LISTENERS:
            raise Problem(
                503, f"{MAX_LISTENERS} pages listen already", headers=[("Retry-After", "10")]
            )
        if visitor and self._each[visitor] >= MAX_EACH:
            raise Problem(
                429,
                f"{MAX_EACH} of your pages listen already",
                hint="close some of them",
                headers=[("Retry-After", "10")],
            )
        listener = Listener(topics, Signal(), visitor)
        for topic in listener.topics:
            self._by_topic.setdefault(topic, set()).add(listener)
        self.listeners += 1
        self._each[visitor] += 1
        return listener

    def leave(self, listener: Listener) -> None:
        """Stop listening."""
        for topic in listener.topics:
            listeners = self._by_topic.get(topic, set())
            listeners.discard(listener)
            if not listeners:
                self._by_topic.pop(topic, None)
        self.listeners -= 1
        self._each[listener.visitor] -= 1
        if not self._each[listener.visitor]:
            del self._each[listener.visitor]

    def close(self) -> None:
        """End all streams."""
        for listeners in list(self._by_topic.values()):
            for listener in list(listeners):
                listener.close()

    def reply(self, request: Request) -> Reply:
        """Answer `/events?topic=...` with a stream."""
        kind, headers = "text/event-stream", [("X-Accel-Buffering", "no")]
        if request.method == "HEAD":
            return Reply(b"", 200, kind, headers)
        topics = list(dict.fromkeys(request.query.get("topic", ())))
        gate = request.site.gate
        listener = self.open(topics, _visitor_of(request))
        return Reply(Stream(self, listener, lambda: gate.still_in(request)), 200, kind, headers)


def _visitor_of(request: Request) -> str:
    """Name who asks: an account or a token wherever it is used, else an address."""
    visitor = request.visitor
    if visitor is not None and visitor.via in ("account", "basic", "token"):
        return f"{visitor.via} {visitor.name}"
    return address_key(request.remote_addr)


class Stream:
    """The body of an event stream; the server's greenlet sleeps in it.

    :param may_stay: whether who listens is still let in; asked every two seconds at most
    """

    def __init__(
        self, events: Events, listener: Listener, may_stay: Callable[[], bool] = lambda: True
    ) -> None:
        self._events = events
        self._listener = listener
        self._may_stay = may_stay
        self._left = False

    def __iter__(self) -> Iterator[bytes]:
        from gevent import sleep

        yield b"retry: %d\n\n" % _RETRY_MS
        said = asked = monotonic()
        while not self._listener.closed:
            heartbeat_s = self._events.heartbeat_s
            events = self._listener.wait(min(heartbeat_s, LOOK_S))
            now = monotonic()
            if now - asked >= LOOK_S:
                asked = now
                if not self._may_stay():
                    return
            if events or now - said >= heartbeat_s:
                said = now
                yield b"".join(event.frame for event in events) or b": still here\n\n"
                sleep(self._events.min_gap_s)

    def close(self) -> None:
        """Leave; WSGI servers call this however the stream ended."""
        if not self._left:
            self._left = True
            self._events.leave(self._listener)
