"""Logs: cheap where they happen, written elsewhere, one line each, without secrets."""

from __future__ import annotations

import logging
import os
import sys
from collections import deque
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gway.errors import UsageError
from gway.native import original
from gway.redaction import one_line, redact

if TYPE_CHECKING:
    from gway.resolver import Gateway

RING_SIZE = 20_000
RECENT_SIZE = 500
FLUSH_S = 0.2
CLOSE_S = 3.0


class Row(NamedTuple):
    """What is written of a record; `why` is its exception in a word, `trace` the traceback."""

    created: float
    level: str
    name: str
    message: str
    why: str = ""
    trace: str = ""


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
    """Shows records at once to the person in front; tracebacks only when asked."""

    def __init__(self, tracebacks: bool) -> None:
        super().__init__(sys.stderr)
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """Write a record as one short line."""
        return short_line_of(row_of(record), self._tracebacks)


class StderrSink:
    """Shows rows to the person in front, who may be slow."""

    def __init__(self, tracebacks: bool) -> None:
        self._tracebacks = tracebacks

    def write(self, rows: list[Row]) -> None:
        """Write the rows; a reader that has gone is no reason to fail."""
        lines = [short_line_of(row, self._tracebacks) + "\n" for row in rows]
        with suppress(OSError):
            write_all(2, "".join(lines))


class FileSink:
    """Writes rows to a file that is rotated by size.

    :param path: the file; its folder exists
    :param max_bytes: size at which it becomes `path.1`
    :param keep: how many old files stay
    """

    def __init__(self, path: Path, max_bytes: int, keep: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._keep = keep

    def write(self, rows: list[Row]) -> None:
        """Append the rows, and rotate the file when it is full."""
        try:
            self._append("".join(line_of(row) + "\n" for row in rows))
        except OSError as error:
            # A full disk must not end the process, and the log is not the place to say it.
            with suppress(OSError):
                write_all(2, f"gway: cannot write {self._path}: {error}\n")

    def _append(self, text: str) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            write_all(descriptor, text)
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


class Writer:
    """Hands rows to a sink from a native thread of its own, so that nobody waits for it."""

    def __init__(self, sink: FileSink | StderrSink) -> None:
        self._sink = sink
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
        """Write what is left and end; a sink that hangs is left behind."""
        self._closing = True
        self._wake.release()
        self._done.acquire(True, CLOSE_S)

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.acquire(True, FLUSH_S)
                self._write()
            self._write()
        finally:
            self._done.release()

    def _write(self) -> None:
        rows = [self._ring.popleft() for _ in range(len(self._ring))]
        dropped, self.dropped = self.dropped, 0
        if dropped:
            now = datetime.now(UTC).timestamp()
            rows.append(Row(now, "WARNING", "gway.logs", f"{dropped} records dropped"))
        if rows:
            self._sink.write(rows)


class Logs:
    """The logging of one gateway; `close()` takes its handlers away again."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._root = logging.getLogger()
        self._handlers: list[logging.Handler] = []
        self._writers: list[Writer] = []
        self._file: Writer | None = None
        self._stderr: StderrHandler | None = None
        self._tracebacks = False
        self._level = self._root.level

    def show_on_stderr(self, tracebacks: bool = False) -> None:
        """Show records of `LOG_STDERR_LEVEL` and above to the person in front."""
        self._tracebacks = tracebacks
        self._stderr = StderrHandler(tracebacks)
        self._add(self._stderr, level_of(self._gateway, "LOG_STDERR_LEVEL"))

    def serve(self) -> None:
        """Log as a server does: nobody waits for a disk or a terminal.

        Records of `LOG_LEVEL` and above go to `LOG_FILE`; a second time does nothing.
        """
        if self._writers:
            return
        settings = self._gateway.settings
        name = str(settings.get("LOG_FILE"))
        if name:
            level = level_of(self._gateway, "LOG_LEVEL")
            path = self._gateway.workspace.work(*Path(name).parts)
            sink = FileSink(path, settings.get("LOG_MAX_BYTES"), settings.get("LOG_KEEP"))
            self._file = self._add_writer(sink, level)
        if self._stderr is not None:
            self._root.removeHandler(self._stderr)
            self._handlers.remove(self._stderr)
            self._add_writer(StderrSink(self._tracebacks), self._stderr.level)
            self._stderr = None

    def recent(self, count: int = 100) -> list[str]:
        """Give the latest lines of the log file, oldest first."""
        rows = list(self._file.recent)[-count:] if self._file is not None else []
        return [line_of(row) for row in rows]

    def close(self) -> None:
        """Take the handlers away and write what is left."""
        for handler in self._handlers:
            self._root.removeHandler(handler)
        self._handlers.clear()
        self._root.setLevel(self._level)
        for writer in self._writers:
            writer.close()
        self._writers.clear()
        self._file = self._stderr = None

    def _add_writer(self, sink: FileSink | StderrSink, level: int) -> Writer:
        writer = Writer(sink)
        self._writers.append(writer)
        self._add(RingHandler(writer), level)
        return writer

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
    why = trace = ""
    if record.exc_info and record.exc_info[1] is not None:
        why = f"{type(record.exc_info[1]).__name__}: {record.exc_info[1]}"
        trace = record.exc_text or logging.Formatter().formatException(record.exc_info)
    return Row(record.created, record.levelname, record.name, record.getMessage(), why, trace)


def line_of(row: Row) -> str:
    """Write a row as one redacted line."""
    at = datetime.fromtimestamp(row.created, UTC).isoformat(timespec="milliseconds")
    text = f"{row.message}\n{row.trace}" if row.trace else row.message
    return f"{at[:-6]}Z {row.level} {row.name}: {one_line(redact(text))}"


def short_line_of(row: Row, tracebacks: bool) -> str:
    """Write a row for a person: what happened and why, with the traceback if asked for."""
    why = f": {row.why}" if row.why else ""
    lines = [f"{row.name}: {row.level.lower()}: {row.message}{why}"]
    if tracebacks:
        lines.extend(row.trace.splitlines())
    return "\n".join(one_line(redact(line)) for line in lines)


def write_all(descriptor: int, text: str) -> None:
    """Write a text whole, however often that takes."""
    data = text.encode("utf-8", "backslashreplace")
    while data:
        data = data[os.write(descriptor, data) :]
