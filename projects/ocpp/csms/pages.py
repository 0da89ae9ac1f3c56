"""The pages of the central system: all chargers, one charger, and what it is told to do."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal

from gway import access, gw
from gway.projects.ocpp.csms import orders
from gway.projects.ocpp.csms.orders import AvailabilityType, ResetType, Trigger
from gway.web.page import Page, PageMaker

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

PAGES = PageMaker(__file__)

Row = dict[str, Any]
Moment = date | datetime | None

FIRST_LOOK = timedelta(hours=24)
SHOWN_FRAMES = 40
STATUSES = (
    "Available",
    "Preparing",
    "Charging",
    "SuspendedEV",
    "SuspendedEVSE",
    "Finishing",
    "Reserved",
    "Unavailable",
    "Faulted",
    "Offline",
)
_TONES = {"queued": "wait", "sent": "wait", "answered": "ok", "uncertain": "uncertain"}
_REFUSALS = frozenset({"Rejected", "NotSupported", "NotImplemented", "Failed", "UnlockFailed"})


def _central() -> CentralSystem:
    from gway.projects.ocpp.csms.central import CentralSystem

    return gw.service(CentralSystem)


# --- all chargers ------------------------------------------------------------


def view_charger_status(*, search: str = "", status: str = "") -> Page:
    """Show every charger as a card that follows what it does.

    :param search: only chargers with this in their id
    :param status: only chargers with this status, or with a connector in it
    """
    rows, cards = _cards(search, status)
    return PAGES(
        "charger_status",
        title="Chargers",
        rows=rows,
        columns=("charger_id", "status", "connected", "power_w", "energy_wh", "last_seen_at"),
        styles=("csms.css",),
        search=search,
        wanted=status,
        statuses=STATUSES,
        **cards,
    )


def view_active_chargers(*, search: str = "", status: str = "") -> Page:
    """Show every charger as a card: the same as charger-status.

    :param search: only chargers with this in their id
    :param status: only chargers with this status, or with a connector in it
    """
    return view_charger_status(search=search, status=status)


def render_charger_cards(*, search: str = "", status: str = "") -> Page:
    """Give the cards alone, for a page that renews them.

    :param search: only chargers with this in their id
    :param status: only chargers with this status, or with a connector in it
    """
    return PAGES.fragment("charger_cards", **_cards(search, status)[1])


def _cards(search: str, status: str) -> tuple[list[Row], Row]:
    central = _central()
    known = central.list_chargers()
    wanted = search.strip().lower()
    fitting = central.list_chargers(status=status) if status else known
    rows = [row for row in fitting if wanted in str(row["charger_id"]).lower()]
    counts = {
        "known": len(known),
        "connected": sum(row["connected"] for row in known),
        "charging": sum(bool(row["transactions"]) for row in known),
        "with faults": sum(bool(row["faults"]) for row in known),
    }
    return rows, {
        "cards": [_card(row) for row in rows],
        "counts": counts,
        "known": bool(known),
        "ws_example": _address_for_chargers(),
    }


def _card(row: Row) -> Row:
    on_connector = {str(one["connector_id"]): one for one in row["transactions"]}
    connectors = [
        {
            "connector_id": key,
            "status": row["connectors"].get(key, ""),
            "transaction": on_connector.get(key),
        }
        for key in sorted({*row["connectors"], *on_connector}, key=int)
    ]
    return {**row, "connectors": connectors}


def _address_for_chargers() -> str:
    from gway.web.running import Running

    base = gw.service(Running).ws_url if gw.has_service(Running) else "ws://HOST:9000"
    return f"{base.rstrip('/')}/ocpp/csms/CHARGER_ID"


# --- one charger -------------------------------------------------------------


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
        commands=_orders(seen["commands"]),
        frames=_frames(seen["frames"]),
        transactions=_transactions(charger_id, since, until),
        actions=sorted(CENTRAL_SYSTEM_ACTIONS),
        since=_field(since),
        until=_field(until),
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
    return _command_log(charger_id)


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
    rows = _transactions(charger_id, since, until)
    return PAGES.fragment("charger_transactions", rows=rows)


def _state(seen: Row) -> Row:
    boot = seen["boot"] or {}
    words = [boot.get("vendor"), boot.get("model")]
    connectors = [one for one in seen["connectors"] if one["connector_id"] or one["transaction"]]
    return {
        **seen,
        "connectors": connectors,
        "make": " ".join(word for word in words if word),
        "firmware": boot.get("firmware") or "",
    }


def _transactions(charger_id: str, since: Moment, until: Moment) -> list[Row]:
    # The page shows both rooms; csms itself knows nothing of what ocpp.data keeps.
    begin = since if since is not None else gw.now() - FIRST_LOOK
    found = gw.ocpp.data.api_transactions(charger_id, since=begin, until=until, per_page=200)
    rows: list[Row] = found["transactions"]
    return rows


def _field(moment: Moment) -> str:
    if moment is None:
        return ""
    return f"{moment:%Y-%m-%dT%H:%M}" + ("Z" if isinstance(moment, datetime) else "")


def _frames(frames: list[Row]) -> list[Row]:
    actions = {one["message_id"]: one["action"] for one in frames if one["kind"] == "call"}
    rows = []
    for one in reversed(frames[-SHOWN_FRAMES:]):
        named = one["action"] or actions.get(one["message_id"], "")
        answer = " answer" if one["kind"] == "result" and named else ""
        rows.append(
            {
                **one,
                "key": f"{one['direction']}-{one['at'].timestamp():.6f}",
                "name": f"{named}{answer}" or one["kind"],
                "text": _pretty_text(one["text"]),
            }
        )
    return rows


def _pretty_text(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


# --- what it is told to do ---------------------------------------------------


def _command_log(charger_id: str, newest: Row | None = None) -> Page:
    """Show the commands; one that was refused before it was sent is in no history."""
    rows: list[Row] = _central().snapshot(charger_id)["commands"]
    if newest is not None and newest["command_id"] not in {row["command_id"] for row in rows}:
        rows = [newest, *rows]
    return PAGES.fragment("command_log", commands=_orders(rows))


def _orders(rows: list[Row]) -> list[Row]:
    return [
        {
            **row,
            "outcome": row["status"] or row["state"],
            "tone": _tone(row),
            "pretty": json.dumps(
                {"request": row["payload"], "answer": row["answer"]}, indent=2, ensure_ascii=False
            ),
        }
        for row in rows
    ]


def _tone(row: Row) -> str:
    if row["status"] in _REFUSALS or row["state"] == "failed":
        return "bad"
    return _TONES.get(row["state"], "warn")


@access(role="operator")
def view_post_remote_start(charger_id: str, id_tag: str, connector_id: int | None = None) -> Page:
    """Ask a charger to start a transaction, and show its commands."""
    row = orders.remote_start(charger_id, id_tag, connector_id=connector_id, wait_s=0)
    return _command_log(charger_id, row)


@access(role="operator")
def view_post_remote_stop(charger_id: str, transaction_id: int) -> Page:
    """Ask a charger to stop a transaction, and show its commands."""
    return _command_log(charger_id, orders.remote_stop(charger_id, transaction_id, wait_s=0))


@access(role="operator")
def view_post_reset(charger_id: str, type: ResetType) -> Page:
    """Restart a charger, and show its commands."""
    return _command_log(charger_id, orders.reset(charger_id, type=type, wait_s=0))


@access(role="operator")
def view_post_unlock_connector(charger_id: str, connector_id: int) -> Page:
    """Unlock the plug of a connector, and show the charger's commands."""
    return _command_log(charger_id, orders.unlock_connector(charger_id, connector_id, wait_s=0))


@access(role="operator")
def view_post_change_availability(
    charger_id: str, type: AvailabilityType, connector_id: int = 0
) -> Page:
    """Take a connector out of service or put it back, and show the charger's commands."""
    row = orders.change_availability(charger_id, type, connector_id=connector_id, wait_s=0)
    return _command_log(charger_id, row)


@access(role="operator")
def view_post_trigger_message(charger_id: str, message: Trigger) -> Page:
    """Ask a charger to send a message now, and show its commands."""
    return _command_log(charger_id, orders.trigger_message(charger_id, message, wait_s=0))


@access(role="operator")
def view_post_get_configuration(charger_id: str) -> Page:
    """Read the configuration of a charger, and show its commands."""
    return _command_log(charger_id, orders.send(charger_id, "GetConfiguration", {}, wait_s=0))


@access(role="operator")
def view_post_change_configuration(charger_id: str, key: str, value: str = "") -> Page:
    """Set a configuration key of a charger, and show its commands."""
    return _command_log(charger_id, orders.change_configuration(charger_id, key, value, wait_s=0))


@access(role="operator")
def view_post_send(charger_id: str, action: str, payload: dict[str, Any]) -> Page:
    """Send any command of a central system, and show the charger's commands."""
    return _command_log(charger_id, orders.send(charger_id, action, payload, wait_s=0))


@access(role="operator")
def view_post_approve(
    charger_id: str, registration: Literal["Accepted", "Rejected"] = "Accepted"
) -> Page:
    """Accept a charger that waits for approval, and show what it does."""
    central = _central()
    central.register(charger_id, registration)
    return PAGES.fragment("charger_state", charger=_state(central.snapshot(charger_id)))
