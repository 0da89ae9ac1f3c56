"""Live updates: cheap while nobody listens, bounded when somebody is slow."""

from __future__ import annotations

import json
import time
from typing import Any

import gevent
import pytest

from gway.resolver import Gateway
from gway.web.reply import Problem
from gway.web.sse import MAX_EACH, MAX_LISTENERS, Events, Stream


@pytest.fixture
def events(gw: Gateway) -> Events:
    events = gw.service(Events)
    events.min_gap_s = 0.0
    return events


def heard(chunk: bytes) -> list[Any]:
    return [json.loads(part.removeprefix(b"data: ")) for part in chunk.split(b"\n\n") if part]


def test_a_listener_hears_its_topics_and_no_others(events: Events) -> None:
    listener = events.open(["a", "b"])
    stream = iter(Stream(events, listener))
    assert next(stream) == b"retry: 2000\n\n"
    events.publish("c", {"n": 1})
    events.publish("a", {"n": 2})
    events.publish("b", {"n": 3})
    assert heard(next(stream)) == [
        {"topic": "a", "data": {"n": 2}},
        {"topic": "b", "data": {"n": 3}},
    ]


def test_a_slow_listener_gets_the_latest_of_each_topic_and_never_a_backlog(events: Events) -> None:
    listener = events.open(["a", "b"])
    stream = iter(Stream(events, listener))
    next(stream)
    for n in range(10_000):
        events.publish("a", {"n": n})
    events.publish("b", {"n": -1})
    assert [event["data"]["n"] for event in heard(next(stream))] == [9_999, -1]


def test_a_quiet_stream_shows_that_it_lives(events: Events) -> None:
    events.heartbeat_s = 0.01
    stream = iter(Stream(events, events.open(["a"])))
    next(stream)
    assert next(stream) == b": still here\n\n"


def test_a_burst_is_sent_a_few_times_a_second_only(events: Events) -> None:
    events.min_gap_s = 0.05
    stream = iter(Stream(events, events.open(["a"])))
    next(stream)
    publisher = gevent.spawn(keep_publishing, events, "a")
    began = time.monotonic()
    chunks = [next(stream) for _ in range(4)]
    took_s = time.monotonic() - began
    publisher.kill()
    assert all(len(heard(chunk)) == 1 for chunk in chunks)
    assert took_s >= 3 * 0.05


def keep_publishing(events: Events, topic: str) -> None:
    while True:
        events.publish(topic, {})
        gevent.sleep(0.001)


def test_an_event_wakes_a_waiting_stream(events: Events) -> None:
    stream = iter(Stream(events, events.open(["a"])))
    next(stream)
    reader = gevent.spawn(next, stream)
    gevent.sleep(0)
    assert not reader.ready()
    events.publish("a", {"n": 1})
    assert heard(reader.get(timeout=20))[0]["data"] == {"n": 1}


def test_leaving_forgets_the_topics(events: Events) -> None:
    stream = Stream(events, events.open(["a"]))
    assert events.listens("a")
    stream.close()
    stream.close()
    assert not events.listens("a")
    assert events.listeners == 0


def test_publishing_to_nobody_costs_next_to_nothing(events: Events) -> None:
    class Untouchable(dict[str, Any]):
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError("nobody listens, so nobody may look at the data")

    events.open(["elsewhere"])
    data = Untouchable()
    began = time.perf_counter()
    for _ in range(10_000):
        events.publish("a", data)
    assert time.perf_counter() - began < 0.2  # 10,000 in a second must not be felt


def test_an_event_is_encoded_once_for_all_listeners(
    events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gway.web import formats

    encoded: list[Any] = []
    real = formats.to_json_bytes
    monkeypatch.setattr(
        formats, "to_json_bytes", lambda value: encoded.append(value) or real(value)
    )
    streams = [iter(Stream(events, events.open(["a"]))) for _ in range(20)]
    for stream in streams:
        next(stream)
    events.publish("a", {"n": 1})
    assert all(heard(next(stream)) for stream in streams)
    assert len(encoded) == 1


def test_the_number_of_listeners_is_bounded(events: Events) -> None:
    for _ in range(MAX_LISTENERS):
        events.open(["a"])
    with pytest.raises(Problem) as caught:
        events.open(["a"])
    assert caught.value.status == 503


def test_no_visitor_takes_the_live_updates_away_from_all_others(events: Events, site: Any) -> None:
    from gway.web.auth import Visitor
    from gway.web.request import Request

    def listen(name: str, address: str, via: str = "account") -> Any:
        environ = {"REQUEST_METHOD": "GET", "QUERY_STRING": "topic=a", "REMOTE_ADDR": address}
        request = Request(environ, site)
        request.visitor = Visitor(name, "viewer", via)
        return events.reply(request).body

    streams = [listen("ada", f"192.0.2.{number}") for number in range(MAX_EACH)]
    with pytest.raises(Problem) as caught:
        listen("ada", "192.0.2.250")
    assert caught.value.status == 429
    assert MAX_EACH * 3 < MAX_LISTENERS
    listen("bob", "192.0.2.1")
    for number in range(MAX_EACH):
        listen("anybody", f"2001:db8::{number}", via="insecure")
    with pytest.raises(Problem):
        listen("anybody", "2001:db8::ffff", via="insecure")
    listen("anybody", "2001:db8:0:1::1", via="insecure")
    streams[0].close()
    listen("ada", "192.0.2.250")


@pytest.mark.parametrize("topics", [[], [""], ["x" * 201], [str(n) for n in range(33)]])
def test_odd_topics_are_refused(events: Events, topics: list[str]) -> None:
    with pytest.raises(Problem) as caught:
        events.open(topics)
    assert caught.value.status == 400


def test_the_stream_is_an_event_stream_that_nobody_stores(events: Events, site: Any) -> None:
    from gway.web.request import Request

    request = Request({"REQUEST_METHOD": "GET", "QUERY_STRING": "topic=a&topic=b&topic=a"}, site)
    reply = events.reply(request)
    assert dict(reply.all_headers())["Content-Type"] == "text/event-stream"
    assert dict(reply.all_headers())["Cache-Control"] == "no-store"
    assert events.listens("b")


def test_asking_for_the_head_of_a_stream_opens_none(events: Events, client: Any) -> None:
    assert client.send("HEAD", "/events?topic=a").status == 200
    assert events.listeners == 0


def test_closing_the_gateway_ends_the_streams(gw: Gateway, events: Events) -> None:
    stream = iter(Stream(events, events.open(["a"])))
    next(stream)
    gw.close()
    list(stream)  # would not come back if the stream went on
