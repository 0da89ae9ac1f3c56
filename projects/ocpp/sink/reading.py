"""Reads logs of frames, of any size, in the shapes that people have them in.

Ours are JSON Lines. Others are judged as they are read: a frame on each line, a list of
frames on a line, JSON objects with a frame in them, or lines of text with a frame at their end.
"""

from __future__ import annotations

import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import msgspec

from gway.errors import GwayError
from gway.projects.ocpp.messages.catalogue import CENTRAL_SYSTEM_ACTIONS, CHARGE_POINT_ACTIONS
from gway.projects.ocpp.messages.framing import Call, CallError, CallResult, parse_frame
from gway.projects.ocpp.messages.times import parse_time
from gway.projects.ocpp.sink.book import Library
from gway.projects.ocpp.sink.judge import Conversation
from gway.projects.ocpp.sink.tap import stamp
from gway.projects.ocpp.sink.verdicts import UNJUDGED, Entry, Finding, decode_entry, verdict_of

LONGEST_LINE = 8 * 1024 * 1024
KEPT_CONVERSATIONS = 2_000
_FRAME = re.compile(r"\[\s*[234]\s*,")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_NAMED = re.compile(r"([\w.@-]{1,48}):\s*(?:receive message|send(?:ing)?|received|sent)\b")
_TEXTS = ("frame", "message", "text", "msg", "raw", "data")


class Line(NamedTuple):
    """A line of a log: its number and what it says; `entry` is None for a line without frame."""

    number: int
    entry: Entry | None


class _Loose(msgspec.Struct):
    """A frame in somebody else's log."""

    text: str
    charger: str = ""
    direction: str = ""
    at: datetime | None = None


class Reader:
    """Reads a log line by line, in bounded memory.

    :param judge: judge the frames of our own logs anew, and not only those of others
    """

    def __init__(self, *, judge: bool = False) -> None:
        self._judge = judge
        self._library = Library()
        self._conversations: OrderedDict[tuple[str, int], Conversation] = OrderedDict()
        self.skipped = 0  # lines without a frame

    def lines(self, path: Path) -> Iterator[Line]:
        """Yield what the lines of a file say.

        :raises GwayError: when the file cannot be read
        """
        try:
            with path.open("rb") as stream:
                for number, raw in numbered(stream):
                    yield from self.line(number, raw)
        except OSError as error:
            raise GwayError(f"cannot read {path}: {error.strerror}") from None

    def line(self, number: int, raw: bytes) -> Iterator[Line]:
        """Yield what one line says; one that holds a list of frames says several things."""
        if not raw.strip():
            return
        entry = own_entry(raw)
        if entry is not None:
            yield Line(number, self._again(entry) if self._judge else entry)
            return
        loose = _loose_frames(raw.decode("utf-8", "replace").strip())
        if not loose:
            self.skipped += 1
            yield Line(number, None)
        for each in loose:
            yield Line(number, self._foreign(each))

    def _again(self, entry: Entry) -> Entry:
        """Judge a frame of our own log as if it passed now."""
        key = (entry.charger, entry.connection)
        if entry.type in ("open", "close") and entry.leg != "central":
            self._conversations.pop(key, None)
        if entry.direction not in ("in", "out"):
            return entry
        at = parse_time(entry.time)
        judged = self._conversation(key).judge(entry.frame, entry.direction, at)
        return msgspec.structs.replace(
            entry,
            type=judged.type,
            action=judged.action,
            message_id=judged.message_id,
            latency_ms=judged.latency_ms,
            verdict=verdict_of(judged.findings),
            violations=judged.findings,
        )

    def _foreign(self, loose: _Loose) -> Entry:
        conversation = self._conversation((loose.charger, 0))
        direction = loose.direction or _direction(loose.text, conversation)
        judged = conversation.judge(loose.text, direction, loose.at)
        return Entry(
            time="" if loose.at is None else stamp(loose.at),
            direction=direction,
            charger=loose.charger,
            connection=0,
            type=judged.type,
            action=judged.action,
            message_id=judged.message_id,
            latency_ms=judged.latency_ms,
            size=len(loose.text.encode("utf-8", "replace")),
            verdict=verdict_of(judged.findings),
            violations=judged.findings,
            frame=loose.text,
        )

    def _conversation(self, key: tuple[str, int]) -> Conversation:
        found = self._conversations.get(key)
        if found is None:
            found = self._conversations[key] = Conversation(self._library.of(key[0]))
            if len(self._conversations) > KEPT_CONVERSATIONS:
                self._conversations.popitem(last=False)
        return found


def numbered(stream: BinaryIO, first: int = 1) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a stream with their numbers; the rest of a too long one is left out."""
    number = first
    while raw := stream.readline(LONGEST_LINE):
        yield number, raw
        while raw and not raw.endswith(b"\n"):
            raw = stream.readline(LONGEST_LINE)
        number += 1


def own_entry(raw: bytes) -> Entry | None:
    """Read a line of our own logs; None for a line of another kind."""
    if raw[:1] != b"{":
        return None
    try:
        return decode_entry(raw)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return None


def _loose_frames(text: str) -> list[_Loose]:
    if text.startswith("{"):
        found = _of_object(text)
        if found is not None:
            return [found]
    if text.startswith("["):
        several = _several(text)
        return several or [_Loose(text)]
    match = _FRAME.search(text)
    if match is None:
        return []
    head, frame = text[: match.start()], text[match.start() :]
    end = frame.rfind("]")
    named = _NAMED.search(head)
    time = _TIME.search(head)
    return [
        _Loose(
            frame[: end + 1] if end > 0 else frame,
            charger=named[1] if named else "",
            at=parse_time(time[0].replace(" ", "T").replace(",", ".")) if time else None,
        )
    ]


def _several(text: str) -> list[_Loose]:
    """Read a line that is a list of frames."""
    if not text.startswith(("[[", "[ [")):
        return []
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    return [_Loose(_as_text(each)) for each in value if isinstance(each, list)]


def _of_object(text: str) -> _Loose | None:
    """Read a JSON object of some other logger that has a frame in it."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    frame = next((value[key] for key in _TEXTS if isinstance(value.get(key), str | list)), None)
    if frame is None:
        return None
    charger = next((value[key] for key in ("charger", "charger_id", "cp") if key in value), "")
    direction = value.get("direction")
    time = next((value[key] for key in ("time", "at", "timestamp") if key in value), None)
    return _Loose(
        frame if isinstance(frame, str) else _as_text(frame),
        charger=str(charger),
        direction=direction if direction in ("in", "out") else "",
        at=parse_time(time) if isinstance(time, str) else None,
    )


def _as_text(frame: Any) -> str:
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


def _direction(text: str, conversation: Conversation) -> str:
    """Tell from a frame who sent it: the one who may ask this, or who was asked."""
    frame = parse_frame(text)
    if isinstance(frame, Call):
        if frame.action in CHARGE_POINT_ACTIONS:
            return "in"
        return "out" if frame.action in CENTRAL_SYSTEM_ACTIONS else "in"
    if isinstance(frame, CallResult | CallError):
        asker = conversation.asks(frame.message_id)
        return "in" if asker == "out" else "out"
    return "in"


def violations_of(line: Line) -> Iterator[dict[str, Any]]:
    """Yield a row for each rule that a line breaks."""
    entry = line.entry
    if entry is None or entry.verdict == UNJUDGED:
        return
    for each in entry.violations:
        yield {
            "line": line.number,
            "charger": entry.charger,
            "direction": entry.direction,
            "action": entry.action,
            "message_id": entry.message_id,
            **_fields(each),
        }


def _fields(found: Finding) -> dict[str, str]:
    return {name: getattr(found, name) for name in ("rule", "paragraph", "path", "text")}
