"""`validate`, `stats` and `tail` on logs of all kinds and sizes."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from gway.projects.ocpp.messages import examine
from gway.projects.ocpp.sink.following import end_of, follow, last_entries, wanted
from gway.projects.ocpp.sink.reading import LONGEST_LINE, Reader, violations_of
from gway.projects.ocpp.sink.tally import MOST_ROWS, Tallies, Tally
from gway.projects.ocpp.sink.verdicts import SCHEMA_RULES, Entry, Finding, encode_entry

BOOT = [2, "1", "BootNotification", {"chargePointVendor": "V", "chargePointModel": "M"}]
ACCEPTED = {"status": "Accepted", "currentTime": "2026-03-01T12:00:00Z", "interval": 60}
BEAT = [2, "2", "Heartbeat", {}]
GOOD = [BOOT, [3, "1", ACCEPTED], BEAT, [3, "2", {"currentTime": "2026-03-01T12:00:00Z"}]]
BAD = [2, "3", "Heartbeat", {"x": 1}]


def entry(number: int, frame: Any, direction: str = "in", **more: Any) -> Entry:
    words: dict[str, Any] = {
        "time": f"2026-03-01T12:{number // 60 % 60:02}:{number % 60:02}.000Z",
        "direction": direction,
        "charger": "CP1",
        "connection": 1,
        "type": "call",
        "frame": frame if isinstance(frame, str) else json.dumps(frame),
    }
    return Entry(**{**words, **more})


def write(path: Path, *lines: Any) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def rules(path: Path) -> list[tuple[int, str]]:
    reader = Reader(judge=True)
    return [
        (row["line"], row["rule"]) for line in reader.lines(path) for row in violations_of(line)
    ]


# --- what is read --------------------------------------------------------------------


def test_a_list_of_frames_is_read_and_who_sent_each_is_found(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x",
        *GOOD,
        "",
        [2, "c", "Reset", {"type": "Soft"}],
        [3, "c", {"status": "Accepted"}],
        BAD,
    )
    lines = [line.entry for line in Reader().lines(path) if line.entry]
    assert [each.direction for each in lines] == ["in", "out", "in", "out", "out", "in", "in"]
    assert [each.action for each in lines][4:] == ["Reset", "Reset", "Heartbeat"]
    assert rules(path) == [(8, "schema.unknown")]


def test_one_line_may_hold_a_list_of_frames(tmp_path: Path) -> None:
    assert rules(write(tmp_path / "x", [*GOOD, BAD])) == [(1, "schema.unknown")]


def test_text_logs_are_read_with_their_times(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x",
        "2026-03-01 12:00:00,000 INFO ocpp CP1: receive message " + json.dumps(BOOT),
        "2026-03-01 12:00:00,250 INFO ocpp CP1: send " + json.dumps(GOOD[1]),
        "2026-03-01 12:00:01 something else happened",
        "[2026-03-01T12:00:02Z] CP1 << " + json.dumps(BEAT) + " (12 bytes)",
        "2026-03-01 12:01:00,000 INFO ocpp CP1: send " + json.dumps(GOOD[3]),
    )
    lines = [line for line in Reader().lines(path) if line.entry]
    assert [line.number for line in lines] == [1, 2, 4, 5]
    assert [line.entry.charger for line in lines if line.entry] == ["CP1", "CP1", "", "CP1"]
    assert lines[1].entry is not None
    assert lines[1].entry.latency_ms == 250.0


def test_json_lines_of_others_are_read(tmp_path: Path) -> None:
    path = write(
        tmp_path / "x",
        {
            "charger_id": "A",
            "direction": "in",
            "text": json.dumps(BOOT),
            "at": "2026-03-01T12:00:00Z",
        },
        {"cp": "A", "message": GOOD[1], "timestamp": "2026-03-01T12:00:40Z"},
        {"level": "info", "nothing": "here"},
    )
    lines = [line.entry for line in Reader().lines(path) if line.entry]
    assert [each.charger for each in lines] == ["A", "A"]
    assert rules(path) == [(2, "late-answer")]


def test_chargers_and_connections_of_our_own_log_are_kept_apart(tmp_path: Path) -> None:
    path = tmp_path / "x"
    twice = [entry(1, BOOT), entry(2, BOOT, charger="CP2"), entry(3, BOOT, connection=2)]
    path.write_bytes(b"".join(encode_entry(each) + b"\n" for each in twice))
    assert rules(path) == []
    again = [*twice, entry(4, BOOT)]
    path.write_bytes(b"".join(encode_entry(each) + b"\n" for each in again))
    assert rules(path) == [(4, "duplicate-id")]


def test_a_new_connection_of_the_same_number_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "x"
    event = entry(2, "", "", type="open", verdict="-")
    rows = [entry(1, BOOT), event, entry(3, BOOT)]
    path.write_bytes(b"".join(encode_entry(each) + b"\n" for each in rows))
    assert rules(path) == []


def test_what_was_found_at_the_handshake_is_told_again(tmp_path: Path) -> None:
    path = tmp_path / "x"
    found = [Finding("no-subprotocol", "SPEC-J 3.1.2", "no subprotocol was offered")]
    event = entry(1, "", "", type="open", verdict="no-subprotocol", violations=found)
    path.write_bytes(encode_entry(event) + b"\n")
    assert rules(path) == [(1, "no-subprotocol")]


def test_a_direction_that_is_none_is_no_frame(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(encode_entry(entry(1, BAD, "sideways")) + b"\n")
    assert rules(path) == []


def test_hostile_files_are_read_to_their_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    junk = [
        b"\x00\xff\xfe",
        b"[" * 50_000,
        b'{"frame": 5}',
        b'{"time": 1, "frame": "[2]"}',
        b"{" * 50_000,
    ]
    long = b'[2,"' + b"x" * (LONGEST_LINE + 10)
    path.write_bytes(b"\n".join([*junk, long, json.dumps(BAD).encode()]))
    numbers = [number for number, rule in rules(path) if rule == "schema.unknown"]
    assert numbers == [7]


# --- verbs -----------------------------------------------------------------------------


def test_validate_names_lines_and_rules_and_fails(run, workspace: Path) -> None:
    path = write(workspace / "bad.txt", *GOOD, BAD)
    ran = run("ocpp.sink", "validate", str(path))
    assert ran.code == 1
    assert ran.stdout.startswith("line 5: <- Heartbeat: schema.unknown (SPEC 6.29): x: no such")
    assert "1 violations in 5 frames" in ran.stderr
    assert "Traceback" not in ran.stderr
    (row,) = json.loads(run("ocpp.sink", "validate", str(path), "--json").stdout)
    assert (row["line"], row["rule"], row["path"]) == (5, "schema.unknown", "x")
    (cells,) = csv.DictReader(io.StringIO(run("ocpp.sink", "validate", str(path), "--csv").stdout))
    assert cells["paragraph"] == "SPEC 6.29"
    assert run("ocpp.sink", "validate", str(path), "--rule", "duplicate-id").code == 0


def test_validate_refuses_a_rule_that_there_is_not(run, workspace: Path) -> None:
    path = write(workspace / "good.txt", *GOOD)
    wrong = run("ocpp.sink", "validate", str(path), "--rule", "duplicate-ids")
    assert wrong.code == 2
    assert "no rule is called 'duplicate-ids'" in wrong.stderr
    assert "did you mean 'duplicate-id'?" in wrong.stderr
    assert "one of charger-id, " in run("ocpp.sink", "validate", "--rule", "nonsense").stderr
    assert run("ocpp.sink", "validate", str(path), "--rule", "schema.missing").code == 0


def test_every_fault_of_a_payload_is_a_rule_that_validate_knows() -> None:
    noted = re.findall(r"note\(\s*[A-Z]+, \"([a-z-]+)\"", Path(examine.__file__).read_text())
    assert set(noted) <= set(SCHEMA_RULES)
    assert noted


def test_validate_is_content_with_a_good_log_and_not_with_none(run, workspace: Path) -> None:
    good = run("ocpp.sink", "validate", str(write(workspace / "good.txt", *GOOD)))
    assert (good.code, good.stdout) == (0, "")
    assert "4 frames, no violation" in good.stderr
    empty = run("ocpp.sink", "validate", str(write(workspace / "empty.txt", "nothing here")))
    assert empty.code == 1
    assert "no OCPP frame" in empty.stderr
    missing = run("ocpp.sink", "validate", "nowhere.txt")
    assert missing.code == 1
    assert "No such file" in missing.stderr


def a_log(folder: Path) -> Path:
    path = folder / "work" / "ocpp" / "sink" / "sink.jsonl"
    path.parent.mkdir(parents=True)
    found = [Finding("schema.unknown", "SPEC 6.29", "x: no such property", "x")]
    boot = {"action": "BootNotification", "verdict": "ok"}
    rows = [
        entry(1, BOOT, **boot),
        entry(2, GOOD[1], "out", type="result", latency_ms=5.0, **boot),
        entry(3, BAD, action="Heartbeat", verdict="schema.unknown", violations=found),
        entry(4, [4, "3", "FormationViolation", "", {}], "out", type="error", action="Heartbeat",
              verdict="ok", latency_ms=7.0, note="FormationViolation"),
        entry(5, BEAT, action="Heartbeat", verdict="ok", charger="CP2"),
    ]  # fmt: skip
    path.write_bytes(b"".join(encode_entry(each) + b"\n" for each in rows))
    return path


def test_tail_shows_a_line_for_each_message_and_filters(run, workspace: Path) -> None:
    a_log(workspace)
    lines = run("ocpp.sink", "tail").stdout.splitlines()
    assert len(lines) == 5
    assert lines[2].startswith("12:00:03.000 CP1                <- Heartbeat ")
    assert "schema.unknown" in lines[2]
    assert "5.0 ms" in lines[1]

    def shown(*options: str) -> list[str]:
        rows = json.loads(run("ocpp.sink", "tail", *options, "--json").stdout)
        return [row["time"][17:19] for row in rows]

    assert shown("--charger", "CP1", "--lines", "2") == ["03", "04"]
    assert shown("--action", "bootnotification") == ["01", "02"]
    assert shown("--errors") == ["03", "04"]
    rows = list(csv.DictReader(io.StringIO(run("ocpp.sink", "tail", "--csv").stdout)))
    assert [row["verdict"] for row in rows] == ["ok", "ok", "schema.unknown", "ok", "ok"]


def test_tail_escapes_what_would_drive_a_terminal(run, workspace: Path) -> None:
    path = a_log(workspace)
    evil = entry(6, '[2,"\x1b[31m",]', charger="\x1b]0;evil\x07", verdict="framing", type="junk")
    with path.open("ab") as stream:
        stream.write(encode_entry(evil) + b"\n")
    assert "\x1b" not in run("ocpp.sink", "tail").stdout


def test_tail_follows_over_a_rotation(workspace: Path, eventually) -> None:
    path = a_log(workspace)
    with subprocess.Popen(
        [sys.executable, "-m", "gway", "ocpp.sink", "tail", "--lines", "1", "--follow"],
        cwd=workspace,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        seen = b""

        def shows(text: bytes) -> bool:
            nonlocal seen
            seen += process.stdout.read() or b""  # type: ignore[union-attr]
            return text in seen

        try:
            eventually(lambda: shows(b"CP2"), timeout_s=15)
            with path.open("ab") as stream:
                stream.write(encode_entry(entry(7, BEAT, charger="NEXT"))[:20])
                stream.flush()
                stream.write(encode_entry(entry(7, BEAT, charger="NEXT"))[20:] + b"\n")
            eventually(lambda: shows(b"NEXT"))
            path.replace(f"{path}.1")
            path.write_bytes(encode_entry(entry(8, BEAT, charger="ROTATED")) + b"\n")
            eventually(lambda: shows(b"ROTATED"))
        finally:
            process.terminate()
            assert process.wait(10) == 143
        assert seen.count(b"NEXT") == 1


def test_stats_count_by_charger_and_action_with_latencies(run, workspace: Path) -> None:
    a_log(workspace)
    rows = json.loads(run("ocpp.sink", "stats", "--json").stdout)
    by_name = {(row["charger"], row["action"]): row for row in rows}
    boot = by_name["CP1", "BootNotification"]
    assert (boot["calls"], boot["answers"], boot["errors"]) == (1, 1, 0)
    assert boot["p50_ms"] == pytest.approx(5.0, rel=0.02)
    beat = by_name["CP1", "Heartbeat"]
    assert (beat["calls"], beat["errors"], beat["rules"]) == (1, 1, {"schema.unknown": 1})
    assert by_name["(all)", "(all)"]["calls"] == 3
    assert rows[-1]["charger"] == "(all)"
    assert "schema.unknown 1" in run("ocpp.sink", "stats").stdout
    assert run("ocpp.sink", "stats", "--csv").stdout.startswith("charger,action,calls")


# --- bounds ------------------------------------------------------------------------------


def test_percentiles_are_right_within_two_percent() -> None:
    tally = Tally()
    values = [0.5 * number for number in range(1, 2_001)]
    for value in values:
        tally.add(entry(0, BEAT, "out", type="result", latency_ms=value))
    assert tally.percentile_ms(0.5) == pytest.approx(500.0, rel=0.02)
    assert tally.percentile_ms(0.95) == pytest.approx(950.0, rel=0.02)
    assert Tally().percentile_ms(0.5) is None


def test_countless_actions_are_counted_together() -> None:
    tallies = Tallies()
    for number in range(MOST_ROWS + 100):
        tallies.add(entry(0, BEAT, action=f"A{number}", verdict="ok"))
    rows = tallies.rows()
    assert len(rows) == MOST_ROWS + 1
    assert sum(row["calls"] for row in rows) == tallies.all.calls == MOST_ROWS + 100


def test_the_end_of_a_log_is_read_from_its_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as stream:
        stream.write(b"\x00" * 50_000_000 + b"\n")  # would be skipped, if it were looked at
        for number in range(5_000):
            stream.write(encode_entry(entry(number, BEAT, message_id=str(number))) + b"\n")
    found = last_entries(path, 3, wanted(None, None, False))
    assert [each.message_id for each in found] == ["4997", "4998", "4999"]
    assert last_entries(path, 0, wanted(None, None, False)) == []


def test_following_leaves_out_nothing_that_is_added_while_the_end_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "x", BOOT)
    fits = wanted(None, None, False)
    with path.open("a") as stream:
        stream.write(json.dumps(BEAT)[:9])  # a line that is being written
    end = end_of(path)
    with path.open("a") as stream:
        stream.write(json.dumps(BEAT)[9:] + "\n")
    assert [each.action for each in last_entries(path, 9, fits, end)] == ["BootNotification"]
    coming = follow(path, fits, end)
    assert next(coming).action == "Heartbeat"
    coming.close()  # type: ignore[attr-defined]
    path.write_bytes(b"no line yet")
    assert end_of(path) == 0


def test_a_large_log_is_validated_in_bounded_memory(workspace: Path) -> None:
    path = workspace / "large.jsonl"
    values = [{"timestamp": "2026-03-01T12:00:00Z", "sampledValue": [{"value": "1"}] * 40}]
    with path.open("wb") as stream:
        stream.write(encode_entry(entry(0, BOOT)) + b"\n")
        for number in range(20_000):
            frame = [2, f"m{number}", "MeterValues", {"connectorId": 1, "meterValue": values}]
            stream.write(encode_entry(entry(0, frame, charger=f"CP{number % 5_000}")) + b"\n")
    assert path.stat().st_size > 15_000_000
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from gway.projects.ocpp.sink.reading import Reader, violations_of\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "reader = Reader(judge=True)\n"
        "count = sum(1 for line in reader.lines(Path(sys.argv[1])) for _ in violations_of(line))\n"
        "grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before\n"
        "print(count, grown)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    count, grown_kib = map(int, done.stdout.split())
    assert count > 5_000
    assert grown_kib < 60_000
