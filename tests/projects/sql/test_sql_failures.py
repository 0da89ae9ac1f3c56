"""Disks that fill up, files that cannot be written, files that are damaged."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import gevent
import pytest

from gway.errors import GwayError
from gway.projects.sql.database import Database
from gway.projects.sql.writer import StorageError

from .conftest import ITEMS, add, names

FULL_DISK = """
import resource, signal, sys
from pathlib import Path
import gevent
from gway.projects.sql.database import Database
from gway.projects.sql.writer import StorageError
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = Database(Path(sys.argv[1]), hub=gevent.get_hub())
database.migrate("test", ["CREATE TABLE items (name TEXT)"])
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
stored = 0
try:
    while True:
        database.execute("INSERT INTO items VALUES (?)", ("x" * 5000,))
        stored += 1
except StorageError as error:
    print("refused", database.healthy, error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
with gevent.Timeout(20):
    while not database.healthy:
        gevent.sleep(0.01)
database.execute("INSERT INTO items VALUES ('after')")
print("kept", database.query("SELECT count(*) AS n FROM items")[0]["n"] - stored, stored > 5)
database.close()
"""


def test_a_full_database_refuses_and_goes_on_when_there_is_room(path: Path) -> None:
    database = Database(path, hub=gevent.get_hub(), pragmas=("max_page_count = 12",))
    database.migrate("test", [ITEMS])
    outcomes = []
    with gevent.Timeout(20):
        while not outcomes or outcomes[-1] is None:
            outcomes = add(database, os.urandom(2000).hex())
            database.flush()
    assert isinstance(outcomes[0], StorageError)
    assert "full" in str(outcomes[0])
    assert outcomes[0].hint
    assert not database.healthy
    before = len(names(database))
    database.execute("DELETE FROM items")
    assert database.healthy
    database.execute("INSERT INTO items (name) VALUES ('again')")
    assert before > 0
    assert names(database) == ["again"]
    database.close()


def test_a_full_disk_loses_nothing_that_was_acknowledged(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    lines = done.stdout.splitlines()
    assert lines[0].startswith("refused False "), done.stderr
    assert lines[1] == "kept 1 True"


def test_a_file_that_became_read_only_is_told_as_such(path: Path) -> None:
    database = Database(path, pragmas=("query_only = ON",))
    outcomes = add(database, "a")
    assert isinstance(outcomes[0], StorageError)
    assert not database.healthy
    assert "writable" in (outcomes[0].hint or "")
    database.close()


@pytest.mark.parametrize("threaded", [False, True])
def test_a_file_that_is_no_database_is_refused_and_left_alone(path: Path, threaded: bool) -> None:
    content = b"something else entirely, of some length" * 100
    path.write_bytes(content)
    with pytest.raises(GwayError, match="not an SQLite database") as caught:
        Database(path, hub=gevent.get_hub() if threaded else None)
    assert caught.value.hint
    assert "move it away" in caught.value.hint
    assert path.read_bytes() == content


def test_a_database_with_damaged_pages_is_refused_and_left_alone(path: Path) -> None:
    whole = Database(path)
    whole.migrate("test", [ITEMS])
    for number in range(200):
        whole.execute("INSERT INTO items (name) VALUES (?)", (f"{number:0200}",))
    whole.close()
    content = bytearray(path.read_bytes())
    content[8192:16384] = bytes(8192)
    path.write_bytes(content)
    with pytest.raises(GwayError, match="damaged"):
        Database(path, hub=gevent.get_hub())
    assert path.read_bytes() == bytes(content)


def test_a_new_database_is_for_its_owner_alone_and_writes_ahead(path: Path) -> None:
    database = Database(path)
    database.migrate("test", [ITEMS])
    assert path.stat().st_mode & 0o777 == 0o600
    other = sqlite3.connect(path)
    assert other.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    other.close()
    synchronous = database.transact(lambda c: c.execute("PRAGMA synchronous").fetchone()[0])
    assert synchronous == 2  # FULL
    database.close()


def test_a_closed_database_says_so(database: Database) -> None:
    database.close()
    with pytest.raises(StorageError, match="closed"):
        database.execute("INSERT INTO items (name) VALUES ('late')")
    with pytest.raises(StorageError, match="closed"):
        database.query("SELECT 1")


def test_integrity_lists_what_is_wrong(database: Database, path: Path) -> None:
    database.execute("INSERT INTO items (name) VALUES ('a')")
    assert database.integrity() == []
    database.close()
    other = sqlite3.connect(path)
    other.execute("PRAGMA writable_schema = ON")
    other.execute("UPDATE sqlite_master SET sql = replace(sql, ' UNIQUE', ' UNIQUE NOT NULL')")
    other.execute("CREATE TABLE more (x)")
    other.execute("INSERT INTO items (name) VALUES (NULL)")
    other.commit()
    other.close()
    broken = Database(path)
    assert any("NULL value in items.name" in each for each in broken.integrity())
    broken.close()


def _delete(path: Path) -> None:
    path.unlink()


def _restore_another(path: Path) -> None:
    other = path.with_name("backup.sqlite")
    Database(other).close()
    other.replace(path)


def _delete_log(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


@pytest.mark.parametrize("accident", [_delete, _restore_another, _delete_log])
def test_nothing_is_said_to_be_stored_in_a_file_that_is_gone(
    database: Database, path: Path, accident: Callable[[Path], None]
) -> None:
    database.execute("INSERT INTO items (name) VALUES ('before')")
    accident(path)
    with pytest.raises(StorageError, match=r"while it was in use") as caught:
        database.execute("INSERT INTO items (name) VALUES ('lost')")
    assert "put the file back" in str(caught.value.hint)
    assert not database.healthy
    assert "while it was in use" in database.failure


def test_a_file_that_is_put_back_takes_writes_again(database: Database, path: Path) -> None:
    away = path.with_name("away.sqlite")
    path.rename(away)
    with pytest.raises(StorageError):
        database.execute("INSERT INTO items (name) VALUES ('while away')")
    away.rename(path)
    database.execute("INSERT INTO items (name) VALUES ('back')")
    assert database.healthy
    assert "back" in names(database)
