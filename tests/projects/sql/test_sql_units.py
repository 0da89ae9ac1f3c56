"""Units of work: whole or not at all, many in one commit, told when durable."""

from __future__ import annotations

import logging
import sqlite3
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent.monkey import get_original
from hypothesis import given, settings
from hypothesis import strategies as st

from gway.projects.sql.database import Database
from gway.projects.sql.writer import (
    TIDY_AFTER_CHANGES,
    TIDY_AFTER_COMMITS,
    Committer,
    StorageError,
)

from .conftest import ITEMS, add, names

BROKEN = "INSERT INTO nowhere VALUES (1)"


def test_a_unit_is_durable_when_its_submitter_is_told(database: Database, path: Any) -> None:
    seen: list[int] = []

    def done(error: BaseException | None) -> None:
        other = sqlite3.connect(path)
        seen.append(other.execute("SELECT count(*) FROM items").fetchone()[0])
        other.close()

    add(database, "a", "b", done=done)
    database.flush()
    assert seen == [2]


def test_a_unit_that_fails_leaves_nothing_behind(database: Database) -> None:
    outcomes = add(database, "a", "a")
    database.flush()
    assert isinstance(outcomes[0], sqlite3.IntegrityError)
    assert names(database) == []
    assert database.healthy


def test_a_failing_unit_does_not_harm_the_others_of_its_batch(served: Database) -> None:
    outcomes = [add(served, *words) for words in (["a"], ["b", "a"], ["c"], ["a"], ["d", "e"])]
    served.flush()
    assert [type(each[0]) for each in outcomes] == [
        type(None),
        sqlite3.IntegrityError,
        type(None),
        sqlite3.IntegrityError,
        type(None),
    ]
    assert names(served) == ["a", "c", "d", "e"]


def test_units_of_one_turn_share_a_commit(served: Database) -> None:
    before = served.counts["commits"]
    for number in range(500):
        add(served, f"item {number}")
    served.flush()
    assert len(names(served)) == 500
    assert served.counts["commits"] - before <= 3


def test_units_are_stored_in_the_order_of_their_submission(database: Database) -> None:
    for number in range(50):
        add(database, f"{number:02}")
    database.flush()
    assert names(database) == [f"{number:02}" for number in range(50)]


def test_an_error_in_a_callback_stays_in_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(error: BaseException | None) -> None:
        raise RuntimeError("boom")

    with caplog.at_level(logging.ERROR, "gway.sql"):
        add(database, "a", done=explode)
        outcomes = add(database, "b")
        database.flush()
    assert outcomes == [None]
    assert "boom" in caplog.text


def test_what_waits_for_a_commit_is_called_before_the_submitter(database: Database) -> None:
    calls: list[str] = []
    unit = database.unit()
    unit.execute("INSERT INTO items (name) VALUES ('a')")
    unit.on_commit(lambda: calls.append("committed"))
    unit.submit(lambda error: calls.append("done"))
    failing = database.unit()
    failing.execute(BROKEN)
    failing.on_commit(lambda: calls.append("never"))
    failing.submit(lambda error: calls.append(type(error).__name__))
    database.flush()
    assert calls == ["committed", "done", "OperationalError"]


def test_a_unit_can_be_submitted_only_once(database: Database) -> None:
    unit = database.unit()
    unit.submit(lambda error: None)
    with pytest.raises(RuntimeError, match="only once"):
        unit.submit(lambda error: None)


def test_execute_waits_and_raises_what_went_wrong(database: Database) -> None:
    database.execute("INSERT INTO items (name) VALUES (?)", ("a",))
    assert names(database) == ["a"]
    with pytest.raises(sqlite3.IntegrityError):
        database.execute("INSERT INTO items (name) VALUES (?)", ("a",))


def test_a_transaction_reads_and_writes_as_one(database: Database) -> None:
    database.execute("INSERT INTO items (name) VALUES ('1')")

    def double(connection: sqlite3.Connection) -> int:
        count: int = connection.execute("SELECT count(*) FROM items").fetchone()[0]
        connection.executemany(
            "INSERT INTO items (name) VALUES (?)", [(f"x{n}",) for n in range(count)]
        )
        return count

    assert database.transact(double) == 1
    assert names(database) == ["1", "x0"]
    with pytest.raises(ZeroDivisionError):
        database.transact(lambda connection: 1 // 0)


def test_a_native_thread_may_wait_for_its_unit_too(served: Database) -> None:
    finished: list[str] = []

    def work() -> None:
        served.execute("INSERT INTO items (name) VALUES ('native')")
        finished.append("yes")

    get_original("_thread", "start_new_thread")(work, ())
    with gevent.Timeout(20):
        while not finished:
            gevent.sleep(0.005)
    assert names(served) == ["native"]


def test_a_writer_that_breaks_down_says_so_to_all(
    served: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(units: object) -> None:
        raise MemoryError("no memory")

    monkeypatch.setattr(served._committer, "commit", break_down)
    outcomes = add(served, "a")
    with gevent.Timeout(20):
        while not outcomes:
            gevent.sleep(0.005)
    assert isinstance(outcomes[0], MemoryError)
    assert not served.healthy
    with pytest.raises(StorageError, match="the writer ended: MemoryError"):
        add(served, "b")


def test_closing_stores_what_still_waits(path: Any) -> None:
    database = Database(path, hub=gevent.get_hub())
    database.migrate("test", [ITEMS])
    outcomes = [add(database, f"{number}") for number in range(100)]
    database.close()
    assert all(each == [None] for each in outcomes)
    again = Database(path)
    assert len(names(again)) == 100
    again.close()


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from("abcdefgh"), min_size=1, max_size=3), max_size=12),
    st.booleans(),
)
def test_any_mixture_of_units_ends_as_if_each_had_run_alone(
    tmp_path_factory: pytest.TempPathFactory, units: list[list[str]], threaded: bool
) -> None:
    database = Database(
        tmp_path_factory.mktemp("mix") / "x.sqlite", hub=gevent.get_hub() if threaded else None
    )
    database.migrate("test", [ITEMS])
    outcomes = [add(database, *words) for words in units]
    database.flush()
    stored: list[str] = []
    expected = []
    for words in units:
        fits = len(set(words)) == len(words) and not set(words) & set(stored)
        expected.append(fits)
        stored += words if fits else []
    found = names(database)
    database.close()
    assert [each == [None] for each in outcomes] == expected
    assert sorted(found) == sorted(stored)


# --- the log ----------------------------------------------------------------------


def in_the_file(path: Path) -> int:
    """Count the items in the database file itself, without what its log holds."""
    alone = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    try:
        count: int = alone.execute("SELECT count(*) FROM items").fetchone()[0]
        return count
    finally:
        alone.close()


def test_no_commit_moves_the_log_and_the_writer_does_when_it_is_long(
    served: Database, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tidy, found = Committer.tidy, []

    def looked_at(committer: Committer) -> None:
        before = in_the_file(path)
        tidy(committer)
        found.append((committer.commits, before, in_the_file(path)))

    served.execute("INSERT INTO items (name) VALUES ('first')")
    monkeypatch.setattr(Committer, "tidy", looked_at)
    for number in range(2 * TIDY_AFTER_COMMITS):
        served.execute("INSERT INTO items (name) VALUES (?)", (f"item {number}",))
    served.flush()
    moved = [(commits, after) for commits, before, after in found if after != before]
    assert moved[0][0] == TIDY_AFTER_COMMITS
    assert all(after == commits for commits, after in moved)
    assert len(moved) == 2
    # Not within a commit: what the one before left, the next one finds unchanged.
    assert [before for _, before, _ in found[1:]] == [after for _, _, after in found[:-1]]


def test_the_log_is_moved_after_those_who_waited_were_told(
    served: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    release = get_original("_thread", "allocate_lock")()
    release.acquire()

    def tidy(_: Committer) -> None:
        release.acquire(True, 20)
        told.append("tidied")

    monkeypatch.setattr(Committer, "tidy", tidy)
    served.execute("INSERT INTO items (name) VALUES ('a')")
    told.append("answered")
    release.release()
    served.close()
    assert told == ["answered", "tidied"]


def test_many_rows_in_few_commits_are_a_long_log_too(served: Database, path: Path) -> None:
    add(served, *(f"item {number}" for number in range(TIDY_AFTER_CHANGES)))
    served.flush()
    served.flush()  # the writer tidies before it takes the next
    assert in_the_file(path) == TIDY_AFTER_CHANGES


def test_a_log_that_somebody_reads_is_moved_later(served: Database, path: Path) -> None:
    served.execute("INSERT INTO items (name) VALUES ('read')")
    reader = sqlite3.connect(path, isolation_level=None)
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM items").fetchone() == (1,)
    for number in range(TIDY_AFTER_COMMITS + 1):
        served.execute("INSERT INTO items (name) VALUES (?)", (f"item {number}",))
    served.flush()
    assert in_the_file(path) <= 1
    reader.close()
    for number in range(TIDY_AFTER_COMMITS + 1):
        served.execute("INSERT INTO items (name) VALUES (?)", (f"later {number}",))
    served.flush()
    assert in_the_file(path) > TIDY_AFTER_COMMITS
