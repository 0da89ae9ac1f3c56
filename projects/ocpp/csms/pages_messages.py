"""The messages of one charger: a part of its page, and a table of its own."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from gway import gw
from gway.projects.ocpp.csms.framelog import exchanges
from gway.projects.ocpp.csms.pages import PAGES
from gway.projects.ocpp.csms.topics import topic_of
from gway.web.page import Page
from gway.web.tables import Column, Table, table_of

if TYPE_CHECKING:
    from gway.projects.ocpp.csms.central import CentralSystem

Row = dict[str, Any]
Way = Literal["", "in", "out"]

SHOWN_EXCHANGES = 40  # on the page of a charger, where much else is
NEWEST = "-at"
NONE_YET = "No message yet. The latest ones are kept in memory."
CUT = " \N{HORIZONTAL ELLIPSIS}"  # stands at the end of a long text, of which the rest is not kept
BEGUN_BY = {"in": "the charger", "out": "us"}


def _outcome(row: Row) -> str:
    if row["kind"] == "junk":
        return "not OCPP"
    if row["call"] is None:
        return "its call is not held"
    return row["error_code"] or ("no answer yet" if row["answer"] is None else "answered")


COLUMNS = (
    Column("at", "Time", kind="time"),
    Column("direction", "Begun by", show=lambda row: BEGUN_BY[row["direction"]]),
    Column("action", "Message"),
    Column("outcome"),
    Column("latency_ms", "Answered after", kind="number", unit="ms", digits=1),
    Column("call", "Content", sortable=False, show=lambda row: "", part="message_content"),
)


def view_charger_messages(
    charger_id: str,
    *,
    direction: Way = "",
    action: str = "",
    errors: bool = False,
    q: str = "",
    sort: str = NEWEST,
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Show all messages of a charger that are in memory, calls with their answers.

    :param charger_id: as in its address
    :param direction: those that the charger began (in), or we (out)
    :param action: of this action
    :param errors: only errors and what is not OCPP
    :param q: those with this text
    :param sort: column, with "-" before it for descending
    :param page: from 1
    :param per_page: how many on a page, 50 when left out, at most 1000; the JSON and CSV
        twins then have all
    """
    values = _page_of(charger_id, (direction, action, errors, q), sort, page, per_page)
    return PAGES(
        "messages_page",
        title=f"Messages of {charger_id}",
        columns=(
            "at", "direction", "action", "message_id", "outcome", "latency_ms", "call", "answer",
        ),
        styles=("csms.css",),
        topic=topic_of(charger_id),
        **values,
    )  # fmt: skip


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
    frames = _frames(charger_id)
    shown = messages(frames, direction, action, errors, q)
    return PAGES.fragment("message_log", charger_id=charger_id, **shown)


def messages(frames: list[Row], direction: Way, action: str, errors: bool, q: str) -> Row:
    """Give the messages that fit, calls with their answers, and what was chosen."""
    held = exchanges(frames)
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
        "fitting": fitting,
        "exchanges": [_shown_exchange(one) for one in fitting[:SHOWN_EXCHANGES]],
        "held": len(held),
        "actions": sorted({one["action"] for one in held if one["action"]} | {action} - {""}),
        "direction": direction,
        "action": action,
        "errors": errors,
        "q": q,
    }


def message_row(one: Row) -> Row:
    """Make the row of a call and its answer, each as its text."""
    texts = {name: one[name] and _text(one[name]) for name in ("call", "answer")}
    kept = ("at", "direction", "kind", "action", "message_id", "error_code", "latency_ms")
    return {**{name: one[name] for name in kept}, "outcome": _outcome(one), **texts}


def _page_of(
    charger_id: str, wanted: tuple[Way, str, bool, str], sort: str, page: int, per_page: int | None
) -> Row:
    found = messages(_frames(charger_id), *wanted)
    table = _table(found, sort, page, per_page)
    return {**found, "charger_id": charger_id, "table": table, "pretty": _pretty}


def _table(found: Row, sort: str, page: int, per_page: int | None) -> Table:
    held = found["held"]
    # What was looked for is in the frames, of which the columns show only a part.
    table = table_of(
        map(message_row, found["fitting"]),
        COLUMNS,
        sort=sort,
        page=page,
        per_page=per_page,
        view="charger_messages",
        caption="Messages",
        empty=f"None of the {held} latest messages fits." if held else NONE_YET,
        status=lambda row: "bad" if row["error_code"] or row["kind"] == "junk" else None,
        key=lambda row: f"message-{_key(row)}",
    )
    return replace(table, q=found["q"])


def _frames(charger_id: str) -> list[Row]:
    from gway.projects.ocpp.csms.central import CentralSystem

    central: CentralSystem = gw.service(CentralSystem)
    frames: list[Row] = central.snapshot(charger_id)["frames"]
    return frames


def _key(one: Row) -> str:
    return f"{one['direction']}-{one['at'].timestamp():.6f}"


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
        "key": _key(one),
        "name": name,
        "outcome": outcome,
        "tone": tone,
        "call_text": "" if call is None else _pretty(_text(call)),
        "answer_text": "" if answer is None else _pretty(_text(answer)),
    }


def _text(frame: Row) -> str:
    text: str = frame["text"]
    return text + CUT if frame["cut"] else text


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text.removesuffix(CUT)), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text
