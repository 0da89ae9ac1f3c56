"""Rows that nobody waits for reach the disk soon, in order, many in one commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from gway.projects.ocpp.data.later import Later
from gway.projects.sql.database import Database

INSERT = "INSERT INTO rows (word) VALUES (?)"


SERVING = pytest.mark.parametrize("database", ["serving"], indirect=True)


@pytest.fixture(params=["serving", "not serving"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    hub = gevent.get_hub() if request.param == "serving" else None
    made = Database(tmp_path / "later.sqlite", hub=hub)
    made.migrate("test", ["CREATE TABLE rows (row_id INTEGER PRIMARY KEY, word TEXT NOT NULL)"])
    yield made
    made.close()


def words(database: Database) -> list[str]:
    return [row["word"] for row in database.query("SELECT word FROM rows ORDER BY row_id")]


def test_rows_are_stored_in_order_and_without_being_asked_for(database: Database) -> None:
    later = Later(database)
    for number in range(50):
        later.add(INSERT, (str(number),))
    if database.hub is not None:
        assert words(database) == []
        with gevent.Timeout(20):
            while len(words(database)) < 50:
                gevent.sleep(0.01)
    assert words(database) == [str(number) for number in range(50)]
    later.close()


def test_what_is_left_is_stored_at_the_end(database: Database) -> None:
    later = Later(database)
    later.add(INSERT, ("last",))
    later.close()
    database.flush()
    assert words(database) == ["last"]


def test_a_row_that_cannot_be_stored_is_logged_and_takes_no_other_with_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    later = Later(database)
    for word in ("before", None, "after"):
        later.add(INSERT, (word,))
    later.close()
    database.flush()
    assert words(database) == ["before", "after"]
    assert "not stored" in caplog.text


@SERVING
def test_fifty_rows_take_far_fewer_commits(database: Database) -> None:
    later = Later(database)
    before = database.counts["commits"]
    for number in range(50):
        later.add(INSERT, (str(number),))
        gevent.sleep(0)
    later.close()
    database.flush()
    assert database.counts["commits"] - before <= 5
