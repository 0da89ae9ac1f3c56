"""What pages and programs see of chargers."""

from datetime import timedelta

import gevent
import pytest

from gway import hookimpl
from gway.errors import DecisionFailed, GwayError
from gway.projects.ocpp.csms.central import BROUGHT_AT_ONCE, CentralSystem
from gway.projects.ocpp.csms.framelog import PER_CHARGER, SHARED, SHOWN_BYTES, FrameLog
from gway.projects.ocpp.csms.runtime import GeventRuntime
from gway.projects.ocpp.facts import Boot, ChargerMemory, ConnectorStatus


def row_of(site, charger_id="CPX"):
    (row,) = [one for one in site.central.list_chargers() if one["charger_id"] == charger_id]
    return row


def test_a_row_shows_what_is_charging(site, line):
    line.status(1, "Charging")
    transaction_id = line.start(1, meter_wh=1_000)
    site.clock.at += timedelta(minutes=10)
    line.meter(transaction_id, 3_500)
    row = row_of(site)
    assert row["status"] == "Charging"
    assert (row["energy_wh"], row["duration_s"]) == (2_500, 600)
    assert row["connectors"] == {"1": "Charging"}
    assert row["transactions"][0]["transaction_id"] == transaction_id
    assert row["last_action"] == "MeterValues"


def test_powers_of_all_connectors_are_added(site, line):
    for connector_id in (1, 2):
        transaction_id = line.start(connector_id)
        sample = {
            "timestamp": line.time(),
            "sampledValue": [{"value": "7.5", "unit": "kW", "measurand": "Power.Active.Import"}],
        }
        words = {"connectorId": connector_id, "transactionId": transaction_id}
        line.call("MeterValues", words | {"meterValue": [sample]})
    assert row_of(site)["power_w"] == 15_000
    line.close()
    assert row_of(site)["power_w"] is None, "nobody knows what an absent charger draws"


def test_faults_come_first_then_connected_chargers(site):
    site.line("C-AWAY").boot()
    site.central.chargers["C-AWAY"].session.connection.close()
    site.line("B-FINE").boot()
    faulty = site.line("D-FAULT")
    faulty.boot()
    faulty.status(2, "Faulted", errorCode="GroundFailure")
    rows = site.central.list_chargers()
    assert [row["charger_id"] for row in rows] == ["D-FAULT", "B-FINE", "C-AWAY"]
    assert rows[0]["faults"][0]["error_code"] == "GroundFailure"
    faulted = site.central.list_chargers(faulted=True)
    assert [row["charger_id"] for row in faulted] == ["D-FAULT"]
    away = site.central.list_chargers(status="offline")
    assert [row["charger_id"] for row in away] == ["C-AWAY"]


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        ({}, "Connected"),
        ({0: "Available"}, "Available"),
        ({0: "Available", 1: "Available"}, "Available"),
        ({0: "Available", 1: "Available", 2: "Preparing"}, "Preparing"),
        ({1: "Charging", 2: "Faulted"}, "Faulted"),
        ({0: "Unavailable", 1: "Available"}, "Unavailable"),
    ],
)
def test_one_word_for_the_whole_charger(site, line, statuses, word):
    for connector_id, status in statuses.items():
        line.status(connector_id, status)
    assert row_of(site)["status"] == word
    line.close()
    assert row_of(site)["status"] == "Offline"


@pytest.mark.parametrize(
    ("statuses", "word"),
    [
        ({1: "Charging"}, "Charging"),
        ({1: "SuspendedEV"}, "SuspendedEV"),
        ({1: "SuspendedEVSE"}, "SuspendedEVSE"),
        ({1: "Finishing"}, "Finishing"),
        ({1: "Preparing"}, "Preparing"),
        ({0: "Available", 1: "SuspendedEV", 2: "Preparing"}, "SuspendedEV"),
        ({1: "Finishing", 2: "Charging"}, "Charging"),
        ({0: "Unavailable", 1: "SuspendedEV"}, "SuspendedEV"),
        ({}, "Charging"),
        ({2: "Preparing"}, "Charging"),
    ],
)
def test_in_a_session_it_is_the_word_of_its_connector_if_there_is_one(site, line, statuses, word):
    line.start(connector_id=1)
    for connector_id, status in statuses.items():
        line.status(connector_id, status)
    assert row_of(site)["status"] == word


def test_a_connector_that_was_free_before_its_session_began_is_not_free(site, line):
    line.status(1, "Available")
    site.clock.advance(60)
    line.start(connector_id=1)
    assert row_of(site)["status"] == "Charging"


def test_chargers_that_only_the_store_knows_are_listed(site):
    site.store.memories["OLD"] = ChargerMemory(
        charger_id="OLD",
        registration="Accepted",
        boot=Boot("Acme", "One"),
        connectors=(ConnectorStatus(1, "Available"),),
        last_seen_at=site.clock.at,
    )
    row = row_of(site, "OLD")
    assert (row["connected"], row["vendor"], row["last_seen_at"]) == (False, "Acme", site.clock.at)
    assert site.central.snapshot("OLD")["connectors"][0]["status"] == "Available"


def test_a_snapshot_of_nobody_is_an_error_that_says_so(site):
    with pytest.raises(GwayError, match="there is no charger 'NOBODY'"):
        site.central.snapshot("NOBODY")


def test_a_snapshot_holds_connection_commands_and_frames(site, line):
    site.central.commands.submit("CPX", "Reset", {"type": "Soft"})
    shown = site.central.snapshot("CPX")
    assert shown["remote_addr"] == "127.0.0.1"
    assert shown["boot"]["model"] == "One"
    assert shown["pending_commands"] == 1
    assert shown["commands"][0]["state"] == "sent"
    line.result({"status": "Accepted"})
    frames = site.central.snapshot("CPX")["frames"]
    assert [(one["direction"], one["kind"], one["action"]) for one in frames] == [
        ("in", "call", "BootNotification"),
        ("out", "result", "BootNotification"),
        ("out", "call", "Reset"),
        ("in", "result", "Reset"),
    ]


def test_the_live_log_is_bounded_and_cuts_long_frames(clock):
    log = FrameLog()
    log.add("CPX", "in", clock.at, b"x" * 100_000)
    (entry,) = log.of("CPX")
    assert len(entry[3]) == SHOWN_BYTES
    for number in range(PER_CHARGER + 5):
        log.add("CPX", "in", clock.at, b"%d" % number)
    assert [int(one[3]) for one in log.of("CPX")] == list(range(5, PER_CHARGER + 5))


def test_a_watched_charger_keeps_its_frames_when_others_are_busy(clock):
    log = FrameLog()
    log.add("QUIET", "in", clock.at, b"before")
    log.of("QUIET")
    for _ in range(SHARED):
        log.add("BUSY", "in", clock.at, b"noise")
    log.add("QUIET", "in", clock.at, b"after")
    assert [one[3] for one in log.of("QUIET")] == [b"before", b"after"]
    assert {one[3] for one in log.of("BUSY")} == {b"noise"}


def test_pages_hear_of_changes(site, line):
    from gway.web.sse import Events

    events = site.gateway.service(Events)
    heard = []
    events.listeners = 1
    events.listens = lambda topic: topic in ("ocpp", "ocpp:CPX")
    events.publish = lambda topic, data: heard.append((topic, data["what"]))
    line.call("Heartbeat")
    assert heard == [("ocpp", "Heartbeat"), ("ocpp:CPX", "Heartbeat")]


# --- what the store remembers of all, at the first look ---


class SlowStore:
    """Remembers one charger after a while; fails as often as it is told to."""

    def __init__(self, failures=0, meanwhile=lambda: None):
        self.asked = 0
        self.failures = failures
        self.meanwhile = meanwhile

    @hookimpl
    def ocpp_recall_chargers(self):
        self.asked += 1
        self.meanwhile()
        if self.asked <= self.failures:
            raise OSError("the disk is away")
        return [ChargerMemory(charger_id="OLD")]


def look_twice(site, store):
    """Look at all chargers in two greenlets at once."""
    site.gateway.plugins.register(store)
    central = CentralSystem(site.gateway, GeventRuntime(lambda item: None))
    looks = [gevent.spawn(central.list_chargers), gevent.spawn(central.known, "OLD")]
    gevent.joinall(looks, timeout=10)
    return looks


def test_two_who_look_at_once_both_see_all_and_the_store_is_asked_once(site):
    store = SlowStore(meanwhile=lambda: gevent.sleep(0.01))
    one, other = look_twice(site, store)
    assert [row["charger_id"] for row in one.get(timeout=20)] == ["OLD"]
    assert other.get(timeout=20).charger_id == "OLD"
    assert store.asked == 1


@pytest.mark.filterwarnings("ignore")
def test_when_the_store_fails_the_next_who_waits_asks_again(site, capsys):
    store = SlowStore(failures=1, meanwhile=lambda: gevent.sleep(0.01))
    one, other = look_twice(site, store)
    assert isinstance(one.exception, DecisionFailed)
    assert other.get(timeout=20).charger_id == "OLD"
    assert store.asked == 2


def test_others_have_their_turn_while_thousands_are_brought_back(site):
    for number in range(3 * BROUGHT_AT_ONCE):
        memory = ChargerMemory(charger_id=f"C{number}")
        site.store.memories[memory.charger_id] = memory
    site.central.recall_all()
    assert len(site.central.chargers) == 3 * BROUGHT_AT_ONCE
    assert site.runtime.breaths == 3


def test_nobody_is_dropped_for_space_while_older_memories_come_back(site, line, monkeypatch):
    monkeypatch.setattr("gway.projects.ocpp.csms.central.KEPT_AWAY", 0)
    site.gateway.plugins.register(SlowStore(meanwhile=line.close))
    site.central.recall_all()
    assert set(site.central.chargers) == {"CPX", "OLD"}
