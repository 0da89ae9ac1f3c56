"""Databases of this workspace: open one, ask it something.

SQLite files live below the workspace's work folder. One writer per file stores
everything in units of work with group commit; reads never wait for it.
"""

from __future__ import annotations

import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from gway import gw
from gway.errors import GwayError, UsageError
from gway.projects.sql.database import Database
from gway.projects.sql.writer import StorageError, Unit

if TYPE_CHECKING:
    from gevent.hub import Hub

    from gway.resolver import Gateway

__all__ = ["Database", "Databases", "StorageError", "Unit", "open", "query", "tables"]


class Databases:
    """The open databases of one gateway."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._open: dict[Path, Database] = {}
        self._hub = _serving_hub()

    def open(self, url: str) -> Database:
        """Give the database of a file name or URL, opening it at first use."""
        path = self.locate(url)
        database = self._open.get(path)
        if database is None:
            database = self._open[path] = Database(path, hub=self._hub)
        return database

    def locate(self, url: str) -> Path:
        """Tell which file a name or URL means; relative names are below the work folder.

        Errors: UsageError for another kind of database.
        """
        scheme, colon, rest = url.partition("://")
        if not colon:
            rest = url
        elif scheme == "sqlite":
            rest = unquote(rest)
        else:
            raise UsageError(
                f"cannot open {scheme}:// databases", hint="use FILE or sqlite:///FILE"
            )
        if not rest:
            raise UsageError(f"no file in the database name {url!r}")
        path = Path(rest)
        if not path.is_absolute():
            path = Path(self._gateway.workspace.work(*path.parts))
        return path.resolve()

    def close(self) -> None:
        """Close all databases; what waits is stored first."""
        while self._open:
            self._open.popitem()[1].close()


def open(url: str = "ocpp.sqlite") -> Database:
    """Open a database, or give the one that is open.

    :param url: file below the work folder, absolute file, or sqlite:///FILE
    """
    databases: Databases = gw.service(Databases)
    return databases.open(url)


def query(sql: str, *params: str, db: str = "ocpp.sqlite") -> list[dict[str, Any]]:
    """Read rows from a database; nothing can be changed this way.

    :param sql: one SELECT, with ? for each parameter
    :param params: values for the question marks
    :param db: file below the work folder, absolute file, or sqlite:///FILE
    """
    databases: Databases = gw.service(Databases)
    path = databases.locate(db)
    if not path.exists():
        raise GwayError(f"{path}: no such database", hint="name one with --db FILE")
    database = databases.open(db)
    try:
        return database.read(lambda connection: _rows(connection, sql, params))
    except sqlite3.Error as error:
        hint = "see `gway sql tables`"
        if "readonly" in str(error):
            hint = "`gway sql query` only reads"
        raise UsageError(f"SQLite says: {error}", hint=hint) from error


def tables(*, db: str = "ocpp.sqlite") -> list[dict[str, Any]]:
    """List the tables and views of a database with their columns.

    :param db: file below the work folder, absolute file, or sqlite:///FILE
    """
    return query(
        "SELECT m.name AS name, m.type AS type, group_concat(c.name, ' ') AS columns"
        " FROM sqlite_master AS m, pragma_table_info(m.name) AS c"
        " WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_%'"
        " GROUP BY m.name, m.type ORDER BY m.name",
        db=db,
    )


def _rows(
    connection: sqlite3.Connection, sql: str, params: tuple[str, ...]
) -> list[dict[str, Any]]:
    from gway.projects.sql.database import rows

    return rows(connection, sql, params)


def _serving_hub() -> Hub | None:
    """Give the hub in a process that was patched for serving, else None."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is None or not monkey.is_module_patched("threading"):
        return None
    import gevent

    return gevent.get_hub()
