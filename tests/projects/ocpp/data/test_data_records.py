"""`.dat` records: after the commit, whole, and the same when they are made again."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import gevent
import gevent.event
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gway.errors import GwayError
from gway.native import Pace
from gway.projects.ocpp.data import records as module
from gway.projects.ocpp.data.codec import TRANSACTION_FIELDS
from gway.projects.ocpp.data.records import Records, write_whole
from gway.projects.ocpp.data.recordtext import moments_of, record_text
from gway.projects.ocpp.data.samples import samples_of, unique
from gway.projects.ocpp.data.store import Store
from gway.projects.sql.database import Database
from gway.projects.sql.writer import StorageError
from gway.resolver import Gateway

from .conftest import START, Site, iso, meter_value

KEYS = [
    "connectorId",
    "idTagStart",
    "meterStart",
    "reservationId",
    "startTime",
    "startTimeStr",
    "startMs",
    "transactionId",
    "MeterValues",
    "idTagStop",
    "meterStop",
    "stopTime",
    "stopTimeStr",
    "stopMs",
    "reason",
    "reasonStr",
    "chargerStartTime",
    "chargerStopTime",
    "energyWh",
    "energySource",
]


def files(site: Site) -> dict[str, bytes]:
    return {
        str(path.relative_to(site.records)): path.read_bytes()
        for path in site.records.rglob("*")
        if path.is_file()
    }


def record(site: Site, name: str = "CPX/1_1.dat") -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site.records / name).read_text())
    return found


def test_a_record_has_the_keys_of_real_logs_in_their_order(site: Site) -> None:
    site.session()
    content = (site.records / "CPX/1_1.dat").read_text()
    found = json.loads(content)
    assert list(found) == KEYS
    assert content == json.dumps(found, indent=2) + "\n"


def test_a_record_says_what_was_charged_by_both_clocks(site: Site) -> None:
    started = site.start(start_time_raw="2024-05-17T11:58:00Z", reservation_id=12)
    site.advance(minutes=1, milliseconds=250)
    power = {"value": "7.4", "measurand": "Power.Active.Import", "unit": "kW"}
    metered = site.meter(started, 1_250, power)
    site.advance(minutes=1)
    site.stop(metered, 4_500, stop_time_raw="2024-05-17T12:00:00Z")
    found = record(site)
    assert found["startTime"] == 1_715_947_200
    assert found["startTimeStr"] == "2024-05-17T12:00:00Z"
    assert found["startMs"] == 1_715_947_200_000
    assert found["chargerStartTime"] == "2024-05-17T11:58:00Z"
    assert found["chargerStopTime"] == "2024-05-17T12:00:00Z"
    assert found["reservationId"] == 12
    assert (found["meterStart"], found["meterStop"], found["energyWh"]) == (1_000, 4_500, 3_500)
    assert (found["reason"], found["reasonStr"], found["idTagStop"]) == ("Local", "Local", "TAG1")
    value = found["MeterValues"][0]
    assert value["timeMs"] == 1_715_947_260_250
    assert value["timestampStr"] == "2024-05-17T12:01:00.250Z"
    assert [list(each.values()) for each in value["sampledValue"]] == [
        [1.25, "kWh", "Energy.Active.Import.Register", "Sample.Periodic"],
        [7.4, "kW", "Power.Active.Import", "Sample.Periodic"],
    ]


def test_without_a_reservation_it_says_minus_one(site: Site) -> None:
    site.session()
    assert record(site)["reservationId"] == -1


def test_rebuilt_records_are_the_same_byte_for_byte(site: Site) -> None:
    for charger_id in ("CPX", "RDAM 123", "ü"):
        site.session(charger_id, id_tag="Tæg")
    before = files(site)
    assert len(before) == 3
    for path in site.records.rglob("*.dat"):
        path.unlink()
    site.restart()
    assert "3 records written" in site.gateway.ocpp.data.records(rebuild=True)
    assert files(site) == before


def test_an_open_transaction_has_no_record(site: Site) -> None:
    site.meter(site.start(), 2_000)
    assert files(site) == {}


def test_the_record_of_a_closing_is_written_again_when_the_late_stop_comes(site: Site) -> None:
    started = site.start()
    closed = msgspec.structs.replace(
        started, state="inferred", meter_stop_wh=2_000, stopped_at=site.at, energy_wh=1_000
    )
    site.tell("ocpp_transaction_closed", transaction=closed, why="next start", at=site.at)
    assert record(site)["energyWh"] == 1_000
    site.stop(closed, 4_500)
    assert record(site)["energyWh"] == 3_500


def test_a_stop_that_was_not_stored_leaves_no_record(site: Site) -> None:
    started = site.start()
    broken = msgspec.structs.replace(started, state=None)
    outcome = site.settle("ocpp_transaction_stopped", transaction=broken, reading=None)
    assert outcome[0] is not None
    assert files(site) == {}


def test_transaction_data_that_repeats_meter_values_is_counted_once(site: Site) -> None:
    started = site.start()
    site.advance(minutes=10)
    metered = site.meter(started, 2_000)
    end = {"value": "4500", "context": "Transaction.End"}
    content = [meter_value(site.at, {"value": "2000"}), meter_value(site.advance(minutes=5), end)]
    data = site.reading(metered, 4_500, raw=json.dumps(content).encode(), origin="transactionData")
    site.stop(metered, 4_500, data)
    values = [each["sampledValue"][0]["value"] for each in record(site)["MeterValues"]]
    assert values == [2.0, 4.5]


def test_samples_come_in_the_order_of_their_time(site: Site) -> None:
    started = site.start()
    late = [meter_value(START + timedelta(minutes=minute), {"value": "1"}) for minute in (9, 3, 6)]
    site.meter(started, 1, raw=json.dumps(late).encode())
    site.stop(started)
    times = [each["timestampStr"][14:16] for each in record(site)["MeterValues"]]
    assert times == ["03", "06", "09"]


def test_records_of_any_charger_stay_in_their_folder(site: Site) -> None:
    for charger_id in ("..", ".hidden", "a/../../b", "CP%2F1"):
        path = site.store.records.path(charger_id, 1, 1)
        assert path.parent.parent == site.records
        assert not path.parent.name.startswith(".")
    names = {site.store.records.path(each, 1, 1).parent.name for each in ("a b", "a%20b", "a+b")}
    assert len(names) == 3


def test_what_a_kill_left_unwritten_is_made_up_at_the_next_start(site: Site) -> None:
    site.session()
    site.session()
    before = files(site)
    (site.records / "CPX/1_2.dat").unlink()
    site.restart()
    site.tell("gway_server_started", host="::1", port=1, ws_port=2, at=site.at)
    assert files(site) == before


def test_a_record_that_cannot_be_written_is_told_and_the_stop_stays_answered(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    site.records.parent.mkdir(parents=True)
    site.records.write_text("a file where the folder should be")
    stopped = site.session()
    assert "record of transaction 1 was not written" in caplog.text
    assert site.ask("ocpp_recall_transaction", transaction_id=1) == stopped


@pytest.mark.parametrize("odd", ["1e9999999", "1e400", "9" * 5_000, "NaN", "1_000"])
def test_a_value_that_no_meter_says_stays_text_and_the_record_is_json(site: Site, odd: str) -> None:
    started = site.start()
    unheard = {"value": odd, "measurand": "Energy.Reactive.Export.Register", "unit": "varh"}
    site.stop(site.meter(started, 1_500, unheard), 4_500)

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    (content,) = files(site).values()
    kept = json.loads(content, parse_constant=refuse)
    values = [one["value"] for each in kept["MeterValues"] for one in each["sampledValue"]]
    assert odd in values
    assert kept["energyWh"] == 3_500


def test_a_record_that_cannot_be_made_holds_up_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(tmp_path / "x.sqlite", hub=gevent.get_hub())
    records = Records(database, tmp_path / "records")
    written = told(records)
    write = records._write

    def stumble(each: int, pace: Pace) -> int:
        if each == 2:
            raise ArithmeticError("what nobody foresaw")
        return write(each, pace)

    records._write = stumble  # type: ignore[method-assign]
    records.request(1, 2, 3)
    until(lambda: len(written) == 2)
    assert sorted(written) == [1, 3]
    assert "the record of transaction 2 cannot be made" in caplog.text
    records.request(4)
    until(lambda: 4 in written)
    records.close()
    database.close()


def test_in_a_process_that_serves_records_are_written_beside_the_hub(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite", hub=gevent.get_hub())
    database.migrate("ocpp", ())
    records = Records(database, tmp_path / "records")
    threads: list[object] = []
    records._write = lambda each, pace: threads.append(gevent.getcurrent()) or 1  # type: ignore[assignment, func-returns-value]
    records.request(1, 2, 3)
    assert threads == []
    records.close()
    assert len(threads) == 3
    assert gevent.getcurrent() not in threads
    database.close()


def test_a_long_record_is_made_in_slices_and_reads_no_longer_than_it_must(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = site.start()
    for minute in range(40):
        site.advance(minutes=1)
        started = site.meter(started, 1_000 + minute)
    site.stop(started, 2_000)
    before = files(site)
    slices, now, moments = [0], itertools.count(), module.moments_of
    records = site.gateway.service(Store).records

    def work(samples: Any) -> Any:
        # Nobody reads any more: SQLite may begin its log anew.
        with sqlite3.connect(records._database.path) as other:
            assert other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
        other.close()
        return moments(samples)

    monkeypatch.setattr(module, "moments_of", work)
    # The clock goes on by one with each look at it: after five things a slice is over.
    records.pace = Pace(5, 1, lambda: next(now), lambda rest_s: slices.append(0))
    assert records.rebuild() == 1
    readings, moments_made = 42, 41
    assert len(slices) - 1 >= 2 * (readings // 6) + 2 * (moments_made // 6)
    assert files(site) == before


@given(
    st.lists(st.tuples(st.integers(0, 5), st.floats(-1e12, 1e12) | st.text() | st.just(1e-7))),
    st.text(),
)
def test_a_record_is_indented_as_pythons_own_json_is(
    said: list[tuple[int, float | str]], id_tag: str
) -> None:
    raws = [
        json.dumps(
            [
                {
                    "timestamp": f"2024-05-17T12:0{minute}:00Z",
                    "sampledValue": [{"value": str(value), "phase": "L1"}],
                }
            ]
        )
        for minute, value in said
    ]
    rows = [{"at": 0, "origin": "sample", "raw": raw} for raw in raws]
    transaction = dict.fromkeys(TRANSACTION_FIELDS) | {"id_tag": id_tag}
    text = b"".join(record_text(transaction, list(moments_of(unique(rows))))).decode()
    assert text == json.dumps(json.loads(text), indent=2, ensure_ascii=False) + "\n"


def told(records: Records) -> list[int]:
    """Give a list that fills with the transactions whose records are written."""
    written: list[int] = []
    records._write = lambda each, pace: written.append(each) or 1  # type: ignore[assignment, func-returns-value]
    return written


def until(condition: Callable[[], object]) -> None:
    with gevent.Timeout(20):
        while not condition():
            gevent.sleep(0.001)  # with 0 the loop may never look at what its threads have done


@pytest.mark.parametrize(
    "error", [StorageError("the disk is away"), sqlite3.OperationalError("disk I/O error")]
)
def test_records_whose_reading_fails_are_tried_again_until_they_are_written(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
) -> None:
    monkeypatch.setattr("gway.projects.ocpp.data.records.RETRY_S", 0.001)
    database = Database(tmp_path / "x.sqlite", hub=gevent.get_hub())
    records = Records(database, tmp_path / "records")
    written, tries = told(records), itertools.count(1)
    write = records._write

    def fail_twice(each: int, pace: Pace) -> int:
        if next(tries) <= 6:
            raise error
        return write(each, pace)

    monkeypatch.setattr(records, "_write", fail_twice)
    records.request(1, 2, 3)
    until(lambda: len(written) == 3)
    assert sorted(written) == [1, 2, 3]
    assert caplog.text.count(f"transaction 1 and 2 more was not written: {error}") == 2
    records.close()
    database.close()


def test_a_record_that_the_disk_refuses_is_tried_again_and_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path / "x.sqlite", hub=gevent.get_hub())
    records = Records(database, tmp_path / "records")
    written = told(records)
    write = records._write

    def refuse_one(each: int, pace: Pace) -> int:
        if each == 1 and not free.is_set():
            raise OSError("disk full")
        return write(each, pace)

    free = gevent.event.Event()
    monkeypatch.setattr(records, "_write", refuse_one)
    monkeypatch.setattr(records, "_retry_s", 0.001)
    records.request(1, 2)
    until(lambda: written == [2])
    records.request(3)
    until(lambda: 3 in written)
    free.set()
    until(lambda: sorted(written) == [1, 2, 3])
    records.close()
    database.close()


def test_what_is_missing_is_looked_for_again_when_that_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = Database(tmp_path / "x.sqlite", hub=gevent.get_hub())
    records = Records(database, tmp_path / "records")
    written, answers = told(records), iter([StorageError("the disk is away"), [7]])

    def missing(latest: int) -> list[int]:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(records, "missing", missing)
    monkeypatch.setattr(records, "_retry_s", 0.001)
    records.catch_up()
    until(lambda: written == [7])
    records.close()
    database.close()


def test_who_waits_for_a_record_holds_no_thread_and_gets_it_without_rests(
    site: Site, tmp_path: Path
) -> None:
    for _ in range(4):
        site.session("CP1", 3_000)
    site.gateway.close()
    database = Database(site.gateway.workspace.work("ocpp.sqlite"), hub=gevent.get_hub())
    records = Records(database, tmp_path / "records")
    rested: list[float] = []
    records.pace = Pace(0.0, 1.0, sleep=rested.append)
    records._turn.__enter__()
    waiting = [gevent.spawn(records.content, number) for number in (1, 2, 3, 4)]
    gevent.sleep(0)
    assert database.off_hub(lambda: "free") == "free"
    assert len(gevent.get_hub().threadpool) == 0, "those who wait are greenlets"
    records._turn.__exit__(None, None, None)
    names = [one.get(timeout=20)[0] for one in waiting]
    assert names == ["1_1.dat", "1_2.dat", "1_3.dat", "1_4.dat"]
    assert rested == []
    records.close()
    database.close()


def test_a_file_is_replaced_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a" / "b.dat"
    write_whole(path, [b"old"])

    def fail(fd: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        write_whole(path, [b"new", b" and longer"])
    assert path.read_bytes() == b"old"
    assert [each.name for each in path.parent.iterdir()] == ["b.dat"]


# --- samples ----------------------------------------------------------------------

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["timestamp", "sampledValue", "value", "unit"]), inner)
    ),
    max_leaves=12,
)


@given(junk)
def test_any_json_can_be_read_for_samples(value: object) -> None:
    for sample in samples_of(json.dumps(value)):
        assert isinstance(sample.value, str)


@given(st.lists(st.integers(0, 5), max_size=20), st.integers(0, 20))
def test_what_is_repeated_later_changes_nothing(minutes: list[int], again: int) -> None:
    rows = [
        {
            "at": 0,
            "origin": "MeterValues",
            "raw": json.dumps([meter_value(START + timedelta(minutes=each), {"value": str(n)})]),
        }
        for n, each in enumerate(minutes)
    ]
    once = unique(rows)
    assert unique([*rows, *rows[:again]]) == once
    assert len(once) == len(set(minutes))
    assert [one.time for one in once] == sorted(one.time for one in once)


def test_a_sample_has_the_defaults_of_the_specification() -> None:
    (sample,) = samples_of(json.dumps([meter_value(iso(START), {"value": "1"})]))
    assert (sample.measurand, sample.unit, sample.context) == (
        "Energy.Active.Import.Register",
        "Wh",
        "Sample.Periodic",
    )
    assert (sample.location, sample.phase, sample.format) == ("Outlet", "", "Raw")


def test_a_charger_id_that_would_leave_the_folder_is_refused(gw: Gateway, tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite")
    (tmp_path / "records").mkdir()
    (tmp_path / "records" / "evil").symlink_to(tmp_path)
    with pytest.raises(GwayError, match="no record can be kept"):
        Records(database, tmp_path / "records").path("evil", 1, 1)
    database.close()
