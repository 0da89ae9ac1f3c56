"""The reader of strace's output, on traces written by hand."""

from __future__ import annotations

import pytest
from durability_trace import answered_after_sync, read_trace

WRITE = r'9 pwrite64(5</w/ocpp.sqlite-wal>, "..TAG-1..", 4096, 56) = 4096'
SYNC = "9 fdatasync(5</w/ocpp.sqlite-wal>) = 0"
ANSWER = r'8 sendto(7<TCP:[1->2]>, "\201 [3,\"m1\",{}]", 40, 0, NULL, 0) = 40'
SYNC_BEGINS = "9 fdatasync(5</w/ocpp.sqlite-wal> <unfinished ...>"
SYNC_IS_DONE = "9 <... fdatasync resumed>) = 0"


@pytest.fixture
def verdict(tmp_path):
    def judge(*lines: str) -> bool:
        (tmp_path / "trace").write_text("\n".join(lines) + "\n")
        return answered_after_sync(read_trace(tmp_path / "trace"), "TAG-1", "m1")

    return judge


def test_written_then_synced_then_answered_is_right(verdict):
    assert verdict(WRITE, SYNC, ANSWER)
    assert verdict(WRITE, SYNC_BEGINS, '8 write(2</dev/null>, "x", 1) = 1', SYNC_IS_DONE, ANSWER)


def test_an_answer_before_the_sync_is_done_is_wrong(verdict):
    assert not verdict(WRITE, ANSWER, SYNC)
    assert not verdict(WRITE, SYNC_BEGINS, ANSWER, SYNC_IS_DONE)


def test_a_sync_of_something_else_or_one_that_failed_does_not_count(verdict):
    assert not verdict(SYNC, WRITE, ANSWER)
    assert not verdict(WRITE, SYNC.replace("-wal", ""), ANSWER)
    assert not verdict(WRITE, SYNC.replace("= 0", "= -1 EIO (Input/output error)"), ANSWER)
    assert not verdict(WRITE.replace("TAG-1", "TAG-2"), SYNC, ANSWER)
