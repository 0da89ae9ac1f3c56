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


def end_of(path: Path) -> int:
    """Give where the last whole line of a log ends: what was there, and what will be added."""
    with _opened(path) as stream:
        position = stream.seek(0, os.SEEK_END)
        while position > 0:
            size = min(BLOCK, position)
            stream.seek(position - size)
            found = stream.read(size).rfind(b"\n")
            if found >= 0:
                return position - size + found + 1
            position -= size
    return 0


def last_entries(path: Path, count: int, fits: Wanted, end: int | None = None) -> list[Entry]:
    """Give the last entries that fit, oldest first; reads the file from its end.

    :param end: where to begin reading backwards; None for the end of the file
    """
    found: deque[Entry] = deque()
    reader = Reader()
    for raw in _lines_backwards(path, end):
        if len(found) >= count:
            break
        for line in reversed(list(reader.line(0, raw))):
            if line.entry is not None and fits(line.entry) and len(found) < count:
                found.appendleft(line.entry)
    return list(found)


def _lines_backwards(path: Path, end: int | None) -> Iterator[bytes]:
    """Yield the lines of a file, the last one first."""
    with _opened(path) as stream:
        position = stream.seek(0, os.SEEK_END) if end is None else end
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


def follow(path: Path, fits: Wanted, begin: int) -> Iterator[Entry]:
    """Yield what is added to a log, without end; goes on with the next file when it is rotated.

    :param begin: where in the file; what was added before this is called is not left out
    """
    reader = Reader()
    stream = _opened(path)
    stream.seek(begin)
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
