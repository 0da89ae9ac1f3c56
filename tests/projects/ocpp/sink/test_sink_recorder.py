"""The log on disk: rotation, the bound on files, a full disk, a start that fails."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import websockets

from gway.errors import GwayError
from gway.projects.ocpp.sink import recorder as recorder_module
from gway.projects.ocpp.sink.recorder import BUFFER_BYTES, LogFile, Recorder


def lost(count: int) -> bytes:
    return b"lost %d\n" % count


Make = Callable[[LogFile], Recorder]


@pytest.fixture
def make() -> Iterator[Make]:
    made: list[Recorder] = []

    def start(file: LogFile, **more: object) -> Recorder:
        made.append(Recorder(file, lost, **more))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for each in made:
        each.close()


def plain(path: Path) -> LogFile:
    return LogFile(path, max_bytes=0, max_age_s=0, keep=3)


def test_lines_are_written_in_order_and_for_us_alone(tmp_path, make, eventually) -> None:
    path = tmp_path / "log" / "x.jsonl"
    recorder = make(plain(path))
    lines = [b"%d\n" % number for number in range(5_000)]
    for line in lines:
        recorder.put(line)
    eventually(lambda: recorder.written == 5_000)
    assert path.read_bytes() == b"".join(lines)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert recorder.waiting_bytes == 0


def test_what_waits_at_the_end_is_written(tmp_path, make) -> None:
    recorder = make(plain(tmp_path / "x"))
    recorder.put(b"last\n")
    recorder.close()
    assert (tmp_path / "x").read_bytes() == b"last\n"


def test_a_file_is_rotated_by_size_and_old_ones_go(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x", max_bytes=100, max_age_s=0, keep=2)
    for number in range(50):
        file.append(b"%09d\n" % number, now=0)
    names = sorted(each.name for each in tmp_path.iterdir())
    assert names == ["x", "x.1", "x.2"]
    assert all(each.stat().st_size == 100 for each in tmp_path.iterdir())
    kept = b"".join((tmp_path / name).read_bytes() for name in ("x.2", "x.1", "x"))
    assert kept.split() == [b"%09d" % number for number in range(20, 50)]
    assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}


def test_a_file_is_rotated_by_age_also_one_of_an_earlier_run(tmp_path: Path) -> None:
    first = LogFile(tmp_path / "x", max_bytes=0, max_age_s=60, keep=2)
    line = json.dumps({"time": "2026-03-01T12:00:00.000Z"}).encode() + b"\n"
    noon = 1_772_366_400.0
    first.append(line, now=noon)
    first.append(b"59\n", now=noon + 59)
    assert not (tmp_path / "x.1").exists()
    later = LogFile(tmp_path / "x", max_bytes=0, max_age_s=60, keep=2)
    later.append(b"61\n", now=noon + 61)
    assert (tmp_path / "x.1").read_bytes() == line + b"59\n"
    assert (tmp_path / "x").read_bytes() == b"61\n"


def test_without_older_files_a_full_one_is_begun_anew(tmp_path: Path) -> None:
    file = LogFile(tmp_path / "x", max_bytes=10, max_age_s=0, keep=0)
    file.append(b"12345678\n", now=0)
    file.append(b"abcdefgh\n", now=0)
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
    assert (tmp_path / "x").read_bytes() == b"abcdefgh\n"


def test_a_full_disk_loses_nothing_that_fits_into_memory(tmp_path, make, eventually) -> None:
    path = tmp_path / "x"
    path.symlink_to("/dev/full")
    recorder = make(plain(path))
    recorder.put(b"one\n")
    eventually(lambda: recorder.trouble)
    assert "No space left" in recorder.trouble
    recorder.put(b"two\n")
    path.unlink()  # room again: an ordinary file comes in its place
    eventually(lambda: not recorder.trouble)
    eventually(lambda: recorder.written == 2)
    assert path.read_bytes() == b"one\ntwo\n"
    assert recorder.lost == 0


def test_what_finds_no_room_is_counted_and_told_in_the_log(tmp_path, make, eventually) -> None:
    path = tmp_path / "x"
    path.symlink_to("/dev/full")
    recorder = make(plain(path))
    line = b"x" * 999_999 + b"\n"
    fitting = BUFFER_BYTES // len(line)
    for _ in range(fitting + 5):
        recorder.put(line)
    assert recorder.lost == 5
    assert recorder.waiting_bytes <= BUFFER_BYTES
    eventually(lambda: recorder.trouble)
    path.unlink()
    eventually(lambda: recorder.written == fitting)
    recorder.put(b"after\n")
    eventually(lambda: path.read_bytes().endswith(b"after\n"))
    assert path.read_bytes().count(b"lost 5\n") == 1


def test_half_a_line_never_stays_in_the_log(tmp_path, monkeypatch) -> None:
    file = plain(tmp_path / "x")
    file.append(b"whole\n", now=0)
    real = os.write

    def torn(descriptor: int, data: bytes) -> int:
        if bytes(data).startswith(b"to"):
            return real(descriptor, bytes(data)[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recorder_module.os, "write", torn)
    with pytest.raises(OSError, match="No space left"):
        file.append(b"torn\n", now=0)
    assert (tmp_path / "x").read_bytes() == b"whole\n"


def test_a_disk_that_hangs_makes_nobody_wait(tmp_path, make) -> None:
    go_on = threading.Event()

    class Hanging(LogFile):
        def append(self, data: bytes, now: float) -> None:
            go_on.wait(10)
            super().append(data, now)

    recorder = make(Hanging(tmp_path / "x", max_bytes=0, max_age_s=0, keep=1))
    for number in range(10_000):
        recorder.put(b"%d\n" % number)
    go_on.set()
    recorder.close()
    assert (tmp_path / "x").read_bytes().count(b"\n") == 10_000


def test_a_screen_that_is_gone_does_not_stop_the_file(tmp_path, eventually) -> None:
    def broken(lines: list[bytes]) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    recorder = Recorder(plain(tmp_path / "x"), lost, broken)
    recorder.put(b"one\n")
    eventually(lambda: recorder.written == 1)
    recorder.put(b"two\n")
    recorder.close()
    assert (tmp_path / "x").read_bytes() == b"one\ntwo\n"


def test_a_log_that_cannot_be_written_is_said_at_the_start(tmp_path, run) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GwayError, match="cannot write"):
        Recorder(plain(tmp_path / "file" / "x"), lost)
    ran = run("web.app", "setup-app", "ocpp.sink", "--to", f"{tmp_path}/file/x")
    assert ran.code == 1
    assert "cannot write" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_server_on_a_full_disk_goes_on_answering_and_says_so(serve, eventually) -> None:
    sink = serve("sink", "ocpp.sink")
    sink.log.unlink()
    sink.log.symlink_to("/dev/full")

    async def talk() -> None:
        url = f"{sink.ws_url}/CP1"
        async with websockets.connect(url, subprotocols=["ocpp1.6"]) as socket:  # type: ignore[list-item]
            for number in range(3):
                await socket.send(json.dumps([2, str(number), "Heartbeat", {}]))
                assert json.loads(await socket.recv())[0] == 3

    asyncio.run(talk())
    eventually(lambda: "cannot be written" in sink.get("/ocpp/sink/messages"))
    eventually(lambda: "No space left" in sink.output())
    sink.log.unlink()
    eventually(lambda: len(sink.entries(type="call")) == 3)
    assert "cannot be written" not in sink.get("/ocpp/sink/messages")
