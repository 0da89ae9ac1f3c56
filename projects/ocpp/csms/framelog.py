"""The live log: the last frames of all chargers, and more of those that are watched."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from gway.projects.ocpp.facts import Direction
from gway.projects.ocpp.messages.framing import (
    Call,
    CallError,
    CallResult,
    Junk,
    Message,
    parse_frame,
)
from gway.projects.ocpp.messages.hiding import hide, hide_cut

SHARED = 1_000
PER_CHARGER = 60
WATCHED = 200
SHOWN_BYTES = 2_048


# One frame, cut to what a page shows: charger_id, direction, at, data. A bare tuple,
# because each frame of each charger makes one.
Entry = tuple[str, Direction, datetime, bytes]


class FrameLog:
    """Keeps references to frames in bounded rings.

    A charger that nobody looks at has no ring of its own: thousands of them share
    one. The first look at a charger gives it one, filled from the shared ring.
    """

    __slots__ = ("_rings", "_shared")

    def __init__(self) -> None:
        self._shared: deque[Entry] = deque(maxlen=SHARED)
        self._rings: OrderedDict[str, deque[Entry]] = OrderedDict()

    def add(self, charger_id: str, direction: Direction, at: datetime, data: bytes) -> None:
        """Note a frame."""
        entry = (charger_id, direction, at, data[:SHOWN_BYTES])
        self._shared.append(entry)
        if self._rings:
            ring = self._rings.get(charger_id)
            if ring is not None:
                ring.append(entry)

    def of(self, charger_id: str) -> tuple[Entry, ...]:
        """Give the last frames of a charger, oldest first, and watch it from now on."""
        ring = self._rings.get(charger_id)
        if ring is None:
            held = (entry for entry in tuple(self._shared) if entry[0] == charger_id)
            ring = self._rings[charger_id] = deque(held, maxlen=PER_CHARGER)
            if len(self._rings) > WATCHED:
                self._rings.popitem(last=False)
        self._rings.move_to_end(charger_id)
        return tuple(ring)

    def forget(self, charger_id: str) -> None:
        """Drop the ring of a charger."""
        self._rings.pop(charger_id, None)


def describe(entries: Iterable[Entry]) -> list[dict[str, object]]:
    """Make rows of frames for pages and the API; an answer is named after its call."""
    calls: dict[tuple[Direction, str], str] = {}
    rows: list[dict[str, object]] = []
    for _, direction, at, data in entries:
        frame = _parsed(data)
        row: dict[str, object] = {
            "at": at,
            "direction": direction,
            "kind": _KINDS[type(frame)],
            "message_id": frame.message_id or "",
            "action": "",
            "error_code": frame.code if isinstance(frame, CallError) else "",
            "text": _shown(data),
            "cut": len(data) >= SHOWN_BYTES,
        }
        if isinstance(frame, Call):
            row["action"] = calls[direction, frame.message_id] = frame.action
        elif isinstance(frame, CallResult | CallError):
            asked: Direction = "out" if direction == "in" else "in"
            row["action"] = calls.get((asked, frame.message_id), "")
        rows.append(row)
    return rows


def _parsed(data: bytes) -> Message:
    """Tell what a frame is; of a long one, whose end is not kept, by its beginning."""
    frame = parse_frame(data)
    if isinstance(frame, Junk) and len(data) >= SHOWN_BYTES:
        begun = _BEGUN.match(data)
        if begun is not None:
            return parse_frame(begun[0] + (b',"",{}]' if begun[1] == b"4" else b",{}]"))
    return frame


def _shown(data: bytes) -> str:
    text = data.decode("utf-8", "replace")
    return hide_cut(text) if len(data) >= SHOWN_BYTES else hide(text)[0]


def exchanges(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Put each call and its answer together, the newest first.

    Frames that answer nothing known stand alone: junk, and answers whose call is not held.
    `latency_ms` is None until the answer is there.
    """
    calls: dict[tuple[str, str], dict[str, Any]] = {}
    found: list[dict[str, Any]] = []
    for row in rows:
        if row["kind"] == "call":
            one = _exchange(row, row, None)
            calls[row["direction"], row["message_id"]] = one
            found.append(one)
            continue
        asked = "out" if row["direction"] == "in" else "in"
        call = None if row["kind"] == "junk" else calls.pop((asked, row["message_id"]), None)
        if call is None:
            found.append(_exchange(row, None, row))
        else:
            call["answer"] = row
            call["error_code"] = row["error_code"]
            call["latency_ms"] = (row["at"] - call["at"]).total_seconds() * 1000
    found.reverse()
    return found


def _exchange(
    row: dict[str, Any], call: dict[str, Any] | None, answer: dict[str, Any] | None
) -> dict[str, Any]:
    return {
        "at": row["at"],
        "direction": row["direction"],
        "action": row["action"],
        "kind": row["kind"],
        "error_code": row["error_code"],
        "message_id": row["message_id"],
        "call": call,
        "answer": answer,
        "latency_ms": None,
    }


_TEXT = rb'"(?:[^"\\]|\\.)*"'
_BEGUN = re.compile(rb"\s*\[\s*(?:([24])\s*,\s*%s\s*,\s*%s|3\s*,\s*%s)(?=\s*,)" % ((_TEXT,) * 3))
_KINDS = {Call: "call", CallResult: "result", CallError: "error", Junk: "junk"}
