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
from gway.web.request import CURRENT
from gway.web.tables import Column, Table, order, sorted_by, table_from, table_of, window

if TYPE_CHECKING:
    from gway.projects.ocpp.sink.service import Sink

PAGES = PageMaker(__file__)

Row = dict[str, Any]
Direction = Literal["in", "out", ""]

BLOCK = 256 * 1024
NEWEST = "-time"
ORDERS = {
    NEWEST: "Newest first",
    "time": "Oldest first",
    "-latency_ms": "Slowest first",
    "-size": "Largest first",
    "charger": "By charger",
    "action": "By action",
    "verdict": "By verdict",
}
COLUMNS = tuple(
    Column(name, sortable=name not in ("connection", "message_id", "frame"))
    for name in (
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
)
STATS_PREFIX = "stats_"
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
    Column("rules", "Rules", show=lambda row: _in_words(row["rules"])),
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
    sort: str = NEWEST,
    page: int = 1,
    per_page: int | None = None,
    stats_q: str = "",
    stats_sort: str = "charger",
    stats_page: int = 1,
    stats_per_page: int | None = None,
) -> Page:
    """Show the latest messages of all chargers as they come.

    :param charger: only messages of this charger
    :param action: only messages of this action, and their answers
    :param direction: in from the charger, or out to it
    :param violations: only messages that break a rule
    :param q: only messages with this text in them
    :param sort: a column's name, "-" before it for descending; the newest first if left out
    :param page: from 1
    :param per_page: messages on a page, 50 when left out, 1000 at most; the JSON and CSV twins
        then have all
    :param stats_q: only counts with these words in them
    :param stats_sort: a column of the counts, "-" before it for descending
    :param stats_page: of the counts, from 1
    :param stats_per_page: counts on a page, 1000 at most
    """
    sink = _sink()
    found = _found(charger, action, direction, violations, q)
    shown, table = _page_of(found, sort, page, per_page)
    request = CURRENT.get()
    return PAGES(
        "messages",
        title="Messages",
        rows=[as_row(entry) for entry in shown] if request is None or request.wants_twin else (),
        columns=table.names,
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
        table=table,
        sort=sort,
        orders=ORDERS,
        counts=_counts(stats_q, stats_sort, stats_page, stats_per_page),
    )


def render_messages(
    *,
    charger: str = "",
    action: str = "",
    direction: Direction = "",
    violations: bool = False,
    q: str = "",
    sort: str = NEWEST,
    page: int = 1,
    per_page: int | None = None,
) -> Page:
    """Give the messages alone, for a page that renews them.

    :param charger: only messages of this charger
    :param action: only messages of this action, and their answers
    :param direction: in from the charger, or out to it
    :param violations: only messages that break a rule
    :param q: only messages with this text in them
    :param sort: a column's name, "-" before it for descending; the newest first if left out
    :param page: from 1
    :param per_page: messages on a page, 50 when left out, 1000 at most
    """
    found = _found(charger, action, direction, violations, q)
    shown, table = _page_of(found, sort, page, per_page)
    return PAGES.fragment(
        "message_list",
        entries=[_shown(entry) for entry in shown],
        state=_state(_sink()),
        table=table,
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


def _page_of(
    found: list[Entry], sort: str, page: int, per_page: int | None
) -> tuple[list[Entry], Table]:
    """Give the messages of a page, and the table that they are a page of."""
    wanted = window(page, per_page)
    by, descending = order(sort, COLUMNS)
    if by and sort != NEWEST:
        keyed = [{by: getattr(entry, by), "entry": entry} for entry in found]
        found = [row["entry"] for row in sorted_by(keyed, by, descending)]
    shown = found[wanted.offset : wanted.offset + wanted.limit]
    table = table_from((), COLUMNS, total=len(found), sort=sort, page=page, per_page=per_page)
    return shown, table


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
    *,
    stats_q: str = "",
    stats_sort: str = "charger",
    stats_page: int = 1,
    stats_per_page: int | None = None,
) -> Page:
    """Show the counts since the start by charger and action.

    :param stats_q: only rows with these words in them
    :param stats_sort: a column's name, "-" before it for descending
    :param stats_page: from 1
    :param stats_per_page: rows on a page, 1000 at most
    """
    counts = _counts(stats_q, stats_sort, stats_page, stats_per_page)
    return PAGES("stats_page", title="Message counts", table=counts)


def _counts(q: str, sort: str, page: int, per_page: int | None) -> Table:
    return table_of(
        _sink().tallies.rows(),
        STATS_COLUMNS,
        q=q,
        sort=sort,
        page=page,
        per_page=per_page,
        prefix=STATS_PREFIX,
        view="stats",
        status=lambda row: "bad" if row["violations"] else None,
        caption="Table of counts",
        empty="Nothing was counted yet.",
    )


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
        message = f"there is no log yet: {error.strerror}"
        raise Problem(404, message, hint="it begins with the first message") from None

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
