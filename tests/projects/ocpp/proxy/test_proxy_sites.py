"""A site and its remote as two processes: what chargers do here arrives there, once."""

from __future__ import annotations

import json
import time
from contextlib import closing

import pytest

from tests.fault_proxy import FaultProxy
from tests.projects.ocpp.proxy.conftest import story

pytestmark = pytest.mark.flag("proxy")

FULL = """
import shutil
from collections import namedtuple

Usage = namedtuple("Usage", "total used free")

def setup_app() -> None:
    \"\"\"Let the disk look as full as it may be one day.\"\"\"
    shutil.disk_usage = lambda path: Usage(100, {percent}, 100 - {percent})
"""

T1 = "2026-03-01T09:00:00Z"
ALLOW = "TAG:user=Ada\n"


def a_session(charger, first_wh=1_000, at="2026-03-01T08:00:00Z", tag="TAG"):
    started = charger.start(first_wh, at, tag)
    charger.values(started, first_wh + 500, first_wh + 1_500)
    charger.stop(started, first_wh + 3_000, T1)
    return started


def test_a_whole_session_arrives_with_its_own_words_and_another_id(pair, eventually):
    sites = pair()
    other = sites.charger("CP2")
    other.boot()
    a_session(other, 50)  # so that ids differ on the two sides
    charger = sites.charger("CP 1/ä".replace("/", " "))
    charger.charger_id = "CP%201%20%C3%A4"
    charger.boot()
    a_session(charger)
    eventually(sites.drained, 10)
    assert story(sites.local) == story(sites.remote)
    assert {row[0] for row in story(sites.remote)} == {"CP 1 ä", "CP2"}
    assert [row[8] for row in story(sites.remote)] == [3_000, 3_000]


def test_sessions_before_across_and_after_an_outage_are_equal_on_both_sides(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    a_session(charger)
    across = charger.start(5_000, "2026-03-01T10:00:00Z")
    eventually(sites.drained, 10)
    sites.between.partition()
    began = time.monotonic()
    charger.values(across, 6_000)
    charger.stop(across, 7_000, "2026-03-01T11:00:00Z")
    a_session(charger, 9_000, "2026-03-01T12:00:00Z")
    reverse = charger.start(20_000, "2026-03-01T13:00:00Z")
    assert time.monotonic() - began < 2, "nobody here waits for the remote"
    assert len(story(sites.remote)) == 2
    waiting = sites.row()
    assert waiting["pending"] == 7
    assert [one["remote_tx"] for one in waiting["sessions"]] == [None]
    sites.between.heal()
    sites.sync()
    charger.values(reverse, 21_000)
    charger.stop(reverse, 22_000, "2026-03-01T14:00:00Z")
    eventually(sites.drained, 20)
    assert story(sites.local) == story(sites.remote)
    assert len(story(sites.remote)) == 4


def test_commands_of_the_remote_reach_the_charger_with_our_ids_and_unknown_ids_nobody(
    pair, eventually
):
    sites = pair()
    other = sites.charger("CP2")
    other.boot()
    other.start(1)
    charger = sites.charger()
    charger.boot()
    charger.start(1, "2026-03-01T07:00:00Z")
    started = charger.start(2_000)
    eventually(lambda: sites.drained() and sites.row()["link"] == "online", 10)
    there = {
        row["start_time_raw"]: row["transaction_id"]
        for row in sites.remote.rows("SELECT * FROM transactions WHERE charger_id = 'CP1'")
    }["2026-03-01T08:00:00Z"]
    path = "/api/ocpp/csms/send"

    def send(action, payload, wait_s):
        words = {"charger_id": "CP1", "action": action, "payload": payload, "wait_s": wait_s}
        return sites.remote.get(path, "POST", words)

    asked = send("RemoteStopTransaction", {"transactionId": there}, 0)
    frame = charger.serve()
    assert frame[2:] == ["RemoteStopTransaction", {"transactionId": started}]
    rows = eventually(
        lambda: [
            row
            for row in sites.remote.get("/api/ocpp/csms/commands?charger_id=CP1")
            if row["command_id"] == asked["command_id"] and row["state"] == "answered"
        ]
    )
    assert rows[0]["status"] == "Accepted"
    refused = send("RemoteStopTransaction", {"transactionId": 99_999}, 5)
    assert refused["status"] == "Rejected"
    assert charger.commands == []
    key = {"key": "AuthorizationKey", "value": "0123456789abcdef"}
    assert send("ChangeConfiguration", key, 5)["status"] == "Rejected"
    charger.leave()
    eventually(lambda: not sites.row()["connected"])
    away = send("Reset", {"type": "Soft"}, 5)
    assert (away["state"], away["error_code"]) == ("failed", "GenericError")


def test_a_remote_that_may_only_look_commands_nobody(pair, eventually):
    sites = pair("--read-only")
    charger = sites.charger()
    charger.boot()
    eventually(lambda: sites.row().get("link") == "online")
    words = {"charger_id": "CP1", "action": "Reset", "payload": {"type": "Soft"}, "wait_s": 5}
    told = sites.remote.get("/api/ocpp/csms/send", "POST", words)
    assert (told["state"], told["error_code"]) == ("failed", "SecurityError")


def test_a_charger_that_is_not_let_in_is_nothing_that_the_remote_hears_of(pair, eventually):
    sites = pair()
    words = {"charger_id": "CP1", "registration": "Rejected", "force": True}
    sites.local.get("/api/ocpp/csms/approve", "POST", words)
    stranger, charger = sites.charger(), sites.charger("CP2")
    assert stranger.boot()["status"] == "Rejected"
    charger.boot()
    eventually(lambda: sites.row("CP2").get("link") == "online")
    sites.sync()
    assert sites.row("CP1").get("link", "idle") == "idle"
    assert [row["charger_id"] for row in sites.remote.rows("SELECT * FROM chargers")] == ["CP2"]
    sites.local.get("/api/ocpp/csms/approve", "POST", {"charger_id": "CP1"})
    assert stranger.boot()["status"] == "Accepted"
    eventually(lambda: sites.row("CP1").get("link") == "online")

    def unlock():
        words = {"action": "UnlockConnector", "payload": {"connectorId": 1}, "wait_s": 5}
        return sites.remote.get("/api/ocpp/csms/send", "POST", {"charger_id": "CP1", **words})

    words["force"] = False
    sites.local.get("/api/ocpp/csms/approve", "POST", words)
    told = unlock()
    assert (told["state"], told["error_code"]) == ("failed", "GenericError")
    assert stranger.commands == []


def test_a_charger_that_is_forgotten_here_is_one_that_the_proxy_never_knew(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    a_session(charger)
    eventually(lambda: sites.drained() and sites.row()["link"] == "online")
    charger.leave()
    eventually(lambda: not sites.row()["connected"])
    sites.local.get("/api/ocpp/csms/forget", "POST", {"charger_id": "CP1"})
    eventually(lambda: sites.row() == {})
    for table in ("proxy_latest", "proxy_chargers", "outbox"):
        assert sites.local.rows(f"SELECT * FROM {table}") == []
    charger.boot()
    eventually(lambda: sites.row().get("link") == "online")
    assert story(sites.local) == story(sites.remote)


def test_what_a_forgotten_charger_did_still_reaches_the_remote_and_then_it_is_forgotten(
    pair, eventually
):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    eventually(lambda: sites.row().get("link") == "online")
    sites.between.partition()
    a_session(charger)
    charger.leave()
    eventually(lambda: not sites.row()["connected"])
    sites.local.get("/api/ocpp/csms/forget", "POST", {"charger_id": "CP1"})
    assert sites.row()["pending"] > 0
    sites.local.kill()
    sites.local.start()
    sites.between.heal()
    sites.sync()
    eventually(lambda: sites.row() == {}, 20)
    assert story(sites.local) == story(sites.remote)
    for table in ("proxy_latest", "proxy_chargers", "proxy_leaving", "outbox"):
        assert sites.local.rows(f"SELECT * FROM {table}") == []


@pytest.mark.parametrize(("web", "counted"), [("http://127.0.0.1:9", False), ("", True)])
def test_only_a_remote_that_is_no_gway_may_have_duplicates(pair, eventually, web, counted):
    sites = pair(env={"GWAY_OCPP_REMOTE_WEB": web} if web else None)
    charger = sites.charger()
    charger.boot()
    eventually(lambda: sites.row().get("link") == "online")
    sites.between.black_hole()
    charger.start()
    eventually(lambda: sites.row()["in_flight"] == "StartTransaction")
    sites.between.partition()
    eventually(lambda: sites.row()["link"] != "online")
    sites.between.heal()
    sites.sync()
    eventually(sites.drained)
    assert (sites.status()["possible_duplicates"] > 0) is counted


def test_a_tag_unknown_here_is_asked_of_the_remote_and_a_start_waits_for_nobody(
    pair, eventually, workspace
):
    (workspace / "allow.cdv").write_text(ALLOW)
    sites = pair("\n    - ocpp.rfid --allow allow.cdv")
    charger = sites.charger()
    charger.boot()
    eventually(lambda: sites.row().get("link") == "online")

    def word(tag):
        return charger.call("Authorize", {"idTag": tag})["idTagInfo"]["status"]

    assert (word("TAG"), word("GUEST")) == ("Accepted", "Accepted")
    start = {"connectorId": 1, "idTag": "GUEST", "meterStart": 1, "timestamp": T1}
    assert charger.call("StartTransaction", start)["idTagInfo"]["status"] == "Accepted"
    sites.between.black_hole()
    began = time.monotonic()
    assert word("STRANGER") == "Invalid"
    assert time.monotonic() - began < 3
    began = time.monotonic()
    start = {"connectorId": 2, "idTag": "STRANGER", "meterStart": 1, "timestamp": T1}
    assert charger.call("StartTransaction", start)["idTagInfo"]["status"] == "Invalid"
    assert word("TAG") == "Accepted"
    assert time.monotonic() - began < 1


def test_a_tag_that_the_remote_refuses_is_stopped_here_and_refused_from_then_on(pair, eventually):
    sites = pair()
    sites.remote.get("/api/ocpp/rfid/tag", "PUT", {"id_tag": "BAD", "blocked": True})
    sites.between.partition()
    charger = sites.charger()
    charger.boot()
    started = charger.start(1_000, tag="BAD")
    sites.between.heal()
    sites.sync()
    frame = charger.serve(10)
    assert frame[2:] == ["RemoteStopTransaction", {"transactionId": started}]
    charger.stop(started, 1_200, T1)
    eventually(sites.drained, 10)
    assert story(sites.local)[0][8] == story(sites.remote)[0][8] == 200
    assert charger.call("Authorize", {"idTag": "BAD"})["idTagInfo"]["status"] == "Blocked"
    sites.between.partition()
    start = {"connectorId": 1, "idTag": "bad", "meterStart": 1, "timestamp": T1}
    assert charger.call("StartTransaction", start)["idTagInfo"]["status"] == "Blocked"
    (refused,) = sites.local.get("/api/ocpp/proxy/refused-tags")
    assert (refused["id_tag"], refused["status"]) == ("BAD", "Blocked")
    assert "Ask again: BAD" in sites.local.ask("/ocpp/proxy/refused-tags")[1]
    assert "id_tag,status,at" in sites.local.ask("/ocpp/proxy/refused-tags.csv")[1]
    allowed = sites.local.get("/api/ocpp/proxy/allow-tag", "POST", {"id_tag": "bad"})
    assert allowed == {"id_tag": "BAD", "status": "Blocked"}
    assert sites.local.get("/api/ocpp/proxy/refused-tags") == []
    assert charger.call("Authorize", {"idTag": "BAD"})["idTagInfo"]["status"] == "Accepted"
    status, text = sites.local.ask("/api/ocpp/proxy/allow-tag", "POST", {"id_tag": "BAD"})
    assert (status, "has not refused the tag" in text) == (404, True)


@pytest.mark.parametrize("options", ["", "--on-remote-concurrent stop"])
def test_a_tag_that_charges_elsewhere_goes_on_here_unless_it_is_told_to_stop(
    pair, eventually, options
):
    sites = pair(options)
    sites.remote.get("/api/ocpp/rfid/tag", "PUT", {"id_tag": "TWICE", "concurrent_limit": 1})
    first, second = sites.charger("CP1"), sites.charger("CP2")
    for charger in (first, second):
        charger.boot()
    first.start(1_000, tag="TWICE")
    eventually(sites.drained, 10)
    started = second.start(1_000, tag="TWICE", at=T1)
    if options:
        frame = second.serve(10)
        assert frame[2:] == ["RemoteStopTransaction", {"transactionId": started}]
    eventually(sites.drained, 10)
    assert second.commands == []


def test_in_mode_transparent_chargers_wait_while_the_remote_is_away(pair, eventually):
    sites = pair("--mode transparent")
    charger = sites.charger()
    charger.connect()
    charger.boot()
    eventually(lambda: sites.row()["link"] == "online")
    sites.between.partition()
    charger_is_away = lambda: not sites.row()["connected"]  # noqa: E731
    eventually(charger_is_away, 10)
    charger.leave()
    with pytest.raises(Exception, match="503"):
        charger.connect(0.2)
    sites.between.heal()
    sites.sync()
    charger.connect(10)


def test_local_killed_with_a_queue_goes_on_where_it_was(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    sites.between.partition()
    a_session(charger)
    before = sites.local.rows("SELECT sequence, payload FROM outbox WHERE state = 0")
    assert len(before) == 4
    sites.local.kill()
    sites.local.start()
    after = sites.local.rows("SELECT sequence, payload FROM outbox WHERE state = 0")
    assert after == before
    charger.leave()
    sites.between.heal()
    sites.sync()
    eventually(sites.drained, 20)
    assert story(sites.local) == story(sites.remote)


def test_another_remote_is_refused_while_messages_wait_unless_told_to_keep_them(pair):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    sites.between.partition()
    a_session(charger)
    sites.local.kill()
    sites.local.words[2] = "ws://127.0.0.1:1/elsewhere"
    with pytest.raises(AssertionError, match="4 messages wait for"):
        sites.local.start()
    path = sites.local.workspace / "local.gwr"
    path.write_text(path.read_text().replace("[remote]", "[remote] --keep-queue"))
    assert sites.local.start().get("/api/ocpp/proxy/status")["pending"] == 4


def test_pause_holds_everything_and_resume_sends_it(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    eventually(lambda: sites.row()["link"] == "online")
    sites.local.get("/api/ocpp/proxy/pause", "POST", {})
    a_session(charger)
    assert sites.status()["link"] == "paused"
    assert sites.row()["pending"] == 4
    assert story(sites.remote) == []
    sites.local.get("/api/ocpp/proxy/resume", "POST", {})
    eventually(sites.drained, 10)
    assert story(sites.local) == story(sites.remote)


def test_dead_letters_are_seen_sent_again_and_dropped(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    orphan = {"transactionId": 777, "meterStop": 5, "timestamp": T1}
    charger.call("StopTransaction", orphan)
    found = eventually(lambda: sites.local.get("/api/ocpp/proxy/dead"), 10)
    assert found[0]["action"] == "StopTransaction"
    assert found[0]["error"].startswith("no-start")
    assert json.loads(found[0]["payload"]) == orphan
    assert sites.status()["alarms"] == ["The remote does not have a message: see the dead letters."]
    number = found[0]["sequence"]
    sites.local.get("/api/ocpp/proxy/retry", "POST", {"sequence": number})
    eventually(lambda: sites.local.get("/api/ocpp/proxy/dead"), 10)
    dropped = sites.local.get("/api/ocpp/proxy/drop", "POST", {"sequence": number})
    assert [row["sequence"] for row in dropped] == [number]
    assert sites.local.get("/api/ocpp/proxy/dead") == []
    status, _ = sites.local.ask("/api/ocpp/proxy/drop", "POST", {"sequence": number})
    assert status == 404


def test_reconcile_compares_both_sides_in_wh_and_says_where_its_figures_are_from(pair, eventually):
    sites = pair(env={"GWAY_OCPP_REMOTE_TOKEN": "wrong"})
    charger = sites.charger()
    charger.boot()
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    a_session(charger, at=now)
    eventually(sites.drained, 10)
    told = sites.local.get("/api/ocpp/proxy/reconcile")
    assert (told["source"], told["verdicts"]) == ("answers", {"answered": 1})
    sites.local.end()
    path = sites.local.workspace / "local.gwr"
    web = f"[remote] --web {sites.remote.state['url']}"
    path.write_text(path.read_text().replace("[remote]", web))
    sites.local._env["GWAY_OCPP_REMOTE_TOKEN"] = sites.remote.state["token"]
    sites.local.start()
    told = sites.local.get("/api/ocpp/proxy/reconcile")
    assert (told["source"], told["verdicts"], told["apart_wh"]) == ("remote", {"equal": 1}, 0)
    (row,) = told["transactions"]
    assert (row["local_wh"], row["remote_wh"], row["difference_wh"]) == (3_000, 3_000, 0)


def test_metrics_and_page_tell_what_waits(pair, eventually):
    sites = pair(env={"GWAY_OCPP_PROXY_ALARM_S": "0"})
    charger = sites.charger()
    charger.boot()
    sites.between.partition()
    a_session(charger)
    status, text = sites.local.ask("/metrics")
    assert status == 200
    assert "ocpp_proxy_pending 4.0" in text
    assert "ocpp_proxy_links_up 0.0" in text
    assert "ocpp_proxy_alarms 1.0" in text
    status, page = sites.local.ask("/ocpp/proxy/remote")
    assert status == 200, sites.local.log.read_text()
    assert "A message has waited" in page
    assert "not told yet" not in page
    assert sites.local.ask("/ocpp/proxy/reconcile")[0] == 200
    (row,) = json.loads(sites.local.ask("/ocpp/proxy/remote.json?q=cp1&sort=-pending")[1])
    assert (row["charger_id"], row["pending"]) == ("CP1", 4)
    assert sites.local.ask("/ocpp/proxy/remote?sort=nothing")[0] == 400


def test_a_queue_that_is_kept_for_another_remote_has_only_what_that_can_know(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    begun = charger.start(1_000)
    eventually(sites.drained, 10)
    sites.between.partition()
    charger.values(begun, 1_500)
    charger.stop(begun, 2_000)
    whole = charger.start(2_000, T1)
    charger.stop(whole, 2_500, T1)
    sites.local.end()
    with closing(FaultProxy(sites.remote.ws_port)) as another:
        words = sites.local.words
        words[words.index("--remote") + 1] = f"ws://127.0.0.1:{another.port}/ocpp/csms"
        recipe = sites.local.workspace / "local.gwr"
        recipe.write_text(recipe.read_text().replace("[remote]", "[remote] --keep-queue"))
        sites.local.start()
        eventually(sites.drained, 20)
        letters = sites.local.get("/api/ocpp/proxy/dead")
        assert [row["action"] for row in letters] == ["MeterValues", "StopTransaction"]
        assert all("no-start" in row["error"] for row in letters)
        (begun_there, arrived) = story(sites.remote)
        assert (begun_there[5], arrived[5], arrived[8]) == ("inferred", "stopped", 500)


@pytest.mark.parametrize(("percent", "alarms"), [(80, 0), (81, 1)])
def test_a_disk_over_80_percent_is_an_alarm(pair, workspace, percent, alarms):
    (workspace / "projects" / "full.py").write_text(FULL.format(percent=percent))
    sites = pair("\n    - full")
    told = sites.status()
    assert told["disk_percent"] == percent
    assert len(told["alarms"]) == alarms
    assert all("The disk is 81 % full" in alarm for alarm in told["alarms"])
    assert f"ocpp_proxy_alarms {alarms}.0" in sites.local.ask("/metrics")[1]
    assert ("The disk is 81 % full" in sites.local.ask("/ocpp/proxy/remote")[1]) == bool(alarms)


def test_a_flapping_link_makes_few_connections(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    eventually(lambda: sites.row()["link"] == "online")
    connects = sites.between.connects
    sites.between.partition()
    deadline = time.monotonic() + 6
    eventually(lambda: time.monotonic() > deadline, 10)
    assert 1 <= sites.between.connects - connects <= 4, "after 1, 2, 4 s"


def test_a_remote_restored_from_an_old_backup_is_found_and_no_start_is_invented(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    a_session(charger)
    open_one = charger.start(9_000, "2026-03-01T12:00:00Z")
    eventually(sites.drained, 10)
    sites.remote.kill()
    for file in sites.remote.work.glob("ocpp.sqlite*"):
        file.unlink()
    sites.restart_remote()
    charger.stop(open_one, 9_500, "2026-03-01T13:00:00Z")
    a_session(charger, 10_000, "2026-03-01T14:00:00Z")
    sites.sync()
    eventually(sites.drained, 20)
    (found,) = sites.local.get("/api/ocpp/proxy/findings")
    assert (found["kind"], found["charger_id"]) == ("remote-restored", "CP1")
    assert [row[4] for row in story(sites.remote)] == ["2026-03-01T14:00:00Z"]


def test_further_messages_are_queued_when_asked_for(pair, eventually):
    sites = pair("--also DataTransfer")
    charger = sites.charger()
    charger.boot()
    sites.between.partition()
    charger.call("DataTransfer", {"vendorId": "V", "data": "kept"})
    sites.between.heal()
    sites.sync()
    eventually(sites.drained, 10)
    sql = "SELECT content FROM notices WHERE kind = 'DataTransfer'"
    (row,) = eventually(lambda: sites.remote.rows(sql))
    assert json.loads(row["content"])["data"] == "kept"


def test_events_of_security_reach_the_remote_later_in_their_order_and_once(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    eventually(sites.drained, 10)
    sites.between.partition()
    for kind, at in (("FirmwareUpdated", T1), ("InvalidCsr", T1), ("FirmwareUpdated", T1)):
        charger.call("SecurityEventNotification", {"type": kind, "timestamp": at})
    assert sites.row()["pending"] == 2, "the third one is the first, said again"
    sites.between.heal()
    sites.sync()
    eventually(sites.drained, 10)
    sql = "SELECT type, time_raw FROM security_events ORDER BY security_event_id"
    told = sites.local.rows(sql)
    assert [(row["type"], row["time_raw"]) for row in told] == [
        ("FirmwareUpdated", T1),
        ("InvalidCsr", T1),
    ]
    assert sites.remote.rows(sql) == told


def test_a_repeated_start_makes_no_second_row_and_a_second_charger_waits_for_no_first(
    pair, eventually
):
    sites = pair()
    first, second = sites.charger("CP1"), sites.charger("CP2")
    first.boot()
    second.boot()
    sites.between.partition()
    started = first.start(1_000)
    assert first.start(1_000) == started
    assert sites.row("CP1")["pending"] == 1
    sites.between.heal()
    stuck = sites.between.hold(lambda way, text: way == "up" and '"StartTransaction"' in text)
    sites.sync()
    stuck.wait()
    a_session(second, 50, "2026-03-01T09:00:00Z")
    eventually(lambda: sites.row("CP2")["pending"] == 0, 20)
    assert sites.row("CP1")["pending"] == 1
    stuck.let_go()
    eventually(sites.drained, 10)


@pytest.mark.parametrize("mode", ["clean", "basic"])
def test_a_remote_that_requires_keys_takes_the_proxys_own_and_no_other(
    pair, eventually, workspace, mode
):
    (workspace / "keys.cdv").write_text("CP1:key=remote-secret-1\n")
    sites = pair("--keys keys.cdv" if mode == "basic" else "")
    sites.remote.get(
        "/api/ocpp/keys/set-key", "POST", {"charger_id": "CP1", "key": "remote-secret-1"}
    )
    charger = sites.charger()
    charger.boot()
    a_session(charger)
    if mode == "basic":
        eventually(sites.drained, 20)
        assert story(sites.local) == story(sites.remote)
    else:
        eventually(lambda: "401" in sites.row()["last_error"], 20)
        assert sites.row()["pending"] == 4


def test_the_buttons_of_the_page_do_what_the_verbs_do(pair, eventually):
    sites = pair()
    charger = sites.charger()
    charger.boot()
    charger.call("StopTransaction", {"transactionId": 777, "meterStop": 5, "timestamp": T1})
    (letter,) = eventually(lambda: sites.local.get("/api/ocpp/proxy/dead"), 10)

    def press(view: str, **words: int) -> str:
        status, page = sites.local.ask(f"/ocpp/proxy/{view}", "POST", words)
        assert status == 200, page
        return page

    assert ">Resume<" in press("pause")
    assert sites.status()["link"] == "paused"
    assert ">Pause<" in press("resume")
    assert "Dead letters" in press("sync-now")
    assert "no-start" in sites.local.ask("/ocpp/proxy/remote")[1]
    assert "Dead letters" not in press("drop", sequence=letter["sequence"])
    assert sites.local.get("/api/ocpp/proxy/dead") == []
    assert sites.local.ask("/ocpp/proxy/pause")[0] == 405
