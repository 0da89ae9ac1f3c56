"""Databases to test with: with a hub and its native writer, without, and a rival process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import gevent
import pytest

from gway.projects.sql.database import Database

RIVAL = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
connection.execute("ROLLBACK")
"""
ITEMS = "CREATE TABLE items (item_id INTEGER PRIMARY KEY, name TEXT UNIQUE)"

Outcomes = list[BaseException | None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "test.sqlite"


@pytest.fixture(params=["direct", "thread"])
def database(request: pytest.FixtureRequest, path: Path) -> Iterator[Database]:
    """A database with a table `items`, with each kind of writer."""
    hub = gevent.get_hub() if request.param == "thread" else None
    made = Database(path, hub=hub)
    made.migrate("test", [ITEMS])
    yield made
    made.close()


@pytest.fixture
def served(path: Path) -> Iterator[Database]:
    """A database as a process that serves has it."""
    made = Database(path, hub=gevent.get_hub())
    made.migrate("test", [ITEMS])
    yield made
    made.close()


@contextmanager
def another_process_holds(path: Path) -> Iterator[Callable[[], None]]:
    """Hold the write lock from another process; the value lets it go."""
    rival = subprocess.Popen(
        [sys.executable, "-c", RIVAL, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert rival.stdin is not None
    assert rival.stdout is not None
    assert rival.stdout.readline() == "held\n"

    def let_go() -> None:
        if rival.poll() is None:
            rival.communicate("\n", timeout=5)

    try:
        yield let_go
    finally:
        let_go()


def names(database: Database) -> list[str]:
    return [row["name"] for row in database.query("SELECT name FROM items ORDER BY item_id")]


def add(
    database: Database, *words: str | None, done: Callable[..., None] | None = None
) -> Outcomes:
    """Submit one unit that adds names; gives the list that its outcome goes to."""
    outcomes: Outcomes = []
    unit = database.unit()
    for word in words:
        unit.execute("INSERT INTO items (name) VALUES (?)", (word,))
    unit.submit(done or outcomes.append)
    return outcomes
