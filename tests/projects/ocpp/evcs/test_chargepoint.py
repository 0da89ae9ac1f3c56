"""The simulated charge point: sessions, boot, statuses, lost links."""

from __future__ import annotations

from typing import Any

import pytest

MONEY = ("StartTransaction", "MeterValues", "StopTransaction")


def register(message: dict[str, Any]) -> int:
    (value,) = [
        one["value"]
        for one in message["meterValue"][0]["sampledValue"]
        if one["measurand"] == "Energy.Active.Import.Register"
    ]
    return int(value)


# --- a whole session ------------------------------------------------------------


def test_a_session_by_itself_goes_from_boot_to_an_empty_place(world):
    site = world(repeat=1)
    site.run(200, until=lambda: site.point.deserted)
    assert site.statuses(0) == ["Available"]
    assert site.statuses(1) == [
        "Available",
        "Preparing",
        "Charging",
        "SuspendedEV",
        "Finishing",
        "Available",
    ]
    assert site.actions()[0] == "BootNotification"
    order = [action for action in site.actions() if action in ("Authorize", *MONEY)]
    assert order == ["Authorize", "StartTransaction", *["MeterValues"] * 6, "StopTransaction"]


def test_energy_lies_between_the_bounds_and_the_register_goes_on(world):
    site = world(repeat=3, kwh=(40, 70))
    site.run(600, until=lambda: site.point.deserted)
    starts, stops = site.of("StartTransaction"), site.of("StopTransaction")
    assert [one["meterStart"] for one in starts] == [0, *[one["meterStop"] for one in stops[:2]]]
    for start, stop, row in zip(starts, stops, site.point.finished, strict=True):
        energy_wh = stop["meterStop"] - start["meterStart"]
        assert 40_000 - 1 <= energy_wh <= 70_000 + 1
        assert row.energy_kwh * 1000 == pytest.approx(energy_wh)
        assert row.delivered
        assert row.transaction_id == stop["transactionId"]
    registers = [register(one) for one in site.of("MeterValues")]
    assert registers == sorted(registers)


def test_samples_come_at_the_interval_with_all_measurands_and_utc_times(world):
    site = world(repeat=1, interval_s=15)
    site.run(100, until=lambda: len(site.of("MeterValues")) == 3)
    times = [one["meterValue"][0]["timestamp"] for one in site.of("MeterValues")]
    assert times == ["2026-03-01T08:00:18Z", "2026-03-01T08:00:33Z", "2026-03-01T08:00:48Z"]
    values = {
        one["measurand"]: (float(one["value"]), one["unit"])
        for one in site.of("MeterValues")[1]["meterValue"][0]["sampledValue"]
    }
    power_w = values["Power.Active.Import"][0]
    assert power_w == pytest.approx(values["Current.Import"][0] * values["Voltage"][0], rel=0.01)
    assert {unit for _, unit in values.values()} == {"Wh", "W", "A", "V", "Percent"}
    assert 8 < values["SoC"][0] <= 95


def test_a_stop_carries_the_begin_and_the_end_of_the_meter(world):
    site = world(repeat=1)
    site.run(100, until=lambda: site.of("StopTransaction"))
    (stop,) = site.of("StopTransaction")
    contexts = [one["sampledValue"][0]["context"] for one in stop["transactionData"]]
    assert contexts == ["Transaction.Begin", "Transaction.End"]
    assert int(stop["transactionData"][1]["sampledValue"][0]["value"]) == stop["meterStop"]
    assert stop["reason"] == "Local"


def test_two_connectors_charge_at_once_with_transactions_of_their_own(world):
    site = world(connectors=2)
    site.plug(1).tag("ONE", 1).plug(2).tag("TWO", 2).run(30)
    site.unplug(2).run(1)
    assert [one["idTag"] for one in site.of("StartTransaction")] == ["ONE", "TWO"]
    (stop,) = site.of("StopTransaction")
    assert stop["transactionId"] == 2
    assert stop["reason"] == "EVDisconnected"
    assert site.point.connectors[1].session is not None


# --- tags -----------------------------------------------------------------------


def test_a_refused_tag_starts_nothing_and_the_driver_leaves(world):
    site = world(repeat=1, answers={"Authorize": {"idTagInfo": {"status": "Blocked"}}})
    site.run(60, until=lambda: site.driver.given_up)
    assert site.of("StartTransaction") == []
    assert site.statuses(1) == ["Available", "Preparing", "Available"]


@pytest.mark.parametrize("keep", [False, True])
def test_a_start_that_is_not_accepted_ends_or_gives_no_energy(world, keep):
    answer = {"idTagInfo": {"status": "ConcurrentTx"}, "transactionId": 9}
    site = world(answers={"StartTransaction": answer})
    if keep:
        site.point.configuration.put("StopTransactionOnInvalidId", "false")
    site.plug().tag().run(60)
    if keep:
        assert site.statuses(1)[-1] == "SuspendedEVSE"
        assert site.point.connectors[1].register == 0
    else:
        (stop,) = site.of("StopTransaction")
        assert (stop["reason"], stop["transactionId"]) == ("DeAuthorized", 9)


def test_only_the_tag_that_began_a_session_ends_it(world):
    site = world().plug().tag("MINE").tag("OTHER")
    assert site.of("StopTransaction") == []
    site.tag("mine")
    assert site.of("StopTransaction")[0]["idTag"] == "mine"


def test_a_tag_without_a_cable_is_forgotten_after_the_connection_timeout(world):
    site = world().tag()
    assert site.statuses(1)[-1] == "Preparing"
    site.run(61)
    assert site.statuses(1)[-1] == "Available"
    assert site.of("StartTransaction") == []


def test_a_tag_that_no_message_could_carry_is_an_error_at_once(world):
    site = world().plug()
    with pytest.raises(ValueError, match="1 to 20 characters"):
        site.tag("X" * 21)


# --- boot and heartbeat -----------------------------------------------------------


@pytest.mark.parametrize("status", ["Pending", "Rejected"])
def test_boot_is_tried_again_only_after_the_interval(world, status):
    boot = {"status": status, "currentTime": "2026-03-01T08:00:00Z", "interval": 45}
    site = world(repeat=1, answers={"BootNotification": boot}).run(44)
    assert site.actions() == ["BootNotification"]
    site.run(1)
    assert site.actions() == ["BootNotification"] * 2


def test_heartbeats_come_at_the_interval_of_the_boot_answer(world):
    boot = {"status": "Accepted", "currentTime": "2026-03-01T08:00:00Z", "interval": 20}
    site = world(answers={"BootNotification": boot}).run(65)
    assert len(site.of("Heartbeat")) == 3


def test_the_clock_follows_the_central_system(world):
    boot = {"status": "Accepted", "currentTime": "2030-01-01T00:00:00Z", "interval": 0}
    site = world(answers={"BootNotification": boot})
    assert site.of("StatusNotification")[0]["timestamp"].startswith("2030-01-01T00:00")


def test_a_charge_point_that_is_no_longer_known_boots_and_goes_on(world):
    site = world().plug()
    site.answers["StartTransaction"] = "SecurityError"
    answered = site.answers["BootNotification"]

    def boot(request):
        site.answers["StartTransaction"] = {
            "idTagInfo": {"status": "Accepted"},
            "transactionId": 4,
        }
        return answered(request)

    site.answers["BootNotification"] = boot
    site.forget().tag()
    assert [a for a in site.actions() if a != "StatusNotification"] == [
        "Authorize",
        "StartTransaction",
        "BootNotification",
        "StartTransaction",
    ]


# --- one call at a time, errors, silence ----------------------------------------------


def test_one_call_is_outstanding_at_a_time(world):
    site = world()
    site.silent = True
    site.plug().tag().run(20)
    assert len(site.waiting) == 1


def test_a_money_message_is_tried_as_often_as_the_keys_say_then_dropped(world):
    site = world(answers={"StartTransaction": "InternalError"})
    site.point.configuration.put("TransactionMessageRetryInterval", "5")
    site.plug().tag()
    begin = site.now
    site.run(30)
    times = [
        (at - begin).total_seconds() for at, name, _ in site.sent if name == "StartTransaction"
    ]
    assert times == [0, 5, 15]
    assert {one["transactionId"] for one in site.of("MeterValues")} == {-1}


def test_other_messages_pass_while_money_waits_for_its_next_try(world):
    site = world(answers={"StartTransaction": "InternalError"})
    site.plug().tag()
    assert site.statuses(1)[-1] == "Charging"
    assert site.of("MeterValues") == []


def test_a_call_without_an_answer_is_given_up_after_its_timeout(world):
    site = world(answers={"Heartbeat": None}, call_timeout_s=10)
    site.run(309).plug()
    assert "Heartbeat" in site.actions()
    assert site.statuses(1)[-1] == "Available"
    site.run(2)
    assert site.statuses(1)[-1] == "Preparing"


def test_late_and_foreign_answers_and_junk_do_no_harm(world):
    site = world()
    for text in ("[]", "{", "[3]", '[3,"nobody",{}]', "12", '[4,"nobody","X","",{}]', "\x00"):
        site.do(site.point.received(text, site.now))
    site.do(site.point.received('[2,"id",5,{}]', site.now))
    assert site.results["id"][0][:2] == [4, "FormationViolation"]
    site.plug().tag()
    assert site.statuses(1)[-1] == "Charging"


def test_an_answer_that_makes_no_sense_counts_as_a_failed_try(world):
    site = world(answers={"StartTransaction": {"transactionId": "many"}})
    site.plug().tag().run(60)
    assert len(site.of("StartTransaction")) == 3


# --- a lost link ---------------------------------------------------------------------


def test_a_session_goes_on_offline_and_is_told_in_order_with_its_own_times(world):
    site = world().plug().tag().run(12)
    site.cut().run(20).unplug().run(30)
    cut = len(site.sent)
    site.connect()
    told = [(action, payload) for _, action, payload in site.sent[cut:] if action in MONEY]
    assert [action for action, _ in told] == ["MeterValues", "MeterValues", "StopTransaction"]
    assert told[0][1]["meterValue"][0]["timestamp"] == "2026-03-01T08:00:20Z"
    assert told[-1][1]["timestamp"] == "2026-03-01T08:00:32Z"
    assert "BootNotification" not in site.actions()[cut:]
    assert site.statuses(1)[-1] == "Available"


def test_a_session_begun_offline_gets_its_id_later(world):
    site = world()
    site.cut().plug().tag().run(25)
    site.forget().connect()
    assert [a for a in site.actions() if a in MONEY] == [
        "StartTransaction",
        "MeterValues",
        "MeterValues",
    ]
    assert site.of("StartTransaction")[0]["timestamp"] == "2026-03-01T08:00:00Z"
    assert {one["transactionId"] for one in site.of("MeterValues")} == {1}


def test_an_authorization_that_the_link_interrupts_is_decided_locally(world):
    site = world()
    site.silent = True
    site.plug().tag()
    site.cut()
    site.silent = False
    assert site.point.connectors[1].session is not None
    site.point.configuration.put("AllowOfflineTxForUnknownId", "false")
    site.unplug().plug().tag("UNKNOWN")
    assert site.point.connectors[1].refused == "Invalid"


def test_a_start_whose_answer_was_lost_is_sent_again_word_for_word(world):
    site = world().plug()
    site.answers["StartTransaction"] = None
    site.tag()
    site.cut().run(5)
    site.answers["StartTransaction"] = {"idTagInfo": {"status": "Accepted"}, "transactionId": 3}
    site.connect()
    first, second = site.of("StartTransaction")
    assert first == second


def test_a_very_long_outage_thins_meter_values_but_no_start_or_stop(world):
    site = world(duration_s=100_000, interval_s=10)
    site.point.outbox.keep_money = 50
    site.cut().plug().tag().run(2_000).unplug()
    site.forget().connect()
    assert len(site.of(*MONEY)) <= 51
    assert site.of(*MONEY)[0] == site.of("StartTransaction")[0]
    assert site.of(*MONEY)[-1] == site.of("StopTransaction")[0]


def test_a_session_of_ten_hours_offline_delivers_what_it_should(world):
    site = world(duration_s=36_000, interval_s=600, kwh=(50, 50))
    site.cut().plug().tag().run(36_001).unplug()
    site.connect()
    assert site.of("StopTransaction")[0]["meterStop"] == 50_000


def test_a_fault_ends_the_session_and_is_told(world):
    site = world().plug().tag().run(10)
    site.do(site.point.fault(1, "GroundFailure", site.now))
    told = site.of("StatusNotification")[-1]
    assert (told["status"], told["errorCode"]) == ("Faulted", "GroundFailure")
    assert site.of("StopTransaction")[0]["reason"] == "Other"
    site.do(site.point.fault(1, "NoError", site.now))
    assert site.statuses(1)[-1] == "Finishing"
