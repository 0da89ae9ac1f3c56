"""Chargers that nobody knows, in numbers: they leave nothing in memory and nothing on disk."""

from __future__ import annotations

import socket
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

pytestmark = pytest.mark.flag("slow")

COUNT = 50_000
CLIENTS = 5
HEAD = (
    "GET /ocpp/csms/{id} HTTP/1.1\r\nHost: gateway.example\r\n"
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\nSec-WebSocket-Protocol: ocpp1.6\r\n\r\n"
)


def knock(port: int, client: int, names: list[str]) -> set[bytes]:
    """Ask to be let in under each name; gives the different status lines."""
    answers = set()
    for name in names:
        source = (f"127.0.0.{client + 2}", 0)
        with closing(socket.create_connection(("127.0.0.1", port), 10, source)) as sock:
            sock.sendall(HEAD.format(id=name).encode())
            answers.add(sock.recv(4096).partition(b"\r\n")[0])
    return answers


def crowd(port: int, kind: str, count: int) -> set[bytes]:
    names = [f"{kind}-{number}" for number in range(count)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        parts = [
            pool.submit(knock, port, client, names[client::CLIENTS]) for client in range(CLIENTS)
        ]
        return set().union(*(part.result() for part in parts))


def test_50000_unknown_ids_cost_no_memory_and_no_row(csms: Any) -> None:
    csms.stop()
    csms.start("--unknown", "reject")
    port = urlsplit(csms.ws_url).port
    server = psutil.Process(csms.process.pid)
    assert crowd(port, "warm", 3_000) == {b"HTTP/1.1 404 Not Found"}
    before = server.memory_info().rss
    assert crowd(port, "unknown", COUNT) == {b"HTTP/1.1 404 Not Found"}
    assert server.memory_info().rss - before < 5 << 20
    assert csms.api("csms/chargers") == []
    with closing(sqlite3.connect(csms.folder / "work" / "ocpp.sqlite")) as database:
        tables = [
            name
            for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        ]
        rows = {
            name: database.execute(f"SELECT count(*) FROM [{name}]").fetchone()[0]
            for name in tables
        }
    assert {name for name, count in rows.items() if count} == {"gway_schema"}
