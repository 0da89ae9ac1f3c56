"""What a browser fetches to show a page for the first time, in bytes as they go over the line.

`weight`: a page with the scripts and styles that it names, of a site of 60 chargers that has
stored sessions of a year. Each floor is for one page.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from typing import NamedTuple

from benchmarks.generator import LoadError
from benchmarks.pages_data import Volume, fill
from benchmarks.pages_volume import today
from benchmarks.stage import Bench, ocpp_fleet, register, start_transactions, workspace

FLOOR_KB = 150
VOLUME = Volume(chargers=60, transactions=3_000)


class Load(NamedTuple):
    """A first load: of how much, and how much of that is the page itself."""

    sent: int
    page: int
    plain: int
    files: int


def weight(bench: Bench) -> None:
    """Weigh the first load of the pages that are opened most."""
    volume = replace(VOLUME, end=today())
    bench.report.begin(f"First load of a page, {volume.chargers} chargers, compressed")
    with workspace() as folder:
        (folder / "work").mkdir()
        fill(folder / "work" / "ocpp.sqlite", volume)
        with bench.central_system(folder) as server, ocpp_fleet(server, volume.name) as fleet:
            fleet.open(volume.chargers)
            register(fleet)
            start_transactions(fleet)
            for name, path in pages(volume):
                load = first_load(int(str(server.ports["port"])), path)
                note = f"page {load.page / 1000:.1f} kB, {load.files} files; "
                note += f"{load.plain / 1000:.0f} kB if nothing were compressed"
                bench.report.add(name, load.sent / 1000, "kB", note)
                bench.report.at_most(f"first load of {name}", load.sent / 1000, FLOOR_KB, "kB")


def pages(volume: Volume) -> Iterator[tuple[str, str]]:
    """Name the pages that are weighed, and their addresses."""
    charger = volume.charger_id(7)
    since = volume.end - timedelta(days=365)
    until = volume.end - timedelta(days=1)
    chargers = "&chargers=".join(volume.charger_id(index) for index in range(12))
    yield "charger-status", "/ocpp/csms/charger-status"
    yield "charger detail", f"/ocpp/csms/charger-detail?charger_id={charger}"
    yield "transaction", f"/ocpp/data/transaction?transaction_id={volume.transactions // 2}"
    yield "time-series", "/ocpp/data/time-series"
    yield (
        "time-series, a year of 12 chargers",
        f"/ocpp/data/time-series?since={since:%Y-%m-%d}&until={until:%Y-%m-%d}&chargers={chargers}",
    )


def first_load(port: int, path: str) -> Load:
    """Fetch a page and what it names, as a browser with an empty cache does."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    try:
        plain = _body(connection, path, "identity")
        named = _Named()
        named.feed(plain.decode())
        page = len(_body(connection, path, "gzip, deflate, br"))
        files = [len(_body(connection, each, "gzip, deflate, br")) for each in named.files]
        whole = [len(_body(connection, each, "identity")) for each in named.files]
    finally:
        connection.close()
    return Load(page + sum(files), page, len(plain) + sum(whole), len(files))


class _Named(HTMLParser):
    """Collects the files that a page loads: scripts, styles, its icon and pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.files: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        address = given.get("src") or (given.get("href") if tag == "link" else None)
        if address and address not in self.files:
            self.files.append(address)


def _body(connection: http.client.HTTPConnection, path: str, accepted: str) -> bytes:
    connection.request("GET", path, headers={"Accept-Encoding": accepted})
    response = connection.getresponse()
    body = response.read()
    if response.status != 200:
        raise LoadError(f"{path} answered {response.status}")
    return body
