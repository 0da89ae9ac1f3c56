"""Who may open a connection, line by line of the table."""

import base64
from collections import deque
from datetime import timedelta

import pytest

from gway.projects.ocpp.csms.admission import (
    FAILURES_PER_MINUTE,
    REFUSED_KEPT,
    BadCredentials,
    BadId,
    charger_id_of,
    parse_basic,
)
from gway.projects.ocpp.facts import Admission, ChargerMemory, Verdict
from gway.web.ws import Accept, Refuse


@pytest.mark.parametrize(
    ("path", "charger_id"),
    [
        ("CPX", "CPX"),
        ("CPX/", "CPX"),
        ("group/CPX", "CPX"),
        ("RDAM%20123", "RDAM 123"),
        ("caf%C3%A9", "café"),
        ("a" * 48, "a" * 48),
        ("a.b-c_d+e@f", "a.b-c_d+e@f"),
    ],
)
def test_the_charger_id_is_the_last_segment_decoded_once(path, charger_id):
    assert charger_id_of(path) == charger_id


@pytest.mark.parametrize(
    "path",
    ["", "/", ".hidden", "%20CPX", "CPX%20", "a" * 49, "CP%2FX", "CP%5CX", "CP%2525X", "CP%zz"]
    + ["CP%00X", "CP%0AX", "%FF", "..", "%2e%2e", "CP%25X"]
    + [f"CP%{ord(character):02X}X" for character in "<>\"'&=(){};:|"],
)
def test_a_charger_id_that_cannot_be_one_is_refused_with_400(site, path):
    with pytest.raises(BadId):
        charger_id_of(path)
    answer = site.knock(path)
    assert isinstance(answer, Refuse)
    assert answer.status == 400
    assert site.central.chargers == {}


@pytest.mark.parametrize("offered", [(), ("ocpp2.0.1",), ("OCPP1.6",), ("ocpp1.6j",), ("ocpp1.5",)])
def test_without_the_subprotocol_there_is_no_upgrade(site, offered):
    assert site.knock(offered=offered).status == 400


def test_the_subprotocol_is_picked_out_of_several(site):
    answer = site.knock(offered=("ocpp2.0.1", "ocpp1.6", "ocpp1.5"))
    assert answer.subprotocol == "ocpp1.6"


@pytest.mark.parametrize(("offered", "lets_in"), [((), True), (("ocpp2.0.1",), False)])
def test_the_lenient_option_is_for_chargers_that_offer_nothing(site, offered, lets_in):
    site.central.configure(lenient_subprotocol=True)
    assert isinstance(site.knock(offered=offered), Accept) is lets_in


# --- unknown chargers ---


@pytest.mark.parametrize(
    ("policy", "address", "outcome"),
    [
        ("accept", "192.0.2.1", "Accepted"),
        ("pending", "127.0.0.1", "Pending"),
        ("auto", "127.0.0.1", "Accepted"),
        ("auto", "::1", "Accepted"),
        ("auto", "192.0.2.1", "Pending"),
    ],
)
def test_an_unknown_charger_is_treated_by_policy(site, policy, address, outcome):
    site.central.configure(unknown=policy)
    assert site.line(remote_addr=address).boot()["status"] == outcome


def test_an_unknown_charger_is_rejected_and_listed_for_approval(site):
    site.central.configure(unknown="reject")
    assert site.knock("NEW").status == 404
    assert site.knock("NEW").status == 404
    (row,) = site.central.door.refused.rows()
    assert (row.charger_id, row.status, row.times) == ("NEW", 404, 2)
    site.central.register("NEW", "Accepted")
    assert site.central.door.refused.rows() == []
    assert isinstance(site.knock("NEW"), Accept)


def test_strangers_leave_nothing_but_a_bounded_list(site):
    site.central.configure(unknown="reject")
    for number in range(REFUSED_KEPT + 20):
        site.knock(f"CP{number}")
    assert len(site.central.door.refused.rows()) == REFUSED_KEPT
    assert site.central.chargers == {}


def test_a_charger_that_the_store_knows_as_accepted_is_no_stranger(site):
    site.central.configure(unknown="reject")
    site.store.memories["CPX"] = ChargerMemory(charger_id="CPX", registration="Accepted")
    assert isinstance(site.knock("CPX"), Accept)


def test_a_pending_charger_may_only_boot_until_it_is_approved(site):
    site.central.configure(unknown="pending")
    line = site.line()
    assert line.call("Heartbeat")[0] == "SecurityError"
    answer = line.boot()
    assert (answer["status"], answer["interval"]) == ("Pending", 60)
    assert line.call("StartTransaction", line.start_words())[0] == "SecurityError"
    site.central.register("CPX", "Accepted")
    assert line.boot()["status"] == "Accepted"
    assert "currentTime" in line.call("Heartbeat")


def test_a_rejected_charger_stays_rejected_over_reconnects(site):
    first = site.line()
    first.boot()
    site.central.register("CPX", "Rejected")
    first.close()
    line = site.line()
    assert line.boot()["status"] == "Rejected"
    assert line.call("Heartbeat")[0] == "SecurityError"


# --- credentials ---


def basic(user: str, password: bytes) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(user.encode() + b":" + password).decode()}


def test_the_test_vector_of_the_specification_is_read_as_bytes():
    header = "Basic QUwxMDAwOgABAgMEBQYH////////////////"
    assert parse_basic(header) == ("AL1000", bytes(range(8)) + b"\xff" * 12)


@pytest.mark.parametrize("header", ["Bearer x", "Basic", "Basic ###", "Basic QUwxMDAw", ""])
def test_a_broken_authorization_header_is_refused_with_401(site, header):
    with pytest.raises(BadCredentials):
        parse_basic(header)
    answer = site.knock(headers={"authorization": header})
    assert answer.status == 401
    assert dict(answer.headers)["WWW-Authenticate"].startswith("Basic ")


def by_password(secret: bytes):
    def admit(knock):
        if knock.password == secret:
            return Admission(verdict=Verdict.ACCEPT, authenticated=True)
        return Admission(verdict=Verdict.REJECT, status=401, reason="wrong password")

    return admit


def test_a_plugin_decides_about_passwords(site):
    site.store.admission = by_password(b"secret")
    assert isinstance(site.knock(headers=basic("CPX", b"secret")), Accept)
    refused = site.knock(headers=basic("CPX", b"wrong"))
    assert refused.status == 401
    assert ("WWW-Authenticate", refused.headers[0][1]) == refused.headers[0]
    told = site.store.of("refused")[-1]
    assert told["knock"].password is None


def test_the_user_name_has_to_be_the_charger_id(site):
    assert site.knock(headers=basic("OTHER", b"secret")).status == 401


def test_failed_logins_are_limited_for_a_minute(site):
    site.store.admission = by_password(b"secret")
    for _ in range(FAILURES_PER_MINUTE):
        assert site.knock(headers=basic("CPX", b"wrong")).status == 401
    right = basic("CPX", b"secret")
    assert site.knock(headers=right).status == 429
    assert site.knock(headers=right, remote_addr="192.0.2.1").status == 429
    site.runtime.advance(61)
    assert isinstance(site.knock(headers=right), Accept)


def test_failed_logins_of_one_charger_do_not_stop_another_elsewhere(site):
    site.store.admission = by_password(b"secret")
    for _ in range(FAILURES_PER_MINUTE):
        site.knock(headers=basic("CPX", b"wrong"), remote_addr="192.0.2.1")
    answer = site.knock("CPY", headers=basic("CPY", b"secret"), remote_addr="192.0.2.2")
    assert isinstance(answer, Accept)


def test_a_plugin_that_fails_lets_nobody_in(site):
    def fail(knock):
        raise RuntimeError("broken")

    site.store.admission = fail
    assert site.knock().status == 503


def test_a_store_that_cannot_recall_lets_nobody_in(site):
    site.store.deaf = OSError("disk")
    assert site.knock().status == 503


# --- the second socket ---


def test_an_unauthenticated_newcomer_does_not_replace_a_living_charger(site):
    line = site.line()
    answer = site.knock()
    assert answer.status == 403
    assert line.open


def test_a_newcomer_replaces_a_charger_that_answers_no_ping(site):
    old = site.line()
    old.boot()
    old.answers_pings = False
    new = site.line()
    assert old.closed == (1008, "replaced")
    assert "currentTime" in new.call("Heartbeat")
    assert site.central.chargers["CPX"].session.connection is new


def test_an_authenticated_newcomer_replaces_at_once(site):
    site.store.admission = by_password(b"secret")
    old = site.line(headers=basic("CPX", b"secret"))
    site.line(headers=basic("CPX", b"secret"))
    assert old.closed == (1008, "replaced")


def test_the_end_of_the_replaced_connection_does_not_end_the_new_one(site):
    old = site.line()
    old.boot()
    old.answers_pings = False
    site.runtime.paused = deque()
    new = site.line()
    site.runtime.go_on()
    assert site.central.chargers["CPX"].connected
    told = site.store.of("disconnected")
    assert [(one["link"].link_id, one["code"]) for one in told] == [(1, 1008)]
    assert new.open


def test_a_connection_that_ends_is_told_with_its_code(site):
    site.line().close(1006, "connection lost")
    (told,) = site.store.of("disconnected")
    assert (told["code"], told["reason"]) == (1006, "connection lost")


def test_nobody_is_let_in_while_the_system_stops(site):
    line = site.line()
    site.central.close()
    assert line.closed == (1001, "the central system stops")
    assert site.knock("CPY").status == 503


def test_a_reconnect_needs_no_boot_also_after_a_restart(site, line):
    line.close()
    assert "currentTime" in site.line().call("Heartbeat")
    site.restart()
    site.central.configure(unknown="reject")
    assert "currentTime" in site.line().call("Heartbeat")


def test_a_charger_seen_is_told_now_and_then_with_its_clock(site, line):
    for _ in range(5):
        line.call("Heartbeat")
    assert len(site.store.of("seen")) == 1
    site.clock.at += timedelta(seconds=11)
    slow = site.clock.at - timedelta(seconds=3)
    line.status(1, "Available", timestamp=slow.isoformat())
    assert [told["charger_time"] for told in site.store.of("seen")] == [None, slow]
