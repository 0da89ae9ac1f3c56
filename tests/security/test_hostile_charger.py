"""A charger that fills every field with markup, formulas and paths, and floods the server."""

from __future__ import annotations

import csv
import io
import json
import re
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest
from websocket import WebSocketBadStatusException

from .conftest import Charger, Closed, Eventually, Serve, Server

MARKUP = "<i>'\"&{{1+1}}%end"
FORMULAS = "=@+-"
IDS = ["-1+1", "+cmd", "a..b", "[HOME]", "a b", "É", "CP?#x", "~con"]
PAGES = [
    "/",
    "/ocpp/csms/charger-status",
    "/ocpp/csms/charger-detail?charger_id={id}",
    "/ocpp/data/charger-summary",
    "/ocpp/data/charger-details?charger_id={id}",
    "/ocpp/data/time-series?chargers={id}",
]
TABLES = ["charger-summary", "charger-details"]
LARGE = 900_000


def misuse(charger: Charger, formula: str) -> None:
    """Say a little of everything, none of it nice."""
    nasty = formula + MARKUP
    charger.call("BootNotification", {"chargePointVendor": nasty, "chargePointModel": nasty})
    told = {"info": nasty, "vendorId": nasty, "vendorErrorCode": nasty}
    fault = {"connectorId": 1, "errorCode": "OtherError", "status": "Faulted"}
    charger.call("StatusNotification", fault | told)
    charger.call("DataTransfer", {"vendorId": nasty, "messageId": nasty, "data": nasty})
    charger.call("Authorize", {"idTag": nasty})
    charger.send(json.dumps([2, nasty, nasty, {nasty: nasty}]))
    transaction_id = charger.start(tag=nasty)
    sampled = {"value": nasty, "context": nasty, "measurand": nasty, "unit": nasty, "phase": nasty}
    sample = {"timestamp": nasty, "sampledValue": [sampled]}
    words = {"connectorId": 1, "transactionId": transaction_id, "meterValue": [sample]}
    assert charger.call("MeterValues", words) == {}
    stop = {"transactionId": transaction_id, "meterStop": 5_000, "timestamp": nasty}
    assert "idTagInfo" in charger.call("StopTransaction", stop | {"idTag": nasty, "reason": nasty})


def test_nothing_that_a_charger_says_is_markup_formula_sigil_or_path(
    server: Server, workspace: Path, eventually: Eventually
) -> None:
    for number, charger_id in enumerate(IDS):
        charger = server.charger(charger_id)
        misuse(charger, FORMULAS[number % len(FORMULAS)])
    records = workspace / "work/ocpp/records"
    eventually(lambda: len(list(records.rglob("*.dat"))) == len(IDS), 10)
    assert {len(file.relative_to(records).parts) for file in records.rglob("*.dat")} == {2}
    shown = ""
    for page in (page.format(id=quote(one)) for page in PAGES for one in IDS):
        answer = server.ask("GET", page)
        assert answer.status in (200, 303), page
        shown += answer.text
        assert "<i>" not in answer.text, page
        assert str(Path.home()) not in answer.text, page
        assert "default-src 'self'" in answer.header("Content-Security-Policy")
    assert shown.count("&lt;i&gt;") > len(IDS)
    disarmed = 0
    for page in (
        f"/ocpp/data/{name}.csv?charger_id={quote(one)}" for one in IDS for name in TABLES
    ):
        rows = list(csv.reader(io.StringIO(server.ask("GET", page).text)))
        assert len(rows) > 1
        cells = [cell for row in rows for cell in row]
        disarmed += sum(cell.startswith(("'=", "'@", "'+", "'-")) for cell in cells)
        assert not [cell for cell in cells if re.match(r"[=@+\-\t\r](?!\d+(\.\d+)?$)", cell)], page
    assert disarmed > len(IDS)


@pytest.mark.parametrize("item", ["{}", "1", '{"timestamp":"x","sampledValue":[{"v":1},{"w":2}]}'])
def test_a_message_of_a_megabyte_of_nonsense_holds_up_nobody_else(
    server: Server, item: str
) -> None:
    hog, neighbour = server.charger("HOG"), server.charger("CP1")
    items = ",".join([item] * (LARGE // (len(item) + 1)))
    text = f'[2,"big","MeterValues",{{"connectorId":1,"meterValue":[{items}]}}]'
    assert "currentTime" in neighbour.call("Heartbeat")
    began = time.perf_counter()
    hog.send(text)
    answered = threading.Thread(target=hog.answer_to, args=("big",))
    answered.start()
    worst = 0.0
    while answered.is_alive():
        asked = time.perf_counter()
        neighbour.call("Heartbeat")
        worst = max(worst, time.perf_counter() - asked)
    took = time.perf_counter() - began
    assert worst < took / 2


def test_a_database_that_is_gone_answers_no_money_and_is_used_again_when_it_is_back(
    workspace: Path, serve: Serve, eventually: Eventually
) -> None:
    (workspace / ".env").write_text("GWAY_OCPP_STORE_RETRY_S=0.2\n")
    server = serve()
    charger = server.charger("CP1")
    transaction_id = charger.start()
    file = workspace / "work/ocpp.sqlite"
    file.rename(file.with_name("away.sqlite"))
    with pytest.raises(Closed, match="1011"):
        charger.stop(transaction_id, 4_500)
    assert server.refusal("CP1").status == 503
    assert server.ask("GET", "/readyz").status == 503
    file.with_name("away.sqlite").rename(file)
    eventually(lambda: server.ask("GET", "/readyz").status == 200, 20)
    again = eventually(lambda: let_in(server), 20)
    assert isinstance(again, Charger)
    assert again.stop(transaction_id, 4_500) == {}
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as stored:
        rows = stored.execute(
            "SELECT transaction_id, state, energy_wh FROM transactions"
        ).fetchall()
    assert rows == [(transaction_id, "stopped", 3_500)]
    assert "Traceback" not in server.logs


def let_in(server: Server) -> Charger | None:
    """Connect as soon as chargers are let in again."""
    try:
        return server.charger("CP1")
    except WebSocketBadStatusException:
        return None
