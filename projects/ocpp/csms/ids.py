"""Transaction ids when no store gives any: unique over restarts by one small file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

BLOCK = 1_000


class LocalIds:
    """Hands out ids from blocks; the end of the block in use is on disk before its first id.

    :param file: where the end of the last block is written
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._next = self._end = 0

    def take(self) -> int:
        """Give an id that was never given before; writes to the disk once in a block."""
        if self._next >= self._end:
            self._reserve()
        given = self._next
        self._next += 1
        return given

    def _reserve(self) -> None:
        begin = 1
        with contextlib.suppress(FileNotFoundError):
            begin = int(self._file.read_text(encoding="ascii"))
        fresh = self._file.with_suffix(".new")
        with fresh.open("w", encoding="ascii") as stream:
            stream.write(str(begin + BLOCK))
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(self._file)
        self._next, self._end = begin, begin + BLOCK
