"""Writes the log: a bounded buffer, one native thread, a file that is rotated.

Nobody waits for the disk. Lines that find no room in the buffer are counted, and the count
is written into the log as soon as that is possible again.
"""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from gway.errors import GwayError
from gway.native import original

log = logging.getLogger("ocpp.sink")

BUFFER_BYTES = 16 * 1024 * 1024
BATCH_BYTES = 1024 * 1024
FLUSH_S = 0.2
RETRY_S = 1.0
CLOSE_S = 3.0


class LogFile:
    """A file of lines that is rotated by size and age, with a bound on the number of files.

    :param path: the file; the older ones are `path.1`, `path.2` and so on
    :param max_bytes: size at which a new file is begun; 0 for never
    :param max_age_s: age of the first line at which a new file is begun; 0 for never
    :param keep: how many older files stay
    """

    def __init__(self, path: Path, *, max_bytes: int, max_age_s: float, keep: int) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._max_age_s = max_age_s
        self._keep = keep
        self._born: float | None = None

    def append(self, data: bytes, now: float) -> None:
        """Write whole lines; after an OSError none of them is in the file."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            if size and self._is_full(descriptor, size + len(data), now):
                os.close(descriptor)
                descriptor = -1
                self._rotate()
                descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
                size = 0
            if not size:
                self._born = now
            try:
                _write_all(descriptor, data)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(descriptor, size)  # half a line would spoil the one after it
                raise
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _is_full(self, descriptor: int, size: int, now: float) -> bool:
        if 0 < self._max_bytes < size:
            return True
        if self._born is None:  # a file of an earlier run: its first line tells
            self._born = _born(self.path, os.fstat(descriptor).st_mtime)
        return 0 < self._max_age_s <= now - self._born

    def _rotate(self) -> None:
        for number in range(self._keep, 0, -1):
            newer = Path(f"{self.path}.{number - 1}") if number > 1 else self.path
            with suppress(FileNotFoundError):
                newer.replace(f"{self.path}.{number}")
        if self._keep <= 0:
            self.path.unlink(missing_ok=True)


class _First(msgspec.Struct):
    time: datetime


def _born(path: Path, otherwise: float) -> float:
    with path.open("rb") as stream:
        line = stream.readline(BATCH_BYTES)
    try:
        return msgspec.json.decode(line, type=_First).time.timestamp()
    except (msgspec.MsgspecError, ValueError):
        return otherwise


class Recorder:
    """Takes lines from anywhere and has them written by a native thread.

    :param file: where they go
    :param lost_line: makes the line that tells how many were lost
    :param screen: shows lines to a person, too; called in the thread
    """

    def __init__(
        self,
        file: LogFile,
        lost_line: Callable[[int], bytes],
        screen: Callable[[list[bytes]], None] | None = None,
    ) -> None:
        self.file = file
        self.lost = 0  # lines since the start
        self.written = 0
        self.trouble = ""
        self._lost_line = lost_line
        self._screen = screen
        self._lines: deque[bytes] = deque()
        self._size = 0
        self._untold = 0
        self._closing = False
        lock = original("_thread", "allocate_lock")
        self._wake, self._done, self._guard = lock(), lock(), lock()
        self._wake.acquire()
        self._done.acquire()
        self._check()
        original("_thread", "start_new_thread")(self._run, ())

    def _check(self) -> None:
        """Say at the start, and not an hour later, that nothing can be written there."""
        try:
            self.file.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.file.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
        except OSError as error:
            raise GwayError(
                f"cannot write {self.file.path}: {error.strerror}", "choose another file with --to"
            ) from None

    @property
    def waiting_bytes(self) -> int:
        """Bytes that are not written yet."""
        return self._size

    def put(self, line: bytes) -> None:
        """Take a line, or count it as lost when too much waits."""
        with self._guard:
            if self._size + len(line) > BUFFER_BYTES:
                self.lost += 1
                self._untold += 1
                return
            self._lines.append(line)
            self._size += len(line)

    def close(self) -> None:
        """Write what is left and end; a disk that hangs is left behind."""
        if not self._closing:
            self._closing = True
            self._wake.release()
            self._done.acquire(True, CLOSE_S)

    # --- in the thread --------------------------------------------------------------

    def _run(self) -> None:
        try:
            while not self._closing:
                self._wake.acquire(True, RETRY_S if self.trouble else FLUSH_S)
                self._write()
            self._write()
        finally:
            self._done.release()

    def _write(self) -> None:
        while True:
            batch, size = self._batch()
            if not batch and not (self._untold and not self.trouble):
                return
            untold = self._untold
            lines = [*batch, self._lost_line(untold)] if untold else batch
            try:
                self.file.append(b"".join(lines), _now())
            except OSError as error:
                self._failed(error)
                return
            self._wrote(batch, size, untold)

    def _batch(self) -> tuple[list[bytes], int]:
        """Look at the oldest lines; they stay in the buffer until they are written."""
        batch: list[bytes] = []
        size = 0
        with self._guard:
            for line in self._lines:
                batch.append(line)
                size += len(line)
                if size >= BATCH_BYTES:
                    break
        return batch, size

    def _wrote(self, batch: list[bytes], size: int, untold: int) -> None:
        with self._guard:
            for _ in batch:
                self._lines.popleft()
            self._size -= size
            self._untold -= untold
        self.written += len(batch)
        if self.trouble:
            log.warning("%s: recording goes on, %d lines are lost", self.file.path, untold)
            self.trouble = ""
        if self._screen is not None:
            try:
                self._screen(batch)
            except OSError as error:
                self._screen = None  # the reader has gone; the file goes on
                log.info("nobody reads what is shown: %s", error)

    def _failed(self, error: OSError) -> None:
        if not self.trouble:
            log.error("cannot write %s: %s; lines are kept while there is room",
                      self.file.path, error.strerror or error)  # fmt: skip
        self.trouble = error.strerror or str(error)


def _now() -> float:
    return datetime.now(UTC).timestamp()


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
