"""The logger's pages: messages as they come, counts by charger, the log as a file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

from gway import gw
from gway.native import in_thread
from gway.projects.ocpp.csms.addresses import address_for_chargers
from gway.projects.ocpp.messages.times import parse_time
from gway.projects.ocpp.sink.shapes import as_row, latency, name_of
from gway.projects.ocpp.sink.verdicts import OK, UNJUDGED, Entry
from gway.web.page import Page, PageMaker
from gway.web.reply import Problem, Reply
from gway.web.tables import Column, table_of

if TYPE_CHECKING:
    from gway.projects.ocpp.sink.service import Sink

PAGES = PageMaker(__file__)

Row = dict[str, Any]
Direction = Literal["in", "out", ""]

PER_PAGE = 50
MOST_PER_PAGE = 500
BLOCK = 256 * 1024
COLUMNS = (
    "time",
    "charger",
    "connection",
    "direction",
    "type",
    "action",
    "message_id",
    "latency_ms",
    "size",
    "verdict",
    "frame",
)
STATS_COLUMNS = (
    Column("charger", "Charger"),
    Column("action", "Action"),
    Column("calls", "Calls", kind="number"),
    Column("answers", "Answers", kind="number"),
    Column("errors", "Errors", kind="number"),
    Column("junk", "Junk", kind="number"),
    Column("p50_ms", "Median", kind="number", unit="ms", digits=1),
    Column("p95_ms", "95 %", kind="number", unit="ms", digits=1),
    Column("violations", "Violations", kind="number"),
    Column("rules", "Rules", sortable=False, show=lambda row: _in_words(row["rules"])),
)


def _in_words(rules: dict[str, int]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in rules.items())


def _sink() -> Sink:
    from gway.projects.ocpp.sink.service import Sink

    return gw.service(Sink)


# --- messages --------------------------------------------------------------------


def view_messages(
    *,
    charger: str = "",
    action: str = "",
    direction: Direction = "",
    violations: bool = False,
    q: str = "",
    page: int = 1,
    per_page: int = PER_PAGE,
) -> Page:
    """Show the latest messages of all chargers as they come.

    :param charger: only messages of this charger
    :param action: only messages of this action, and their answers
    :param direction: in from the charger, or out to it
    :param violations: only messages that break a rule
    :param q: only messages with this text in them
    :param page: from 1, the newest first
    :param per_page: messages on a page, 500 at most
    """
    sink = _sink()
    found = _found(charger, action, direction, violations, q)
    shown, where = _page_of(found, page, per_page)
    return PAGES(
        "messages",
        title="Messages",
        rows=[as_row(entry) for entry in found],
        columns=COLUMNS,
        styles=("sink.css",),
        entries=[_shown(entry) for entry in shown],
        chargers=sorted({entry.charger for entry in sink.latest if entry.charger}),
        actions=sorted({entry.action for entry in sink.latest if entry.action}),
        wanted={"charger": charger, "action": action, "direction": direction, "q": q},
        only_violations=violations,
        address=address_for_chargers("ocpp.sink"),
        forward=sink.forward,
        log=str(sink.log),
        state=_state(sink),
        tallies=sink.tallies.rows(),
        **where,
    )


def render_messages(
    *,
    charger: str = "",
    action: str = "",
    direction: Direction = "",
    violations: bool = False,
    q: str = "",
    page: int = 1,
    per_page: int = PER_PAGE,
) -> Page:
    """Give the messages alone, for a page that renews them.

    :param charger: only messages of this charger
    :param action: only messages of this action, and their answers
    :param direction: in from the charger, or out to it
    :param violations: only messages that break a rule
    :param q: only messages with this text in them
    :param page: from 1, the newest first
    :param per_page: messages on a page, 500 at most
    """
    shown, where = _page_of(_found(charger, action, direction, violations, q), page, per_page)
    return PAGES.fragment(
        "message_list",
        entries=[_shown(entry) for entry in shown],
        state=_state(_sink()),
        **where,
    )


def api_messages(
    *,
    charger: str = "",
    action: str = "",
    direction: Direction = "",
    violations: bool = False,
    q: str = "",
    limit: int = 100,
) -> list[Row]:
    """List the latest messages, the newest first; of long ones the beginning.

    :param charger: only messages of this charger
    :param action: only messages of this action, and their answers
    :param direction: in from the charger, or out to it
    :param violations: only messages that break a rule
    :param q: only messages with this text in them
    :param limit: at most so many, 1000 are kept
    """
    found = _found(charger, action, direction, violations, q)
    return [as_row(entry) for entry in found[: max(0, limit)]]


def _found(charger: str, action: str, direction: str, violations: bool, text: str) -> list[Entry]:
    """Give the messages that fit, the newest first."""
    wanted = text.casefold()
    return [
        entry
        for entry in reversed(_sink().latest)
        if (not charger or entry.charger == charger)
        and (not action or entry.action == action)
        and (not direction or entry.direction == direction)
        and (not violations or entry.verdict not in (OK, UNJUDGED))
        and (not wanted or wanted in _text_of(entry))
    ]


def _text_of(entry: Entry) -> str:
    told = (entry.charger, entry.action, entry.message_id, entry.verdict, entry.note, entry.frame)
    return "\n".join(told).casefold()


def _page_of(found: list[Entry], page: int, per_page: int) -> tuple[list[Entry], Row]:
    per_page = min(max(1, per_page), MOST_PER_PAGE)
    pages = max(1, -(-len(found) // per_page))
    page = min(max(1, page), pages)
    begin = (page - 1) * per_page
    where = {"page_number": page, "pages": pages, "total": len(found), "live": page == 1}
    return found[begin : begin + per_page], where


def _shown(entry: Entry) -> Row:
    return {
        "key": f"{entry.connection}-{entry.time}-{entry.direction}-{entry.message_id[:40]}",
        "at": parse_time(entry.time),
        "charger": entry.charger,
        "connection": entry.connection,
        "direction": entry.direction,
        "type": entry.type,
        "name": name_of(entry),
        "note": entry.note,
        "latency": latency(entry.latency_ms),
        "verdict": entry.verdict,
        "tone": _tone(entry),
        "violations": entry.violations,
        "message_id": entry.message_id,
        "size": entry.size,
        "redacted": entry.redacted,
        "text": _pretty(entry.frame),
        "leg": entry.leg,
    }


def _tone(entry: Entry) -> str:
    if entry.verdict == UNJUDGED:
        return "off"
    if entry.verdict != OK:
        return "bad"
    return "warn" if entry.type == "error" else "ok"


def _pretty(text: str) -> str:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def _state(sink: Sink) -> Row:
    """Tell how the recording goes."""
    return {
        "frames": sink.tallies.frames,
        "violations": sink.tallies.all.violations,
        "connections": len(sink.sessions),
        "trouble": sink.trouble,
        "lost": sink.lost,
    }


# --- counts ----------------------------------------------------------------------


def view_stats(
    *, q: str = "", sort: str = "charger", page: int = 1, per_page: int | None = None
) -> Page:
    """Show the counts since the start by charger and action.

    :param q: only rows with these words in them
    :param sort: a column's name, "-" before it for descending
    :param page: from 1
    :param per_page: rows on a page, 1000 at most
    """
    rows = _sink().tallies.rows()
    table = table_of(rows, STATS_COLUMNS, q=q, sort=sort, page=page, per_page=per_page)
    return PAGES("stats_page", title="Message counts", table=table)


def render_stats() -> Page:
    """Give the counts by charger and action, for the page."""
    return PAGES.fragment("stats", tallies=_sink().tallies.rows())


def api_stats() -> list[Row]:
    """Count the messages since the start by charger and action, the sum of all last."""
    return _sink().tallies.rows_with_sum()


# --- the log as a file --------------------------------------------------------------


def view_download() -> Reply:
    """Download the log that is being written, as JSON Lines."""
    from gevent import get_hub

    path = _sink().log
    hub = get_hub()
    try:
        stream = in_thread(hub, lambda: path.open("rb"))
    except OSError as error:
        raise Problem(404, f"there is no log yet: {error.strerror}") from None

    def blocks() -> Iterator[bytes]:
        with stream:
            # As long as it is now: a log that grows as fast as it is read would not end.
            left = os.fstat(stream.fileno()).st_size
            while left > 0:
                block = in_thread(hub, partial(stream.read, min(BLOCK, left)))
                if not block:
                    return
                left -= len(block)
                yield block

    headers = [("Content-Disposition", f'attachment; filename="{_plain(path.name)}"')]
    return Reply(blocks(), 200, "application/x-ndjson", headers)


def _plain(name: str) -> str:
    return "".join(each if each.isalnum() or each in "-_." else "-" for each in name)
