"""Whatever happens to a charge point, its transcript keeps the rules of OCPP."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gway.projects.ocpp.evcs.meter import Car

COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("RemoteStartTransaction", {"idTag": "APP"}),
    ("RemoteStartTransaction", {"idTag": "APP", "connectorId": 2}),
    ("RemoteStopTransaction", {"transactionId": 1}),
    ("RemoteStopTransaction", {"transactionId": 2}),
    ("Reset", {"type": "Soft"}),
    ("Reset", {"type": "Hard"}),
    ("UnlockConnector", {"connectorId": 1}),
    ("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"}),
    ("ChangeAvailability", {"connectorId": 0, "type": "Operative"}),
    ("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "0"}),
    ("ChangeConfiguration", {"key": "MeterValueSampleInterval", "value": "7"}),
    ("ChangeConfiguration", {"key": "ClockAlignedDataInterval", "value": "45"}),
    ("ChangeConfiguration", {"key": "AuthorizationKey", "value": "0123456789abcdef"}),
    ("TriggerMessage", {"requestedMessage": "BootNotification"}),
    ("TriggerMessage", {"requestedMessage": "MeterValues"}),
    ("TriggerMessage", {"requestedMessage": "StatusNotification", "connectorId": 2}),
    ("UpdateFirmware", {"location": "ftp://x/y", "retrieveDate": "2026-03-01T08:01:00Z"}),
    ("GetConfiguration", {}),
    ("Nonsense", {}),
]
NUMBERS = st.sampled_from([1, 2])
# What is listed twice happens twice as often: sessions and time.
STEPS = st.one_of(
    st.tuples(st.just("charge"), NUMBERS),
    st.tuples(st.just("charge"), NUMBERS),
    st.tuples(st.just("unplug"), NUMBERS),
    st.tuples(st.just("tag"), NUMBERS),
    st.tuples(st.just("run"), st.integers(5, 90)),
    st.tuples(st.just("run"), st.integers(5, 30)),
    st.tuples(st.just("cut"), st.none()),
    st.tuples(st.just("connect"), st.none()),
    st.tuples(st.just("connect"), st.none()),
    st.tuples(st.just("command"), st.sampled_from(COMMANDS)),
    st.tuples(st.just("mood"), st.sampled_from(["", "", "silent", "silent", "error", "nonsense"])),
    st.tuples(st.just("junk"), st.sampled_from(["[]", "[3,1]", '[4,"m1"]', '[3,"m2",{}]', "?"])),
)
MONEY = ("StartTransaction", "MeterValues", "StopTransaction")


def energy(payload: dict[str, Any]) -> int:
    if "meterStart" in payload:
        return int(payload["meterStart"])
    if "meterStop" in payload:
        return int(payload["meterStop"])
    return int(payload["meterValue"][0]["sampledValue"][0]["value"])


class Watch:
    """Sits on the wire of a World and checks every frame as it passes."""

    def __init__(self, site: Any) -> None:
        self.site = site
        self.outstanding: str | None = None
        self.since = site.now
        self.ids: set[str] = set()
        self.mood = ""
        self.acknowledged: list[tuple[str, dict[str, Any], int]] = []
        self._take, self._reply, self._cut = site._take, site._reply, site.cut
        site._take, site._reply = self.take, self.reply

    def take(self, text: str) -> None:
        kind, message_id, *_ = json.loads(text)
        if kind == 2:
            timed_out = (self.site.now - self.since).total_seconds() >= 30
            assert self.outstanding is None or timed_out, "two calls at once"
            assert message_id not in self.ids, "a message id was used twice"
            self.ids.add(message_id)
            self.outstanding, self.since = message_id, self.site.now
        self._take(text)

    def reply(self, message_id: str, action: str, request: dict[str, Any]) -> None:
        if self.mood == "silent":
            return
        if message_id == self.outstanding:
            self.outstanding = None
        if self.mood in ("error", "nonsense") and action != "BootNotification":
            code = [4, message_id, "InternalError", "", {}]
            junk = [3, message_id, {"transactionId": "x", "idTagInfo": 3}]
            frame = json.dumps(code if self.mood == "error" else junk)
            # An action whose answer has no fields cannot be answered with nonsense only.
            self.site.do(self.site.point.received(frame, self.site.now))
            return
        number = len([one for one in self.acknowledged if one[0] == "StartTransaction"]) + 1
        if action in MONEY:
            self.acknowledged.append((action, request, number))
        if action == "StartTransaction":
            answer = {"idTagInfo": {"status": "Accepted"}, "transactionId": number}
            self.site.answers["StartTransaction"] = answer
        self._reply(message_id, action, request)

    def linked(self) -> None:
        self.outstanding = None


def apply(site: Any, watch: Watch, step: tuple[str, Any]) -> None:
    what, with_what = step
    online = site.point.registration.online
    if what == "charge":
        site.plug(with_what).tag("TAG", with_what)
    elif what == "unplug":
        site.unplug(with_what)
    elif what == "tag":
        site.tag("TAG", with_what)
    elif what == "run":
        site.run(with_what)
    elif what == "cut":
        site.cut()
    elif what == "connect" and not online:
        watch.linked()
        site.connect()
    elif what == "command" and online:
        site.command(*with_what)  # fails unless it is answered exactly once
    elif what == "mood":
        watch.mood = with_what
    elif what == "junk" and online:
        site.do(site.point.received(with_what, site.now))


@settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(steps=st.lists(STEPS, min_size=15, max_size=40))
def test_any_story_obeys_the_rules(world, steps):
    site = world(connectors=2, duration_s=120, connect=False)
    watch = Watch(site)
    site.connect()
    for step in steps:
        apply(site, watch, step)
    # In the end everything is well again: all is told.
    watch.mood = ""
    site.run(40).cut()
    watch.linked()
    site.connect()
    for number in (1, 2):
        site.unplug(number)
    site.run(200)
    if not site.point.registration.online:  # a reset came late
        watch.linked()
        site.connect().run(200)
    assert site.point.told
    running = check_order(watch.acknowledged)
    assert not running or site.point.outbox.counts["discarded"], "a stop was never told"


def check_order(acknowledged: list[tuple[str, dict[str, Any], int]]) -> dict[int, int]:
    """Start, then values, then stop, per connector; the register never goes back.

    Returns the transactions without a stop.
    """
    running: dict[int, int] = {}
    registers: dict[int, int] = {}
    for action, payload, number in acknowledged:
        told = payload.get("transactionId")
        if action == "StartTransaction":
            connector = payload["connectorId"]
            running[connector] = number
        elif told is None or told == -1:
            continue  # outside of a transaction, or of one whose start was given up
        else:
            (connector,) = [one for one, value in running.items() if value == told]
            if action == "StopTransaction":
                del running[connector]
        assert energy(payload) >= registers.get(connector, 0), "the register went back"
        registers[connector] = energy(payload)
    return running


@given(
    target_wh=st.floats(100, 100_000),
    duration_s=st.floats(1, 36_000),
    pieces=st.lists(st.floats(0.001, 0.5), min_size=1, max_size=20),
)
def test_energy_does_not_depend_on_how_often_somebody_looks(target_wh, duration_s, pieces):
    often, once = Car(target_wh, duration_s), Car(target_wh, duration_s)
    for piece in pieces:
        often.charge(piece * duration_s)
    once.charge(sum(pieces) * duration_s)
    assert abs(often.delivered_wh - once.delivered_wh) < 1e-6 * target_wh
    assert once.delivered_wh <= target_wh
    assert once.full == (sum(pieces) >= 1) or abs(sum(pieces) - 1) < 1e-9


@given(limit_w=st.floats(100, 50_000), seconds=st.floats(1, 3_000))
def test_a_limited_car_never_takes_more_than_the_limit(limit_w, seconds):
    car = Car(50_000, 600)
    taken_wh = car.charge(seconds, limit_w)
    # The ramp inside a step of one second is the only slack.
    assert taken_wh <= limit_w * seconds / 3600 * 1.02 + 1
