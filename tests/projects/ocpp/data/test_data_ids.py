"""Transaction ids: unique for ever, whatever ends the process."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import gevent
import pytest

from gway.errors import GwayError
from gway.projects.ocpp.data import schema
from gway.projects.ocpp.data.ids import LIMIT, TransactionIds
from gway.projects.sql.database import Database

TAKER = """
import sys
from pathlib import Path
from gway.projects.ocpp.data.ids import TransactionIds
from gway.projects.sql.database import Database
ids = TransactionIds(Database(Path(sys.argv[1])), block=50)
while True:
    print(ids.take(), flush=True)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "ids.sqlite"
    database = Database(path)
    database.migrate(schema.COMPONENT, schema.STEPS)
    database.close()
    return path


def test_ids_go_up_from_one_without_a_write_for_each(path: Path) -> None:
    database = Database(path)
    ids = TransactionIds(database, block=100)
    assert [ids.take() for _ in range(1_000)] == list(range(1, 1_001))
    assert database.counts["commits"] <= 11
    database.close()


def test_a_new_process_begins_beyond_what_was_reserved(path: Path) -> None:
    database = Database(path)
    first = [TransactionIds(database, block=10).take() for _ in range(5)]
    assert first == [1, 11, 21, 31, 41]
    database.close()


def test_kill_9_makes_no_id_come_twice(path: Path) -> None:
    taken: list[int] = []
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", TAKER, str(path)], stdout=subprocess.PIPE, text=True
        ) as taker:
            assert taker.stdout is not None
            taken += [int(taker.stdout.readline()) for _ in range(123)]
            taker.send_signal(signal.SIGKILL)
            taken += [int(line) for line in taker.stdout.read().split("\n")[:-1]]
    assert len(set(taken)) == len(taken)


def test_processes_that_share_a_database_share_no_id(path: Path) -> None:
    one, two = Database(path), Database(path)
    both = [TransactionIds(one, block=3), TransactionIds(two, block=3)]
    taken = [both[number % 2].take() for number in range(60)]
    assert len(set(taken)) == 60
    one.close()
    two.close()


def test_greenlets_share_no_id_even_when_a_block_runs_out(path: Path) -> None:
    database = Database(path, hub=gevent.get_hub())
    ids = TransactionIds(database, block=5)
    taken: list[int] = []

    def take() -> None:
        for _ in range(20):
            taken.append(ids.take())

    gevent.joinall([gevent.spawn(take) for _ in range(10)], timeout=20, raise_error=True)
    database.close()
    assert len(taken) == len(set(taken)) == 200


def test_an_id_is_not_given_again_after_its_row_was_deleted(path: Path) -> None:
    database = Database(path)
    given = [TransactionIds(database, block=1).take() for _ in range(3)]
    database.execute("DELETE FROM transactions")
    assert TransactionIds(database, block=1).take() > max(given)
    database.close()


def test_a_counter_that_was_lost_starts_beyond_the_stored_transactions(path: Path) -> None:
    database = Database(path)
    database.execute(
        "INSERT INTO transactions (transaction_id, charger_id, connector_id, id_tag, tag_key,"
        " meter_start_wh, start_time_raw, started_at, tag_status, tag_reason, state,"
        " stop_time_raw, stop_reason, energy_source, flags)"
        " VALUES (700, 'CP', 1, 'T', 't', 0, '', 0, '', '', 'open', '', '', '', '')"
    )
    assert TransactionIds(database).take() == 701
    database.close()


def test_ids_end_below_two_to_the_31(path: Path) -> None:
    database = Database(path)
    database.execute("INSERT INTO counters VALUES ('transaction_id', ?)", (LIMIT - 10,))
    ids = TransactionIds(database, block=10)
    assert [ids.take() for _ in range(10)][-1] == LIMIT - 1
    with pytest.raises(GwayError, match="used up"):
        ids.take()
    database.close()
