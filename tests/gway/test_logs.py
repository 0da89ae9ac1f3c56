from __future__ import annotations

import logging
import re

import pytest

from gway import logs
from gway.errors import UsageError
from gway.logs import Logs

LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (DEBUG|INFO|WARNING|ERROR) [\w.]+: .*")

log = logging.getLogger("ocpp.test")


@pytest.fixture
def lines(gw, workspace):
    """What the log file has once it is closed."""
    service = gw.service(Logs)

    def close():
        gw.close()
        path = workspace / "work" / "logs" / "gway.log"
        return path.read_text(encoding="utf-8").splitlines() if path.exists() else []

    yield close
    service.close()


def test_each_record_is_one_line_without_secrets(gw, lines):
    gw.service(Logs).serve()
    log.info("password=%s from\n%s", "hunter2", "\x1b[31m")
    try:
        raise ValueError("token=hunter2")
    except ValueError:
        log.exception("broke")
    found = lines()
    assert len(found) == 2
    assert all(LINE.fullmatch(line) for line in found)
    assert "hunter2" not in "".join(found)
    assert r"Traceback (most recent call last):\n" in found[1]


def test_the_level_is_a_setting(gw, lines, monkeypatch):
    gw.settings.override("LOG_LEVEL", "ERROR")
    gw.service(Logs).serve()
    log.warning("small")
    log.error("big")
    assert [line.rpartition(": ")[2] for line in lines()] == ["big"]


def test_an_unknown_level_is_an_error(gw):
    gw.settings.override("LOG_LEVEL", "LOUD")
    with pytest.raises(UsageError, match="no level 'LOUD'"):
        gw.service(Logs).serve()


def test_serving_begins_the_file_and_nothing_else_does(gw, workspace, lines):
    gw.service(Logs).show_on_stderr()
    log.warning("before")
    assert not (workspace / "work").exists()
    gw.serving = True
    log.info("after")
    assert [line.rpartition(": ")[2] for line in lines()] == ["after"]


def test_files_rotate_and_old_ones_go(gw, workspace, eventually):
    gw.settings.override("LOG_MAX_BYTES", 200)
    gw.settings.override("LOG_KEEP", 2)
    service = gw.service(Logs)
    service.serve()
    folder = workspace / "work" / "logs"

    def newest():
        try:
            return (folder / "gway.log.1").read_text()
        except FileNotFoundError:
            return ""  # looked at while it was moved

    for number in range(6):
        log.info("record %d %s", number, "x" * 200)
        eventually(lambda text=f"record {number} ": text in newest())
    gw.close()
    assert sorted(path.name for path in folder.iterdir()) == ["gway.log.1", "gway.log.2"]
    assert "record 4" in (folder / "gway.log.2").read_text()


def test_the_file_is_ours_alone(gw, workspace, lines):
    gw.service(Logs).serve()
    log.info("x")
    lines()
    assert (workspace / "work" / "logs" / "gway.log").stat().st_mode & 0o777 == 0o600


def test_the_latest_lines_can_be_looked_at(gw, lines):
    service = gw.service(Logs)
    service.serve()
    for number in range(5):
        log.info("record %d", number)
    assert [line.rpartition(" ")[2] for line in service.recent(2)] == ["3", "4"]


def test_when_the_writer_is_far_behind_records_are_dropped_and_counted(
    gw, lines, monkeypatch, tmp_path
):
    monkeypatch.setattr(logs, "RING_SIZE", 3)
    monkeypatch.setattr(logs, "FLUSH_S", 60.0)
    service = gw.service(Logs)
    service.serve()
    for number in range(5):
        log.info("record %d", number)
    found = lines()
    assert [line.rpartition(": ")[2] for line in found] == [
        "record 0",
        "record 1",
        "record 2",
        "2 records dropped",
    ]


def test_a_person_sees_warnings_without_tracebacks(gw, capsys):
    gw.service(Logs).show_on_stderr()
    log.info("quiet")
    try:
        raise ValueError("bad\nluck")
    except ValueError:
        log.exception("broke")
    err = capsys.readouterr().err
    assert err == "ocpp.test: error: broke: ValueError: bad\\nluck\n"


def test_a_server_waits_for_no_terminal(gw, capfd, lines):
    gw.service(Logs).show_on_stderr()
    gw.serving = True
    log.warning("on %s", "stderr")
    log.info("in the file")
    assert [line.rpartition(": ")[2] for line in lines()] == ["on stderr", "in the file"]
    assert capfd.readouterr().err == "ocpp.test: warning: on stderr\n"


def test_a_full_disk_does_not_end_anything(gw, capfd, workspace):
    gw.settings.override("LOG_FILE", "full/gway.log")
    (workspace / "work" / "full" / "gway.log").mkdir(parents=True)
    gw.service(Logs).serve()
    log.info("lost")
    gw.close()
    assert "gway: cannot write" in capfd.readouterr().err


def test_debug_shows_tracebacks(gw, capsys):
    gw.service(Logs).show_on_stderr(tracebacks=True)
    try:
        raise ValueError("bad")
    except ValueError:
        log.exception("broke")
    assert "Traceback (most recent call last):\n" in capsys.readouterr().err


def test_closing_leaves_the_root_logger_as_it_was(gw):
    root = logging.getLogger()
    before = (list(root.handlers), root.level)
    gw.service(Logs).show_on_stderr()
    gw.service(Logs).serve()
    gw.close()
    assert (list(root.handlers), root.level) == before
