"""How messages look to people in a terminal: one line each, with the verdict."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from gway.output import Styled, is_terminal
from gway.projects.ocpp.sink.reading import own_entry
from gway.projects.ocpp.sink.verdicts import OK, UNJUDGED, Entry
from gway.redaction import one_line

ARROWS = {"in": "<-", "out": "->", "": "--"}
VERDICT = 20  # letters of the longest one
MARGIN = 8  # least width for the frame itself; with less room it is left out
_GREEN, _RED, _YELLOW, _DIM, _BOLD = "32", "31", "33", "2", "1"


class Pen:
    """Writes coloured text where a person reads it, plain text elsewhere."""

    def __init__(self, colours: bool, width: int) -> None:
        self._colours = colours
        self._width = width  # 0: lines are as long as they are

    @classmethod
    def of_terminal(cls) -> Pen:
        """Make the pen that fits standard output."""
        person = is_terminal(sys.stdout)
        width = shutil.get_terminal_size().columns if person else 0
        return cls(person and not os.environ.get("NO_COLOR"), width)

    def line(self, entry: Entry) -> str:
        """Write a line of the log for a person."""
        parts = [
            (clock(entry.time), _DIM),
            (f"{entry.charger:<18}", _BOLD),
            (ARROWS.get(entry.direction, "--"), _DIM if entry.direction == "in" else ""),
            (f"{name_of(entry):<32}", ""),
            (f"{latency(entry.latency_ms):>9}", _DIM),
            self._verdict(entry),
        ]
        used = sum(len(text) + 1 for text, _ in parts)
        rest = one_line(entry.frame or entry.note)
        if self._width:
            room = self._width - used
            rest = "" if room < MARGIN else rest if len(rest) <= room else rest[: room - 1] + "…"
        parts.append((rest, _DIM))
        return " ".join(self._paint(one_line(text), style) for text, style in parts).rstrip()

    def _verdict(self, entry: Entry) -> tuple[str, str]:
        if entry.verdict == OK:
            return f"{OK:<{VERDICT}}", _GREEN
        if entry.verdict == UNJUDGED:
            return f"{'':<{VERDICT}}", ""
        more = f" +{len(entry.violations) - 1}" if len(entry.violations) > 1 else ""
        return f"{entry.verdict + more:<{VERDICT}}", _RED

    def _paint(self, text: str, style: str) -> str:
        if not (self._colours and style and text.strip()):
            return text
        return f"\x1b[{style}m{text}\x1b[0m"


def clock(time: str) -> str:
    """Give the time of day of a line, in UTC."""
    return f"{time[11:23]:<12}"


def latency(milliseconds: float | None) -> str:
    """Give a latency as people read it."""
    if milliseconds is None:
        return ""
    if milliseconds < 1_000:
        return f"{milliseconds:.1f} ms"
    return f"{milliseconds / 1000:.1f} s"


def name_of(entry: Entry) -> str:
    """Say what an entry is: the action, and whether it is an answer to it."""
    match entry.type:
        case "call":
            return entry.action
        case "result":
            return f"{entry.action or '?'} answer"
        case "error":
            return f"{entry.action or '?'} error"
        case "junk":
            return "no message"
        case "open":
            return "connected"
        case "close":
            return "disconnected"
    return entry.type


def tail_for_people(entries: Iterable[Entry]) -> Iterator[Styled]:
    """Shape what `tail` gives for a terminal."""
    pen = Pen.of_terminal()
    for entry in entries:
        yield Styled(pen.line(entry))


def faults_for_people(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    """Shape what `validate` gives for a terminal."""
    for row in rows:
        where = " ".join(
            str(each)
            for each in (row["charger"], ARROWS.get(row["direction"], "--"), row["action"])
            if each
        )
        yield one_line(
            f"line {row['line']}: {where}: {row['rule']} ({row['paragraph']}): {row['text']}"
        )


def stats_for_people(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Shape what `stats` gives for a terminal."""
    return [
        {
            **{key: row[key] for key in ("charger", "action", "calls", "answers", "errors")},
            "p50": latency(row["p50_ms"]),
            "p95": latency(row["p95_ms"]),
            "violations": ", ".join(f"{rule} {count}" for rule, count in row["rules"].items()),
        }
        for row in rows
    ]


class Screen:
    """Shows lines of the log on standard output as they are written."""

    def __init__(self) -> None:
        self._pen = Pen.of_terminal()

    def __call__(self, lines: list[bytes]) -> None:
        """Show lines of JSON; called in the thread of the recorder, which may wait."""
        shown = [self._pen.line(entry) for line in lines if (entry := own_entry(line))]
        data = ("\n".join(shown) + "\n").encode("utf-8", "replace") if shown else b""
        while data:
            data = data[os.write(1, data) :]


def as_row(entry: Entry) -> dict[str, Any]:
    """Give an entry as a row of a table."""
    return msgspec.structs.asdict(entry)
