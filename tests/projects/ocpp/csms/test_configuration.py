"""What a charger told of its configuration is known after a restart, its secrets are not."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from gway.projects.ocpp.csms import terminal
from gway.projects.ocpp.csms.configuration import KEPT_KEYS, LONGEST_KEY, LONGEST_VALUE
from gway.projects.ocpp.data import schema
from gway.projects.ocpp.data.store import Store
from gway.projects.ocpp.facts import ChargerConfiguration
from gway.projects.sql.migrations import migrate
from gway.redaction import HIDDEN
from gway.resolver import Gateway, use

KEYS = [
    {"key": "HeartbeatInterval", "readonly": False, "value": "300"},
    {"key": "NumberOfConnectors", "readonly": True, "value": "2"},
]


def ask(site: Any, **payload: Any) -> None:
    site.central.commands.submit("CPX", "GetConfiguration", payload)


def change(site: Any, line: Any, key: str, value: str, status: str = "Accepted") -> None:
    words = {"key": key, "value": value}
    site.central.commands.submit("CPX", "ChangeConfiguration", words)
    line.result({"status": status})


def read(site: Any, line: Any, keys: Any = KEYS) -> None:
    ask(site)
    line.result({"configurationKey": keys})


def told(site: Any) -> dict[str, Any]:
    found: dict[str, Any] = site.central.snapshot("CPX")["configuration"]
    return found


def values(site: Any) -> dict[str, str]:
    return {row["key"]: row["value"] for row in told(site)["keys"]}


def test_after_a_restart_it_is_as_it_was_told_and_says_when(site: Any, line: Any) -> None:
    at = site.clock()
    read(site, line)
    before = told(site)
    site.restart()
    site.clock.advance(3_600)
    assert told(site) == before
    assert before["read_at"] == at
    assert values(site) == {"HeartbeatInterval": "300", "NumberOfConnectors": "2"}


def test_a_change_after_a_restart_leaves_the_other_keys(site: Any, line: Any) -> None:
    read(site, line)
    site.restart()
    line = site.line()
    line.boot()
    change(site, line, "HeartbeatInterval", "60")
    change(site, line, "NumberOfConnectors", "9", "Rejected")
    site.restart()
    assert values(site) == {"HeartbeatInterval": "60", "NumberOfConnectors": "2"}


def test_keys_read_by_name_do_not_make_the_others_younger(site: Any, line: Any) -> None:
    ask(site, key=["NumberOfConnectors"])
    line.result({"configurationKey": KEYS[1:]})
    assert told(site)["read_at"] is None
    at = site.clock()
    read(site, line)
    site.clock.advance(60)
    ask(site, key=["HeartbeatInterval"])
    line.result({"configurationKey": [{**KEYS[0], "value": "60"}]})
    assert told(site)["read_at"] == at
    assert values(site)["HeartbeatInterval"] == "60"


def test_what_refuses_or_tells_nothing_is_no_news(site: Any, line: Any) -> None:
    change(site, line, "HeartbeatInterval", "60", "Rejected")
    ask(site)
    line.say(f'[4, "{line.last_call()[1]}", "InternalError", "", {{}}]')
    assert site.store.configurations == {}


def test_the_store_is_told_no_more_than_is_kept_here(site: Any, line: Any) -> None:
    keys = [{"key": f"{n:060}", "readonly": True, "value": "x" * 600} for n in range(KEPT_KEYS)]
    more = [{"key": f"K{n}", "readonly": True, "value": "x" * 600} for n in range(KEPT_KEYS)]
    read(site, line, keys + more)
    kept = site.store.configurations["CPX"].keys
    assert len(kept) == KEPT_KEYS
    assert max(len(key.name) for key in kept) == LONGEST_KEY
    assert {len(key.value) for key in kept} == {LONGEST_VALUE}


def test_a_secret_stays_one_though_its_name_is_too_long_to_be_kept(site: Any, line: Any) -> None:
    name = "x" * (LONGEST_KEY - 4) + "Password"
    read(site, line, [{"key": name, "readonly": False, "value": "hunter2"}])
    assert "hunter2" not in str(site.store.configurations)


def test_while_the_store_does_not_answer_the_charger_is_shown_and_asked_for_later(
    site: Any, line: Any
) -> None:
    read(site, line)
    kept = site.store.configurations["CPX"]
    site.central.chargers["CPX"].configuration = None  # as after a restart
    site.store.deaf = OSError("the disk is away")
    assert told(site) == {"read_at": None, "keys": []}
    site.store.deaf = None
    assert told(site)["read_at"] == kept.read_at


def test_one_key_does_not_take_the_place_of_all_that_the_store_could_not_tell(
    site: Any, line: Any, caplog: pytest.LogCaptureFixture
) -> None:
    read(site, line)
    kept = site.store.configurations["CPX"]
    site.central.chargers["CPX"].configuration = None  # as after a restart
    site.store.deaf = OSError("the disk is away")
    change(site, line, "HeartbeatInterval", "60")
    assert "read all its keys again" in caplog.text
    site.store.deaf = None
    assert site.store.configurations["CPX"] == kept
    assert values(site) == {"HeartbeatInterval": "300", "NumberOfConnectors": "2"}
    read(site, line, [{**KEYS[0], "value": "60"}])
    assert values(site) == {"HeartbeatInterval": "60"}


def test_people_read_in_a_terminal_when_it_was_read(serving: Any, line: Any) -> None:
    def words() -> str:
        return str(terminal.charger(serving.central.snapshot("CPX"))["configuration"])

    assert words() == "not read yet"
    change(serving, line, "HeartbeatInterval", "60")
    assert words() == "1 keys, not all read yet"
    read(serving, line)
    serving.clock.advance(180)
    assert words() == "2 keys, read 3 min ago"


# --- changes that wait for a restart --------------------------------------------------


def waiting(site: Any) -> dict[str, str | None]:
    return {row["key"]: row["pending"] for row in told(site)["keys"] if row["pending"] is not None}


def test_a_change_that_needs_a_restart_is_pending_until_the_charger_boots(
    site: Any, line: Any
) -> None:
    read(site, line)
    change(site, line, "HeartbeatInterval", "45", "RebootRequired")
    assert values(site)["HeartbeatInterval"] == "300"
    assert waiting(site) == {"HeartbeatInterval": "45"}
    line.boot()
    assert values(site)["HeartbeatInterval"] == "45"
    assert waiting(site) == {}
    assert site.store.configurations["CPX"].keys[0].pending is None


def test_what_is_pending_outlives_a_restart_of_the_server(site: Any, line: Any) -> None:
    read(site, line)
    change(site, line, "HeartbeatInterval", "45", "RebootRequired")
    site.restart()
    assert waiting(site) == {"HeartbeatInterval": "45"}
    site.restart()
    site.line().boot()
    assert values(site)["HeartbeatInterval"] == "45"
    site.restart()
    assert (values(site)["HeartbeatInterval"], waiting(site)) == ("45", {})


def test_a_charger_without_news_is_not_held_for_its_boot(site: Any, line: Any) -> None:
    read(site, line)
    site.restart()
    site.line().boot()
    assert site.central.chargers["CPX"].configuration is None
    assert values(site)["HeartbeatInterval"] == "300"


def test_a_reading_before_the_restart_leaves_what_is_pending_and_one_of_the_value_ends_it(
    site: Any, line: Any
) -> None:
    read(site, line)
    change(site, line, "HeartbeatInterval", "45", "RebootRequired")
    read(site, line)
    assert waiting(site) == {"HeartbeatInterval": "45"}
    read(site, line, [{**KEYS[0], "value": "45"}])
    assert (values(site), waiting(site)) == ({"HeartbeatInterval": "45"}, {})


@pytest.mark.parametrize(
    ("status", "value", "pending"),
    [
        ("Accepted", "60", {}),
        ("Rejected", "300", {"HeartbeatInterval": "45"}),
        ("RebootRequired", "300", {"HeartbeatInterval": "60"}),
    ],
)
def test_the_last_change_that_is_taken_counts(
    site: Any, line: Any, status: str, value: str, pending: dict[str, str]
) -> None:
    read(site, line)
    change(site, line, "HeartbeatInterval", "45", "RebootRequired")
    change(site, line, "HeartbeatInterval", "60", status)
    assert (values(site)["HeartbeatInterval"], waiting(site)) == (value, pending)


def test_a_pending_value_is_shown_where_the_key_is(serving: Any, line: Any, browser: Any) -> None:
    read(serving, line)
    change(serving, line, "HeartbeatInterval", "45", "RebootRequired")
    change(serving, line, "VendorPassword", "hunter2", "RebootRequired")
    page = browser.get("/render/ocpp/csms/configuration?charger_id=CPX")
    assert 'value="300"' in page.text
    assert "45 after its restart" in page.words
    assert "A new value after its restart" in page.words
    assert "hunter2" not in page.text
    rows = browser.get("/ocpp/csms/charger-configuration.csv?charger_id=CPX").text
    assert "HeartbeatInterval,300,no,45" in rows
    words = terminal.charger(serving.central.snapshot("CPX"))["configuration"]
    assert words == "3 keys, read 0 s ago, 2 changed at its restart"
    line.boot()
    page = browser.get("/render/ocpp/csms/configuration?charger_id=CPX")
    assert 'value="45"' in page.text
    assert "after its restart" not in page.words


# --- on disk --------------------------------------------------------------------------

Begin = Callable[[], Any]


@pytest.fixture
def begin(workspace: Path, clock: Any, make_site: Callable[..., Any]) -> Iterator[Begin]:
    """Begin a server on the disk of the test; the one before ends."""
    running = ExitStack()

    def begin() -> Any:
        running.close()
        gateway = running.enter_context(use(Gateway(workspace, now=clock)))
        running.callback(gateway.close)
        return make_site(gateway, clock, on_disk=True)

    with running:
        yield begin


def stored(site: Any) -> list[dict[str, Any]]:
    database = site.gateway.service(Store).database
    database.flush()
    found: list[dict[str, Any]] = database.query("SELECT * FROM configurations")
    return found


def booted(site: Any) -> Any:
    line = site.line()
    assert line.boot()["status"] == "Accepted"
    return line


def test_on_disk_it_outlives_the_process_and_a_password_never_gets_there(
    begin: Begin, workspace: Path
) -> None:
    site = begin()
    line = booted(site)
    secret = {"key": "AuthorizationKey", "readonly": False, "value": "hunter2"}
    address = {"key": "Backend", "readonly": True, "value": "ws://ada:hunter2@example.org/ocpp"}
    read(site, line, [*KEYS, secret, address])
    change(site, line, "VendorPassword", "hunter2")
    before = told(site)
    line.close()
    site = begin()
    site.clock.advance(3_600)
    assert told(site) == before
    assert values(site)["HeartbeatInterval"] == "300"
    assert values(site)["VendorPassword"] == HIDDEN
    site.gateway.close()
    kept = b"".join(one.read_bytes() for one in (workspace / "work").rglob("*") if one.is_file())
    assert b"HeartbeatInterval" in kept
    assert b"hunter2" not in kept


def test_on_disk_what_is_pending_outlives_the_process_without_its_secrets(
    begin: Begin, workspace: Path
) -> None:
    site = begin()
    line = booted(site)
    read(site, line)
    change(site, line, "HeartbeatInterval", "45", "RebootRequired")
    change(site, line, "Backend", "ws://ada:hunter2@example.org/ocpp", "RebootRequired")
    change(site, line, "VendorPassword", "hunter2", "RebootRequired")
    line.close()
    site = begin()
    assert waiting(site)["HeartbeatInterval"] == "45"
    assert waiting(site)["VendorPassword"] == HIDDEN
    booted(site).close()
    site = begin()
    assert (values(site)["HeartbeatInterval"], waiting(site)) == ("45", {})
    site.gateway.close()
    kept = b"".join(one.read_bytes() for one in (workspace / "work").rglob("*") if one.is_file())
    assert b"hunter2" not in kept


def test_a_charger_that_is_forgotten_leaves_none_behind(begin: Begin) -> None:
    site = begin()
    line = booted(site)
    read(site, line)
    assert len(stored(site)) == 1
    line.close()
    site.central.forget("CPX")
    assert stored(site) == []
    site = begin()
    booted(site)
    assert told(site) == {"read_at": None, "keys": []}


def test_a_database_from_before_it_was_kept_goes_on(begin: Begin, workspace: Path) -> None:
    (workspace / "work").mkdir()
    old = sqlite3.connect(workspace / "work" / "ocpp.sqlite", isolation_level=None)
    before = schema.STEPS[: schema.STEPS.index(schema.CONFIGURATIONS)]
    migrate(old, "old", schema.COMPONENT, before)
    old.execute("INSERT INTO chargers VALUES ('CPX', 'Accepted', NULL, NULL, 1, 1, NULL)")
    old.close()
    site = begin()
    assert told(site) == {"read_at": None, "keys": []}
    read(site, booted(site))
    assert told(begin())["read_at"] == site.clock()


def test_what_still_waits_to_be_stored_does_not_outlive_the_charger(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = begin().gateway.service(Store)
    monkeypatch.setattr(store.later, "_timer", Mock())  # as in a process that serves
    store.configuration_told("CPX", ChargerConfiguration())
    store.forget_charger("CPX")
    store.later.store()
    store.database.flush()
    assert store.database.query("SELECT * FROM configurations") == []
