"""The store: what it is told it knows, also after a restart."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from gway.projects.ocpp.data.codec import micros
from gway.projects.ocpp.facts import (
    Boot,
    Command,
    CommandState,
    ConnectorStatus,
    ErrorReport,
    Link,
    Orphan,
    Purpose,
    TagDecision,
    TagStatus,
)
from gway.projects.ocpp.receipts import Receipt

from .conftest import START, Site, iso

BOOT = Boot("Vendor", "Model", serial="7", firmware="1.2")


@pytest.fixture(params=["same process", "after a restart"])
def later(request: pytest.FixtureRequest, site: Site) -> Any:
    """Do nothing, or restart: the store must know the same."""
    return site.restart if request.param == "after a restart" else lambda: None


# --- transactions ---------------------------------------------------------------


def test_a_transaction_is_recalled_as_it_was_told(site: Site, later: Any) -> None:
    started = site.start(
        reservation_id=9,
        tag_status=TagStatus.CONCURRENT_TX,
        tag_reason="charges elsewhere",
        parent_id_tag="FLEET",
        flags=("historical", "bad-timestamp"),
        start_time=START + timedelta(microseconds=1),
    )
    later()
    assert site.ask("ocpp_recall_transaction", transaction_id=started.transaction_id) == started


def test_an_open_transaction_is_recalled_with_its_last_reading(site: Site, later: Any) -> None:
    started = site.start()
    site.advance(minutes=5)
    site.meter(started, 1_500)
    site.advance(minutes=5)
    after = site.meter(started, 2_000, soc_percent=40.0)
    later()
    assert site.ask("ocpp_recall_transaction", transaction_id=started.transaction_id) == after


def test_readings_write_only_their_own_row(site: Site) -> None:
    started = site.start()
    before = site.query("SELECT * FROM transactions")
    site.meter(started, 1_500)
    assert site.query("SELECT * FROM transactions") == before
    assert site.query("SELECT count(*) AS n FROM readings") == [{"n": 1}]


def test_a_stopped_transaction_keeps_its_last_word(site: Site, later: Any) -> None:
    started = site.start()
    stopped = site.stop(site.meter(started, 2_000), 4_500)
    site.meter(stopped, 9_999)  # a straggler does not change what was charged
    later()
    recalled = site.ask("ocpp_recall_transaction", transaction_id=started.transaction_id)
    assert recalled == stopped


def test_transactions_are_numbered_without_gaps(site: Site) -> None:
    for _ in range(3):
        site.session()
    failing = msgspec.structs.replace(site.start(start_time_raw="x"), transaction_id=99)
    assert isinstance(
        site.settle("ocpp_transaction_started", transaction=failing)[0], sqlite3.IntegrityError
    )
    site.session()
    found = site.query("SELECT sequence FROM transactions ORDER BY sequence")
    assert [row["sequence"] for row in found] == [1, 2, 3, 4, 5]


def test_the_same_start_is_found_again_also_after_the_stop(site: Site, later: Any) -> None:
    stopped = site.session()
    words: dict[str, Any] = {
        "charger_id": "CPX",
        "connector_id": 1,
        "id_tag": "TAG1",
        "meter_start_wh": 1_000,
        "start_time_raw": stopped.start_time_raw,
    }
    later()
    assert site.ask("ocpp_recall_start", **words) == stopped
    for name, other in [
        ("charger_id", "CPY"),
        ("connector_id", 2),
        ("id_tag", "TAG2"),
        ("meter_start_wh", 1_001),
        ("start_time_raw", stopped.start_time_raw + " "),
    ]:
        assert site.ask("ocpp_recall_start", **{**words, name: other}) is None


def test_the_same_stop_is_found_again(site: Site, later: Any) -> None:
    stopped = site.session()
    site.session(energy_wh=7_000)
    words = {
        "charger_id": "CPX",
        "meter_stop_wh": stopped.meter_stop_wh,
        "stop_time_raw": stopped.stop_time_raw,
    }
    later()
    assert site.ask("ocpp_recall_stop", **words) == stopped
    for name, other in [("charger_id", "CPY"), ("meter_stop_wh", 1), ("stop_time_raw", "")]:
        assert site.ask("ocpp_recall_stop", **{**words, name: other}) is None


def test_the_same_start_is_never_stored_twice(site: Site) -> None:
    started = site.start()
    again = msgspec.structs.replace(started, transaction_id=started.transaction_id + 1)
    outcome = site.settle("ocpp_transaction_started", transaction=again)
    assert isinstance(outcome[0], sqlite3.IntegrityError)
    assert site.query("SELECT count(*) AS n FROM transactions") == [{"n": 1}]


def test_a_start_repeated_in_another_spelling_of_its_tag_is_the_same_start(
    site: Site, later: Any
) -> None:
    started = site.start(id_tag="Straße")
    again = msgspec.structs.replace(started, transaction_id=99, id_tag="STRASSE")
    later()
    words = {
        name: getattr(again, name)
        for name in ("charger_id", "connector_id", "id_tag", "meter_start_wh", "start_time_raw")
    }
    assert site.ask("ocpp_recall_start", **words) == started
    outcome = site.settle("ocpp_transaction_started", transaction=again)
    assert isinstance(outcome[0], sqlite3.IntegrityError)


def test_open_transactions_are_found_by_tag_in_any_spelling(site: Site, later: Any) -> None:
    one = site.start("CP1", id_tag="Straße")
    two = site.start("CP2", id_tag="STRASSE")
    site.start("CP3", id_tag="other")
    site.session("CP4", id_tag="strasse")
    later()
    assert site.ask("ocpp_open_transactions", id_tag="strasse", charger_id=None) == [one, two]
    assert site.ask("ocpp_open_transactions", id_tag="strasse", charger_id="CP2") == [two]
    assert len(site.ask("ocpp_open_transactions", id_tag=None, charger_id=None)) == 3


def test_no_fact_of_one_charger_changes_a_row_of_another(site: Site) -> None:
    mine = site.start("CP1")
    site.stop(msgspec.structs.replace(mine, charger_id="CP2"))
    assert site.ask("ocpp_recall_transaction", transaction_id=mine.transaction_id) == mine


def test_a_closing_is_kept_with_its_reason_and_undone_by_the_late_stop(site: Site) -> None:
    started = site.meter(site.start(), 2_000)
    closed = msgspec.structs.replace(
        started, state="inferred", meter_stop_wh=2_000, stopped_at=site.at, energy_wh=1_000
    )
    site.tell("ocpp_transaction_closed", transaction=closed, why="next start", at=site.at)
    assert site.ask("ocpp_recall_transaction", transaction_id=closed.transaction_id) == closed
    assert site.query("SELECT why, at FROM closings") == [
        {"why": "next start", "at": micros(START)}
    ]
    stopped = site.stop(closed, 4_500)
    assert site.ask("ocpp_recall_transaction", transaction_id=closed.transaction_id) == stopped


def test_a_revised_transaction_is_open_again(site: Site, later: Any) -> None:
    stopped = site.session()
    reopened = msgspec.structs.replace(
        stopped, state="open", stopped_at=None, meter_stop_wh=None, flags=("reopened",)
    )
    assert site.settle("ocpp_transaction_revised", transaction=reopened) == [None]
    later()
    found = site.ask("ocpp_open_transactions", id_tag=None, charger_id="CPX")
    assert [(one.state, one.flags, one.meter_stop_wh) for one in found] == [
        ("open", ("reopened",), None)
    ]


def test_numbers_and_texts_no_column_takes_are_bent_and_not_refused(site: Site) -> None:
    odd = site.start(meter_start_wh=2**70, id_tag="\ud800x", start_time=None, start_time_raw="soon")
    found = site.query("SELECT meter_start_wh, id_tag, start_time_raw FROM transactions")
    assert found == [{"meter_start_wh": 2**63 - 1, "id_tag": "?x", "start_time_raw": "soon"}]
    assert site.ask("ocpp_recall_transaction", transaction_id=2**70) is None
    again = site.ask(
        "ocpp_recall_start",
        charger_id="CPX",
        connector_id=1,
        id_tag="\ud800x",
        meter_start_wh=2**70,
        start_time_raw="soon",
    )
    assert again.transaction_id == odd.transaction_id


def test_meter_values_that_are_no_json_are_kept_as_they_came(site: Site) -> None:
    started = site.start()
    site.meter(started, 1_500, raw=b'[{"timestamp": \xff')
    assert site.query("SELECT raw FROM readings") == [
        {"raw": '[{"timestamp": \N{REPLACEMENT CHARACTER}'}
    ]


def test_an_orphan_is_kept_whole(site: Site, later: Any) -> None:
    orphan = Orphan(
        charger_id="CPX", action="StopTransaction", reason="unknown", payload=b'{"a":1}', at=site.at
    )
    assert site.settle("ocpp_orphan_kept", orphan=orphan) == [None]
    later()
    found = site.query("SELECT charger_id, action, reason, payload, at FROM orphans")
    assert list(found[0].values()) == [
        "CPX",
        "StopTransaction",
        "unknown",
        '{"a":1}',
        micros(START),
    ]


def test_a_money_fact_that_cannot_be_stored_fails_its_receipt(site: Site) -> None:
    broken = msgspec.structs.replace(site.start(), flags=(1,))
    receipt = Receipt()
    failed = site.gateway.plugins.emit(
        "ocpp_transaction_started", transaction=broken, at=site.at, receipt=receipt
    )
    outcome: list[BaseException | None] = []
    receipt.settle(outcome.append)
    assert failed == 1
    assert isinstance(outcome[0], TypeError)


# --- chargers ---------------------------------------------------------------------


def connector(connector_id: int, status: str) -> ConnectorStatus:
    return ConnectorStatus(connector_id, status, time=START, at=START)


def test_a_charger_is_recalled_with_boot_connectors_and_transactions(
    site: Site, later: Any
) -> None:
    site.tell("ocpp_charger_booted", charger_id="CPX", boot=BOOT, registration="Accepted", at=START)
    for number, status in [(1, "Preparing"), (0, "Available"), (1, "Charging")]:
        word = connector(number, status)
        site.tell("ocpp_connector_changed", charger_id="CPX", status=word, at=START)
    started = site.start()
    later()
    memory = site.ask("ocpp_recall_charger", charger_id="CPX")
    assert memory.registration == "Accepted"
    assert memory.boot == BOOT
    assert memory.connectors == (connector(0, "Available"), connector(1, "Charging"))
    assert memory.open_transactions == (started,)
    assert memory.last_seen_at == START
    assert site.ask("ocpp_recall_chargers", limit=10) == [memory]


def test_nothing_is_remembered_of_an_unknown_charger(site: Site) -> None:
    assert site.ask("ocpp_recall_charger", charger_id="never") is None


def test_all_chargers_are_recalled_the_latest_first(site: Site, later: Any) -> None:
    for charger_id in ("CP1", "CP2", "CP3"):
        at = site.advance(minutes=1)
        site.tell("ocpp_charger_seen", charger_id=charger_id, charger_time=None, at=at)
    site.start("CP2")
    later()
    memories = site.ask("ocpp_recall_chargers", limit=2)
    assert [one.charger_id for one in memories] == ["CP3", "CP2"]
    assert [len(one.open_transactions) for one in memories] == [0, 1]


def test_many_chargers_are_recalled_in_slices_as_they_would_be_in_one(
    site: Site, later: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        charger_id, at = f"CP{number}", site.advance(minutes=1)
        site.tell("ocpp_charger_booted", charger_id=charger_id, boot=BOOT, registration="", at=at)
        word = connector(number, "Charging")
        site.tell("ocpp_connector_changed", charger_id=charger_id, status=word, at=at)
        site.start(charger_id)
    later()
    whole = site.ask("ocpp_recall_chargers", limit=4)
    breaths: list[object] = []
    monkeypatch.setattr("gway.projects.ocpp.data.store.READ_AT_ONCE", 3)
    monkeypatch.setattr("gway.projects.ocpp.data.store.RECALLED_AT_ONCE", 2)
    monkeypatch.setattr(site.store, "_breathe", lambda: breaths.append(1))
    assert site.ask("ocpp_recall_chargers", limit=4) == whole
    assert [one.charger_id for one in whole] == ["CP4", "CP3", "CP2", "CP1"]
    assert whole == [site.ask("ocpp_recall_charger", charger_id=one.charger_id) for one in whole]
    assert len(breaths) == 2


def test_what_an_operator_decided_survives(site: Site, later: Any) -> None:
    site.tell("ocpp_charger_booted", charger_id="CPX", boot=BOOT, registration="Pending", at=START)
    site.tell("ocpp_registration_changed", charger_id="CPX", registration="Accepted", at=START)
    later()
    assert site.ask("ocpp_recall_charger", charger_id="CPX").registration == "Accepted"


def test_drift_is_what_the_server_has_more_on_its_clock(site: Site) -> None:
    charger_time = START - timedelta(seconds=90)
    site.tell("ocpp_charger_seen", charger_id="CPX", charger_time=charger_time, at=START)
    site.restart()
    assert site.query("SELECT drift_ms FROM chargers") == [{"drift_ms": 90_000}]


def test_a_connection_is_kept_from_its_begin_to_its_end(site: Site) -> None:
    link = Link(7, "CPX", "10.0.0.1", "ocpp1.6", START)
    site.tell("ocpp_charger_connected", link=link, at=START)
    site.advance(minutes=3)
    site.tell("ocpp_charger_disconnected", link=link, code=1001, reason="going", at=site.at)
    found = site.query("SELECT remote_addr, disconnected_at, code, reason FROM connections")
    assert list(found[0].values()) == ["10.0.0.1", micros(site.at), 1001, "going"]


def test_connections_of_a_process_that_died_are_ended_at_the_next_start(site: Site) -> None:
    link = Link(7, "CPX", "10.0.0.1", "ocpp1.6", START)
    site.tell("ocpp_charger_connected", link=link, at=START)
    site.restart()
    site.advance(minutes=1)
    site.tell("gway_server_started", host="::1", port=1, ws_port=2, at=site.at)
    found = site.query("SELECT disconnected_at, code, reason FROM connections")
    assert found == [
        {"disconnected_at": None, "code": 1006, "reason": "lost when the server ended"}
    ]


def test_errors_boots_and_notices_are_kept(site: Site) -> None:
    report = ErrorReport("CPX", 1, "GroundFailure", "Faulted", "wet", "acme", "E7", None, START)
    site.tell("ocpp_error_reported", report=report)
    site.tell("ocpp_charger_booted", charger_id="CPX", boot=BOOT, registration="Accepted", at=START)
    told = {"charger_id": "CPX", "at": START}
    site.tell("ocpp_data_transferred", vendor_id="acme", message_id=None, data="x", **told)
    site.tell(
        "ocpp_status_told",
        action="FirmwareStatusNotification",
        status="Installed",
        request_id=None,
        **told,
    )
    assert site.query("SELECT error_code, info FROM errors") == [
        {"error_code": "GroundFailure", "info": "wet"}
    ]
    assert site.query("SELECT count(*) AS n FROM boots") == [{"n": 1}]
    kinds = [row["kind"] for row in site.query("SELECT kind FROM notices ORDER BY notice_id")]
    assert kinds == ["DataTransfer", "FirmwareStatusNotification"]


def test_why_a_tag_was_refused_can_be_looked_up(site: Site) -> None:
    decision = TagDecision(TagStatus.EXPIRED, "expired yesterday", "rfid")
    site.tell(
        "ocpp_tag_judged",
        charger_id="CPX",
        id_tag="Tag",
        purpose=Purpose.START,
        decision=decision,
        at=START,
    )
    found = site.query("SELECT purpose, status, reason FROM tag_checks WHERE tag_key = 'tag'")
    assert list(found[0].values()) == ["start", "Expired", "expired yesterday"]


def test_a_command_has_one_row_and_its_keys_are_hidden(site: Site) -> None:
    command = Command(
        command_id="c1",
        charger_id="CPX",
        action="ChangeConfiguration",
        payload={"key": "AuthorizationKey", "value": "secret-key"},
        queued_at=START,
    )
    site.tell("ocpp_command_changed", command=command, at=START)
    command.state, command.status = CommandState.ANSWERED, "Accepted"
    command.answer = {"status": "Accepted"}
    site.tell("ocpp_command_changed", command=command, at=START)
    found = site.query("SELECT * FROM commands")
    assert [(row["state"], row["status"]) for row in found] == [("answered", "Accepted")]
    assert "secret-key" not in str(found)


def test_the_store_tells_whether_it_takes_writes(site: Site) -> None:
    assert site.ask("ocpp_store_ready") is True
    assert [check.ok for check in site.gateway.plugins.collect("gway_health")[0]] == [True]


def test_texts_of_chargers_stay_data(site: Site) -> None:
    evil = "'); DROP TABLE transactions; --"
    site.session("CPX", id_tag=evil)
    assert site.ask("ocpp_open_transactions", id_tag=evil, charger_id=evil) == []
    assert site.query("SELECT id_tag FROM transactions") == [{"id_tag": evil}]
    assert iso(START) in site.query("SELECT start_time_raw FROM transactions")[0].values()
