"""Old samples go, money stays: whatever happens meanwhile."""

from __future__ import annotations

import sqlite3
from datetime import timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.data import compact, compacting
from gway.projects.ocpp.data.compact import Message, superfluous
from gway.projects.ocpp.facts import ConnectorStatus, Transaction

from .conftest import START, Site

MINUTE = 60 * 1_000_000


def power(watts: float, unit: str = "W", **words: str) -> dict[str, str]:
    return {"value": str(watts), "measurand": "Power.Active.Import", "unit": unit, **words}


def long_session(site: Site, charger_id: str = "CPX", messages: int = 60) -> Transaction:
    """A message each minute; the highest power is in number 17."""
    started = metered = site.start(charger_id)
    for minute in range(1, messages):
        site.advance(minutes=1)
        peak = power(11.5, "kW") if minute == 17 else power(7_000 + minute)
        metered = site.meter(started, 1_000 + 100 * minute, peak)
    site.advance(minutes=1)
    return site.stop(metered, 1_000 + 100 * messages)


def later(site: Site, **words: Any) -> list[dict[str, Any]]:
    """Compact a year and a half later."""
    site.at = START + timedelta(days=500)
    found: list[dict[str, Any]] = site.gateway.ocpp.data.compact(
        **{"older_than": 90, "keep_every": 0, **words}
    )
    return found


def counted(rows: list[dict[str, Any]]) -> dict[str, int]:
    return {row["what"]: row["count"] for row in rows if row["count"]}


def kept(site: Site) -> list[int]:
    """The registers of the messages that are there."""
    return [row["energy_wh"] for row in site.query("SELECT * FROM readings ORDER BY sequence")]


# --- what may go --------------------------------------------------------------------


def message(number: int, *values: dict[str, str], flags: str = "", at: int | None = None) -> Any:
    raw = msgspec.json.encode([{"timestamp": "2024-05-17T12:00:00Z", "sampledValue": list(values)}])
    return Message(number, (number if at is None else at) * MINUTE, flags, raw.decode())


def gone(*messages: Any, every_min: int = 0) -> list[int]:
    return [one.sequence for one in superfluous(messages, every_min * 60)]


PLAIN = {"value": "1"}


def test_the_first_and_the_last_stay() -> None:
    assert gone(*(message(number, PLAIN) for number in range(5))) == [1, 2, 3]
    assert gone(message(1, PLAIN), message(2, PLAIN)) == []


def test_out_of_order_the_first_and_the_last_in_time_stay_too() -> None:
    times = (5, 9, 1, 7, 6)
    assert gone(*(message(n, PLAIN, at=at) for n, at in enumerate(times))) == [3]


def test_one_stays_in_each_interval() -> None:
    messages = [message(number, PLAIN) for number in range(31)]
    assert set(range(31)) - set(gone(*messages, every_min=10)) == {0, 10, 20, 30}


@pytest.mark.parametrize(
    "special",
    [
        {"value": "1", "context": "Transaction.Begin"},
        {"value": "1", "context": "Sample.Clock"},
        {"value": "1", "context": "Interruption.Begin"},
        {"no value": "at all"},
    ],
)
def test_what_is_not_periodic_or_not_readable_stays(special: dict[str, str]) -> None:
    messages = [message(number, PLAIN) for number in range(5)]
    assert gone(*messages[:2], message(2, PLAIN, special), *messages[3:]) in ([1, 3], [1, 2, 3])
    assert gone(*messages[:2], message(2, special), *messages[3:]) == [1, 3]


def test_what_has_a_flag_stays() -> None:
    odd = message(2, PLAIN, flags="time-order")
    assert gone(message(1, PLAIN), odd, message(3, PLAIN), message(4, PLAIN)) == [3]


def test_the_highest_power_of_each_series_stays() -> None:
    messages = [
        message(1, power(1)),
        message(2, power(11, "kW")),
        message(3, power(10_999)),
        message(4, power(50, phase="L1")),
        message(5, power(60, phase="L2"), power(40, phase="L1")),
        message(6, power(2)),
        message(7, {"value": "signed data", "measurand": "Power.Active.Import"}),
        message(8, power(1)),
    ]
    assert gone(*messages) == [3, 6, 7]


@given(st.lists(st.tuples(st.integers(0, 500), st.integers(0, 9)), min_size=1), st.integers(0, 60))
def test_thinning_again_takes_nothing_more(spec: list[tuple[int, int]], every: int) -> None:
    messages = [message(n, power(watts), at=at) for n, (at, watts) in enumerate(spec)]
    left = [one for one in messages if one not in superfluous(messages, every * 60)]
    assert left[0] == messages[0]
    assert left[-1] == messages[-1]
    assert superfluous(left, every * 60) == []


# --- the verb -----------------------------------------------------------------------


def test_samples_are_thinned_and_energy_stays(site: Site) -> None:
    stopped = long_session(site)
    data = site.gateway.ocpp.data
    before = data.api_transaction(1, samples=False)
    hours = site.query("SELECT * FROM energy_hours")
    rows = later(site)
    assert counted(rows)["MeterValues messages of ended transactions"] == 59 - 3
    assert kept(site) == [1_100, 2_700, 6_900]
    assert site.query("SELECT * FROM energy_hours") == hours
    after = data.api_transaction(1, samples=False)
    assert {**after, "thinned_at": None} == {**before, "thinned_at": None}
    assert stopped.energy_wh == after["energy_wh"] == 6_000
    assert {row["result"] for row in data.check()} <= {"ok", "note"}


def test_a_dry_run_tells_the_same_and_changes_nothing(site: Site) -> None:
    long_session(site)
    content = site.query("SELECT * FROM readings")
    said = counted(later(site, dry_run=True))
    assert site.query("SELECT * FROM readings") == content
    assert site.query("SELECT * FROM thinned") == []
    done = counted(later(site))
    assert done.items() >= said.items()


def test_a_second_run_finds_nothing_and_a_coarser_one_more(site: Site) -> None:
    long_session(site)
    thinned = "MeterValues messages of ended transactions"
    assert counted(later(site, keep_every=10))[thinned] == 59 - 8
    assert thinned not in counted(later(site, keep_every=10))
    assert thinned not in counted(later(site, keep_every=5))
    assert counted(later(site, keep_every=30))[thinned] > 0


def test_open_and_young_transactions_are_left_alone(site: Site) -> None:
    started = site.start("CP1")
    for minute in range(10):
        site.advance(minutes=1)
        started = site.meter(started, 1_000 + minute)
    site.at = START + timedelta(days=495)
    long_session(site, "CP2", 10)
    assert "MeterValues messages of ended transactions" not in counted(later(site))
    assert len(kept(site)) == 10 + 9


def test_records_keep_every_sample(site: Site) -> None:
    long_session(site)
    path = site.records / "CPX" / "1_1.dat"
    content = path.read_bytes()
    path.unlink()  # a kill left it unwritten
    later(site)
    assert path.read_bytes() == content
    assert site.gateway.ocpp.data.records(rebuild=True).startswith("1 records")
    assert path.read_bytes() == content


def test_a_record_that_is_lost_later_has_what_is_left(site: Site) -> None:
    long_session(site)
    path = site.records / "CPX" / "1_1.dat"
    later(site)
    path.unlink()
    site.gateway.ocpp.data.records(rebuild=True)
    values = msgspec.json.decode(path.read_bytes())["MeterValues"]
    assert len(values) == 3


def test_a_correction_after_thinning_keeps_the_samples_in_the_record(site: Site) -> None:
    stopped = long_session(site)
    path = site.records / "CPX" / "1_1.dat"
    before = msgspec.json.decode(path.read_bytes())
    later(site)
    revised = msgspec.structs.replace(stopped, stop_reason="PowerLoss")
    assert site.settle("ocpp_transaction_revised", transaction=revised) == [None]
    after = msgspec.json.decode(path.read_bytes())
    assert (before.pop("reason"), after.pop("reason")) == ("Local", "PowerLoss")
    assert (before.pop("reasonStr"), after.pop("reasonStr")) == ("Local", "PowerLoss")
    assert after == before


def test_a_transaction_that_opens_again_meanwhile_keeps_its_samples(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped = long_session(site)
    reopened = msgspec.structs.replace(
        stopped, state="open", stopped_at=None, meter_stop_wh=None, energy_wh=None
    )
    choose = compact._choose

    def choosing(*words: Any) -> Any:
        chosen = choose(*words)
        assert site.settle("ocpp_transaction_revised", transaction=reopened) == [None]
        return chosen

    monkeypatch.setattr(compact, "_choose", choosing)
    later(site)
    assert len(kept(site)) == 59
    assert site.query("SELECT * FROM thinned") == []


def test_an_end_in_the_middle_loses_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(5):
        long_session(site, f"CP{number}", 10)
    whole = counted(later(site, dry_run=True))
    monkeypatch.setattr(compact, "AT_ONCE", 2)
    write, writes = compact.Compaction._write, []

    def failing(self: Any, function: Any) -> Any:
        if len(writes) == 1:
            raise KeyboardInterrupt
        writes.append(write(self, function))
        return writes[-1]

    monkeypatch.setattr(compact.Compaction, "_write", failing)
    with pytest.raises(KeyboardInterrupt):
        later(site)
    assert {row["result"] for row in site.gateway.ocpp.data.check()} <= {"ok", "note"}
    monkeypatch.setattr(compact.Compaction, "_write", write)
    thinned = "MeterValues messages of ended transactions"
    assert counted(later(site))[thinned] == whole[thinned] - writes[0].removed
    assert {row["result"] for row in site.gateway.ocpp.data.check()} <= {"ok", "note"}


# --- history ------------------------------------------------------------------------


def tell_history(site: Site) -> None:
    said = ConnectorStatus(connector_id=1, status="Available", at=site.at)
    for status in ("Available", "Faulted"):
        changed = msgspec.structs.replace(said, status=status)
        site.tell("ocpp_connector_changed", charger_id="CPX", status=changed, at=site.at)
        site.advance(minutes=1)
        for code in ("A", "B"):
            site.store.database.execute(
                "INSERT INTO errors (charger_id, connector_id, error_code, status, at)"
                " VALUES ('CPX', 1, ?, 'Faulted', ?)",
                (code + status, int(site.advance(seconds=1).timestamp() * 1e6)),
            )
    site.tell(
        "ocpp_status_told",
        charger_id="CPX",
        action="FirmwareStatusNotification",
        status="Idle",
        request_id=None,
        at=site.at,
    )
    lone = site.reading(site.start(), 5, transaction_id=None)
    told = {"reading": lone, "transaction": None}
    assert site.settle("ocpp_meter_values_received", **told) == [None]


def test_old_history_goes_and_the_last_word_of_each_stays(site: Site) -> None:
    tell_history(site)
    rows = counted(later(site))
    assert rows["other messages"] == 1
    assert rows["meter values that belong to no transaction"] == 1
    assert [row["error_code"] for row in site.query("SELECT * FROM errors")] == ["BFaulted"]
    assert [row["status"] for row in site.query("SELECT * FROM status_changes")] == ["Faulted"]
    assert {row["result"] for row in site.gateway.ocpp.data.check()} <= {"ok", "note"}


def test_history_stays_for_as_long_as_is_said(site: Site) -> None:
    tell_history(site)
    assert "other messages" not in counted(later(site, history_days=0))
    assert "other messages" not in counted(later(site, history_days=600))
    assert counted(later(site, history_days=499))["other messages"] == 1


def test_money_is_not_among_what_goes() -> None:
    money = {"transactions", "closings", "revisions", "orphans", "energy_hours", "counters"}
    assert not money & {kind.table for kind in compact.HISTORY}


# --- words ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [{"older_than": None}, {"before": START}, {"older_than": -1}, {"older_than": 10**9}],
)
def test_which_transactions_has_to_be_said_once(site: Site, words: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        later(site, **words)


def test_a_day_that_is_still_to_come_is_refused(site: Site) -> None:
    with pytest.raises(UsageError, match="still to come"):
        site.gateway.ocpp.data.compact(before=START + timedelta(days=1))


def test_the_file_shrinks_when_asked_and_not_beside_a_server(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(4):
        long_session(site, f"CP{number}")
    monkeypatch.setattr(compacting, "recorded", lambda _gateway: object())
    with pytest.raises(GwayError, match="a server runs"):
        later(site, vacuum=True)
    assert len(kept(site)) == 4 * 59
    monkeypatch.setattr(compacting, "recorded", lambda _gateway: None)
    rows = counted(later(site, vacuum=True))
    assert rows["bytes given back to the disk"] > 0
    assert rows["bytes free in the file, used again by what comes"] > 0
    with sqlite3.connect(site.store.database.path) as other:
        assert other.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    other.close()
