"""Schema versions: forward, whole or not at all, never over a newer one."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gway.errors import GwayError
from gway.projects.sql.database import Database
from gway.projects.sql.migrations import statements

ONE = "CREATE TABLE one (x);"
TWO = "CREATE TABLE two (x); INSERT INTO two VALUES ('a;b')"


def versions(database: Database) -> dict[str, int]:
    found = database.query("SELECT component, version FROM gway_schema")
    return {row["component"]: row["version"] for row in found}


@pytest.fixture
def empty(path: Path) -> Database:
    return Database(path)


def test_steps_run_once_and_later_ones_are_added(empty: Database) -> None:
    assert empty.migrate("a", [ONE]) == 1
    assert empty.migrate("a", [ONE]) == 0
    assert empty.migrate("a", [ONE, TWO]) == 1
    assert empty.query("SELECT x FROM two") == [{"x": "a;b"}]
    assert versions(empty) == {"a": 2}


def test_components_have_versions_of_their_own(empty: Database) -> None:
    empty.migrate("a", [ONE])
    empty.migrate("b", [TWO, "CREATE TABLE three (x)"])
    assert versions(empty) == {"a": 1, "b": 2}


def test_a_step_that_fails_leaves_the_old_version(empty: Database) -> None:
    empty.migrate("a", [ONE])
    with pytest.raises(sqlite3.OperationalError):
        empty.migrate("a", [ONE, TWO, "CREATE TABLE one (x)"])
    assert versions(empty) == {"a": 1}
    with pytest.raises(sqlite3.OperationalError):
        empty.query("SELECT * FROM two")


def test_a_newer_database_is_refused_and_left_alone(empty: Database, path: Path) -> None:
    empty.migrate("a", [ONE, TWO])
    empty.close()
    content = path.read_bytes()
    older = Database(path)
    with pytest.raises(GwayError, match="version 2, this GWAY knows up to 1"):
        older.migrate("a", [ONE])
    older.close()
    assert path.read_bytes() == content


def test_a_step_may_be_a_function(empty: Database) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO one VALUES (7)")

    empty.migrate("a", [ONE, fill])
    assert empty.query("SELECT x FROM one") == [{"x": 7}]


def test_several_that_migrate_at_once_do_it_once(path: Path) -> None:
    databases = [Database(path) for _ in range(4)]
    taken: list[int] = []
    threads = [
        threading.Thread(target=lambda one=one: taken.append(one.migrate("a", [ONE, TWO])))
        for one in databases
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(taken) == [0, 0, 0, 2]
    for each in databases:
        each.close()


def test_a_script_is_split_where_its_statements_end() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON one BEGIN DELETE FROM one; SELECT 1; END;"
    assert list(statements(f"{ONE}\n{trigger}")) == [ONE, trigger]
    with pytest.raises(ValueError, match="unfinished"):
        list(statements("CREATE TABLE 'open"))


@given(st.lists(st.text("ab;'-\" \n", max_size=12), max_size=5))
def test_text_in_a_script_never_ends_a_statement(texts: list[str]) -> None:
    quoted = [text.replace("'", "''") for text in texts]
    script = ";\n".join(f"SELECT '{text}'" for text in quoted)
    connection = sqlite3.connect(":memory:")
    found = [connection.execute(one).fetchone()[0] for one in statements(script)]
    connection.close()
    assert found == texts
