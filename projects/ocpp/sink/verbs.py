"""The verbs that read logs, and the one that listens."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gway import gw
from gway.errors import GwayError
from gway.marks import shown_as
from gway.projects.ocpp.sink.following import end_of, follow, last_entries, wanted
from gway.projects.ocpp.sink.reading import Reader, violations_of
from gway.projects.ocpp.sink.shapes import (
    faults_for_people,
    stats_for_people,
    tail_for_people,
)
from gway.projects.ocpp.sink.tally import Tallies
from gway.projects.ocpp.sink.verdicts import Entry, known_rule

Row = dict[str, Any]


def log_file(name: Path | None) -> Path:
    """Find a log: as named, else below `work/ocpp/sink/`."""
    if name is not None and (name.is_absolute() or name.exists()):
        return name
    return gw.workspace.work("ocpp", "sink", *(name or Path("sink.jsonl")).parts, parents=False)


@shown_as(tail_for_people)
def tail(
    file: Path | None = None,
    *,
    charger: str | None = None,
    action: str | None = None,
    errors: bool = False,
    lines: int = 20,
    follow: bool = False,
) -> Iterator[Entry]:
    """Show the latest messages of a log, one line each with its verdict.

    :param file: a log; work/ocpp/sink/sink.jsonl if not given
    :param charger: only messages of this charger
    :param action: only messages of this action, and their answers
    :param errors: only messages that break a rule, and CALLERRORs
    :param lines: how many
    :param follow: go on with what is added, until Ctrl-C
    """
    return _tail(log_file(file), wanted(charger, action, errors), lines, follow)


def _tail(path: Path, fits: Any, lines: int, go_on: bool) -> Iterator[Entry]:
    end = end_of(path) if go_on else None
    yield from last_entries(path, max(0, lines), fits, end)
    if end is not None:
        yield from follow(path, fits, end)


@shown_as(stats_for_people)
def stats(file: Path | None = None) -> list[Row]:
    """Count the messages of a log by charger and action, with latencies and broken rules.

    :param file: a log of any kind that `validate` reads; work/ocpp/sink/sink.jsonl if not given
    """
    tallies = Tallies()
    path = log_file(file)
    for line in Reader().lines(path):
        if line.entry is not None:
            tallies.add(line.entry)
    if not tallies.frames:
        raise GwayError(f"there is no OCPP frame in {path}")
    return tallies.rows_with_sum()


@shown_as(faults_for_people)
def validate(file: Path | None = None, *, rule: str | None = None) -> Iterator[Row]:
    """Check the frames of a log against OCPP 1.6; exit code 1 if any breaks a rule.

    Reads logs of this logger, lists of frames (one on a line), JSON Lines of others, and
    text logs with a frame in their lines.

    :param file: the log; work/ocpp/sink/sink.jsonl if not given
    :param rule: only this rule, such as duplicate-id or schema.missing
    """
    return _validate(log_file(file), None if rule is None else known_rule(rule))


def _validate(path: Path, rule: str | None) -> Iterator[Row]:
    reader = Reader(judge=True)
    frames = found = 0
    for line in reader.lines(path):
        frames += line.entry is not None and line.entry.direction != ""
        for row in violations_of(line):
            if rule is None or row["rule"] == rule:
                found += 1
                yield row
    skipped = f", {reader.skipped} lines without one" if reader.skipped else ""
    if not frames:
        raise GwayError(f"there is no OCPP frame in {path}{skipped}")
    if found:
        raise GwayError(f"{found} violations in {frames} frames{skipped}")
    print(f"{frames} frames, no violation{skipped}", file=sys.stderr)
