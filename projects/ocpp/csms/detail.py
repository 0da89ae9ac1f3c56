"""The page of one charger: its state, commands, messages and transactions."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from gway import gw
from gway.projects.ocpp.csms.topics import topic_of
from gway.web.page import Page, PageMaker
from gway.web.request import CURRENT

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

PAGES = PageMaker(__file__)

Row = dict[str, Any]
Moment = date | datetime | None

FIRST_LOOK = timedelta(hours=24)
SHOWN_FRAMES = 40
SHOWN_TRANSACTIONS = 200
_TONES = {"queued": "wait", "sent": "wait", "answered": "ok", "failed": "bad", "refused": "bad"}
_REFUSALS = frozenset({"Rejected", "NotSupported", "NotImplemented", "Failed", "UnlockFailed"})


def _central() -> CentralSystem:
    from gway.projects.ocpp.csms.central import CentralSystem

    return gw.service(CentralSystem)


def view_charger_detail(charger_id: str, *, since: Moment = None, until: Moment = None) -> Page:
    """Show one charger: state, commands, messages and transactions.

    :param charger_id: as in its address
    :param since: transactions begun at this time or later; 24 hours ago when left out
    :param until: transactions begun before this time; now when left out
    """
    from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS

    seen = _central().snapshot(charger_id)
    return PAGES(
        "charger_detail",
        title=charger_id,
        data={key: value for key, value in seen.items() if key not in ("frames", "commands")},
        styles=("csms.css",),
        charger=_state(seen),
        commands=shown_commands(seen["commands"]),
        frames=_frames(seen["frames"]),
        actions=sorted(CENTRAL_SYSTEM_ACTIONS),
        since=_field(since),
        until=_field(until),
        **_period(charger_id, since, until),
    )


def render_charger_state(charger_id: str) -> Page:
    """Give what a charger does now, for its page.

    :param charger_id: as in its address
    """
    return PAGES.fragment("charger_state", charger=_state(_central().snapshot(charger_id)))


def render_command_log(charger_id: str) -> Page:
    """Give the latest commands to a charger with their outcome, for its page.

    :param charger_id: as in its address
    """
    rows = _central().snapshot(charger_id)["commands"]
    return PAGES.fragment("command_log", commands=shown_commands(rows))


def render_message_log(charger_id: str) -> Page:
    """Give the latest messages of a charger, for its page.

    :param charger_id: as in its address
    """
    frames = _frames(_central().snapshot(charger_id)["frames"])
    return PAGES.fragment("message_log", frames=frames)


def render_charger_transactions(
    charger_id: str, *, since: Moment = None, until: Moment = None
) -> Page:
    """Give the transactions of a charger in a period, for its page.

    :param charger_id: as in its address
    :param since: begun at this time or later; 24 hours ago when left out
    :param until: begun before this time; now when left out
    """
    _central().known(charger_id)
    return PAGES.fragment("charger_transactions", **_period(charger_id, since, until))


def _state(seen: Row) -> Row:
    boot = seen["boot"] or {}
    words = [boot.get("vendor"), boot.get("model")]
    connectors = [one for one in seen["connectors"] if one["connector_id"] or one["transaction"]]
    return {
        **seen,
        "connectors": connectors,
        "make": " ".join(word for word in words if word),
        "firmware": boot.get("firmware") or "",
        "topic": topic_of(seen["charger_id"]),
    }


def _period(charger_id: str, since: Moment, until: Moment) -> Row:
    """Ask ocpp.data, if it keeps anything here, for the transactions of a period."""
    from gway.projects.ocpp.data.store import Store

    begin = since if since is not None else gw.now() - FIRST_LOOK
    kept = gw.has_service(Store)
    found: Row = {"transactions": [], "total": 0}
    if kept:
        found = gw.ocpp.data.api_transactions(
            charger_id, since=begin, until=until, per_page=SHOWN_TRANSACTIONS
        )
    return {
        "charger_id": charger_id,
        "begin": begin,
        "end": until,
        "first_look": since is None and until is None,
        "kept": kept,
        "linked": _has_pages("ocpp.data"),
        "total": found["total"],
        "transactions": found["transactions"],
    }


def _has_pages(project: str) -> bool:
    request = CURRENT.get()
    mounts = request.site.mounts.values() if request is not None else ()
    return any(mount.project == project for mount in mounts)


def _field(moment: Moment) -> str:
    """Give a time as the value of a field: in UTC, which the page's script makes local."""
    if isinstance(moment, datetime) and moment.tzinfo is not None:
        moment = moment.astimezone(UTC)
    return "" if moment is None else f"{moment:%Y-%m-%dT%H:%M}"


def _frames(frames: list[Row]) -> list[Row]:
    return [
        {
            **one,
            "key": f"{one['direction']}-{one['at'].timestamp():.6f}",
            "name": _frame_name(one),
            "text": _pretty_text(one["text"]),
        }
        for one in reversed(frames[-SHOWN_FRAMES:])
    ]


def _frame_name(frame: Row) -> str:
    if frame["kind"] == "junk":
        return "not OCPP"
    if frame["kind"] == "call":
        return str(frame["action"])
    answer = "error" if frame["kind"] == "error" else "answer"
    return " ".join(filter(None, (frame["action"], answer, frame["error_code"])))


def _pretty_text(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def shown_commands(rows: list[Row]) -> list[Row]:
    """Add to commands what their list shows of them."""
    return [
        {
            **row,
            "outcome": _outcome(row),
            "tone": _tone(row),
            "keys": _configuration(row),
            "pretty": json.dumps(
                {"request": row["payload"], "answer": row["answer"]}, indent=2, ensure_ascii=False
            ),
        }
        for row in rows
    ]


def _outcome(row: Row) -> str:
    outcome = str(row["status"] or row["error_code"] or row["state"])
    return f"{outcome}, late" if row["late"] else outcome


def _tone(row: Row) -> str:
    return "bad" if row["status"] in _REFUSALS else _TONES.get(row["state"], "warn")


def _configuration(row: Row) -> list[Row]:
    """Give the configuration keys that a charger told, whatever it sent in their place."""
    found = (row["answer"] or {}).get("configurationKey")
    listed = found if row["action"] == "GetConfiguration" and isinstance(found, list) else []
    return [one for one in listed if isinstance(one, dict)]
