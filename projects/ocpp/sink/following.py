"""Reads the end of a log, and what comes after it."""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from gway.errors import GwayError
from gway.projects.ocpp.sink.reading import LONGEST_LINE, Reader
from gway.projects.ocpp.sink.verdicts import OK, UNJUDGED, Entry

BLOCK = 256 * 1024
LOOK_S = 0.2

Wanted = Callable[[Entry], bool]


def wanted(charger: str | None, action: str | None, errors: bool) -> Wanted:
    """Make a filter.

    :param charger: only of this one
    :param action: only messages of this action, and their answers
    :param errors: only what breaks a rule, and CALLERRORs
    """
    asked = action.lower() if action else None

    def fits(entry: Entry) -> bool:
        return (
            (charger is None or entry.charger == charger)
            and (asked is None or entry.action.lower() == asked)
            and (not errors or entry.verdict not in (OK, UNJUDGED) or entry.type == "error")
        )

    return fits


def last_entries(path: Path, count: int, fits: Wanted) -> list[Entry]:
    """Give the last entries that fit, oldest first; reads the file from its end."""
    found: deque[Entry] = deque()
    reader = Reader()
    for raw in _lines_backwards(path):
        if len(found) >= count:
            break
        for line in reversed(list(reader.line(0, raw))):
            if line.entry is not None and fits(line.entry) and len(found) < count:
                found.appendleft(line.entry)
    return list(found)


def _lines_backwards(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first."""
    with _opened(path) as stream:
        position = stream.seek(0, os.SEEK_END)
        rest = b""
        while position > 0:
            size = min(BLOCK, position)
            position -= size
            stream.seek(position)
            lines = (stream.read(size) + rest).split(b"\n")
            rest = lines[0]
            if len(rest) > LONGEST_LINE:
                rest = b""  # no line of a log
            yield from (line for line in reversed(lines[1:]) if line)
        if rest:
            yield rest


def follow(path: Path, fits: Wanted) -> Iterator[Entry]:
    """Yield what is added to a log, without end; goes on with the next file when it is rotated."""
    reader = Reader()
    stream = _opened(path)
    stream.seek(0, os.SEEK_END)
    part = b""
    try:
        while True:
            raw = stream.readline(LONGEST_LINE)
            if not raw:
                if not part and _replaced(path, stream.fileno()):
                    stream.close()
                    stream = _opened(path)
                else:
                    time.sleep(LOOK_S)
                continue
            part += raw
            if part.endswith(b"\n") or len(part) > LONGEST_LINE:
                for line in reader.line(0, part):
                    if line.entry is not None and fits(line.entry):
                        yield line.entry
                part = b""
    finally:
        stream.close()


def _replaced(path: Path, descriptor: int) -> bool:
    """Tell whether another file has the name now, or this one was begun anew."""
    ours = os.fstat(descriptor)
    try:
        found = path.stat()
    except FileNotFoundError:
        return False  # between two files: the next one comes with the next message
    same = (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)
    return not same or found.st_size < os.lseek(descriptor, 0, os.SEEK_CUR)


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise GwayError(f"cannot read {path}: {error.strerror}", "is it the right file?") from None
