"""A process that is killed in the middle of writing keeps what it acknowledged."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from gway.projects.sql.database import Database

WRITER = """
import gevent.monkey
gevent.monkey.patch_all()
import sys
from pathlib import Path
import gevent
from gway.projects.sql.database import Database
database = Database(Path(sys.argv[1]), hub=gevent.get_hub())
database.migrate("test", ["CREATE TABLE items (name TEXT UNIQUE)"])
def write(worker):
    for number in range(100_000):
        name = f"{sys.argv[2]}-{worker}-{number}"
        database.execute("INSERT INTO items VALUES (?)", (name,))
        sys.stdout.write(name + "\\n")
        sys.stdout.flush()
gevent.joinall([gevent.spawn(write, worker) for worker in range(20)], raise_error=True)
"""


def test_kill_9_loses_nothing_that_was_acknowledged(path: Path) -> None:
    acknowledged: set[str] = set()
    for round_ in range(5):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(round_)],
            stdout=subprocess.PIPE,
            text=True,
        ) as writer:
            assert writer.stdout is not None
            for _ in range(200 + 77 * round_):
                acknowledged.add(writer.stdout.readline().strip())
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read().split("\n")
            acknowledged.update(rest[:-1])  # the last line may be torn
    database = Database(path)
    assert database.integrity() == []
    stored = {row["name"] for row in database.query("SELECT name FROM items")}
    database.close()
    assert len(acknowledged) > 1_000
    assert acknowledged <= stored
