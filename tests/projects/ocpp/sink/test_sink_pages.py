"""The logger's page, its twins, its API and the download."""

from __future__ import annotations

import asyncio
import json
from html.parser import HTMLParser
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlsplit
from urllib.request import ProxyHandler, Request, build_opener

import pytest
import websockets

BOOT = '[2,"boot","BootNotification",{"chargePointVendor":"V","chargePointModel":"M"}]'
EVIL = "<img src=x onerror=alert(1)>"


class Names(HTMLParser):
    """The tags of a page, and the text of its list."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append(tag)


@pytest.fixture
def busy(sink: Any, eventually: Any) -> Any:
    """A logger that two chargers have talked to."""

    async def talk(path: str, *frames: str) -> None:
        url = sink.ws_url + path
        async with websockets.connect(url, subprotocols=["ocpp1.6"]) as socket:  # type: ignore[list-item]
            for frame in frames:
                await socket.send(frame)
                await socket.recv()

    asyncio.run(talk("/CP1", BOOT, '[2,"a","Heartbeat",{}]', '[2,"b","Heartbeat",{"x":1}]'))
    data = json.dumps([2, EVIL, "DataTransfer", {"vendorId": EVIL}])
    asyncio.run(talk("/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E", BOOT, data))
    eventually(lambda: len(sink.entries(type="close")) == 2)
    return sink


def messages(sink: Any, query: str = "") -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = sink.json(f"/api/ocpp/sink/messages{query}")
    return rows


def test_the_page_shows_messages_verdicts_and_the_address(busy) -> None:
    html = busy.get("/ocpp/sink/messages")
    assert f"ws://127.0.0.1:{urlsplit(busy.ws_url).port}/CHARGER_ID<" in html
    assert "schema.unknown" in html
    assert "SPEC 6.29" in html
    assert "Heartbeat" in html
    assert 'gw-topic="ocpp.sink"' in html
    assert ">Messages</a>" in html  # in the navigation


def test_what_chargers_say_is_text_and_never_markup(busy) -> None:
    for path in ("/ocpp/sink/messages", "/render/ocpp/sink/messages", "/render/ocpp/sink/stats"):
        assert "img" not in Names(busy.get(path)).tags
    assert EVIL in [row["charger"] for row in messages(busy)]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 14),
        ("?charger=CP1", 8),
        ("?action=Heartbeat", 4),
        ("?action=Heartbeat&direction=in", 2),
        ("?violations=1", 1),
        ("?q=SCHEMA.unknown", 1),
        ("?q=chargePointVendor&direction=in", 2),
        ("?limit=3", 3),
        ("?charger=nobody", 0),
    ],
)
def test_messages_are_filtered_the_same_on_page_and_api(busy, query: str, count: int) -> None:
    rows = messages(busy, query)
    assert len(rows) == count
    assert rows == sorted(rows, key=lambda row: row["time"], reverse=True)
    if "limit" not in query:
        shown = busy.get(f"/render/ocpp/sink/messages{query}")
        assert shown.count("<summary>") == count
        assert len(busy.json(f"/ocpp/sink/messages.json{query}")) == count


def test_pages_of_messages_join_without_a_gap(busy) -> None:
    seen: list[int] = []
    for page in (1, 2, 3):
        html = busy.get(f"/render/ocpp/sink/messages?per_page=5&page={page}")
        seen.append(html.count("<summary>"))
    assert seen == [5, 5, 4]
    assert ">Next</a>" in busy.get("/render/ocpp/sink/messages?per_page=5")
    beyond = busy.get("/render/ocpp/sink/messages?per_page=5&page=9")
    assert "There is no page 9, the last is 3." in beyond


def test_twins_of_messages_have_all_or_the_page_that_is_named(busy) -> None:
    assert len(busy.json("/ocpp/sink/messages.json?charger=CP1")) == 8
    (row,) = busy.json("/ocpp/sink/messages.json?charger=CP1&per_page=1&page=8")
    assert row["type"] == "open"
    assert len(busy.get("/ocpp/sink/messages.csv?per_page=1").splitlines()) == 2


def test_messages_are_sorted_by_a_column(busy) -> None:
    rows = busy.json("/ocpp/sink/messages.json?sort=-size")
    assert [row["size"] for row in rows] == sorted((row["size"] for row in rows), reverse=True)
    html = busy.get("/render/ocpp/sink/messages?sort=time&per_page=1")
    assert "connected" in html
    assert "DataTransfer" in busy.get("/ocpp/sink/messages?sort=-size&per_page=1")


@pytest.mark.parametrize("query", ["per_page=1001", "per_page=0", "page=0", "sort=nonsense"])
def test_a_page_or_an_order_that_there_is_not_is_a_400(busy, query: str) -> None:
    for path in ("/ocpp/sink/messages", "/render/ocpp/sink/messages", "/ocpp/sink/messages.csv"):
        with pytest.raises(HTTPError) as error:
            busy.get(f"{path}?{query}")
        assert error.value.code == 400
        assert "per_page 1 to 1000" in error.value.read().decode() or "sort" in query
        error.value.close()


def test_counts_are_on_the_page_and_in_the_api(busy) -> None:
    rows = {(row["charger"], row["action"]): row for row in busy.json("/api/ocpp/sink/stats")}
    assert rows["CP1", "Heartbeat"]["calls"] == 2
    assert rows["CP1", "Heartbeat"]["errors"] == 1
    assert rows["CP1", "Heartbeat"]["rules"] == {"schema.unknown": 1}
    assert rows["(all)", "(all)"]["calls"] == 5
    assert "schema.unknown 1" in busy.get("/render/ocpp/sink/stats")


def test_counts_are_sorted_and_searched_on_a_page_of_their_own(busy) -> None:
    html = busy.get("/ocpp/sink/stats?stats_q=CP1&stats_sort=-calls")
    assert html.index("Heartbeat") < html.index("BootNotification")
    assert EVIL not in html
    rows = busy.json("/ocpp/sink/stats.json?stats_q=CP1&stats_sort=-calls")
    assert [row["calls"] for row in rows] == [2, 1]
    assert "schema.unknown 1" in html


def test_the_log_is_downloaded_as_it_is(busy) -> None:
    headers = {"Authorization": f"Bearer {busy.token}"}
    request = Request(f"{busy.url}/ocpp/sink/download", headers=headers)
    with build_opener(ProxyHandler({})).open(request, timeout=10) as answer:
        assert answer.read() == busy.log.read_bytes()
        assert answer.headers["Content-Disposition"] == 'attachment; filename="sink.jsonl"'
        assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_download_without_a_log_is_not_found(busy) -> None:
    busy.log.unlink()
    with pytest.raises(HTTPError) as error:
        busy.get("/ocpp/sink/download")
    assert error.value.code == 404
    error.value.close()


def test_a_wrong_filter_is_a_400_that_names_it(busy) -> None:
    with pytest.raises(HTTPError) as error:
        busy.get("/api/ocpp/sink/messages?direction=sideways")
    assert error.value.code == 400
    assert "direction" in error.value.read().decode()
    error.value.close()
