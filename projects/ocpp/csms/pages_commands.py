"""The commands to one charger: how each unfolds, on its page and as a table of its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gway import gw
from gway.projects.ocpp.csms.effects import EFFECTS, gist
from gway.projects.ocpp.csms.pages import PAGES
from gway.projects.ocpp.csms.topics import topic_of
from gway.web.page import Page
from gway.web.tables import Column, Note, table_of

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]

_TONES = {"queued": "wait", "sent": "wait", "answered": "ok", "failed": "bad", "refused": "bad"}
_REFUSALS = frozenset({"Rejected", "NotSupported", "NotImplemented", "Failed", "UnlockFailed"})


def _what(row: Mapping[str, Any]) -> Note | None:
    words = gist(row["payload"])
    return Note(words) if words else None


COLUMNS = (
    Column("queued_at", "Queued", kind="time"),
    Column("action", "Command", note=_what),
    Column("state"),
    Column("status", "Answer", show=lambda row: _answer(row)),
    Column("answered_at", "Answered", kind="time"),
    Column("effect", "What followed"),
    Column("error", "Trouble"),
    Column("payload", "Content", sortable=False, show=lambda row: "", part="command_content"),
)


def view_charger_commands(
    charger_id: str,
    *,
    q: str = "",
    sort: str = "-queued_at",
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Show all commands to a charger that are kept, with their answers and what followed.

    :param charger_id: as in its address
    :param q: only those with these words
    :param sort: column, with "-" before it for descending
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000; the JSON and CSV
        twins then have all
    """
    return PAGES(
        "commands_page",
        title=f"Commands to {charger_id}",
        styles=("csms.css",),
        topic=topic_of(charger_id),
        **_kept(charger_id, q=q, sort=sort, page=page, per_page=per_page),
    )


def render_command_log(charger_id: str) -> Page:
    """Give the latest commands to a charger with their outcome, for its page.

    :param charger_id: as in its address
    """
    return PAGES.fragment("command_log", commands=shown_commands(_commands(charger_id)))


def _kept(charger_id: str, **wanted: Any) -> Row:
    table = table_of(
        _commands(charger_id),
        COLUMNS,
        view="charger_commands",
        caption="Commands",
        empty="No command was sent yet.",
        status=lambda row: "bad" if _tone(dict(row)) == "bad" else None,
        key=lambda row: f"command-{row['command_id']}",
        **wanted,
    )
    return {"charger_id": charger_id, "table": table, "shown_command": _shown}


def _commands(charger_id: str) -> list[Row]:
    from gway.projects.ocpp.csms.central import CentralSystem

    central: CentralSystem = gw.service(CentralSystem)
    rows: list[Row] = central.snapshot(charger_id)["commands"]
    return rows


def shown_commands(rows: list[Row]) -> list[Row]:
    """Add to commands what their list shows of them."""
    return [_shown(row) for row in rows]


def _shown(row: Row) -> Row:
    return {
        **row,
        "outcome": _outcome(row),
        "tone": _tone(row),
        "steps": _steps(row),
        "pretty": json.dumps(
            {"request": row["payload"], "answer": row["answer"]}, indent=2, ensure_ascii=False
        ),
    }


def _outcome(row: Mapping[str, Any]) -> str:
    outcome = str(row["status"] or row["error_code"] or row["state"])
    return f"{outcome}, late" if row["late"] else outcome


def _answer(row: Mapping[str, Any]) -> str:
    return _outcome(row) if row["status"] or row["error_code"] else ""


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
