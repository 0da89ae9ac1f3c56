"""The rules of the core, one by one, with a clock that is moved by hand."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from gway.projects.ocpp.proxy.governor import Governor
from gway.projects.ocpp.proxy.line import Line
from gway.projects.ocpp.proxy.ports import (
    CommandAnswer,
    Delivered,
    LinkState,
    Options,
    TagWord,
    Unstorable,
)
from tests.projects.ocpp.proxy.bench import BOOT, Bench
from tests.projects.ocpp.proxy.world import Disk, FakeClock, MemoryStore

PERMANENT = [
    "FormationViolation",
    "PropertyConstraintViolation",
    "OccurenceConstraintViolation",
    "OccurrenceConstraintViolation",
    "TypeConstraintViolation",
    "NotSupported",
    "NotImplemented",
    "ProtocolError",
]


def serve(bench: Bench, remote_tx: int = 700, most: int = 100) -> None:
    """Answer as a remote does until nothing is asked any more."""
    for _ in range(most):
        if bench.outlet.in_flight is None:
            bench.pass_time(0.1)
        flight = bench.outlet.in_flight
        if flight is None:
            return
        action = flight.action
        if action == "StartTransaction":
            bench.answer(transactionId=remote_tx, idTagInfo={"status": "Accepted"})
            remote_tx += 1
        elif action == "BootNotification":
            bench.answer(status="Accepted", interval=300, currentTime="2027-01-01T00:00:00Z")
        else:
            bench.answer()


# --- Boot (P3) --------------------------------------------------------------------


def test_nothing_is_sent_before_the_boot_is_accepted() -> None:
    bench = Bench()
    bench.put_start(1)
    bench.open()
    assert bench.actions == ["BootNotification"]
    bench.answer(status="Pending", interval=5, currentTime="2027-01-01T00:00:00Z")
    bench.pass_time(4.9)
    assert bench.actions == ["BootNotification"]
    bench.pass_time(0.2)
    assert bench.actions == ["BootNotification"] * 2
    bench.answer(status="Accepted", interval=60, currentTime="2027-01-01T00:00:00Z")
    assert bench.actions == ["BootNotification"] * 2 + ["StartTransaction"]


def test_the_boot_is_what_the_charger_sent() -> None:
    bench = Bench().open()
    assert bench.sent[-1][1].endswith(b',"BootNotification",' + BOOT + b"]")


def test_a_reconnect_sends_no_boot() -> None:
    bench = Bench().boot()
    bench.cut()
    bench.open()
    assert bench.actions == ["BootNotification"]
    assert bench.outlet.state is LinkState.ONLINE


def test_a_restart_sends_no_boot() -> None:
    bench = Bench().boot()
    bench.kill()
    bench.open()
    assert bench.actions == ["BootNotification"]


def test_a_changed_boot_is_sent_at_once() -> None:
    bench = Bench().boot()
    bench.store.put_latest("CP1", "Boot", "BootNotification", b'{"firmwareVersion":"2"}')
    bench.outlet.look()
    assert bench.last[2:] == ["BootNotification", {"firmwareVersion": "2"}]
    assert bench.outlet.state is LinkState.BOOTING


def test_the_same_boot_again_is_not_sent() -> None:
    bench = Bench().boot()
    bench.store.put_latest("CP1", "Boot", "BootNotification", BOOT)
    bench.outlet.look()
    assert bench.actions == ["BootNotification"]


def test_the_same_boot_in_another_spelling_is_not_sent() -> None:
    bench = Bench().boot()
    spelled = b'{ "chargePointModel": "M", "chargePointVendor": "V" }'
    bench.store.put_latest("CP1", "Boot", "BootNotification", spelled)
    bench.outlet.look()
    bench.cut()
    bench.open()
    assert bench.actions == ["BootNotification"]


def test_boot_always_sends_it_on_each_connection() -> None:
    bench = Bench(Options(boot="always")).boot()
    bench.cut()
    bench.boot()
    bench.pass_time(10)
    assert bench.actions == ["BootNotification"] * 2


def test_a_security_error_is_followed_by_a_boot_and_the_same_message() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    first = bench.last
    bench.error("SecurityError")
    assert bench.closed[-1][0] == 1
    bench.open()
    assert bench.last[2] == "BootNotification"
    bench.answer(status="Accepted", interval=60, currentTime="2027-01-01T00:00:00Z")
    assert bench.last == first


def forgets(bench: Bench) -> None:
    """Let the remote say that it does not know the charger, and look that it boots."""
    bench.error("SecurityError")
    assert bench.outlet.state is LinkState.WAITING
    bench.open()
    assert bench.last[2] == "BootNotification"
    bench.answer(status="Accepted", interval=60, currentTime="2027-01-01T00:00:00Z")


def test_a_security_error_to_a_status_is_followed_by_a_boot_and_the_status() -> None:
    bench = Bench().boot()
    bench.status("Available")
    forgets(bench)
    bench.pass_time(1)
    assert bench.last[3]["status"] == "Available"


def test_a_security_error_to_a_heartbeat_or_a_tag_is_followed_by_a_boot() -> None:
    bench = Bench().boot()
    bench.pass_time(301)
    assert bench.last[2] == "Heartbeat"
    forgets(bench)
    words: list[TagWord | None] = []
    bench.outlet.authorize("A", words.append)
    forgets(bench)
    assert words == [None]


@pytest.mark.parametrize("code", ["InternalError", "SecurityError"])
def test_a_status_that_meets_a_passing_error_is_told_later_and_holds_nothing_up(code: str) -> None:
    bench = Bench().boot()
    bench.status("Available")
    if code == "SecurityError":
        forgets(bench)
        bench.pass_time(1)
    bench.error(code)
    if code == "SecurityError":
        bench.boot()
    assert bench.outlet.state is LinkState.ONLINE
    bench.put_start(1)
    bench.pass_time(1)
    assert bench.actions[-1] == "StartTransaction"
    bench.answer(transactionId=700)
    bench.pass_time(50)
    assert bench.actions[-1] == "StartTransaction"
    bench.pass_time(10)
    assert bench.actions[-1] == "StatusNotification"
    bench.answer()
    bench.pass_time(200)
    assert bench.actions[-1] == "StatusNotification"


def test_an_interval_beyond_reason_is_a_day() -> None:
    bench = Bench().open()
    bench.answer(status="Accepted", interval=10**23, currentTime="2027-01-01T00:00:00Z")
    assert bench.store.registration("CP1").interval_s == 86_400
    assert bench.outlet.state is LinkState.ONLINE


def test_without_a_boot_it_waits_for_one() -> None:
    store = MemoryStore(Bench().disk)
    bench = Bench(charger_id="CP2", store=store)
    store.newest_of.pop(("CP2", "Boot"))
    bench.open()
    bench.put_start(1)
    assert bench.sent == []
    store.put_latest("CP2", "Boot", "BootNotification", BOOT)
    bench.outlet.look()
    assert bench.actions == ["BootNotification"]


@pytest.mark.parametrize("there", [True, False])
def test_a_charger_that_never_booted_is_asked_to_once_and_then_the_operator_is_told(
    there: bool,
) -> None:
    bench = Bench(online=there)
    bench.store.newest_of.clear()
    bench.put_start(1)
    bench.open()
    bench.pass_time(59)
    assert bench.commands == []
    bench.pass_time(2)
    asked = ("TriggerMessage", {"requestedMessage": "BootNotification"})
    assert [command[1:] for command in bench.commands] == ([asked] if there else [])
    if there:
        bench.charger_answers()
        assert bench.store.findings == []
        bench.pass_time(60)
    assert [finding.kind for finding in bench.store.findings] == ["no-boot"]
    assert bench.outlet.last_error.startswith("no Boot")
    assert bench.sent == []
    bench.pass_time(1_000)
    assert (len(bench.commands), len(bench.store.findings)) == (there, 1)


# --- the queue (P4, P5, P6, P7) -----------------------------------------------------


def test_one_call_is_in_flight_and_the_order_is_kept() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.put_meter(1)
    bench.put_stop(1)
    assert bench.actions[1:] == ["StartTransaction"]
    bench.answer(transactionId=700, idTagInfo={"status": "Accepted"})
    bench.pass_time(1)
    assert bench.actions[1:] == ["StartTransaction", "MeterValues"]
    bench.answer()
    bench.pass_time(1)
    assert bench.actions[1:] == ["StartTransaction", "MeterValues", "StopTransaction"]
    bench.answer()
    assert bench.store.waiting() == []
    assert [call[1].get("transactionId") for call in bench.calls] == [None, 700, 700]


def test_later_messages_wait_until_the_map_is_stored() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.put_meter(1)
    bench.commits = False
    bench.answer(transactionId=700)
    bench.pass_time(10)
    assert bench.actions[1:] == ["StartTransaction"]
    bench.commits = True
    bench.flush()
    bench.pass_time(1)
    assert bench.calls[-1][1]["transactionId"] == 700


def test_a_commit_that_fails_is_tried_again_and_nothing_is_sent_meanwhile() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.put_meter(1)
    bench.disk.full = True
    bench.answer(transactionId=700)
    bench.pass_time(20)
    assert bench.actions[1:] == ["StartTransaction"]
    bench.disk.full = False
    bench.pass_time(2)
    assert bench.calls[-1][1]["transactionId"] == 700


class Picky(MemoryStore):
    """A store that cannot hold what one answer means."""

    def commit(self, charger_id: str, changes: Any, done: Any) -> None:
        if any(isinstance(one, Delivered) and one.remote_tx == 666 for one in changes):
            self.disk.submit(lambda: None, lambda error: done(Unstorable("no room for 666")))
        else:
            super().commit(charger_id, changes, done)


def test_an_answer_that_cannot_be_stored_is_dropped_and_asked_for_again() -> None:
    bench = Bench(store=Picky(Disk())).boot()
    bench.put_start(1)
    bench.answer(transactionId=666)
    assert bench.closed[-1][1] == "its answer cannot be stored: no room for 666"
    bench.open()
    bench.answer(transactionId=700)
    assert bench.store.maps == {("CP1", 1): 700}
    assert bench.outlet.counts["not storable"] == 1


def test_a_stop_with_the_id_minus_one_gets_the_id_of_its_transaction() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.answer(transactionId=700)
    bench.put_stop(1, transactionId=-1)
    bench.pass_time(1)
    assert bench.calls[-1][1]["transactionId"] == 700


def test_samples_without_an_id_stay_without() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.answer(transactionId=700)
    bench.put(1, "MeterValues", connectorId=1, meterValue=[])
    bench.pass_time(1)
    assert bench.calls[-1] == ("MeterValues", {"connectorId": 1, "meterValue": []})


def test_payloads_are_equal_byte_for_byte_but_for_the_id() -> None:
    bench = Bench().boot()
    start = b'{ "timestamp":"2027-01-01T01:00:00.10+01:00","idTag":"\\u0041b","meterStart":1.0e1 }'
    stop = b'{"meterStop":12.50, "transactionId" : 5,"x":"transaction\xc3\xa4"}'
    bench.store.put("CP1", 5, "StartTransaction", start)
    bench.store.put("CP1", 5, "StopTransaction", stop)
    bench.outlet.look()
    assert start in bench.sent[-1][1]
    bench.answer(transactionId=7)
    bench.pass_time(1)
    assert stop.replace(b": 5", b": 7") in bench.sent[-1][1]


def test_a_reservation_of_the_remote_goes_back_under_its_own_id_and_ours_is_left_out() -> None:
    bench = Bench().boot()
    bench.ask("ReserveNow", connectorId=1, idTag="T", reservationId=5)
    local_id = bench.commands[-1][2]["reservationId"]
    assert local_id >= 2**30
    bench.charger_answers()
    bench.put_start(1, reservationId=local_id)
    assert bench.last[3]["reservationId"] == 5
    bench.answer(transactionId=700)
    bench.put_start(2, reservationId=5, timestamp="T2")
    bench.pass_time(1)
    assert "reservationId" not in bench.last[3]
    bench.ask("CancelReservation", "r2", reservationId=5)
    assert bench.commands[-1][2] == {"reservationId": local_id}


def test_a_status_is_told_after_what_came_before_it_and_only_the_newest() -> None:
    bench = Bench()
    bench.put_start(1)
    bench.status("Charging")
    bench.put_stop(1)
    bench.status("Finishing")
    bench.status("Available")
    bench.put_start(2, timestamp="T2")
    bench.boot()
    serve(bench)
    told = [(a, p.get("status")) for a, p in bench.calls]
    assert told == [
        ("StartTransaction", None),
        ("StopTransaction", None),
        ("StatusNotification", "Available"),
        ("StartTransaction", None),
    ]


def test_a_status_that_is_refused_holds_nothing_up() -> None:
    bench = Bench().boot()
    bench.status("Available")
    bench.error("NotImplemented")
    bench.put_start(1)
    bench.pass_time(1)
    assert bench.actions[-1] == "StartTransaction"


def test_heartbeats_are_our_own() -> None:
    bench = Bench().boot()
    bench.pass_time(299)
    assert bench.actions == ["BootNotification"]
    bench.pass_time(2)
    assert bench.actions[-1] == "Heartbeat"


# --- answers that do not come, or come late (P8) -------------------------------------


def test_no_answer_in_thirty_seconds_ends_the_connection_and_sends_the_same_again() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    before = bench.sent[-1][1]
    bench.pass_time(29.9)
    assert bench.closed == []
    bench.pass_time(0.2)
    assert [number for number, _ in bench.closed] == [1]
    bench.open()
    assert bench.sent[-1] == (2, before)
    assert bench.store.possible_duplicates == 1


def test_what_was_on_its_way_when_the_process_ended_is_a_possible_duplicate_once() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.kill()
    assert bench.store.possible_duplicates == 0
    bench.boot()
    assert bench.store.possible_duplicates == 1
    bench.cut()
    bench.kill()
    bench.boot()
    assert bench.store.possible_duplicates == 2  # it went out three times
    bench.error("InternalError")
    bench.kill()
    bench.boot()
    assert bench.store.possible_duplicates == 2  # the remote has said that it does not have it


def test_an_outlet_in_the_place_of_another_counts_no_duplicate_of_it_again() -> None:
    bench = Bench().boot()
    line = Line("CP1", None)
    line.furnish(bench.outlet)
    bench.put_start(1)
    bench.commits = False  # what the first notes at its end is still to be stored
    bench.outlet.end()
    bench.start_process()
    line.furnish(bench.outlet)
    bench.commits = True
    bench.flush()
    bench.boot()
    assert bench.last[2] == "StartTransaction"
    assert bench.store.possible_duplicates == 1


def test_a_remote_that_deduplicates_leaves_no_possible_duplicates() -> None:
    bench = Bench(Options(remote_deduplicates=True)).boot()
    bench.put_start(1)
    bench.cut()
    bench.kill()
    bench.boot()
    assert bench.store.possible_duplicates == 0


def test_late_and_duplicate_answers_count_for_nothing() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    message_id = bench.last[1]
    bench.cut()
    bench.receive([3, message_id, {"transactionId": 1}], connection=1)
    bench.open()
    bench.receive([3, message_id, {"transactionId": 2}], connection=1)
    bench.receive([3, "other", {"transactionId": 3}])
    assert bench.store.maps == {}
    bench.receive([3, message_id, {"transactionId": 4}])
    bench.receive([3, message_id, {"transactionId": 5}])
    assert bench.store.maps == {("CP1", 1): 4}
    assert bench.outlet.counts["stray"] == 4


# --- connecting (P9, P13) ----------------------------------------------------------


def gaps(bench: Bench) -> list[float]:
    return [b - a for a, b in zip(bench.opened, bench.opened[1:], strict=False)]


def refuse(bench: Bench, times: int, status: int = 0) -> None:
    for _ in range(times):
        bench.outlet.refused(bench.outlet.connection, status, "no")
        bench.pass_time(bench.outlet.next_try_at - bench.clock.now)


def test_it_tries_again_after_1_2_4_to_60_seconds_with_jitter() -> None:
    bench = Bench()
    refuse(bench, 9)
    for gap, wanted in zip(gaps(bench), (1, 2, 4, 8, 16, 32, 60, 60, 60), strict=True):
        assert 0.8 * wanted <= gap <= 1.2 * wanted
    assert gaps(bench)[6] != gaps(bench)[7]


def test_a_connection_that_lasted_a_minute_makes_the_next_try_come_soon() -> None:
    bench = Bench()
    refuse(bench, 5)
    bench.boot()
    bench.pass_time(61)
    bench.cut()
    assert bench.outlet.next_try_at - bench.clock.now <= 1.2


def test_a_flapping_remote_is_tried_at_most_twenty_times_in_five_minutes() -> None:
    bench = Bench(Options(longest_retry_s=2.0))
    while bench.clock.now < 1_200:
        bench.outlet.connected(bench.outlet.connection)
        bench.pass_time(1)
        bench.cut()
        bench.pass_time(bench.outlet.next_try_at - bench.clock.now)
    for begin in bench.opened:
        assert sum(begin <= at < begin + 300 for at in bench.opened) <= 20


@pytest.mark.parametrize("status", [401, 403, 301, 302, 308])
def test_refused_credentials_and_redirects_are_tried_once_a_minute(status: int) -> None:
    bench = Bench()
    refuse(bench, 5, status)
    assert all(gap >= 60 for gap in gaps(bench))


def test_a_remote_that_is_half_open_is_left_within_a_minute() -> None:
    bench = Bench()
    bench.put_start(1)
    bench.open()
    assert bench.reach(60, lambda: bench.closed)


def test_a_connection_that_is_never_made_is_given_up() -> None:
    bench = Bench()
    assert bench.reach(60, lambda: bench.closed)
    assert bench.reach(60, lambda: len(bench.opened) == 2)


def test_a_remote_that_speaks_junk_is_borne_until_it_answers_so() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    connection = bench.outlet.connection
    for text in (b"", b"[]", b"{}", b"[9,1]", b"\xff", b"[3]", b"nonsense"):
        bench.outlet.received(connection, text)
    assert bench.outlet.counts["junk"] == 7
    bench.outlet.received(connection, b'[2,"x"]')
    assert bench.last[:3] == [4, "x", "FormationViolation"]
    assert bench.outlet.in_flight is not None
    name = bench.outlet.in_flight.message_id
    bench.outlet.received(connection, b'[3,"%b",{]' % name.encode())
    assert bench.closed
    assert bench.store.waiting()


@pytest.mark.parametrize("conf", [{}, {"transactionId": "x"}, {"transactionId": 2**70}])
def test_a_start_that_is_answered_without_an_id_is_tried_three_times(conf: dict[str, Any]) -> None:
    bench = Bench().boot()
    bench.put_start(1)
    for _ in range(3):
        bench.answer(**conf)
        if bench.store.waiting():
            bench.open()
    assert [row.action for row in bench.store.dead.values()] == ["StartTransaction"]
    assert bench.store.maps == {}


def test_a_charger_that_left_is_shown_as_gone_after_thirty_seconds_and_an_empty_queue() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.outlet.charger_offline()
    bench.pass_time(29)
    bench.answer(transactionId=7)
    bench.put_stop(1)
    bench.pass_time(29)
    assert bench.closed == []
    bench.answer()
    bench.pass_time(1)
    assert [why for _, why in bench.closed] == ["the charger is away"]
    bench.pass_time(1_000)
    assert bench.outlet.state is LinkState.IDLE
    assert len(bench.opened) == 1
    bench.outlet.charger_online()
    assert len(bench.opened) == 2


def test_a_charger_that_is_back_in_time_keeps_the_connection() -> None:
    bench = Bench().boot()
    bench.outlet.charger_offline()
    bench.pass_time(20)
    bench.outlet.charger_online()
    bench.pass_time(100)
    assert bench.closed == []


def test_what_waits_of_a_charger_that_is_away_is_sent_all_the_same() -> None:
    bench = Bench(online=False)
    assert bench.opened == []
    bench.put_start(1)
    assert len(bench.opened) == 1
    bench.boot()
    assert bench.actions[-1] == "StartTransaction"


def test_standin_lets_chargers_in_whatever_the_remote_does() -> None:
    bench = Bench()
    assert bench.outlet.admits()
    bench.boot()
    bench.cut()
    assert bench.outlet.admits()
    assert bench.dropped == []


def test_transparent_turns_chargers_away_while_the_remote_is_away() -> None:
    bench = Bench(Options(mode="transparent"), online=False)
    assert not bench.outlet.admits()
    bench.boot()
    assert bench.outlet.admits()
    bench.outlet.charger_online()
    bench.cut()
    assert bench.dropped == ["the remote is away"]
    assert not bench.outlet.admits()


# --- pace (P9) ----------------------------------------------------------------------


class Crowd:
    """Many chargers and one remote that answers at once."""

    def __init__(self, names: list[str], rows: int, blocked: frozenset[str] = frozenset()) -> None:
        self.clock = FakeClock()
        governor = Governor()
        self.benches = [
            Bench(charger_id=name, clock=self.clock, governor=governor) for name in names
        ]
        self.times: dict[str, list[float]] = {name: [] for name in names}
        self.blocked = blocked
        for bench in self.benches:
            bench.store.put_latest(bench.charger_id, "Boot", "BootNotification", BOOT)
            bench.outlet.look()
            for number in range(rows):
                payload = b'{"vendorId":"v","data":"%d"}' % number
                bench.store.put(bench.charger_id, None, "DataTransfer", payload)
            bench.boot()

    def run(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            if sum(self.serve(bench) for bench in self.benches):
                continue
            alarms = [bench.alarm for bench in self.benches if bench.alarm is not None]
            self.clock.now = max(self.clock.now, min(alarms))
            for bench in self.benches:
                bench.pass_time(0)

    def serve(self, bench: Bench) -> bool:
        flight = bench.outlet.in_flight
        if flight is None or bench.charger_id in self.blocked:
            return False
        self.times[bench.charger_id].append(self.clock.now)
        bench.answer()
        return True

    def rate(self) -> float:
        """Give the messages per second, once it runs steadily."""
        begin = self.clock.now - 2
        return sum(at > begin for times in self.times.values() for at in times) / 2


def test_one_charger_drains_fifty_messages_a_second() -> None:
    crowd = Crowd(["CP1"], 300)
    crowd.run(4)
    assert 49 <= crowd.rate() <= 51


def test_all_chargers_together_drain_two_hundred_a_second_in_equal_parts() -> None:
    crowd = Crowd([f"CP{n}" for n in range(10)], 150)
    crowd.run(4)
    assert 199 <= crowd.rate() <= 201
    shares = [len(times) for times in crowd.times.values()]
    assert max(shares) - min(shares) <= 2


def test_a_charger_that_is_blocked_holds_up_no_other() -> None:
    names = [f"CP{n}" for n in range(10)]
    free, held = Crowd(names, 150), Crowd(names, 150, frozenset({"CP3"}))
    free.run(4), held.run(4)
    for name in names:
        if name != "CP3":
            assert len(held.times[name]) >= 0.9 * len(free.times[name])
    assert held.times["CP3"] == []


# --- errors (P10) -------------------------------------------------------------------


@pytest.mark.parametrize("code", PERMANENT)
def test_a_message_that_will_never_be_taken_is_a_dead_letter_after_three_tries(code: str) -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.answer(transactionId=700)
    bench.put_meter(1)
    bench.put_stop(1)
    bench.pass_time(1)
    for number in range(3):
        assert bench.actions[-1] == "MeterValues"
        bench.error(code)
        if number < 2:
            bench.open()
    bench.pass_time(1)
    assert bench.actions[-1] == "StopTransaction"
    assert [row.action for row in bench.store.dead.values()] == ["MeterValues"]
    assert all(code[:4] in error for error in bench.store.errors.values())


@pytest.mark.parametrize("code", ["InternalError", "GenericError", "SecurityError", "Whatever"])
def test_all_other_errors_are_tried_again_for_ever(code: str) -> None:
    bench = Bench().boot()
    bench.put_start(1)
    wanted = bench.last
    for _ in range(12):
        bench.error(code)
        bench.boot()
        assert bench.last == wanted
    assert bench.store.dead == {}
    connections = [number for number, text in bench.sent if b'"StartTransaction"' in text]
    assert len(set(connections)) == len(connections)


def test_a_dead_start_takes_its_messages_along_and_the_next_transaction_arrives() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.put_meter(1)
    bench.put_stop(1)
    bench.put_start(2, timestamp="T2")
    begin = bench.clock.now
    for _ in range(2):
        bench.error("FormationViolation")
        bench.open()
    bench.error("FormationViolation")
    assert bench.reach(60, lambda: bench.last[2:] == ["StartTransaction", bench.last[3]])
    serve(bench)
    assert bench.clock.now - begin < 60
    assert [row.local_tx for row in bench.store.dead.values()] == [1, 1, 1]
    assert list(bench.store.maps) == [("CP1", 2)]
    bench.put_meter(1, value=2)
    bench.pass_time(1)
    assert list(bench.store.errors.values())[-1] == "its start is a dead letter"


def test_of_a_long_error_a_line_is_kept_and_of_its_followers_none() -> None:
    bench = Bench(Options(tries=1)).boot()
    bench.put_start(1)
    bench.put_meter(1)
    bench.receive([4, bench.last[1], "ProtocolError", "x" * 1_000_000, {}])
    error, of_follower = bench.store.errors.values()
    assert error.startswith("ProtocolError: xxx")
    assert len(error) == len(bench.outlet.last_error) == 255
    assert of_follower == "its start is a dead letter"


def test_a_stop_whose_transaction_began_before_the_proxy_is_a_dead_letter() -> None:
    bench = Bench().boot()
    bench.put_stop(17)
    bench.put_start(18)
    bench.pass_time(1)
    assert [error.partition(":")[0] for error in bench.store.errors.values()] == ["no-start"]
    assert bench.actions[-1] == "StartTransaction"


# --- what the remote says of tags ---------------------------------------------------


@pytest.mark.parametrize("status", ["Blocked", "Expired", "Invalid"])
def test_a_tag_that_the_remote_refuses_stops_its_transaction_once(status: str) -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.answer(transactionId=700, idTagInfo={"status": status})
    assert bench.store.tags == {"tag": status}
    assert bench.commands == [(1, "RemoteStopTransaction", {"transactionId": 1})]
    bench.charger_answers()
    bench.outlet.charger_offline()
    bench.outlet.charger_online()
    bench.kill()
    assert len(bench.commands) == 1
    bench.put_stop(1)
    bench.boot()
    bench.pass_time(1)
    assert bench.calls[-1] == (
        "StopTransaction",
        {"transactionId": 700, "meterStop": 9_000, "timestamp": "T9"},
    )


def test_a_refused_charger_that_is_away_is_stopped_when_it_is_back() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.outlet.charger_offline()
    bench.answer(transactionId=700, idTagInfo={"status": "Blocked"})
    assert bench.commands == []
    bench.outlet.charger_online()
    assert len(bench.commands) == 1
    bench.outlet.command_answered(1, CommandAnswer(None, "GenericError", "it left"))
    bench.outlet.charger_offline()
    bench.outlet.charger_online()
    assert len(bench.commands) == 2


def test_a_stop_that_the_charger_did_not_answer_is_asked_for_again() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.answer(transactionId=700, idTagInfo={"status": "Blocked"})
    bench.outlet.command_answered(1, CommandAnswer(None, "GenericError", "no answer in time"))
    bench.pass_time(59)
    assert len(bench.commands) == 1
    bench.pass_time(2)
    assert [command[1] for command in bench.commands] == ["RemoteStopTransaction"] * 2
    bench.charger_answers()
    bench.pass_time(1_000)
    assert len(bench.commands) == 2


def test_a_refused_transaction_that_is_over_is_not_stopped() -> None:
    bench = Bench()
    bench.put_start(1)
    bench.put_stop(1)
    bench.boot()
    bench.answer(transactionId=700, idTagInfo={"status": "Blocked"})
    bench.pass_time(1)
    assert bench.commands == []
    assert bench.actions[-1] == "StopTransaction"


def test_a_remote_that_gives_no_real_id_with_a_refusal_is_not_from_a_backup() -> None:
    bench = Bench().boot()
    for local_tx in (1, 2):
        bench.put_start(local_tx, timestamp=f"T{local_tx}")
        bench.pass_time(1)
        bench.answer(transactionId=0, idTagInfo={"status": "Invalid"})
    assert bench.store.findings == []
    assert bench.store.maps == {("CP1", 1): 0, ("CP1", 2): 0}


def test_an_id_that_came_with_every_refusal_stops_nothing() -> None:
    bench = Bench(Options(on_remote_reject="go-on")).boot()
    for local_tx in (1, 2):
        bench.put_start(local_tx, timestamp=f"T{local_tx}")
        bench.pass_time(1)
        bench.answer(transactionId=0, idTagInfo={"status": "Invalid"})
        told = bench.ask("RemoteStopTransaction", f"r{local_tx}", transactionId=0)
    assert told == [3, "r2", {"status": "Rejected"}]
    assert [command[2] for command in bench.commands] == [{"transactionId": 1}]


def test_a_dead_letter_is_sent_again_on_another_connection() -> None:
    bench = Bench(Options(tries=1)).boot()
    bench.put_start(1)
    sent = bench.sent[-1]
    bench.error("ProtocolError")
    bench.store.rows["CP1"] = dict(bench.store.dead)
    bench.store.dead.clear()
    bench.outlet.look()
    bench.pass_time(0.1)
    assert bench.closed[-1] == (1, "a dead letter is sent again")
    bench.open()
    assert bench.sent[-1] == (2, sent[1])
    bench.answer(transactionId=700)
    assert bench.store.maps == {("CP1", 1): 700}


def test_what_an_operator_lets_wait_again_goes_before_what_came_later() -> None:
    bench = Bench().boot()
    for number in range(6):
        bench.put(None, "DataTransfer", vendorId=str(number))
    rows = bench.store.rows["CP1"]
    dead = rows.pop(2)
    bench.cut()
    bench.open()
    bench.store.rows["CP1"] = dict(sorted({**rows, 2: dead}.items()))
    bench.outlet.look()
    serve(bench)
    told = [payload["vendorId"] for action, payload in bench.calls if action == "DataTransfer"]
    assert told == ["0", "0", "1", "2", "3", "4", "5"]


def test_a_start_that_waits_again_goes_before_samples_that_were_next() -> None:
    bench = Bench(Options(charger_rate=1)).boot()
    bench.put_start(1)
    start = bench.store.rows["CP1"].pop(1)
    bench.error("InternalError")
    bench.open()
    for vendor_id in ("V", "W"):
        bench.put(None, "DataTransfer", vendorId=vendor_id)
        bench.pass_time(1)
        bench.answer()
    bench.put_meter(1)  # read, and waiting for its turn
    bench.store.rows["CP1"] = {1: start, **bench.store.rows["CP1"]}
    bench.outlet.look()
    bench.pass_time(2)
    bench.answer(transactionId=700)
    bench.pass_time(2)
    assert bench.actions[-2:] == ["StartTransaction", "MeterValues"]
    assert bench.store.dead == {}


def test_going_on_with_a_refused_tag_can_be_chosen() -> None:
    bench = Bench(Options(on_remote_reject="go-on")).boot()
    bench.put_start(1)
    bench.answer(transactionId=700, idTagInfo={"status": "Blocked"})
    assert bench.commands == []
    assert bench.store.tags == {"tag": "Blocked"}


@pytest.mark.parametrize(("choice", "stops"), [("go-on", 0), ("stop", 1)])
def test_a_concurrent_transaction_goes_on_unless_chosen_otherwise(choice: Any, stops: int) -> None:
    bench = Bench(Options(on_remote_concurrent=choice)).boot()
    bench.put_start(1)
    bench.answer(transactionId=700, idTagInfo={"status": "ConcurrentTx"})
    assert len(bench.commands) == stops
    assert bench.store.tags == {}


def test_a_tag_is_asked_for_two_seconds_at_most() -> None:
    bench = Bench()
    words: list[TagWord | None] = []
    bench.outlet.authorize("A", words.append)
    assert words == [None]  # it is away: nobody waits
    bench.boot()
    bench.outlet.authorize("B", words.append)
    assert bench.last[2:] == ["Authorize", {"idTag": "B"}]
    bench.answer(idTagInfo={"status": "Blocked"})
    assert words[-1] == TagWord("B", "Blocked")
    assert bench.store.tags == {"b": "Blocked"}
    bench.outlet.authorize("C", words.append)
    bench.pass_time(1.9)
    assert len(words) == 2
    bench.pass_time(0.2)
    assert words[2:] == [None]
    bench.answer(idTagInfo={"status": "Accepted"})
    assert len(words) == 3
    bench.outlet.authorize("D", words.append)
    bench.cut()
    assert words[3:] == [None]


def test_a_tag_goes_before_the_queue() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.put_stop(1)
    words: list[TagWord | None] = []
    bench.outlet.authorize("B", words.append)
    bench.answer(transactionId=700)
    assert bench.last[2] == "Authorize"


# --- commands of the remote (P12) ----------------------------------------------------


def mapped(options: Options | None = None) -> Bench:
    bench = Bench(options).boot()
    bench.put_start(1)
    bench.answer(transactionId=700)
    return bench


def test_a_command_goes_to_the_charger_and_its_answer_back() -> None:
    bench = Bench().boot()
    bench.put_start(1)  # under way: a command waits behind nothing
    bench.ask("Reset", type="Soft")
    assert bench.commands == [(1, "Reset", {"type": "Soft"})]
    bench.charger_answers(b'{"status":"Accepted"}')
    assert bench.last == [3, "r1", {"status": "Accepted"}]


def test_an_error_of_the_charger_goes_back_too() -> None:
    bench = Bench().boot()
    bench.ask("Reset", type="Soft")
    bench.outlet.command_answered(1, CommandAnswer(None, "NotSupported", "no reset"))
    assert bench.last == [4, "r1", "NotSupported", "no reset", {}]


def test_ids_in_commands_are_ours_for_the_charger() -> None:
    bench = mapped()
    bench.ask("RemoteStopTransaction", transactionId=700)
    assert bench.commands[-1][1:] == ("RemoteStopTransaction", {"transactionId": 1})
    profile = {"chargingProfileId": 1, "transactionId": 700}
    bench.ask("SetChargingProfile", "r2", connectorId=1, csChargingProfiles=profile)
    assert bench.commands[-1][2]["csChargingProfiles"] == {**profile, "transactionId": 1}
    bench.ask("RemoteStartTransaction", "r3", idTag="T", chargingProfile=profile)
    assert bench.commands[-1][2]["chargingProfile"] == {**profile, "transactionId": 1}
    free = {"chargingProfileId": 1}
    bench.ask("RemoteStartTransaction", "r4", idTag="T", chargingProfile=free)
    assert bench.commands[-1][2]["chargingProfile"] == free


@pytest.mark.parametrize(
    ("action", "payload"),
    [
        ("RemoteStopTransaction", {"transactionId": 1}),
        ("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": {"transactionId": 1}}),
        ("RemoteStartTransaction", {"idTag": "T", "chargingProfile": {"transactionId": 1}}),
        ("CancelReservation", {"reservationId": 1}),
    ],
)
def test_an_id_that_is_not_mapped_is_rejected_and_reaches_no_charger(
    action: str, payload: dict[str, Any]
) -> None:
    bench = mapped()  # our own id is 1, which is not the remote's
    assert bench.ask(action, **payload) == [3, "r1", {"status": "Rejected"}]
    assert bench.commands == []


def test_a_command_to_a_charger_that_is_away_is_answered_at_once() -> None:
    bench = Bench().boot()
    bench.outlet.charger_offline()
    assert bench.ask("Reset", type="Soft")[:3] == [4, "r1", "GenericError"]
    bench.outlet.charger_online()
    assert bench.commands == []


def test_read_only_refuses_every_command() -> None:
    bench = Bench(Options(read_only=True)).boot()
    for number, action in enumerate(("Reset", "RemoteStopTransaction", "GetConfiguration")):
        answer = bench.ask(action, f"r{number}", transactionId=1)
        assert answer[:3] == [4, f"r{number}", "SecurityError"]
    assert bench.commands == []


def says_the_same(bench: Bench, kind: str) -> None:
    """Let the charger send what it said before, and the outlet see to it."""
    known = bench.store.newest_of[bench.charger_id, kind]
    bench.store.put_latest(bench.charger_id, kind, known.action, known.payload)
    bench.outlet.look()
    bench.flush()


@pytest.mark.parametrize(
    ("action", "command", "kind", "told"),
    [
        ("Reset", {"type": "Soft"}, "Boot", "BootNotification"),
        ("TriggerMessage", {"requestedMessage": "BootNotification"}, "Boot", "BootNotification"),
        (
            "ExtendedTriggerMessage",
            {"requestedMessage": "BootNotification"},
            "Boot",
            "BootNotification",
        ),
        (
            "TriggerMessage",
            {"requestedMessage": "StatusNotification"},
            "Status/1",
            "StatusNotification",
        ),
        (
            "TriggerMessage",
            {"requestedMessage": "StatusNotification", "connectorId": 1},
            "Status/1",
            "StatusNotification",
        ),
    ],
)
@pytest.mark.parametrize("answer", ["Accepted", "Rejected"])
def test_what_the_remote_made_the_charger_say_is_told_although_it_is_known(
    action: str, command: dict[str, Any], kind: str, told: str, answer: str
) -> None:
    bench = Bench().boot()
    bench.status("Available")
    bench.answer()
    before = bench.actions.count(told)
    bench.ask(action, **command)
    bench.charger_answers(b'{"status":"%b"}' % answer.encode())
    for _ in range(2):
        says_the_same(bench, kind)
        bench.pass_time(1)
        if bench.outlet.in_flight is not None:
            bench.answer(status="Accepted", interval=300, currentTime="2027-01-01T00:00:00Z")
    assert bench.actions.count(told) - before == (answer == "Accepted")
    assert bench.outlet.state is LinkState.ONLINE


def test_a_heartbeat_that_the_remote_asks_for_comes_at_once() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.put_stop(1)
    bench.ask("TriggerMessage", requestedMessage="Heartbeat")
    bench.charger_answers()
    bench.receive([3, bench.outlet.in_flight.message_id, {"transactionId": 700}])
    assert bench.actions[-1] == "Heartbeat"
    bench.answer()
    bench.pass_time(1)
    assert bench.actions[-1] == "StopTransaction"


def test_what_is_no_command_is_refused() -> None:
    bench = Bench().boot()
    assert bench.ask("StartTransaction")[:3] == [4, "r1", "NotImplemented"]
    bench.receive([2, "r2", "RemoteStopTransaction", {"transactionId": "1"}])
    assert bench.last[:3] == [4, "r2", "TypeConstraintViolation"]
    text = b'[2,"r4","RemoteStopTransaction",{"transactionId":99999999999999999999999}]'
    bench.outlet.received(bench.outlet.connection, text)
    assert bench.last[:3] == [4, "r4", "PropertyConstraintViolation"]
    assert bench.commands == []


def test_a_command_that_is_sent_again_is_answered_again_and_done_once() -> None:
    bench = Bench().boot()
    bench.ask("Reset", type="Soft")
    bench.ask("Reset", type="Soft")
    bench.charger_answers()
    answer = bench.last
    assert bench.ask("Reset", type="Soft") == answer
    assert len(bench.commands) == 1
    assert bench.ask("Reset", type="Hard")[:3] == [4, "r1", "ProtocolError"]


def test_an_answer_goes_only_to_the_connection_that_asked() -> None:
    bench = Bench().boot()
    bench.ask("Reset", type="Soft")
    bench.cut()
    bench.open()
    before = len(bench.sent)
    bench.charger_answers()
    assert len(bench.sent) == before
    assert bench.outlet.counts["late answers"] == 1


# --- time, restarts, backups ----------------------------------------------------------


def test_the_skew_of_the_clocks_is_shown_and_changes_no_payload() -> None:
    bench = Bench()
    bench.put_start(1, timestamp="2027-01-01T00:00:00Z")
    bench.open()
    bench.answer(status="Accepted", interval=300, currentTime="2027-01-01T01:00:00Z")
    assert bench.outlet.skew_s == pytest.approx(3_600, abs=1)
    assert bench.last[3]["timestamp"] == "2027-01-01T00:00:00Z"
    bench.answer(transactionId=700)
    bench.pass_time(301)
    bench.answer(currentTime="2026-12-31T23:05:01Z")
    assert bench.outlet.skew_s == pytest.approx(-3_600, abs=1)


def test_a_remote_that_restarts_goes_on_with_the_same_id() -> None:
    bench = mapped()
    bench.cut()
    bench.put_meter(1)
    refuse(bench, 3)
    bench.open()
    assert bench.calls[-1][1]["transactionId"] == 700
    assert bench.actions.count("StartTransaction") == 1


def test_a_remote_from_an_old_backup_is_listed_and_no_start_is_invented() -> None:
    bench = mapped()
    bench.put_start(2, timestamp="T2")
    bench.pass_time(1)
    bench.answer(transactionId=700)  # it gives an id again
    assert [finding.kind for finding in bench.store.findings] == ["remote-restored"]
    assert bench.store.findings[0].local_tx == 1
    assert bench.actions.count("StartTransaction") == 2
    bench.ask("RemoteStopTransaction", transactionId=700)
    assert bench.commands[-1][2] == {"transactionId": 2}


def test_after_a_kill_what_was_in_flight_waits_again_under_the_same_number() -> None:
    bench = Bench().boot()
    bench.put_start(1)
    bench.put_meter(1)
    before, wire = bench.store.waiting(), bench.sent[-1][1]
    bench.kill()
    assert bench.store.waiting() == before
    bench.open()
    assert bench.sent[-1][1] == wire


# --- where it is cut --------------------------------------------------------------------

MOMENTS = ["before it is sent", "after it is sent", "after the remote has it", "before our commit"]


@pytest.mark.parametrize("how", ["cut", "kill"])
@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("action", ["StartTransaction", "MeterValues", "StopTransaction"])
def test_one_transaction_arrives_wherever_it_is_cut(action: str, moment: str, how: str) -> None:
    from tests.projects.ocpp.proxy.world import Remote

    bench, remote = Bench(), Remote(700)

    def answer_of_remote() -> bytes:
        frame = bench.last
        return remote.answer("CP1", frame[1], frame[2], msgspec.json.encode(frame[3]))

    bench.put_start(1)
    bench.put_meter(1, 1)
    bench.put_meter(1, 2)
    bench.put_stop(1)
    disturbed = False
    for _ in range(60):
        if bench.outlet.connection == 0 or bench.outlet.up_since is None:
            bench.open()
        flight = bench.outlet.in_flight
        if flight is None:
            bench.pass_time(0.1)
            continue
        if flight.action == action and not disturbed:
            disturbed = True
            if moment == MOMENTS[0]:
                bench.sent.pop()
            elif moment != MOMENTS[1]:
                answer = answer_of_remote()
                if moment == MOMENTS[3]:
                    bench.commits = False
                    bench.outlet.received(bench.outlet.connection, answer)
            if how == "kill":
                bench.kill()
            else:
                bench.cut()
            bench.commits = True
            bench.flush()
            continue
        bench.outlet.received(bench.outlet.connection, answer_of_remote())
        bench.flush()
    assert disturbed
    assert bench.store.waiting() == []
    assert remote.faults == []
    samples = tuple(
        str([{"timestamp": f"T{n}", "sampledValue": [{"value": str(n)}]}]) for n in (1, 2)
    )
    assert remote.ledger() == [("CP1", 1, "tag", 1, "T1", samples, (9_000, "T9"))]
    assert bench.store.maps == {("CP1", 1): 700}
    assert bench.store.possible_duplicates <= 1


# --- offline for a part of it, or all -----------------------------------------------------

STORY = ["StartTransaction", "MeterValues", "MeterValues", "StopTransaction"]


def tell(bench: Bench, steps: int) -> None:
    """Let the charger tell the next steps of its transaction."""
    done = bench.store.sequence
    for step in range(done, done + steps):
        if step == 0:
            bench.put_start(1)
        elif step == 3:
            bench.put_stop(1)
        else:
            bench.put_meter(1, step)


@pytest.mark.parametrize("before", range(5))
def test_a_transaction_is_one_whatever_part_of_it_was_offline(before: int) -> None:
    for began_online in (True, False):
        bench = Bench()
        if began_online:
            bench.boot()
        tell(bench, before)
        if began_online:
            serve(bench)
            bench.cut()
        else:
            bench.boot()
            serve(bench)
        tell(bench, 4 - before)
        if began_online:
            bench.open()
        serve(bench)
        assert [action for action, _ in bench.calls] == STORY
        ids = [payload.get("transactionId") for _, payload in bench.calls]
        assert ids == [None, 700, 700, 700]
        assert bench.store.waiting() == []
