"""What is read of both sides for the comparison: no more than is wanted, and nothing invented."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from gway.errors import GwayError
from gway.projects.ocpp.data import schema as data_schema
from gway.projects.ocpp.data.codec import micros
from gway.projects.ocpp.proxy import reconcile
from gway.projects.ocpp.proxy.desk import SHOWN, Desk
from gway.projects.ocpp.proxy.reconcile import RemoteData, both_sides
from gway.projects.ocpp.proxy.store import open_store
from gway.projects.ocpp.proxy.verbs import _with_a_word
from gway.projects.sql.database import Database

AT = datetime(2027, 1, 1, tzinfo=UTC)
BEFORE = AT - timedelta(days=30)
TRANSACTION = """
INSERT INTO transactions (transaction_id, charger_id, connector_id, id_tag, tag_key,
    meter_start_wh, start_time_raw, started_at, tag_status, tag_reason, state, stop_time_raw,
    stop_reason, energy_wh, energy_source, flags)
VALUES (?, 'CP1', 1, 'TAG', 'tag', ?, ?, ?, 'Accepted', '', 'stopped', '', '', 1000, '', '')
"""
MAP = (
    "INSERT INTO txmap (remote_id, charger_id, local_tx, remote_tx, at) VALUES (1, 'CP1', ?, ?, 0)"
)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """A desk with ten transactions, one each minute, of which the remote has 100 ... 109."""
    database = Database(tmp_path / "ocpp.sqlite")
    database.migrate("ocpp", data_schema.STEPS)
    made = Desk(open_store(database, "ws://remote.example/ocpp"))

    def fill(connection: sqlite3.Connection) -> None:
        for number in range(10):
            at = AT + timedelta(minutes=number)
            row = (number + 1, number, f"{at:%Y-%m-%dT%H:%M:%SZ}", micros(at))
            connection.execute(TRANSACTION, row)
            connection.execute(MAP, (number + 1, number + 100))

    database.transact(fill)
    yield made
    database.close()


def theirs(number: int, **more: Any) -> dict[str, Any]:
    """What the remote has of a transaction."""
    at = AT + timedelta(minutes=number)
    row = {
        "charger_id": "CP1",
        "transaction_id": number + 100,
        "id_tag": "TAG",
        "meter_start_wh": number,
        "start_time_raw": f"{at:%Y-%m-%dT%H:%M:%SZ}",
        "started_at": at.isoformat(),
        "state": "stopped",
        "energy_wh": 1_000,
    }
    return {**row, **more}


@pytest.fixture
def remote() -> Iterator[Callable[[Any], RemoteData]]:
    """Start the remote's pages: a list of transactions by pages, or any other answer."""
    made: list[ThreadingHTTPServer] = []

    def start(answer: Any) -> RemoteData:
        class Pages(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                told = answer
                if isinstance(answer, list):
                    words = parse_qs(urlsplit(self.path).query)
                    page, size = int(words["page"][0]), int(words["per_page"][0])
                    since = datetime.fromisoformat(words["since"][0])
                    rows = [
                        one for one in answer if datetime.fromisoformat(one["started_at"]) >= since
                    ]
                    rows.sort(key=lambda one: one["started_at"], reverse=True)
                    shown = rows[(page - 1) * size : page * size]
                    told = {"transactions": shown, "pages": -(-len(rows) // size), "page": page}
                self.send_response(200)
                self.end_headers()
                self.wfile.write(told if isinstance(told, bytes) else json.dumps(told).encode())

            def log_message(self, *_: object) -> None:
                pass

        made.append(ThreadingHTTPServer(("127.0.0.1", 0), Pages))
        threading.Thread(target=made[-1].serve_forever, daemon=True).start()
        return RemoteData(f"http://127.0.0.1:{made[-1].server_port}", None)

    yield start
    for one in made:
        one.shutdown()
        one.server_close()


def test_all_is_compared_when_it_is_not_too_much(desk, remote):
    told = both_sides(desk, None, BEFORE, remote([theirs(number) for number in range(11)]))
    assert told["verdicts"] == {"equal": 10, "only there": 1}
    assert (told["truncated"], told["since"]) == (False, BEFORE)


def test_what_is_cut_here_is_not_told_to_be_only_there(desk, remote, monkeypatch):
    monkeypatch.setattr(reconcile, "MOST_HERE", 4)
    late = theirs(3, start_time_raw=(AT + timedelta(minutes=8)).isoformat())  # a clock ahead
    told = both_sides(
        desk, None, BEFORE, remote([late, *(theirs(number) for number in range(10) if number != 3)])
    )
    assert told["verdicts"] == {"equal": 4}
    assert (told["truncated"], told["since"]) == (True, AT + timedelta(minutes=6))
    assert both_sides(desk, None, BEFORE, None)["verdicts"] == {"answered": 4}


def test_what_is_cut_there_is_not_told_to_be_missing(desk, remote, monkeypatch):
    monkeypatch.setattr(reconcile, "PER_PAGE", 2)
    monkeypatch.setattr(reconcile, "MOST_PAGES", 3)
    monkeypatch.setattr(reconcile, "CLOCKS_APART", timedelta(seconds=30))
    told = both_sides(desk, "CP1", BEFORE, remote([theirs(number) for number in range(10)]))
    assert told["verdicts"] == {"equal": 5}
    assert (told["truncated"], told["since"]) == (True, AT + timedelta(minutes=4, seconds=30))


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"[" * 100_000,
        {"transactions": None, "pages": 1},
        {"transactions": [{"id": 1}], "pages": 1},
        {"transactions": [], "pages": "many"},
        {"data": []},
    ],
)
def test_a_remote_that_is_something_else_is_an_error_that_says_so(desk, remote, answer):
    with pytest.raises(GwayError, match="is no GWAY that is understood here"):
        both_sides(desk, None, BEFORE, remote(answer))


def test_reasons_of_dead_letters_are_shown_in_short(desk):
    desk._database.execute(
        "INSERT INTO outbox (charger_id, local_tx, action, payload, digest, periodic, state,"
        " attempts, last_error, at) VALUES ('CP1', 1, 'X', '{}', 1, 0, 1, 3, ?, 0)",
        ("why " * 250_000,),
    )
    (letter,) = desk.dead()
    assert len(letter["error"]) == 500


def test_a_dead_letter_shows_no_secret_and_keeps_it(desk):
    payload = b'{"vendorId":"x","data":"password=opensesame"}'
    desk._database.execute(
        "INSERT INTO outbox (charger_id, action, payload, digest, periodic, state, at)"
        " VALUES ('CP1', 'DataTransfer', ?, 1, 0, 1, 0)",
        (payload,),
    )
    (letter,) = desk.dead()
    assert "opensesame" not in letter["payload"]
    assert desk._database.query("SELECT payload FROM outbox") == [{"payload": payload}]


def test_a_list_that_is_cut_says_so_to_people():
    rows = [{"sequence": number} for number in range(SHOWN)]
    told = _with_a_word(rows)
    assert isinstance(told, dict)
    assert told["shown"].startswith("the first 1000")
    assert told["rows"] == rows
    assert _with_a_word(rows[:-1]) == rows[:-1]
