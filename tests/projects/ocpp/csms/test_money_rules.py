"""Transactions over connections: stored before answered, and never lost."""

from datetime import timedelta

import pytest

from gway.projects.ocpp.csms.ids import BLOCK, LocalIds
from gway.projects.ocpp.csms.money import StorageGate
from gway.projects.ocpp.facts import TagDecision, TagStatus
from gway.web.ws import Accept


def test_a_session_is_told_and_answered(site, line):
    transaction_id = line.start(meter_wh=1_000)
    assert line.meter(transaction_id, 2_500) == {}
    assert line.stop(transaction_id, 4_500) == {}
    names = [name for name, _ in site.store.facts if name in ("started", "metered", "stopped")]
    assert names == ["started", "metered", "stopped"]
    assert site.store.transactions[transaction_id].energy_wh == 3_500


def test_nothing_is_answered_before_it_is_stored(site, line):
    site.store.slow = True
    assert line.say(line.frame("StartTransaction", line.start_words(), "a")) == []
    (done,) = site.store.waiting
    done(None)
    assert line.sent[-1][:2] == [3, "a"]


def test_an_event_of_security_is_answered_when_it_is_stored(site, line):
    site.store.slow = True
    told = {"type": "TamperDetectionActivated", "timestamp": "2026-01-02T03:04:05Z"}
    assert line.say(line.frame("SecurityEventNotification", told, "a")) == []
    (done,) = site.store.waiting
    done(None)
    assert line.sent[-1] == [3, "a", {}]
    (kept,) = site.store.of("security")
    assert (kept["event"].type, kept["event"].tech_info) == ("TamperDetectionActivated", None)


def test_a_broken_event_of_security_is_an_error_and_nothing_is_kept(site, line):
    answers = line.say(line.frame("SecurityEventNotification", {"type": "x" * 51}, "a"))
    assert answers[-1][:2] == [4, "a"]
    assert site.store.of("security") == []


def test_other_messages_are_answered_while_one_is_stored(site, line):
    site.store.slow = True
    line.say(line.frame("StartTransaction", line.start_words(), "a"))
    assert "currentTime" in line.call("Heartbeat")


@pytest.mark.parametrize(
    "status", [TagStatus.BLOCKED, TagStatus.EXPIRED, TagStatus.INVALID, TagStatus.CONCURRENT_TX]
)
def test_a_refused_tag_gets_a_real_transaction_id(site, line, status):
    site.store.decisions["ADA"] = TagDecision(status)
    answer = line.call("StartTransaction", line.start_words())
    assert answer["transactionId"] > 0
    assert answer["idTagInfo"]["status"] == status.value
    (told,) = site.store.of("judged")
    assert (told["purpose"], told["decision"].status) == ("start", status)


def test_the_same_start_again_gets_the_same_answer(site, line):
    words = line.start_words()
    first = line.call("StartTransaction", words)
    assert line.call("StartTransaction", words) == first
    assert len(site.store.of("started")) == 1


def test_a_repeated_start_waits_for_the_first_to_be_stored(site, line):
    site.store.slow = True
    words = line.start_words()
    line.say(line.frame("StartTransaction", words, "a"))
    assert line.say(line.frame("StartTransaction", words, "b")) == []
    (done,) = site.store.waiting
    before = len(line.sent)
    done(None)
    answers = {frame[1]: frame[2] for frame in line.sent[before:]}
    assert answers["a"] == answers["b"]


def test_a_tag_is_limited_to_its_transactions_over_all_chargers(site, line):
    site.store.decisions["ADA"] = TagDecision(TagStatus.ACCEPTED, concurrent_limit=1)
    first = line.start(1)
    other = site.line("CPY")
    second = other.call("StartTransaction", other.start_words(id_tag="ada"))
    assert second["idTagInfo"]["status"] == "ConcurrentTx"
    line.stop(first)
    site.clock.at += timedelta(seconds=1)
    assert other.call("StartTransaction", other.start_words(id_tag="ADA"))["idTagInfo"] == {
        "status": "Accepted"
    }


def test_a_start_that_waits_for_its_id_does_not_overtake_the_limit(site, line, monkeypatch):
    site.store.decisions["ADA"] = TagDecision(TagStatus.ACCEPTED, concurrent_limit=1)
    other = site.line("CPY")
    decisions, meanwhile = site.central.decisions, []
    give = decisions.next_transaction_id

    def wait_for_the_disk(charger):
        if charger.charger_id != "CPY":  # others are served in the meantime
            meanwhile.append(other.call("StartTransaction", other.start_words()))
        return give(charger)

    monkeypatch.setattr(decisions, "next_transaction_id", wait_for_the_disk)
    waited = line.call("StartTransaction", line.start_words())
    assert [answer["idTagInfo"]["status"] for answer in meanwhile] == ["Accepted"]
    assert waited["idTagInfo"]["status"] == "ConcurrentTx"


@pytest.mark.parametrize("restart", [False, True], ids=["reconnect", "restart"])
def test_a_stop_reaches_its_transaction_after_a(site, line, restart):
    transaction_id = line.start(meter_wh=1_000)
    line.close()
    if restart:
        site.restart()
    again = site.line()
    again.meter(transaction_id, 2_000)
    again.stop(transaction_id, 3_000)
    assert site.store.transactions[transaction_id].energy_wh == 2_000


def test_ids_are_unique_over_chargers_and_restarts(site, line):
    given = {line.start(1), line.start(2), site.line("CPY").start()}
    site.restart()
    given.add(site.line("CPZ").start())
    assert len(given) == 4


def test_another_chargers_transaction_is_not_touched(site, line):
    transaction_id = line.start()
    thief = site.line("THIEF")
    assert thief.stop(transaction_id) == {}
    assert thief.meter(transaction_id, 99) == {}
    assert [told["orphan"].action for told in site.store.of("orphan")] == [
        "StopTransaction",
        "MeterValues",
    ]
    assert site.store.transactions[transaction_id].state == "open"


def test_a_stop_is_answered_about_its_tag(site, line):
    site.store.decisions["BOB"] = TagDecision(TagStatus.BLOCKED)
    answer = line.stop(line.start(), idTag="BOB")
    assert answer == {"idTagInfo": {"status": "Blocked"}}


def test_a_second_stop_gets_the_same_answer_and_a_different_one_is_a_conflict(site, line):
    transaction_id = line.start()
    assert line.stop(transaction_id) == line.stop(transaction_id) == {}
    assert len(site.store.of("stopped")) == 1
    assert line.stop(transaction_id, 9_999) == {}
    assert site.store.of("orphan")[-1]["orphan"].action == "StopTransaction"
    assert "conflicting-stop" in site.store.of("revised")[-1]["transaction"].flags


ODD = {
    "time": {"timestamp": "yesterday at noon"},
    "reason": {"reason": "Bored"},
    "extra": {"vendorThing": 1},
    "tag": {"idTag": "x" * 40},
    "data": {"transactionData": [{"timestamp": "?", "sampledValue": [{"value": "?"}]}]},
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
def test_an_odd_stop_is_stored_and_answered_all_the_same(site, line, odd):
    transaction_id = line.start()
    answer = line.stop(transaction_id, **odd)
    assert not isinstance(answer, list)
    (told,) = site.store.of("stopped")
    assert told["transaction"].transaction_id == transaction_id


def test_what_was_odd_is_kept_as_flags(site, line):
    line.stop(line.start(), timestamp="yesterday", reason="Bored")
    (told,) = site.store.of("stopped")
    flags = told["transaction"].flags
    assert "bad-timestamp" in flags
    assert "date-time:timestamp" in flags
    assert "enum:reason" in flags
    assert told["transaction"].stop_time_raw == "yesterday"


def test_transaction_data_comes_with_its_stop(site, line):
    transaction_id = line.start(meter_wh=1_000)
    data = [{"timestamp": line.time(), "sampledValue": [{"value": "4.2", "unit": "kWh"}]}]
    line.stop(transaction_id, transactionData=data)
    (told,) = site.store.of("stopped")
    assert told["reading"].origin == "transactionData"
    assert told["reading"].energy_wh == 4_200


def test_a_free_connector_ends_what_was_never_stopped(site, line):
    transaction_id = line.start(1, meter_wh=1_000)
    line.meter(transaction_id, 3_000)
    line.status(1, "Available")
    (told,) = site.store.of("closed")
    assert (told["why"], told["transaction"].energy_wh) == ("connector available", 2_000)
    line.stop(transaction_id, 3_500)
    assert site.store.transactions[transaction_id].energy_wh == 2_500


def test_an_operator_closes_what_is_open(site, line):
    line.start(1)
    line.start(2)
    assert len(site.central.close_transactions("CPX")) == 2
    assert [told["why"] for told in site.store.of("closed")] == ["operator", "operator"]
    assert site.central.snapshot("CPX")["transactions"] == []


# --- storage that fails ---


def test_a_failed_store_is_tried_again_and_then_answered(site, line):
    site.store.broken = OSError("disk full")
    assert line.say(line.frame("StartTransaction", line.start_words(), "a")) == []
    site.runtime.advance(1)
    site.store.broken = None
    site.runtime.advance(2)
    assert line.sent[-1][:2] == [3, "a"]
    assert line.open
    assert len({told["transaction"].transaction_id for told in site.store.of("started")}) == 1


def test_what_comes_meanwhile_waits_its_turn(site, line):
    site.store.broken = OSError("disk full")
    line.say(line.frame("StartTransaction", line.start_words(), "a"))
    assert line.say(line.frame("Heartbeat", {}, "b")) == []
    site.store.broken = None
    site.runtime.advance(2)
    assert [frame[1] for frame in line.sent[-2:]] == ["a", "b"]


def test_after_five_seconds_the_charger_is_cut_off_unanswered(site, line):
    site.store.broken = OSError("disk full")
    line.say(line.frame("StartTransaction", line.start_words(), "a"))
    site.runtime.advance(4)
    assert line.open
    site.runtime.advance(1.5)
    assert line.closed is not None
    assert line.closed[0] == 1011
    assert "a" not in [frame[1] for frame in line.sent]


def test_nobody_is_let_in_while_nothing_can_be_stored(site, line):
    site.store.broken = OSError("disk full")
    site.store.ready = False
    line.say(line.frame("StartTransaction", line.start_words(), "a"))
    site.runtime.advance(60)
    assert site.knock("CPY").status == 503
    site.runtime.advance(2)
    site.store.ready = True
    assert isinstance(site.knock("CPY"), Accept)


def test_the_start_that_was_lost_is_a_new_one_when_it_comes_again(site, line):
    words = line.start_words()
    site.store.broken = OSError("disk full")
    line.say(line.frame("StartTransaction", words, "a"))
    site.runtime.advance(6)
    site.store.broken, site.store.ready = None, True
    site.runtime.advance(2)
    again = site.line()
    answer = again.call("StartTransaction", words)
    assert site.store.transactions[answer["transactionId"]].state == "open"


def test_a_store_that_cannot_be_asked_holds_the_message_back_too(site, line):
    site.store.deaf = OSError("locked")
    transaction_id = 4_711
    words = {"transactionId": transaction_id, "meterStop": 5, "timestamp": line.time()}
    assert line.say(line.frame("StopTransaction", words, "a")) == []
    site.store.deaf = None
    site.runtime.advance(1)
    assert line.sent[-1] == [3, "a", {}]


def test_a_bug_of_ours_keeps_the_message_as_an_orphan(site, line, caplog):
    def fail(*_):
        raise RuntimeError("bug")

    site.central.handlers.money["StopTransaction"] = fail
    assert line.stop(1) == {}
    (told,) = site.store.of("orphan")
    assert told["orphan"].reason == "the central system failed"
    assert "bug" in caplog.text


class Moment:
    def __init__(self):
        self.seconds = 0.0
        self.asked = 0
        self.ready = None

    def ask(self):
        self.asked += 1
        return self.ready


@pytest.fixture
def moment():
    return Moment()


@pytest.fixture
def gate(moment):
    return StorageGate(moment.ask, lambda: moment.seconds, rest_s=5.0)


def test_the_gate_lets_one_try_after_a_rest_when_nobody_knows(gate, moment):
    moment.seconds = 100
    gate.failed(OSError("full"))
    assert not gate.lets_in()
    moment.seconds = 106
    assert gate.lets_in()
    moment.seconds = 108
    assert not gate.lets_in()
    gate.worked()
    assert gate.lets_in()


def test_the_gate_opens_for_whoever_asks_about_it_when_the_store_works_again(gate, moment):
    moment.ready = False
    moment.seconds = 100
    gate.failed(OSError("full"))
    assert not gate.is_open()
    moment.ready = True
    moment.seconds = 102
    assert gate.is_open()
    assert gate.reason == ""


def test_asking_about_the_gate_takes_no_chargers_turn_to_try(gate, moment):
    moment.seconds = 100
    gate.failed(OSError("full"))
    moment.seconds = 106
    assert not gate.is_open()
    assert gate.lets_in()


def test_the_gate_asks_the_store_at_most_once_a_second(gate, moment):
    moment.ready = False
    moment.seconds = 100
    gate.failed(OSError("full"))
    for _ in range(10):
        gate.lets_in()
        moment.seconds += 0.3
    assert moment.asked == 3


def test_local_ids_are_never_given_twice(tmp_path):
    file = tmp_path / "ids.txt"
    first = LocalIds(file)
    given = [first.take() for _ in range(BLOCK + 2)]
    given += [LocalIds(file).take() for _ in range(3)]
    assert len(set(given)) == len(given)
    assert min(given) == 1


def test_texts_of_a_transaction_are_kept_at_a_length_that_pages_can_show(site, line):
    words = line.start_words(id_tag="x" * 100_000) | {"timestamp": "9" * 100_000}
    transaction_id = line.call("StartTransaction", words)["transactionId"]
    assert line.call("StartTransaction", words)["transactionId"] == transaction_id
    line.stop(transaction_id, timestamp="8" * 100_000, idTag="y" * 100_000, reason="z" * 100_000)
    stored = site.store.transactions[transaction_id]
    assert stored.state == "stopped"
    assert {"length:idTag", "enum:reason"} <= set(stored.flags)
    for text in (stored.id_tag, stored.start_time_raw, stored.stop_time_raw, stored.stop_reason):
        assert len(text) == 255
