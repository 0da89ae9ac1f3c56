"""What the simulated charge point answers to each command, and what it then does."""

from __future__ import annotations

import pytest

from gway.projects.ocpp.evcs.commands import HANDLERS
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS

ACCEPTED, REJECTED = {"status": "Accepted"}, {"status": "Rejected"}


def profile(profile_id=1, limit=5_000.0, purpose="TxDefaultProfile", **more):
    return {
        "chargingProfileId": profile_id,
        "stackLevel": 0,
        "chargingProfilePurpose": purpose,
        "chargingProfileKind": "Relative",
        "chargingSchedule": {
            "chargingRateUnit": "W",
            "chargingSchedulePeriod": [{"startPeriod": 0, "limit": limit}],
        },
        **more,
    }


def test_every_action_of_a_central_system_has_a_handler():
    assert set(HANDLERS) == CENTRAL_SYSTEM_ACTIONS


@pytest.mark.parametrize(
    ("action", "payload", "code"),
    [
        ("Fly", {}, "NotImplemented"),
        ("reset", {"type": "Soft"}, "NotImplemented"),
        ("Heartbeat", {}, "NotSupported"),
        ("Reset", {"type": "Gentle"}, "PropertyConstraintViolation"),
        ("Reset", {}, "OccurenceConstraintViolation"),
        ("Reset", {"type": "Soft", "more": 1}, "FormationViolation"),
        ("UnlockConnector", {"connectorId": "1"}, "TypeConstraintViolation"),
    ],
)
def test_what_cannot_be_served_gets_its_error_code(world, action, payload, code):
    assert world().command(action, payload) == code


def test_the_same_call_again_gets_the_same_answer_and_has_no_second_effect(world):
    site = world().plug()
    text = '[2,"again","RemoteStartTransaction",{"idTag":"TAG","connectorId":1}]'
    for _ in range(2):
        site.do(site.point.received(text, site.now))
    assert site.results["again"] == [[3, ACCEPTED]] * 2
    assert len(site.of("StartTransaction")) == 1
    site.do(site.point.received('[2,"again","ClearCache",{}]', site.now))
    assert site.results["again"][-1][1] == "ProtocolError"


def test_a_rejected_charge_point_does_nothing_for_anybody(world):
    boot = {"status": "Rejected", "currentTime": "2026-03-01T08:00:00Z", "interval": 45}
    assert world(answers={"BootNotification": boot}).command("ClearCache") == "SecurityError"


# --- remote start and stop ------------------------------------------------------------


def test_remote_start_begins_a_session_with_somebody_who_plugs_in(world):
    site = world(repeat=1)
    site.run(100, until=lambda: site.point.deserted).forget()
    assert site.command("RemoteStartTransaction", {"idTag": "APP"}) == ACCEPTED
    site.run(5)
    assert site.of("StartTransaction")[0]["idTag"] == "APP"
    assert site.statuses(1) == ["Preparing", "Charging"]


@pytest.mark.parametrize("ask", ["true", "false"])
def test_remote_start_asks_about_the_tag_when_the_key_says_so(world, ask):
    site = world().plug()
    site.point.configuration.put("AuthorizeRemoteTxRequests", ask)
    site.forget().command("RemoteStartTransaction", {"idTag": "APP", "connectorId": 1})
    assert ("Authorize" in site.actions()) == (ask == "true")
    assert len(site.of("StartTransaction")) == 1


def test_remote_start_is_rejected_where_no_session_can_begin(world):
    site = world().plug().tag()
    assert site.command("RemoteStartTransaction", {"idTag": "APP"}) == REJECTED
    assert site.command("RemoteStartTransaction", {"idTag": "A", "connectorId": 7}) == REJECTED
    pending = {"status": "Pending", "currentTime": "2026-03-01T08:00:00Z", "interval": 45}
    site = world(answers={"BootNotification": pending})
    assert site.command("RemoteStartTransaction", {"idTag": "APP"}) == REJECTED


def test_remote_stop_ends_the_transaction_it_names_and_no_other(world):
    site = world().plug().tag().run(20)
    assert site.command("RemoteStopTransaction", {"transactionId": 99}) == REJECTED
    assert site.command("RemoteStopTransaction", {"transactionId": 1}) == ACCEPTED
    assert site.of("StopTransaction")[0]["reason"] == "Remote"
    assert site.statuses(1)[-1] == "Finishing"


def test_the_answer_goes_out_before_what_the_command_causes(world):
    site = world().plug().tag()
    actions = site.point.received(
        '[2,"RemoteStopTransaction/x","RemoteStopTransaction",{"transactionId":1}]', site.now
    )
    assert [frame[1:2] for frame in actions.frames] == [b"3", b"2"]


# --- reset, unlock, availability ----------------------------------------------------------


def test_soft_reset_stops_tells_hangs_up_and_boots_again(world):
    site = world().plug().tag().run(20).forget()
    assert site.command("Reset", {"type": "Soft"}) == ACCEPTED
    assert site.of("StopTransaction")[0]["reason"] == "SoftReset"
    assert site.hang_ups == [2.0]
    site.run(2).forget().connect()
    assert site.actions()[0] == "BootNotification"
    assert site.statuses(0) == ["Available"]


def test_hard_reset_hangs_up_at_once_and_tells_the_stop_after_the_boot(world):
    site = world().plug().tag().run(20).forget()
    assert site.command("Reset", {"type": "Hard"}) == ACCEPTED
    assert (site.hang_ups, site.actions()) == ([2.0], [])
    site.run(2).connect()
    assert site.actions()[:2] == ["BootNotification", "StopTransaction"]
    assert site.of("StopTransaction")[0]["reason"] == "HardReset"


def test_soft_reset_does_not_wait_for_ever_for_a_silent_central_system(world):
    site = world().plug().tag().run(5)
    site.silent = True
    site.command("Reset", {"type": "Soft"})
    assert site.hang_ups == []
    site.run(11)
    assert site.hang_ups == [2.0]
    site.silent = False
    site.forget().connect()
    assert site.actions()[:2] == ["BootNotification", "StopTransaction"]


def test_unlock_ends_the_session_and_lets_go(world):
    site = world().plug().tag().run(10)
    assert site.command("UnlockConnector", {"connectorId": 1}) == {"status": "Unlocked"}
    assert site.of("StopTransaction")[0]["reason"] == "UnlockCommand"
    assert site.statuses(1)[-2:] == ["Finishing", "Available"]
    assert site.command("UnlockConnector", {"connectorId": 2}) == {"status": "NotSupported"}


def test_availability_changes_at_once_or_after_the_session(world):
    site = world()
    off, on = ({"connectorId": 1, "type": kind} for kind in ("Inoperative", "Operative"))
    assert site.command("ChangeAvailability", off) == ACCEPTED
    assert site.statuses(1)[-1] == "Unavailable"
    assert site.command("ChangeAvailability", on) == ACCEPTED
    site.plug().tag()
    assert site.command("ChangeAvailability", off) == {"status": "Scheduled"}
    assert site.statuses(1)[-1] == "Charging"
    site.unplug()
    assert site.statuses(1)[-1] == "Unavailable"
    assert site.command("ChangeAvailability", {**off, "connectorId": 5}) == REJECTED


def test_the_whole_charge_point_can_be_taken_out_of_service(world):
    site = world(connectors=2)
    site.command("ChangeAvailability", {"connectorId": 0, "type": "Inoperative"})
    assert [site.statuses(number)[-1] for number in (0, 1, 2)] == ["Unavailable"] * 3
    site.cut().run(5)
    site.connect()
    assert site.command("RemoteStartTransaction", {"idTag": "APP"}) == REJECTED


# --- configuration, triggers ------------------------------------------------------------


def test_all_keys_are_told_but_never_the_secret_one(world):
    keys = world().command("GetConfiguration")["configurationKey"]
    names = {one["key"] for one in keys}
    assert {"HeartbeatInterval", "MeterValueSampleInterval", "NumberOfConnectors"} <= names
    assert "AuthorizationKey" not in names
    asked = ["heartbeatinterval", "Nonsense", "AuthorizationKey"]
    some = world().command("GetConfiguration", {"key": asked})
    assert [one["key"] for one in some["configurationKey"]] == ["HeartbeatInterval"]
    assert some["unknownKey"] == ["Nonsense", "AuthorizationKey"]


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("HeartbeatInterval", "60", "Accepted"),
        ("heartbeatinterval", "60", "Accepted"),
        ("HeartbeatInterval", "0", "Rejected"),
        ("HeartbeatInterval", "-1", "Rejected"),
        ("HeartbeatInterval", "ten", "Rejected"),
        ("NumberOfConnectors", "5", "Rejected"),
        ("LocalPreAuthorize", "TRUE", "Accepted"),
        ("LocalPreAuthorize", "1", "Rejected"),
        ("MeterValuesSampledData", "SoC,Voltage", "Accepted"),
        ("MeterValuesSampledData", "Mood", "Rejected"),
        ("AuthorizationKey", "short", "Rejected"),
        ("Nonsense", "1", "NotSupported"),
    ],
)
def test_a_key_is_changed_or_refused_by_its_rules(world, key, value, status):
    answer = world().command("ChangeConfiguration", {"key": key, "value": value})
    assert answer == {"status": status}


def test_changed_intervals_take_effect_in_the_running_session(world):
    site = world().plug().tag()
    change = {"key": "MeterValueSampleInterval", "value": "3"}
    site.command("ChangeConfiguration", change)
    site.command("ChangeConfiguration", {"key": "HeartbeatInterval", "value": "5"})
    site.command("ChangeConfiguration", {"key": "MeterValuesSampledData", "value": "SoC"})
    site.run(16)
    assert len(site.of("MeterValues")) == 5
    assert len(site.of("Heartbeat")) == 3
    assert len(site.of("MeterValues")[0]["meterValue"][0]["sampledValue"]) == 1


def test_a_new_authorization_key_is_used_on_the_next_connection(world):
    site = world()
    change = {"key": "AuthorizationKey", "value": "0123456789abcdef"}
    assert site.command("ChangeConfiguration", change) == ACCEPTED
    assert site.point.authorization_key == "0123456789abcdef"
    assert site.hang_ups == [0.0]
    site.forget().connect()
    assert "BootNotification" not in site.actions()


def test_clock_aligned_samples_come_at_whole_intervals(world):
    site = world().run(7)
    site.command("ChangeConfiguration", {"key": "ClockAlignedDataInterval", "value": "60"})
    site.run(120)
    times = [one["meterValue"][0]["timestamp"] for one in site.of("MeterValues")]
    assert times == ["2026-03-01T08:01:00Z", "2026-03-01T08:02:00Z"]
    assert "transactionId" not in site.of("MeterValues")[0]


@pytest.mark.parametrize(
    ("wanted", "action"),
    [
        ("BootNotification", "BootNotification"),
        ("Heartbeat", "Heartbeat"),
        ("StatusNotification", "StatusNotification"),
        ("MeterValues", "MeterValues"),
        ("DiagnosticsStatusNotification", "DiagnosticsStatusNotification"),
        ("FirmwareStatusNotification", "FirmwareStatusNotification"),
    ],
)
def test_a_triggered_message_is_sent_even_while_the_boot_is_pending(world, wanted, action):
    pending = {"status": "Pending", "currentTime": "2026-03-01T08:00:00Z", "interval": 600}
    site = world(answers={"BootNotification": pending}).forget()
    assert site.command("TriggerMessage", {"requestedMessage": wanted}) == ACCEPTED
    assert set(site.actions()) == {action}


def test_triggers_for_what_is_not_there_are_refused(world):
    site = world()
    trigger = {"requestedMessage": "MeterValues", "connectorId": 9}
    assert site.command("TriggerMessage", trigger) == REJECTED
    csr = {"requestedMessage": "SignChargePointCertificate"}
    assert site.command("ExtendedTriggerMessage", csr) == {"status": "NotImplemented"}
    log = {"requestedMessage": "LogStatusNotification"}
    assert site.command("ExtendedTriggerMessage", log) == ACCEPTED
    assert site.of("LogStatusNotification") == [{"status": "Idle"}]


# --- tags and reservations -----------------------------------------------------------------


def test_the_local_list_decides_offline_and_keeps_its_version(world):
    site = world()
    entries = [
        {"idTag": "GOOD", "idTagInfo": {"status": "Accepted"}},
        {"idTag": "BAD", "idTagInfo": {"status": "Blocked"}},
    ]
    full = {"listVersion": 5, "updateType": "Full", "localAuthorizationList": entries}
    assert site.command("SendLocalList", full) == ACCEPTED
    assert site.command("GetLocalListVersion") == {"listVersion": 5}
    old = {"listVersion": 5, "updateType": "Differential", "localAuthorizationList": []}
    assert site.command("SendLocalList", old) == {"status": "VersionMismatch"}
    site.cut().plug().tag("bad")
    assert site.point.connectors[1].refused == "Blocked"
    site.tag("good")
    assert site.point.connectors[1].session is not None


def test_a_differential_list_removes_what_comes_without_info(world):
    site = world()
    entry = {"idTag": "GOOD", "idTagInfo": {"status": "Accepted"}}
    base = {"updateType": "Full", "localAuthorizationList": [entry]}
    site.command("SendLocalList", {**base, "listVersion": 1})
    gone = {"updateType": "Differential", "localAuthorizationList": [{"idTag": "good"}]}
    assert site.command("SendLocalList", {**gone, "listVersion": 2}) == ACCEPTED
    assert site.point.tags.listed == {}
    twice = {**base, "listVersion": 3, "localAuthorizationList": [entry, entry]}
    assert site.command("SendLocalList", twice) == {"status": "Failed"}


def test_the_cache_starts_a_session_unasked_until_it_is_cleared(world):
    site = world()
    site.point.configuration.put("LocalPreAuthorize", "true")
    site.plug().tag().unplug().forget()
    site.plug().tag().unplug()
    assert "Authorize" not in site.actions()
    assert site.command("ClearCache") == ACCEPTED
    site.plug().tag()
    assert "Authorize" in site.actions()


def test_a_reservation_keeps_the_connector_for_its_tag(world):
    site = world()
    reserve = {
        "connectorId": 1,
        "expiryDate": "2026-03-01T09:00:00Z",
        "idTag": "GUEST",
        "reservationId": 8,
    }
    assert site.command("ReserveNow", reserve) == ACCEPTED
    assert site.statuses(1)[-1] == "Reserved"
    site.plug().tag("OTHER")
    assert site.of("StartTransaction") == []
    site.tag("GUEST")
    assert site.of("StartTransaction")[0]["reservationId"] == 8
    assert site.command("ReserveNow", {**reserve, "reservationId": 9}) == {"status": "Occupied"}
    assert site.command("ReserveNow", {**reserve, "connectorId": 0}) == REJECTED


def test_a_reservation_ends_by_itself_or_when_it_is_cancelled(world):
    site = world()
    reserve = {
        "connectorId": 1,
        "expiryDate": "2026-03-01T08:00:30Z",
        "idTag": "GUEST",
        "reservationId": 8,
    }
    site.command("ReserveNow", reserve)
    site.run(31)
    assert site.statuses(1)[-1] == "Available"
    assert site.command("CancelReservation", {"reservationId": 8}) == REJECTED
    assert site.command("ReserveNow", reserve) == REJECTED
    site.command("ReserveNow", {**reserve, "expiryDate": "2026-03-01T09:00:00Z"})
    assert site.command("CancelReservation", {"reservationId": 8}) == ACCEPTED
    assert site.statuses(1)[-1] == "Available"


# --- smart charging ------------------------------------------------------------------------


def test_a_profile_limits_the_power_and_clearing_it_gives_it_back(world):
    site = world(duration_s=600, interval_s=10)
    install = {"connectorId": 1, "csChargingProfiles": profile(limit=5_000.0)}
    assert site.command("SetChargingProfile", install) == ACCEPTED
    site.plug().tag().run(60)
    before = site.point.connectors[1].register
    site.run(360)
    assert site.point.connectors[1].register - before == pytest.approx(500, abs=5)
    assert site.command("ClearChargingProfile", {"id": 2}) == {"status": "Unknown"}
    assert site.command("ClearChargingProfile", {"id": 1}) == ACCEPTED
    site.run(10)
    assert site.point.connectors[1].session.car.power_w > 50_000


def test_a_limit_of_nothing_suspends_the_session(world):
    site = world().plug().tag().run(10)
    install = profile(limit=0.0, purpose="TxProfile", transactionId=1)
    both = {"connectorId": 1, "csChargingProfiles": install}
    assert site.command("SetChargingProfile", both) == ACCEPTED
    before = site.point.connectors[1].register
    site.run(60)
    assert site.statuses(1)[-1] == "SuspendedEVSE"
    assert site.point.connectors[1].register == before
    site.unplug()
    assert site.point.profiles.installed == []


@pytest.mark.parametrize(
    ("connector_id", "changes"),
    [
        (1, {"purpose": "TxProfile"}),
        (1, {"purpose": "ChargePointMaxProfile"}),
        (4, {}),
        (1, {"stackLevel": 99}),
        (1, {"recurrencyKind": "Daily"}),
    ],
)
def test_a_profile_that_does_not_fit_is_rejected(world, connector_id, changes):
    install = {"connectorId": connector_id, "csChargingProfiles": profile(**changes)}
    assert world().command("SetChargingProfile", install) == REJECTED


def test_the_composite_schedule_merges_the_profiles(world):
    site = world()
    steps = [{"startPeriod": 0, "limit": 11_000.0}, {"startPeriod": 60, "limit": 7_000.0}]
    schedule = {"chargingRateUnit": "W", "duration": 120, "chargingSchedulePeriod": steps}
    station = profile(2, 9_000.0, "ChargePointMaxProfile")
    own = profile(1, chargingSchedule=schedule)
    site.command("SetChargingProfile", {"connectorId": 1, "csChargingProfiles": own})
    site.command("SetChargingProfile", {"connectorId": 0, "csChargingProfiles": station})
    answer = site.command("GetCompositeSchedule", {"connectorId": 1, "duration": 300})
    assert answer["chargingSchedule"]["chargingSchedulePeriod"] == [
        {"startPeriod": 0, "limit": 9_000.0},
        {"startPeriod": 60, "limit": 7_000.0},
        {"startPeriod": 120, "limit": 9_000.0},
    ]
    assert site.command("GetCompositeSchedule", {"connectorId": 9, "duration": 1}) == REJECTED


def test_a_remote_start_may_bring_its_profile(world):
    site = world(duration_s=600).plug()
    start = {
        "idTag": "APP",
        "connectorId": 1,
        "chargingProfile": profile(limit=3_000.0, purpose="TxProfile"),
    }
    assert site.command("RemoteStartTransaction", start) == ACCEPTED
    site.run(20)
    assert site.point.connectors[1].session.car.power_w == 3_000
    wrong = {**start, "chargingProfile": profile(purpose="TxDefaultProfile")}
    assert site.unplug().plug().command("RemoteStartTransaction", wrong) == REJECTED


# --- firmware, diagnostics, logs, certificates -------------------------------------------


def test_jobs_tell_their_status_train(world):
    site = world()
    location = {"location": "ftp://example.org/up"}
    assert "diagnostics" in site.command("GetDiagnostics", location)["fileName"]
    fetch = {**location, "retrieveDate": "2026-03-01T08:00:10Z"}
    assert site.command("UpdateFirmware", fetch) == {}
    log = {
        "logType": "SecurityLog",
        "requestId": 4,
        "log": {"remoteLocation": "ftp://example.org/up"},
    }
    assert site.command("GetLog", log)["status"] == "Accepted"
    site.run(60)
    trains = {
        action: [one["status"] for one in site.of(f"{action}StatusNotification")]
        for action in ("Diagnostics", "Firmware", "Log")
    }
    assert trains == {
        "Diagnostics": ["Uploading", "Uploaded"],
        "Firmware": ["Downloading", "Downloaded", "Installing", "Installed"],
        "Log": ["Uploading", "Uploaded"],
    }
    assert {one["requestId"] for one in site.of("LogStatusNotification")} == {4}


def test_firmware_is_installed_after_the_session_not_during_it(world):
    site = world(duration_s=600).plug().tag()
    fetch = {"location": "ftp://example.org/f", "retrieveDate": "2026-03-01T08:00:00Z"}
    site.command("UpdateFirmware", fetch)
    site.run(60)
    assert [one["status"] for one in site.of("FirmwareStatusNotification")][-1] == "Downloaded"
    site.unplug().run(10)
    assert [one["status"] for one in site.of("FirmwareStatusNotification")][-1] == "Installed"
    site.forget().command("Reset", {"type": "Hard"})
    site.connect()
    assert site.of("BootNotification")[0]["firmwareVersion"] == "1.0.0+1"


def test_signed_firmware_needs_something_like_a_certificate(world):
    site = world()
    firmware = {
        "location": "https://example.org/f",
        "retrieveDateTime": "2026-03-01T08:00:00Z",
        "signingCertificate": "-----BEGIN CERTIFICATE-----",
        "signature": "c2ln",
    }
    update = {"requestId": 3, "firmware": firmware}
    assert site.command("SignedUpdateFirmware", update) == ACCEPTED
    site.run(20)
    told = [one["status"] for one in site.of("SignedFirmwareStatusNotification")]
    assert told[2:] == ["SignatureVerified", "Installing", "Installed"]
    update = {"requestId": 4, "firmware": {**firmware, "signingCertificate": "none"}}
    assert site.command("SignedUpdateFirmware", update) == {"status": "InvalidCertificate"}


def test_what_there_is_no_store_for_is_turned_down_in_words_of_ocpp(world):
    site = world()
    hashes = {
        "hashAlgorithm": "SHA256",
        "issuerNameHash": "a",
        "issuerKeyHash": "b",
        "serialNumber": "c",
    }
    kind = {"certificateType": "CentralSystemRootCertificate"}
    assert site.command("CertificateSigned", {"certificateChain": "x"}) == REJECTED
    assert site.command("InstallCertificate", {**kind, "certificate": "x"}) == REJECTED
    deleted = site.command("DeleteCertificate", {"certificateHashData": hashes})
    assert deleted == {"status": "NotFound"}
    assert site.command("GetInstalledCertificateIds", kind) == {"status": "NotFound"}
    assert site.command("DataTransfer", {"vendorId": "x"}) == {"status": "UnknownVendorId"}
