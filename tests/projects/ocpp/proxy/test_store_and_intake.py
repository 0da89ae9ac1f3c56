"""The store on a real file, and what the facts of the central system put into it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.data import schema as data_schema
from gway.projects.ocpp.facts import (
    Frame,
    Orphan,
    Purpose,
    TagDecision,
    TagStatus,
    Transaction,
)
from gway.projects.ocpp.proxy import payloads, schema, thinning
from gway.projects.ocpp.proxy.desk import Desk
from gway.projects.ocpp.proxy.hooks import Subscription
from gway.projects.ocpp.proxy.intake import Intake
from gway.projects.ocpp.proxy.ports import (
    EVERY_STATUS,
    BootAccepted,
    Change,
    Dead,
    Delivered,
    Expected,
    Failed,
    Finding,
    LatestDelivered,
    Registration,
    ReservationGiven,
    Sent,
    StopAsked,
    TagWord,
    Unstorable,
)
from gway.projects.ocpp.proxy.store import Store, open_store
from gway.projects.ocpp.proxy.thinning import Thinner, thin
from gway.projects.ocpp.receipts import Receipt
from gway.projects.sql.database import Database
from gway.resolver import Gateway

AT = datetime(2027, 1, 1, tzinfo=UTC)
URL = "ws://remote.example/ocpp"
PERIODIC = b'{"connectorId":1,"meterValue":[{"timestamp":"%d","sampledValue":[{"value":"1"}]}]}'


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "ocpp.sqlite")
    yield database
    database.close()


@pytest.fixture
def store(database: Database) -> Store:
    return open_store(database, URL)


@pytest.fixture
def intake(store: Store) -> Intake:
    return Intake(store)


def settle(receipt: Receipt) -> BaseException | None:
    outcome: list[BaseException | None] = []
    receipt.settle(outcome.append)
    return outcome[0]


def put(store: Store, local_tx: int | None, action: str, payload: bytes = b"{}") -> None:
    unit = store.database.unit()
    store.put(unit, "CP1", local_tx, action, payload, AT)
    store.database.wait_for(unit)


def commit(store: Store, *changes: Change) -> None:
    outcome: list[BaseException | None] = []
    store.commit("CP1", changes, outcome.append)
    assert outcome == [None]


def transaction(local_tx: int = 1) -> Transaction:
    return Transaction(
        transaction_id=local_tx,
        charger_id="CP1",
        connector_id=1,
        id_tag="TAG",
        meter_start_wh=0,
        start_time=AT,
        start_time_raw="2027-01-01T00:00:00Z",
        started_at=AT,
    )


# --- the store ------------------------------------------------------------------------


def test_rows_come_in_order_with_a_message_id_that_stays(store: Store, database: Database) -> None:
    put(store, 1, "StartTransaction", b'{"a":1}')
    put(store, 1, "StopTransaction", b'{"b":2}')
    rows = store.window("CP1", 8)
    assert [(row.action, row.payload, row.local_tx) for row in rows] == [
        ("StartTransaction", b'{"a":1}', 1),
        ("StopTransaction", b'{"b":2}', 1),
    ]
    assert open_store(database, URL).window("CP1", 8) == rows
    assert len({row.message_id for row in rows}) == 2
    assert all(len(row.message_id) <= 36 for row in rows)
    assert store.window("CP2", 8) == []
    assert store.chargers_waiting() == ["CP1"]


def test_a_delivered_start_leaves_with_its_map_in_one_commit(store: Store) -> None:
    put(store, 1, "StartTransaction")
    commit(store, Delivered(store.window("CP1", 1)[0], 700))
    assert store.window("CP1", 1) == []
    assert store.remote_tx("CP1", 1) == 700
    assert store.local_tx("CP1", 700) == 1
    assert store.remote_tx("CP2", 1) is None


def test_a_change_that_fails_takes_the_whole_commit_back(store: Store) -> None:
    put(store, 1, "StartTransaction")
    row = store.window("CP1", 1)[0]
    outcome: list[BaseException | None] = []
    broken = Finding("kind", "text", 2**80)
    store.commit("CP1", [Delivered(row, 700), broken], outcome.append)
    assert isinstance(outcome[0], Unstorable)
    assert store.window("CP1", 1) == [row]
    assert store.remote_tx("CP1", 1) is None


def test_what_is_told_again_makes_no_second_row_even_after_its_delivery(store: Store) -> None:
    put(store, 1, "MeterValues", b'{"a":1}')
    put(store, 1, "MeterValues", b'{"a":1}')
    assert len(store.window("CP1", 8)) == 1
    commit(store, Delivered(store.window("CP1", 1)[0]))
    put(store, 1, "MeterValues", b'{"a":1}')
    assert store.window("CP1", 8) == []


def told_in_order(store: Store) -> list[bytes]:
    return [row.payload for row in store.window("CP1", 100)]


def test_values_are_told_again_only_if_no_other_of_the_transaction_came_between(
    store: Store,
) -> None:
    for payload in (b"a", b"a", b"a", b"b", b"b", b"a"):
        put(store, 1, "MeterValues", payload)
        put(store, 2, "MeterValues", b"2" + payload)
    assert [one for one in told_in_order(store) if len(one) == 1] == [b"a", b"b", b"a"]
    for row in store.window("CP1", 100):
        commit(store, Delivered(row))
    put(store, 2, "MeterValues", b"2a")
    assert told_in_order(store) == []


def test_what_was_queued_before_is_kept_when_the_tables_are_brought_forward(
    database: Database,
) -> None:
    database.migrate(schema.COMPONENT, schema.STEPS[:1])
    database.execute(
        "INSERT INTO outbox (charger_id, local_tx, action, payload, digest, periodic, state, at)"
        " VALUES ('CP1', 1, 'StartTransaction', x'7b7d', ?, 0, 0, 0)",
        (payloads.digest("StartTransaction", b"{}"),),
    )
    store = open_store(database, URL)
    put(store, 1, "StartTransaction")
    assert told_in_order(store) == [b"{}"]


def test_a_dead_start_takes_its_messages_along(store: Store) -> None:
    put(store, 1, "StartTransaction")
    put(store, 1, "MeterValues")
    put(store, 2, "StartTransaction", b'{"x":2}')
    assert not store.start_is_dead("CP1", 1)
    commit(store, Dead(store.window("CP1", 1)[0], "FormationViolation", followers=True))
    assert [row.local_tx for row in store.window("CP1", 8)] == [2]
    told = store.database.query("SELECT last_error FROM outbox WHERE state = 1 ORDER BY sequence")
    assert [one["last_error"] for one in told] == [
        "FormationViolation",
        "its start is a dead letter",
    ]
    assert store.start_is_dead("CP1", 1)
    assert not store.start_is_dead("CP1", 2)


def test_tries_and_errors_are_kept_with_the_row(store: Store) -> None:
    put(store, 1, "StartTransaction")
    row = store.window("CP1", 1)[0]
    commit(store, Failed(row.sequence, 2, "FormationViolation", resent=True))
    again = store.window("CP1", 1)[0]
    assert (again.sequence, again.attempts, again.last_error) == (1, 2, "FormationViolation")
    counted = store.database.query("SELECT possible_duplicates AS n FROM proxy_chargers")
    assert counted == [{"n": 1}]


def test_what_is_on_its_way_is_marked_until_its_end_is_known(store: Store) -> None:
    put(store, 1, "StartTransaction")
    row = store.window("CP1", 1)[0]
    ends = (Failed(row.sequence, 0, "lost", resent=True), Dead(row, "ProtocolError"))
    for end in ends:
        commit(store, Sent(row.sequence))
        assert store.registration("CP1").sent == row.sequence
        commit(store, Failed(row.sequence + 1, 0, "of another"))
        assert store.registration("CP1").sent == row.sequence
        commit(store, end)
        assert store.registration("CP1").sent == 0


def test_the_newest_of_a_kind_waits_until_it_is_delivered(store: Store) -> None:
    for status in (b'"Preparing"', b'"Available"'):
        unit = store.database.unit()
        store.put_latest(unit, "CP1", "Status/1", "StatusNotification", status)
        store.database.wait_for(unit)
        put(store, 1, "MeterValues", status)
    (latest,) = store.latest("CP1")
    assert (latest.payload, latest.version, latest.after) == (b'"Available"', 2, 1)
    commit(store, LatestDelivered("Status/1", 1))
    assert len(store.latest("CP1")) == 1
    commit(store, LatestDelivered("Status/1", 2))
    assert store.latest("CP1") == []


def test_a_boot_is_known_to_be_accepted(store: Store) -> None:
    assert store.registration("CP1") == Registration()
    commit(store, BootAccepted("abc", 60))
    assert store.registration("CP1") == Registration("abc", 60)
    commit(store, BootAccepted("", 60))
    assert store.registration("CP1").boot_digest == ""


def test_what_the_remote_waits_for_is_told_once_more(store: Store) -> None:
    def note(kind: str) -> None:
        unit = store.database.unit()
        store.put_latest(unit, "CP1", kind, "Action", b"{}")
        store.database.wait_for(unit)

    for kind in ("Boot", "Status/1", "Status/2"):
        note(kind)
        commit(store, LatestDelivered(kind, 1))
    commit(store, BootAccepted("abc", 60), Expected("Boot"), Expected("Status/1"))
    commit(store, Expected(EVERY_STATUS, expected=False), Expected("Status/2"))
    assert store.registration("CP1") == Registration("abc", 60)
    for _ in range(2):
        for kind in ("Boot", "Status/1", "Status/2"):
            note(kind)
        assert store.registration("CP1") == Registration("", 60)
        assert [(one.kind, one.version) for one in store.latest("CP1")] == [
            ("Boot", 1),
            ("Status/2", 2),
        ]


def test_a_charger_that_booted_before_the_proxy_came_has_its_boot_told(
    database: Database, store: Store
) -> None:
    database.migrate("ocpp", data_schema.STEPS)
    boot = '{"vendor":"V","model":"M","firmware":"1.2","serial":null}'
    database.execute(
        "INSERT INTO chargers (charger_id, boot, first_seen_at, last_seen_at)"
        " VALUES ('CP1', ?, 0, 0), ('CP2', NULL, 0, 0)",
        (boot,),
    )
    (latest,) = store.latest("CP1")
    assert latest.payload == (
        b'{"chargePointVendor":"V","chargePointModel":"M","firmwareVersion":"1.2"}'
    )
    assert store.latest("CP2") == []
    unit = database.unit()
    store.put_latest(unit, "CP1", "Boot", "BootNotification", b'{"real":1}')
    database.wait_for(unit)
    assert [one.payload for one in store.latest("CP1")] == [b'{"real":1}']


def test_a_refused_tag_is_known_in_any_case_until_it_is_accepted(store: Store) -> None:
    commit(store, TagWord("Tag", "Blocked"))
    assert store.refused("tAG") == "Blocked"
    commit(store, TagWord("TAG", "Accepted"))
    assert store.refused("Tag") == ""


def test_a_stop_is_wanted_until_it_was_asked_for_or_came(store: Store) -> None:
    for local_tx in (1, 2, 3):
        put(store, local_tx, "StartTransaction", b"%d" % local_tx)
    put(store, 3, "StopTransaction", b"33")
    for row in store.window("CP1", 3):
        commit(store, Delivered(row, row.sequence + 100, stop_wanted=True))
    assert store.stops_wanted("CP1") == [1, 2]
    commit(store, StopAsked(1))
    put(store, 2, "StopTransaction", b"22")
    assert store.stops_wanted("CP1") == []


def test_reservations_of_the_remote_get_ids_that_were_never_given(store: Store) -> None:
    first, second = store.next_reservation("CP1"), store.next_reservation("CP1")
    assert first != second
    commit(store, ReservationGiven(5, first))
    assert store.local_reservation("CP1", 5) == first
    assert store.remote_reservation("CP1", first) == 5
    assert store.remote_reservation("CP1", 5) is None


def test_an_id_given_twice_means_the_newer_transaction(store: Store) -> None:
    put(store, 1, "StartTransaction", b"1")
    put(store, 2, "StartTransaction", b"2")
    for row in store.window("CP1", 2):
        commit(store, Delivered(row, 700))
    assert store.local_tx("CP1", 700) == 2
    assert store.remote_tx("CP1", 1) == 700


def test_a_number_that_comes_with_refusals_means_a_transaction_only_once(store: Store) -> None:
    for local_tx, wanted in ((1, 1), (2, None)):
        put(store, local_tx, "StartTransaction", b"%d" % local_tx)
        commit(store, Delivered(store.window("CP1", 1)[0], 0))
        assert store.local_tx("CP1", 0) == wanted


def test_another_remote_is_refused_while_something_waits(database: Database, store: Store) -> None:
    put(store, 1, "StartTransaction")
    with pytest.raises(GwayError, match="1 messages wait for") as told:
        open_store(database, "ws://other.example/ocpp")
    assert "--keep-queue" in str(told.value.hint)
    assert open_store(database, URL + "/").window("CP1", 1)
    other = open_store(database, "ws://other.example/ocpp", keep_queue=True)
    assert [row.action for row in other.window("CP1", 8)] == ["StartTransaction"]


def test_another_remote_knows_nothing_of_the_first(database: Database, store: Store) -> None:
    put(store, 1, "StartTransaction")
    commit(store, Delivered(store.window("CP1", 1)[0], 700), BootAccepted("abc", 60))
    other = open_store(database, "wss://other.example/ocpp")
    assert other.remote_tx("CP1", 1) is None
    assert other.registration("CP1") == Registration()
    assert open_store(database, URL).remote_tx("CP1", 1) == 700


@pytest.mark.parametrize("url", ["http://x/y", "remote", "ws://", ""])
def test_what_is_no_address_is_refused(database: Database, url: str) -> None:
    with pytest.raises(UsageError):
        open_store(database, url)


# --- no room --------------------------------------------------------------------------


def test_only_periodic_samples_of_the_oldest_transactions_are_left_out(store: Store) -> None:
    marked = PERIODIC.replace(b'"value"', b'"context":"Transaction.Begin","value"')
    for local_tx in (1, 2):
        base = 100 * local_tx
        put(store, local_tx, "StartTransaction", b"%d" % base)
        put(store, local_tx, "MeterValues", marked % base)
        for number in range(1, 7):
            put(store, local_tx, "MeterValues", PERIODIC % (base + number))
        put(store, local_tx, "StopTransaction", b"%d" % (base + 99))
    assert thin(store, at_most=3) == 3
    left = store.window("CP1", 100)
    assert [row.action[:5] for row in left if row.local_tx == 1] == (
        ["Start", "Meter", "Meter", "Meter", "Meter", "StopT"]
    )
    times = [row.payload for row in left if row.local_tx == 1]
    assert times[1] == marked % 100
    assert times[2:5] == [PERIODIC % 102, PERIODIC % 104, PERIODIC % 106]
    assert len([row for row in left if row.local_tx == 2]) == 9
    while thin(store):
        pass
    assert [row.action[:5] for row in store.window("CP1", 100)] == (
        ["Start", "Meter", "Meter", "StopT"] * 2
    )
    found = store.database.query("SELECT kind, local_tx, text FROM proxy_findings")
    assert [(one["kind"], one["local_tx"]) for one in found] == [("thinned", 1), ("thinned", 2)]
    assert all(one["text"].startswith("5 samples of transaction") for one in found)


def an_hour_later() -> datetime:
    return AT + timedelta(hours=1)


@pytest.mark.parametrize(
    ("used", "many", "old_s", "removed"),
    [(95.1, 10, 600, 4), (94.9, 10, 600, 0), (99.9, 11, 600, 0), (99.9, 10, 3_601, 0)],
    ids=["full", "room on the disk", "a short queue", "a queue that moves"],
)
def test_samples_are_left_out_only_for_a_long_old_queue_on_a_full_disk(
    store: Store, used: float, many: int, old_s: float, removed: int
) -> None:
    for number in range(10):
        put(store, 1, "MeterValues", PERIODIC % number)
    thinner = Thinner(store, lambda: used, an_hour_later, many=many, old_s=old_s)
    assert thinner.check() == removed


def test_no_more_samples_are_left_out_than_room_is_needed(store: Store) -> None:
    for number in range(100):
        put(store, 1, "MeterValues", (PERIODIC % number).ljust(10_000))
    thinner = Thinner(store, lambda: 99.9, an_hour_later, many=10, spare_bytes=100_000)
    assert [thinner.check() for _ in range(3)] == [49, 0, 0]
    assert len(store.window("CP1", 100)) == 51


def test_the_disk_that_is_looked_at_is_that_of_the_database(
    gw: Gateway, intake: Intake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def usage(path: Path) -> tuple[int, int, int]:
        asked.append(path)
        return shutil._ntuple_diskusage(100, 50, 50)

    monkeypatch.setattr(thinning.shutil, "disk_usage", usage)
    subscription: Subscription = gw.service(Subscription)
    subscription.intake = intake
    assert subscription.look_at_the_disk() == 0
    assert asked == [tmp_path]


def test_what_is_found_again_is_told_once(store: Store) -> None:
    for text in ("first", "second"):
        commit(store, Finding("kind", text, 1), Finding("kind", text))
    found = store.database.query("SELECT text, local_tx FROM proxy_findings ORDER BY finding_id")
    assert [tuple(one.values()) for one in found] == [("second", 1), ("second", None)]


SERVING = """
from gevent import monkey; monkey.patch_all()
import gevent, sys
from pathlib import Path
from gway.projects.ocpp.proxy import thinning
from gway.projects.ocpp.proxy.store import open_store
from gway.projects.sql.database import Database
from datetime import UTC, datetime

thinning.CHECK_EVERY_S = 0.01
database = Database(Path(sys.argv[1]), hub=gevent.get_hub())
store = open_store(database, "ws://remote.example/ocpp")
unit = database.unit()
for number in range(10):
    store.put(unit, "CP1", 1, "MeterValues", b"%d" % number, datetime.now(UTC))
database.wait_for(unit)
used = [96.0]
now = lambda: datetime(2100, 1, 1, tzinfo=UTC)
thinner = thinning.Thinner(store, lambda: used[0], now, many=0)
thinner.begin()
with gevent.Timeout(20):
    while len(store.window("CP1", 100)) > 2:
        gevent.sleep(0.01)
thinner.end()
database.close()
print("two are left")
"""


def test_a_server_looks_at_the_disk_by_itself(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SERVING, str(tmp_path / "ocpp.sqlite")]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.stdout == "two are left\n", ran.stderr
    assert "are not forwarded" in ran.stderr


# --- the intake -----------------------------------------------------------------------


def test_a_fact_is_queued_in_the_commit_of_its_receipt(intake: Intake, store: Store) -> None:
    told: list[str] = []
    intake.told = told.append
    receipt = Receipt("StartTransaction", b'{ "idTag":"TAG" }')
    intake.transaction_started(transaction(), AT, receipt)
    assert store.window("CP1", 8) == []
    assert told == []
    assert settle(receipt) is None
    (row,) = store.window("CP1", 8)
    assert (row.local_tx, row.action, row.payload) == (1, "StartTransaction", b'{ "idTag":"TAG" }')
    assert told == ["CP1"]


def test_what_happened_and_what_is_queued_stand_or_fall_together(
    intake: Intake, store: Store
) -> None:
    receipt = Receipt("StopTransaction", b"{}")
    intake.transaction_stopped(transaction(), AT, receipt)
    receipt.unit(store.database).execute("INSERT INTO nowhere VALUES (1)")
    assert settle(receipt) is not None
    assert store.window("CP1", 8) == []


def test_a_fact_that_is_told_again_makes_no_second_row(intake: Intake, store: Store) -> None:
    for _ in range(2):
        receipt = Receipt("StartTransaction", b'{"idTag":"TAG"}')
        intake.transaction_started(transaction(), AT, receipt)
        assert settle(receipt) is None
    assert len(store.window("CP1", 8)) == 1


def test_samples_of_no_transaction_are_not_queued(intake: Intake, store: Store) -> None:
    receipt = Receipt("MeterValues", PERIODIC % 1)
    intake.meter_values_received(None, AT, receipt)
    assert settle(receipt) is None
    assert store.window("CP1", 8) == []


@pytest.mark.parametrize(
    ("payload", "local_tx"),
    [
        (b'{"transactionId":17}', 17),
        (b"[]", -1),
        (b'{"transactionId":99999999999999999999999}', -1),
        (b'{"transactionId":-9223372036854775809}', -1),
    ],
)
def test_an_orphan_is_queued_under_the_id_it_names(
    intake: Intake, store: Store, payload: bytes, local_tx: int
) -> None:
    receipt = Receipt("StopTransaction", payload)
    orphan = Orphan(
        charger_id="CP1", action="StopTransaction", reason="not known", payload=payload, at=AT
    )
    intake.orphan_kept(orphan, receipt)
    assert settle(receipt) is None
    assert [row.local_tx for row in store.window("CP1", 8)] == [local_tx]


def frame(text: str, action: str, direction: str = "in") -> Frame:
    return Frame("CP1", 1, direction, text, AT, "call", "m", action)  # type: ignore[arg-type]


def test_boot_and_statuses_are_kept_as_they_came_and_only_the_newest(
    intake: Intake, store: Store
) -> None:
    boot = '{ "chargePointVendor":"V", "chargePointModel":"M" }'
    status = '{"connectorId":2,"errorCode":"NoError","status":"%s"}'
    intake.frame(frame(f'[2,"m","BootNotification",{boot}]', "BootNotification"))
    for word in ("Preparing", "Charging"):
        text = f'[2,"m","StatusNotification",{status % word}]'
        intake.frame(frame(text, "StatusNotification"))
    intake.frame(frame('[2,"m","StatusNotification",{"status":"x"}]', "StatusNotification"))
    intake.frame(frame('[2,"m","Heartbeat",{}]', "Heartbeat"))
    assert [(one.kind, one.payload) for one in store.latest("CP1")] == [
        ("Boot", boot.encode()),
        ("Status/2", (status % "Charging").encode()),
    ]
    assert store.window("CP1", 8) == []


def test_other_messages_are_queued_when_the_settings_say_so(store: Store) -> None:
    text = '[2,"m","DataTransfer",{"vendorId":"V"}]'
    Intake(store).frame(frame(text, "DataTransfer"))
    assert store.window("CP1", 8) == []
    Intake(store, frozenset({"DataTransfer"})).frame(frame(text, "DataTransfer"))
    (row,) = store.window("CP1", 8)
    assert (row.local_tx, row.action, row.payload) == (None, "DataTransfer", b'{"vendorId":"V"}')


def test_of_a_charger_that_was_not_let_in_nothing_is_noted(intake: Intake, store: Store) -> None:
    told: list[str] = []
    intake.told = told.append
    intake.also = frozenset({"DataTransfer"})
    intake.admits = lambda charger_id: charger_id != "CP1"
    boot = '[2,"m","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
    intake.frame(frame(boot, "BootNotification"))
    intake.frame(frame('[2,"m","DataTransfer",{"vendorId":"V"}]', "DataTransfer"))
    assert (store.latest("CP1"), store.window("CP1", 8), told) == ([], [], [])
    intake.admits = lambda charger_id: True
    intake.frame(frame(boot, "BootNotification"))
    assert ([one.kind for one in store.latest("CP1")], told) == (["Boot"], ["CP1"])


def test_a_state_that_comes_again_is_told_again_and_a_repetition_is_not(
    intake: Intake, store: Store
) -> None:
    intake.also = frozenset({"FirmwareStatusNotification"})
    states = ["Downloading", "DownloadFailed", "Downloading", "DownloadFailed", "Downloaded"]
    for number, state in enumerate(states):
        text = f'[2,"m{number}","FirmwareStatusNotification",{{"status":"{state}"}}]'
        for _ in range(2):
            intake.frame(frame(text, "FirmwareStatusNotification"))
    assert told_in_order(store) == [b'{"status":"%b"}' % state.encode() for state in states]


def test_of_a_charger_that_is_forgotten_nothing_is_known_once_nothing_of_it_waits(
    intake: Intake, store: Store
) -> None:
    told: list[str] = []
    intake.forgotten = told.append
    intake.note_latest("CP1", "Boot", "BootNotification", b"{}")
    put(store, 1, "StartTransaction")
    commit(store, BootAccepted("abc", 60), ReservationGiven(5, 2**30), Finding("no-boot", "text"))
    store.settled = intake.forget_if_told
    intake.forget("CP1")
    assert (len(store.latest("CP1")), told) == (1, [])
    commit(store, Delivered(store.window("CP1", 1)[0], 700))
    assert told == ["CP1"]
    assert store.latest("CP1") == []
    assert store.registration("CP1") == Registration()
    assert store.local_reservation("CP1", 5) is None
    assert store.remote_tx("CP1", 1) == 700
    counted = "SELECT (SELECT count(*) FROM outbox) + (SELECT count(*) FROM proxy_findings) AS n"
    assert store.database.query(counted) == [{"n": 0}]


def leave_with_a_start(intake: Intake, store: Store) -> list[str]:
    """Forget a charger of which a start waits; give a list of those that are gone."""
    told: list[str] = []
    intake.forgotten = told.append
    store.settled = intake.forget_if_told
    intake.note_latest("CP1", "Boot", "BootNotification", b"{}")
    put(store, 1, "StartTransaction")
    intake.forget("CP1")
    return told


def test_a_restart_does_not_keep_a_charger_from_being_forgotten(
    intake: Intake, store: Store
) -> None:
    leave_with_a_start(intake, store)
    again = open_store(store.database, store.url)
    assert again.leaving == {"CP1"}
    told: list[str] = []
    anew = Intake(again)
    anew.forgotten, again.settled = told.append, anew.forget_if_told
    commit(again, Delivered(again.window("CP1", 1)[0], 700))
    assert (told, again.leaving, again.latest("CP1")) == (["CP1"], set(), [])
    assert open_store(store.database, store.url).leaving == set()


def test_a_forgotten_charger_stays_known_while_a_letter_of_it_is_dead(
    intake: Intake, store: Store
) -> None:
    told = leave_with_a_start(intake, store)
    (row,) = store.window("CP1", 1)
    commit(store, Dead(row, "refused"))
    assert (len(store.latest("CP1")), told) == (1, [])  # sent again, it needs the Boot
    Desk(store).drop(row.sequence)
    assert (store.latest("CP1"), told) == ([], ["CP1"])


def test_a_charger_that_comes_back_before_all_is_told_is_not_forgotten(
    intake: Intake, store: Store
) -> None:
    told = leave_with_a_start(intake, store)
    store.stays("CP1")
    commit(store, Delivered(store.window("CP1", 1)[0], 700))
    intake.forget_if_told("CP1")
    assert (len(store.latest("CP1")), told) == (1, [])
    assert open_store(store.database, store.url).leaving == set()


ACCEPTED = TagDecision(TagStatus.ACCEPTED, source="allow list")
POLICY = TagDecision(TagStatus.ACCEPTED, source="policy")
UNLISTED = TagDecision(TagStatus.INVALID, source="policy")
BLOCKED = TagDecision(TagStatus.BLOCKED, source="store")


def judged(intake: Intake, decision: TagDecision, word: str = "", **more: Purpose) -> TagStatus:
    asked: list[str] = []

    def ask(charger_id: str, id_tag: str) -> TagWord | None:
        asked.append(id_tag)
        return TagWord(id_tag, word) if word else None

    intake.ask = ask
    purpose = more.get("purpose", Purpose.AUTHORIZE)
    found = intake.judge("CP1", "TAG", purpose, decision)
    intake.asked = asked  # type: ignore[attr-defined]
    assert found is not None
    return found.status


def test_a_tag_that_the_remote_refused_is_denied_while_it_is_away(
    intake: Intake, store: Store
) -> None:
    assert judged(intake, ACCEPTED) is TagStatus.ACCEPTED
    commit(store, TagWord("tag", "Blocked"))
    assert judged(intake, ACCEPTED) is TagStatus.BLOCKED
    assert judged(intake, ACCEPTED, "Accepted") is TagStatus.ACCEPTED
    assert judged(intake, ACCEPTED, purpose=Purpose.STOP) is TagStatus.ACCEPTED


def test_a_tag_unknown_here_is_the_remotes_to_judge(intake: Intake) -> None:
    assert judged(intake, POLICY) is TagStatus.ACCEPTED
    assert judged(intake, POLICY, "Expired") is TagStatus.EXPIRED
    assert judged(intake, UNLISTED) is TagStatus.INVALID
    assert judged(intake, UNLISTED, "Accepted") is TagStatus.ACCEPTED
    assert judged(intake, POLICY, "Nonsense") is TagStatus.INVALID
    assert judged(intake, POLICY, "ConcurrentTx") is TagStatus.ACCEPTED


def test_a_start_waits_for_no_remote(intake: Intake) -> None:
    for purpose in (Purpose.START, Purpose.STOP):
        assert judged(intake, POLICY, "Blocked", purpose=purpose) is TagStatus.ACCEPTED
        assert intake.asked == []  # type: ignore[attr-defined]


def test_what_is_known_here_is_not_asked_there(intake: Intake) -> None:
    for decision in (ACCEPTED, BLOCKED):
        assert judged(intake, decision, "Blocked") is decision.status
        assert intake.asked == []  # type: ignore[attr-defined]
