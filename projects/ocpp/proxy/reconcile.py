"""Compares what is stored here with what the remote has, transaction by transaction.

If the remote is a GWAY and gave us a token, its own figures are compared, in Wh. Of any
other remote is only known what it answered; then the verdict says no more than that.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from urllib.parse import urlencode, urlsplit

import msgspec

from gway.errors import GwayError, UsageError
from gway.projects.ocpp.data.codec import micros
from gway.projects.ocpp.proxy.desk import Desk
from gway.projects.ocpp.proxy.remote import trusted

TIMEOUT_S = 10.0
SIZE_LIMIT = 16 << 20
PER_PAGE = 1_000
MOST_PAGES = 20
MOST_HERE = 5_000
"""Transactions that are compared; of more than that the newest."""
CLOCKS_APART = timedelta(hours=1)
ONLY_THERE = "only there"
PATH = "/api/ocpp/data/transactions"

Row = dict[str, Any]
Words = tuple[str, str, int | None, str | None]


class Theirs(TypedDict):
    """What is wanted of a transaction in the remote's answer."""

    charger_id: str
    transaction_id: int
    id_tag: str | None
    meter_start_wh: int | None
    start_time_raw: str | None
    started_at: datetime
    state: str
    energy_wh: int | None


class _Page(TypedDict):
    transactions: list[Theirs]
    pages: int


class There(NamedTuple):
    """What was read of the remote: all that it has begun since a time."""

    rows: list[Theirs]
    since: datetime


class RemoteData:
    """The stored transactions of a remote that is a GWAY.

    :param web: its web address
    :param token: an API token of it, for a viewer
    :param ca: certificates to trust in the place of the system's
    Errors: GwayError when those cannot be read.
    """

    def __init__(self, web: str, token: str | None, ca: Path | None = None) -> None:
        parts = urlsplit(web)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{web!r} is no web address", "such as https://cloud.example")
        self._web = parts
        self._token = token
        self._tls = trusted(ca) if parts.scheme == "https" else None

    def transactions(self, chargers: Iterable[str], since: datetime) -> There:
        """Read the transactions of some chargers; an error says why it cannot be."""
        found: list[Theirs] = []
        for charger_id in chargers:
            for page in range(1, MOST_PAGES + 1):
                query: Row = {"charger_id": charger_id, "page": page, "per_page": PER_PAGE}
                query["since"] = since.isoformat()
                told = self._get(f"{PATH}?{urlencode(query)}")
                found += told["transactions"]
                if page >= told["pages"] or not told["transactions"]:
                    break
            else:
                # The newest come first: what is older than the last one was not read.
                since = max(since, found[-1]["started_at"])
        return There(found, since)

    def _get(self, path: str) -> _Page:
        host, port = self._web.hostname or "", self._web.port
        connection: http.client.HTTPConnection
        if self._tls is not None:
            connection = http.client.HTTPSConnection(
                host, port, timeout=TIMEOUT_S, context=self._tls
            )
        else:
            connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
        headers = {"Accept": "application/json"}
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        try:
            connection.request("GET", self._web.path.rstrip("/") + path, headers=headers)
            answer = connection.getresponse()
            body = answer.read(SIZE_LIMIT)
        except (OSError, http.client.HTTPException) as error:
            raise GwayError(f"{self._web.netloc} cannot be asked: {error}") from None
        finally:
            connection.close()
        if answer.status != 200:
            hint = "give an API token of it in GWAY_OCPP_REMOTE_TOKEN"
            raise GwayError(f"{self._web.netloc} answers with {answer.status}", hint)
        try:
            return msgspec.json.decode(body, type=_Page)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise GwayError(
                f"{self._web.netloc} is no GWAY that is understood here: {error}"
            ) from None


def both_sides(desk: Desk, charger_id: str | None, begin: datetime, data: RemoteData | None) -> Row:
    """Read both sides since a time and compare them; from when on is in `since`.

    :param data: None when the remote's own figures are not to be had
    Errors: GwayError when the remote cannot be asked.
    """
    here = desk.sides(charger_id, micros(begin), MOST_HERE + 1)
    is_cut = len(here) > MOST_HERE
    if is_cut:
        here = here[:MOST_HERE]
        begin = here[-1]["started_at"]
    if data is None:
        return {**_told(compare(here, None)), "since": begin, "truncated": is_cut}
    # Begun an hour earlier there is early enough: clocks may be apart.
    chargers = sorted({row["charger_id"] for row in here} | {charger_id or ""} - {""})
    there = data.transactions(chargers, begin - CLOCKS_APART)
    if there.since + CLOCKS_APART > begin:
        is_cut = True
        begin = there.since + CLOCKS_APART
        here = [row for row in here if row["started_at"] >= begin]
    rows = compare(here, there.rows)
    alone = [(row["charger_id"], row["remote_tx"]) for row in rows if row["verdict"] == ONLY_THERE]
    # Of those from before `begin`, which no row here was read of, nothing is known.
    ours = desk.known_there(alone)
    rows = [
        row
        for row in rows
        if row["verdict"] != ONLY_THERE
        or ((row["charger_id"], row["remote_tx"]) not in ours and _is_since(row, begin))
    ]
    return {**_told(rows), "since": begin, "truncated": is_cut}


def _told(rows: list[Row]) -> Row:
    return {**sums(rows), "transactions": rows}


def _is_since(row: Row, begin: datetime) -> bool:
    """Tell whether a transaction of the remote alone is of the time that was asked for."""
    try:
        return datetime.fromisoformat(row["start_time"]) >= begin
    except (ValueError, TypeError):
        return True


def compare(here: Sequence[Row], there: Sequence[Theirs] | None) -> list[Row]:
    """Put both sides of each transaction side by side.

    :param here: as `Desk.sides` gives them
    :param there: as the remote's API gives them; None when its figures are not known
    """
    if there is None:
        return [_row(one, None, _answered(one)) for one in here]
    by_id = {(row["charger_id"], row["transaction_id"]): row for row in there}
    by_words = {_words(row): row for row in there}
    rows: list[Row] = []
    met: set[tuple[str, int]] = set()
    for one in here:
        other = by_id.get((one["charger_id"], one["remote_tx"])) or by_words.get(_words(one))
        if other is not None:
            met.add((other["charger_id"], other["transaction_id"]))
        rows.append(_row(one, other, _verdict(one, other)))
    for key, other in by_id.items():
        if key not in met:
            rows.append(_row(None, other, ONLY_THERE))
    return rows


def sums(rows: Sequence[Row]) -> Row:
    """Count the verdicts, and add up what ended on both sides."""
    verdicts: dict[str, int] = {}
    for row in rows:
        verdicts[row["verdict"]] = verdicts.get(row["verdict"], 0) + 1
    both = [row for row in rows if row["difference_wh"] is not None]
    return {
        "verdicts": verdicts,
        "local_wh": sum(row["local_wh"] for row in both),
        "remote_wh": sum(row["remote_wh"] for row in both),
        "apart_wh": sum(abs(row["difference_wh"]) for row in both),
    }


def _verdict(one: Row, other: Theirs | None) -> str:
    if one["dead"]:
        return "dead letters"
    if one["pending"]:
        return "waiting"
    if other is None:
        return "missing there" if one["remote_tx"] is not None else "never sent"
    if one["state"] == "open":
        return "open" if other["state"] == "open" else "ended there, open here"
    if other["state"] == "open":
        return "open there, ended here"
    return "equal" if one["energy_wh"] == other["energy_wh"] else "differs"


def _answered(one: Row) -> str:
    """Say what follows from the remote's answers alone: it took all, or not."""
    if one["dead"]:
        return "dead letters"
    if one["pending"]:
        return "waiting"
    return "never sent" if one["remote_tx"] is None else "answered"


def _row(one: Row | None, other: Theirs | None, verdict: str) -> Row:
    shown: Row = one or {**(other or {})}
    local_wh = one["energy_wh"] if one is not None else None
    remote_wh = other["energy_wh"] if other is not None else None
    ended = one is not None and other is not None and "open" not in (one["state"], other["state"])
    difference = None
    if ended and local_wh is not None and remote_wh is not None:
        difference = local_wh - remote_wh
    return {
        "charger_id": shown["charger_id"],
        "local_tx": one["local_tx"] if one is not None else None,
        "remote_tx": other["transaction_id"]
        if other is not None
        else (one["remote_tx"] if one is not None else None),
        "id_tag": shown["id_tag"],
        "start_time": shown["start_time_raw"],
        "local_wh": local_wh,
        "remote_wh": remote_wh,
        "difference_wh": difference,
        "verdict": verdict,
    }


def _words(row: Row | Theirs) -> Words:
    """What a start says; by this a remote knows it again (P7)."""
    return (
        row["charger_id"],
        str(row["id_tag"]).casefold(),
        row["meter_start_wh"],
        row["start_time_raw"],
    )
