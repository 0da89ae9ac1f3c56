"""Verbs of the stored data, as a person at the command line uses them."""

from __future__ import annotations

import csv
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest

from gway.errors import GwayError, UsageError

from .conftest import START, Site


@pytest.fixture
def closed(site: Site) -> Site:
    """A store with some sessions, its process ended."""
    for charger_id in ("CPX", "=CP2", "CPX"):
        site.session(charger_id)
    site.start(id_tag="open")
    site.gateway.close()
    return site


def checked(site: Site) -> dict[str, str]:
    return {row["check"]: row["result"] for row in site.gateway.ocpp.data.check()}


# --- command line -----------------------------------------------------------------


def test_the_summary_is_a_table_without_a_server(closed: Site, run: Any) -> None:
    done = run("ocpp.data.view_charger_summary")
    assert done.code == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[:2] == ["charger_id", "sessions"]
    assert ["CPX", "3", "1", "7"] in [line.split()[:4] for line in done.stdout.splitlines()]


def test_details_come_as_json_and_csv(closed: Site, run: Any) -> None:
    done = run("ocpp.data", "view-charger-details", "CPX", "--state", "stopped", "--json")
    assert json.loads(done.stdout)["total"] == 2
    done = run("ocpp.data", "transactions", "--limit", "2", "--csv")
    assert [row["transaction_id"] for row in csv.DictReader(done.stdout.splitlines())] == ["4", "3"]


def test_reading_verbs_load_no_server(closed: Site, tmp_path: Path) -> None:
    import subprocess

    code = (
        "import sys; from gway import gw; gw.ocpp.data.view_charger_summary();"
        "gw.ocpp.data.transactions(); print({'gevent', 'gway.web.server'} & {*sys.modules})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "set()\n"


def test_a_damaged_database_is_an_error_that_says_what_to_do(closed: Site, run: Any) -> None:
    path = closed.gateway.workspace.root / "work" / "ocpp.sqlite"
    path.write_bytes(b"not a database at all" * 300)
    done = run("ocpp.data", "transactions")
    assert done.code == 1
    assert "damaged, or not an SQLite database" in done.stderr
    assert "hint: the file was left as it is" in done.stderr
    assert path.read_bytes() == b"not a database at all" * 300


def test_a_server_does_not_start_on_a_damaged_database(closed: Site, run: Any) -> None:
    path = closed.gateway.workspace.root / "work" / "ocpp.sqlite"
    path.write_bytes(b"damaged" * 3_000)
    words = "web app setup-app ocpp.data - web server start-app --port 0 --ws-port 0"
    done = run(*words.split())
    assert done.code == 1
    assert "damaged, or not an SQLite database" in done.stderr
    assert "running" not in done.stdout


def test_another_file_can_be_the_store(closed: Site, run: Any) -> None:
    done = run("ocpp.data", "transactions", "--json", env={"GWAY_OCPP_DB": "other.sqlite"})
    assert json.loads(done.stdout) == []


# --- export -----------------------------------------------------------------------


def test_an_export_holds_every_transaction_once(site: Site, tmp_path: Path) -> None:
    for _ in range(1_100):  # more than two pages of reading
        site.start(start_time_raw=str(site.advance(seconds=1)))
    rows = list(site.gateway.ocpp.data.export())
    assert [row["transaction_id"] for row in rows] == list(range(1, 1_101))
    assert rows[0]["started_at"] == "2024-05-17T12:00:01Z"


@pytest.mark.parametrize("ending", ["csv", "json", "jsonl"])
def test_an_export_goes_to_a_file_in_the_format_of_its_ending(
    site: Site, tmp_path: Path, ending: str
) -> None:
    site.session("=1+1")
    site.session("CPX")
    to = tmp_path / f"out.{ending}"
    assert site.gateway.ocpp.data.export(to=to, state="stopped") == f"2 transactions in {to}"
    text = to.read_text()
    if ending == "csv":
        found = [row["charger_id"] for row in csv.DictReader(text.splitlines())]
        assert found == ["'=1+1", "CPX"]  # no spreadsheet runs it
        return
    rows = json.loads(text) if ending == "json" else [*map(json.loads, text.splitlines())]
    assert [row["charger_id"] for row in rows] == ["=1+1", "CPX"]
    assert [row["energy_wh"] for row in rows] == [3_500, 3_500]


def test_an_export_can_be_narrowed(site: Site) -> None:
    site.session("CP1")
    site.session("CP2")
    export = site.gateway.ocpp.data.export
    assert [row["charger_id"] for row in export(charger_id="CP2")] == ["CP2"]
    assert list(export(until=START)) == []


def test_an_export_that_fails_leaves_no_file(site: Site, tmp_path: Path) -> None:
    with pytest.raises(GwayError, match="could not be written"):
        site.gateway.ocpp.data.export(to=tmp_path / "missing" / "out.csv")
    with pytest.raises(UsageError, match="--format is for files"):
        site.gateway.ocpp.data.export(format="csv")


# --- check, backup, records -------------------------------------------------------


def test_a_whole_store_passes_every_check(site: Site) -> None:
    site.session()
    site.start()
    results = checked(site)
    assert set(results.values()) == {"ok", "note"}
    assert results["open transactions"] == "note"


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        ("DELETE FROM transactions WHERE sequence = 1", "numbered without gaps"),
        ("DELETE FROM readings WHERE sequence = 1", "readings are numbered without gaps"),
        ("UPDATE transactions SET energy_wh = 1", "energy by registers"),
        ("DELETE FROM energy_hours WHERE transaction_id = 1", "energy by hour adds up"),
        ("UPDATE transactions SET transaction_id = -1 WHERE sequence = 1", "above 0"),
        ("UPDATE transactions SET stopped_at = NULL WHERE state = 'stopped'", "have an end"),
        ("UPDATE transactions SET state = 'open'", "have no end"),
        ("UPDATE readings SET charger_id = 'other'", "of their charger"),
        ("UPDATE counters SET next = 1", "given twice"),
    ],
)
def test_a_broken_rule_is_found(site: Site, damage: str, check: str) -> None:
    site.session()
    site.session()
    site.store.database.execute(damage)
    with pytest.raises(GwayError, match=check) as caught:
        site.gateway.ocpp.data.check()
    assert "checks failed" in str(caught.value)


def test_a_missing_record_is_found_and_can_be_rebuilt(site: Site) -> None:
    site.session()
    path = site.records / "CPX" / "1_1.dat"
    content = path.read_bytes()
    path.unlink()
    data = site.gateway.ocpp.data
    with pytest.raises(GwayError, match="have a record: missing: 1"):
        data.check()
    assert data.records().startswith("0 records")
    assert data.records(rebuild=True).startswith("1 records")
    assert path.read_bytes() == content
    assert data.records().endswith("0 missing")


def test_a_backup_can_take_the_place_of_the_database(site: Site, tmp_path: Path) -> None:
    site.session()
    to = tmp_path / "backup.sqlite"
    assert site.gateway.ocpp.data.backup(to).endswith(f"bytes in {to}")
    site.session()
    backup = sqlite3.connect(to)
    assert backup.execute("SELECT count(*) FROM transactions").fetchone() == (1,)
    backup.close()
    site.gateway.close()
    work = site.gateway.workspace.root / "work"
    for each in work.glob("ocpp.sqlite*"):
        each.unlink()
    to.rename(work / "ocpp.sqlite")
    site.restart()
    assert site.start().transaction_id > 1
    assert set(checked(site).values()) <= {"ok", "note"}


@pytest.mark.parametrize("name", ["out.xls", "out.xlsx", "out", "out.csv.gz"])
def test_an_export_to_an_unknown_ending_is_refused(site: Site, tmp_path: Path, name: str) -> None:
    site.session()
    export = site.gateway.ocpp.data.export
    with pytest.raises(UsageError, match="names no format"):
        export(to=tmp_path / name)
    assert list(tmp_path.glob("out*")) == []
    assert export(to=tmp_path / name, format="csv").startswith("1 transactions")
