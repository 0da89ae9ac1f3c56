"""Whether the files that are written to are still those that others will read."""

from __future__ import annotations

import sqlite3
from pathlib import Path

Identity = tuple[int, int]


class FileMoved(sqlite3.OperationalError):
    """The database was moved, deleted or replaced under us: what is written now is lost."""

    sqlite_errorcode = sqlite3.SQLITE_READONLY_DBMOVED


class Presence:
    """Remembers which file a database is, and which its log.

    SQLite goes on writing into a file that was deleted, and says that it is stored.

    :param path: of the database; it exists
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._log_path = path.with_name(path.name + "-wal")
        self._file = _identity(path)
        self._log: Identity | None = None

    def forget_log(self) -> None:
        """Let the log be another one: a connection that opens may make it anew."""
        self._log = None

    def check(self) -> None:
        """Raise FileMoved unless both files are where they were."""
        if _identity(self._path) != self._file:
            raise FileMoved("the file was moved, deleted or replaced while it was in use")
        log = _identity(self._log_path)
        if self._log is None:
            self._log = log
        elif log != self._log:
            raise FileMoved("its -wal file was moved or deleted while it was in use")


def _identity(path: Path) -> Identity | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino
