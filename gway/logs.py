"""Logs: cheap where they happen, written elsewhere, one line each, without secrets."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gway.errors import UsageError
from gway.native import original
from gway.redaction import one_line, redact

if TYPE_CHECKING:
    from gway.resolver import Gateway

RING_SIZE = 20_000
RECENT_SIZE = 500
FLUSH_S = 0.2

Row = tuple[float, str, str, str, str]


class OneLine(logging.Formatter):
    """Time, level, logger, message, and a traceback if there is one, all on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one redacted line."""
        return line_of(row_of(record))


class RingHandler(logging.Handler):
    """Keeps records in a bounded ring until the writer takes them; never waits."""

    def __init__(self, writer: Writer) -> None:
        super().__init__()
        self._writer = writer

    def createLock(self) -> None:
        """Have no lock: a deque needs none, and greenlets must not queue up here."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        """Put a record into the ring."""
        self._writer.put(row_of(record))


class StderrHandler(logging.StreamHandler):  # type: ignore[type-arg]
    """Shows records to the person in front; tracebacks only when asked."""

    def __init__(self, tracebacks: bool) -> None:
        super().__init__(sys.stderr)
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one short line."""
        if self._tracebacks and record.exc_info:
            trace = logging.Formatter().formatException(record.exc_info)
            return "\n".join(
                one_line(redact(line)) for line in [record.getMessage(), *trace.split("\n")]
            )
        why = f": {record.exc_info[1]!r}" if record.exc_info and record.exc_info[1] else ""
        level = record.levelname.lower()
        return one_line(redact(f"{record.name}: {level}: {record.getMessage()}{why}"))


class Writer:
    """Writes rows to a rotated file from a native thread of its own.

    :param path: the file; its folder exists
    :param max_bytes: size at which it becomes `path.1`
    :param keep: how many old files stay
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep
        self._ring: deque[Row] = deque()
        self.recent: deque[Row] = deque(maxlen=RECENT_SIZE)
        self.dropped = 0
        self._closing = False
        self._wake = original("_thread", "allocate_lock")()
        self._done = original("_thread", "allocate_lock")()
        self._wake.acquire()
        self._done.acquire()
        original("_thread", "start_new_thread")(self._run, ())

    def put(self, row: Row) -> None:
        """Take a row; when the writer is far behind, the row is counted and dropped."""
        if len(self._ring) >= RING_SIZE:
            self.dropped += 1
            return
        self._ring.append(row)
        self.recent.append(row)

    def close(self) -> None:
        """Write what is left and end."""
        self._closing = True
        self._wake.release()
        self._done.acquire(True, 5.0)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.acquire(True, FLUSH_S)
                self._write()
            self._write()
        finally:
            self._done.release()

    def _write(self) -> None:
        lines = [line_of(self._ring.popleft()) for _ in range(len(self._ring))]
        dropped, self.dropped = self.dropped, 0
        if dropped:
            now = datetime.now(UTC).timestamp()
            lines.append(line_of((now, "WARNING", "gway.logs", f"{dropped} records dropped", "")))
        if not lines:
            return
        try:
            self._append("\n".join(lines) + "\n")
        except OSError as error:
            # A full disk must not end the process, and the log is not the place to say it.
            os.write(2, f"gway: cannot write {self._path}: {error}\n".encode())

    def _append(self, text: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, text.encode("utf-8", "backslashreplace"))
            size = os.fstat(descriptor).st_size
        finally:
            os.close(descriptor)
        if size >= self._max_bytes > 0:
            self._rotate()

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            older = Path(f"{self._path}.{number}")
            newer = Path(f"{self._path}.{number - 1}") if number > 1 else self._path
            if newer.exists():
                newer.replace(older)
        if self._keep <= 0:
            self._path.unlink(missing_ok=True)


class Logs:
    """The logging of one gateway; `close()` takes its handlers away again."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._root = logging.getLogger()
        self._handlers: list[logging.Handler] = []
        self._writer: Writer | None = None
        self._level = self._root.level

    def show_on_stderr(self, tracebacks: bool = False) -> None:
        """Show records of `LOG_STDERR_LEVEL` and above to the person in front."""
        handler = StderrHandler(tracebacks)
        self._add(handler, level_of(self._gateway, "LOG_STDERR_LEVEL"))

    def write_to_file(self) -> None:
        """Write records of `LOG_LEVEL` and above to `LOG_FILE`; a second time does nothing."""
        name = str(self._gateway.settings.get("LOG_FILE"))
        if self._writer is not None or not name:
            return
        level = level_of(self._gateway, "LOG_LEVEL")
        path = self._gateway.workspace.work(*Path(name).parts)
        settings = self._gateway.settings
        self._writer = Writer(path, settings.get("LOG_MAX_BYTES"), settings.get("LOG_KEEP"))
        self._add(RingHandler(self._writer), level)

    def recent(self, count: int = 100) -> list[str]:
        """Give the latest lines, oldest first."""
        rows = list(self._writer.recent)[-count:] if self._writer is not None else []
        return [line_of(row) for row in rows]

    def close(self) -> None:
        """Take the handlers away and write what is left."""
        for handler in self._handlers:
            self._root.removeHandler(handler)
        self._handlers.clear()
        self._root.setLevel(self._level)
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def _add(self, handler: logging.Handler, level: int) -> None:
        handler.setLevel(level)
        self._handlers.append(handler)
        self._root.addHandler(handler)
        self._root.setLevel(min(each.level for each in self._handlers))


def level_of(gateway: Gateway, setting: str) -> int:
    """Read a level such as "INFO" from a setting."""
    name = str(gateway.settings.get(setting)).upper()
    level = logging.getLevelNamesMapping().get(name)
    if level is None:
        raise UsageError(
            f"GWAY_{setting}: no level {name!r}", "one of DEBUG, INFO, WARNING, ERROR, CRITICAL"
        )
    return level


def row_of(record: logging.LogRecord) -> Row:
    """Take from a record what will be written, so that later changes do not matter."""
    trace = ""
    if record.exc_info:
        trace = record.exc_text or logging.Formatter().formatException(record.exc_info)
    return (record.created, record.levelname, record.name, record.getMessage(), trace)


def line_of(row: Row) -> str:
    """Write a row as one redacted line."""
    created, level, name, message, trace = row
    at = datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds")
    text = f"{message}\n{trace}" if trace else message
    return f"{at[:-6]}Z {level} {name}: {one_line(redact(text))}"
