"""Compares what is stored here with what the remote has, transaction by transaction.

If the remote is a GWAY and gave us a token, its own figures are compared, in Wh. Of any
other remote is only known what it answered; then the verdict says no more than that.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from gway.errors import GwayError, UsageError

TIMEOUT_S = 10.0
SIZE_LIMIT = 16 << 20
PER_PAGE = 1_000
MOST_PAGES = 20
PATH = "/api/ocpp/data/transactions"

Row = dict[str, Any]
Words = tuple[str, str, int, str]


class RemoteData:
    """The stored transactions of a remote that is a GWAY.

    :param web: its web address
    :param token: an API token of it, for a viewer
    :param ca: certificates to trust in the place of the system's
    """

    def __init__(self, web: str, token: str | None, ca: Path | None = None) -> None:
        parts = urlsplit(web)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UsageError(f"{web!r} is no web address", "such as https://cloud.example")
        self._web = parts
        self._token = token
        self._tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None

    def transactions(self, chargers: Iterable[str], since: datetime | None) -> list[Row]:
        """Read the transactions of some chargers; an error says why it cannot be."""
        found: list[Row] = []
        for charger_id in chargers:
            for page in range(1, MOST_PAGES + 1):
                query: Row = {"charger_id": charger_id, "page": page, "per_page": PER_PAGE}
                if since is not None:
                    query["since"] = since.isoformat()
                told = self._get(f"{PATH}?{urlencode(query)}")
                found += told["transactions"]
                if page >= told["pages"]:
                    break
        return found

    def _get(self, path: str) -> Any:
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
            return json.loads(body)
        except ValueError:
            raise GwayError(f"{self._web.netloc} is no GWAY: it sends no JSON") from None


def compare(here: Sequence[Row], there: Sequence[Row] | None) -> list[Row]:
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
            rows.append(_row(None, other, "only there"))
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


def _verdict(one: Row, other: Row | None) -> str:
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


def _row(one: Row | None, other: Row | None, verdict: str) -> Row:
    shown = one or other or {}
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


def _words(row: Row) -> Words:
    """What a start says; by this a remote knows it again (P7)."""
    return (
        row["charger_id"],
        str(row["id_tag"]).casefold(),
        row["meter_start_wh"],
        row["start_time_raw"],
    )
