"""Run `gway` with bugs planted, to show that the tests would catch them.

`python durability_plants.py NAME[,NAME] WORDS...` is `gway WORDS...` with:

- `slow-commit`: each commit takes 20 ms before and 20 ms after it (no bug; a slow disk)
- `answer-before-commit`: the writer says "durable" before it has stored anything
- `no-deduplication`: a repeated message is taken for a new one
"""

from __future__ import annotations

import gevent.monkey

gevent.monkey.patch_all()

import sys  # noqa: E402
from collections.abc import Sequence  # noqa: E402
from typing import Any  # noqa: E402

COMMIT_DELAY_S = 0.02


def slow_commit() -> None:
    from gway.projects.sql.writer import Committer, Unit

    commit = Committer.commit
    sleep = gevent.monkey.get_original("time", "sleep")

    def commit_later(self: Committer, units: Sequence[Unit]) -> dict[int, BaseException]:
        sleep(COMMIT_DELAY_S)
        errors = commit(self, units)
        sleep(COMMIT_DELAY_S)
        return errors

    Committer.commit = commit_later  # type: ignore[method-assign]


def answer_before_commit() -> None:
    from gway.projects.sql.threadwriter import ThreadWriter
    from gway.projects.sql.writer import CALL, Unit

    submit = ThreadWriter.submit

    def answer_first(self: ThreadWriter, unit: Unit, done: Any) -> None:
        if any(sql == CALL for sql, _ in unit.statements):  # its result is waited for
            submit(self, unit, done)
            return
        self._loop.run_callback(done, None)
        submit(self, unit, lambda _error: None)

    ThreadWriter.submit = answer_first  # type: ignore[method-assign]


def no_deduplication() -> None:
    from gway.projects.ocpp.data import codec, schema
    from gway.projects.ocpp.transactions.ledger import Ledger

    Ledger.find_start = lambda self, words: None  # type: ignore[method-assign]
    codec.INSERT_READING_ONCE = codec.INSERT_READING
    first = schema.STEPS[0].replace("CREATE UNIQUE INDEX transaction_starts", "CREATE INDEX x")
    schema.STEPS = (first, *schema.STEPS[1:])


PLANTS = {
    "slow-commit": slow_commit,
    "answer-before-commit": answer_before_commit,
    "no-deduplication": no_deduplication,
}


if __name__ == "__main__":
    from gway.__main__ import main

    _, names, *words = sys.argv
    sys.argv = ["gway", *words]
    for name in names.split(","):
        PLANTS[name]()
    sys.exit(main())
