"""Reads: on connections that cannot write, never in the writer's way."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from gevent.monkey import get_original

from gway import resolver
from gway.errors import GwayError, UsageError
from gway.projects.sql.database import Database
from gway.projects.sql.sql import Databases, StorageError
from gway.resolver import Gateway

from .conftest import ITEMS, add, another_process_holds, names

ident = get_original("_thread", "get_ident")


def test_a_read_cannot_write(database: Database) -> None:
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.query("DELETE FROM items")
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        database.read(lambda connection: connection.execute("DELETE FROM items"))


def test_long_reads_leave_the_hub(served: Database) -> None:
    assert served.read(lambda connection: ident()) != ident()
    assert served.peek(lambda connection: ident()) == ident()


def test_what_a_long_read_raises_is_raised_here_and_not_printed(
    served: Database, capfd: pytest.CaptureFixture[str]
) -> None:
    def refuse(connection: sqlite3.Connection) -> None:
        raise UsageError("there is no such charger")

    with pytest.raises(UsageError, match="no such charger"):
        served.read(refuse)
    assert capfd.readouterr().err == ""


def test_a_number_that_no_row_can_have_is_a_mistake_of_who_asks(database: Database) -> None:
    for number in (2**63, -(2**63) - 1, 10**400):
        with pytest.raises(UsageError, match="a number is out of range"):
            database.query("SELECT * FROM items WHERE item_id = ?", (number,))
        with pytest.raises(UsageError, match="a number is out of range"):
            database.execute("INSERT INTO items (item_id) VALUES (?)", (number,))
    assert database.query("SELECT * FROM items WHERE item_id = ?", (2**63 - 1,)) == []


def test_a_read_sees_one_state_throughout(path: Path) -> None:
    database = Database(path)
    database.migrate("test", [ITEMS])

    def count_around_a_write(connection: sqlite3.Connection) -> list[int]:
        sql = "SELECT count(*) FROM items"
        before = connection.execute(sql).fetchone()[0]
        database.execute("INSERT INTO items (name) VALUES ('meanwhile')")
        return [before, connection.execute(sql).fetchone()[0]]

    assert database.read(count_around_a_write) == [0, 0]
    assert names(database) == ["meanwhile"]
    database.close()


def test_reads_go_on_while_another_process_writes(database: Database, path: Path) -> None:
    add(database, "a")
    database.flush()
    with another_process_holds(path):
        assert names(database) == ["a"]
        assert database.read(lambda c: c.execute("SELECT count(*) FROM items").fetchone()) == (1,)


def test_a_backup_is_a_whole_database_of_one_file(database: Database, tmp_path: Path) -> None:
    for number in range(300):
        add(database, f"{number}")
    database.flush()
    to = tmp_path / "copy.sqlite"
    size = database.backup(to)
    assert size == to.stat().st_size > 0
    copy = sqlite3.connect(to)
    assert copy.execute("SELECT count(*) FROM items").fetchone() == (300,)
    copy.close()
    assert sorted(each.name for each in tmp_path.iterdir() if "copy" in each.name) == [to.name]
    with pytest.raises(GwayError, match="there is no folder"):
        database.backup(tmp_path / "usb" / "copy.sqlite")
    with pytest.raises(GwayError, match="is there already"):
        database.backup(to)


def test_a_name_means_a_file_below_the_work_folder(gw: Gateway) -> None:
    databases = gw.service(Databases)
    work = gw.workspace.root / "work"
    assert databases.locate("a.sqlite") == work / "a.sqlite"
    assert databases.locate("sqlite:///srv/b%20c.sqlite") == Path("/srv/b c.sqlite")
    assert databases.locate("sqlite://d.sqlite") == work / "d.sqlite"
    with pytest.raises(GwayError, match="not inside"):
        databases.locate("../../etc/x.sqlite")
    with pytest.raises(UsageError, match="postgresql"):
        databases.locate("postgresql://host/db")


def test_a_file_is_opened_once_per_gateway_and_closed_with_it(gw: Gateway) -> None:
    one = gw.sql.open("a.sqlite")
    assert gw.sql.open(f"sqlite://{one.path}") is one
    gw.close()
    with pytest.raises(GwayError, match="closed"):
        one.query("SELECT 1")


def test_the_query_verb_reads_with_parameters_and_cannot_write(gw: Gateway) -> None:
    database = gw.sql.open("a.sqlite")
    database.migrate("test", ["CREATE TABLE items (name TEXT, n INTEGER)"])
    database.execute("INSERT INTO items VALUES ('Ada', 1), ('Bob', 2)")
    found = gw.sql.query("SELECT n FROM items WHERE name = ?", "Bob", db="a.sqlite")
    assert found == [{"n": 2}]
    with pytest.raises(UsageError, match="readonly"):
        gw.sql.query("DROP TABLE items", db="a.sqlite")
    with pytest.raises(UsageError, match="no such table"):
        gw.sql.query("SELECT * FROM nowhere", db="a.sqlite")
    assert {"name": "items", "type": "table", "columns": "name n"} in gw.sql.tables(db="a.sqlite")


def test_asking_a_database_that_is_not_there_does_not_make_it(gw: Gateway) -> None:
    with pytest.raises(GwayError, match="no such database"):
        gw.sql.query("SELECT 1", db="missing.sqlite")
    assert not (gw.workspace.root / "work" / "missing.sqlite").exists()


def test_two_gateways_do_not_share_databases(workspace: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    opened = []
    for root in (workspace, other):
        gateway = Gateway(root)
        with resolver.use(gateway):
            opened.append(gateway.sql.open("a.sqlite").path)
        gateway.close()
    assert opened[0] != opened[1]


def test_a_vacuum_gives_free_space_back_and_loses_nothing(database: Database) -> None:
    database.transact(lambda one: one.executemany(
        "INSERT INTO items (name) VALUES (?)", [(f"{number:0400}",) for number in range(2_000)]
    ))  # fmt: skip
    database.execute("DELETE FROM items WHERE item_id > 10")
    size = database.path.stat().st_size
    freed = database.vacuum()
    assert freed > 500_000
    assert database.path.stat().st_size <= max(size, 2_000_000) - freed
    assert len(database.query("SELECT * FROM items")) == 10
    database.execute("INSERT INTO items (name) VALUES ('after')")
    assert database.integrity() == []


def test_a_vacuum_waits_for_no_one_for_ever(path: Path) -> None:
    database = Database(path, lock_timeout_s=0.05)
    database.migrate("test", [ITEMS])
    with another_process_holds(path), pytest.raises(StorageError, match="locked"):
        database.vacuum()
    database.close()
