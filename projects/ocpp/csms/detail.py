"""The page of one charger: its state, commands, messages and transactions."""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal

from gway import gw
from gway.projects.ocpp.csms.effects import EFFECTS
from gway.projects.ocpp.csms.framelog import exchanges
from gway.projects.ocpp.csms.pages import PAGES, session_shown
from gway.projects.ocpp.csms.period import Moment, field, has_pages, period
from gway.projects.ocpp.csms.topics import topic_of
from gway.web import formats
from gway.web.page import Page

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]
Way = Literal["", "in", "out"]

SHOWN_EXCHANGES = 40
IN_STEP_S = 2.0  # a clock that is off by less tells nothing: messages take time themselves
FAR_OFF_S = 60.0
_TONES = {"queued": "wait", "sent": "wait", "answered": "ok", "failed": "bad", "refused": "bad"}
_REFUSALS = frozenset({"Rejected", "NotSupported", "NotImplemented", "Failed", "UnlockFailed"})


def _central() -> CentralSystem:
    from gway.projects.ocpp.csms.central import CentralSystem

    return gw.service(CentralSystem)


def view_charger_detail(
    charger_id: str,
    *,
    since: Moment = None,
    until: Moment = None,
    direction: Way = "",
    action: str = "",
    errors: bool = False,
    q: str = "",
    tx_q: str = "",
    tx_sort: str = "-started_at",
    tx_page: int = 1,
    tx_per_page: int | None = None,
) -> Page:
    """Show one charger: state, commands, messages and transactions.

    :param charger_id: as in its address
    :param since: transactions begun at this time or later; 24 hours ago when left out
    :param until: transactions begun before this time; now when left out
    :param direction: messages that the charger began (in), or we (out)
    :param action: messages of this action
    :param errors: only errors and what is not OCPP
    :param q: messages with this text
    :param tx_q: transactions with these words
    :param tx_sort: a column of the transactions, with "-" before it for descending
    :param tx_page: of the transactions, from 1
    :param tx_per_page: transactions on a page, 50 when left out, at most 1000
    """
    from gway.projects.ocpp.csms.forms import groups

    seen = _central().snapshot(charger_id)
    return PAGES(
        "charger_detail",
        title=charger_id,
        data={key: value for key, value in seen.items() if key not in ("frames", "commands")},
        styles=("csms.css",),
        scripts=("csms.js",),
        charger=_state(seen),
        commands=shown_commands(seen["commands"]),
        groups=groups(),
        boot=_boot(seen),
        since=field(since),
        until=field(until, end=True),
        **seen["configuration"],
        **_messages(seen, direction, action, errors, q),
        **period(charger_id, since, until, tx_q, tx_sort, tx_page, tx_per_page),
        chosen={
            "tx_q": tx_q,
            "tx_sort": "" if tx_sort == "-started_at" else tx_sort,
            "tx_per_page": tx_per_page or "",
        },
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


def render_configuration(charger_id: str) -> Page:
    """Give the configuration that a charger told last, for its page.

    :param charger_id: as in its address
    """
    seen = _central().snapshot(charger_id)
    return PAGES.fragment("configuration", charger_id=charger_id, **seen["configuration"])


def render_message_log(
    charger_id: str, *, direction: Way = "", action: str = "", errors: bool = False, q: str = ""
) -> Page:
    """Give the latest messages of a charger, for its page.

    :param charger_id: as in its address
    :param direction: those that the charger began (in), or we (out)
    :param action: of this action
    :param errors: only errors and what is not OCPP
    :param q: those with this text
    """
    seen = _central().snapshot(charger_id)
    return PAGES.fragment("message_log", **_messages(seen, direction, action, errors, q))


# --- state ---------------------------------------------------------------------


def _state(seen: Row) -> Row:
    central = _central()
    boot = seen["boot"] or {}
    words = [boot.get("vendor"), boot.get("model")]
    connectors = [
        {**one, "transaction": session_shown(central, one["transaction"]), "fault": _fault(one)}
        for one in seen["connectors"]
        if one["connector_id"] or one["transaction"]
    ]
    return {
        **seen,
        "connectors": connectors,
        "make": " ".join(word for word in words if word),
        "firmware": boot.get("firmware") or "",
        "drift": _drift(seen["drift_s"]),
        "linked": has_pages("ocpp.data"),
        "topic": topic_of(seen["charger_id"]),
    }


def _fault(connector: Row) -> str:
    words = [connector["error_code"], connector["vendor_error_code"], connector["info"]]
    return ", ".join(word for word in words if word and word != "NoError")


def _drift(drift_s: float | None) -> Row:
    """Say in a word how far a charger's clock is off; its messages take a moment themselves."""
    if drift_s is None:
        return {"words": "not told yet", "tone": "off"}
    if abs(drift_s) < IN_STEP_S:
        return {"words": "in step", "tone": "ok"}
    way = "behind" if drift_s > 0 else "ahead"
    off = (
        formats.number(abs(drift_s), 1) + " s"
        if abs(drift_s) < 60
        else formats.duration(abs(drift_s))
    )
    return {"words": f"{off} {way}", "tone": "warn" if abs(drift_s) < FAR_OFF_S else "bad"}


def _boot(seen: Row) -> list[tuple[str, str]]:
    """Give what a charger told of itself at its last boot."""
    boot = seen["boot"] or {}
    return [(formats.label(name), str(value)) for name, value in boot.items() if value]


# --- messages ------------------------------------------------------------------


def _messages(seen: Row, direction: Way, action: str, errors: bool, q: str) -> Row:
    """Give the messages that fit, calls with their answers."""
    held = exchanges(seen["frames"])
    part = q.strip().lower()
    fitting = [
        one
        for one in held
        if (not direction or one["direction"] == direction)
        and (not action or one["action"] == action)
        and (not errors or one["kind"] in ("error", "junk") or one["error_code"])
        and (not part or part in _text_of(one))
    ]
    return {
        "exchanges": [_shown_exchange(one) for one in fitting[:SHOWN_EXCHANGES]],
        "held": len(held),
        "actions": sorted({one["action"] for one in held if one["action"]} | {action} - {""}),
        "direction": direction,
        "action": action,
        "errors": errors,
        "q": q,
    }


def _text_of(exchange: Row) -> str:
    frames = (exchange["call"], exchange["answer"])
    return " ".join(frame["text"] for frame in frames if frame is not None).lower()


def _shown_exchange(one: Row) -> Row:
    call, answer = one["call"], one["answer"]
    if one["kind"] == "junk":
        name, outcome, tone = "not OCPP", "", ""
    elif call is None:
        name = " ".join(filter(None, (one["action"], "answer", one["error_code"])))
        outcome, tone = "its call is not held", "warn"
    elif answer is None:
        name, outcome, tone = one["action"], "no answer yet", "wait"
    elif one["error_code"]:
        name, outcome, tone = one["action"], one["error_code"], "bad"
    else:
        name, outcome, tone = one["action"], "", ""
    return {
        **one,
        "key": f"{one['direction']}-{one['at'].timestamp():.6f}",
        "name": name,
        "outcome": outcome,
        "tone": tone,
        "call_text": "" if call is None else _pretty(call),
        "answer_text": "" if answer is None else _pretty(answer),
    }


def _pretty(frame: Row) -> str:
    text: str = frame["text"]
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text + (" …" if frame["cut"] else "")


# --- commands ------------------------------------------------------------------


def shown_commands(rows: list[Row]) -> list[Row]:
    """Add to commands what their list shows of them."""
    return [
        {
            **row,
            "outcome": _outcome(row),
            "tone": _tone(row),
            "steps": _steps(row),
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


def _steps(row: Row) -> list[Row]:
    """Tell a command as it unfolds: queued, sent, answered and what followed, with its time."""
    if row["state"] == "refused":
        return [_step(f"not sent: {row['error']}", "bad", row["queued_at"])]
    steps = [_step("queued", "ok", row["queued_at"])]
    if row["sent_at"] is not None:
        steps.append(_step("sent", "ok", row["sent_at"]))
    if row["answered_at"] is not None:
        took_s = (row["answered_at"] - row["sent_at"]).total_seconds() if row["sent_at"] else None
        words = f"answered {_outcome(row)}" if row["status"] or row["error_code"] else "answered"
        steps.append(_step(words, _tone(row), row["answered_at"], took_s))
    if row["error"]:
        steps.append(_step(row["error"], "bad"))
    elif row["state"] in ("queued", "sent"):
        waits = "waiting for the answer" if row["sent_at"] else "waiting for its turn"
        steps.append(_step(waits, "wait"))
    if row["effect"]:
        steps.append(_step(row["effect"], "ok", row["effect_at"]))
    elif row["status"] == "Accepted" and row["action"] in EFFECTS:
        steps.append(_step("waiting for what follows", "wait"))
    return steps


def _step(words: str, tone: str, at: datetime | None = None, took_s: float | None = None) -> Row:
    took_ms = None if took_s is None else took_s * 1000
    return {"words": words, "tone": tone, "at": at, "took_ms": took_ms}
