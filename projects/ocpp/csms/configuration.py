"""Reads a charger's configuration in calls that it can answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]
Send = Callable[[str, str, Row, float | None], Row]
MAX_KEYS = "GetConfigurationMaxKeys"


def read_configuration(
    central: CentralSystem, charger_id: str, keys: list[str], send: Send, wait_s: float | None
) -> Row:
    """Ask for keys in portions of GetConfigurationMaxKeys (SPEC 9.1.7).

    The result is that of the last call, with the answers of all put together.
    """
    portion = _portion(central, charger_id, keys, send, wait_s)
    row: Row = {}
    found: list[Row] = []
    unknown: list[str] = []
    for begin in range(0, max(len(keys), 1), portion):
        some = keys[begin : begin + portion]
        row = send(charger_id, "GetConfiguration", {"key": some} if some else {}, wait_s)
        answer = row["answer"]
        if answer is None:
            return row
        found += answer.get("configurationKey") or []
        unknown += answer.get("unknownKey") or []
    row["answer"] = {"configurationKey": found, "unknownKey": unknown}
    return row


def _portion(
    central: CentralSystem, charger_id: str, keys: list[str], send: Send, wait_s: float | None
) -> int:
    charger = central.chargers.get(charger_id)
    if len(keys) < 2 or charger is None:
        return max(len(keys), 1)
    if charger.max_keys is None:
        answer = send(charger_id, "GetConfiguration", {"key": [MAX_KEYS]}, wait_s)["answer"]
        values = (answer or {}).get("configurationKey") or [{}]
        text = str(values[0].get("value") or "")
        charger.max_keys = int(text) if text.isascii() and text.isdigit() else 0
    return charger.max_keys or len(keys)
